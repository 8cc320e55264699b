"""Copies of a scan that a careless export would leave: pictures, grey values, shifted and wrapped numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.phantom.chest import Phantom
from groundglass.volume import CTVolume

WrongUnits = Literal["0-255", "0-1", "shifted by 1024", "unsigned wrap", "clipped at zero"]
_LOW, _HIGH = -1250.0, 250.0


def as_picture(scan: Phantom | CTVolume, z: int, *, centre: float = -600.0, width: float = 1500.0) -> NDArray[np.uint8]:
    """One slice as a windowed picture.

    Args:
        scan: the scan.
        z: slice, counted from the feet.
        centre: middle of the window, HU.
        width: width of the window, HU.

    Returns:
        uint8 (rows, columns); row 0 anterior, column 0 the patient's right.
    """
    volume = scan.volume if isinstance(scan, Phantom) else scan
    share = (volume.axial(z) - (centre - width / 2)) / width
    return np.asarray(np.rint(np.clip(share, 0, 1) * 255), dtype=np.uint8)


def with_wrong_units(scan: Phantom | CTVolume, kind: WrongUnits) -> CTVolume:
    """The scan with values that are not HU, still marked as HU, as a reader would get them from such a file.

    Args:
        scan: the scan.
        kind: `0-255` and `0-1`: windowed to -1250..250 HU and scaled; `shifted by 1024`: air is 0; `unsigned wrap`:
            negative values came out as 65536 - x; `clipped at zero`: all below 0 HU is 0.
    """
    volume = scan.volume if isinstance(scan, Phantom) else scan
    hu = volume.values
    share = np.clip((hu - _LOW) / (_HIGH - _LOW), 0, 1)
    match kind:
        case "0-255":
            values = np.rint(share * 255)
        case "0-1":
            values = share
        case "shifted by 1024":
            values = hu + 1024
        case "unsigned wrap":
            values = np.where(hu < 0, hu + 65536, hu)
        case "clipped at zero":
            values = np.maximum(hu, 0)
    return replace(volume, values=np.asarray(values, dtype=np.float32))
