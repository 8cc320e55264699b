"""One training run from end to end: data, split, steps, checkpoints, export, card, curve."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pydantic import ValidationError
from pytorch_lightning.callbacks import EarlyStopping

from groundglass.errors import OptionError
from groundglass.io.write import atomic_write_bytes, writing
from groundglass.progress import Progress
from groundglass.training.callbacks import BEST, LAST, History
from groundglass.training.cards import export_run
from groundglass.training.curve import draw_curve
from groundglass.training.material import Material, check_start, gather
from groundglass.training.module import SegmentationModule
from groundglass.training.presets import describe_problems
from groundglass.training.presets.model import Preset
from groundglass.training.run import SETTINGS, TrainedRun, TrainOptions, is_first_process
from groundglass.training.trainer import learning_setup, lengths, loaders, make_trainer, some_pictures
from groundglass.training.transfer import Start, find_start, load_start

logger = logging.getLogger(__name__)
WRITTEN = (LAST, BEST, SETTINGS, "log.csv", "curve.png")
"""Files of a run that are written under a temporary name first."""


def with_options(preset: Preset, options: TrainOptions) -> Preset:
    """The preset with what a run changes of its schedule.

    Raises:
        OptionError: A value out of range, or both steps and epochs.
    """
    names = ("batch", "rate", "precision", "freeze_encoder")
    changes: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.steps is not None and options.epochs is not None:
        raise OptionError("both steps and epochs are given; expected one of them")
    if options.steps is not None or options.epochs is not None:
        changes |= {"steps": options.steps, "epochs": options.epochs}
    if not changes:
        return preset
    try:
        schedule = type(preset.schedule).model_validate({**preset.schedule.model_dump(), **changes})
    except ValidationError as error:
        raise OptionError(f"these options do not fit: {describe_problems(error)}") from error
    return preset.model_copy(update={"schedule": schedule})


def fit_preset(
    preset: Preset,
    data: Path,
    run: Path,
    *,
    folds: Sequence[int] | None,
    options: TrainOptions,
    resume: bool,
    progress: Progress,
) -> TrainedRun:
    """See `groundglass.training.run.train`."""
    preset = with_options(preset, options)
    if preset.schedule.batch % (options.devices * options.nodes):
        raise OptionError(f"a batch of {preset.schedule.batch} cannot be dealt to {options.devices * options.nodes}")
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
        if is_first_process():
            _remove_leftovers(run)
    described = _described(preset, folds, options)
    resumed = _resume_point(run, described, resume)
    start = None if options.start is None else find_start(options.start)
    material = gather(preset, data, options.cache or run / "cache", folds=folds, options=options, progress=progress)
    described["data"] = material.digest
    if start is not None:
        check_start(start.card, material)
    if resumed is not None:
        _require_same_data(run, data, material.digest)
    steps, period, once = lengths(preset, material.slices)
    with learning_setup(options):
        module = SegmentationModule(
            preset, steps=steps, period=period, seed=options.seed, groups=tuple(v.name for v in material.watch)
        )
        module.epoch_steps = once if preset.schedule.epochs else period
        if start is not None and resumed is None:
            load_start(module.network, start, lambda: some_pictures(preset, material, options.seed))
            module.averaged.load_state_dict(module.network.state_dict())
        history = History(run / "log.csv")
        trainer = make_trainer(module, run, history, options=options, progress=progress, watched=bool(material.watch))
        if resumed is not None and (ended := _ended_early(resumed)) is not None:
            logger.info("the run stopped at step %d, because its validation did not improve any more", ended * period)
            trainer.fit_loop.max_epochs = ended
        atomic_write_bytes(run / SETTINGS, (json.dumps(described, indent=2) + "\n").encode())
        trainer.fit(module, *loaders(module, material, options, trainer), ckpt_path=resumed, weights_only=True)
    return finish(module, run, history, material, trainer, start)


def _remove_leftovers(run: Path) -> None:
    """Clears what a process that was killed while it wrote has left in the folder of its run."""
    for name in WRITTEN:
        for path in run.glob(f".{name}.partial-*"):
            path.unlink(missing_ok=True)


def _described(preset: Preset, folds: Sequence[int] | None, options: TrainOptions) -> dict[str, Any]:
    """Everything that the result depends on besides the data."""
    return {
        "preset": preset.model_dump(mode="json"),
        "folds": None if folds is None else sorted(folds),
        "seed": options.seed,
        "start": None if options.start is None else str(options.start),
        "validation_folds": None if options.validation_folds is None else list(options.validation_folds),
    }


def _settings(run: Path) -> dict[str, Any]:
    """What the settings of a run say; nothing where they cannot be understood."""
    try:
        found = json.loads((run / SETTINGS).read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _resume_point(run: Path, described: dict[str, Any], resume: bool) -> Path | None:
    """The checkpoint to go on from.

    Raises:
        OptionError: The run's folder holds a run of other settings, or one that is not to be resumed.
    """
    last = run / LAST
    if not last.is_file():
        return None
    if not resume:
        raise OptionError(f"{run} holds a run already; resume it, or choose another folder")
    if (run / SETTINGS).is_file() and {**_settings(run), "data": None} != {**described, "data": None}:
        raise OptionError(
            f"{run} holds a run of other settings (see {run / SETTINGS}); use the same preset and options to go on "
            "with it, or choose another folder"
        )
    return last


def _require_same_data(run: Path, data: Path, digest: str) -> None:
    """Refuses to go on with other data, which the model card would then name as learned from.

    Raises:
        OptionError: The run's folder holds a run on other data.
    """
    # Runs of earlier versions did not record their data.
    before = _settings(run).get("data", digest) if (run / SETTINGS).is_file() else digest
    if before != digest:
        raise OptionError(
            f"{run} holds a run on other data than {data}: files, patients or folds differ; give the data that the run "
            "began with to go on with it, or choose another folder"
        )


def _ended_early(checkpoint: Path) -> int | None:
    """Periods of a run that stopped because its validation did not improve any more; None if it may go on."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    stopping = [own for name, own in state.get("callbacks", {}).items() if name.startswith(EarlyStopping.__name__)]
    stopped = any(own["wait_count"] >= own["patience"] for own in stopping)
    return int(state["epoch"]) + 1 if stopped else None


def finish(
    module: SegmentationModule,
    run: Path,
    history: History,
    material: Material,
    trainer: lightning.Trainer,
    start: Start | None = None,
) -> TrainedRun:
    """Exports the weights that the preset keeps, with card and curve; other processes only wait for the first."""
    last = run / LAST
    best = run / BEST if (run / BEST).is_file() else last
    kept = best if module.schedule.keep == "best" else last
    module.load_state_dict(torch.load(kept, map_location="cpu", weights_only=True)["state_dict"])
    module.cpu()
    folder, name = run / "model", module.preset.name
    if trainer.is_global_zero:
        draw_curve(history.rows, run / "curve.png", name)
        module.case_dice = history.cases.get(kept.name, {})
        export_run(module, folder, material, start)
    means = [sum(cases.values()) / len(cases) for cases in history.cases.get(kept.name, {}).values() if cases]
    return TrainedRun(
        folder=run,
        best=best,
        last=last,
        onnx=folder / f"{name}.onnx",
        card=folder / f"{name}.json",
        log=run / "log.csv",
        curve=run / "curve.png",
        validation_dice=sum(means) / len(means) if means else None,
        steps=int(history.rows[-1]["step"]),
    )
