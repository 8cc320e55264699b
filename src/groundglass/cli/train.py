"""`groundglass train`: trains a preset, or draws what a network of it is shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundglass.cli.analyze import Json, Quiet
from groundglass.cli.console import errors_to, progress_bar, show

if TYPE_CHECKING:
    from rich.table import Table

    from groundglass.training.presets import Preset
    from groundglass.training.run import TrainedRun

NEEDED = ("torch", "pytorch_lightning", "monai", "onnx")


def command(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="Name of a preset, or the path of a .toml file.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of the training data (see docs/training.md).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run; a run in it is resumed.")] = (
        Path("groundglass-run")
    ),
    folds: Annotated[
        list[int] | None, typer.Option("--fold", help="Fold to learn from; repeat for several. Default: all.")
    ] = None,
    validation_folds: Annotated[
        list[int] | None, typer.Option("--validation-fold", help="Fold to validate on; repeat for several.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs, instead of the preset's.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, instead of the preset's.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Slices per step.")] = None,
    rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, bf16, fp16 (GPU) or fp32.")] = None,
    seed: Annotated[int, typer.Option(help="Source of chance; the same seed gives the same run.")] = 0,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to start from (transfer learning).")] = None,
    freeze_encoder: Annotated[
        int | None, typer.Option("--freeze-encoder", min=0, help="Epochs in which the encoder does not learn.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="GPUs, or processes on a CPU, of each computer.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Computers.")] = 1,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 lets torch choose.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare slices.")] = 1,
    cache: Annotated[Path | None, typer.Option(help="Folder of prepared slices, shared by runs.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the run in the output folder.")] = True,
    show_samples: Annotated[
        Path | None, typer.Option("--show-samples", help="Draw slices before and after every step to this PNG, only.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a network from a preset.

    Writes OUT/model (ONNX network and model card), best.ckpt, last.ckpt, log.csv, curve.png and tensorboard. A run
    that was stopped goes on where it was when the same command is given again.
    """
    require_training()
    from groundglass.training.classification.presets import is_classifier
    from groundglass.training.presets import load_preset
    from groundglass.training.run import TrainOptions, is_first_process, train

    if is_classifier(preset):
        from groundglass.cli.classifier import train_classifier

        changes = {"epochs": epochs, "batch": batch, "rate": rate}
        return train_classifier(preset, data, output, changes=changes, seed=seed, as_json=as_json, quiet=quiet)
    chosen = load_preset(preset)
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
    if as_json and is_first_process():
        print(json.dumps(_record(run)))
    elif is_first_process():
        show(_table(run))
    return 0


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
