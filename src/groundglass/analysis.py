"""The record of one analysis: what `analysis.json` holds.

A number that cannot be known (Hounsfield units of an 8-bit picture, millilitres without spacing) is None, never
guessed. `SCHEMA_VERSION` changes its first figure when a key changes meaning or goes away.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from groundglass.finding import Finding

SCHEMA_VERSION = "1.1"

Label = Literal["COVID", "OtherPneumonia", "Normal"]
CLASS_NAMES: dict[Label, str] = {
    "COVID": "COVID-19 pneumonia",
    "OtherPneumonia": "another pneumonia",
    "Normal": "a normal lung",
}


class Record(BaseModel):
    """Base of all records: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecord(Record):
    """What was read. Shape, spacing and orientation are those of the input file; None for pictures."""

    format: str
    shape: list[int]
    spacing_mm: list[float] | None
    orientation: str | None
    units: Literal["HU", "grey"]
    details: dict[str, str] = Field(default_factory=dict)


class LungVolumes(Record):
    """Lung volumes in millilitres, infection included."""

    total: float | None
    right: float | None
    left: float | None


class InfectionVolumes(Record):
    """Infected volumes in millilitres, per lung and per kind."""

    total: float | None
    right: float | None
    left: float | None
    ground_glass: float | None
    consolidation: float | None


class Involvement(Record):
    """Infected share of the lung (lung including infection), percent; None where there is no lung."""

    total: float | None
    right: float | None
    left: float | None


class Interval(Record):
    """A range, in the units of what it belongs to.

    `coverage` is the share of new scans that it is meant to hold, 0..1; None where that was not fitted.
    """

    low: float
    high: float
    coverage: float | None = None


class Zone(Record):
    """One third (upper, middle, lower) of one lung, by the lung's own height.

    `score` is 0 without infection, 1 below 5 %, 2 from 5 to below 25 %, 3 from 25 to below 50 %, 4 from 50 %.
    `near_edge` says whether the score changes within the uncertainty of the involvement; None where that is not known.
    """

    name: str
    lung_ml: float | None
    infection_ml: float | None
    percent: float | None
    score: int | None = Field(ge=0, le=4)
    ground_glass_ml: float | None = None
    consolidation_ml: float | None = None
    near_edge: bool | None = None


class Lobe(Record):
    """One lobe of a lobe mask that the user brought.

    `score` is 0 without infection, 1 below 5 %, 2 from 5 to below 25 %, 3 from 25 to below 50 %, 4 from 50 to 75 %,
    5 above 75 %.
    """

    name: str
    lung_ml: float
    infection_ml: float
    percent: float | None
    score: int | None = Field(ge=0, le=5)


class ScoreRange(Record):
    """The lowest and the highest score within the uncertainty of the involvement."""

    low: int = Field(ge=0, le=24)
    high: int = Field(ge=0, le=24)


class HUHistogram(Record):
    """Voxels of the lungs (infection included) per range of Hounsfield units.

    Bin i covers `edges[i] <= HU < edges[i + 1]`; values outside are counted in the first or last bin.
    """

    edges: list[int]
    counts: list[int]


class DensityBand(Record):
    """Share of the lung in a range of Hounsfield units, in percent and millilitres."""

    name: str
    low_hu: int
    high_hu: int
    percent: float
    ml: float


class LungDensity(Record):
    """Density of both lungs or of one (infection included), in Hounsfield units.

    `laa_950_percent` is the share below -950 HU, `haa_percent` the share from -600 to -250 HU.
    """

    name: str
    mean_hu: float
    sd_hu: float
    percentiles_hu: dict[str, float]
    laa_950_percent: float
    haa_percent: float


class Lesions(Record):
    """Connected pieces of infection of at least `smallest_ml`, and where the infection lies.

    Shares are percent of the infected volume; those of the lung itself stand beside them for comparison.
    """

    count: int
    right: int
    left: int
    smallest_ml: float
    largest_ml: list[float]
    median_ml: float | None
    bilateral: bool
    peripheral_percent: float | None
    peripheral_lung_percent: float
    posterior_percent: float | None
    posterior_lung_percent: float


class Measurements(Record):
    """The numbers of one scan, or of one picture or set of pictures (millilitres and HU are then None)."""

    lung_volume_ml: LungVolumes
    infection_volume_ml: InfectionVolumes
    involvement_percent: Involvement
    involvement_interval_percent: Interval | None
    zones: list[Zone]
    zonal_severity_score: int | None = Field(ge=0, le=24)
    mean_lung_hu: float | None
    mean_infection_hu: float | None
    hu_histogram: HUHistogram | None
    density_bands: list[DensityBand] | None
    consolidation_share_percent: float | None
    subtype_method: Literal["hu-threshold", "network"] | None
    high_opacity_percent: Involvement | None = None
    zonal_severity_range: ScoreRange | None = None
    lung_density: list[LungDensity] | None = None
    lesions: Lesions | None = None
    lobes: list[Lobe] | None = None
    lobar_severity_score: int | None = Field(default=None, ge=0, le=25)


class DrivingSlice(Record):
    """One of the slices that an answer rests on.

    `slice` counts from 1 at the head, as in the report, or is the picture's place in its set;
    `attention_in_lungs_percent` is the share of the class activation map that lies in the lungs.
    """

    slice: int
    probabilities: dict[Label, float]
    attention_in_lungs_percent: float | None


class Classification(Record):
    """What the scan looks like, with calibrated probabilities where `calibrated` says so.

    `label` is None where the classifier abstains; `reasons` then says why, in plain words. Where the input is nothing
    that it knows, the probabilities say nothing and are not calibrated.
    """

    probabilities: dict[Label, float]
    label: Label | None
    calibrated: bool
    abstained: bool
    reasons: list[str] = Field(default_factory=list)
    slices: list[DrivingSlice] = Field(default_factory=list)

    @property
    def meaningless(self) -> bool:
        """Whether the probabilities say nothing."""
        return self.abstained and not self.calibrated


class ModelRecord(Record):
    """A network that took part. `gave`: what its part was, of `lung`, `infection`, `consolidation` and `class`."""

    name: str
    sha256: str
    gave: list[str] = []


class RunRecord(Record):
    """How the result came about. `peak_memory_mb` is that of the whole process."""

    groundglass: str
    models: list[ModelRecord]
    options: dict[str, Any]
    seconds: dict[str, float]
    peak_memory_mb: float
    started: str
    python: str
    platform: str
    libraries: dict[str, str]
    precision: str


class SliceRecord(Record):
    """The result for one picture of a set."""

    file: str
    measurements: Measurements
    classification: Classification | None
    findings: list[Finding]


class Analysis(Record):
    """Everything known about one case, as written to `analysis.json`."""

    schema_version: str = SCHEMA_VERSION
    case: str
    source: SourceRecord
    measurements: Measurements
    classification: Classification | None
    findings: list[Finding]
    slices: list[SliceRecord] | None = None
    labels: dict[str, dict[str, str]]
    run: RunRecord

    def to_json(self) -> str:
        """The record as indented JSON."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Analysis:
        """Read a record back.

        Raises:
            pydantic.ValidationError: the text is not a record of this schema version.
        """
        return cls.model_validate_json(text)
