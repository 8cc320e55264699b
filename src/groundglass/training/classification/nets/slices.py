"""The networks that may ship: both are linear in the mean of a feature map."""

from __future__ import annotations

from groundglass.training.classification.nets.lesion import LesionClassifier
from groundglass.training.classification.nets.lite import LiteClassifier

SliceNetwork = LesionClassifier | LiteClassifier
