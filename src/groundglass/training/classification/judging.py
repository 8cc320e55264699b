"""A trained classifier with its calibration and its abstention, as `analyze` applies them, in torch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from groundglass.image.lung_view import LARGEST_DOUBT, Box, classifier_view, lung_doubt
from groundglass.inference.classify import SliceAnswer, calibrated, conclude, domain_reasons
from groundglass.models.catalog import ClassifierTerms
from groundglass.training.classification.calibration import fit_calibration, fit_least_probability, with_offset
from groundglass.training.classification.export import Familiar
from groundglass.training.classification.nets.slices import SliceNetwork
from groundglass.training.classification.records import CLASSES
from groundglass.training.classification.shipped_data import Prepared

STRANGEST = 0.99
"""Share of the calibrating slices that count as familiar."""
LEAST_LUNG_SHARE = 0.03
CROP = 0.875
"""Side of a crop as a share of the view's."""
BATCH = 32
Views = Literal["plain", "mirror", "crops"]
"""What is averaged: the view; it and its mirror image, as `analyze` does; these, four corners and the middle."""


def views_of(prepared: Sequence[Prepared], size: int) -> NDArray[np.uint8]:
    """The plain views of slices, uint8 (n, 3, size, size)."""
    return np.stack([classifier_view(*one.planes, size=size)[0] for one in prepared])


def shown(batch: Tensor, views: Views) -> list[Tensor]:
    """What the network is shown of a batch (n, 3, size, size), each of that shape."""
    if views == "plain":
        return [batch]
    parts = [batch]
    if views == "crops":
        size = batch.shape[-1]
        side = round(CROP * size)
        far, middle = size - side, (size - side) // 2
        for top, left in ((0, 0), (0, far), (far, 0), (far, far), (middle, middle)):
            part = batch[:, :, top : top + side, left : left + side]
            parts.append(functional.interpolate(part, (size, size), mode="bilinear", align_corners=False))
    return [side for part in parts for side in (part, part.flip(-1))]


@torch.no_grad()
def outputs(
    network: SliceNetwork, prepared: Sequence[Prepared], size: int, views: Views
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits (slice, class), the mean over `views`, and pooled features (view, slice, feature)."""
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    logits, features = [], []
    for start in range(0, len(prepared), BATCH):
        batch = torch.from_numpy(views_of(prepared[start : start + BATCH], size)).float()
        parts = [part.contiguous(memory_format=torch.channels_last) for part in shown(batch, views)]
        pooled = torch.stack([network.feature_map(part).mean(dim=(2, 3)) for part in parts])
        logits.append(network.answer(pooled).mean(dim=0).numpy())
        features.append(pooled.numpy())
    return np.concatenate(logits), np.concatenate(features, axis=1)


@dataclass(frozen=True, eq=False)
class Judge:
    """A network that answers or abstains.

    Attributes:
        network: with the fitted offset in the bias of its head.
        familiar: where the features of the slices lie that it learned from.
        terms: calibration and abstention.
        size: side of its view, pixels.
        views: what is averaged.
    """

    network: SliceNetwork
    familiar: Familiar
    terms: ClassifierTerms
    size: int
    views: Views = "mirror"

    @classmethod
    def fit(
        cls,
        network: SliceNetwork,
        learned: Sequence[Prepared],
        calibrating: Sequence[Prepared],
        *,
        size: int,
        views: Views = "mirror",
    ) -> Judge:
        """Calibrates a network.

        Args:
            network: trained; left as it is.
            learned: slices that it learned from: what is familiar.
            calibrating: slices of other patients: temperature, offset and limits.
            size: side of the view, pixels.
            views: what is averaged.
        """
        own = copy.deepcopy(network)
        familiar = Familiar.fit(outputs(own, learned, size, "plain")[1][0])
        logits, features = outputs(own, calibrating, size, views)
        allowed = np.array([one.slice.allowed for one in calibrating])
        temperature, offset = fit_calibration(logits, allowed)
        own.favour_covid(offset)
        probabilities = calibrated(with_offset(logits, offset), temperature)
        terms = ClassifierTerms(
            temperature=round(temperature, 4),
            least_probability=fit_least_probability(probabilities, allowed),
            largest_distance=round(float(np.quantile(_distances(familiar, features), STRANGEST)), 3),
            least_lung_share=LEAST_LUNG_SHARE,
            largest_lung_doubt=LARGEST_DOUBT,
        )
        return cls(own, familiar, terms, size, views)

    def verdicts(self, prepared: Sequence[Prepared]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Calibrated probabilities (slice, class), and which slices are answered."""
        logits, features = outputs(self.network, prepared, self.size, self.views)
        probabilities = calibrated(logits, self.terms.temperature)
        distances = _distances(self.familiar, features)
        answers = map(_answer, logits, distances, prepared)
        said = [
            conclude(chances, CLASSES, self.terms, domain_reasons(answer, self.terms))
            for chances, answer in zip(probabilities, answers, strict=True)
        ]
        return probabilities, np.array([not one.abstained for one in said], dtype=bool)


def _distances(familiar: Familiar, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over the views of the distances of features (view, slice, feature)."""
    return np.asarray(np.mean([familiar.distance(one) for one in features], axis=0), np.float32)


def _answer(logits: NDArray[np.float32], distance: float, one: Prepared) -> SliceAnswer:
    """What the rule of abstention looks at; without maps, which it does not need."""
    nothing = np.zeros((len(CLASSES), 0, 0), np.float32)
    return SliceAnswer(logits, float(distance), nothing, Box(0, 0, 0, 0), one.lung_share, lung_doubt(one.planes[1]))
