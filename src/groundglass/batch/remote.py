"""Scans and results in object stores, through fsspec."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from groundglass.batch.cases import Case, suggested
from groundglass.errors import InputNotFoundError, OptionError, OutputError, UnreadableFileError

if TYPE_CHECKING:
    from types import ModuleType

_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")
_SINGLE = (".nii", ".nii.gz", ".mha", ".nrrd", ".zip")


def is_remote(text: str) -> bool:
    """Whether a text is an address (`s3://...`, `memory://...`) rather than a path."""
    return _ADDRESS.match(text) is not None


def remote_cases(address: str) -> Iterator[Case]:
    """The scans below an address: every volume file or archive, and every folder of other files.

    Raises:
        InputNotFoundError: nothing there.
        OptionError: fsspec is not installed.
    """
    system, root = _system(address)
    if system.isfile(root):
        yield Case(address, suggestion=suggested(address))
        return
    files = [str(name) for name in system.find(root)]
    if not files:
        raise InputNotFoundError(f"{address}: nothing found there; check the address")
    folders: dict[str, int] = defaultdict(int)
    for name in files:
        if name.lower().endswith(_SINGLE):
            yield Case(str(system.unstrip_protocol(name)), suggestion=suggested(name))
        elif not PurePosixPath(name).name.startswith("."):
            folders[str(PurePosixPath(name).parent)] += 1
    for folder in folders:
        yield Case(str(system.unstrip_protocol(folder)), suggestion=suggested(folder))


@contextmanager
def local_copy(path: str) -> Iterator[Path]:
    """A path on this machine for a path or an address; a copy is deleted afterwards.

    Raises:
        UnreadableFileError: it cannot be fetched.
    """
    if not is_remote(path):
        yield Path(path)
        return
    system, root = _system(path)
    with tempfile.TemporaryDirectory(prefix="groundglass-") as scratch:
        target = Path(scratch) / PurePosixPath(root).name
        try:
            system.get(root, str(target), recursive=not system.isfile(root))
        except (OSError, ValueError) as error:
            raise UnreadableFileError(f"{target.name}: it cannot be fetched ({type(error).__name__})") from error
        yield target


@contextmanager
def local_output(output: str) -> Iterator[Path]:
    """A folder on this machine for results; what was written into it goes to the address, `analysis.json` last.

    Raises:
        OutputError: it cannot be stored.
    """
    if not is_remote(output):
        yield Path(output)
        return
    system, root = _system(output)
    with tempfile.TemporaryDirectory(prefix="groundglass-") as scratch:
        yield Path(scratch)
        files = [path for path in Path(scratch).rglob("*") if path.is_file()]
        try:
            for path in sorted(files, key=lambda path: path.name == "analysis.json"):
                target = f"{root}/{path.relative_to(scratch).as_posix()}"
                system.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                system.put(str(path), target)
        except (OSError, ValueError) as error:
            raise OutputError(f"{output} cannot be written ({type(error).__name__}); check the address") from error


def stored_text(output: str, *parts: str) -> str | None:
    """The text of a small file below an output folder or address; None where it is not there."""
    if not is_remote(output):
        path = Path(output).joinpath(*parts)
        return path.read_text(encoding="utf-8") if path.is_file() else None
    system, root = _system(output)
    name = "/".join((root, *parts))
    return str(system.cat_file(name).decode()) if system.exists(name) else None


def _system(address: str) -> tuple[Any, str]:
    system, root = _fsspec().core.url_to_fs(address)
    return system, str(root)


def _fsspec() -> ModuleType:
    try:
        import fsspec
    except ImportError:
        raise OptionError("addresses such as s3:// need fsspec; install groundglass[ray]") from None
    module: ModuleType = fsspec
    return module
