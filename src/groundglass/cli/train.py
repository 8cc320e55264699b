"""`groundglass train`: trains a preset, or draws what a network of it is shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from groundglass.cli.analyze import Json, Quiet
from groundglass.cli.console import errors_to, progress_bar, show
from groundglass.cli.options import (
    Batch,
    Cache,
    ComputePrecision,
    Devices,
    Epochs,
    FreezeEncoder,
    LearnedFolds,
    Nodes,
    PresetChanges,
    PresetName,
    Rate,
    Resume,
    RunFolder,
    ShowPreset,
    ShowSamples,
    Start,
    Steps,
    Threads,
    TrainingData,
    TrainingSeed,
    ValidatedFolds,
    Workers,
)

if TYPE_CHECKING:
    from rich.table import Table

    from groundglass.training.presets import Preset
    from groundglass.training.run import TrainedRun

NEEDED = ("torch", "pytorch_lightning", "monai", "onnx")


def command(
    context: typer.Context,
    preset: PresetName,
    data: TrainingData = None,
    output: RunFolder = Path("groundglass-run"),
    folds: LearnedFolds = None,
    validation_folds: ValidatedFolds = None,
    epochs: Epochs = None,
    steps: Steps = None,
    batch: Batch = None,
    rate: Rate = None,
    precision: ComputePrecision = None,
    seed: TrainingSeed = 0,
    start: Start = None,
    freeze_encoder: FreezeEncoder = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    threads: Threads = 0,
    workers: Workers = 1,
    cache: Cache = None,
    resume: Resume = True,
    changes: PresetChanges = None,
    show_samples: ShowSamples = None,
    show_preset: ShowPreset = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a network from a preset.

    Writes OUT/model (ONNX network and model card), checkpoints, log.csv and curves; segmentation also tensorboard,
    classification also predictions.csv and result.json with its scores. A run that was stopped goes on where it was
    when the same command is given again.
    """
    if show_preset:
        return _show_preset(preset)
    require_training()
    data = _required(data)
    from groundglass.training.classification.presets import is_classifier
    from groundglass.training.presets import load_preset
    from groundglass.training.run import TrainOptions, is_first_process, train

    if is_classifier(preset):
        from groundglass.cli.classifier import refuse_options, train_classifier

        refuse_options(context)
        given = {"epochs": epochs, "batch": batch, "rate": rate}
        entries = [*(changes or ()), *(f"{key}={value}" for key, value in given.items() if value is not None)]
        return train_classifier(
            preset, data, output, changes=entries, seed=seed, resume=resume, as_json=as_json, quiet=quiet
        )
    chosen = load_preset(preset, changes or ())
    if show_samples is not None:
        return _draw(chosen, data, show_samples, seed, as_json)
    options = TrainOptions(
        validation_folds=tuple(validation_folds) if validation_folds else None,
        steps=steps,
        epochs=epochs,
        batch=batch,
        rate=rate,
        precision=precision,
        seed=seed,
        start=start,
        freeze_encoder=freeze_encoder,
        devices=devices,
        nodes=nodes,
        threads=threads,
        workers=workers,
        cache=cache,
    )
    silent = quiet or as_json or not is_first_process()
    with remarks(silent), progress_bar(silent) as progress:
        run = train(chosen, data, output, folds=folds, options=options, resume=resume, progress=progress)
    if is_first_process():
        _tell(run, as_json)
    return 0


def _show_preset(preset: str) -> int:
    from groundglass.training.presets import find_preset

    typer.echo(find_preset(preset).read_text(encoding="utf-8"), nl=False)
    return 0


def _required(data: Path | None) -> Path:
    from groundglass.errors import OptionError

    if data is None:
        raise OptionError("no data to train on; give their folder with --data (see docs/training.md)")
    return data


def require_training() -> None:
    """Find out whether the training half is installed.

    Raises:
        MissingExtraError: it is not.
    """
    from importlib.util import find_spec

    from groundglass.errors import MissingExtraError

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"training needs {', '.join(missing)}, which the base install leaves out: pip install 'groundglass[train]'"
        )


@contextmanager
def remarks(quiet: bool) -> Iterator[None]:
    """Show what the training half logs on stderr, a line each."""
    logger = logging.getLogger("groundglass.training")
    handler = _Remarks()
    before = logger.level
    if not quiet:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Remarks(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        import sys

        errors_to(sys.stderr).print(record.getMessage(), highlight=False, markup=False, soft_wrap=True)


def _draw(preset: Preset, data: Path, target: Path, seed: int, as_json: bool) -> int:
    from groundglass.training.samples_picture import draw_samples

    names = draw_samples(preset, data, target, seed=seed)
    if as_json:
        print(json.dumps({"picture": str(target), "steps": names}))
    else:
        typer.echo(f"Samples: {target}")
    return 0


def _tell(run: TrainedRun, as_json: bool) -> None:
    if as_json:
        print(json.dumps(_record(run)))
    else:
        show(_table(run))


def _record(run: TrainedRun) -> dict[str, object]:
    from dataclasses import asdict

    return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(run).items()}


def _table(run: TrainedRun) -> Table:
    from rich.table import Table

    table = Table(title=f"Trained: {run.steps} steps", title_justify="left", show_header=False)
    dice = "nothing was validated" if run.validation_dice is None else f"{run.validation_dice:.4f}"
    rows = {"Validation Dice": dice, "Network": run.onnx, "Card": run.card, "Curve": run.curve, "Log": run.log}
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table
