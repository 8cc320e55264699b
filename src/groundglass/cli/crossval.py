"""`groundglass crossval`: how good a preset is on patients that its networks have not seen."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from groundglass.cli.analyze import Json, Quiet
from groundglass.cli.console import progress_bar
from groundglass.cli.evaluate import told
from groundglass.cli.options import Data, PostProcess, PresetChanges, Surfaces

if TYPE_CHECKING:
    from groundglass.progress import Progress
    from groundglass.training.crossval import Job
    from groundglass.training.crossval_report import CrossvalOptions
    from groundglass.training.presets import Preset


class Split(StrEnum):
    """How volumes are dealt to folds."""

    patients = "patients"
    slices = "slices"


class Thresholds(StrEnum):
    """Where thresholds come from."""

    card = "card"
    validation = "validation"
    others = "others"


FoldsDone = Annotated[
    list[str] | None,
    typer.Option(
        "--folds-done",
        help="A network that is trained already, one for each fold, instead of a preset: a finished run, or an "
        ".onnx file with its card; FOLD=PLACE where its card does not list what it learned from.",
    ),
]
Only = Annotated[
    list[int] | None,
    typer.Option(
        "--only",
        help="Fold to train and score, leaving the others to other processes or machines with the same folder; "
        "repeat it for several. The last to finish puts all folds together.",
    ),
]
ThresholdsFrom = Annotated[
    Thresholds,
    typer.Option(
        "--thresholds",
        help="card: as trained; validation: chosen on a fold that is neither learned from nor scored; others: "
        "chosen on the out-of-fold predictions of the other folds.",
    ),
]


def command(
    data: Data,
    preset: Annotated[
        str | None, typer.Argument(metavar="[PRESET]", help="Name of a preset, or the path of a .toml file.")
    ] = None,
    run: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run: one folder per fold, page, tables, record.")
    ] = Path("groundglass-crossval"),
    changes: PresetChanges = None,
    folds_done: FoldsDone = None,
    only: Only = None,
    split: Annotated[
        Split,
        typer.Option("--split", help="patients, or slices: at random, which leaks; only to show what leakage does."),
    ] = Split.patients,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Folds to make where the data have none.")] = 4,
    thresholds: ThresholdsFrom = Thresholds.card,
    post_process: PostProcess = False,
    surfaces: Surfaces = True,
    steps: Annotated[int | None, typer.Option(help="Steps of each training instead of the preset's.")] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Folder of an earlier cross-validation: each fold starts from its network of that fold; or one "
            "network that has seen nobody of these data, such as lungs-infection."
        ),
    ] = None,
    coverage: Annotated[
        float, typer.Option(min=0.5, max=0.99, help="Of new patients, by the interval of the involvement.")
    ] = 0.9,
    seed: Annotated[int, typer.Option(help="Of folds, training and bootstrap.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train one network per fold and score every volume by the network that has not seen its patient.

    A run that was cut off goes on: finished folds are kept, an unfinished training is resumed. The folder gets
    evaluation.html, evaluation.json, volumes.csv, slices.csv, figures/, panels/ and fold-N/.
    """
    from groundglass.errors import OptionError
    from groundglass.training.crossval import cross_validate, score_folds
    from groundglass.training.crossval_report import CrossvalOptions

    options = CrossvalOptions(
        split=split.value,
        folds=folds,
        thresholds=thresholds.value,
        post_processing=post_process,
        surfaces=surfaces,
        coverage=coverage,
        seed=seed,
    )
    with progress_bar(quiet or as_json) as progress:
        if folds_done:
            if start is not None or changes:
                raise OptionError("--folds-done takes networks as they are: no --start, no --set")
            job = _of_finished(preset, data, run, folds_done, options)
        else:
            job = _of_preset(_recipe(preset, changes), data, run, steps, start, options, progress)
        missing = score_folds(job, only, progress=progress) if only else ()
        if missing:
            typer.echo(f"Not finished yet: fold {', '.join(map(str, missing))} of {run}", err=True)
            return 0
        record = cross_validate(*job, progress=progress)
    return told(record, run, as_json)


def _of_finished(preset: str | None, data: Path, run: Path, places: list[str], options: CrossvalOptions) -> Job:
    from dataclasses import replace

    from groundglass.errors import OptionError
    from groundglass.evaluation.layouts import read_data
    from groundglass.training.crossval import Job
    from groundglass.training.crossval_models import finished_models
    from groundglass.training.crossval_splits import with_patient_folds

    if preset is not None or options.split != "patients" or options.thresholds == "validation":
        raise OptionError("--folds-done takes networks as they are: no preset, no --split, no --thresholds validation")
    labelled, _ = with_patient_folds(read_data(data), options.folds, options.seed)
    model_of, cards = finished_models(places, labelled)
    known = replace(options, recipe={"networks": {str(fold): card.sha256 for fold, card in sorted(cards.items())}})
    name = next(iter(cards.values())).name
    return Job(name, labelled, data, run, model_of, known)


def _recipe(preset: str | None, changes: list[str] | None) -> Preset:
    from groundglass.errors import OptionError
    from groundglass.training.presets import load_preset

    if preset is None:
        raise OptionError("no preset is named; name one, or give trained networks with --folds-done")
    return load_preset(preset, changes or ())


def _of_preset(
    recipe: Preset,
    data: Path,
    run: Path,
    steps: int | None,
    start: Path | None,
    options: CrossvalOptions,
    progress: Progress,
) -> Job:
    from dataclasses import replace

    from groundglass.errors import OptionError
    from groundglass.evaluation.layouts import read_data
    from groundglass.training.crossval import Job
    from groundglass.training.crossval_models import trained
    from groundglass.training.run import TrainOptions

    described: dict[str, object] = {"preset": recipe.model_dump(mode="json"), "steps": steps}
    if start is not None:
        if options.split != "patients":
            raise OptionError("--start needs folds by patient; expected no --split slices")
        described["start"] = str(start)
    known = replace(options, recipe=described)
    own = TrainOptions(steps=steps, seed=options.seed, cache=run / "cache")
    model_of = trained(recipe, own, progress, start=start)
    return Job(recipe.name, read_data(data), data, run, model_of, known)
