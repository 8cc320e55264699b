"""The door for files: any path becomes a `CTVolume` or a `PictureSet`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groundglass.errors import InputNotFoundError, OptionError, UnsupportedFormatError
from groundglass.io.border import border, enough_memory
from groundglass.io.folder import FolderContent, look_into, nothing_readable, pictures_of_one_folder, sort_files
from groundglass.io.options import ReadOptions, case_name
from groundglass.io.sniff import Kind, refuse, sniff
from groundglass.progress import Progress, silent
from groundglass.settings import Settings
from groundglass.volume import CTVolume, PictureSet

if TYPE_CHECKING:
    from groundglass.io.dicom_series import SeriesInfo

_VOLUME_FILES: tuple[Kind, ...] = ("nifti", "mha", "nrrd")


@dataclass(frozen=True, slots=True)
class ScanFiles:
    """One scan among many: where it lies, which files are its own, and what it is called.

    Attributes:
        path: file or folder.
        case: name for the output folder.
        members: the files of the scan, relative to the folder `path`; empty where all of `path` is the scan.
    """

    path: Path
    case: str
    members: tuple[str, ...] = ()


def read_input(
    path: str | Path,
    *,
    series: str | None = None,
    allow_irregular: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> CTVolume | PictureSet:
    """Read a scan or pictures; the content decides how, not the name.

    Args:
        path: NIfTI, MetaImage, NRRD, a DICOM file, folder or ZIP, a PNG or JPEG picture or a folder of them.
        series: which DICOM series, by its number or the ending of its UID; None takes the only one that fits.
        allow_irregular: interpolate DICOM slices that are missing or unevenly spaced.
        settings: limits; from the environment when None.
        progress: called with ("read", done, total).

    Returns:
        A volume in HU (as far as the file says), or pictures.

    Raises:
        InputError: one of its kinds; the message says what was found and what to do.
        OptionError: `series` given for an input that is not DICOM.
    """
    location = _existing(path)
    limits = settings or Settings.from_environment()
    options = ReadOptions(case_name(location), series, allow_irregular, limits, progress or silent)
    with enough_memory(location):
        return _read(location, options)


def read_scan_files(
    scan: ScanFiles,
    *,
    series: str | None = None,
    allow_irregular: bool = False,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> CTVolume | PictureSet:
    """Read one scan among many, see `read_input` for the rest.

    Raises:
        InputError: one of its kinds; the message says what was found and what to do.
        OptionError: `series` given for an input that is not DICOM.
    """
    location = _existing(scan.path)
    limits = settings or Settings.from_environment()
    options = ReadOptions(scan.case, series, allow_irregular, limits, progress or silent)
    with enough_memory(location):
        if not scan.members:
            return _read(location, options)
        content = sort_files([location / member for member in scan.members])
        return _read_content(content, location, location.name, options)


def list_series(path: str | Path, *, settings: Settings | None = None) -> list[SeriesInfo]:
    """The DICOM series of a file, folder or ZIP, whether they can be analyzed or not.

    Args:
        path: DICOM file, folder or ZIP.
        settings: limits; from the environment when None.

    Raises:
        InputError: no DICOM there, or nothing readable.
    """
    from groundglass.io.archive import unpacked
    from groundglass.io.dicom import describe_series

    location = _existing(path)
    limits = settings or Settings.from_environment()
    if location.is_dir():
        return describe_series(look_into(location, limits).of("dicom"), location.name)
    if sniff(location).kind == "zip":
        with unpacked(location, limits) as folder:
            return describe_series(look_into(folder, limits).of("dicom"), location.name)
    return describe_series([location], location.name)


def _existing(path: str | Path) -> Path:
    location = Path(path).expanduser()
    with border(location, "file or folder"):
        if not location.exists():
            raise InputNotFoundError(f"{path}: no such file or folder; check the path")
        if not (location.is_dir() or location.is_file()):
            raise UnsupportedFormatError(f"{path}: neither a file nor a folder; expected an image file or a folder")
    # The index of a DICOM disk stands for the disk.
    return location.absolute().parent if location.name.upper() == "DICOMDIR" else location


def _read(location: Path, options: ReadOptions) -> CTVolume | PictureSet:
    if location.is_dir():
        return _read_folder(location, location.name or str(location), options)
    found = sniff(location)
    if found.kind == "zip":
        from groundglass.io.archive import unpacked

        with unpacked(location, options.settings) as folder:
            return _read_folder(folder, location.name, options)
    if found.kind in {"unknown", "empty", "broken"}:
        raise refuse(location, found)
    return _read_file(location, found.kind, options)


def _read_file(path: Path, kind: Kind, options: ReadOptions) -> CTVolume | PictureSet:
    if kind == "dicom":
        from groundglass.io.dicom import read_dicom

        return read_dicom([path], path.name, options)
    if options.series is not None:
        raise OptionError(f"a series was asked for ({options.series}), but {path.name} is not DICOM; leave it out")
    if kind == "picture":
        from groundglass.io.raster import read_picture

        return read_picture(path, options)
    if kind == "nifti":
        from groundglass.io.nifti import read_nifti

        return read_nifti(path, options)
    if kind == "mha":
        from groundglass.io.metaimage import read_metaimage

        return read_metaimage(path, options)
    from groundglass.io.nrrd import read_nrrd

    return read_nrrd(path, options)


def _read_folder(folder: Path, name: str, options: ReadOptions) -> CTVolume | PictureSet:
    return _read_content(look_into(folder, options.settings), folder, name, options)


def _read_content(content: FolderContent, folder: Path, name: str, options: ReadOptions) -> CTVolume | PictureSet:
    if dicom := content.of("dicom"):
        from groundglass.io.dicom import read_dicom

        return read_dicom(dicom, name, options, unreadable=content.unreadable)
    if volumes := _headers_only(content):
        if len(volumes) > 1:
            names = ", ".join(sorted(path.name for path in volumes)[:5])
            raise UnsupportedFormatError(
                f"{name}: {len(volumes)} volumes ({names}); expected one scan; give one of them, or all to `batch`"
            )
        return _read_file(volumes[0], sniff(volumes[0]).kind, options)
    if pictures := content.of("picture"):
        from groundglass.io.raster import read_pictures

        if options.series is not None:
            raise OptionError(f"a series was asked for ({options.series}), but {name} holds pictures; leave it out")
        chosen, findings = pictures_of_one_folder(pictures, folder, name)
        return read_pictures(chosen, options, findings)
    raise nothing_readable(name, content)


def _headers_only(content: FolderContent) -> list[Path]:
    """The volume files of a folder, an `.hdr` + `.img` pair counted once."""
    return [path for path in content.of(*_VOLUME_FILES) if path.suffix.lower() != ".img"]
