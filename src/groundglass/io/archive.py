"""ZIP archives: checked, unpacked into a temporary folder, and gone afterwards."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from groundglass.errors import InputTooLargeError, UnreadableFileError, UnsafeArchiveError, UnsupportedFormatError
from groundglass.io.border import border
from groundglass.settings import Settings

_KIND = "ZIP archive"
_CHUNK = 1 << 20
_SUSPICIOUS_RATIO = 400
_SUSPICIOUS_BYTES = 1 << 30
_ENCRYPTED = 0x1


@contextmanager
def unpacked(path: Path, settings: Settings) -> Iterator[Path]:
    """Unpack a ZIP archive for as long as the context lasts.

    Hidden files, `__MACOSX` and archives inside the archive are left out.

    Args:
        path: the archive.
        settings: limits on the number of files and the unpacked size.

    Yields:
        A temporary folder with the files.

    Raises:
        UnsafeArchiveError: a path outside the archive, a link, two files of one name, or an absurd unpacked size.
        InputTooLargeError: too many files.
        UnreadableFileError: damaged, encrypted or empty.
        UnsupportedFormatError: packed with a method that is not read.
    """
    folder = Path(tempfile.mkdtemp(prefix="groundglass-"))
    try:
        with border(path, _KIND, zipfile.BadZipFile, zipfile.LargeZipFile):
            archive = zipfile.ZipFile(path)
        with archive:
            members = _checked_members(archive, path.name, settings)
            _extract(archive, members, folder, path=path, limit=settings.max_archive_bytes)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _checked_members(archive: zipfile.ZipFile, name: str, settings: Settings) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    if len(members) > settings.max_files:
        raise InputTooLargeError(
            f"{name}: {len(members):,} files in the archive; at most {settings.max_files:,} are read; "
            "give an archive of one scan"
        )
    for member in members:
        _require_safe_path(member, name)
    declared = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    if declared > settings.max_archive_bytes:
        raise _too_large(name, declared, settings.max_archive_bytes)
    if declared > _SUSPICIOUS_BYTES and declared / packed > _SUSPICIOUS_RATIO:
        raise UnsafeArchiveError(
            f"{name}: the archive unpacks to {declared / packed:.0f} times its size ({declared / 1e9:.1f} GB), as no "
            "scan does; unpack it yourself and give the folder if you trust it"
        )
    files = [member for member in members if not member.is_dir() and not _ignored(member.filename)]
    if not files:
        raise UnreadableFileError(f"{name}: no file in the archive; expected a scan or pictures; pack it again")
    if any(member.flag_bits & _ENCRYPTED for member in files):
        raise UnreadableFileError(f"{name}: the archive is encrypted; unpack it with its password, give the folder")
    return files


def _require_safe_path(member: zipfile.ZipInfo, name: str) -> None:
    inside = member.filename.replace("\\", "/")
    path = PurePosixPath(inside)
    if path.is_absolute() or ".." in path.parts or (len(inside) > 1 and inside[1] == ":"):
        raise UnsafeArchiveError(
            f"{name}: a file in the archive would be written outside its folder ({member.filename[:80]!r}); "
            "the archive is damaged or hostile, do not open it"
        )
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UnsafeArchiveError(
            f"{name}: the archive holds a link ({member.filename[:80]!r}); expected files only; "
            "pack the files themselves"
        )


def _ignored(filename: str) -> bool:
    parts = PurePosixPath(filename.replace("\\", "/")).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or filename.lower().endswith(".zip")


def _extract(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], folder: Path, *, path: Path, limit: int) -> None:
    written = 0
    for member in members:
        target = folder / PurePosixPath(member.filename.replace("\\", "/"))
        with border(path, _KIND, zipfile.BadZipFile):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, target.open("xb") as file:
                    while chunk := packed.read(_CHUNK):
                        written += len(chunk)
                        if written > limit:
                            raise _too_large(path.name, written, limit)
                        file.write(chunk)
            except FileExistsError:
                raise UnsafeArchiveError(
                    f"{path.name}: two files of one name in the archive ({member.filename[:80]!r}); pack it again"
                ) from None
            except NotImplementedError:
                raise UnsupportedFormatError(
                    f"{path.name}: the archive is packed with a method that is not read; pack it again as plain ZIP"
                ) from None


def _too_large(name: str, size: int, limit: int) -> UnsafeArchiveError:
    return UnsafeArchiveError(
        f"{name}: the archive unpacks to {size / 1e9:.1f} GB or more; at most {limit / 1e9:.1f} GB are unpacked; "
        "give an archive of one scan, or raise GROUNDGLASS_MAX_ARCHIVE_BYTES"
    )
