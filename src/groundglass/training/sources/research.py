"""Research sets that are learned from besides the labelled volumes: single slices, healthy scans, negatives.

None of them is split into folds: a fixed part of the slices is held out, everything else is learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from groundglass.errors import DatasetError
from groundglass.evaluation.planes import read_plane
from groundglass.image.prepare import resize
from groundglass.training.labels import classical_lungs
from groundglass.training.sample import CONSOLIDATION, INFECTION, LUNG, Sample
from groundglass.training.sample import unlabelled as _empty
from groundglass.training.sources.volume import LabelledVolume

HELD_OUT_MEDSEG = 4
HELD_OUT_LUNG2D = 8


MEDSEG_SIZE = 256
SMALL_LUNGS = 0.05
"""Share of a slice below which its lungs are called small."""


def _grey(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise DatasetError(f"{path} cannot be read as a picture; expected the files of the research set")
    return np.asarray(picture, dtype=np.uint8)


def medseg(root: Path, held_out: bool, size: int) -> Iterator[Sample]:
    """``medseg_train``, every fourth slice held out; lungs are known only where infection lies."""
    folder = root / "medseg_train"
    for index, path in enumerate(sorted((folder / "ct").glob("*.jpg"), key=lambda path: int(path.stem))):
        if (index % HELD_OUT_MEDSEG == 0) != held_out:
            continue
        image = resize(_grey(path), size, size)
        infection = _grey(folder / "infection" / f"{path.stem}.png") > 127
        classes = _grey(folder / "ggo_consolidation" / f"{path.stem}.png")
        masks, known = _empty(image)
        for channel, mask in ((INFECTION, infection), (CONSOLIDATION, abs(classes.astype(int) - 75) < 10)):
            masks[channel] = resize(mask.astype(np.uint8) * 255, size, size).astype(int) > 127
            known[channel] = 1
        masks[LUNG] = known[LUNG] = masks[INFECTION]
        yield Sample(path.name, f"medseg_{path.stem}", "picture", image, masks, known)


def lung2d(root: Path, held_out: bool) -> Iterator[Sample]:
    """``lung2d_hu``, every eighth slice held out; only the lungs are known."""
    folder = root / "lung2d_hu"
    for index, path in enumerate(sorted((folder / "ct").glob("*.png"))):
        if (index % HELD_OUT_LUNG2D == 0) != held_out:
            continue
        image, _ = read_plane(path)
        masks, known = _empty(image)
        masks[LUNG] = _grey(folder / "lung" / path.name) > 127
        known[LUNG] = 1
        # Infection lies in the lungs by definition, so everything outside them is a known negative.
        outside = ndimage.binary_dilation(masks[LUNG], iterations=3)
        known[INFECTION] = known[CONSOLIDATION] = ~outside
        yield Sample(path.name, path.stem, "hu", image, masks, known)


def display_slices(path: Path) -> tuple[NDArray[np.int16], tuple[float, float, float]]:
    """A NIfTI volume as axial display slices ``[slice from the head, row, column]`` and spacing (mm) likewise."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    volume = np.asarray(image.dataobj).astype(np.int16)
    x, y, z = (float(value) for value in image.header.get_zooms()[:3])
    return np.ascontiguousarray(volume[::-1, ::-1, ::-1].transpose(2, 1, 0)), (z, y, x)


def normal_volume(
    root: Path, label_lungs: Callable[..., tuple[NDArray[np.bool_], NDArray[np.bool_]]]
) -> Iterator[Sample]:
    """Every slice of ``normal_normal001``, neck to abdomen: no infection, lungs by a classical method."""
    slices, spacing = display_slices(root / "ct_volumes" / "normal_normal001_ct.nii.gz")
    lungs, unsure = label_lungs(slices, spacing)
    # From the head, the lungs are largest where the domes of the diaphragm begin.
    largest = int(lungs.sum(axis=(1, 2)).argmax())
    for index, image in enumerate(slices):
        masks, known = _empty(image)
        masks[LUNG] = lungs[index]
        known[:] = 1
        known[LUNG] = ~unsure[index]
        yield Sample(
            f"normal_normal001[{index}]",
            "normal_normal001",
            "hu",
            image,
            masks,
            known,
            healthy=True,
            belly=index >= largest,
        )


def negatives(root: Path) -> Iterator[Sample]:
    """Pictures without pneumonia: infection is known to be absent, the lungs are unknown."""
    folder = root / "classification"
    paths = [*sorted((folder / "luna_no_pneumonia").glob("*.png"))]
    paths += sorted((folder / "three_class" / "Normal").glob("*.png"))
    for path in paths:
        image = _grey(path)
        masks, known = _empty(image)
        known[INFECTION] = known[CONSOLIDATION] = 1
        yield Sample(path.name, path.stem, "picture", image, masks, known)


def more_ends(samples: list[Sample]) -> list[Sample]:
    """Counts slices through the apex seven times, through the lowest base three times: they are few and hard."""
    small = [sample for sample in samples if 0 < sample.masks[LUNG].mean() < SMALL_LUNGS]
    apex = [sample for sample in small if not sample.belly]
    return samples + 2 * small + 4 * apex


def research_volume(layout: str, folder: Path) -> LabelledVolume:
    """All slices of one research set that may be learned from, as one volume in no fold.

    Args:
        layout: ``medseg``, ``lung2d``, ``normal`` or ``negatives``.
        folder: The set's folder.
    """
    root = folder.parent
    loads: dict[str, Callable[[], list[Sample]]] = {
        "medseg": lambda: list(medseg(root, held_out=False, size=MEDSEG_SIZE)),
        "lung2d": lambda: list(lung2d(root, held_out=False)),
        "normal": lambda: more_ends(list(normal_volume(root, classical_lungs))),
        "negatives": lambda: list(negatives(root)),
    }
    if layout == "normal":
        files = [folder / "normal_normal001_ct.nii.gz"]
    else:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in {".png", ".jpg"})
    return LabelledVolume(layout, layout, None, layout, tuple(files), loads[layout], extra=True)
