"""Arrays as NIfTI images that every reader places the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import nibabel


def nifti_image(array: NDArray[Any], affine: NDArray[np.float64]) -> nibabel.Nifti1Image:
    """Wrap an array with its RAS affine; sform and qform are both set where the qform can say it.

    A qform holds a rotation and spacings only, so a sheared (tilted) affine is stored as sform alone.

    Args:
        array: (i, j, k) voxels.
        affine: 4x4, voxel index -> RAS millimetres.
    """
    import nibabel

    image = nibabel.Nifti1Image(array, np.asarray(affine))
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    if not np.allclose(image.get_qform(), affine, atol=1e-3):
        image.set_qform(affine, code=0)
    image.header.set_xyzt_units("mm")
    return image
