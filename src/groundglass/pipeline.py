"""The main job: the order of the stages and nothing else.

read -> check -> network -> classify -> lungs -> infection -> measure -> record
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from groundglass.analysis import Analysis, Measurements, SliceRecord, SourceRecord
from groundglass.check import check_lungs, check_picture_lungs, check_pictures, check_volume
from groundglass.errors import OptionError
from groundglass.finding import Finding
from groundglass.geometry import Vector3
from groundglass.inference.classify_scan import Judgement, classify_pictures, classify_volume
from groundglass.inference.infection import segment_infection, segment_infection_2d, subtype_method
from groundglass.inference.lungs import segment_lungs, segment_lungs_2d
from groundglass.inference.scan import Networks, picture_probabilities, scan_probabilities
from groundglass.io.convert import from_array, from_nibabel, from_simpleitk
from groundglass.io.labels import read_label_map, require_label_map
from groundglass.io.read import ScanFiles, read_input, read_scan_files
from groundglass.measure import check_measurements, measure, measure_pictures, with_interval, with_score_range
from groundglass.options import AnalysisOptions, with_model
from groundglass.progress import Progress, StageClock, silent
from groundglass.result import AnalysisResult, PictureResult
from groundglass.runrecord import run_record
from groundglass.settings import Settings
from groundglass.volume import INFECTION_NAMES, LUNG_NAMES, CTVolume, Heatmap, PictureSet

LABELS = {
    "lungs": {str(value): name for value, name in LUNG_NAMES.items()},
    "infection": {str(value): name for value, name in INFECTION_NAMES.items()},
}


@dataclass(frozen=True)
class DoctorReport:
    """What the input checks say.

    Attributes:
        case: name of the input.
        source: what was read.
        findings: remarks, the most serious first.
    """

    case: str
    source: SourceRecord
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        """Whether no finding forbids using the input."""
        return all(finding.severity != "error" for finding in self.findings)


def read(
    scan: str | Path | CTVolume | PictureSet | NDArray[Any] | Any,  # noqa: ANN401 - foreign image types
    *,
    spacing: Vector3 | None = None,
    affine: ArrayLike | None = None,
    options: AnalysisOptions | None = None,
    settings: Settings | None = None,
) -> CTVolume | PictureSet:
    """Read a scan or pictures from wherever they are.

    Args:
        scan: path (NIfTI, MHA, NRRD, DICOM folder, zip or file, PNG or JPG, folder of pictures), nibabel image,
            SimpleITK image, or numpy array (i, j, k) of Hounsfield units.
        spacing: for an array, millimetres along its axes, which then are the patient's right, anterior, superior.
        affine: for an array, 4x4 from index to RAS millimetres; instead of `spacing`.
        options: how to read a DICOM series.
        settings: limits; the environment's when None.

    Raises:
        InputError: the input cannot be used; the message says why.
        OptionError: an array without spacing and affine.
    """
    options = options or AnalysisOptions()
    if isinstance(scan, CTVolume | PictureSet):
        return scan
    if isinstance(scan, ScanFiles):
        return read_scan_files(scan, series=options.series, allow_irregular=options.allow_irregular, settings=settings)
    if isinstance(scan, str | Path):
        return read_input(Path(scan), series=options.series, allow_irregular=options.allow_irregular, settings=settings)
    if isinstance(scan, np.ndarray):
        return from_array(scan, spacing=spacing, affine=affine)
    if hasattr(scan, "GetDirection"):
        return from_simpleitk(scan)
    return from_nibabel(scan)


def doctor(
    scan: str | Path | CTVolume | PictureSet | NDArray[Any] | Any,  # noqa: ANN401 - foreign image types
    *,
    spacing: Vector3 | None = None,
    affine: ArrayLike | None = None,
    options: AnalysisOptions | None = None,
    settings: Settings | None = None,
) -> DoctorReport:
    """Check an input without running a network; arguments and errors as in `read`."""
    image = read(scan, spacing=spacing, affine=affine, options=options, settings=settings)
    if isinstance(image, PictureSet):
        findings = [*image.findings, *check_pictures(image)]
        findings += [finding for picture in image.slices for finding in picture.findings]
        return DoctorReport(image.case, picture_source(image), _by_severity(findings))
    checked, findings = check_volume(image)
    return DoctorReport(image.source.case, volume_source(checked), _by_severity([*image.findings, *findings]))


def analyze(
    scan: str | Path | CTVolume | PictureSet | NDArray[Any] | Any,  # noqa: ANN401 - foreign image types
    *,
    spacing: Vector3 | None = None,
    affine: ArrayLike | None = None,
    options: AnalysisOptions | None = None,
    settings: Settings | None = None,
    model: str | Path | None = None,
    networks: Networks | None = None,
    progress: Progress = silent,
) -> AnalysisResult | PictureResult:
    """Find lungs and infection in a chest CT and measure them.

    Args:
        scan: path, nibabel image, SimpleITK image, or array; see `read`.
        spacing: for an array, millimetres along its axes.
        affine: for an array, 4x4 from index to RAS millimetres.
        options: choices of this analysis.
        settings: limits and threads; the environment's when None.
        model: a network of your own instead of the shipped one: the folder of a finished training run, or an ONNX file
            with its card beside it. What it does not find, lungs or infection, comes from the shipped one.
        networks: loaded networks, to analyze many scans with one load.
        progress: called with (stage, done, total).

    Returns:
        `AnalysisResult` for a scan, `PictureResult` for pictures.

    Raises:
        InputError: the input cannot be used.
        ModelError: the network is missing, damaged or made for another task.
        OptionError: both a model and loaded networks.
    """
    options, settings = with_model(options, model), settings or Settings.from_environment()
    if networks is not None and model is not None:
        raise OptionError("both a model and loaded networks are given; expected one of them")
    if options.lobes is not None:
        require_label_map(options.lobes)
    run = _Run(options, settings, StageClock(progress), datetime.now(UTC))
    # The networks are compiled while the scan is read; what is left of it counts as "load network".
    with ThreadPoolExecutor(1, thread_name_prefix="networks") as helper:
        loading = helper.submit(lambda: networks or Networks.load(options, settings))
        with run.clock.stage("read"):
            image = read(scan, spacing=spacing, affine=affine, options=options, settings=settings)
        with run.clock.stage("load network"):
            networks = loading.result()
    if isinstance(image, PictureSet):
        return _analyze_pictures(image, networks, run)
    return _analyze_volume(image, networks, run)


@dataclass(frozen=True)
class _Run:
    options: AnalysisOptions
    settings: Settings
    clock: StageClock
    started: datetime


def _analyze_volume(volume: CTVolume, networks: Networks, run: _Run) -> AnalysisResult:
    findings = list(volume.findings)
    with run.clock.stage("check"):
        volume, found = check_volume(volume)
        findings += found
    with run.clock.stage("network") as step:
        channels = scan_probabilities(volume, networks.segmenter, progress=step, lung_segmenter=networks.lung_segmenter)
    with ThreadPoolExecutor(max_workers=1) as beside:  # classified while the lungs are cleaned up
        judging = beside.submit(classify_volume, volume, channels, networks.classifier) if networks.classifier else None
        with run.clock.stage("lungs"):
            lungs = segment_lungs(channels.lung, volume, threshold=networks.lung_threshold)
            findings += check_lungs(volume, lungs)
        with run.clock.stage("classify"):
            judged = judging.result() if judging else None
    infected, dense = channels.infection, channels.consolidation
    del channels  # the lung probability of a long scan takes as much memory as its labels
    with run.clock.stage("infection"):
        infection = segment_infection(infected, dense, volume, lungs, threshold=networks.infection_threshold)
    with run.clock.stage("measure"):
        lobes = None if run.options.lobes is None else read_label_map(run.options.lobes, volume.source.case, {})
        method = subtype_method(volume, by_network=dense is not None)
        measurements = measure(volume, lungs, infection, subtype_method=method, lobes=lobes)
        measurements = with_interval(measurements, [(infected, lungs.labels)], networks.involvement_interval)
        measurements = with_score_range(measurements)
        findings += check_measurements(measurements)
    probability = Heatmap(infected, volume.geometry, volume.source) if run.options.probability else None
    analysis = _record(volume.source.case, volume_source(volume), measurements, findings, networks, run)
    analysis = _with_classification(analysis, judged)
    attention = [] if judged is None or judged.classification.meaningless else judged.attention
    return AnalysisResult(analysis, volume, lungs, infection, probability, networks.licence, attention)


def _analyze_pictures(pictures: PictureSet, networks: Networks, run: _Run) -> PictureResult:
    with run.clock.stage("check"):
        findings = [*pictures.findings, *check_pictures(pictures)]
    with run.clock.stage("network") as step:
        channels = picture_probabilities(
            pictures, networks.segmenter, progress=step, lung_segmenter=networks.lung_segmenter
        )
    with run.clock.stage("lungs"):
        lungs = [segment_lungs_2d(one.lung, networks.lung_threshold) for one in channels]
    with run.clock.stage("infection"):
        infection = [
            segment_infection_2d(one.infection, one.consolidation, lung, networks.infection_threshold)
            for one, lung in zip(channels, lungs, strict=True)
        ]
    with run.clock.stage("measure"):
        pairs = list(zip(lungs, infection, strict=True))
        method = subtype_method(by_network=all(one.consolidation is not None for one in channels))
        slices = [
            _slice_record(picture.name, [*picture.findings], measure_pictures([pair], subtype_method=method), pair[0])
            for picture, pair in zip(pictures.slices, pairs, strict=True)
        ]
        parts = [(one.infection, lung) for one, lung in zip(channels, lungs, strict=True)]
        measurements = measure_pictures(pairs, subtype_method=method)
        measurements = with_interval(measurements, parts, networks.involvement_interval)
    findings += check_picture_lungs(pictures, [one.lung for one in channels])
    if not any(lung.any() for lung in lungs):
        findings.append(NO_LUNGS)
    judged = None
    if networks.classifier is not None:
        with run.clock.stage("classify"):
            judged = classify_pictures(pictures, channels, networks.classifier)
    analysis = _record(pictures.case, picture_source(pictures), measurements, findings, networks, run, slices)
    analysis = _with_classification(analysis, judged)
    probability = [one.infection for one in channels] if run.options.probability else None
    attention = [] if judged is None or judged.classification.meaningless else judged.attention
    return PictureResult(analysis, pictures, lungs, infection, probability, networks.licence, attention)


def _with_classification(analysis: Analysis, judged: Judgement | None) -> Analysis:
    """The record with the classifier's answer for the whole and for each picture."""
    if judged is None:
        return analysis
    slices = analysis.slices
    if slices is not None:
        pairs = zip(slices, judged.pictures, strict=True)
        slices = [one.model_copy(update={"classification": answer}) for one, answer in pairs]
    return analysis.model_copy(update={"classification": judged.classification, "slices": slices})


NO_LUNGS = Finding(
    code="no-lungs",
    severity="error",
    text="No lungs were found.",
    action="Check that this is a chest CT slice at the level of the lungs; the numbers mean nothing otherwise.",
)


def _slice_record(
    name: str, findings: list[Finding], measurements: Measurements, lung: NDArray[np.uint8]
) -> SliceRecord:
    if not lung.any():
        findings.append(NO_LUNGS)
    return SliceRecord(file=name, measurements=measurements, classification=None, findings=findings)


def _record(  # one argument per part of the record
    case: str,
    source: SourceRecord,
    measurements: Measurements,
    findings: list[Finding],
    networks: Networks,
    run: _Run,
    slices: list[SliceRecord] | None = None,
) -> Analysis:
    return Analysis(
        case=case,
        source=source,
        measurements=measurements,
        classification=None,
        findings=_by_severity(findings),
        slices=slices,
        labels=LABELS,
        run=run_record(run.options, run.clock.seconds, run.started, networks.records, networks.precision),
    )


def volume_source(volume: CTVolume) -> SourceRecord:
    """What was read, as it stands in the record: the grid of the file, not the reordered one."""
    grid = volume.source.geometry
    return SourceRecord(
        format=volume.source.format,
        shape=list(grid.shape),
        spacing_mm=[round(value, 6) for value in grid.spacing],
        orientation=grid.orientation,
        units=volume.units,
        details=dict(volume.source.details),
    )


def picture_source(pictures: PictureSet) -> SourceRecord:
    """What was read: the number of pictures and, where all share it, their size in rows and columns."""
    sizes = {picture.pixels.shape for picture in pictures.slices}
    size = list(sizes.pop()) if len(sizes) == 1 else []
    return SourceRecord(
        format="pictures",
        shape=[len(pictures.slices), *size],
        spacing_mm=None,
        orientation=None,
        units="grey",
    )


def _by_severity(findings: list[Finding]) -> list[Finding]:
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(dict.fromkeys(findings), key=lambda finding: order[finding.severity])
