"""One training run from end to end: data, split, steps, checkpoints, export, card, curve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as lightning
import torch
from pydantic import ValidationError

from groundglass.errors import OptionError
from groundglass.io.write import atomic_write_bytes, writing
from groundglass.progress import Progress
from groundglass.training.callbacks import BEST, LAST, History
from groundglass.training.cards import export_run
from groundglass.training.curve import draw_curve
from groundglass.training.material import Material, gather
from groundglass.training.module import SegmentationModule
from groundglass.training.presets import describe_problems
from groundglass.training.presets.model import Preset
from groundglass.training.run import TrainedRun, TrainOptions
from groundglass.training.trainer import learning_setup, lengths, loaders, make_trainer
from groundglass.training.transfer import load_start

SETTINGS = "settings.json"


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
    described = _described(preset, folds, options)
    start = _resume_point(run, described, resume)
    material = gather(preset, data, options.cache or run / "cache", folds=folds, options=options, progress=progress)
    steps, period, once = lengths(preset, material.slices)
    with learning_setup(options):
        module = SegmentationModule(
            preset, steps=steps, period=period, seed=options.seed, groups=tuple(v.name for v in material.watch)
        )
        module.epoch_steps = once if preset.schedule.epochs else period
        if options.start is not None and start is None:
            load_start(module.network, options.start)
            module.averaged.load_state_dict(module.network.state_dict())
        history = History(run / "log.csv")
        trainer = make_trainer(module, run, history, options=options, progress=progress, watched=bool(material.watch))
        atomic_write_bytes(run / SETTINGS, described.encode())
        trainer.fit(module, *loaders(module, material, options, trainer), ckpt_path=start, weights_only=True)
    return finish(module, run, history, material, trainer)


def _described(preset: Preset, folds: Sequence[int] | None, options: TrainOptions) -> str:
    """Everything that the result depends on, as JSON."""
    chosen: dict[str, Any] = {"folds": None if folds is None else sorted(folds), "seed": options.seed}
    chosen["start"] = options.start
    chosen["validation_folds"] = options.validation_folds
    return json.dumps({"preset": preset.model_dump(mode="json"), **chosen}, default=str, indent=2) + "\n"


def _resume_point(run: Path, described: str, resume: bool) -> Path | None:
    """The checkpoint to go on from.

    Raises:
        OptionError: The run's folder holds a run of other settings, or one that is not to be resumed.
    """
    last = run / LAST
    if not last.is_file():
        return None
    if not resume:
        raise OptionError(f"{run} holds a run already; resume it, or choose another folder")
    if (run / SETTINGS).is_file() and (run / SETTINGS).read_text(encoding="utf-8") != described:
        raise OptionError(
            f"{run} holds a run of other settings (see {run / SETTINGS}); use the same preset and options to go on "
            "with it, or choose another folder"
        )
    return last


def finish(
    module: SegmentationModule, run: Path, history: History, material: Material, trainer: lightning.Trainer
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
        export_run(module, folder, material)
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
