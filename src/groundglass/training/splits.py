"""Which volumes are learned from and which are watched: by patient, and checked for leaks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.errors import DatasetError, LeakageError, OptionError
from groundglass.training.cache import CachedVolume
from groundglass.training.sources.volume import LabelledVolume

NEAR_BITS = 44
"""Fingerprints that differ in at most this many of their 256 bits are looked at closely."""
NEAR_CORRELATION = 0.92
"""Pictures whose coarse copies correlate at least this much are the same picture."""
COARSE = 64
Volume = TypeVar("Volume", LabelledVolume, CachedVolume)


@dataclass(frozen=True)
class Split:
    """Volumes to learn from and volumes to watch, without a common patient.

    Attributes:
        learn: Learned from.
        watch: Validated on.
        chooses: The validation chooses the checkpoint (it is no test set).
    """

    learn: tuple[CachedVolume, ...]
    watch: tuple[CachedVolume, ...]
    chooses: bool


def with_folds(volumes: Sequence[Volume], count: int = 4, seed: int = 0) -> list[Volume]:
    """The volumes, each in the fold that the data set names, or else dealt to ``count`` folds by patient.

    Raises:
        DatasetError: Only some volumes have a fold.
    """
    placed = [volume for volume in volumes if not volume.extra]
    without = [volume.name for volume in placed if volume.fold is None]
    if not without:
        return list(volumes)
    if len(without) < len(placed):
        raise DatasetError(f"volume {without[0]!r} has no fold, others have; expected a fold for all of them or none")
    patients = sorted({volume.patient for volume in placed})
    order = np.random.default_rng([seed, 41]).permutation(len(patients))
    fold_of = {patients[index]: place % count for place, index in enumerate(order)}
    return [volume if volume.extra else replace(volume, fold=fold_of[volume.patient]) for volume in volumes]


def split_volumes(
    volumes: Sequence[Volume],
    folds: Sequence[int] | None,
    watch_folds: Sequence[int] | None,
    *,
    share: float | None,
    seed: int = 0,
    shows: Mapping[str, Collection[str]] | None = None,
) -> tuple[list[Volume], list[Volume]]:
    """Volumes to learn from and to watch.

    Args:
        volumes: All volumes, each with a fold or `extra`.
        folds: Folds to learn from; None: all that are not watched.
        watch_folds: Folds to watch; None: see ``share``.
        share: Share of the patients to learn from that is watched instead; None: the folds not learned from.
        seed: Source of chance.
        shows: Volume -> channels of which it has labels to be judged by; a share is drawn so that every channel is
            watched where that is possible.

    Raises:
        OptionError: A fold on both sides, a fold that does not exist, or nothing left to learn from.
    """
    present = {volume.fold for volume in volumes if volume.fold is not None}
    for fold in (*(folds or ()), *(watch_folds or ())):
        if fold not in present:
            raise OptionError(f"fold {fold} does not exist; the data has the folds {sorted(present)}")
    both = set(folds or ()) & set(watch_folds or ())
    if both:
        raise OptionError(f"fold {min(both)} is to be learned from and validated on; expected it on one side")
    learned = set(present - set(watch_folds or ()) if folds is None else folds)
    learn = [volume for volume in volumes if volume.extra or volume.fold in learned]
    if watch_folds is not None:
        watch = [volume for volume in volumes if not volume.extra and volume.fold in watch_folds]
    elif share is None:
        watch = [volume for volume in volumes if not volume.extra and volume.fold not in learned]
    else:
        watch = _draw_patients(learn, share, seed, shows or {})
        learn = [volume for volume in learn if volume not in watch]
    if not any(not volume.extra for volume in learn):
        raise OptionError("no patient is left to learn from; expected labelled data of at least two patients")
    return learn, watch


def _draw_patients(
    volumes: Sequence[Volume], share: float, seed: int, shows: Mapping[str, Collection[str]]
) -> list[Volume]:
    patients = sorted({volume.patient for volume in volumes if not volume.extra})
    if len(patients) < 2:
        return []
    count = min(max(1, round(share * len(patients))), len(patients) - 1)
    drawn = [patients[index] for index in np.random.default_rng([seed, 43]).permutation(len(patients))]
    shown: dict[str, set[str]] = defaultdict(set)
    for volume in volumes:
        shown[volume.patient].update(() if volume.extra else shows.get(volume.name, ()))
    chosen = set(_every_channel_first(drawn, shown)[:count])
    return [volume for volume in volumes if not volume.extra and volume.patient in chosen]


def _every_channel_first(drawn: Sequence[str], shown: Mapping[str, Collection[str]]) -> list[str]:
    """Patients as they were drawn, but first those who show a channel that none before them shows."""
    counts = Counter(channel for patient in drawn for channel in shown[patient])
    # What a single patient shows must be learned from.
    missing = {channel for channel, count in counts.items() if count > 1}
    first: list[str] = []
    while missing:
        first.append(max(drawn, key=lambda patient: len(missing.intersection(shown[patient]))))
        missing.difference_update(shown[first[-1]])
    return [*first, *(patient for patient in drawn if patient not in first)]


def check_leaks(
    learn: Iterable[CachedVolume],
    watch: Iterable[CachedVolume],
    uses: tuple[str, str] = ("learned from", "validated on"),
) -> None:
    """Refuses a split that has a patient, or the same picture, on both sides.

    Pictures are compared by their fingerprints, and pairs that come near by correlation of coarse copies, so that a
    copy of another size, window or compression is found as well.

    Args:
        learn: One side.
        watch: The other side.
        uses: What either side is for, for the message.

    Raises:
        LeakageError: Names the pair.
    """
    learn, watch = list(learn), list(watch)
    names = {volume.patient: volume.name for volume in learn if not volume.extra}
    for volume in watch:
        if volume.patient in names:
            raise LeakageError(
                f"patient '{volume.patient}' is on both sides of the split: volume '{names[volume.patient]}' is "
                f"{uses[0]} and volume '{volume.name}' is {uses[1]}; put both into one fold"
            )
    marks, places = _fingerprints(learn)
    for volume in watch:
        for index, entry in enumerate(volume.slices):
            if entry.fingerprint and marks.size:
                bits = np.bitwise_count(marks ^ _unhex(entry.fingerprint)).sum(axis=1)
                for near in np.flatnonzero(bits <= NEAR_BITS):
                    _compare(places[near], (volume, index), uses)


def _fingerprints(volumes: list[CachedVolume]) -> tuple[NDArray[np.uint8], list[tuple[CachedVolume, int]]]:
    places = [(volume, index) for volume in volumes for index, entry in enumerate(volume.slices) if entry.fingerprint]
    marks = [_unhex(volume.slices[index].fingerprint) for volume, index in places]
    return (np.stack(marks) if marks else np.zeros((0, 0), np.uint8)), places


def _unhex(mark: str) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex(mark), dtype=np.uint8)


def _compare(learned: tuple[CachedVolume, int], watched: tuple[CachedVolume, int], uses: tuple[str, str]) -> None:
    first, second = (_coarse(volume, index) for volume, index in (learned, watched))
    correlation = float(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    if correlation >= NEAR_CORRELATION:
        names = [f"'{volume.slices[index].name}' of '{volume.name}'" for volume, index in (learned, watched)]
        raise LeakageError(
            f"slice {names[0]}, which is {uses[0]}, and slice {names[1]}, which is {uses[1]}, are the same "
            f"picture (correlation {correlation:.4f}); put both volumes into one fold or remove one"
        )


def _coarse(volume: CachedVolume, index: int) -> NDArray[np.float32]:
    image = volume.read(index).image.astype(np.float32)
    return np.asarray(cv2.resize(image, (COARSE, COARSE), interpolation=cv2.INTER_AREA), dtype=np.float32)
