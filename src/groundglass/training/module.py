"""A network that learns, as a PyTorch Lightning module: loss, optimiser, averaged weights, validation Dice."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn

from groundglass.errors import DivergedError
from groundglass.training.callbacks import WATCHED
from groundglass.training.data import Item
from groundglass.training.losses import make_loss
from groundglass.training.nets import build_network
from groundglass.training.nets.quick import quicken
from groundglass.training.presets.model import Preset, Schedule

FINITE_EVERY = 50
"""Steps between checks of the loss on a GPU, which each wait for it; on a CPU every step is checked."""


class SegmentationModule(lightning.LightningModule):
    """Trains the network of a preset.

    Attributes:
        network: What learns.
        averaged: What is validated and exported: the exponential average of the weights, or the network itself.
        epoch_steps: Steps of what the preset calls an epoch.
        case_dice: Channel -> volume -> Dice of the last validation.
    """

    def __init__(self, preset: Preset, *, steps: int, period: int, seed: int, groups: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.preset, self.schedule = preset, preset.schedule
        self.total_steps, self.period, self.seed, self.groups = steps, period, seed, groups
        self.network = build_network(preset.network, len(preset.channels)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        quicken(self.network)
        self.averaged = self.network
        if self.schedule.average_decay is not None:
            self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.loss = make_loss(preset.loss, len(preset.channels))
        self.epoch_steps = period
        self.case_dice: dict[str, dict[str, float]] = {}
        self._tally = torch.zeros(0)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning accepts many kinds
        """The optimiser and, per step, its learning rate."""
        optimiser = make_optimiser(self.network, self.schedule, fused=self.trainer.precision != "16-mixed")
        shape = make_rate(optimiser, self.schedule, self.total_steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": shape, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Holds the encoder still for the first epochs of transfer learning, then lets it learn."""
        frozen = self.current_epoch * self.period < self.schedule.freeze_encoder * self.epoch_steps
        for weight in self.network.encoder.parameters():
            weight.requires_grad_(not frozen)
        # Running means and variances are no parameters, but move with every batch that is normalised by itself.
        for layer in self.network.encoder.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.train(not frozen)

    def training_step(self, batch: Item, _: int) -> Tensor:
        """The loss of one batch of pictures, masks and known pixels (uint8)."""
        # What chance does in this step depends on the step alone, so that a resumed run repeats it.
        torch.manual_seed(hash((self.seed, self.global_step, self.global_rank)) % 2**63)
        images, masks, known = batch
        logits = self.network(images.float().contiguous(memory_format=torch.channels_last))
        with torch.autocast(self.device.type, enabled=False):
            loss = self.loss(logits, masks, known)
        if self.device.type == "cpu" or self.global_step % FINITE_EVERY == 0:
            self._require_finite(loss)
        self.log("loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(images))
        return loss

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - all of it is in the schedule
        """Clips the gradient; Lightning itself refuses to with a fused optimiser, where bf16 scales nothing."""
        if self.schedule.clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.schedule.clip)

    def _require_finite(self, loss: Tensor) -> None:
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DivergedError(
                f"the loss is {value} at step {self.global_step} (learning rate {self.schedule.rate:g}, precision "
                f"{self.trainer.precision}); expected a finite number; start again with a lower --rate or with "
                "--precision fp32"
            )

    @torch.no_grad()
    def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401 - what Lightning hands over is not needed
        """Moves the averaged weights towards the network."""
        if self.averaged is self.network:
            return
        # The average starts short, so that early checkpoints are not the untrained network.
        decay = min(self.schedule.average_decay or 0.0, (1 + self.global_step) / (10 + self.global_step))
        for kept, now in zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(now, 1.0 - decay)
            else:
                kept.copy_(now)

    def on_validation_epoch_start(self) -> None:
        """Forgets the last validation."""
        self.averaged.eval()
        self._tally = torch.zeros(4, len(self.groups), len(self.preset.channels), device=self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor, Tensor], _: int) -> None:
        """Counts overlapping, found, drawn and unknown pixels of each volume and channel."""
        images, masks, known, groups = batch
        logits = self.averaged(images.float().contiguous(memory_format=torch.channels_last))
        seen = known.float()
        found, drawn = (logits.float() >= 0).float() * seen, masks.float() * seen
        counts = torch.stack([value.sum((2, 3)) for value in (found * drawn, found, drawn, 1.0 - seen)])
        self._tally.index_add_(1, groups, counts)

    def on_validation_epoch_end(self) -> None:
        """Dice per volume, pooled over its slices, then the mean over volumes and over channels."""
        tally = self.trainer.strategy.reduce(self._tally, reduce_op="sum").cpu()
        self.case_dice = dice_by_case(tally, self.groups, self.preset.channels)
        means = {name: sum(cases.values()) / len(cases) for name, cases in self.case_dice.items() if cases}
        for name, value in means.items():
            self.log(f"{WATCHED}_{name}", value, rank_zero_only=False)
        if means:
            self.log(WATCHED, sum(means.values()) / len(means))


def dice_by_case(tally: Tensor, groups: tuple[str, ...], channels: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Channel -> volume -> Dice, of volumes where all of the channel is known; 1 where it is neither found nor drawn.

    Args:
        tally: Pixels [overlap / found / drawn / unknown, volume, channel].
        groups: Names of the volumes.
        channels: Names of the channels.
    """
    overlap, found, drawn, unknown = tally.double()
    total = found + drawn
    dice = torch.where(total > 0, 2.0 * overlap / total.clamp(min=1.0), torch.ones_like(total))
    return {
        channel: {name: float(dice[row, column]) for row, name in enumerate(groups) if unknown[row, column] == 0}
        for column, channel in enumerate(channels)
    }


def make_optimiser(network: nn.Module, schedule: Schedule, *, fused: bool) -> torch.optim.Optimizer:
    """The optimiser of a schedule."""
    weights = network.parameters()
    if schedule.optimiser == "sgd":
        return torch.optim.SGD(weights, lr=schedule.rate, momentum=0.9, weight_decay=schedule.weight_decay)
    kind = torch.optim.AdamW if schedule.optimiser == "adamw" else torch.optim.Adam
    return kind(weights, lr=schedule.rate, weight_decay=schedule.weight_decay, fused=fused)


def make_rate(optimiser: torch.optim.Optimizer, schedule: Schedule, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate of each step of a schedule."""
    if schedule.shape == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, schedule.rate, total_steps=steps + 1, pct_start=schedule.warmup
        )
    if schedule.shape == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
    return torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
