"""A study: models x image stages x (baseline, class weights, augmentation, both), one table, all figures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from groundglass.errors import PresetError
from groundglass.image.stages import Stage
from groundglass.io.write import atomic_write_bytes
from groundglass.progress import Progress, silent
from groundglass.training.classification.examples import LungFinder
from groundglass.training.classification.presets import ClassifierPreset, load_classifier
from groundglass.training.classification.run import TWINS, train
from groundglass.training.lung_network import CLASSICAL, NETWORK
from groundglass.training.presets import describe_problems, read_toml

Configuration = Literal["baseline", "classw", "dataaug", "classw+dataaug"]
CONFIGURATIONS: tuple[Configuration, ...] = get_args(Configuration)
COLUMNS = ("macro F1", "macro AUROC", "COVID F1", "COVID AUROC")
UNKNOWN = "slices_without_patient"


class Grid(BaseModel):
    """What a study compares, as its TOML file says.

    Attributes:
        data: a data set, or a folder of data sets; relative to the TOML file.
        models: names of classifier presets, or TOML files, relative to the TOML file of the study.
        stages: image stages.
        configurations: of class weights and augmentation.
        epochs: of every run; each preset's own when None.
        size: side of the pictures; each preset's own when None.
        batch: slices per step; each preset's own when None.
        classes: ``binary`` (COVID or not) or ``three``; each preset's own when None.
        lungs: what finds the lungs: ``network``, ``classical``, or the place of a network, relative to the TOML file.
        seed: of splits, weights and changes; the same for all, so that all see the same patients.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    models: list[str] = Field(min_length=1)
    stages: list[Stage] = Field(default=["original"], min_length=1)
    configurations: list[Configuration] = Field(default=list(CONFIGURATIONS), min_length=1)
    epochs: int | None = Field(default=None, ge=1)
    size: int | None = Field(default=None, ge=16)
    batch: int | None = Field(default=None, ge=1)
    classes: Literal["binary", "three"] | None = None
    lungs: str = NETWORK
    seed: int = 0


@dataclass(frozen=True)
class Row:
    """One run of a study."""

    model: str
    stage: str
    configuration: str
    folder: Path
    result: dict[str, Any]

    @property
    def name(self) -> str:
        """Model, stage and configuration in one word."""
        return self.folder.name

    @property
    def rank(self) -> float:
        """What the best run is chosen by: macro F1 on the validation part."""
        return float(self.result.get("val", {}).get("scores", {}).get("macro F1", {}).get("value") or 0.0)


def load_grid(path: Path) -> Grid:
    """Reads the TOML file of a study.

    Raises:
        PresetError: it is not there, not TOML, or has unknown keys.
    """
    try:
        grid = Grid.model_validate(read_toml(path))
    except ValidationError as error:
        raise PresetError(f"the grid {path} cannot be used: {describe_problems(error)}") from error
    models = [str(path.parent / model) if model.endswith(".toml") else model for model in grid.models]
    places: dict[str, Any] = {"data": str(path.parent / grid.data), "models": models}
    if (beside := path.parent / grid.lungs).exists() and grid.lungs not in (NETWORK, CLASSICAL):
        places["lungs"] = str(beside)
    return grid.model_copy(update=places)


def runs_of(grid: Grid) -> Iterator[tuple[ClassifierPreset, str, Stage, Configuration]]:
    """Every run of a grid: the preset as it is trained, model, stage and configuration.

    Raises:
        PresetError: there is no such preset, or two models have one name.
    """
    presets: dict[str, ClassifierPreset] = {}
    for model in grid.models:
        preset = load_classifier(model)
        if preset.name in presets:
            raise PresetError(
                f"two models of the study are called {preset.name} ({', '.join(grid.models)}); expected a name of its "
                'own for each, which is where its runs are kept: rename the file, or set name = "..." in it'
            )
        presets[preset.name] = preset
    shared = {
        "epochs": grid.epochs,
        "size": grid.size,
        "batch": grid.batch,
        "lungs": grid.lungs,
        "classes": grid.classes,
    }
    given = {key: value for key, value in shared.items() if value is not None}
    for model, stage, configuration in product(presets, grid.stages, grid.configurations):
        switches = {"class_weights": "classw" in configuration, "augmentation": "dataaug" in configuration}
        yield presets[model].model_copy(update={**given, **switches, "stage": stage}), model, stage, configuration


def study(grid: Grid, folder: Path, *, lungs: LungFinder | None = None, progress: Progress = silent) -> list[Row]:
    """Trains what is missing of a grid and writes table, figures and the page of the data.

    Stopped, it goes on where it was: finished runs are read.

    Args:
        grid: what is compared.
        folder: gets `runs/`, `table.csv`, `table.md`, `confusion.png`, `roc.png`, `curves.png`, `dataset.html`.
        lungs: finds the lungs; what the grid names when None.
        progress: called with (stage, done, total).

    Returns:
        One row per run, in the order of the grid.
    """
    from groundglass.training.classification.dataset_page import write_dataset_page
    from groundglass.training.classification.readers import read_data
    from groundglass.training.classification.study_figures import draw_study

    planned, rows = list(runs_of(grid)), []
    folder.mkdir(parents=True, exist_ok=True)
    slices = read_data(Path(grid.data))
    if not (folder / "dataset.html").is_file():
        write_dataset_page(slices, folder)
    for done, (preset, model, stage, configuration) in enumerate(planned):
        progress("study", done, len(planned))
        place = folder / "runs" / f"{model}-{stage}-{configuration}"
        told = _named(progress, f"run {done + 1} of {len(planned)}: {place.name}")
        trained = train(preset, slices, place, seed=grid.seed, lungs=lungs, progress=told)
        rows.append(Row(model, stage, configuration, place, trained.result))
        write_tables(rows, folder)
    progress("study", len(planned), len(planned))
    draw_study(rows, folder)
    atomic_write_bytes(folder / "grid.json", (json.dumps(grid.model_dump(mode="json"), indent=2) + "\n").encode())
    return rows


def _named(progress: Progress, name: str) -> Progress:
    """Tells the epochs of a run as a stage of that name; where the run is read, the stage is told at once."""
    progress(name, 0, 0)
    return lambda stage, done, total: progress(name, done, total)


def write_tables(rows: list[Row], folder: Path) -> None:
    """Writes `table.csv` with every number, and `table.md`: the best of each model on validation, then on test."""
    text = io.StringIO()
    writer = csv.writer(text)
    heads = [f"{part} {name}{end}" for part in ("val", "test") for name in COLUMNS for end in ("", " low", " high")]
    writer.writerow(["model", "stage", "configuration", *heads])
    for row in rows:
        values = [value for part in ("val", "test") for name in COLUMNS for value in _values(row, part, name)]
        writer.writerow([row.model, row.stage, row.configuration, *values])
    atomic_write_bytes(folder / "table.csv", text.getvalue().encode())
    atomic_write_bytes(folder / "table.md", markdown(rows).encode())


def _values(row: Row, part: str, name: str) -> tuple[str, str, str]:
    score = row.result.get(part, {}).get("scores", {}).get(name, {})
    numbers = [score.get("value"), *(score.get("interval") or [None, None])]
    low, middle, high = ("" if number is None else f"{number:.4f}" for number in (numbers[1], numbers[0], numbers[2]))
    return middle, low, high


def best_of_each(rows: list[Row]) -> list[Row]:
    """The run of each model with the best validation F1."""
    models = dict.fromkeys(row.model for row in rows)
    return [max((row for row in rows if row.model == model), key=lambda row: row.rank) for model in models]


def markdown(rows: list[Row]) -> str:
    """Two tables in the shape of document 002, with intervals and with what they rest on.

    Where nobody knows the patients, each slice counts as one.
    """
    unknown = any(sum(row.result.get(UNKNOWN, {}).values()) for row in rows)
    whose = "patients resampled, a slice of an unknown patient by itself: too narrow" if unknown else "by patient"
    lines = []
    best = "of each model the run with the best macro F1 here"
    for part, title in (("val", f"Validation, {best}"), ("test", "Test, the same runs")):
        lines += [
            f"{title} (95 % intervals {whose}; none with fewer than four)",
            "",
            f"| model | configuration | slices (patients) | {' | '.join(COLUMNS)} |",
            "| --- | --- | --- |" + " --- |" * len(COLUMNS),
        ]
        for row in best_of_each(rows):
            shown = " | ".join(_shown(row, part, name) for name in COLUMNS)
            lines.append(f"| {row.model} | {row.stage}, {row.configuration} | {_counted(row, part)} | {shown} |")
        lines.append("")
    if twins := max((row.result.get("near_twins_left_out", 0) for row in rows), default=0):
        lines += [f"Left out as near twins of slices in another part: {twins} slices (`runs/*/{TWINS}`).", ""]
    return "\n".join(lines)


def _counted(row: Row, part: str) -> str:
    """Slices and patients of a part."""
    slices, patients, unknown = (row.result.get(key, {}).get(part, 0) for key in ("slices", "patients", UNKNOWN))
    if not unknown:
        return f"{slices} ({patients})"
    return f"{slices} ({patients}, and {unknown} slices of unknown ones)" if patients else f"{slices} (unknown)"


def _shown(row: Row, part: str, name: str) -> str:
    score = row.result.get(part, {}).get("scores", {}).get(name, {})
    if score.get("value") is None:
        return "not known"
    low, high = score.get("interval") or (None, None)
    return f"{score['value']:.3f}" + ("" if low is None else f" ({low:.3f} to {high:.3f})")
