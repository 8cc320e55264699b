"""Prepared slices on disk, read through memory maps: memory does not grow with the number of volumes."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from groundglass.errors import DatasetError
from groundglass.image.prepare import Kind, resize
from groundglass.io.write import writing
from groundglass.training.lung_network import CLASSICAL, lung_card
from groundglass.training.sample import CHANNELS, Sample
from groundglass.training.sources.volume import LabelledVolume
from groundglass.training.steps.base import PreparationStep
from groundglass.training.steps.lung_finding import DRAWN
from groundglass.training.steps.preparation import LungCrop, LungMultiply
from groundglass.training.steps.run import prepare

logger = logging.getLogger(__name__)
FORMAT = 3
INDEX, PIXELS, LABELS = "index.json", "pixels.bin", "labels.bin"
FINGERPRINT = 16
"""Side of the grid of differences that makes up a fingerprint."""


@dataclass(frozen=True, slots=True)
class CachedSlice:
    """Where one slice lies in its volume's files.

    Attributes:
        name: Of the slice.
        group: Volume or patient it is sampled by.
        kind: Of the image.
        rows: Of the image.
        columns: Of the image.
        start: Pixels before it.
        healthy: As in `Sample`.
        belly: As in `Sample`.
        fingerprint: Difference hash of the picture, hexadecimal; empty for a picture without contrast.
    """

    name: str
    group: str
    kind: Kind
    rows: int
    columns: int
    start: int
    healthy: bool
    belly: bool
    fingerprint: str


@dataclass(frozen=True)
class CachedVolume:
    """A volume whose prepared slices lie on disk.

    Attributes:
        name: Of the volume.
        patient: Whose it is.
        fold: Of the patient.
        source: Layout it came from.
        extra: In no fold, always learned from.
        folder: Of its files.
        slices: Its slices, in order.
    """

    name: str
    patient: str
    fold: int | None
    source: str
    extra: bool
    folder: Path
    slices: tuple[CachedSlice, ...]

    def read(self, index: int) -> Sample:
        """One slice with its labels; only its own bytes are read, and mapped only for as long."""
        entry = self.slices[index]
        count, shape = entry.rows * entry.columns, (entry.rows, entry.columns)
        dtype = np.dtype(np.int16 if entry.kind == "hu" else np.uint8)
        image = _mapped(self.folder / PIXELS, dtype, entry.start, count).reshape(shape)
        bits = _mapped(self.folder / LABELS, np.dtype(np.uint8), entry.start, count).reshape(shape)
        planes = np.arange(len(CHANNELS), dtype=np.uint8)[:, None, None]
        one = np.uint8(1)
        masks = np.asarray((bits >> planes) & one, dtype=np.uint8)
        known = np.asarray((bits >> (planes + np.uint8(4))) & one, dtype=np.uint8)
        return Sample(entry.name, entry.group, entry.kind, image, masks, known, entry.healthy, entry.belly)

    def labels(self) -> tuple[frozenset[str], frozenset[str]]:
        """Channels of which every pixel is known, and channels drawn somewhere; both empty where no slice is left."""
        known, drawn = 0xFF if self.slices else 0, 0
        with (self.folder / LABELS).open("rb") as file:
            while block := file.read(1 << 20):
                bits = np.frombuffer(block, dtype=np.uint8)
                known &= int(np.bitwise_and.reduce(bits))
                drawn |= int(np.bitwise_or.reduce(bits))
        return (
            frozenset(name for plane, name in enumerate(CHANNELS) if known >> (plane + 4) & 1),
            frozenset(name for plane, name in enumerate(CHANNELS) if drawn >> plane & 1),
        )


def _mapped(path: Path, dtype: np.dtype[Any], start: int, count: int) -> NDArray[Any]:
    view = np.memmap(path, dtype=dtype, mode="r", offset=start * dtype.itemsize, shape=(count,))
    return np.array(view)


def cached(volume: LabelledVolume, steps: Sequence[PreparationStep], cache: Path) -> CachedVolume:
    """A volume's prepared slices, prepared now unless the same files were prepared by the same steps before.

    Args:
        volume: What to prepare.
        steps: How.
        cache: Folder of all cached volumes.

    Raises:
        DatasetError: A file of the volume cannot be read.
        OutputError: The cache cannot be written, for example because the disk is full.
    """
    folder = cache / _key(volume, steps)
    if not (folder / INDEX).is_file():
        _build(volume, steps, folder)
    try:
        entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        slices = tuple(CachedSlice(**entry) for entry in entries)
    except (ValueError, TypeError) as error:
        raise DatasetError(
            f"{folder / INDEX} is damaged ({error}); delete the folder {cache} and start again"
        ) from error
    return CachedVolume(volume.name, volume.patient, volume.fold, volume.source, volume.extra, folder, slices)


def _key(volume: LabelledVolume, steps: Sequence[PreparationStep]) -> str:
    """Checksum of everything that the prepared slices depend on: the files' bytes, the steps, the format."""
    digest = hashlib.blake2b(digest_size=16)
    described = [FORMAT, volume.source, volume.name, [step.model_dump(mode="json") for step in steps]]
    sources = {step.lungs for step in steps if isinstance(step, LungCrop | LungMultiply)} - {DRAWN, CLASSICAL}
    described += [lung_card(source).sha256 for source in sorted(sources)]
    digest.update(json.dumps(described).encode())
    for path in volume.files:
        digest.update(path.name.encode())
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror}; check the data set") from error
    return digest.hexdigest()


def _build(volume: LabelledVolume, steps: Sequence[PreparationStep], folder: Path) -> None:
    samples = prepare(volume.load(), steps)
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        try:
            entries = _write(samples, partial)
            (partial / INDEX).write_text(json.dumps([asdict(entry) for entry in entries]), encoding="utf-8")
            try:
                os.rename(partial, folder)
            except OSError:
                if not (folder / INDEX).is_file():  # else another process was faster
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _write(samples: list[Sample], folder: Path) -> list[CachedSlice]:
    entries: list[CachedSlice] = []
    start = 0
    weights = (1 << np.arange(len(CHANNELS), dtype=np.uint8))[:, None, None]
    with (folder / PIXELS).open("wb") as pixels, (folder / LABELS).open("wb") as labels:
        for sample in samples:
            image = sample.image.astype(np.int16 if sample.kind == "hu" else np.uint8)
            bits = (sample.masks * weights).sum(axis=0) + ((sample.known * weights).sum(axis=0) << 4)
            pixels.write(np.ascontiguousarray(image).tobytes())
            labels.write(bits.astype(np.uint8).tobytes())
            rows, columns = image.shape
            mark = fingerprint(sample.image)
            entries.append(
                CachedSlice(
                    sample.name, sample.group, sample.kind, rows, columns, start, sample.healthy, sample.belly, mark
                )
            )
            start += image.size
    return entries


def fingerprint(image: NDArray[np.generic]) -> str:
    """Difference hash of a picture: is each cell of a coarse grid brighter than its left neighbour?

    Scaling, another window and compression hardly change it. Empty where the picture has no contrast.
    """
    small = resize(image.astype(np.float32), FINGERPRINT, FINGERPRINT + 1).astype(np.float32)
    if float(small.std()) < 1e-3:
        return ""
    small = cv2.normalize(small, None, 0.0, 255.0, cv2.NORM_MINMAX)
    return np.packbits(np.diff(small, axis=1) > 0.5).tobytes().hex()
