"""Training, validation and test by patient, and what is nearly the same in two of them."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.errors import LeakageError
from groundglass.image.lung_view import as_grey
from groundglass.io.write import atomic_write_bytes
from groundglass.training.classification.records import LabelledSlice

HASH_SIDE = 16
ROWS = 1024
NEAR = 10
"""Bits of 256 in which two hashes of nearly the same picture may differ."""
FLAT = 12
"""Hashes with fewer bits set belong to flat pictures, which say nothing."""


@dataclass(frozen=True)
class Split:
    """Three parts that share no patient."""

    train: list[LabelledSlice]
    val: list[LabelledSlice]
    test: list[LabelledSlice]


@dataclass(frozen=True)
class Twin:
    """Two slices that are nearly the same picture; `bits` of 256 of their hashes differ."""

    slices: tuple[LabelledSlice, LabelledSlice]
    bits: int

    @property
    def first(self) -> str:
        """Name of the first slice, which two sources may share."""
        return self.slices[0].name

    @property
    def second(self) -> str:
        """Name of the second slice, which two sources may share."""
        return self.slices[1].name


def split_slices(
    slices: Sequence[LabelledSlice], *, val_share: float = 0.2, test_share: float = 0.2, seed: int = 0
) -> Split:
    """Splits slices, keeping the parts that a data set names itself.

    Slices without a part are divided by patient, within each label, so that every part has about the same mixture. Each
    source counts by itself: one without parts is divided, whatever the others say.

    Args:
        slices: what there is.
        val_share: share of the patients for validation, where the data set has no `val`.
        test_share: share of the patients for the test, where the data set has no parts; 0 for none.
        seed: of the division.

    Raises:
        LeakageError: a data set's own parts share a patient.
    """
    given: dict[str, set[str]] = defaultdict(set)
    for one in slices:
        given[one.source].update({one.split} - {""})
    parts: dict[str, list[LabelledSlice]] = {"train": [], "val": [], "test": []}
    pools: dict[tuple[float, float], list[LabelledSlice]] = defaultdict(list)
    for one in slices:
        named = given[one.source]
        if one.split in ("val", "test") or (one.split and "val" in named):
            parts[one.split].append(one)
        else:
            shares = (0.0 if named else test_share, 0.0 if "val" in named else val_share)
            pools[shares].append(one)
    for (test, val), pool in pools.items():
        for name, members in _divided(pool, {"test": test, "val": val}, seed).items():
            parts[name].extend(members)
    _refuse_shared(parts)
    return Split(parts["train"], parts["val"], parts["test"])


def _divided(slices: Sequence[LabelledSlice], shares: dict[str, float], seed: int) -> dict[str, list[LabelledSlice]]:
    labels: dict[str, str] = {}
    groups: dict[str, list[LabelledSlice]] = defaultdict(list)
    for one in slices:
        groups[one.group].append(one)
        labels.setdefault(one.group, f"{one.source}/{one.label}")
    rng, parts = np.random.default_rng(seed), defaultdict[str, list[LabelledSlice]](list)
    for label in sorted(set(labels.values())):
        names = sorted(name for name, own in labels.items() if own == label)
        rng.shuffle(names)
        start = 0
        for part, share in shares.items():
            count = round(share * len(names)) if len(names) > 2 else 0
            for name in names[start : start + count]:
                parts[part].extend(groups[name])
            start += count
        for name in names[start:]:
            parts["train"].extend(groups[name])
    return parts


def _refuse_shared(parts: dict[str, list[LabelledSlice]]) -> None:
    where: dict[str, str] = {}
    for part, members in parts.items():
        for one in members:
            if where.setdefault(one.group, part) != part:
                raise LeakageError(
                    f"the patient {one.group} is in {where[one.group]} and in {part}; expected each patient in one part"
                )


def difference_hash(image: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Which pixels of a 16 x 17 copy are darker than their right neighbour: 256 bits (dHash, Krawetz 2013)."""
    small = cv2.resize(as_grey(image), (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA)
    smooth = small.astype(np.int16)
    return np.asarray(smooth[:, 1:] > smooth[:, :-1] + 2).ravel()


def find_twins(first: Sequence[LabelledSlice], second: Sequence[LabelledSlice], *, bits: int = NEAR) -> list[Twin]:
    """Pairs of nearly the same picture, one from each list; pairs within one patient do not count.

    Args:
        first: slices.
        second: slices; may be the same list, then each pair comes once.
        bits: largest difference of the hashes, of 256.
    """
    if not first or not second:
        return []
    same = first is second
    left = np.stack([difference_hash(one.image) for one in first])
    right = left if same else np.stack([difference_hash(one.image) for one in second])
    return [
        Twin((first[i], second[j]), distance)
        for i, j, distance in _near(left, right, bits)
        if (not same or i < j) and first[i].group != second[j].group
    ]


def _near(left: NDArray[np.bool_], right: NDArray[np.bool_], bits: int) -> Iterator[tuple[int, int, int]]:
    """Places and distance of the hashes that differ in so few bits; a block of rows at a time, for memory's sake."""
    other = right.astype(np.float32)
    told = other.sum(axis=1) >= FLAT
    for start in range(0, len(left), ROWS):
        block = left[start : start + ROWS].astype(np.float32)
        distance = block.sum(axis=1)[:, None] + other.sum(axis=1)[None] - 2.0 * (block @ other.T)
        near = (distance <= bits) & told & (block.sum(axis=1) >= FLAT)[:, None]
        for i, j in np.argwhere(near):
            yield start + int(i), int(j), round(float(distance[i, j]))


def without_twins(split: Split) -> tuple[Split, list[Twin]]:
    """The split without slices that have a near twin in a part which judges them, and those twins.

    Training slices are left out for validation and test slices, validation slices for test slices.

    Raises:
        LeakageError: every validation slice has a near twin in the test part.
    """
    watched = find_twins(split.val, split.test)
    twins = [*find_twins(split.train, [*split.val, *split.test]), *watched]
    known = left_out(twins)
    kept = replace(
        split,
        train=[one for one in split.train if one not in known],
        val=[one for one in split.val if one not in known],
    )
    if split.val and not kept.val:
        raise LeakageError(
            f"all {len(split.val)} validation slices are near twins of test slices, such as {told_pair(watched[0])}; "
            "expected other pictures in the two parts"
        )
    return kept, twins


def left_out(twins: Sequence[Twin]) -> set[LabelledSlice]:
    """The slices that are left out for their near twins: the first of each pair."""
    return {twin.slices[0] for twin in twins}


def told_pair(twin: Twin) -> str:
    """A pair in words, with the sources."""
    return " and ".join(f"{one.source}/{one.name}" for one in twin.slices)


def write_twins(twins: Sequence[Twin], split: Split, path: Path) -> None:
    """Writes a table of the slices that were left out and the slices that they are near twins of.

    Args:
        twins: pairs, of which the first slice was left out.
        split: the parts before.
        path: of the CSV file.
    """
    members = {"train": split.train, "val": split.val, "test": split.test}
    parts = {one: name for name, part in members.items() for one in part}
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["part", "source", "slice", "twin_part", "twin_source", "twin_slice", "bits"])
    for twin in twins:
        told = [cell for one in twin.slices for cell in (parts[one], one.source, one.name)]
        writer.writerow([*told, twin.bits])
    atomic_write_bytes(path, text.getvalue().encode())
