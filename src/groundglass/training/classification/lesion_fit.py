"""Fits the head of the lesion classifier: a regression on the features of a frozen encoder, solved exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from groundglass.training.classification.judging import views_of
from groundglass.training.classification.nets.lesion import LesionClassifier
from groundglass.training.classification.nets.start import start_encoder
from groundglass.training.classification.records import CLASSES
from groundglass.training.classification.shipped_data import Prepared

BATCH = 32
MEASURED_ON = 64
"""Slices on which the statistics of a start from an ONNX file are measured."""
COVID = CLASSES[0]
ROUNDS = 20
"""Calls of the solver; each makes up to 50 steps and ends early when nothing moves."""


@torch.no_grad()
def pooled_features(network: LesionClassifier, views: NDArray[np.uint8]) -> Tensor:
    """What the head sees of views (n, 3, size, size): float32 (n, feature), computed in bf16."""
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = []
    for start in range(0, len(views), BATCH):
        batch = torch.from_numpy(views[start : start + BATCH]).float().contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            found.append(network.feature_map(batch).float().mean(dim=(2, 3)))
    return torch.cat(found)


def balanced_weights(learning: Sequence[Prepared], shares: Mapping[str, float]) -> Tensor:
    """Weight of each slice, 1 on average.

    Sources by their share; in a source COVID and everything else alike; the labels of everything else alike; the slices
    of a label alike.
    """
    counts = Counter((one.slice.source, one.slice.label) for one in learning)
    kinds = Counter((source, label == COVID) for source, label in counts)
    sides = Counter(source for source, _ in kinds)
    weights = []
    for one in learning:
        source, label = one.slice.source, one.slice.label
        weights.append(shares[source] / sides[source] / kinds[source, label == COVID] / counts[source, label])
    return torch.tensor(weights) * (len(learning) / sum(weights))


def telling(learning: Sequence[Prepared]) -> list[Prepared]:
    """The slices of sources that have something other than COVID.

    A source of COVID alone would be recognised by its looks.
    """
    others = {one.slice.source for one in learning if not one.slice.allowed[CLASSES.index(COVID)]}
    return [one for one in learning if one.slice.source in others]


def fit_lesions(
    learning: Sequence[Prepared],
    shares: Mapping[str, float],
    *,
    start: str,
    size: int,
    ridge: float,
) -> LesionClassifier:
    """The lesion classifier of labelled slices.

    Args:
        learning: the slices, of sources that have COVID and others (see `telling`).
        shares: weight of each source.
        start: segmentation network whose encoder is taken (see `start_encoder`).
        size: side of the view, pixels.
        ridge: as for `fit_head`.
    """
    views = views_of(learning, size)
    network = LesionClassifier()
    start_encoder(network, start, views[:: max(1, len(views) // MEASURED_ON)][:MEASURED_ON, 0])
    mirrored = np.ascontiguousarray(views[:, :, :, ::-1])
    features = torch.cat([pooled_features(network, one) for one in (views, mirrored)])
    allowed = torch.tensor([one.slice.allowed for one in learning]).repeat(2, 1)
    fit_head(network, features, allowed, balanced_weights(learning, shares).repeat(2), ridge=ridge)
    return network


def fit_head(network: LesionClassifier, features: Tensor, allowed: Tensor, weights: Tensor, *, ridge: float) -> None:
    """Sets the two questions of a network, each the minimum of its weighted loss plus a penalty.

    Args:
        network: its head is set.
        features: (n, feature); brought to unit variance for the fit.
        allowed: (n, class), 1 for each class that the label leaves open. A slice whose label leaves a question open
            takes no part in it.
        weights: (n,).
        ridge: strength of the penalty, `ridge` / 2 times the squared weights.
    """
    covid, other, normal = (allowed == 1).T
    decided = ~(covid & (other | normal))
    fit_question(network.covid, features[decided], covid[decided], weights[decided], ridge=ridge)
    told = ~covid & (other ^ normal)
    each = torch.where(other[told], weights[told][other[told]].sum(), weights[told][normal[told]].sum())
    fit_question(network.kind, features[told], other[told], weights[told] / each.clamp(min=1e-9), ridge=ridge)


def fit_question(layer: nn.Linear, features: Tensor, truth: Tensor, weights: Tensor, *, ridge: float) -> None:
    """Logistic regression, solved exactly; a question without both answers gets even odds.

    Args:
        layer: is set.
        features: (n, feature).
        truth: (n,), the answers.
        weights: (n,).
        ridge: as for `fit_head`.
    """
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    if not (truth.any() and (~truth).any()):
        return
    share = weights / weights.sum()
    mean = (share[:, None] * features).sum(dim=0)
    spread = (share[:, None] * (features - mean) ** 2).sum(dim=0).sqrt() + 1e-6
    scaled, target = (features - mean) / spread, truth.float()
    slope, bias = torch.zeros(features.shape[1], requires_grad=True), torch.zeros((), requires_grad=True)
    solver = torch.optim.LBFGS([slope, bias], max_iter=50, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        found = functional.binary_cross_entropy_with_logits(
            scaled @ slope + bias, target, weight=share, reduction="sum"
        )
        value = found + ridge / 2 * slope.pow(2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    last = float("inf")
    for _ in range(ROUNDS):
        now = float(solver.step(loss).detach())  # type: ignore[no-untyped-call]
        if last - now < 1e-7:
            break
        last = now
    with torch.no_grad():
        layer.weight.copy_((slope / spread)[None])
        layer.bias.copy_(bias - (slope / spread) @ mean)
