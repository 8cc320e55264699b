"""Writing results so that a half-written one never carries a final name."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from groundglass.errors import OutputError
from groundglass.io.gzipped import packing
from groundglass.nifti_image import nifti_image
from groundglass.volume import Heatmap, LabelMap

if TYPE_CHECKING:
    import nibabel

MARKER = "analysis.json"
"""A folder with this file is a finished case, which a new result may replace."""

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EROFS: "the disk is read-only; choose another output folder",
    errno.EACCES: "no permission to write there; choose another output folder or change its permissions",
    errno.EPERM: "no permission to write there; choose another output folder or change its permissions",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another output folder",
    errno.EEXIST: "a file of that name is in the way; choose another output folder",
    errno.EISDIR: "a folder of that name is in the way; move it",
    errno.ENAMETOOLONG: "the name is too long for this disk; choose a shorter one",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an `OutputError` that names the target and what to do.

    Args:
        path: what is being written.

    Raises:
        OutputError: full disk, no permission, a file in the way, ...
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or type(error).__name__}; check the output folder")
        raise _failure(error.errno or errno.EIO, f"{path} cannot be written: {reason}") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears under its name only when it is complete and on disk.

    Args:
        path: final name; its folder must exist. A file of that name is replaced.

    Yields:
        The file to write to; after an exception nothing of it remains.

    Raises:
        OutputError: it cannot be written.
    """
    with writing(path):
        temporary = _hidden_name(path, "partial")
        file = temporary.open("xb")
        try:
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file at once; it is either there completely or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic_file(path) as file:
        file.write(data)


def write_nifti(volume: LabelMap | Heatmap, path: Path) -> None:
    """Write a label map or heat map as `.nii.gz` on the grid and affine of the input.

    Label names go into the description and, as JSON, into a comment extension of the header. A heat map is stored
    as 0..255 with a scale factor, so that readers show 0..1. The same volume always gives the same bytes.

    Args:
        volume: what to write.
        path: final name.

    Raises:
        OutputError: it cannot be written.
    """
    array = volume.on_source_grid()
    header = nifti_image(array, volume.source.geometry.affine).header
    if isinstance(volume, LabelMap):
        _describe_labels(header, volume)
    else:
        header.set_slope_inter(1.0 / 255.0, 0.0)
        header["descrip"] = b"probability, 0 to 1"
    header.set_data_dtype(np.uint8)
    header["vox_offset"] = _voxel_offset(header)
    with atomic_file(path) as file, packing(file) as stream:
        header.write_to(stream)
        stream.write(b"\0" * (int(header["vox_offset"]) - stream.tell()))
        for index in range(array.shape[2]):
            stream.write(array[:, :, index].tobytes(order="F"))


@contextmanager
def case_folder(output: Path, case: str, *, marker: str = MARKER) -> Iterator[tuple[Path, Path]]:
    """A folder that appears under its name only when everything in it is complete.

    A finished case of that name is replaced, and only then. A folder that is not such a case is never touched.

    Args:
        output: folder of all cases; made if needed.
        case: name of the folder inside.
        marker: file by which a finished case of the same kind is known.

    Yields:
        A hidden folder to write into, and the final `output/case`; after an exception nothing remains of the first.

    Raises:
        OutputError: it cannot be written, or something else is in the way.
    """
    final = output / case
    with writing(final):
        output.mkdir(parents=True, exist_ok=True)
        _require_replaceable(final, marker)
        partial = _hidden_name(final, "partial")
        partial.mkdir()
        try:
            yield partial, final
            _put_in_place(partial, final, marker)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def remove_leftovers(output: Path, case: str) -> None:
    """Clear what a process that was killed while it wrote a case has left in the output folder.

    A former result that had been set aside is put back where no new one took its place.

    Args:
        output: folder of all cases.
        case: name of the folder inside, which nobody writes any more.
    """
    final = output / case
    for purpose in ("former", "partial"):
        for path in sorted(output.glob(f".{escape(case[:80])}.{purpose}-*")):
            if purpose == "former" and not os.path.lexists(final):
                os.rename(path, final)
            else:
                shutil.rmtree(path, ignore_errors=True)


def check_output_folder(output: Path) -> None:
    """Find out before the work, and without leaving a trace, whether results can be written.

    Args:
        output: folder of all cases; it need not exist yet.

    Raises:
        OutputError: a file in the way, no permission, or a read-only disk.
    """
    with writing(output):
        nearest = next(path for path in (output.absolute(), *output.absolute().parents) if os.path.lexists(path))
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest))


def _describe_labels(header: nibabel.Nifti1Header, volume: LabelMap) -> None:
    import nibabel

    names = {str(value): name for value, name in volume.names.items()}
    header["descrip"] = ", ".join(f"{value}={name}" for value, name in names.items()).encode()[:79]
    header.set_intent("label")
    note = json.dumps({"labels": names}).encode()
    header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", note))


def _voxel_offset(header: nibabel.Nifti1Header) -> int:
    """Header, extension flag and extensions, rounded up to 16 bytes."""
    size = 352 + sum(int(extension.get_sizeondisk()) for extension in header.extensions)
    return -(-size // 16) * 16


def _require_replaceable(final: Path, marker: str) -> None:
    if not os.path.lexists(final):
        return
    if final.is_dir() and not final.is_symlink() and ((final / marker).is_file() or not any(final.iterdir())):
        return
    raise _failure(
        errno.EEXIST,
        f"{final} exists and is not a finished {Path(marker).stem} (no {marker} in it), so it is left alone; "
        "choose another output folder or move it away",
    )


def _put_in_place(partial: Path, final: Path, marker: str) -> None:
    """Rename into place; the former result is set aside first and put back if the renaming fails."""
    if not os.path.lexists(final):
        os.rename(partial, final)
        return
    _require_replaceable(final, marker)
    former = _hidden_name(final, "former")
    os.rename(final, former)
    try:
        os.rename(partial, final)
    except OSError:
        os.rename(former, final)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _failure(code: int, message: str) -> OutputError:
    """An `OutputError` whose text is the message alone, without the `[Errno ...]` that `OSError` puts before it."""
    failure = OutputError(message)
    failure.errno = code
    return failure


def _hidden_name(path: Path, purpose: str) -> Path:
    """A fresh name in the same folder, `.<name>.<purpose>-<random>`, so that renaming stays on one disk."""
    return path.with_name(f".{path.name[:80]}.{purpose}-{secrets.token_hex(4)}")
