"""``python -m groundglass.training.classification.shipped``: trains the classifier that ships."""

from __future__ import annotations

import argparse
import copy
import inspect
import json
import logging
import re
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from groundglass.inference.segment import SliceSegmenter
from groundglass.models.catalog import SEGMENTATION
from groundglass.training.classification.changes import Changes, changed_view
from groundglass.training.classification.judging import views_of
from groundglass.training.classification.learner import save
from groundglass.training.classification.lesion_fit import MEASURED_ON, fit_lesions, telling
from groundglass.training.classification.losses import open_label_loss
from groundglass.training.classification.nets.lesion import LesionClassifier
from groundglass.training.classification.nets.lite import LiteClassifier, Maps
from groundglass.training.classification.nets.slices import SliceNetwork
from groundglass.training.classification.nets.start import start_encoder
from groundglass.training.classification.shipped_data import SHARES, Prepared, SourceSampler, load_shipped
from groundglass.training.nets.quick import quicken

logger = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
Kind = Literal["lesions", "lungs"]
OTHER_SHARE = 0.10
"""How often a source without a share of its own is drawn, before the shares are made to add up to 1."""


@dataclass(frozen=True)
class ShippedConfig:
    """How the shipped classifier learns.

    Attributes:
        network: lesions (the segmentation's encoder, frozen, on the lesions) or lungs (a network of its own).
        size: side of the view.
        ridge: of lesions: strength of the penalty on the squared weights of the two questions.
        steps: of lungs, as what follows: steps in all.
        batch: slices per step.
        rate: peak learning rate of the one-cycle schedule; the head's is three times as high.
        weight_decay: of AdamW.
        smoothing: of the labels.
        average_decay: decay per step of the averaged weights, which are kept; 0 keeps the last weights themselves.
        start: segmentation network whose encoder is taken (name, .onnx file or checkpoint); if empty, the shipped one
            for lesions, ImageNet's weights for lungs.
        maps: where the lung and infection maps enter (stride8, input or none).
        mask_chance: chance that a slice is shown with everything outside the lungs greyed out.
        validate_every: steps between two looks at the validation slices.
        leave_out: a source that is not learned from.
        only: the one source that is learned from.
        seed: source of chance.
    """

    network: Kind = "lesions"
    size: int = 224
    ridge: float = 0.02
    steps: int = 1600
    batch: int = 24
    rate: float = 6e-4
    weight_decay: float = 2e-2
    smoothing: float = 0.05
    average_decay: float = 0.99
    start: str = ""
    maps: Maps = "stride8"
    mask_chance: float = Changes.mask_chance
    validate_every: int = 100
    leave_out: str = ""
    only: str = ""
    seed: int = 0


@torch.no_grad()
def logits_of(network: torch.nn.Module, views: NDArray[np.uint8], *, mirrored: bool = True) -> NDArray[np.float32]:
    """Logits (n, classes) of views, the mean of each view and its mirror image."""
    network.eval()
    found = []
    for start in range(0, len(views), 32):
        batch = torch.from_numpy(views[start : start + 32]).float()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(batch).float()
            if mirrored:
                logits = (logits + network(batch.flip(-1)).float()) / 2
        found.append(logits.numpy())
    return np.concatenate(found)


def covid_auroc(logits: NDArray[np.float32], prepared: list[Prepared]) -> float:
    """How well the probability of COVID ranks COVID above everything else; nan where one of the two is missing."""
    truth = [one.slice.label == "COVID" for one in prepared]
    if len(set(truth)) < 2:
        return float("nan")
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return float(roc_auc_score(truth, shifted[:, 0] / shifted.sum(axis=1)))


class ShippedTraining:
    """A network of its own on the lungs, its optimiser and averaged weights; resumable."""

    def __init__(self, prepared: list[Prepared], config: ShippedConfig) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        learning = learned_slices(prepared, config)
        self.val = [one for one in prepared if one.slice.split == "val" and _wanted(one, config)]
        network = LiteClassifier(maps=config.maps)
        if config.start:
            known_slices = learning[:: max(1, len(learning) // MEASURED_ON)][:MEASURED_ON]
            start_encoder(network, config.start, views_of(known_slices, config.size)[:, 0])
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        quicken(self.network)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.sampler = SourceSampler(learning, _shares(learning))
        self.val_views = views_of(self.val, config.size) if self.val else np.zeros((0, 3, 1, 1), np.uint8)
        head = [*self.network.head.parameters(), *self.network.maps.parameters()]
        known = {id(parameter) for parameter in head}
        body = [p for p in self.network.parameters() if p.requires_grad and id(p) not in known]
        self.optimiser = torch.optim.AdamW(
            [{"params": body}, {"params": head}], lr=config.rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, [config.rate, 3 * config.rate], total_steps=config.steps + 1, pct_start=0.15
        )
        self.step, self.best = 0, 0.0

    def batch(self) -> tuple[Tensor, Tensor]:
        """Random views (n, 3, size, size) and what their labels leave open (n, 3)."""
        drawn = [self.sampler.draw(self.rng) for _ in range(self.config.batch)]
        how = Changes(mask_chance=self.config.mask_chance)
        views = np.stack([changed_view(one.planes, self.config.size, self.rng, how) for one in drawn])
        return torch.from_numpy(views), torch.tensor([one.slice.allowed for one in drawn])

    def update(self) -> float:
        """One step; returns the loss."""
        views, allowed = self.batch()
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(views.float().contiguous(memory_format=torch.channels_last))
        loss = open_label_loss(logits, allowed, smoothing=self.config.smoothing)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        decay = min(self.config.average_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, now in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
                if kept.dtype.is_floating_point:
                    kept.lerp_(now, 1.0 - decay)
                else:
                    kept.copy_(now)
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "best": self.best,
        }

    def resume(self, path: Path) -> None:
        """Goes on from a checkpoint of the same configuration."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.step, self.best = int(state["step"]), float(state["best"])

    def fit(self, run: Path) -> None:
        """Trains to the last step; `best.pt` holds the averaged weights that rank the validation slices best.

        Without validation slices of both kinds it holds the last ones.
        """
        run.mkdir(parents=True, exist_ok=True)
        if (run / CHECKPOINT).exists():
            self.resume(run / CHECKPOINT)
        losses, started = [], time.monotonic()
        while self.step < self.config.steps:
            losses.append(self.update())
            if self.step % self.config.validate_every and self.step != self.config.steps:
                continue
            ranked = covid_auroc(logits_of(self.averaged, self.val_views), self.val) if self.val else float("nan")
            pace = (time.monotonic() - started) / len(losses)
            line = {"step": self.step, "loss": float(np.mean(losses)), "val_auroc": ranked, "seconds_per_step": pace}
            with (run / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            logger.info("step %(step)d loss %(loss).4f val %(val_auroc).4f %(seconds_per_step).2f s/step", line)
            if not ranked < self.best:
                self.best = 0.0 if np.isnan(ranked) else ranked
                best = {"averaged": self.averaged.state_dict(), "step": self.step, "config": asdict(self.config)}
                save(best, run / BEST)
            save(self.state(), run / CHECKPOINT)
            losses, started = [], time.monotonic()


def _wanted(one: Prepared, config: ShippedConfig) -> bool:
    """Whether a run may see a slice. Synthetic slices are made of pictures of other sources."""
    if config.only:
        return one.slice.source == config.only
    made_of_it = (one.slice.patient or "").startswith(f"{config.leave_out}/")
    return not config.leave_out or not (one.slice.source == config.leave_out or made_of_it)


def learned_slices(prepared: list[Prepared], config: ShippedConfig) -> list[Prepared]:
    """The slices that a run of this configuration learns from."""
    wanted = [one for one in prepared if one.slice.split in {"", "train"} and _wanted(one, config)]
    return telling(wanted) if config.network == "lesions" else wanted


def _shares(learning: list[Prepared]) -> dict[str, float]:
    return {one.slice.source: SHARES.get(one.slice.source, OTHER_SHARE) for one in learning}


def train_classifier(prepared: list[Prepared], config: ShippedConfig, run: Path) -> None:
    """Trains the network that the configuration names; `best.pt` in the run's folder holds it.

    A run that was stopped goes on, a finished one stays as it is.
    """
    if config.network == "lungs":
        ShippedTraining(prepared, config).fit(run)
    elif not (run / BEST).exists():
        run.mkdir(parents=True, exist_ok=True)
        learning, start = learned_slices(prepared, config), config.start or SEGMENTATION
        network = fit_lesions(learning, _shares(learning), start=start, size=config.size, ridge=config.ridge)
        save({"averaged": network.state_dict(), "config": asdict(config)}, run / BEST)


def load_network(run: Path) -> tuple[SliceNetwork, ShippedConfig]:
    """The network of a run and how it learned."""
    state = torch.load(run / BEST, map_location="cpu", weights_only=True)
    config = ShippedConfig(**state["config"])
    own = config.network == "lungs"
    network: SliceNetwork = LiteClassifier(pretrained=False, maps=config.maps) if own else LesionClassifier()
    network.load_state_dict(state["averaged"])
    return network.eval(), config


def add_options(parser: argparse.ArgumentParser, *, without: tuple[str, ...] = ()) -> None:
    """Adds an option for every attribute of `ShippedConfig`, explained as its docstring does."""
    told = dict(re.findall(r"^ +(\w+): (.+)$", inspect.getdoc(ShippedConfig) or "", re.MULTILINE))
    kinds = get_type_hints(ShippedConfig)
    for field in fields(ShippedConfig):
        if field.name not in without:
            choices = get_args(kinds[field.name]) or None
            kind = str if choices else kinds[field.name]
            text = f"{told[field.name].rstrip('.')} (default: {field.default!r})".replace("%", "%%")
            name = f"--{field.name.replace('_', '-')}"
            parser.add_argument(name, type=kind, choices=choices, default=field.default, help=text)


def config_of(arguments: argparse.Namespace) -> ShippedConfig:
    """The configuration that options name."""
    given = vars(arguments)
    return ShippedConfig(**{field.name: given[field.name] for field in fields(ShippedConfig) if field.name in given})


def start_logging(threads: int) -> None:
    """Shows what is logged, and sets torch up for a long training."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


def main() -> None:
    """Reads the options and trains."""
    parser = argparse.ArgumentParser(prog="python -m groundglass.training.classification.shipped", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("-o", "--run", type=Path, required=True, help="folder of the run; resumed if it exists")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    add_options(parser)
    arguments = parser.parse_args()
    start_logging(arguments.threads)
    prepared = load_shipped(arguments.data, SliceSegmenter(threads=arguments.threads))
    train_classifier(prepared, config_of(arguments), arguments.run)


if __name__ == "__main__":
    main()
