"""``python -m groundglass.training.classification.shipped``: trains the classifier that ships."""

from __future__ import annotations

import argparse
import copy
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from groundglass.image.lung_view import classifier_view
from groundglass.inference.segment import SliceSegmenter
from groundglass.training.classification.changes import Changes, changed_view
from groundglass.training.classification.losses import open_label_loss
from groundglass.training.classification.nets.lite import LiteClassifier
from groundglass.training.classification.shipped_data import SHARES, Prepared, SourceSampler, load_shipped

logger = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"


@dataclass(frozen=True)
class ShippedConfig:
    """How the shipped classifier learns.

    Attributes:
        steps: steps in all.
        batch: slices per step.
        size: side of the view.
        rate: peak learning rate of the one-cycle schedule; the head's is three times as high.
        weight_decay: of AdamW.
        smoothing: of the labels.
        average_decay: decay per step of the averaged weights, which are kept.
        validate_every: steps between two looks at the validation slices.
        leave_out: a source that is not learned from.
        only: the one source that is learned from.
        seed: source of chance.
    """

    steps: int = 1600
    batch: int = 24
    size: int = 224
    rate: float = 6e-4
    weight_decay: float = 2e-2
    smoothing: float = 0.05
    average_decay: float = 0.99
    validate_every: int = 100
    leave_out: str = ""
    only: str = ""
    seed: int = 0


def views_of(prepared: list[Prepared], size: int) -> NDArray[np.uint8]:
    """The plain views of slices, uint8 (n, 3, size, size)."""
    return np.stack([classifier_view(*one.planes, size=size)[0] for one in prepared])


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
    """The network, its optimiser and averaged weights; resumable."""

    def __init__(self, prepared: list[Prepared], config: ShippedConfig) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.network = LiteClassifier().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        shares = {config.only: 1.0} if config.only else dict(SHARES)
        shares.pop(config.leave_out, None)
        learning = [one for one in prepared if one.slice.split in {"", "train"}]
        if config.leave_out:
            # Synthetic slices are made of pictures of other sources.
            made_of_it = f"{config.leave_out}/"
            learning = [one for one in learning if not (one.slice.patient or "").startswith(made_of_it)]
        self.sampler = SourceSampler(learning, shares)
        self.val = [one for one in prepared if one.slice.split == "val"]
        self.val_views = views_of(self.val, config.size)
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
        views = np.stack([changed_view(one.planes, self.config.size, self.rng, Changes()) for one in drawn])
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
        """Trains to the last step; `best.pt` holds the averaged weights that rank the validation slices best."""
        run.mkdir(parents=True, exist_ok=True)
        if (run / CHECKPOINT).exists():
            self.resume(run / CHECKPOINT)
        losses, started = [], time.monotonic()
        while self.step < self.config.steps:
            losses.append(self.update())
            if self.step % self.config.validate_every and self.step != self.config.steps:
                continue
            ranked = covid_auroc(logits_of(self.averaged, self.val_views), self.val)
            pace = (time.monotonic() - started) / len(losses)
            line = {"step": self.step, "loss": float(np.mean(losses)), "val_auroc": ranked, "seconds_per_step": pace}
            with (run / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            logger.info("step %(step)d loss %(loss).4f val %(val_auroc).4f %(seconds_per_step).2f s/step", line)
            if ranked >= self.best:
                self.best = ranked
                _save({"averaged": self.averaged.state_dict(), "step": self.step}, run / BEST)
            _save(self.state(), run / CHECKPOINT)
            losses, started = [], time.monotonic()


def _save(state: dict[str, Any], path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def main() -> None:
    """Reads the options and trains."""
    parser = argparse.ArgumentParser(prog="python -m groundglass.training.classification.shipped", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("-o", "--run", type=Path, required=True, help="folder of the run; resumed if it exists")
    parser.add_argument("--steps", type=int, default=ShippedConfig.steps)
    parser.add_argument("--size", type=int, default=ShippedConfig.size)
    parser.add_argument("--leave-out", default="", help="a source that is not learned from")
    parser.add_argument("--only", default="", help="the one source that is learned from")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    prepared = load_shipped(arguments.data, SliceSegmenter(threads=1))
    config = ShippedConfig(
        steps=arguments.steps,
        size=arguments.size,
        leave_out=arguments.leave_out,
        only=arguments.only,
        seed=arguments.seed,
    )
    ShippedTraining(prepared, config).fit(arguments.run)


if __name__ == "__main__":
    main()
