(function () {
  "use strict";
  var viewer = document.getElementById("viewer");
  if (viewer) { browse(viewer); }
  var copy = document.getElementById("copy");
  if (copy) { copy.addEventListener("click", copyMethods); }

  function browse(viewer) {
    var box = document.getElementById("slides");
    var slides = Array.prototype.slice.call(box.querySelectorAll(".slide"));
    var slider = document.getElementById("slider");
    var chart = document.querySelector("#profile svg");
    var current = -1;
    slides.forEach(function (slide) {
      var picture = slide.querySelector(".picture");
      picture.style.setProperty("--aspect", picture.style.aspectRatio.split("/")[0]);
    });
    var levels = Array.prototype.map.call(viewer.querySelectorAll(".plane .picture"), function (picture) {
      var line = document.createElement("span");
      line.className = "level";
      picture.appendChild(line);
      return line;
    });

    function show(place) {
      place = Math.max(0, Math.min(slides.length - 1, place));
      if (place === current) { return; }
      if (current >= 0) { slides[current].classList.remove("current"); }
      current = place;
      var slide = slides[place];
      slide.classList.add("current");
      if (slider) {
        slider.value = String(place);
        slider.setAttribute("aria-valuetext", slide.querySelector("figcaption").textContent.replace(/\s+/g, " ").trim());
      }
      levels.forEach(function (line) { line.style.top = 100 * Number(slide.dataset.level) + "%"; });
      if (chart) {
        var x = toChart(Number(slide.dataset.index));
        var cursor = chart.querySelector(".cursor");
        cursor.setAttribute("x1", x);
        cursor.setAttribute("x2", x);
      }
    }

    function toChart(index) {
      var d = chart.dataset;
      return Number(d.left) + (index - Number(d.low)) / (Number(d.high) - Number(d.low)) * Number(d.wide);
    }

    function nearest(index) {
      var best = 0;
      slides.forEach(function (slide, place) {
        if (Math.abs(slide.dataset.index - index) < Math.abs(slides[best].dataset.index - index)) { best = place; }
      });
      return best;
    }

    function layers() {
      viewer.querySelectorAll("[data-layer]").forEach(function (box) {
        viewer.classList.toggle("no-" + box.dataset.layer, !box.checked);
      });
    }

    function toggleAll() {
      var boxes = viewer.querySelectorAll('[data-layer="lungs"], [data-layer="infection"]');
      var any = Array.prototype.some.call(boxes, function (box) { return box.checked; });
      boxes.forEach(function (box) { box.checked = !any; });
      layers();
    }

    if (slider) {
      slider.addEventListener("input", function () { show(Number(slider.value)); });
      document.getElementById("previous").addEventListener("click", function () { show(current - 1); });
      document.getElementById("next").addEventListener("click", function () { show(current + 1); });
    }
    viewer.addEventListener("change", layers);
    viewer.addEventListener("keydown", function (event) {
      if (event.ctrlKey || event.metaKey || event.altKey) { return; }
      if (event.key === "o" || event.key === "O") { toggleAll(); event.preventDefault(); return; }
      if (event.target.tagName === "INPUT" && event.target.type === "checkbox") { return; }
      var moves = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 5, PageUp: -5 };
      var place = event.key === "Home" ? 0 : event.key === "End" ? slides.length - 1 : current + (moves[event.key] || 0);
      if (event.key in moves || event.key === "Home" || event.key === "End") { show(place); event.preventDefault(); }
    });
    box.addEventListener("click", function () { box.focus({ preventScroll: true }); });
    box.addEventListener("wheel", function (event) {
      if (document.activeElement !== box || event.ctrlKey || !event.deltaY) { return; }
      show(current + (event.deltaY > 0 ? 1 : -1));
      event.preventDefault();
    }, { passive: false });
    if (chart) {
      chart.addEventListener("click", function (event) {
        var d = chart.dataset;
        var frame = chart.getBoundingClientRect();
        var x = (event.clientX - frame.left) / frame.width * chart.viewBox.baseVal.width;
        var share = (x - Number(d.left)) / Number(d.wide);
        show(nearest(Number(d.low) + share * (Number(d.high) - Number(d.low))));
      });
    }
    show(Number(viewer.dataset.start));
    layers();
  }

  function copyMethods() {
    var selection = window.getSelection();
    var range = document.createRange();
    range.selectNodeContents(document.getElementById("methods"));
    selection.removeAllRanges();
    selection.addRange(range);
    var done = document.execCommand("copy");
    copy.textContent = done ? "Copied" : "Press Ctrl+C";
  }
}());
