"""Transfer learning: a network that starts from the weights of another one."""

from __future__ import annotations

import json
import logging
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from groundglass.errors import ModelError, OptionError
from groundglass.models.catalog import SEGMENTATION, ModelCard, available
from groundglass.models.place import card_at
from groundglass.training.callbacks import BEST, LAST
from groundglass.training.folded import load_folded
from groundglass.training.run import SETTINGS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """What a run starts from.

    Attributes:
        weights: A checkpoint, or an exported network (.onnx).
        card: What the network is and has learned from; None where nothing says so.
    """

    weights: Path
    card: ModelCard | None


def find_start(place: Path) -> Start:
    """What a run may start from, by its place.

    Args:
        place: The name of a shipped model, an .onnx file with its card, a checkpoint, or the folder of a run.

    Raises:
        OptionError, ModelError: There is nothing of that kind.
    """
    if str(place) in available() or place.suffix == ".onnx":
        card = card_at(place)
        if card.classifier is not None:
            raise OptionError(f"{place} is a classifier; expected a network that segments, to start from")
        return Start(card.verify(), card)
    checkpoint = checkpoint_at(place)
    if not checkpoint.is_file():
        raise OptionError(
            f"nothing to start from at {place}; expected a shipped model ({SEGMENTATION}), an .onnx file with its "
            "card, a run's best.ckpt or last.ckpt, or the folder of a run"
        )
    try:
        return Start(checkpoint, card_at(checkpoint.parent))
    except ModelError:
        return Start(checkpoint, None)


def load_start(network: nn.Module, start: Start, pictures: Callable[[], Tensor]) -> int:
    """Copies every weight that fits; a head of other channels starts anew.

    Args:
        network: What is to start.
        start: Where from.
        pictures: Gives pictures (n, 1, size, size) like those that will be learned from, for an exported network.

    Returns:
        How many weights were copied; of an exported network how many convolutions.

    Raises:
        OptionError: Nothing fits.
    """
    if start.weights.suffix != ".onnx":
        return load_checkpoint(network, start.weights)
    copied = load_folded(network, start.weights, pictures().float())
    logger.info("started from %s: %d convolutions", start.weights, copied)
    return copied


def checkpoint_at(place: Path) -> Path:
    """A checkpoint by its path, or by the folder of its run: the one that the run's network was exported from.

    Raises:
        OptionError: A folder without checkpoints.
    """
    if not place.is_dir():
        return place
    for run in (place, place / "training"):  # the second in the folder of one fold of a cross-validation
        if (run / LAST).is_file():
            return run / BEST if _keeps_best(run) and (run / BEST).is_file() else run / LAST
    raise OptionError(f"no checkpoint in {place}; expected the folder of a run, or a run's best.ckpt or last.ckpt")


def _keeps_best(run: Path) -> bool:
    # Where the last weights are kept, validation chose nothing, and a start from the best ones would let it choose.
    try:
        settings = json.loads((run / SETTINGS).read_text(encoding="utf-8"))
        return bool(settings["preset"]["schedule"]["keep"] == "best")
    except (OSError, ValueError, KeyError, TypeError):
        return True


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """The exported (averaged, where they are kept) weights in a checkpoint of this package, or a plain state dict.

    Raises:
        OptionError: There is no such file, or it holds no weights.
    """
    if not checkpoint.is_file():
        raise OptionError(f"no checkpoint {checkpoint}; expected a run's best.ckpt or last.ckpt")
    if not zipfile.is_zipfile(checkpoint):
        raise OptionError(f"{checkpoint} is not a checkpoint of weights; expected a run's best.ckpt or last.ckpt")
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise OptionError(f"{checkpoint} is not a checkpoint of weights ({type(error).__name__})") from error
    if not isinstance(state, dict):
        raise OptionError(f"{checkpoint} holds a {type(state).__name__}; expected a dictionary of weights")
    if "averaged" in state:
        return dict(state["averaged"])
    weights = dict(state.get("state_dict", state))
    own = {name.removeprefix("averaged."): value for name, value in weights.items() if name.startswith("averaged.")}
    return own or weights


def load_checkpoint(network: nn.Module, checkpoint: Path) -> int:
    """Copies every weight that fits by name and shape; a head of other channels starts anew.

    Args:
        network: What is to start.
        checkpoint: Where from: a checkpoint, or the folder of a run.

    Returns:
        How many weights were copied.

    Raises:
        OptionError: No checkpoint, or nothing in it fits.
    """
    checkpoint = checkpoint_at(checkpoint)
    own, given = network.state_dict(), weights_of(checkpoint)
    fitting = {name: value for name, value in given.items() if name in own and own[name].shape == value.shape}
    if not any(value.ndim > 1 for value in fitting.values()):
        raise OptionError(
            f"no weight of {checkpoint} fits this network; expected a checkpoint of the same architecture"
        )
    network.load_state_dict({**own, **fitting})
    left = [name for name in own if name not in fitting]
    logger.info("started from %s: %d of %d weights%s", checkpoint, len(fitting), len(own), _few(left))
    return len(fitting)


def _few(names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"; new: {', '.join(names[:3])}{more}"
