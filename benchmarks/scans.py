"""Synthetic scans of any number of slices for the speed benchmark."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from groundglass.geometry import Geometry
from groundglass.phantom import make_chest
from groundglass.phantom.series import write_dicom_series
from groundglass.volume import CTVolume, Source

HEIGHT_MM = 320.0
PLANES = 80


class Chest:
    """One synthetic chest of 512x512 pixels, cut into as many slices as wanted, with fresh noise in each."""

    def __init__(self) -> None:
        self._base = make_chest(seed=3, shape=(512, 512, PLANES)).volume

    def slices(self, count: int) -> CTVolume:
        """The chest in `count` slices over the same height."""
        noise = np.random.default_rng(count)
        values = np.empty((512, 512, count), np.float32, order="F")
        for z in range(count):
            plane = np.rint(self._base.values[:, :, min(z * PLANES // count, PLANES - 1)])
            values[:, :, z] = plane + noise.integers(-6, 7, plane.shape, np.int8)
        x, y, _ = self._base.geometry.spacing
        geometry = Geometry.from_spacing((512, 512, count), (x, y, HEIGHT_MM / count))
        return CTVolume(values, geometry, Source("chest", "array", geometry))


def write_scan(volume: CTVolume, folder: Path, kind: str) -> Path:
    """Write a scan as `nifti` (16-bit, gzip) or `dicom` (one uncompressed file per slice)."""
    count = volume.geometry.shape[2]
    if kind == "dicom":
        write_dicom_series(volume, folder / f"chest{count}")
        return folder / f"chest{count}"
    path = folder / f"chest{count}.nii.gz"
    voxels: NDArray[np.int16] = volume.values.astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, volume.geometry.affine), path)
    return path


def read_bytes(path: Path) -> int:
    """Size of a file or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
