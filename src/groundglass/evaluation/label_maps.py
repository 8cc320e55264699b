"""Label maps of scans: their values, and where they lie. Training and evaluation read them alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from groundglass.geometry import Geometry
from groundglass.io.labels import read_label_map
from groundglass.io.options import case_name
from groundglass.volume import LabelMap


def read_labels(path: Path) -> LabelMap:
    """A label map of whole numbers from 0 to 255, in RAS+ order.

    Raises:
        InputError: it cannot be read, or holds other values; the message names the file and one of them.
    """
    return read_label_map(path, case_name(path), {})


def same_place(first: Geometry, second: Geometry) -> bool:
    """Whether two grids in RAS+ order are one, within half a voxel: headers of different programs round differently."""
    return first.matches(second, tolerance_mm=float(min(first.spacing)) / 2)


def voxel_by_voxel(labels: LabelMap, grid: Geometry) -> LabelMap:
    """The label map as if its header were that of another file, whose voxels lie in the same order.

    Args:
        labels: any label map.
        grid: of the other file, in the order of that file.

    Returns:
        The label map on that grid; unchanged where the sizes of the files differ.
    """
    if labels.source.geometry.shape != grid.shape:
        return labels
    order = grid.ras_order()
    values = np.asarray(order.apply(labels.on_source_grid()), order="F")
    return LabelMap(values, grid.reordered(order), labels.names, replace(labels.source, geometry=grid))


def over_scan(labels: LabelMap, grid: Geometry) -> LabelMap:
    """The label map over its scan: by its header where that fits, else voxel by voxel.

    Args:
        labels: of the scan.
        grid: of the scan, in the order of its file.
    """
    if same_place(grid.reordered(grid.ras_order()), labels.geometry):
        return labels
    return voxel_by_voxel(labels, grid)
