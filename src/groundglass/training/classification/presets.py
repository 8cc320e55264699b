"""Descriptions of classifier runs: network, image stage, classes, and the switches of the sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from groundglass.errors import PresetError
from groundglass.image.stages import Stage
from groundglass.training.classification.nets.build import NetworkName
from groundglass.training.lung_network import NETWORK
from groundglass.training.presets import changed, describe_problems, find_preset, read_toml

CLASSIFICATION = "classification"


class ClassifierPreset(BaseModel):
    """One classifier run.

    `classes` `binary` is COVID against the rest, `three` is COVID, other pneumonia, normal. `augmentation`,
    `class_weights`, `focal_gamma` (0 is cross-entropy) and `smote` are the switches of the sources. `lungs` says what
    finds the lungs for the stages that need them: the shipped `network`, a `classical` method, or the place of another
    network, such as a run of `lungs-bcdunet`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: Literal["classification"] = "classification"
    title: str
    reproduces: str = ""
    network: NetworkName
    pretrained: bool = False
    weights: str = ""
    classes: Literal["binary", "three"] = "three"
    stage: Stage = "original"
    lungs: str = NETWORK
    size: int = Field(default=224, ge=16, le=1024)
    batch: int = Field(default=16, ge=1)
    epochs: int = Field(default=30, ge=1)
    rate: float = Field(default=1e-3, gt=0.0)
    weight_decay: float = Field(default=1e-4, ge=0.0)
    augmentation: bool = False
    class_weights: bool = False
    focal_gamma: float = Field(default=0.0, ge=0.0)
    smote: bool = False

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the network's answers."""
        return ("COVID", "NonCOVID") if self.classes == "binary" else ("COVID", "OtherPneumonia", "Normal")


def load_classifier(name_or_path: str | Path, changes: Sequence[str] = ()) -> ClassifierPreset:
    """Reads a classifier preset.

    Args:
        name_or_path: name of a shipped preset, or the path of a TOML file.
        changes: what is to differ from it (see `changed`).

    Raises:
        PresetError: no such preset, or it does not describe a classifier.
    """
    path = find_preset(name_or_path)
    try:
        return ClassifierPreset.model_validate({"name": path.stem, **changed(read_toml(path), changes)})
    except ValidationError as error:
        raise PresetError(f"the preset {path} cannot be used: {describe_problems(error)}") from error


def is_classifier(name_or_path: str | Path) -> bool:
    """Whether a preset describes a classifier."""
    return bool(read_toml(find_preset(name_or_path)).get("task") == CLASSIFICATION)
