"""What a slice looks like: COVID-19 pneumonia, another pneumonia or normal, and when the network should not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import CLASS_NAMES, Classification, Label
from groundglass.image.lung_view import LUNG_LEVEL, Box, classifier_view, lung_doubt
from groundglass.inference.engine import Precision, import_openvino, run_in_order, usable_cores
from groundglass.models.catalog import CLASSIFIER, ClassifierTerms, ModelCard, load_card


@dataclass(frozen=True, eq=False)
class SliceInput:
    """A slice and what the segmentation found in it.

    Attributes:
        image: (rows, columns): 8-bit grey, or Hounsfield units.
        lung: probability of lung, 0..255, same shape.
        infection: probability of infection, 0..255, same shape.
    """

    image: NDArray[np.generic]
    lung: NDArray[np.uint8]
    infection: NDArray[np.uint8]

    @property
    def lung_share(self) -> float:
        """Share of the slice that is lung, 0..1."""
        return float(np.count_nonzero(self.lung >= LUNG_LEVEL) / self.lung.size)


@dataclass(frozen=True, eq=False)
class SliceAnswer:
    """What the network says about one slice.

    Attributes:
        logits: float32 (class,), the mean of the slice and its mirror image.
        distance: Mahalanobis distance of the features from those of the slices that it learned from.
        activation: float32 (class, n, n): class activation maps of the slice; the mean of COVID's, plus a bias, is its
            log odds; the others' are those of one against the other.
        box: part of the slice that the maps cover.
        lung_share: share of the slice that is lung.
        lung_doubt: uncertain share of what may be lung.
    """

    logits: NDArray[np.float32]
    distance: float
    activation: NDArray[np.float32]
    box: Box
    lung_share: float
    lung_doubt: float


def calibrated(logits: NDArray[np.floating[Any]], temperature: float) -> NDArray[np.float64]:
    """Softmax of logits (..., class) divided by the temperature (Guo et al. 2017)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


class SliceClassifier:
    """Classifies slices with the network of a model card, in OpenVINO.

    Attributes:
        card: the card; `card.channels` are the classes.
        terms: its calibration and abstention.
        size: side of the network input, pixels.
    """

    def __init__(
        self, card: ModelCard | None = None, *, precision: Precision = "auto", threads: int | None = None
    ) -> None:
        """Verify and compile the network.

        Raises:
            WeightsMissingError: the weights file is not there.
            WeightsCorruptError: the weights file is not the one of the card.
        """
        self.card = card or load_card(CLASSIFIER)
        weights = self.card.verify()
        if self.card.classifier is None:
            raise ValueError(f"the model '{self.card.name}' is no classifier")
        self.terms: ClassifierTerms = self.card.classifier
        openvino = import_openvino()
        core = openvino.Core()
        model = core.read_model(weights)
        self.size = int(model.inputs[0].partial_shape[3].get_length())
        # The features that tell an unfamiliar slice are small differences, which bf16 blurs.
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
        settings["PERFORMANCE_HINT"] = "THROUGHPUT"
        settings["INFERENCE_NUM_THREADS"] = threads or usable_cores()
        settings["ENABLE_CPU_PINNING"] = False
        self._compiled = core.compile_model(model, "CPU", settings)

    def answers(self, slices: Iterable[SliceInput]) -> Iterator[SliceAnswer]:
        """Classify slices one after another.

        Yields:
            One answer per slice, in order.
        """
        prepared = [(*classifier_view(one.image, one.lung, one.infection, size=self.size), one) for one in slices]
        views = [side for view, _, _ in prepared for side in (view, view[:, :, ::-1])]
        outputs = self._infer(views)
        for index, (_, box, one) in enumerate(prepared):
            plain, mirrored = outputs[2 * index], outputs[2 * index + 1]
            yield SliceAnswer(
                logits=np.asarray((plain[0] + mirrored[0]) / 2, np.float32),
                distance=float((plain[1] + mirrored[1]) / 2),
                activation=np.asarray((plain[2] + mirrored[2][:, :, ::-1]) / 2, np.float32),
                box=box,
                lung_share=one.lung_share,
                lung_doubt=lung_doubt(one.lung),
            )

    def _infer(
        self, views: Sequence[NDArray[np.uint8]]
    ) -> list[tuple[NDArray[np.float32], float, NDArray[np.float32]]]:
        """Logits, distance and activation maps of views (3, size, size), in order."""
        return [
            (logits, float(distance[0]), activation)
            for logits, distance, activation in run_in_order(self._compiled, (view[None] for view in views))
        ]

    def probabilities(self, answer: SliceAnswer) -> NDArray[np.float64]:
        """Calibrated probabilities (class,) of one slice."""
        return calibrated(answer.logits, self.terms.temperature)

    def classification(self, answer: SliceAnswer) -> Classification:
        """The answer for a single slice, or why there is none."""
        reasons = domain_reasons(answer, self.terms)
        return conclude(self.probabilities(answer), self.card.channels, self.terms, reasons)


def domain_reasons(answer: SliceAnswer, terms: ClassifierTerms) -> list[str]:
    """Why a slice is outside of what the network knows; empty if it is inside."""
    if answer.lung_share < terms.least_lung_share:
        return [
            f"Lung fills {100 * answer.lung_share:.1f} % of the picture, less than "
            f"{100 * terms.least_lung_share:.0f} %: too little to judge, or no axial slice of a chest."
        ]
    if answer.lung_doubt > terms.largest_lung_doubt:
        return [
            f"Of what may be lung, {100 * answer.lung_doubt:.0f} % is uncertain, more than "
            f"{100 * terms.largest_lung_doubt:.0f} %: no axial slice of a chest, or not shown in a lung window."
        ]
    if answer.distance > terms.largest_distance:
        return [
            "The picture is unlike those that the classifier learned from "
            f"(distance {answer.distance:.1f}, limit {terms.largest_distance:.1f})."
        ]
    return []


def conclude(
    probabilities: NDArray[np.float64], classes: Sequence[str], terms: ClassifierTerms, reasons: Sequence[str] = ()
) -> Classification:
    """Name the likeliest class, or abstain.

    COVID is named only where it is likelier than not, however the rest is shared between the other classes.

    Args:
        probabilities: (class,), calibrated.
        classes: their names.
        terms: when to abstain.
        reasons: why the input is outside of what the network knows.
    """
    order = np.argsort(probabilities)[::-1]
    told = [*reasons, *_unsure(probabilities, classes, order, terms.least_probability)]
    named = [cast(Label, name) for name in classes]
    return Classification(
        probabilities={name: round(float(value), 4) for name, value in zip(named, probabilities, strict=True)},
        label=None if told else named[int(order[0])],
        calibrated=not reasons,
        abstained=bool(told),
        reasons=told,
    )


def _unsure(
    probabilities: NDArray[np.float64], classes: Sequence[str], order: NDArray[np.intp], least: float
) -> list[str]:
    """Why the likeliest class is not named, if so."""
    first, second = (CLASS_NAMES[classes[index]] for index in order[:2])
    top, runner_up = (100 * probabilities[index] for index in order[:2])
    if top < 100 * least:
        unsure = f"Unsure between {first} ({top:.1f} %) and {second} ({runner_up:.1f} %)"
        return [f"{unsure}: below {100 * least:.1f} % no class is named."]
    if classes[order[0]] == "COVID" and top < 50.0:
        return [f"Unsure: {first} is the likeliest class ({top:.1f} %), but not likelier than the others together."]
    return []
