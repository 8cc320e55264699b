"""What all DICOM results share: who made them, and the new series that they form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydicom.uid import generate_uid

from groundglass import __version__
from groundglass.analysis import Analysis

MANUFACTURER = "Groundglass"
NOTICE = "Research use only, not a medical device"


@dataclass(frozen=True, slots=True)
class NewSeries:
    """One series to be made.

    Attributes:
        number: series number within the study.
        description: what a work list shows.
        uid: of the series.
    """

    number: int
    description: str
    uid: str

    @classmethod
    def make(cls, number: int, description: str) -> NewSeries:
        """A series with a fresh UID."""
        return cls(number, description, new_uid())

    def equipment(self) -> dict[str, Any]:
        """Arguments that the classes of highdicom share."""
        return {
            "series_instance_uid": self.uid,
            "series_number": self.number,
            "sop_instance_uid": new_uid(),
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MANUFACTURER,
            "software_versions": __version__,
            "device_serial_number": __version__,
            "series_description": self.description,
        }


def new_uid() -> str:
    """A UID made from a random UUID."""
    return str(generate_uid(prefix=None))


def model_names(analysis: Analysis) -> str:
    """Names of the networks, for the algorithm's identification."""
    return ", ".join(model.name for model in analysis.run.models) or "no network"


def algorithm_version(analysis: Analysis) -> str:
    """Version of the program that made the analysis and the first digits of the weights' checksums."""
    sums = ", ".join(model.sha256[:12] for model in analysis.run.models)
    return f"{analysis.run.groundglass} ({sums})" if sums else analysis.run.groundglass
