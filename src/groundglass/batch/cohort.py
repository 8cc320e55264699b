"""`cohort.html`: the whole batch on one self-contained page."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import cv2
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from groundglass import __version__
from groundglass.batch.ledger import Entry
from groundglass.batch.statistics import FARTHEST, FEWEST, QUANTITIES, Spread, bins, number_of, outliers, spreads
from groundglass.batch.table import Row
from groundglass.io.write import atomic_write_bytes
from groundglass.report import wording
from groundglass.report.charts import nice_ticks
from groundglass.report.palette import SCORES, css

_PICTURES = 24
_PICTURE_WIDTH = 720
_LISTED = 2000
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 560, 240, 52, 14, 30, 48


@dataclass(frozen=True, slots=True)
class Picture:
    """One overlay of the gallery.

    Attributes:
        case: name.
        link: to the report of the case.
        source: JPEG as a data address.
        words: what is said below.
    """

    case: str
    link: str
    source: str
    words: str


def write_cohort_report(entries: Sequence[Entry], output: Path, left_out: Sequence[str]) -> None:
    """Write `cohort.html` into the output folder.

    Args:
        entries: every case of the ledger.
        output: folder of the batch.
        left_out: what was seen in the inputs and is no case.

    Raises:
        OutputError: it cannot be written.
    """
    done = [{**entry.outcome.row, "case": entry.case.name} for entry in entries if _is_done(entry) and entry.outcome]
    measured = spreads(done)
    findings = Counter(code for row in done for code in str(row.get("findings") or "").split())
    page = (
        _environment()
        .get_template("cohort.html.j2")
        .render(
            version=__version__,
            written=wording.moment(datetime.now(UTC).isoformat()),
            counts=Counter(entry.state for entry in entries),
            total=len(entries),
            spreads=measured,
            charts=[(spread, histogram(spread)) for spread in measured if spread.values.size > 1],
            outliers=outliers(done)[:_LISTED],
            outlier_rule=(FARTHEST, FEWEST),
            failures=[entry for entry in entries if entry.state in {"failed", "unusable"}][:_LISTED],
            findings=findings.most_common(),
            gallery=gallery(done, output),
            rows=done[:_LISTED],
            quantities=[spread.quantity for spread in measured],
            link=report_link,
            left_out=left_out,
            listed=_LISTED,
            style=_style(),
        )
    )
    atomic_write_bytes(output / "cohort.html", page.encode())


def gallery(rows: Sequence[Row], output: Path) -> list[Picture]:
    """Overlays of the cases with most involvement, as far as they lie in the output folder."""
    involvement = QUANTITIES[0]
    ranked = sorted(rows, key=lambda row: (-(number_of(row, involvement) or 0.0), str(row["case"])))
    pictures: list[Picture] = []
    for row in ranked:
        case = str(row["case"])
        source = _small_jpeg(output / case / "overlay.png")
        if source:
            share = number_of(row, involvement)
            words = "" if share is None else f"{wording.percent(share)} involved"
            pictures.append(Picture(case, report_link(case), source, words))
        if len(pictures) == _PICTURES:
            break
    return pictures


def report_link(case: str) -> str:
    """Relative address of the report of a case."""
    return f"{quote(case)}/report.html"


def histogram(spread: Spread) -> Markup:
    """How many cases have which value, with the median marked."""
    counts, edges = bins(spread.values)
    ticks = [tick for tick in nice_ticks(float(counts.max())) if tick == int(tick)]
    top, foot = ticks[-1], _HEIGHT - _BOTTOM
    wide, deep = _WIDTH - _LEFT - _RIGHT, foot - _TOP

    def x(value: float) -> float:
        return float(_LEFT + (value - edges[0]) / (edges[-1] - edges[0]) * wide)

    parts = []
    for tick in ticks:
        y = foot - tick / top * deep
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 7}" y="{y + 4.5:.1f}">{tick:g}</text>')
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        high = float(count) / top * deep
        box = f'x="{x(left) + 0.8:.1f}" width="{max(x(right) - x(left) - 1.6, 0.8):.1f}"'
        title = f"{wording.minus(left)} to {wording.minus(right)}: {count}"
        parts.append(
            f'<rect class="curve" {box} y="{foot - high:.1f}" height="{high:.1f}"><title>{title}</title></rect>'
        )
    for edge in edges[:: max(1, -(-len(edges) // 8))]:
        parts.append(
            f'<text class="tick middle" x="{x(edge):.1f}" y="{foot + 19}">{wording.minus(round(edge, 6))}</text>'
        )
    middle = x(spread.quartiles[1])
    parts.append(f'<line class="mark" x1="{middle:.1f}" x2="{middle:.1f}" y1="{_TOP}" y2="{foot}"/>')
    parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{foot}" y2="{foot}"/>')
    unit = f"{spread.quantity.name}, {spread.quantity.unit}" if spread.quantity.unit else spread.quantity.name
    parts.append(f'<text class="name middle" x="{_LEFT + wide / 2}" y="{_HEIGHT - 6}">{escape(unit)}</text>')
    label = f"Histogram over the cases: {unit}; median {spread.quantity.shown(spread.quartiles[1])}"
    opening = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
    return Markup(opening + "".join(parts) + "</svg>")


def _is_done(entry: Entry) -> bool:
    return entry.state == "done"


def _small_jpeg(path: Path) -> str:
    """A picture file as a small JPEG in a data address; empty where there is none."""
    image = cv2.imread(str(path)) if path.is_file() else None
    if image is None:
        return ""
    height = round(image.shape[0] * _PICTURE_WIDTH / image.shape[1])
    small = cv2.resize(image, (_PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("groundglass.batch"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _style() -> Markup:
    """The style of the case reports, with what this page adds."""
    shared = (files("groundglass.report") / "templates" / "report.css").read_text(encoding="utf-8")
    own = (files("groundglass.batch") / "templates" / "cohort.css").read_text(encoding="utf-8")
    colours = "".join(f"--score-{score}:{css(colour)};" for score, colour in enumerate(SCORES))
    return Markup(f":root{{{colours}}}\n{shared}\n{own}")
