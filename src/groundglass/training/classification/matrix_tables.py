"""The matrix of sources as JSON, CSV, Markdown and a picture."""

from __future__ import annotations

import csv
import io
import json
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl

from groundglass.io.write import atomic_write_bytes
from groundglass.training.classification.sources import title_of

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Patch, Rectangle

Cell = dict[str, Any]
SCORES = ("AUROC", "F1", "accuracy", "coverage", "AUROC of those answered", "accuracy of those answered")
SEGMENTATION = "segmentation"
"""The row of the infected share of the lung, for which nothing is trained."""
DARK = (0.12, 0.81)
"""AUROC outside of which the colour is dark and its text white."""


def write_matrix(record: dict[str, Any], folder: Path) -> None:
    """Writes `matrix.json`, `matrix.csv`, `matrix.md` and `matrix.png`.

    Args:
        record: `settings`, and `cells` as `groundglass.training.classification.matrix.cell_of` makes them.
        folder: where they go.
    """
    cells = record["cells"]
    atomic_write_bytes(folder / "matrix.json", (json.dumps(record, indent=1) + "\n").encode())
    atomic_write_bytes(folder / "matrix.csv", table(cells).encode())
    atomic_write_bytes(folder / "matrix.md", markdown(cells).encode())
    atomic_write_bytes(folder / "matrix.png", picture(cells))


def table(cells: list[Cell]) -> str:
    """One line of CSV per network and source."""
    text = io.StringIO()
    writer = csv.writer(text)
    heads = [f"{name}{end}" for name in SCORES for end in ("", " low", " high")]
    writer.writerow(["learned from", "tested on", "seen", "slices", "COVID slices", "patients", *heads])
    for cell in cells:
        numbers = [value for name in SCORES for value in _numbers(cell, name)]
        counts = [cell["slices"], cell["covid"], "" if cell["patients"] is None else cell["patients"]]
        writer.writerow([cell["run"], cell["source"], "yes" if cell["seen"] else "no", *counts, *numbers])
    return text.getvalue()


def _numbers(cell: Cell, name: str) -> list[Any]:
    score = cell["scores"].get(name, {"value": None, "interval": None})
    return ["" if one is None else one for one in (score["value"], *(score["interval"] or (None, None)))]


def run_title(run: str) -> str:
    """What a network is called in tables."""
    kind, _, source = run.partition("-")
    titles = {"all": "every source", SEGMENTATION: "nothing: infected share of the lung"}
    return titles.get(run) or f"{'every source but' if kind == 'without' else 'only'} {title_of(source)}"


def shown(value: float | None) -> str:
    """A score of 0 to 1 with three digits and without its zero."""
    return "not defined" if value is None else f"{value:.3f}".removeprefix("0")


def _spread(score: dict[str, Any]) -> str:
    interval = score["interval"]
    return "" if interval is None else f"{shown(interval[0])} to {shown(interval[1])}"


def _score(cell: Cell | None, name: str) -> str:
    if cell is None or name not in cell["scores"]:
        return ""
    score, spread = cell["scores"][name], _spread(cell["scores"][name])
    value = shown(score["value"]) + (f" ({spread})" if spread else "")
    return value if cell["seen"] else f"**{value}**"


def _axes(cells: list[Cell]) -> tuple[list[str], list[str], dict[tuple[str, str], Cell]]:
    rows, columns = ([*dict.fromkeys(cell[key] for cell in cells)] for key in ("run", "source"))
    return rows, columns, {(cell["run"], cell["source"]): cell for cell in cells}


def markdown(cells: list[Cell]) -> str:
    """Tables for `docs/results.md`: AUROC, F1, accuracy, coverage, AUROC of those answered; unseen sources are bold."""
    rows, columns, at = _axes(cells)
    lines = [
        "COVID against everything else, by what was learned from (rows) and what was tested on (columns). Bold: the "
        "source was never seen, and all of its slices are tested. Otherwise its test part is, no patient of which was "
        "learned from.",
        f"95 % intervals: {_resampled(cells)}; none with fewer than four patients.",
    ]
    for name in SCORES[:5]:
        present = [run for run in rows if any(name in at[run, one]["scores"] for one in columns if (run, one) in at)]
        lines += ["", f"{name}:", "", "| learned from | " + " | ".join(title_of(one) for one in columns) + " |"]
        lines += ["| --- |" + " --- |" * len(columns)]
        for run in present:
            values = " | ".join(_score(at.get((run, source)), name) for source in columns)
            lines.append(f"| {run_title(run)} | {values} |")
    return "\n".join([*lines, "", "Slices tested (patients):", "", *_counts(rows, columns, at), ""])


def _resampled(cells: list[Cell]) -> str:
    unknown = sorted({title_of(cell["source"]) for cell in cells if cell["patients"] is None})
    return "patients resampled" + (f"; slices of {', '.join(unknown)}, whose patients are unknown" if unknown else "")


def _counts(rows: list[str], columns: list[str], at: dict[tuple[str, str], Cell]) -> list[str]:
    lines = ["| tested on | seen: test part | never seen: all |", "| --- | --- | --- |"]
    for source in columns:
        known = [at[run, source] for run in rows if run != SEGMENTATION and (run, source) in at]
        parts = [next((_count(cell) for cell in known if cell["seen"] is seen), "") for seen in (True, False)]
        lines.append(f"| {title_of(source)} | {' | '.join(parts)} |")
    return lines


def _count(cell: Cell) -> str:
    return f"{cell['slices']} ({'unknown' if cell['patients'] is None else cell['patients']})"


def picture(cells: list[Cell]) -> bytes:
    """A PNG of two tables side by side, coloured by AUROC: of all slices, and of those that are answered."""
    rows, columns, at = _axes(cells)
    size = (3.4 + 2 * 1.65 * len(columns), 2.1 + 0.78 * len(rows))
    figure, panels = plt.subplots(1, 2, figsize=size, layout="constrained", sharey=True)
    colours = mpl.colormaps["RdYlBu"]
    scale = mpl.colors.Normalize(0.0, 1.0)
    for axis, name in zip(panels, ("AUROC", "AUROC of those answered"), strict=True):
        for (run, source), cell in at.items():
            _draw_cell(axis, (columns.index(source), rows.index(run)), cell, name, (colours, scale))
        axis.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel="tested on")
        axis.set_xticks(range(len(columns)), [title_of(one).replace(" ", "\n", 1) for one in columns], size=8)
        axis.set_yticks(range(len(rows)), [run_title(run) for run in rows], size=8)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    panels[0].set_ylabel("learned from")
    panels[0].set_title("AUROC for COVID, all slices\n(95 % interval; slices)", size=9)
    panels[1].set_title("AUROC for COVID of the slices answered\n(95 % interval; share answered)", size=9)
    bar = figure.colorbar(mpl.cm.ScalarMappable(scale, colours), ax=panels, shrink=0.8, pad=0.01)
    bar.set_ticks([0.0, 0.25, 0.5, 0.75, 1.0])
    bar.set_label("AUROC (0.5: chance)", size=9)
    frame = Patch(facecolor="none", edgecolor="black", linewidth=1.6, label="framed: a source that was never seen")
    figure.legend(handles=[frame], loc="outside lower center", frameon=False, fontsize=8)
    data = BytesIO()
    figure.savefig(data, format="png", dpi=130)
    plt.close(figure)
    return data.getvalue()


def _draw_cell(axis: Any, place: tuple[int, int], cell: Cell, name: str, painted: tuple[Any, Any]) -> None:  # noqa: ANN401
    x, y = place
    colours, scale = painted
    score = cell["scores"].get(name)
    value = math.nan if score is None or score["value"] is None else score["value"]
    colour = "0.93" if math.isnan(value) else colours(scale(value))
    axis.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, facecolor=colour, edgecolor="none"))
    if not cell["seen"]:
        axis.add_patch(Rectangle((x - 0.45, y - 0.44), 0.90, 0.88, facecolor="none", edgecolor="black", linewidth=1.6))
    text = "does not\nabstain" if score is None else _cell_text(cell, name)
    ink = "white" if value < DARK[0] or value > DARK[1] else "black"
    axis.text(x, y, text, ha="center", va="center", size=7.5, color=ink, linespacing=1.25)


def _cell_text(cell: Cell, name: str) -> str:
    score = cell["scores"][name]
    lines = [shown(score["value"])]
    if score["interval"] is not None:
        lines.append(_spread(score))
    if name == "AUROC":
        who = "patients unknown" if cell["patients"] is None else f"{cell['patients']} patients"
        lines.append(f"{cell['slices']} slices\n{who}" if score["interval"] is None else f"{cell['slices']} slices")
    else:
        lines.append(f"{100 * cell['scores']['coverage']['value']:.0f} % answered")
    return "\n".join(lines)
