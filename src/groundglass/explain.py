"""What the classifier's answer for a scan or a picture rests on: pictures and numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import Classification
from groundglass.errors import InvalidImageError, MissingExtraError, OptionError, WeightsMissingError
from groundglass.image.lung_view import LUNG_LEVEL
from groundglass.image.stages import STAGES, all_stages, classical_lungs
from groundglass.inference.cam import Attention, Method
from groundglass.inference.classify_scan import ShownSlice, class_named, judge, shown_of_pictures, shown_of_volume
from groundglass.inference.lungs_2d import lungs_mask
from groundglass.inference.scan import Networks, picture_probabilities, scan_probabilities
from groundglass.io.write import atomic_write_bytes, case_folder
from groundglass.options import AnalysisOptions
from groundglass.pipeline import read
from groundglass.progress import Progress, silent
from groundglass.report.evidence import evidence_picture
from groundglass.settings import Settings
from groundglass.training.lung_network import CLASSICAL, NETWORK, lung_probabilities
from groundglass.volume import CTVolume, PictureSet

if TYPE_CHECKING:
    from groundglass.training.classification.trained import RunClassification, RunClassifier

RECORD = "explanation.json"
STAGE_SIDE = 256
STAGE_GAP = 8


@dataclass(frozen=True, eq=False)
class Explanation:
    """An answer and what it rests on.

    Attributes:
        case: name of the input.
        classification: the answer.
        label: class whose evidence is shown.
        attention: the slices that drove the answer, the most conspicuous first, with their heat maps.
    """

    case: str
    classification: Classification | RunClassification
    label: str
    attention: list[Attention]

    @property
    def answer(self) -> str:
        """What was said, in one line."""
        said = self.classification
        if said.meaningless:
            return "No class is named"
        chances = ", ".join(f"{name} {100 * share:.0f} %" for name, share in said.probabilities.items())
        return f"{said.label or 'No class is named'} ({chances})"

    def record(self) -> dict[str, Any]:
        """The numbers, as they stand in `explanation.json`."""
        shown = [
            {"slice": one.title, "attention_in_lungs_percent": None if one.in_lungs is None else 100.0 * one.in_lungs}
            for one in self.attention
        ]
        said = self.classification.model_dump(mode="json")
        return {"case": self.case, "classification": said, "evidence_for": self.label, "shown": shown}

    def save(self, folder: str | Path, *, stages: bool = False, lungs: str = NETWORK) -> Path:
        """Write `explanation.json` and one picture per slice into `folder/<case>/`.

        Args:
            folder: where the case's folder goes.
            stages: also draw the five image stages of each slice.
            lungs: what finds their lungs: ``network`` (the shipped one), ``classical``, or the place of a network.

        Returns:
            The folder of the case.

        Raises:
            OutputError: it cannot be written.
            UnknownModelError: there is no network at that place.
            UnusableModelError: the network there does not find lungs in whole slices.
        """
        with case_folder(Path(folder), self.case, marker=RECORD) as (partial, final):
            for number, one in enumerate(self.attention, start=1):
                atomic_write_bytes(partial / f"evidence-{number}.png", _png(evidence_picture(one, self.answer)))
                if stages:
                    drawn = stages_picture(one.grey, _lungs(one, lungs))
                    atomic_write_bytes(partial / f"stages-{number}.png", _png(drawn))
            text = json.dumps(self.record(), indent=2) + "\n"
            atomic_write_bytes(partial / RECORD, text.encode())
        return final


def explain(
    scan: str | Path,
    *,
    label: str | None = None,
    model: str | Path | None = None,
    method: Method = "grad-cam",
    networks: Networks | None = None,
    progress: Progress = silent,
) -> Explanation:
    """Find what the classification of a scan or of pictures rests on.

    Args:
        scan: anything that `groundglass.analyze` reads.
        label: class whose evidence is shown; the likeliest when None.
        model: folder of a finished run of a classifier preset (needs torch); the shipped classifier when None.
        method: of the heat maps. For the shipped classifier Grad-CAM is exact, and the only one.
        networks: loaded networks.
        progress: called with (stage, done, total).

    Raises:
        InputError: the input cannot be used, or shows no lungs.
        OptionError: there is no such class, or no such method.
        ModelError: a network is missing or damaged.
        MissingExtraError: `model` needs ``groundglass[train]``, which is not installed.
    """
    if model is None and method != "grad-cam":
        raise OptionError(
            f"{method} is for a run of your own (`--model RUN`); the shipped classifier has Grad-CAM, exactly"
        )
    options, settings = AnalysisOptions(), Settings.from_environment()
    run = None if model is None else run_classifier(model)
    networks = networks or Networks.load(options, settings)
    classifier = networks.classifier
    if classifier is None:
        raise WeightsMissingError("this installation has no classifier; reinstall groundglass")
    label = class_named(label, classifier.card.channels if run is None else run.classes)
    progress("read", 0, 0)
    image = read(scan, options=options, settings=settings)
    case, shown = _shown(image, networks, progress)
    if not any((one.input.lung >= LUNG_LEVEL).any() for one in shown):
        raise InvalidImageError(f"{case}: no lungs were found; expected a chest CT")
    if run is not None:
        said, attention = run.judge(shown, label=label, method=method)
        return Explanation(case, said, attention[0].label, attention)
    judged = judge(shown, classifier, label)
    return Explanation(case, judged.classification, judged.attention[0].label, judged.attention)


def _shown(image: CTVolume | PictureSet, networks: Networks, progress: Progress) -> tuple[str, list[ShownSlice]]:
    """Name of the case, and its slices that a classifier looks at."""

    def step(done: int, total: int) -> None:
        progress("network", done, total)

    segmenter, lungs = networks.segmenter, networks.lung_segmenter
    if isinstance(image, PictureSet):
        found = picture_probabilities(image, segmenter, progress=step, lung_segmenter=lungs)
        return image.case, shown_of_pictures(image, found)
    maps = scan_probabilities(image, segmenter, progress=step, lung_segmenter=lungs)
    return image.source.case, shown_of_volume(image, maps)


def run_classifier(place: str | Path) -> RunClassifier:
    """The network of a finished run of a classifier preset.

    Raises:
        ModelError: there is no such run, or it cannot be read.
        MissingExtraError: ``groundglass[train]`` is not installed.
    """
    try:
        from groundglass.training.classification.trained import RunClassifier
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"a classifier of your own needs {error.name}, which the base install leaves out: pip install "
            "'groundglass[train]'"
        ) from error
    return RunClassifier(place)


def _lungs(one: Attention, source: str) -> NDArray[np.uint8]:
    """Lungs of a slice, 0 or 255, by what the user names."""
    if source == CLASSICAL:
        return classical_lungs(one.grey)
    if source == NETWORK:
        return lungs_mask(one.lung)
    return lungs_mask(lung_probabilities([one.grey], kind="picture", source=source)[0])


def stages_picture(grey: NDArray[np.uint8], lungs: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """The five stages of a slice side by side, RGB, each in a square of `STAGE_SIDE` pixels with its name below.

    Args:
        grey: the slice (rows, columns).
        lungs: probability of lung, 0..255; found by a classical method when None.
    """
    tiles = []
    for name, picture in all_stages(grey, lungs).items():
        factor = STAGE_SIDE / max(picture.shape)
        rows, columns = (max(1, round(side * factor)) for side in picture.shape)
        tile = np.full((STAGE_SIDE + 24, STAGE_SIDE), 40, np.uint8)
        top, left = (STAGE_SIDE - rows) // 2, (STAGE_SIDE - columns) // 2
        tile[top : top + rows, left : left + columns] = cv2.resize(picture, (columns, rows))
        cv2.putText(tile, name, (6, STAGE_SIDE + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230.0,), 1, cv2.LINE_AA)
        tiles.append(tile)
    gap = np.full((STAGE_SIDE + 24, STAGE_GAP), 40, np.uint8)
    row = np.concatenate([piece for tile in tiles for piece in (gap, tile)][1:], axis=1)
    return np.repeat(row[:, :, None], 3, axis=2)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".png", pixels[:, :, ::-1])
    return bytes(data)


__all__ = ["STAGES", "Explanation", "explain", "stages_picture"]
