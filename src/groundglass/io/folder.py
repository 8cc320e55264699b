"""What a folder holds: every file once, links followed but never in circles."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from groundglass.errors import InputError, InputTooLargeError, UnreadableFileError, UnsupportedFormatError
from groundglass.finding import Finding
from groundglass.io.border import SUPPORTED, counted
from groundglass.io.sniff import Kind, sniff
from groundglass.settings import Settings

_DICOM_SUFFIXES = {".dcm", ".ima", ".dicom"}
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class FolderContent:
    """The files of a folder by kind.

    Attributes:
        files: kind -> files, in walking order.
        unreadable: files that should be images by their name, but are not readable as such.
        other: how many files of other kinds were seen.
    """

    files: dict[Kind, list[Path]]
    unreadable: tuple[Path, ...]
    other: int

    def of(self, *kinds: Kind) -> list[Path]:
        """The files of some kinds."""
        return [path for kind in kinds for path in self.files.get(kind, [])]


def natural_order(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key that puts `slice2.png` before `slice10.png`."""
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in _DIGITS.split(path.name)]
    return parts, str(path)


def look_into(folder: Path, settings: Settings) -> FolderContent:
    """Sniff every file under a folder; hidden files and `DICOMDIR` are left out.

    Raises:
        InputTooLargeError: more files than `settings.max_files`.
        UnreadableFileError: the folder may not be opened.
    """
    return sort_files(walk(folder, settings.max_files))


def sort_files(paths: Iterable[Path]) -> FolderContent:
    """Sniff files, in the order given."""
    files: dict[Kind, list[Path]] = defaultdict(list)
    unreadable: list[Path] = []
    other = 0
    for path in paths:
        try:
            kind = sniff(path).kind
        except InputError:
            kind = "broken"
        if kind in {"unknown", "empty", "broken"}:
            promised = kind == "broken" or path.suffix.lower() in _DICOM_SUFFIXES
            unreadable += [path] if promised else []
            other += not promised
        else:
            files[kind].append(path)
    return FolderContent(dict(files), tuple(unreadable), other)


def pictures_of_one_folder(pictures: list[Path], root: Path, name: str) -> tuple[list[Path], tuple[Finding, ...]]:
    """The pictures that make up one case: those at the top, else those of the only folder that has any.

    Raises:
        UnsupportedFormatError: pictures in several folders and none at the top.
    """
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in pictures:
        by_folder[path.parent].append(path)
    if len(by_folder) == 1:
        return pictures, ()
    if root not in by_folder:
        names = ", ".join(sorted(folder.name for folder in by_folder)[:5])
        raise UnsupportedFormatError(
            f"{name}: pictures in {len(by_folder)} folders ({names}); expected one folder per case; give one of them"
        )
    text = f"{counted(len(pictures) - len(by_folder[root]), 'picture')} in folders inside this folder left out."
    return by_folder[root], (Finding(code="subfolders-left-out", severity="info", text=text),)


def nothing_readable(name: str, content: FolderContent) -> InputError:
    """The error for a folder or archive without an image."""
    if content.unreadable:
        shown = ", ".join(path.name for path in content.unreadable[:5])
        return UnreadableFileError(
            f"{name}: {counted(len(content.unreadable), 'file')} could not be read as images ({shown}); "
            f"expected {SUPPORTED}; they may be damaged or encrypted, copy or export them again"
        )
    found = f"{counted(content.other, 'file')}, no image among them" if content.other else "no file at all"
    return UnsupportedFormatError(f"{name}: {found}; expected {SUPPORTED}")


def walk(folder: Path, limit: int, *, leave_out: str = "") -> list[Path]:
    """All files that are not hidden; a folder reached twice through links is entered once.

    Args:
        folder: where to begin.
        limit: most files.
        leave_out: a folder that holds a file of this name is not entered.

    Raises:
        InputTooLargeError: more files than `limit`.
        UnreadableFileError: a folder may not be opened.
    """
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()

    def _refuse(error: OSError) -> None:
        raise UnreadableFileError(
            f"{Path(error.filename or folder).name}: the folder cannot be opened; expected a readable folder; "
            "change its permissions"
        ) from error

    for here, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen or (leave_out and leave_out in names):
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        candidates = (Path(here) / name for name in sorted(names) if not name.startswith(".") and name != "DICOMDIR")
        found += [path for path in candidates if path.is_file()]
        if len(found) > limit:
            raise InputTooLargeError(
                f"{folder.name}: more than {limit:,} files; expected the folder of one scan; give a smaller folder"
            )
    return found
