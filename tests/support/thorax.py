"""A small synthetic chest, made once per test process, for tests that need the network to see lungs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from groundglass.phantom import Phantom, make_chest


@cache
def small_chest() -> Phantom:
    """A coarse synthetic chest: 2.3 x 2.3 x 5 mm."""
    return make_chest(seed=1, spacing=(2.3, 2.3, 5.0), shape=(160, 160, 62))


def thorax_file(folder: Path, *, orientation: str = "LPS", name: str = "thorax.nii.gz", dtype: type = np.int16) -> Path:
    """The small chest as a NIfTI file whose axes run as `orientation` says (nibabel does the turning)."""
    volume = small_chest().volume
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(tuple(orientation)))
    array = nibabel.orientations.apply_orientation(np.rint(volume.values).astype(dtype), turn)
    affine = volume.geometry.affine @ inv_ornt_aff(turn, volume.geometry.shape)
    path = folder / name
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path
