"""The slices of a run: found, prepared, split by patient and checked for leaks."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from groundglass.errors import DatasetError, LeakageError
from groundglass.evaluation.layouts import volumes_of_patients
from groundglass.io.digest import files_digest
from groundglass.models.catalog import ModelCard
from groundglass.progress import Progress
from groundglass.training.cache import CachedVolume, cached
from groundglass.training.presets.model import Preset
from groundglass.training.run import TrainOptions
from groundglass.training.sources.find import find_volumes
from groundglass.training.sources.volume import LabelledVolume
from groundglass.training.splits import check_leaks, split_volumes, with_folds

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """The slices of a run.

    Attributes:
        sources: Volumes to learn from, by source.
        watch: Volumes to validate on.
        images: Volume -> checksum of its image files, where it has any.
        test: Volumes that the network is to be scored on afterwards.
    """

    sources: dict[str, list[CachedVolume]]
    watch: list[CachedVolume]
    images: Mapping[str, str] = field(default_factory=dict)
    test: list[CachedVolume] = field(default_factory=list)

    @property
    def learn(self) -> list[CachedVolume]:
        """Volumes to learn from."""
        return [volume for volumes in self.sources.values() for volume in volumes]

    @property
    def slices(self) -> int:
        """Slices to learn from."""
        return sum(len(volume.slices) for volume in self.learn)

    @property
    def digest(self) -> str:
        """Checksum of what is learned from and what is watched: volumes, patients, folds, prepared slices."""
        sides = [*self.sources.items(), ("", self.watch)]
        described = [
            (source, sorted((one.name, one.patient, str(one.fold), one.folder.name) for one in volumes))
            for source, volumes in sides
        ]
        return hashlib.blake2b(json.dumps(described).encode(), digest_size=16).hexdigest()


def gather(
    preset: Preset, data: Path, cache: Path, *, folds: Sequence[int] | None, options: TrainOptions, progress: Progress
) -> Material:
    """Finds, prepares and splits the slices of a run.

    Raises:
        DatasetError: The data cannot be used.
        LeakageError: A patient or picture stands on both sides of the split.
    """
    found = find_volumes(data, preset.sources)
    every = with_folds([volume for volumes in found.values() for volume in volumes])
    share = preset.validation_share if folds is None or preset.schedule.keep == "best" else None
    learn, watch = split_volumes(every, folds, options.validation_folds, share=share, seed=options.seed)
    test = [volume for volume in every if not volume.extra and volume.fold in options.test_folds]
    prepared = _prepared([*learn, *watch, *test], preset, cache, progress)
    if share is not None and options.validation_folds is None:
        # Who can be judged is known only now that the labels have been read.
        shows = {volume.name: _shown(prepared[volume.name], preset) for volume in (*learn, *watch)}
        learn, watch = split_volumes(every, folds, None, share=share, seed=options.seed, shows=shows)
    source_of = {volume.name: source for source, volumes in found.items() for volume in volumes}
    sources: dict[str, list[CachedVolume]] = {source: [] for source in found}
    for volume in learn:
        sources[source_of[volume.name]].append(prepared[volume.name])
    marks = {volume.name: files_digest(volume.images) for volume in (*learn, *watch, *test)}
    kept = _with_slices([prepared[volume.name] for volume in watch])
    images = {name: mark for name, mark in marks.items() if mark is not None}
    material = Material(sources, kept, images, [prepared[volume.name] for volume in test])
    if not material.slices:
        raise DatasetError(f"no slice of {data} is left after the preparation; see the preset's steps")
    if watch:
        _require_judged(preset, watch, kept)
    check_leaks(material.learn, material.watch)
    _check_test(material)
    logger.info("learning from %d slices; %s", material.slices, _watched(kept))
    return material


def _prepared(
    volumes: Sequence[LabelledVolume], preset: Preset, cache: Path, progress: Progress
) -> dict[str, CachedVolume]:
    needed = {volume.name: volume for volume in volumes}
    prepared: dict[str, CachedVolume] = {}
    for name, volume in needed.items():
        progress("preparing", len(prepared), len(needed))
        prepared[name] = cached(volume, preset.preparation, cache)
    return prepared


def _shown(volume: CachedVolume, preset: Preset) -> frozenset[str]:
    """Channels of the preset that a volume shows, and of which all is known."""
    known, drawn = volume.labels()
    return known & drawn & frozenset(preset.channels)


def _with_slices(watch: Iterable[CachedVolume]) -> list[CachedVolume]:
    """The volumes of which the preparation leaves something; nothing at all would be found without a fault."""
    watch = list(watch)
    if empty := [volume.name for volume in watch if not volume.slices]:
        logger.warning("not validated on, because no slice is left after the preparation: %s", ", ".join(empty))
    return [volume for volume in watch if volume.slices]


def _require_judged(preset: Preset, asked: Sequence[LabelledVolume], kept: Sequence[CachedVolume]) -> None:
    """Refuses a validation set that could judge no channel; tells of channels that it cannot judge."""
    known: frozenset[str] = frozenset().union(*(volume.labels()[0] for volume in kept))
    missing = [channel for channel in preset.channels if channel not in known]
    if len(missing) == len(preset.channels):
        raise DatasetError(
            f"nothing can be validated: none of the volumes {_few([volume.name for volume in asked])} has slices after "
            f"the preparation with all of {' or '.join(missing)} labelled; expected at least one such volume among "
            "those validated on; label one of them, or validate on the fold of another one (--validation-fold)"
        )
    if missing:
        logger.info("no volume to validate on has all of %s labelled: not validated", ", ".join(missing))


def seen_before(card: ModelCard | None, volumes: Sequence[CachedVolume], material: Material) -> set[str]:
    """Names of the volumes from whose patients a network has learned; none where nothing says what it learned from."""
    if card is None:
        return set()
    here = [(volume.name, volume.patient, material.images.get(volume.name)) for volume in volumes]
    return volumes_of_patients(here, card.learned_from, card.learned_patients)


def check_start(card: ModelCard | None, material: Material) -> None:
    """Refuses a start from a network that has learned from patients whom the new one is to be scored on.

    Raises:
        LeakageError: Names the volumes.
    """
    if leaked := sorted(seen_before(card, material.test, material)):
        assert card is not None
        raise LeakageError(
            f"the network '{card.name}' that the run starts from has learned from patients that are scored afterwards "
            f"({_few(leaked)}); start from one that has not seen them"
        )


def _check_test(material: Material) -> None:
    """Refuses a run that has seen what its network is to be scored on."""
    test = material.test
    scored = {volume.name for volume in test}
    check_leaks(material.learn, test, ("learned from", "scored afterwards"))
    # A preset that chooses nothing by its validation may well watch the fold that is scored.
    others = [volume for volume in material.watch if volume.name not in scored]
    check_leaks(others, test, ("validated on", "scored afterwards"))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")


def _watched(watch: Sequence[CachedVolume]) -> str:
    """Who is kept apart, so that nobody wonders where his patients went."""
    patients = sorted({volume.patient for volume in watch})
    if not patients:
        return "nothing is kept apart for validation"
    return f"{len(watch)} volumes of {len(patients)} patients are kept apart for validation: {_few(patients)}"
