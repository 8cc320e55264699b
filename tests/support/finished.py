"""Finished analyses of a small made-up chest on any grid, without a network, and the DICOM series behind them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import Analysis, ModelRecord, RunRecord
from groundglass.io.read import read_input
from groundglass.measure import measure
from groundglass.models.catalog import load_card
from groundglass.pipeline import LABELS, volume_source
from groundglass.result import AnalysisResult
from groundglass.volume import INFECTION_NAMES, LUNG_NAMES, CTVolume, LabelMap
from tests.support.dicom import SeriesSpec, write_series

STUDY = "1.2.826.0.1.3680043.8.498.4711"
FRAME = "1.2.826.0.1.3680043.8.498.4712"
SECRETS = {
    "PatientName": "Zweistein^Albertine",
    "PatientID": "SECRET-0815",
    "PatientBirthDate": "19470311",
    "OtherPatientIDs": "HIDDEN-77",
    "AccessionNumber": "ACC-998877",
    "ReferringPhysicianName": "Quacksalber^Otto",
    "InstitutionName": "Hospital of Nowhere",
    "StudyDate": "20190213",
    "StudyTime": "131415",
    "StudyID": "ST-55",
}
"""Attributes that identify somebody, as planted in the input."""

SERIES = SeriesSpec(
    uid="1.2.826.0.1.3680043.8.498.4713",
    tags={**SECRETS, "StudyInstanceUID": STUDY, "FrameOfReferenceUID": FRAME, "PatientSex": "F"},
)

SHAPE = (60, 50, 24)
SPACING = (5.0, 5.2, 11.0)


@dataclass(frozen=True)
class Made:
    """A finished case and the series it came from."""

    folder: Path
    series: Path
    result: AnalysisResult


def grid(turn: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """RAS affine of the made-up chest, LPS order as in DICOM, with a rotation or shear `turn` (4x4) in front."""
    affine = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    affine[:3, 3] = (151.5, 133.25, -211.5)
    return affine if turn is None else turn @ affine


Labels = NDArray[np.uint8]


def chest(shape: tuple[int, ...], affine: NDArray[np.float64]) -> tuple[NDArray[np.int16], Labels, Labels]:
    """HU, lungs and infection (i, j, k): two unequal lungs, ground-glass low in the right one, consolidation in it."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).astype(float)
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3] - middle, -1, 0)
    right = ((x - 70) / 50) ** 2 + (y / 80) ** 2 + (z / 110) ** 2 < 1
    left = ((x + 65) / 40) ** 2 + ((y - 6) / 70) ** 2 + ((z - 8) / 95) ** 2 < 1
    ground_glass = right & (((x - 85) / 30) ** 2 + ((y + 30) / 25) ** 2 + ((z + 40) / 30) ** 2 < 1)
    dense = ground_glass & (z < -45)
    hu = np.full(shape, 30, np.int16)
    hu[right | left] = -840
    hu[ground_glass] = -520
    hu[dense] = -40
    lungs = right.astype(np.uint8) + 2 * left.astype(np.uint8)
    return hu, lungs, ground_glass.astype(np.uint8) + dense.astype(np.uint8)


def finished(
    folder: Path,
    *,
    affine: NDArray[np.float64] | None = None,
    shape: tuple[int, int, int] = SHAPE,
    spec: SeriesSpec = SERIES,
    allow_irregular: bool = False,
) -> Made:
    """Write the chest as a DICOM series, measure its true masks and save the case."""
    affine = grid() if affine is None else affine
    hu, lungs, infection = chest(shape, affine)
    series = write_series(folder / "scan", hu, affine, spec)
    volume = read_input(series, allow_irregular=allow_irregular)
    assert isinstance(volume, CTVolume)
    if volume.source.geometry.shape != shape or spec.skip:
        _, lungs, infection = chest(volume.source.geometry.shape, volume.source.geometry.affine)
    elif not np.allclose(volume.source.geometry.affine, affine, atol=1e-3):
        _, lungs, infection = chest(shape, volume.source.geometry.affine)
    result = record(volume, lungs, infection)
    return Made(result.save(folder / "out"), series, result)


def record(volume: CTVolume, lungs: NDArray[np.uint8], infection: NDArray[np.uint8], **changes: Any) -> AnalysisResult:
    """The result of an analysis that found these masks (in the axis order of the file)."""
    turn = volume.source.geometry.ras_order()
    lung_map, infection_map = (
        LabelMap(np.asfortranarray(turn.apply(labels)), volume.geometry, names, volume.source)
        for labels, names in ((lungs, LUNG_NAMES), (infection, INFECTION_NAMES))
    )
    card = load_card()
    analysis = Analysis(
        case=volume.source.case,
        source=volume_source(volume),
        measurements=measure(volume, lung_map, infection_map, subtype_method="hu-threshold"),
        classification=None,
        findings=list(volume.findings),
        labels=LABELS,
        run=RunRecord(
            groundglass="0.1.0",
            models=[ModelRecord(name=card.name, sha256=card.sha256)],
            options={"probability": False},
            seconds={"read": 1.0},
            peak_memory_mb=100.0,
            started="2026-11-21T11:06:12+00:00",
            python="3.11.2",
            platform="Linux x86_64",
            libraries={"numpy": "2.0"},
            precision="bf16",
        ),
    )
    return AnalysisResult(analysis.model_copy(update=changes), volume, lung_map, infection_map, None, card.licence)
