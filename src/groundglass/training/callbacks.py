"""What goes on beside the steps: the log, progress, and checkpoints that are complete or absent."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from groundglass.io.write import atomic_file, atomic_write_bytes
from groundglass.progress import Progress

LAST, BEST = "last.ckpt", "best.ckpt"
WATCHED = "validation_dice"
Row = dict[str, float]
Cases = dict[str, dict[str, float]]
"""Channel -> volume -> Dice."""


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes checkpoints under a temporary name and renames them, so that a kill never leaves half of one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ANN401
        """Saves a checkpoint.

        Raises:
            OutputError: The disk is full, or the folder cannot be written.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as file:
            torch.save(checkpoint, file)


class History(lightning.Callback):
    """Keeps what was logged, inside the checkpoint too, and writes it to ``log.csv`` after every period.

    A resumed run continues the log of its checkpoint: steps that were lost and made again stand there once.

    Attributes:
        rows: One row per period.
        cases: Validation Dice of every volume, of the best and of the last checkpoint by its file name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[Row] = []
        self.cases: dict[str, Cases] = {}
        self._best = -1.0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"rows": [dict(row) for row in self.rows], "cases": self.cases, "best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up the log of a checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]
        self.cases, self._best = dict(state_dict["cases"]), float(state_dict["best"])

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Adds a row."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.rows.append({"step": float(trainer.global_step), "rate": rate, **values})
        cases: Cases = getattr(pl_module, "case_dice", {})
        self.cases[LAST] = cases
        if values.get(WATCHED, -1.0) > self._best:
            self._best, self.cases[BEST] = values[WATCHED], cases
        if trainer.is_global_zero:
            atomic_write_bytes(self.path, log_text(self.rows).encode())


def log_text(rows: list[Row]) -> str:
    """The log as CSV."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: int(value) if name == "step" else f"{value:.6g}" for name, value in row.items()})
    return text.getvalue()


class StepProgress(lightning.Callback):
    """Hands the number of steps made to a progress callback."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self.progress, self.steps = progress, steps

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:  # noqa: ANN401
        """Reports a step."""
        if trainer.is_global_zero:
            self.progress("training", trainer.global_step, self.steps)
