"""An interactive viewer for notebooks: the scan with its masks, in ipyniivue (an optional library)."""

from __future__ import annotations

from typing import Any

import numpy as np

from groundglass.errors import OptionError
from groundglass.nifti_image import nifti_image
from groundglass.report.views import LUNG_WINDOW
from groundglass.volume import CTVolume, LabelMap


def interactive_viewer(volume: CTVolume, lungs: LabelMap, infection: LabelMap) -> Any:  # noqa: ANN401 - a widget
    """A widget with the scan in the lung window, the lungs and the infection over it.

    Args:
        volume: the scan.
        lungs: 1 = right, 2 = left, on its grid.
        infection: 1 = ground-glass, 2 = consolidation, on its grid.

    Returns:
        An `ipyniivue.NiiVue`.

    Raises:
        OptionError: ipyniivue is not installed.
    """
    try:
        from ipyniivue import NiiVue
    except ImportError:
        raise OptionError(
            "the viewer needs ipyniivue, which is not installed: pip install 'groundglass[notebook]'"
        ) from None
    low, high = LUNG_WINDOW if volume.units == "HU" else (0.0, 255.0)
    scan = nifti_image(np.rint(volume.values).astype(np.int16), volume.geometry.affine)
    viewer = NiiVue()
    viewer.load_volumes(
        [
            {"data": scan.to_bytes(), "name": "scan.nii", "colormap": "gray", "cal_min": low, "cal_max": high},
            {"data": _bytes(lungs), "name": "lungs.nii", "colormap": "blue", "opacity": 0.15},
            {"data": _bytes(infection), "name": "infection.nii", "colormap": "warm", "opacity": 0.5},
        ]
    )
    return viewer


def _bytes(labels: LabelMap) -> bytes:
    return bytes(nifti_image(labels.labels, labels.geometry.affine).to_bytes())
