"""A classifier of one's own at work: the network of a finished run, its answers and where they come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from groundglass.analysis import Record
from groundglass.errors import UnknownModelError, UnusableModelError
from groundglass.image.lung_view import as_grey
from groundglass.inference.cam import Attention, Method, on_slice
from groundglass.inference.classify_scan import SHOWN, ShownSlice, class_named, deciding
from groundglass.training.classification.examples import SeenSlice, see
from groundglass.training.classification.gradcam import grad_cam
from groundglass.training.classification.learner import BEST
from groundglass.training.classification.nets.build import build
from groundglass.training.classification.nets.simple import SliceNetwork
from groundglass.training.classification.presets import ClassifierPreset
from groundglass.training.classification.run import PRESET, RESULT


class RunSlice(Record):
    """One of the slices that an answer rests on; as `groundglass.analysis.DrivingSlice`, with the run's own classes."""

    slice: int
    probabilities: dict[str, float]
    attention_in_lungs_percent: float | None


class RunClassification(Record):
    """What the classifier of a run says: the mean of the deciding slices, neither calibrated nor ever abstaining."""

    probabilities: dict[str, float]
    label: str
    calibrated: bool = False
    abstained: bool = False
    reasons: list[str] = Field(default_factory=list)
    slices: list[RunSlice] = Field(default_factory=list)
    model: str
    method: str
    meaningless: ClassVar[bool] = False


class RunClassifier:
    """The network of a finished `groundglass train` run of a classifier preset.

    Attributes:
        preset: what was trained.
        network: in evaluation mode, with the weights of the best epoch.
        place: folder of the run.
    """

    def __init__(self, place: str | Path) -> None:
        """Read a run.

        Args:
            place: its folder.

        Raises:
            UnknownModelError: there is no finished run of a classifier.
            UnusableModelError: its files cannot be read.
        """
        self.place = Path(place).expanduser()
        self.preset = _preset_of(self.place)
        network = build(self.preset.network, len(self.preset.class_names))
        try:
            state = torch.load(self.place / BEST, map_location="cpu", weights_only=True)
            network.load_state_dict(state["network"])
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, UnpicklingError) as error:
            raise UnusableModelError(
                f"{self.place / BEST} does not hold the weights of {self.preset.name} ({type(error).__name__}); the "
                "file is damaged or of another run: train again"
            ) from error
        self.network: SliceNetwork = network.eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the answers."""
        return self.preset.class_names

    def look(self, slices: Sequence[NDArray[np.generic]]) -> list[SeenSlice]:
        """Slices as the network is shown them.

        Args:
            slices: (rows, columns) each: 8-bit grey, or Hounsfield units.
        """
        return see(slices, self.preset)

    @torch.no_grad()
    def probabilities(self, seen: Sequence[SeenSlice]) -> NDArray[np.float64]:
        """Probabilities (slice, class), not calibrated."""
        found = [torch.softmax(self.network(_tensor(one)).double(), dim=1) for one in seen]
        return np.asarray(torch.cat(found).numpy(), dtype=np.float64)

    def heat(self, seen: SeenSlice, label: str, rows: int, columns: int, *, method: Method) -> NDArray[np.float32]:
        """Where in a slice the evidence for a class lies: float32 (rows, columns), 0..1 (see `grad_cam`)."""
        index = self.classes.index(label)
        found = grad_cam(self.network, self.network.explained, _tensor(seen), index, method=method)
        return on_slice(found, seen.box, rows, columns)

    def judge(
        self, shown: Sequence[ShownSlice], *, label: str | None = None, method: Method = "grad-cam"
    ) -> tuple[RunClassification, list[Attention]]:
        """The answer for a scan or a set of pictures, and the slices that drove it, the most conspicuous first.

        Args:
            shown: the slices, one at least.
            label: class whose evidence is shown; the likeliest when None.
            method: of the heat maps.

        Raises:
            OptionError: the run has no such class.
        """
        label = class_named(label, self.classes)
        seen = self.look([one.input.image for one in shown])
        each = self.probabilities(seen)
        chosen = deciding(each, self.classes)
        overall = each[chosen].mean(axis=0)
        named = self.classes[int(overall.argmax())]
        views = [self._attention(shown[i], seen[i], label or named, method) for i in chosen]
        said = RunClassification(
            probabilities=self._shares(overall),
            label=named,
            slices=[
                RunSlice(
                    slice=shown[i].number,
                    probabilities=self._shares(each[i]),
                    attention_in_lungs_percent=None if view.in_lungs is None else round(100.0 * view.in_lungs, 1),
                )
                for i, view in zip(chosen, views, strict=True)
            ],
            model=self.preset.name,
            method=method,
        )
        return said, views[:SHOWN]

    def _attention(self, shown: ShownSlice, seen: SeenSlice, label: str, method: Method) -> Attention:
        lung = shown.input.lung
        heat = self.heat(seen, label, *lung.shape, method=method)
        return Attention(shown.title, as_grey(shown.input.image), heat, label, lung.copy())

    def _shares(self, probabilities: NDArray[np.float64]) -> dict[str, float]:
        return {name: round(float(share), 4) for name, share in zip(self.classes, probabilities, strict=True)}


def _preset_of(place: Path) -> ClassifierPreset:
    """The preset that a finished run trained.

    Raises:
        UnknownModelError: there is no finished run of a classifier.
        UnusableModelError: its description cannot be understood.
    """
    expected = "expected the folder of a finished `groundglass train` run of a classifier preset"
    if not place.is_dir():
        raise UnknownModelError(f"no run at {place}: no folder is at that path; {expected}")
    if not (place / PRESET).is_file():
        raise UnknownModelError(f"{place} has no {PRESET}: it is no run of a classifier; {expected}")
    if missing := [name for name in (BEST, RESULT) if not (place / name).is_file()]:
        raise UnknownModelError(
            f"{place} has no {' and no '.join(missing)}: the run is not finished; give the same `groundglass train` "
            "command again, which goes on with it"
        )
    try:
        described = json.loads((place / PRESET).read_text(encoding="utf-8"))
        return ClassifierPreset.model_validate(described["preset"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise UnusableModelError(
            f"{place / PRESET} cannot be understood ({type(error).__name__}); the file is damaged: train again"
        ) from error


def _tensor(seen: SeenSlice) -> torch.Tensor:
    return torch.from_numpy(np.array(seen.pixels))[None, None].float()
