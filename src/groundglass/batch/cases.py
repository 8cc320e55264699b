"""Cases of a batch and their names."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

from groundglass.io.options import case_name


@dataclass(frozen=True, slots=True)
class Case:
    """One scan of a batch.

    Attributes:
        path: absolute path of the file or folder, or an address such as `s3://bucket/scan.nii.gz`.
        members: the files of the scan relative to the folder `path`; empty where all of `path` is the scan.
        part: tells scans of one path apart, e.g. a DICOM series UID; empty where the path is one scan.
        suggestion: the name that a user would expect.
        name: unique name of the output folder; empty until given by `named`.
    """

    path: str
    members: tuple[str, ...] = ()
    part: str = ""
    suggestion: str = ""
    name: str = ""

    @property
    def identity(self) -> str:
        """Tells this case from all others, whatever it is called and whenever it was found."""
        return hashlib.sha256(f"{self.path}\0{self.part}".encode()).hexdigest()[:32]


def suggested(path: str, series: str = "") -> str:
    """A name from the last part of a path or address, with the number of the series where one is given."""
    name = case_name(_pure(path))
    return f"{name}-series{series}" if series else name


def unique_names(cases: Sequence[Case], taken: Collection[str], *, anonymous: bool = False) -> list[str]:
    """Names for cases; the same cases get the same names in whatever order they were found.

    A name that several cases would have gets the name of the folder in front; where that is not enough, the beginning
    of the case's identity behind. Upper and lower case count as the same, as they do on some disks.

    Args:
        cases: cases without a name.
        taken: names that are in use.
        anonymous: name cases after their identity alone, so that no file name shows.
    """
    marks = [case.identity[:8] for case in cases]
    if anonymous:
        return [f"case-{mark}" for mark in marks]
    used = {name.casefold() for name in taken}
    names = [case.suggestion or suggested(case.path) for case in cases]
    for widen in (_with_folder, _with_mark):
        counts = Counter(name.casefold() for name in names)
        names = [
            widen(case, name) if counts[name.casefold()] > 1 or name.casefold() in used else name
            for case, name in zip(cases, names, strict=True)
        ]
    return names


def _with_folder(case: Case, name: str) -> str:
    folder = _pure(case.path).parent.name
    return f"{case_name(PurePosixPath(folder))}-{name}" if folder else name


def _with_mark(case: Case, name: str) -> str:
    return f"{name}-{case.identity[:8]}"


def _pure(path: str) -> PurePosixPath | PureWindowsPath:
    return PureWindowsPath(path) if "\\" in path and "://" not in path else PurePosixPath(path)
