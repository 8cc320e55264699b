"""From a finished analysis to the files that were asked for."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from groundglass import __version__
from groundglass.analysis import Analysis
from groundglass.errors import OptionError, UnsupportedFormatError
from groundglass.export.case import FinishedCase
from groundglass.export.codes import SEGMENTS, Segment, segments
from groundglass.export.images import write_nifti_masks, write_seg_nrrd
from groundglass.export.surfaces import SurfaceFormat, write_surfaces
from groundglass.io.sniff import sniff
from groundglass.io.write import atomic_write_bytes, writing
from groundglass.settings import Settings
from groundglass.volume import LabelMap

if TYPE_CHECKING:
    from groundglass.export.dicom_source import DicomSource

TARGETS = {
    "dicom-seg": "DICOM segmentation: lungs, ground-glass, consolidation",
    "dicom-sr": "DICOM structured report (TID 1500) of the measurements; writes the segmentation too",
    "dicom-pdf": "the PDF report inside DICOM",
    "dicom-sc": "pictures with outlines as DICOM secondary captures",
    "pdf": "the report as PDF",
    "nifti": "label maps with their names: lungs, infection, both in one",
    "seg-nrrd": "segmentation of 3D Slicer with names and colours",
    "stl": "surfaces, one file per label",
    "obj": "surfaces, one file per label",
    "glb": "surfaces in one coloured scene",
    "csv": "all measurements as one row of a table",
}
"""What can be made, and what it is."""

DICOM_TARGETS = ("dicom-seg", "dicom-sr", "dicom-pdf", "dicom-sc")
MASK_TARGETS = ("nifti", "seg-nrrd", "stl", "obj", "glb")
MANIFEST = "export.json"

TableWriter = Callable[[Analysis, Path], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """One file that was written.

    Attributes:
        target: what was asked for.
        path: the file.
    """

    target: str
    path: Path


def parse_targets(texts: Iterable[str]) -> tuple[str, ...]:
    """Targets from words that may hold several, separated by commas; each once, in the order of `TARGETS`.

    Raises:
        OptionError: none, or an unknown one.
    """
    wanted = [name.strip().lower() for text in texts for name in text.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in TARGETS]
    if unknown or not wanted:
        found = f"unknown: {', '.join(unknown)}" if unknown else "nothing to export to"
        raise OptionError(f"{found}; expected one or more of {', '.join(TARGETS)}, separated by commas")
    return tuple(name for name in TARGETS if name in wanted)


def require_exportable(scan: Path, targets: Sequence[str]) -> None:
    """Refuse before a scan is analyzed what could not be made of the result afterwards.

    Args:
        scan: the input of the analysis; a folder or archive may turn out to be of another format later.
        targets: keys of `TARGETS`.

    Raises:
        UnsupportedFormatError: pictures, which have no geometry, or DICOM results of another format.
    """
    kind = sniff(scan).kind if scan.is_file() else "unknown"
    if targets and kind == "picture":
        raise UnsupportedFormatError(f"{scan.name} is a picture, which has no geometry; expected a scan to export from")
    dicom = [target for target in targets if target in DICOM_TARGETS]
    if dicom and kind in ("nifti", "mha", "nrrd"):
        raise UnsupportedFormatError(
            f"{scan.name} is no DICOM; {', '.join(dicom)} need the study of a DICOM series to belong to, so analyze "
            "that series itself"
        )


def export_case(
    case: FinishedCase,
    targets: Sequence[str],
    folder: Path,
    *,
    source: Path | None = None,
    series: str | None = None,
    table: TableWriter | None = None,
    settings: Settings | None = None,
) -> list[Exported]:
    """Write a finished analysis in other formats.

    Args:
        case: the analysis.
        targets: keys of `TARGETS`.
        folder: where the files go; made if needed. `export.json` lists them.
        source: the DICOM series that was analyzed, for DICOM targets.
        series: its number or UID ending, where several series share the grid.
        table: writes one analysis as a table, for the target `csv`.
        settings: limits on reading the source.

    Returns:
        The files written.

    Raises:
        OptionError: an unknown target, no source for DICOM, or a library that is not installed.
        UnsupportedFormatError: DICOM from an analysis of another format.
        GeometryMismatchError: the source is not what was analyzed.
        OutputError: the folder cannot be written.
    """
    targets = parse_targets(targets)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written: list[Exported] = []
    if dicom := [target for target in targets if target in DICOM_TARGETS]:
        written += _export_dicom(case, dicom, folder, source, (series, settings))
    for target in targets:
        if target in MASK_TARGETS:
            paths = write_masks(target, case.lungs, case.infection, folder, chosen=segments(case.analysis))
            written += [Exported(target, path) for path in paths]
    if "pdf" in targets:
        path = folder / "report.pdf"
        atomic_write_bytes(path, _pdf(case))
        written.append(Exported("pdf", path))
    if "csv" in targets:
        path = folder / "measurements.csv"
        _table(table)(case.analysis, path)
        written.append(Exported("csv", path))
    write_manifest(written, folder, case=case.analysis.case)
    return written


def _table(writer: TableWriter | None) -> TableWriter:
    if writer is None:
        raise OptionError("csv needs a function that writes the table; the command line brings one")
    return writer


def export_segmentation(lungs: LabelMap, infection: LabelMap, targets: Sequence[str], folder: Path) -> list[Exported]:
    """Write label maps that were read from a segmentation in other formats.

    Raises:
        OptionError: a target that needs more than masks.
        OutputError: the folder cannot be written.
    """
    for target in (targets := parse_targets(targets)):
        if target not in MASK_TARGETS:
            raise OptionError(f"{target} needs a finished analysis; a segmentation gives {', '.join(MASK_TARGETS)}")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = [Exported(target, path) for target in targets for path in write_masks(target, lungs, infection, folder)]
    write_manifest(written, folder, case=lungs.source.case)
    return written


def write_masks(
    target: str, lungs: LabelMap, infection: LabelMap, folder: Path, *, chosen: tuple[Segment, ...] = SEGMENTS
) -> list[Path]:
    """Write label maps as one of `MASK_TARGETS`."""
    if target == "nifti":
        return write_nifti_masks(lungs, infection, chosen, folder)
    if target == "seg-nrrd":
        return write_seg_nrrd(lungs, infection, chosen, folder)
    return write_surfaces(lungs, infection, chosen, folder, cast(SurfaceFormat, target))


def write_manifest(written: Sequence[Exported], folder: Path, *, case: str) -> None:
    """List the files with their checksums in `export.json`; entries of files that are still there are kept."""
    path = folder / MANIFEST
    files: dict[str, dict[str, Any]] = {}
    if path.is_file():
        former = json.loads(path.read_text(encoding="utf-8")).get("files", [])
        files = {entry["file"]: entry for entry in former if (folder / entry["file"]).is_file()}
    for item in written:
        data = item.path.read_bytes()
        name = item.path.relative_to(folder).as_posix()
        files[name] = {
            "file": name,
            "target": item.target,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "groundglass": __version__,
        }
    record = {"case": case, "files": [files[name] for name in sorted(files)]}
    atomic_write_bytes(path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())


def _export_dicom(
    case: FinishedCase,
    targets: Sequence[str],
    folder: Path,
    source: Path | None,
    finding: tuple[str | None, Settings | None],
) -> list[Exported]:
    from groundglass.export.dicom_source import dicom_source

    if source is None:
        raise OptionError(
            f"{', '.join(targets)} must refer to the images that were analyzed; give their folder or ZIP with --source"
        )
    with dicom_source(source, case, series=finding[0], settings=finding[1]) as found:
        made = _datasets(case, targets, found)
        written = []
        for target, name, dataset in made:
            path = folder / name
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            stream = io.BytesIO()
            dataset.save_as(stream, enforce_file_format=True)
            atomic_write_bytes(path, stream.getvalue())
            written.append(Exported(target, path))
    return written


def _datasets(case: FinishedCase, targets: Sequence[str], source: DicomSource) -> list[tuple[str, str, Any]]:
    """(target, file name, dataset) of each instance."""
    made: list[tuple[str, str, Any]] = []
    if "dicom-seg" in targets or "dicom-sr" in targets:
        from groundglass.export.dicom_seg import segmentation

        seg = segmentation(case, source)
        made.append(("dicom-seg", "segmentation.dcm", seg))
        if "dicom-sr" in targets:
            from groundglass.export.dicom_sr import measurement_report

            made.append(("dicom-sr", "measurements.dcm", measurement_report(case, source, seg)))
    if "dicom-pdf" in targets:
        from groundglass.export.dicom_documents import encapsulated_pdf

        made.append(("dicom-pdf", "report.dcm", encapsulated_pdf(_pdf(case), source)))
    if "dicom-sc" in targets:
        from groundglass.export.dicom_documents import secondary_captures

        captures = secondary_captures(case, source)
        made += [("dicom-sc", f"overlays/{n:04d}.dcm", capture) for n, capture in enumerate(captures, start=1)]
    return made


def _pdf(case: FinishedCase) -> bytes:
    from groundglass.report.pdf import PdfPictures, pdf_report

    pictures = PdfPictures(overlay_png=case.overlay_png, attention_png=case.attention_png)
    return pdf_report(case.analysis, case.lungs, case.infection, pictures=pictures, licence=case.licence)
