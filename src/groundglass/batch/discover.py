"""Which scans there are: in folders, behind patterns, in lists and on DICOM disks."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from groundglass.batch.cases import Case, suggested
from groundglass.batch.manifest import is_manifest, read_manifest
from groundglass.batch.remote import is_remote, remote_cases
from groundglass.errors import InputError, InputNotFoundError
from groundglass.io.border import counted
from groundglass.io.folder import walk
from groundglass.io.sniff import Kind, sniff
from groundglass.io.write import MARKER
from groundglass.settings import Settings

MOST_FILES = 10_000_000
_VOLUMES: tuple[Kind, ...] = ("nifti", "mha", "nrrd", "zip")
_IMAGE_NAMES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".zip", ".img")


@dataclass(slots=True)
class Discovery:
    """What was found.

    Attributes:
        cases: every scan once, without names.
        left_out: what was seen and is no case of its own, in plain words.
    """

    cases: dict[str, Case] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def add(self, cases: Iterable[Case]) -> None:
        """Take cases in; one that is known already stays as it is."""
        for case in cases:
            self.cases.setdefault(case.identity, case)


def discover(inputs: Iterable[str], *, settings: Settings | None = None) -> Discovery:
    """Find all scans.

    A folder is searched with everything below it: every volume file, ZIP archive, usable DICOM series and folder of
    pictures is a case. Finished results of this program are not entered. What was named but cannot be read is a case
    too, so that it is listed as a failure.

    Args:
        inputs: files, folders, patterns (`scans/*.nii.gz`, `**` for any depth), `DICOMDIR` files, CSV lists (see
            `read_manifest`) or addresses that fsspec knows (`s3://...`).
        settings: limits; the environment's when None.

    Raises:
        InputNotFoundError: a path that is not there, a pattern that nothing matches, or no scan at all.
        InputError: a list that cannot be read.
    """
    limits = replace(settings or Settings.from_environment(), max_files=MOST_FILES)
    found = Discovery()
    for text in inputs:
        if is_remote(text):
            found.add(remote_cases(text))
            continue
        for path in _expanded(text):
            _look_at(path, found, limits)
    if not found.cases:
        seen = f" ({'; '.join(found.left_out[:3])})" if found.left_out else ""
        raise InputNotFoundError(f"no scan found in {', '.join(inputs)}{seen}; check the paths")
    return found


def _expanded(text: str) -> list[Path]:
    path = Path(text).expanduser()
    if path.exists():
        return [path.absolute()]
    if glob.has_magic(text):
        matches = sorted(glob.glob(os.path.expanduser(text), recursive=True))
        if matches:
            return [Path(match).absolute() for match in matches]
        raise InputNotFoundError(f"{text}: nothing matches this pattern; check the path, and quote the pattern")
    raise InputNotFoundError(f"{text}: no such file or folder; check the path")


def _look_at(path: Path, found: Discovery, limits: Settings) -> None:
    if is_manifest(path):
        found.add(read_manifest(path))
    elif path.is_dir() or path.name.upper() == "DICOMDIR":
        folder = path if path.is_dir() else path.parent
        _look_into(folder, found, limits)
    else:
        found.add([Case(str(path), suggestion=suggested(str(path)))])


def _look_into(folder: Path, found: Discovery, limits: Settings) -> None:
    files = walk(folder, limits.max_files, leave_out=MARKER)
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    dicom: list[Path] = []
    for path in files:
        kind = _kind(path)
        if kind == "dicom":
            dicom.append(path)
        elif kind in _VOLUMES or (kind in {"broken", "empty"} and path.name.lower().endswith(_IMAGE_NAMES)):
            if path.suffix.lower() != ".img":
                found.add([Case(str(path), suggestion=suggested(str(path)))])
                by_folder[path.parent] = []
        elif kind == "picture":
            by_folder[path.parent].append(path)
    with_scans = {path.parent for path in dicom} | {Path(case.path).parent for case in found.cases.values()}
    found.add(_series_cases(folder, dicom, files, found.left_out))
    for place, pictures in by_folder.items():
        if pictures and place not in with_scans:
            members = tuple(path.name for path in pictures)
            found.add([Case(str(place), members, "pictures", suggested(str(place)))])
        elif pictures:
            found.left_out.append(f"{place.name}: {counted(len(pictures), 'picture')} beside scans")


def _kind(path: Path) -> Kind:
    try:
        return sniff(path).kind
    except InputError:
        return "broken"


def _series_cases(root: Path, dicom: list[Path], files: list[Path], left_out: list[str]) -> Iterator[Case]:
    """One case per usable series; files of a folder that should be DICOM and are not go with its only series."""
    if not dicom:
        return
    from groundglass.batch.dicom_tree import series_of_tree

    readable = set(dicom)
    damaged: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        if path not in readable and path.suffix.lower() in {".dcm", ".ima", ".dicom"}:
            damaged[path.parent].append(path)
    tree = series_of_tree(root, dicom, left_out)
    per_folder: dict[Path, int] = defaultdict(int)
    for item in tree:
        per_folder[item.folder] += 1
    for item in tree:
        alone = per_folder[item.folder] == 1
        members = [*item.files, *(damaged[item.folder] if alone else ())]
        names = tuple(sorted(path.relative_to(item.folder).as_posix() for path in members))
        yield Case(str(item.folder), names, item.part, suggested(str(item.folder), "" if alone else item.key))
