"""The training loop: mixed precision on CPU or GPU, one learning-rate cycle, averaged weights, resumable."""

from __future__ import annotations

import copy
import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from groundglass.training.losses import masked_bce_dice

logger = logging.getLogger(__name__)
Batch = tuple[Tensor, Tensor, Tensor]
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class FitConfig:
    """How long and how fast a network learns.

    Attributes:
        steps: Steps in all.
        batch: Slices per step.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: Of AdamW.
        warmup: Share of the steps in which the rate rises.
        average_decay: Decay per step of the averaged weights that are kept.
        save_every: Steps between checkpoints.
        workers: Processes that prepare slices.
        seed: Source of chance.
    """

    steps: int = 4000
    batch: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.08
    average_decay: float = 0.998
    save_every: int = 250
    workers: int = 1
    seed: int = 0


class Trainer:
    """A network with its optimiser, schedule and averaged copy; everything a checkpoint holds."""

    def __init__(self, network: nn.Module, config: FitConfig) -> None:
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, config.learning_rate, total_steps=config.steps + 1, pct_start=config.warmup
        )
        self.step = 0

    def update(self, batch: Batch) -> float:
        """One optimiser step on pictures, masks and known pixels (all uint8); returns the loss."""
        images, masks, known = (tensor.to(self.device) for tensor in batch)
        self.network.train()
        images = images.float().contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.network(images)
        loss = masked_bce_dice(logits, masks, known)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimiser.step()
        self.schedule.step()
        self.step += 1
        self._average()
        return float(loss.detach())

    @torch.no_grad()
    def _average(self) -> None:
        # The average starts short, so that early checkpoints are not the untrained network.
        decay = min(self.config.average_decay, (1 + self.step) / (10 + self.step))
        for kept, now in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(now, 1.0 - decay)
            else:
                kept.copy_(now)

    def save(self, path: Path) -> None:
        """Writes a checkpoint under a temporary name and renames it."""
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "random": torch.get_rng_state(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Continues from a checkpoint of the same configuration."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.step = int(state["step"])
        torch.set_rng_state(state["random"].cpu())


def _batches(stream: IterableDataset[Any], config: FitConfig) -> Iterator[Batch]:
    loader = DataLoader(stream, batch_size=config.batch, num_workers=config.workers)
    return iter(loader)


def fit(trainer: Trainer, stream: IterableDataset[Any], run: Path, until: int | None = None) -> Path:
    """Trains until ``until`` (default: all the steps); resumes if ``run`` holds a checkpoint.

    Args:
        trainer: The network and its optimiser.
        stream: Endless examples, as `groundglass.training.data.SliceStream` makes them.
        run: Folder of ``checkpoint.pt`` and ``log.jsonl``.
        until: Step to stop at.

    Returns:
        The path of the checkpoint.
    """
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / CHECKPOINT
    if checkpoint.exists() and trainer.step == 0:
        trainer.load(checkpoint)
    stop = min(until or trainer.config.steps, trainer.config.steps)
    started, losses = time.monotonic(), []
    batches = _batches(stream, trainer.config)
    with (run / "log.jsonl").open("a") as log:
        while trainer.step < stop:
            losses.append(trainer.update(next(batches)))
            if trainer.step % 50 == 0 or trainer.step == stop:
                pace = (time.monotonic() - started) / len(losses)
                line = {"step": trainer.step, "loss": sum(losses) / len(losses), "seconds_per_step": pace}
                log.write(json.dumps(line) + "\n")
                log.flush()
                logger.info("step %(step)d loss %(loss).4f %(seconds_per_step).2f s/step", line)
                started, losses = time.monotonic(), []
            if trainer.step % trainer.config.save_every == 0 or trainer.step == stop:
                trainer.save(checkpoint)
    return checkpoint
