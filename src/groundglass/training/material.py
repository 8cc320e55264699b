"""The slices of a run: found, prepared, split by patient and checked for leaks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groundglass.errors import DatasetError
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
    """

    sources: dict[str, list[CachedVolume]]
    watch: list[CachedVolume]

    @property
    def slices(self) -> int:
        """Slices to learn from."""
        return sum(len(volume.slices) for volumes in self.sources.values() for volume in volumes)


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
    prepared: dict[str, CachedVolume] = {}
    for number, volume in enumerate([*learn, *watch]):
        progress("preparing", number, len(learn) + len(watch))
        prepared[volume.name] = cached(volume, preset.preparation, cache)
    source_of = {volume.name: source for source, volumes in found.items() for volume in volumes}
    sources: dict[str, list[CachedVolume]] = {source: [] for source in found}
    for volume in learn:
        sources[source_of[volume.name]].append(prepared[volume.name])
    material = Material(sources, [prepared[volume.name] for volume in watch])
    if not material.slices:
        raise DatasetError(f"no slice of {data} is left after the preparation; see the preset's steps")
    check_leaks([volume for volumes in sources.values() for volume in volumes], material.watch)
    logger.info("learning from %d slices; %s", material.slices, _watched(watch))
    return material


def _watched(watch: Sequence[LabelledVolume]) -> str:
    """Who is kept apart, so that nobody wonders where his patients went."""
    patients = sorted({volume.patient for volume in watch})
    if not patients:
        return "nothing is kept apart for validation"
    named = ", ".join(patients[:4]) + (" ..." if len(patients) > 4 else "")
    return f"{len(watch)} volumes of {len(patients)} patients are kept apart for validation: {named}"
