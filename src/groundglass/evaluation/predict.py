"""Predictions to be scored: of a network, or from a folder of masks that anything may have made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InputNotFoundError, OptionError
from groundglass.evaluation.cases import Image, LabelledCase, Masks, load_masks
from groundglass.evaluation.layouts import volume_key
from groundglass.evaluation.structures import INFECTION, LUNGS, Structure
from groundglass.inference.infection import segment_infection, segment_infection_2d
from groundglass.inference.lungs import segment_lungs, segment_lungs_2d
from groundglass.inference.scan import picture_channels, scan_channels
from groundglass.inference.segment import SliceSegmenter, threshold_level
from groundglass.models.catalog import ModelCard
from groundglass.volume import CTVolume, PictureSet

Maps = dict[str, list[NDArray[np.uint8]]]
"""Structure -> probability of every slice, 0..255 for 0..1, laid out like masks."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is compared with the truth of one case.

    Attributes:
        masks: masks per structure.
        probabilities: probabilities per structure; empty where there are masks only.
    """

    masks: Masks
    probabilities: Maps = field(default_factory=dict)


class Predictor(Protocol):
    """Something that gives a prediction for a case."""

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What it predicts."""

    @property
    def thresholds(self) -> Mapping[str, float]:
        """Structure -> probability from which a voxel counts; empty where there are masks only."""

    def predict(self, case: LabelledCase, image: Image | None) -> Prediction:
        """The prediction for one case; `image` is None where it has none."""


@dataclass(frozen=True)
class NetworkPredictor:
    """Predictions of a network.

    Attributes:
        segmenter: the network.
        thresholds: structure -> probability from which a voxel counts.
        post_processing: clean lungs and infection as `analyze` does; else the network alone is scored.
        lung_segmenter: finds the lungs for a network that must be shown where they are.
    """

    segmenter: SliceSegmenter
    thresholds: Mapping[str, float]
    post_processing: bool = False
    lung_segmenter: SliceSegmenter | None = None

    @classmethod
    def of(
        cls,
        segmenter: SliceSegmenter,
        *,
        thresholds: Mapping[str, float] | None = None,
        post_processing: bool = False,
    ) -> NetworkPredictor:
        """A predictor with the thresholds of the network's card, but for those given.

        Raises:
            OptionError: the network has no structure that could be scored, or lacks one that is needed.
        """
        card = segmenter.card
        chosen = dict(thresholds or {})
        known = structures_of(card)
        of_channel = dict(zip(card.channels, card.thresholds, strict=True))
        if unknown := set(chosen) - {structure.name for structure in known}:
            raise OptionError(f"a threshold for {min(unknown)}, which the model {card.name} does not show")
        if post_processing and len(known) < 2:
            raise OptionError(f"the model {card.name} does not show lungs and infection, so nothing can be cleaned")
        return cls(
            segmenter,
            {one.name: chosen.get(one.name, of_channel[one.channel or ""]) for one in known},
            post_processing,
            SliceSegmenter() if card.preprocessing.needs_lungs else None,
        )

    @property
    def structures(self) -> tuple[Structure, ...]:
        """Lungs and infection, as far as the network shows them."""
        return structures_of(self.segmenter.card)

    def predict(self, case: LabelledCase, image: Image | None) -> Prediction:
        """Run the network over one case.

        Raises:
            OptionError: the case has no image.
        """
        if image is None:
            raise OptionError(f"{case.name} has masks but no image; give predictions instead of a model")
        if image.pictures is not None:
            return self._of_pictures(case, image.pictures)
        assert image.scan is not None
        return self._of_scan(image.scan)

    def _of_pictures(self, case: LabelledCase, pictures: PictureSet) -> Prediction:
        lungs = None
        if self.lung_segmenter is not None:
            lungs = [own["lung"] for own in picture_channels(pictures, self.lung_segmenter, progress=_silent)]
        found = picture_channels(pictures, self.segmenter, progress=_silent, lungs=lungs)
        maps: Maps = {one.name: [own[one.channel or ""] for own in found] for one in self.structures}
        masks = {name: self._at_threshold(name, planes) for name, planes in maps.items()}
        if self.post_processing:
            cleaned = [segment_lungs_2d(plane, self.thresholds[LUNGS.name]) for plane in maps[LUNGS.name]]
            pairs = zip(maps[INFECTION.name], cleaned, strict=True)
            masks[LUNGS.name] = [lung > 0 for lung in cleaned]
            masks[INFECTION.name] = [
                segment_infection_2d(plane, None, lung, self.thresholds[INFECTION.name]) > 0 for plane, lung in pairs
            ]
        return Prediction(Masks(masks, case.spacing_mm), maps)

    def _of_scan(self, scan: CTVolume) -> Prediction:
        lung = None
        if self.lung_segmenter is not None:
            lung = scan_channels(scan, self.lung_segmenter, progress=_silent, wanted=("lung",))["lung"]
        channels = scan_channels(scan, self.segmenter, progress=_silent, lung=lung)
        maps = {one.name: _axial(channels[one.channel or ""]) for one in self.structures}
        if self.post_processing:
            lungs = segment_lungs(channels["lung"], scan, threshold=self.thresholds[LUNGS.name])
            infection = segment_infection(
                channels["infection"], None, scan, lungs, threshold=self.thresholds[INFECTION.name]
            )
            found = {LUNGS.name: lungs.labels, INFECTION.name: infection.labels}
            masks = {name: [plane > 0 for plane in _axial(labels)] for name, labels in found.items()}
        else:
            masks = {name: self._at_threshold(name, planes) for name, planes in maps.items()}
        x, y, z = scan.geometry.spacing
        return Prediction(Masks(masks, (y, x, z), scan.geometry), maps)

    def _at_threshold(self, name: str, planes: list[NDArray[np.uint8]]) -> list[NDArray[np.bool_]]:
        level = max(1, threshold_level(self.thresholds[name]))
        return [np.asarray(plane >= level) for plane in planes]


def _silent(done: int, total: int) -> None:
    """Progress of one case, which nobody follows."""


def structures_of(card: ModelCard) -> tuple[Structure, ...]:
    """Lungs and infection, as far as a network shows them.

    Raises:
        OptionError: it shows neither.
    """
    known = tuple(one for one in (LUNGS, INFECTION) if one.channel in card.channels)
    if not known:
        raise OptionError(
            f"the model {card.name} shows {', '.join(card.channels)}; expected a channel 'lung' or 'infection'"
        )
    return known


def _axial(values: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """(x, y, z) in RAS+ order as slices in display orientation, from the feet to the head."""
    return [values[::-1, ::-1, index].T for index in range(values.shape[2])]


@dataclass(frozen=True)
class FolderPredictor:
    """Masks that lie in a folder, laid out like the truth or as `analyze` leaves them.

    Looked for, in this order: `CASE/lungs.nii.gz` (or `CASE/lungs/SLICE.png`), `SUBFOLDER/FILE` with the truth's own
    subfolder or the structure's name, `FILE`. Files belong together by their names without endings.

    Attributes:
        folder: where the masks lie.
        structures: what is compared.
        same_voxels: take scans of equal size for one grid, whatever their headers say.
    """

    folder: Path
    structures: tuple[Structure, ...]
    same_voxels: bool = False

    @property
    def thresholds(self) -> Mapping[str, float]:
        """None: masks have no probability."""
        return {}

    def predict(self, case: LabelledCase, image: Image | None) -> Prediction:
        """Read the masks of one case.

        Raises:
            InputNotFoundError: a mask is missing.
            GeometryMismatchError: masks of one case on different grids.
        """
        sources = dict.fromkeys(structure.source for structure in self.structures)
        files = {source: self._files(case, source) for source in sources if source in case.truth}
        present = [structure for structure in self.structures if structure.source in files]
        return Prediction(load_masks(case, files, present, same_voxels=self.same_voxels))

    def _files(self, case: LabelledCase, source: str) -> tuple[Path, ...]:
        if case.kind == "scan" and (saved := self._index.get(f"{case.name}/{source}")):
            return (saved,)
        return tuple(self._file(case, source, truth) for truth in case.truth[source])

    def _file(self, case: LabelledCase, source: str, truth: Path) -> Path:
        key = volume_key(truth)
        keys = (f"{case.name}/{source}/{key}", f"{truth.parent.name}/{key}", f"{source}/{key}", key)
        found = next((self._index[one] for one in keys if one in self._index), None)
        if found is None:
            raise InputNotFoundError(
                f"{case.name}: no prediction of {source} in {self.folder}; expected {truth.parent.name}/{truth.name}, "
                f"{truth.name} or {case.name}/{source}.nii.gz there"
            )
        return found

    @cached_property
    def _index(self) -> Mapping[str, Path]:
        """Every file below the folder, at most two folders deep, by its path without the ending."""
        found: dict[str, Path] = {}
        for pattern in ("*", "*/*", "*/*/*"):
            for path in sorted(self.folder.glob(pattern)):
                if path.is_file():
                    place = path.relative_to(self.folder).parent
                    found.setdefault(
                        volume_key(path) if place == Path() else f"{place.as_posix()}/{volume_key(path)}", path
                    )
        return found


def wanted_structures(predictor: Predictor, names: Sequence[str] | None) -> tuple[Structure, ...]:
    """What is scored: everything predicted, or the structures named.

    Raises:
        OptionError: a name that the predictor does not give.
    """
    known = {structure.name: structure for structure in predictor.structures}
    if missing := set(names or ()) - set(known):
        raise OptionError(f"the model does not show {min(missing)}; it shows {', '.join(known)}")
    return tuple(known[name] for name in names) if names else tuple(known.values())
