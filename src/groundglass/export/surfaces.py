"""Surfaces of lungs and infection as STL, OBJ or GLB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import OptionError
from groundglass.export.codes import Segment
from groundglass.io.write import atomic_write_bytes
from groundglass.volume import LabelMap

SurfaceFormat = Literal["stl", "obj", "glb"]

_STEP_MM = 1.5
_SMOOTHING_MM = {"lungs": 1.6, "infection": 0.8}
_LUNG_ALPHA = 90


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A closed surface of triangles.

    Attributes:
        segment: what it encloses.
        vertices: float64 (n, 3), LPS millimetres (x to the left, y to posterior), as 3D Slicer and DICOM have them.
        faces: int64 (m, 3), vertex indices, counter-clockwise seen from outside.
    """

    segment: Segment
    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


def surfaces(lungs: LabelMap, infection: LabelMap, chosen: tuple[Segment, ...]) -> list[Surface]:
    """Surfaces of the segments that are present.

    Masks are smoothed slightly before marching cubes, on a grid of about 1.5 mm, so that slices show no steps; the
    volume inside stays within a few percent of the mask's.

    Args:
        lungs: 1 = right lung, 2 = left lung.
        infection: 1 = ground-glass, 2 = consolidation, on the same grid.
        chosen: segments to make.

    Raises:
        OptionError: scikit-image is not installed.
    """
    masks = {"lungs": lungs, "infection": infection}
    made = [_surface(masks[segment.mask], segment) for segment in chosen]
    return [surface for surface in made if surface is not None]


def write_surfaces(
    lungs: LabelMap, infection: LabelMap, chosen: tuple[Segment, ...], folder: Path, kind: SurfaceFormat
) -> list[Path]:
    """Write the surfaces: STL and OBJ one file per segment in LPS millimetres, GLB all in one coloured scene.

    Raises:
        OptionError: the libraries for surfaces are not installed.
        OutputError: they cannot be written.
    """
    found = surfaces(lungs, infection, chosen)
    if kind == "glb":
        path = folder / "lungs.glb"
        atomic_write_bytes(path, _scene(found))
        return [path]
    written = []
    for surface in found:
        path = folder / f"{surface.segment.label.lower().replace(' ', '-')}.{kind}"
        data = _mesh(surface).export(file_type=kind)
        atomic_write_bytes(path, data.encode() if isinstance(data, str) else bytes(data))
        written.append(path)
    return written


def _surface(mask: LabelMap, segment: Segment) -> Surface | None:
    from scipy.ndimage import gaussian_filter, zoom

    inside = mask.labels == segment.value
    if not inside.any():
        return None
    marching_cubes = _marching_cubes()
    box = [np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    start = np.array([edge[0] for edge in box])
    part = inside[tuple(slice(int(edge[0]), int(edge[-1]) + 1) for edge in box)].astype(np.float32)
    spacing = np.array(mask.geometry.spacing)
    pad = np.ceil(3 * _SMOOTHING_MM[segment.mask] / spacing).astype(int) + 2
    part = np.pad(part, [(int(width), int(width)) for width in pad])
    part = gaussian_filter(part, _SMOOTHING_MM[segment.mask] / spacing, truncate=3.0)
    size = np.array(part.shape)
    wanted = np.maximum(2, np.rint((size - 1) * np.minimum(1.0, spacing / _STEP_MM)).astype(int) + 1)
    coarse = zoom(part, wanted / size, order=1, grid_mode=False) if (wanted < size).any() else part
    if coarse.max() <= 0.5:
        coarse, wanted = part, size
    if coarse.max() <= 0.5:
        return None
    vertices, faces, _, _ = marching_cubes(coarse, 0.5)
    index = vertices * ((size - 1) / (np.array(coarse.shape) - 1)) - pad + start
    world = mask.geometry.world(index) * np.array([-1.0, -1.0, 1.0])
    return Surface(segment, world, _outward(world, faces.astype(np.int64)))


def _outward(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces turned so that the enclosed volume is positive."""
    a, b, c = (vertices[faces[:, corner]] - vertices.mean(axis=0) for corner in range(3))
    volume = float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum())
    return faces if volume > 0 else faces[:, ::-1]


def _mesh(surface: Surface, *, scale: float = 1.0) -> Any:  # noqa: ANN401 - trimesh has no types
    trimesh = _trimesh()
    colour = [*surface.segment.colour, 255]
    mesh = trimesh.Trimesh(surface.vertices * scale, surface.faces, process=False)
    mesh.visual = trimesh.visual.ColorVisuals(mesh, face_colors=np.tile(colour, (len(surface.faces), 1)))
    return mesh


def _scene(found: list[Surface]) -> bytes:
    """GLB: metres, y to the head, z to anterior (the front), as glTF has it; the lungs are translucent."""
    trimesh = _trimesh()
    scene = trimesh.Scene()
    turn = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    for surface in found:
        lung = surface.segment.mask == "lungs"
        colour = np.array([*surface.segment.colour, _LUNG_ALPHA if lung else 255], dtype=np.uint8)
        material = trimesh.visual.material.PBRMaterial(
            name=surface.segment.label,
            baseColorFactor=colour,
            metallicFactor=0.0,
            roughnessFactor=0.7,
            alphaMode="BLEND" if lung else "OPAQUE",
        )
        mesh = trimesh.Trimesh(surface.vertices @ turn.T / 1000.0, surface.faces, process=False)
        mesh.visual = trimesh.visual.TextureVisuals(material=material)
        scene.add_geometry(mesh, node_name=surface.segment.label, geom_name=surface.segment.label)
    return bytes(scene.export(file_type="glb"))


def _marching_cubes() -> Any:  # noqa: ANN401 - scikit-image has no types
    try:
        from skimage.measure import marching_cubes
    except ImportError:
        raise _missing() from None
    return marching_cubes


def _trimesh() -> Any:  # noqa: ANN401
    try:
        import trimesh
    except ImportError:
        raise _missing() from None
    return trimesh


def _missing() -> OptionError:
    return OptionError(
        "surfaces need scikit-image and trimesh, which are not installed: pip install 'groundglass[export]'"
    )
