"""``train``: from a preset and a folder of data to a finished, verified network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groundglass.progress import Progress, silent
from groundglass.training.presets import Preset

SETTINGS = "settings.json"
"""File of a run that says what its result depends on."""


@dataclass(frozen=True)
class TrainOptions:
    """What one run may change of its preset; None keeps what the preset says.

    Attributes:
        validation_folds: Folds that are watched (and that choose the best checkpoint); never learned from.
        test_folds: Folds that the network is to be scored on; the run is refused if one of their patients or pictures
            is among those learned from or validated on.
        steps: Steps in all.
        epochs: Epochs in all.
        batch: Slices per step.
        rate: Peak learning rate.
        precision: ``auto``, ``bf16``, ``fp16`` or ``fp32``.
        seed: Source of chance.
        start: Where the run takes its first weights (transfer learning): a shipped model by its name, an .onnx file
            with its card, a checkpoint, or the folder of a run.
        freeze_encoder: Epochs in which the encoder does not learn.
        devices: GPUs, or processes on a CPU, of each node (DDP).
        nodes: Computers (DDP).
        threads: CPU threads of the network; 0 lets torch choose.
        workers: Processes that prepare slices.
        cache: Folder of prepared slices, which runs may share; ``RUN/cache`` by default.
    """

    validation_folds: tuple[int, ...] | None = None
    test_folds: tuple[int, ...] = ()
    steps: int | None = None
    epochs: int | None = None
    batch: int | None = None
    rate: float | None = None
    precision: str | None = None
    seed: int = 0
    start: Path | None = None
    freeze_encoder: int | None = None
    devices: int = 1
    nodes: int = 1
    threads: int = 0
    workers: int = 1
    cache: Path | None = None


@dataclass(frozen=True)
class TrainedRun:
    """What a finished run leaves.

    Attributes:
        folder: The run's folder.
        best: Checkpoint with the best validation Dice (the last one where nothing was validated).
        last: Checkpoint of the last step.
        onnx: The exported network.
        card: Its model card (JSON); `groundglass.models.catalog.load_card(card.stem, card.parent)` reads it.
        log: ``log.csv``: loss, learning rate, validation Dice per channel.
        curve: Picture of the learning curve.
        validation_dice: Mean validation Dice of the exported weights; None where nothing was validated.
        steps: Steps made in all.
    """

    folder: Path
    best: Path
    last: Path
    onnx: Path
    card: Path
    log: Path
    curve: Path
    validation_dice: float | None
    steps: int


def is_first_process() -> bool:
    """Is this the process that speaks for a run of several (DDP)?"""
    from lightning_utilities.core.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0)) == 0


def train(
    preset: Preset,
    data: Path,
    run: Path,
    *,
    folds: Sequence[int] | None = None,
    options: TrainOptions | None = None,
    resume: bool = True,
    progress: Progress = silent,
) -> TrainedRun:
    """Trains a preset, exports the network and writes its card.

    The validation set is, in this order: `TrainOptions.validation_folds`; for a preset that keeps its last
    checkpoint, the folds that are not learned from (watched only, nothing is chosen by them); else a share of
    the patients of the folds that are learned from, so that the other folds stay untouched.

    Args:
        preset: What to train.
        data: Folder of the training data, in one of the layouts of docs/training.md.
        run: Folder of the run.
        folds: Folds to learn from; None: all of them.
        options: What this run changes of the preset.
        resume: Go on where a run of the same settings and data in ``run`` stopped.
        progress: Called with (stage, done, total).

    Raises:
        DatasetError: The data cannot be used; `LeakageError` names a patient or picture on both sides.
        DivergedError: The loss is not a finite number any more.
        OptionError: Options that contradict each other, or a run of other settings or other data in ``run``.
        OutputError: ``run`` cannot be written.
        MissingExtraError: ``groundglass[train]`` is not installed.
    """
    from groundglass.training.fitting import fit_preset

    chosen = options or TrainOptions()
    return fit_preset(preset, data, run, folds=folds, options=chosen, resume=resume, progress=progress)
