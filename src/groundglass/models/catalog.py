"""The networks that ship with the package: their cards, and their weights, verified before use."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from groundglass.errors import UnknownModelError, UnusableModelError, WeightsCorruptError, WeightsMissingError
from groundglass.image.prepare import Preprocessing

WEIGHTS = Path(__file__).parent / "weights"
SEGMENTATION = "lungs-infection"
CLASSIFIER = "classifier"


@dataclass(frozen=True)
class Metric:
    """One measured number and how it was measured.

    Attributes:
        name: For example ``"infection Dice"``.
        value: The number.
        protocol: Data, split and unit of averaging.
        cases: Value per case, where there are few.
    """

    name: str
    value: float
    protocol: str
    cases: dict[str, float]


@dataclass(frozen=True)
class InvolvementBand:
    """Constants of the interval of the involvement, fitted on patients that the network had not seen.

    Attributes:
        coverage: Share of new scans whose true involvement the interval is meant to hold.
        low_threshold: Infection probability at which the involvement is taken as high.
        high_threshold: Infection probability at which it is taken as low.
        offset_percent: Added to an involvement before its logarithm is taken, percent.
        floor: Least spread of the logarithm.
        factor: Width of the interval in units of the spread.
        patients: Patients that the factor rests on.
        measured_coverage: Share of these whose truth the interval held, each left out of its own fit.
        protocol: Data and networks of the fit.
    """

    coverage: float
    low_threshold: float
    high_threshold: float
    offset_percent: float
    floor: float
    factor: float
    patients: int
    measured_coverage: float
    protocol: str


@dataclass(frozen=True)
class ClassifierTerms:
    """How the answers of a classifier are calibrated and when it abstains; fitted on validation data.

    Attributes:
        temperature: What the logits are divided by (Guo et al. 2017).
        least_probability: Probability of the likeliest class below which it does not name one.
        largest_distance: Mahalanobis distance of the features beyond which a slice is unlike what it learned from.
        least_lung_share: Share of a slice below which there is too little lung to judge.
        largest_lung_doubt: Uncertain share of what may be lung beyond which the picture is no axial slice of a chest.
    """

    temperature: float
    least_probability: float
    largest_distance: float
    least_lung_share: float
    largest_lung_doubt: float


@dataclass(frozen=True)
class QuantisedWeights:
    """The same network with 8-bit weights and arithmetic.

    Attributes:
        file: Weights file, beside the card.
        sha256: Of that file.
        metrics: Measured with it.
    """

    file: str
    sha256: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class LearnedPatient:
    """Someone whose volumes a network learned from.

    Attributes:
        patient: As the data set calls them.
        images: Checksums of the image files of each volume (`groundglass.io.digest`).
    """

    patient: str
    images: tuple[str, ...]


@dataclass(frozen=True)
class ModelCard:
    """What a network is, what it learned from, how good it is and where it ends.

    Attributes:
        name: Name in the catalog.
        task: What it answers.
        architecture: Kind and size of the network.
        file: Weights file, beside the card.
        sha256: Of the weights file.
        date: Day of the export, ISO 8601.
        channels: Output channels in order, each an independent probability.
        thresholds: Probability from which a pixel counts, per channel.
        preprocessing: What the network expects to see.
        trained_on: Data sets it learned from.
        not_trained_on: Data kept apart from it and used in `metrics`.
        licence: Terms of use.
        metrics: Measured on the exported network.
        limits: What it cannot do, in plain words.
        learned_from: Names of the labelled volumes that it learned from; `evaluate` leaves their patients out.
        learned_patients: Whose these volumes are, and how they are known again under other names.
        involvement_interval: How sure its involvement is; None where that was not measured.
        classifier: Calibration and abstention of a classifier, whose `channels` are its classes; None for others.
        quantised: The same network in 8 bits; None where there is none.
        folder: Where the card lies.
    """

    name: str
    task: str
    architecture: str
    file: str
    sha256: str
    date: str
    channels: tuple[str, ...]
    thresholds: tuple[float, ...]
    preprocessing: Preprocessing
    trained_on: tuple[str, ...]
    not_trained_on: tuple[str, ...]
    licence: str
    metrics: tuple[Metric, ...]
    limits: tuple[str, ...]
    learned_from: tuple[str, ...] = ()
    learned_patients: tuple[LearnedPatient, ...] = ()
    involvement_interval: InvolvementBand | None = None
    classifier: ClassifierTerms | None = None
    quantised: QuantisedWeights | None = None
    folder: Path = WEIGHTS

    @property
    def weights(self) -> Path:
        """Path of the weights file."""
        return self.folder / self.file

    @property
    def shipped(self) -> bool:
        """Is this a network of the package, rather than one of the user's own?"""
        return self.folder == WEIGHTS

    def verify(self) -> Path:
        """Checks the weights file against the card.

        Returns:
            The path of the weights file.

        Raises:
            WeightsMissingError: There is no such file.
            WeightsCorruptError: Its SHA-256 differs from the card's (`UnusableModelError` for a network of one's own).
        """
        if not self.weights.is_file():
            raise WeightsMissingError(
                f"the weights of model '{self.name}' were not found at {self.weights}; "
                + ("reinstall groundglass" if self.shipped else "copy the weights and their card together")
            )
        found = hashlib.sha256(self.weights.read_bytes()).hexdigest()
        if found == self.sha256:
            return self.weights
        text = (
            f"{self.weights} has SHA-256 {found}, but the card of model '{self.name}' expects {self.sha256}; "
            "the file is damaged or was exchanged; "
        )
        if self.shipped:
            raise WeightsCorruptError(text + "reinstall groundglass")
        raise UnusableModelError(text + "copy the weights and their card together from where they were written")

    def verify_quantised(self) -> Path | None:
        """Checks the file of the quantised network against the card.

        Returns:
            Its path; None where the card names none, or a network of one's own was copied without it.

        Raises:
            WeightsMissingError: There is no such file in the package.
            WeightsCorruptError: Its SHA-256 differs from the card's (`UnusableModelError` for a network of one's own).
        """
        if self.quantised is None or not (self.shipped or (self.folder / self.quantised.file).is_file()):
            return None
        return replace(self, file=self.quantised.file, sha256=self.quantised.sha256).verify()

    def to_json(self) -> str:
        """The card as JSON text."""
        record = asdict(self)
        del record["folder"]
        return json.dumps(record, indent=2) + "\n"


def _from_record(record: dict[str, Any], folder: Path) -> ModelCard:
    recipe = dict(record["preprocessing"])
    recipe["hu_windows"] = tuple((float(low), float(high)) for low, high in recipe["hu_windows"])
    recipe["picture_clips"] = tuple(recipe["picture_clips"])
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    fields["preprocessing"] = Preprocessing(**recipe)
    fields["metrics"] = tuple(Metric(**metric) for metric in record["metrics"])
    fields["learned_patients"] = tuple(
        LearnedPatient(one["patient"], tuple(one["images"])) for one in record.get("learned_patients", ())
    )
    if record.get("involvement_interval") is not None:
        fields["involvement_interval"] = InvolvementBand(**record["involvement_interval"])
    if record.get("classifier") is not None:
        fields["classifier"] = ClassifierTerms(**record["classifier"])
    if record.get("quantised") is not None:
        measured = tuple(Metric(**metric) for metric in record["quantised"]["metrics"])
        fields["quantised"] = QuantisedWeights(**{**record["quantised"], "metrics": measured})
    return ModelCard(**fields, folder=folder)


def available(folder: Path = WEIGHTS) -> tuple[str, ...]:
    """Names of the models whose cards lie in ``folder``, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.json")))


def load_card(name: str = SEGMENTATION, folder: Path = WEIGHTS) -> ModelCard:
    """Reads a model card.

    Args:
        name: A name from `available`.
        folder: Folder of cards and weights.

    Raises:
        UnknownModelError: No card of that name.
        WeightsCorruptError: The card cannot be understood.
    """
    path = folder / f"{name}.json"
    if name not in available(folder):
        known = ", ".join(available(folder)) or "none"
        raise UnknownModelError(f"no model named '{name}' in {folder}; available: {known}")
    try:
        return _from_record(json.loads(path.read_text(encoding="utf-8")), folder)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        if folder == WEIGHTS:
            text = f"the model card {path} cannot be understood ({reason}); reinstall groundglass"
            raise WeightsCorruptError(text) from error
        raise UnusableModelError(
            f"the model card {path} cannot be understood ({reason}); expected the card that `groundglass train` "
            "writes beside the weights"
        ) from error
