"""The networks that ship with the package: their cards, and their weights, verified before use."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundglass.errors import UnknownModelError, WeightsCorruptError, WeightsMissingError
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
    """

    temperature: float
    least_probability: float
    largest_distance: float
    least_lung_share: float


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
        involvement_interval: How sure its involvement is; None where that was not measured.
        classifier: Calibration and abstention of a classifier, whose `channels` are its classes; None for others.
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
    involvement_interval: InvolvementBand | None = None
    classifier: ClassifierTerms | None = None
    folder: Path = WEIGHTS

    @property
    def weights(self) -> Path:
        """Path of the weights file."""
        return self.folder / self.file

    def verify(self) -> Path:
        """Checks the weights file against the card.

        Returns:
            The path of the weights file.

        Raises:
            WeightsMissingError: There is no such file.
            WeightsCorruptError: Its SHA-256 differs from the card's.
        """
        if not self.weights.is_file():
            raise WeightsMissingError(
                f"the weights of model '{self.name}' were not found at {self.weights}; reinstall groundglass"
            )
        found = hashlib.sha256(self.weights.read_bytes()).hexdigest()
        if found != self.sha256:
            raise WeightsCorruptError(
                f"{self.weights} has SHA-256 {found}, but the card of model '{self.name}' expects {self.sha256}; "
                "the file is damaged or was exchanged; reinstall groundglass"
            )
        return self.weights

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
    if record.get("involvement_interval") is not None:
        fields["involvement_interval"] = InvolvementBand(**record["involvement_interval"])
    if record.get("classifier") is not None:
        fields["classifier"] = ClassifierTerms(**record["classifier"])
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
        raise WeightsCorruptError(
            f"the model card {path} cannot be understood ({error}); reinstall groundglass"
        ) from error


def card_at(place: str | Path) -> ModelCard:
    """The card of a model by its name, its ONNX file, its card, or the folder that they lie in (a finished run).

    Args:
        place: A name from `available`, or a path.

    Raises:
        UnknownModelError: Nothing of that kind there, or several models in the folder.
        WeightsCorruptError: The card cannot be understood.
    """
    path = Path(place)
    if str(place) in available():
        return load_card(str(place))
    if path.is_file() and path.suffix in (".onnx", ".json") and path.with_suffix(".json").is_file():
        return load_card(path.stem, path.parent)
    folders = [folder for folder in (path, path / "model", path / "export") if folder.is_dir()]
    cards = [
        card for folder in folders for card in sorted(folder.glob("*.json")) if card.with_suffix(".onnx").is_file()
    ]
    if len(cards) == 1:
        return load_card(cards[0].stem, cards[0].parent)
    found = f"{len(cards)} models ({', '.join(card.stem for card in cards)})" if cards else "no model"
    raise UnknownModelError(
        f"{found} at {place}; expected the name of a shipped model ({', '.join(available())}), an .onnx file with its "
        "card (.json) beside it, or the folder of a finished run"
    )
