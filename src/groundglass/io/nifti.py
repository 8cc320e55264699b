"""NIfTI-1 and NIfTI-2: `.nii`, `.nii.gz` and `.hdr` + `.img` pairs.

The header is checked before any voxel is read, so that a damaged header costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import LoggingOutputSuppressor
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from groundglass.errors import InvalidGeometryError, UnreadableFileError, UnsupportedFormatError
from groundglass.finding import Finding
from groundglass.geometry import Geometry
from groundglass.io.assemble import named_grid, require_real_numbers, spatial_shape, volume_from_array
from groundglass.io.border import border
from groundglass.io.gzipped import unpacking
from groundglass.io.options import ReadOptions, require_size
from groundglass.volume import CTVolume, Source

_KIND = "NIfTI file"
_ERRORS = (HeaderDataError, ImageFileError, WrapStructError)
_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}
_DISAGREEMENT_MM = 1.0
_HEADER_BYTES = {1: 348, 2: 540}


def read_nifti(path: Path, options: ReadOptions) -> CTVolume:
    """Read one NIfTI volume as HU.

    Args:
        path: `.nii`, `.nii.gz`, `.hdr` or `.img`.
        options: case name, limits and progress.

    Raises:
        UnreadableFileError: damaged or truncated.
        InvalidImageError: not one volume of numbers.
        InvalidGeometryError: zero spacing or a singular affine.
        InputTooLargeError: over the limits.
    """
    options.progress("read", 0, 0)
    with _opened(_header_path(path)) as stream:
        header, single = _read_header(stream, path)
        shape = spatial_shape(header.get_data_shape(), path.name)
        require_size(shape, path.name, options.settings)
        with border(path, _KIND, *_ERRORS):
            dtype = header.get_data_dtype()
            slope, intercept = header.get_slope_inter()
        require_real_numbers(dtype, path.name)
        geometry, findings = grid_of_header(header, path.name)
        if single:
            raw = _read_voxels(stream, header, path)
        else:
            with _opened(_voxel_path(path)) as voxels:
                raw = _read_voxels(voxels, header, path)
    source = Source(options.case, "nifti", geometry, {"voxel_type": str(dtype)})
    return volume_from_array(
        raw.reshape(shape, order="F"),
        source,
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        findings=findings,
    )


def grid_of_header(header: nibabel.Nifti1Header, name: str) -> tuple[Geometry, tuple[Finding, ...]]:
    """The grid of a NIfTI header: sform where valid, else qform, else the bare voxel sizes.

    Args:
        header: NIfTI-1 or NIfTI-2 header.
        name: file name for messages.

    Returns:
        The grid in millimetres and what there is to say about it.

    Raises:
        InvalidGeometryError: none of the three describes a volume.
    """
    shape = spatial_shape(header.get_data_shape(), name)
    with border(Path(name), _KIND, *_ERRORS):
        scale, findings = _millimetres(header)
        sform, qform = header.get_sform(coded=True)[0], _qform(header)
    grids = [named for named in (("sform", sform), ("qform", qform)) if named[1] is not None]
    usable = [(label, grid) for label, affine in grids if (grid := _grid(shape, affine, scale)) is not None]
    if not usable:
        if grids:
            return named_grid(shape, _scaled(cast("NDArray[np.float64]", grids[0][1]), scale), name), findings
        sizes = np.array([*header["pixdim"][1:4], 1.0], dtype=np.float64)
        return named_grid(shape, _scaled(np.diag(np.abs(sizes)), scale), name), (*findings, _NO_ORIENTATION)
    if len(grids) == 2:
        findings = (*findings, *_disagreement(usable))
    return usable[0][1], findings


_NO_ORIENTATION = Finding(
    code="no-orientation",
    severity="warning",
    text="The file does not say how the scan lies in the patient (neither sform nor qform); "
    "the axes were taken as right, anterior, superior, so left and right lung may be swapped.",
    action="Convert the DICOM series again with a tool that writes the orientation.",
)


def _grid(shape: tuple[int, int, int], affine: NDArray[np.float64] | None, scale: float) -> Geometry | None:
    if affine is None:
        return None
    try:
        return Geometry(shape, _scaled(affine, scale))
    except InvalidGeometryError:
        return None


def _disagreement(usable: list[tuple[str, Geometry]]) -> tuple[Finding, ...]:
    if len(usable) == 1:
        other = "qform" if usable[0][0] == "sform" else "sform"
        text = f"The {other} of the file describes no volume; the {usable[0][0]} was used."
    elif usable[0][1].matches(usable[1][1], tolerance_mm=_DISAGREEMENT_MM):
        return ()
    else:
        text = "The file holds two different positions of the scan (sform and qform); the sform was used."
    action = "If left and right or the volumes look wrong, correct the header and run again."
    return (Finding(code="sform-qform-mismatch", severity="warning", text=text, action=action),)


def _millimetres(header: nibabel.Nifti1Header) -> tuple[float, tuple[Finding, ...]]:
    unit = header.get_xyzt_units()[0]
    scale = _MILLIMETRES.get(unit, 1.0)
    if scale == 1.0:
        return scale, ()
    text = f"The header gives lengths in {unit}s; they were converted to millimetres."
    return scale, (Finding(code="units-converted", severity="info", text=text),)


def _qform(header: nibabel.Nifti1Header) -> NDArray[np.float64] | None:
    """The qform affine; None where absent or, with a spacing of zero, meaningless."""
    if int(header["qform_code"]) <= 0:
        return None
    try:
        return cast("NDArray[np.float64]", header.get_qform(coded=False))
    except (HeaderDataError, ValueError):
        return None


def _scaled(affine: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    return np.asarray(np.diag([scale, scale, scale, 1.0]) @ affine)


def _read_header(stream: IO[bytes], path: Path) -> tuple[nibabel.Nifti1Header, bool]:
    """The header, and whether the voxels follow in the same file.

    Parsed without nibabel's repairs: it would silently turn a spacing of 0 into 1 mm.
    """
    with border(path, _KIND, *_ERRORS), LoggingOutputSuppressor():
        start = stream.read(_HEADER_BYTES[2])
        sizes = {int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")}
        version = 2 if _HEADER_BYTES[2] in sizes else 1
        if len(start) < _HEADER_BYTES[version]:
            raise EOFError("the header is cut off")
        kind = nibabel.Nifti2Header if version == 2 else nibabel.Nifti1Header
        header = kind(start[: _HEADER_BYTES[version]], check=False)
        magic = bytes(header["magic"].item())
        known = int(header["datatype"]) in nibabel.nifti1.data_type_codes.value_set()
    if not magic.startswith((b"n+", b"ni")):
        raise UnsupportedFormatError(
            f"{path.name}: an Analyze 7.5 header, which cannot say left from right; expected NIfTI; convert the scan"
        )
    if not known:
        raise UnreadableFileError(f"{path.name}: the NIfTI header names an unknown voxel type; export the scan again")
    return header, magic.startswith(b"n+")


def _read_voxels(stream: IO[bytes], header: nibabel.Nifti1Header, path: Path) -> NDArray[Any]:
    with border(path, _KIND, *_ERRORS):
        dtype = header.get_data_dtype()
        count = int(np.prod(header.get_data_shape(), dtype=np.int64))
        offset = int(header["vox_offset"])
        stream.seek(max(offset, 0))
        data = stream.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise UnreadableFileError(
            f"{path.name}: the file holds {len(data):,} bytes of voxels; its header promises "
            f"{count * dtype.itemsize:,}; the copy is incomplete, copy or export it again"
        )
    return np.frombuffer(data, dtype=dtype)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with border(path, _KIND):
        file = path.open("rb")
    with file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
            return
        with unpacking(file) as unpacked:
            yield unpacked


def _header_path(path: Path) -> Path:
    return path.with_suffix(".hdr") if path.suffix.lower() == ".img" else path


def _voxel_path(path: Path) -> Path:
    return path.with_suffix(".img") if path.suffix.lower() == ".hdr" else path
