"""Charts of the HTML report as inline SVG; colours come from the page's style sheet through class names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from groundglass.analysis import DensityBand, HUHistogram, Zone
from groundglass.report import wording
from groundglass.report.contours import polygons, svg_path
from groundglass.report.views import Profile

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 16, 50

_SIDES = ("right", "left")
_LEVELS = ("upper", "middle", "lower")


def density_chart(histogram: HUHistogram, bands: Sequence[DensityBand], mean: float | None) -> Markup:
    """Share of the lung per bin of Hounsfield units, over the shaded density bands."""
    edges = np.array(histogram.edges, dtype=np.float64)
    counts = np.array(histogram.counts, dtype=np.float64)
    shares = 100.0 * counts / max(counts.sum(), 1.0)
    widths = set(np.diff(edges))
    bin_width = f"{widths.pop():g} HU" if len(widths) == 1 else "bin"
    ticks = nice_ticks(float(shares.max(initial=0.0)))
    plot = _Plot(float(edges[0]), float(edges[-1]), ticks[-1])
    parts = []
    for place, band in enumerate(bands):
        low, high = (min(max(edge, plot.low), plot.high) for edge in (band.low_hu, band.high_hu))
        x, width = plot.x(low), plot.x(high) - plot.x(low)
        box = f'<rect class="band band-{place % 6}" x="{x:.1f}" y="{_TOP}" width="{width:.1f}" height="{plot.deep}">'
        parts.append(f"{box}<title>{escape(band.name)}: {escape(wording.percent(band.percent))}</title></rect>")
    steps = [f"M{plot.x(edges[0]):.1f} {plot.y(0):.1f}"]
    for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True):
        steps.append(f"L{plot.x(left):.1f} {plot.y(share):.1f}L{plot.x(right):.1f} {plot.y(share):.1f}")
    steps.append(f"L{plot.x(edges[-1]):.1f} {plot.y(0):.1f}z")
    parts.append(f'<path class="curve" d="{"".join(steps)}"/>')
    if mean is not None and plot.low <= mean <= plot.high:
        x = plot.x(mean)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_TOP + plot.deep}"/>')
        parts.append(f'<text class="mark-text" x="{x + 6:.1f}" y="{_TOP + 14}">mean {wording.hounsfield(mean)}</text>')
    parts.append(
        plot.frame(_whole_ticks(plot.low, plot.high), ticks, "Hounsfield units", f"% of the lung per {bin_width}")
    )
    label = "Histogram of the density of the lungs in Hounsfield units"
    return _svg(parts, label, _WIDTH, _HEIGHT)


def profile_chart(measured: Profile) -> Markup:
    """Infected area of each axial slice from the head to the feet, consolidation below, ground-glass on top."""
    depth = len(measured.lung_cm2)
    first, last = measured.lung_slices or (0, depth - 1)
    slices = np.arange(last, first - 1, -1)
    numbers = depth - slices
    lower = measured.consolidation_cm2[slices]
    upper = lower + measured.ground_glass_cm2[slices]
    ticks = nice_ticks(float(upper.max(initial=0.0)))
    plot = _Plot(float(numbers[0]) - 0.5, float(numbers[-1]) + 0.5, ticks[-1])
    parts = [
        _area(plot, numbers, lower, upper, "fill-ground-glass"),
        _area(plot, numbers, np.zeros_like(lower), lower, "fill-consolidation"),
        f'<line class="cursor" x1="-9" x2="-9" y1="{_TOP}" y2="{_TOP + plot.deep}"/>',
    ]
    across = _whole_ticks(float(numbers[0]), float(numbers[-1]))
    parts.append(plot.frame(across, ticks, "slice, from the head (left) to the feet (right)", "infected area, cm²"))
    scale = f'data-low="{plot.low:g}" data-high="{plot.high:g}" data-left="{_LEFT}" data-wide="{plot.wide}"'
    return _svg(parts, "Infected area per slice from the head to the feet", _WIDTH, _HEIGHT, scale)


def profile_sentence(measured: Profile) -> str:
    """Where most of the infection lies, in words; empty without infection."""
    area, depth = measured.infected_cm2[::-1], len(measured.lung_cm2)
    if not area.any():
        return ""
    peak = int(area.argmax())
    share = measured.percent(depth - 1 - peak)
    grown = np.cumsum(area) / area.sum()
    low, high = (int(np.searchsorted(grown, limit)) + 1 for limit in (0.25, 0.75))
    within = "" if share is None else f", {wording.percent(share)} of the lung in it"
    return (
        f"Most infection: slice {peak + 1} of {depth} ({area[peak]:.1f} cm²{within}). "
        f"The middle half of the infection lies between the slices {low} and {high}."
    )


def zone_diagram(measured: Profile, zones: Sequence[Zone], spacing: tuple[float, float, float]) -> Markup | None:
    """The two lungs of this patient seen from the front, each in three zones coloured by score.

    Args:
        measured: profile with the lungs' outlines.
        zones: their names say the side (right, left) and the level (upper, middle, lower).
        spacing: millimetres between voxel centres along x, y, z.

    Returns:
        The drawing; None where a zone's name cannot be placed or there is no lung.
    """
    placed = {key: zone for zone in zones if (key := _zone_key(zone)) is not None}
    either = measured.silhouettes[0] | measured.silhouettes[1]
    if len(placed) != 6 or not either.any():
        return None
    rows, columns = np.nonzero(either.any(axis=1))[0], np.nonzero(either.any(axis=0))[0]
    tall, wide = (rows[-1] - rows[0] + 1) * spacing[2], (columns[-1] - columns[0] + 1) * spacing[0]
    scale = min(400 / wide, 330 / tall)
    step = np.array([spacing[0] * scale, spacing[2] * scale])
    origin = np.array([columns[0], rows[0]]) * step - [(440 - wide * scale) / 2, 34]
    parts = [
        _zones_of_lung(side, measured.silhouettes[place], placed, step, origin) for place, side in enumerate(_SIDES)
    ]
    parts.append('<text class="letter" x="14" y="22">R</text><text class="letter end" x="426" y="22">L</text>')
    said = "; ".join(f"{zone.name} {wording.percent(zone.percent)}, score {zone.score}" for zone in zones)
    return _svg(parts, f"Zones of the lungs seen from the front: {said}", 440, round(tall * scale) + 44)


def nice_ticks(highest: float, wanted: int = 4) -> list[float]:
    """Round axis values from 0 to at least `highest`."""
    rough = max(highest, 1e-3) / wanted
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    return [float(step * place) for place in range(int(np.ceil(max(highest, 1e-3) / step - 1e-9)) + 1)]


class _Plot:
    """Axes of one chart: data to SVG units."""

    def __init__(self, low: float, high: float, top: float) -> None:
        self.low, self.high, self.top = low, high, top
        self.wide, self.deep = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(self, value: float) -> float:
        return _LEFT + (value - self.low) / (self.high - self.low) * self.wide

    def y(self, value: float) -> float:
        return _TOP + self.deep * (1.0 - value / self.top)

    def frame(self, across: Sequence[float], up: Sequence[float], x_name: str, y_name: str) -> str:
        parts = []
        for value in up:
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick end" x="{_LEFT - 7}" y="{y + 4.5:.1f}">{value:g}</text>')
        foot = _TOP + self.deep
        for value in across:
            x = self.x(value)
            parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{foot}" y2="{foot + 5}"/>')
            parts.append(f'<text class="tick middle" x="{x:.1f}" y="{foot + 20}">{wording.minus(value)}</text>')
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{foot}" y2="{foot}"/>')
        middle = _LEFT + self.wide / 2
        parts.append(f'<text class="name middle" x="{middle}" y="{_HEIGHT - 8}">{escape(x_name)}</text>')
        turned = f'transform="translate(14 {_TOP + self.deep / 2}) rotate(-90)"'
        parts.append(f'<text class="name middle" {turned}>{escape(y_name)}</text>')
        return "".join(parts)


def _area(
    plot: _Plot, numbers: NDArray[np.int_], lower: NDArray[np.float64], upper: NDArray[np.float64], name: str
) -> str:
    tops, floors = [], []
    for number, low, high in zip(numbers, lower, upper, strict=True):
        left, right = plot.x(number - 0.5), plot.x(number + 0.5)
        tops.append(f"{left:.1f} {plot.y(high):.1f} {right:.1f} {plot.y(high):.1f}")
        floors.append(f"{right:.1f} {plot.y(low):.1f} {left:.1f} {plot.y(low):.1f}")
    return f'<polygon class="{name}" points="{" ".join(tops + floors[::-1])}"/>'


def _whole_ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    step = max(1.0, nice_ticks((high - low) * 1.0, wanted)[1])
    step = float(np.ceil(step))
    return [float(value) for value in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]


def _zone_key(zone: Zone) -> tuple[str, str] | None:
    words = zone.name.lower()
    sides = [side for side in _SIDES if side in words]
    levels = [level for level in _LEVELS if level in words]
    return (sides[0], levels[0]) if len(sides) == len(levels) == 1 else None


def _zones_of_lung(
    side: str,
    silhouette: NDArray[np.bool_],
    placed: dict[tuple[str, str], Zone],
    step: NDArray[np.float64],
    origin: NDArray[np.float64],
) -> str:
    rows = np.nonzero(silhouette.any(axis=1))[0]
    if rows.size == 0:
        return ""
    third = (6 * (np.arange(len(silhouette)) - rows[0]) + 3) // (2 * (rows[-1] - rows[0] + 1))
    shapes, words = [], []
    for place, level in enumerate(_LEVELS):
        zone = placed[side, level]
        part = silhouette & (third == place)[:, None]
        outlines = [(outline * step - origin).astype(np.float32) for outline in polygons(part)]
        score = "none" if zone.score is None else zone.score
        shapes.append(f'<path class="zone score-{score}" fill-rule="evenodd" d="{svg_path(outlines)}"/>')
        inside = np.argwhere(part)
        if inside.size:
            row, column = inside.mean(axis=0)
            x, y = np.array([column + 0.5, row + 0.5]) * step - origin
            share = escape(wording.percent(zone.percent))  # it may begin with `<`
            words.append(f'<text class="zone-text on-{score}" x="{x:.0f}" y="{y:.0f}">{share}</text>')
            words.append(f'<text class="zone-score on-{score}" x="{x:.0f}" y="{y + 18:.0f}">score {score}</text>')
    return "".join(shapes + words)


def _svg(parts: Sequence[str], label: str, width: int, height: int, attributes: str = "") -> Markup:
    opening = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" {attributes}>'
    return Markup(opening + "".join(parts) + "</svg>")
