"""A small made-up chest, its labels and a record of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from groundglass.analysis import (
    Analysis,
    DensityBand,
    HUHistogram,
    InfectionVolumes,
    Interval,
    Involvement,
    LungVolumes,
    Measurements,
    ModelRecord,
    RunRecord,
    SliceRecord,
    SourceRecord,
    Zone,
)
from groundglass.geometry import Geometry
from groundglass.volume import INFECTION_NAMES, LUNG_NAMES, CTVolume, LabelMap, PictureSet, Slice2D, Source

SHAPE = (90, 70, 30)
SPACING = (3.0, 4.0, 5.0)
LICENCE = "Training data allow non-commercial use only."


@dataclass(frozen=True)
class Case:
    """A scan with its labels."""

    volume: CTVolume
    lungs: LabelMap
    infection: LabelMap


def make_case(*, name: str = "case-1", lungs: bool = True, infected: bool = True) -> Case:
    """A body with two lungs; a posterior lesion in the right one, slices 9 to 12 from the feet, most of it in 12."""
    geometry = Geometry.from_spacing(SHAPE, SPACING, (-135.0, -140.0, -300.0))
    source = Source(name, "nifti", geometry, {"kernel": "B31f"})
    x, y, z = np.meshgrid(*[np.arange(size) for size in SHAPE], indexing="ij")
    body = ((x - 44.5) / 42) ** 2 + ((y - 34.5) / 30) ** 2 < 1
    right = ((x - 65) / 15) ** 2 + ((y - 36) / 20) ** 2 + ((z - 14) / 12) ** 2 < 1
    left = ((x - 24) / 13) ** 2 + ((y - 34) / 18) ** 2 + ((z - 16) / 11) ** 2 < 1
    lesion = right & (abs(x - 68) < 5) & (y < 30) & (z >= 9) & (z <= 12)
    values = np.where(body, 40.0, -1000.0).astype(np.float32)
    values[right | left] = -850.0
    values[lesion] = -500.0
    labels, marks = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    if lungs:
        labels[right], labels[left] = 1, 2
    if lungs and infected:
        marks[lesion] = 1
        marks[lesion & (z == 12)] = 2
    return Case(
        CTVolume(values, geometry, source),
        LabelMap(labels, geometry, LUNG_NAMES, source),
        LabelMap(marks, geometry, INFECTION_NAMES, source),
    )


def make_measurements() -> Measurements:
    """Plausible numbers of a scan."""
    names = [f"{side} {level}" for side in ("right", "left") for level in ("upper", "middle", "lower")]
    scores = [0, 1, 3, 0, 2, 4]
    shares = [0.0, 2.0, 31.5, 0.0, 12.25, 61.0]
    zones = [
        Zone(name=name, lung_ml=700.0, infection_ml=7 * share, percent=share, score=score)
        for name, share, score in zip(names, shares, scores, strict=True)
    ]
    return Measurements(
        lung_volume_ml=LungVolumes(total=4103.4, right=2203.4, left=1900.0),
        infection_volume_ml=InfectionVolumes(
            total=512.0, right=400.0, left=112.0, ground_glass=450.0, consolidation=62.0
        ),
        involvement_percent=Involvement(total=12.48, right=18.15, left=5.89),
        involvement_interval_percent=Interval(low=10.1, high=14.9),
        zones=zones,
        zonal_severity_score=10,
        mean_lung_hu=-790.4,
        mean_infection_hu=-433.0,
        hu_histogram=HUHistogram(edges=list(range(-1050, 251, 25)), counts=[place**2 % 97 for place in range(52)]),
        density_bands=[DensityBand(name="inflated", low_hu=-950, high_hu=-750, percent=70.0, ml=2872.4)],
        consolidation_share_percent=12.1,
        subtype_method="hu-threshold",
    )


def unknown_measurements(total: float | None = None) -> Measurements:
    """Numbers of a picture: a share at most."""
    return Measurements(
        lung_volume_ml=LungVolumes(total=None, right=None, left=None),
        infection_volume_ml=InfectionVolumes(total=None, right=None, left=None, ground_glass=None, consolidation=None),
        involvement_percent=Involvement(total=total, right=total, left=None),
        involvement_interval_percent=None,
        zones=[],
        zonal_severity_score=None,
        mean_lung_hu=None,
        mean_infection_hu=None,
        hu_histogram=None,
        density_bands=None,
        consolidation_share_percent=None,
        subtype_method=None,
    )


def make_analysis(**changes: object) -> Analysis:
    """A record of the made-up chest, with some keys changed."""
    analysis = Analysis(
        case="case-1",
        source=SourceRecord(
            format="nifti",
            shape=list(SHAPE),
            spacing_mm=list(SPACING),
            orientation="RAS",
            units="HU",
            details={"kernel": "B31f"},
        ),
        measurements=make_measurements(),
        classification=None,
        findings=[],
        labels={"lungs": {"1": "right lung", "2": "left lung"}},
        run=RunRecord(
            groundglass="9.8.7",
            models=[ModelRecord(name="lungs-infection", sha256="ab" * 32)],
            options={"probability": False},
            seconds={"read": 1.25, "segment": 4.5},
            peak_memory_mb=1234.5,
            started="2026-11-21T11:06:12+00:00",
            python="3.11.2",
            platform="Linux x86_64",
            libraries={"numpy": "2.0"},
            precision="bf16",
        ),
    )
    return analysis.model_copy(update=changes)


def make_pictures(count: int) -> tuple[PictureSet, list[np.ndarray], list[np.ndarray], Analysis]:
    """Pictures of growing infection, their labels and record; the last one holds no lung."""
    slices, lungs, infection, records = [], [], [], []
    for place in range(count):
        pixels = np.full((48, 64), 90, np.uint8)
        lung, mark = np.zeros_like(pixels), np.zeros_like(pixels)
        if place < count - 1 or count == 1:
            lung[10:40, 6:28], lung[10:40, 36:58] = 1, 2
            mark[12 : 14 + place, 10:20] = 1
        name = f"slice-{place:03d}.png"
        slices.append(Slice2D(pixels, name))
        lungs.append(lung)
        infection.append(mark)
        share = 100.0 * np.count_nonzero(mark) / np.count_nonzero(lung) if lung.any() else None
        records.append(
            SliceRecord(file=name, measurements=unknown_measurements(share), classification=None, findings=[])
        )
    source = SourceRecord(format="png", shape=[48, 64], spacing_mm=None, orientation=None, units="grey")
    analysis = make_analysis(case="set", source=source, measurements=unknown_measurements(7.5), slices=records)
    return PictureSet("set", tuple(slices)), lungs, infection, analysis


@pytest.fixture(scope="session")
def case() -> Case:
    return make_case()
