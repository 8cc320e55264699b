"""Arrays and their geometry as SimpleITK images (an optional library)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import OptionError

if TYPE_CHECKING:
    import SimpleITK


def simpleitk() -> Any:  # noqa: ANN401 - a module
    """The library.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import SimpleITK
    except ImportError:
        raise OptionError("this needs SimpleITK, which is not installed: pip install 'groundglass[compare]'") from None
    return SimpleITK


def itk_image(array: NDArray[Any], affine: NDArray[np.float64]) -> SimpleITK.Image:
    """Wrap an array with its affine; ITK's world is LPS, its arrays are (k, j, i).

    Args:
        array: (i, j, k) voxels.
        affine: 4x4, voxel index -> RAS millimetres.

    Raises:
        OptionError: SimpleITK is not installed.
    """
    itk = simpleitk()
    image = itk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing([float(step) for step in spacing])
    image.SetOrigin([float(place) for place in lps[:3, 3]])
    image.SetDirection([float(value) for value in (lps[:3, :3] / spacing).ravel()])
    return image
