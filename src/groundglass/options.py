"""What a caller may ask of an analysis."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from groundglass.errors import OptionError


@dataclass(frozen=True)
class AnalysisOptions:
    """Choices of one analysis; the defaults are what most users want.

    Attributes:
        series: DICOM series to take: its number in the list, or the end of its UID.
        allow_irregular: fill missing or uneven slices by linear interpolation instead of refusing the series.
        probability: also keep and write the infection probability.
        model: the segmentation network: name of a shipped one, or the place of your own (the folder of a finished
            training run, or an ONNX file with its card beside it).
        lung_threshold: lung probability from which a pixel is lung; None takes the model card's.
        infection_threshold: infection probability from which a lung pixel is infected; None takes the model card's.
        lobes: lobe mask of the scan (of TotalSegmentator or lungmask), for the lobe score.
    """

    series: str | None = None
    allow_irregular: bool = False
    probability: bool = False
    model: str | Path = "lungs-infection"
    lung_threshold: float | None = None
    infection_threshold: float | None = None
    lobes: Path | None = None

    def __post_init__(self) -> None:
        """Reject thresholds outside 0..1."""
        for name in ("lung_threshold", "infection_threshold"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < 1.0:
                raise OptionError(f"{name} is {value}; expected a probability above 0 and below 1")

    def as_record(self) -> dict[str, str | bool | float | None]:
        """The options as they stand in the run record."""
        # Where files lie is nobody's business; that there was one is. Names and checksums of networks stand beside.
        return asdict(self) | {"lobes": self.lobes is not None, "model": Path(self.model).name}


def with_model(options: AnalysisOptions | None, model: str | Path | None) -> AnalysisOptions:
    """The options, or the defaults, with another network if one is given."""
    options = options or AnalysisOptions()
    return options if model is None else replace(options, model=model)
