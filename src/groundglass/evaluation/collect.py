"""Scores volumes one after another; the memory does not grow with their number."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from groundglass.errors import GroundglassError
from groundglass.evaluation.cases import Image, LabelledCase, Masks, load_image, load_truth
from groundglass.evaluation.panels import panel, widest_slice, write_panel
from groundglass.evaluation.predict import Prediction, Predictor
from groundglass.evaluation.records import METRICS, Failure, SliceScore, VolumeScore
from groundglass.evaluation.score import score_volume, slice_metric
from groundglass.evaluation.structures import Structure
from groundglass.io.options import case_name
from groundglass.io.write import atomic_file
from groundglass.progress import Progress, silent

SLICE_COLUMNS = ("volume", "patient", "slice", "structure")
SCORE_COLUMNS = (*METRICS[:7], "truth", "predicted", "both", "empty")
ERROR_COLUMNS = ("volume_error_ml", "volume_error_percent")


@dataclass(frozen=True)
class Scoring:
    """How volumes are scored.

    Attributes:
        structures: what is scored.
        surfaces: compute NSD and HD95 where the spacing is known.
        same_voxels: compare scans voxel by voxel, whatever their headers say.
    """

    structures: tuple[Structure, ...]
    surfaces: bool = True
    same_voxels: bool = False


@dataclass(frozen=True)
class Collected:
    """Scores of volumes, and the volumes that could not be scored."""

    volumes: list[VolumeScore] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class SliceTable:
    """A CSV file of slices that is written while the volumes go by."""

    def __init__(self, file: IO[bytes]) -> None:
        """Write the head of the table.

        Args:
            file: binary file.
        """
        self._file = file
        self._row([*SLICE_COLUMNS, *SCORE_COLUMNS, *ERROR_COLUMNS])

    def add(self, slices: Iterable[SliceScore]) -> None:
        """Add slices."""
        for one in slices:
            keys = (one.volume, one.patient, one.slice, one.structure)
            scores = [getattr(one.scores, column) for column in SCORE_COLUMNS]
            errors = [slice_metric(one, column) for column in ERROR_COLUMNS]
            self._row([*keys, *(rounded(value) for value in (*scores, *errors))])

    def _row(self, values: Sequence[Any]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(values)
        self._file.write(line.getvalue().encode())


@contextmanager
def slice_table(path: Path) -> Iterator[SliceTable]:
    """A table of slices that appears under its name when complete."""
    with atomic_file(path) as file:
        yield SliceTable(file)


def collect(
    cases: Sequence[LabelledCase],
    predictor: Predictor,
    scoring: Scoring,
    *,
    table: SliceTable | None = None,
    panels: Path | None = None,
    progress: Progress = silent,
) -> Collected:
    """Score volumes; one that fails is listed and the others go on.

    Args:
        cases: the volumes.
        predictor: what is compared with their truth.
        scoring: how.
        table: gets the slices.
        panels: folder for a picture per volume and structure; None draws none.
        progress: called with ("volumes", done, total).
    """
    collected = Collected()
    for done, case in enumerate(cases):
        progress("volumes", done, len(cases))
        try:
            score, slices = score_case(case, predictor, scoring, panels=panels)
        except GroundglassError as error:
            failure = Failure(volume=case.name, error=type(error).__name__, message=str(error))
            collected.failures.append(failure)
            continue
        collected.volumes.append(score)
        if table is not None:
            table.add(slices)
    progress("volumes", len(cases), len(cases))
    return collected


def score_case(
    case: LabelledCase, predictor: Predictor, scoring: Scoring, *, panels: Path | None = None
) -> tuple[VolumeScore, list[SliceScore]]:
    """Read, predict and score one volume.

    Raises:
        GroundglassError: one of its kinds; the message says what was found and what to do.
    """
    known = [one for one in scoring.structures if one.source in case.truth]
    image = load_image(case) if case.images else None
    truth = load_truth(case, known, image, same_voxels=scoring.same_voxels)
    prediction = predictor.predict(case, image, truth.stored)
    score, slices = score_volume(
        case,
        truth,
        prediction,
        known,
        thresholds=dict(predictor.thresholds),
        surfaces=scoring.surfaces,
        same_voxels=scoring.same_voxels,
    )
    if panels is not None:
        _draw(panels, case, image, truth, prediction, score)
    return score, slices


def panel_path(folder: Path, structure: str, volume: str) -> Path:
    """Where the picture of a volume lies."""
    return folder / case_name(Path(structure)) / f"{case_name(Path(volume))}.png"


def rounded(value: float | int | str | None) -> float | int | str | None:
    """A number as it stands in tables: six digits; nothing where it is not known."""
    return f"{value:.6g}" if isinstance(value, float) else value


def _draw(
    folder: Path, case: LabelledCase, image: Image | None, truth: Masks, prediction: Prediction, score: VolumeScore
) -> None:
    for one in score.structures:
        real, found = truth.planes[one.structure], prediction.masks.planes[one.structure]
        ground = image if image is not None and image.fits(real) else None
        picture = panel(ground, real, found, widest_slice(real, found))
        write_panel(panel_path(folder, one.structure, case.name), picture)
