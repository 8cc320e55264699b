"""The Lightning trainer of a run: length, precision, devices, checkpoints, loaders."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from groundglass.errors import OptionError
from groundglass.progress import Progress
from groundglass.training.arithmetic import bf16_is_fast
from groundglass.training.callbacks import BEST, LAST, WATCHED, AtomicCheckpoints, History, StepProgress
from groundglass.training.data import Numbers, Plan, TrainingSlices, WatchedSlices, quiet_worker
from groundglass.training.material import Material
from groundglass.training.module import SegmentationModule
from groundglass.training.presets.model import Preset
from groundglass.training.run import TrainOptions

DEFAULT_PERIOD = 250


def lengths(preset: Preset, slices: int) -> tuple[int, int, int]:
    """Steps of the run, of a period (validation and checkpoint), and of a pass over the data.

    The run is rounded up to whole periods of equal length.
    """
    schedule = preset.schedule
    once = max(1, math.ceil(slices / schedule.batch))
    steps = schedule.steps or (schedule.epochs or 1) * once
    wanted = schedule.validate_every or (once if schedule.epochs else DEFAULT_PERIOD)
    periods = max(1, math.ceil(steps / wanted))
    period = math.ceil(steps / periods)
    return period * periods, period, once


@contextmanager
def learning_setup(options: TrainOptions) -> Iterator[None]:
    """Threads, seed and arithmetic of a run; put back afterwards."""
    threads = torch.get_num_threads()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # AdamW's moments of idle weights are denormal, which is slow on a CPU
    lightning.seed_everything(options.seed, verbose=False)
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on workers, loggers and folders, given to every run
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)


def precision_name(wanted: str) -> Any:  # noqa: ANN401 - one of Lightning's own literals
    """Lightning's name of a precision.

    Raises:
        OptionError: fp16 without a GPU.
    """
    gpu = torch.cuda.is_available()
    if wanted == "fp16":
        if not gpu:
            raise OptionError("precision fp16 needs a GPU; expected bf16 or fp32 on a CPU")
        return "16-mixed"
    if wanted == "auto":
        return "bf16-mixed" if bf16_is_fast() else "32-true"
    return "bf16-mixed" if wanted == "bf16" else "32-true"


def make_trainer(
    module: SegmentationModule,
    run: Path,
    history: History,
    *,
    options: TrainOptions,
    progress: Progress,
    watched: bool,
) -> lightning.Trainer:
    """The Lightning trainer of a run."""
    schedule = module.schedule
    several = options.devices * options.nodes > 1
    return lightning.Trainer(
        default_root_dir=run,
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=options.devices,
        num_nodes=options.nodes,
        strategy="ddp_find_unused_parameters_true"
        if several and schedule.freeze_encoder
        else "ddp"
        if several
        else "auto",
        precision=precision_name(schedule.precision),
        max_epochs=module.total_steps // module.period,
        limit_val_batches=1.0 if watched else 0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=TensorBoardLogger(run, name="tensorboard", version=""),
        log_every_n_steps=min(50, module.period),
        callbacks=_callbacks(module, run, history, progress=progress, watched=watched),
        plugins=[AtomicCheckpoints()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _callbacks(
    module: SegmentationModule, run: Path, history: History, *, progress: Progress, watched: bool
) -> list[Callback]:
    callbacks: list[Callback] = [history, StepProgress(progress, module.total_steps)]
    if watched and module.schedule.patience is not None:
        callbacks.append(EarlyStopping(WATCHED, mode="max", patience=module.schedule.patience))
    if watched:
        best = ModelCheckpoint(
            run, BEST.removesuffix(".ckpt"), monitor=WATCHED, mode="max", enable_version_counter=False
        )
        callbacks.append(best)
    # The last one comes last, so that it holds the state of all others.
    last = ModelCheckpoint(run, LAST.removesuffix(".ckpt"), save_on_train_epoch_end=True, enable_version_counter=False)
    return [*callbacks, last]


def some_pictures(preset: Preset, material: Material, seed: int, count: int = 64) -> torch.Tensor:
    """Examples of what is learned from, uint8 (count, 1, size, size)."""
    size = preset.sizes[-1]
    drawn = TrainingSlices(preset, material.sources, Plan(count, (size,), 0), seed)
    return torch.stack([drawn[number][0] for number in range(count)])


def loaders(
    module: SegmentationModule, material: Material, options: TrainOptions, trainer: lightning.Trainer
) -> tuple[DataLoader[Any], DataLoader[Any] | None]:
    """What feeds the steps and the validation."""
    preset, batch = module.preset, module.schedule.batch
    processes = options.devices * options.nodes
    plan = Plan(batch, preset.sizes, int(module.total_steps * preset.switch) if len(preset.sizes) > 1 else 0)
    learn = TrainingSlices(preset, material.sources, plan, options.seed)
    common: dict[str, Any] = {"num_workers": options.workers, "worker_init_fn": quiet_worker}
    common |= {"persistent_workers": options.workers > 0, "pin_memory": torch.cuda.is_available()}
    numbers = Numbers(batch, module.period, trainer.global_rank, processes)
    train_loader = DataLoader(learn, batch // processes, sampler=numbers, **common)
    if not material.watch:
        return train_loader, None
    watch = WatchedSlices(preset, material.watch)
    share = range(trainer.global_rank, len(watch), processes)
    return train_loader, DataLoader(
        watch, batch, sampler=share, **{**common, "num_workers": 0, "persistent_workers": False}
    )
