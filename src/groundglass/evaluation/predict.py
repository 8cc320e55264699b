"""Predictions to be scored: of a network, or from a folder of masks that anything may have made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import InputNotFoundError, OptionError
from groundglass.evaluation.cases import Image, LabelledCase, Masks, load_masks
from groundglass.evaluation.planes import Plane
from groundglass.evaluation.public_set import volume_key
from groundglass.evaluation.structures import INFECTION, LUNGS, Structure
from groundglass.geometry import Geometry
from groundglass.image.prepare import Kind
from groundglass.inference.infection import segment_infection, segment_infection_2d
from groundglass.inference.lungs import segment_lungs, segment_lungs_2d
from groundglass.inference.scan import scan_channels, smoothed_channels
from groundglass.inference.segment import SliceSegmenter, threshold_level
from groundglass.models.catalog import ModelCard
from groundglass.volume import CTVolume

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

    def predict(self, case: LabelledCase, image: Image | None, grid: Geometry | None = None) -> Prediction:
        """The prediction for one case.

        Args:
            case: which one.
            image: its image; None where it has none.
            grid: of the scan or else of the true masks, in the order of the file; None for pictures.
        """


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

    def predict(self, case: LabelledCase, image: Image | None, grid: Geometry | None = None) -> Prediction:
        """Run the network over one case; the grid is the image's own.

        Raises:
            OptionError: the case has no image.
        """
        if image is None:
            raise OptionError(f"{case.name} has masks but no image; give predictions instead of a model")
        if image.slices is not None:
            return self._of_slices(case, image.slices, image.kind)
        assert image.scan is not None
        return self._of_scan(image.scan)

    def _of_slices(self, case: LabelledCase, slices: Sequence[Plane], kind: Kind) -> Prediction:
        lungs = None
        if self.lung_segmenter is not None:
            lungs = [own["lung"] for own in smoothed_channels(slices, kind, self.lung_segmenter, progress=_silent)]
        found = smoothed_channels(slices, kind, self.segmenter, progress=_silent, lungs=lungs)
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
    subfolder or the structure's name, `FILE`. Files belong together by their names without endings. A place that would
    do for several masks of the cases is not looked at: `lungs.nii.gz` beside the folders of the cases is nobody's.

    Attributes:
        folder: where the masks lie.
        structures: what is compared.
        same_voxels: lay label maps of the scan's size over it voxel by voxel, whatever their headers say.
        cases: everything that is scored, to tell which places are of one mask alone; empty where that does not matter.
    """

    folder: Path
    structures: tuple[Structure, ...]
    same_voxels: bool = False
    cases: tuple[LabelledCase, ...] = ()

    @property
    def thresholds(self) -> Mapping[str, float]:
        """None: masks have no probability."""
        return {}

    def predict(self, case: LabelledCase, image: Image | None, grid: Geometry | None = None) -> Prediction:
        """Read the masks of one case.

        Raises:
            InputNotFoundError: a mask is missing.
            GeometryMismatchError: masks of one case on different grids.
        """
        files = {source: self._files(case, source) for source in self._sources(case)}
        present = [structure for structure in self.structures if structure.source in files]
        return Prediction(load_masks(case, files, present, same_voxels=self.same_voxels, grid=grid))

    def _sources(self, case: LabelledCase) -> list[str]:
        every = dict.fromkeys(structure.source for structure in self.structures)
        return [source for source in every if source in case.truth]

    def _files(self, case: LabelledCase, source: str) -> tuple[Path, ...]:
        if case.kind == "scan" and (saved := self._index.get(f"{case.name}/{source}")):
            return (saved,)
        return tuple(self._file(case, source, truth) for truth in case.truth[source])

    def _file(self, case: LabelledCase, source: str, truth: Path) -> Path:
        own = [key for key in _places(case, source, truth) if self._claims[key] <= 1]
        found = next((self._index[key] for key in own if key in self._index), None)
        if found is None:
            expected = [f"{key.removesuffix(volume_key(truth))}{truth.name}" for key in own]
            if case.kind == "scan":
                expected[0] = f"{case.name}/{source}.nii.gz"
            raise InputNotFoundError(
                f"{case.name}: no prediction of {source} in {self.folder}; expected "
                f"{' or '.join(dict.fromkeys(expected))} there; to leave {source} out, name the others with --structure"
            )
        return found

    @cached_property
    def _claims(self) -> Counter[str]:
        """How many masks of the cases a place would do for."""
        return Counter(
            key
            for case in self.cases
            for source in self._sources(case)
            for truth in case.truth[source]
            for key in _places(case, source, truth)
        )

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


def _places(case: LabelledCase, source: str, truth: Path) -> Iterator[str]:
    """Where the prediction for a file of the truth may lie, each place once, without endings."""
    key = volume_key(truth)
    places = (f"{case.name}/{source}/{key}", f"{truth.parent.name}/{key}", f"{source}/{key}", key)
    return iter(dict.fromkeys(places))


def wanted_structures(predictor: Predictor, names: Sequence[str] | None) -> tuple[Structure, ...]:
    """What is scored: everything predicted, or the structures named.

    Raises:
        OptionError: a name that the predictor does not give.
    """
    known = {structure.name: structure for structure in predictor.structures}
    if missing := set(names or ()) - set(known):
        raise OptionError(f"the model does not show {min(missing)}; it shows {', '.join(known)}")
    return tuple(known[name] for name in names) if names else tuple(known.values())
