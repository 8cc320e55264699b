"""`groundglass evaluate`: how good a network, or any folder of masks, is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from groundglass.cli.analyze import Json, Quiet
from groundglass.cli.console import progress_bar, show
from groundglass.cli.options import (
    BootstrapSeed,
    EvaluationFolder,
    IncludeLearned,
    Labels,
    PostProcess,
    Predictions,
    SameVoxels,
    ScoredData,
    ScoredFolds,
    ScoredModel,
    ScoredPart,
    Structures,
    Surfaces,
    ThresholdFolds,
    ThresholdValues,
    ValidationData,
)

if TYPE_CHECKING:
    from rich.table import Table

    from groundglass.evaluation.layouts import LabelledData
    from groundglass.evaluation.predict import Predictor
    from groundglass.evaluation.records import Evaluation
    from groundglass.evaluation.structures import Structure

DEFAULT_MODEL = "lungs-infection"


def command(
    data: ScoredData,
    output: EvaluationFolder = Path("groundglass-evaluation"),
    model: ScoredModel = None,
    predictions: Predictions = None,
    part: ScoredPart = None,
    folds: ScoredFolds = None,
    validation: ValidationData = None,
    validation_folds: ThresholdFolds = None,
    threshold: ThresholdValues = None,
    structure: Structures = None,
    label: Labels = None,
    post_process: PostProcess = False,
    surfaces: Surfaces = True,
    same_voxels: SameVoxels = False,
    include_learned: IncludeLearned = False,
    seed: BootstrapSeed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Score a network, or masks of any origin, against labelled data.

    Writes OUT/evaluation.html (one self-contained page), evaluation.json, volumes.csv, slices.csv, figures/, panels/.
    Means are over volumes, intervals over patients. Volumes whose patients the model learned from are left out.

    Labelled slices score the classifier: OUT/evaluation.html, evaluation.json, predictions.csv and figures.
    Exits with 1 when a volume or a slice could not be scored.
    """
    from groundglass.cli.evaluate_classes import evaluate_classifier, labelled_volumes, part_name
    from groundglass.evaluation.run import evaluate
    from groundglass.evaluation.summary import EvaluationOptions

    chosen = fold_numbers(folds)
    kind = (structure or ["infection"])[0]
    labelled = labelled_volumes(data, kind, masks=predictions is not None)
    if labelled is None:
        for_scans = (folds, validation, validation_folds, threshold, structure, label, post_process, same_voxels)
        _refuse_foreign(not surfaces or any(for_scans))
        return evaluate_classifier(
            data,
            output,
            model=model,
            part=part_name(part),
            include_learned=include_learned,
            seed=seed,
            as_json=as_json,
            quiet=quiet,
        )
    _refuse_part(part)
    checked = _validation(labelled, validation, validation_folds, kind)
    _refuse_mixture(predictions, label, bool(model is not None or threshold or post_process))
    if predictions is None:
        predictor, structures = _network(model, structure, threshold, post_process)
    else:
        predictor, structures = _masks(predictions, structure, label, same_voxels)
    options = EvaluationOptions(structures, surfaces, same_voxels, include_learned, chosen, seed)
    with progress_bar(quiet or as_json) as progress:
        record = evaluate(
            labelled.of_folds(chosen),
            predictor,
            output,
            options,
            validation=checked,
            predictions=predictions.name if predictions else None,
            progress=progress,
        )
    return told(record, output, as_json)


def told(record: Evaluation, folder: Path, as_json: bool) -> int:
    """Print an evaluation.

    Args:
        record: what was found.
        folder: where its page lies.
        as_json: print the record as JSON and nothing else.

    Returns:
        The exit code: 1 where something could not be scored.
    """
    from groundglass.evaluation.results import PAGE, to_json

    if as_json:
        print(to_json(record))
    else:
        show_evaluation(record, folder / PAGE)
    return 1 if record.failures else 0


def _validation(
    labelled: LabelledData, validation: Path | None, folds: str | None, structure: str
) -> LabelledData | None:
    """The volumes on which thresholds are chosen; None where they are not."""
    from groundglass.evaluation.layouts import read_data

    if validation is None and folds is None:
        return None
    return (read_data(validation, structure=structure) if validation else labelled).of_folds(fold_numbers(folds))


def _refuse_foreign(given: bool) -> None:
    """Refuse options of labelled scans where the data are labelled slices."""
    from groundglass.errors import OptionError

    if given:
        raise OptionError(
            "these data are labelled slices, which score a classifier: only --model, --split, --include-learned and "
            "--seed have something to do there"
        )


def _refuse_part(part: str | None) -> None:
    """Refuse a part of labelled slices where the data are labelled scans."""
    from groundglass.errors import OptionError

    if part is not None:
        raise OptionError("--split chooses a part of labelled slices; for labelled scans there is --folds")


def _refuse_mixture(predictions: Path | None, labels: list[str] | None, for_network: bool) -> None:
    """Refuse options of masks without masks, and options of a network with them."""
    from groundglass.errors import OptionError

    if predictions is None and labels:
        raise OptionError("--label names values of label maps; it needs --predictions")
    if predictions is not None and for_network:
        raise OptionError("--predictions are masks: --model, --threshold, --post-process have nothing to do there")


def _network(
    model: str | None, names: list[str] | None, thresholds: list[str] | None, post_process: bool
) -> tuple[Predictor, tuple[Structure, ...]]:
    from groundglass.evaluation.predict import NetworkPredictor, wanted_structures
    from groundglass.inference.segment import SliceSegmenter
    from groundglass.models.place import card_at

    segmenter = SliceSegmenter(card_at(model or DEFAULT_MODEL))
    network = NetworkPredictor.of(segmenter, thresholds=threshold_values(thresholds), post_processing=post_process)
    return network, wanted_structures(network, names)


def _masks(
    folder: Path, names: list[str] | None, labels: list[str] | None, same_voxels: bool
) -> tuple[Predictor, tuple[Structure, ...]]:
    from groundglass.errors import InputNotFoundError
    from groundglass.evaluation.predict import FolderPredictor
    from groundglass.evaluation.structures import INFECTION, LUNGS, labelled, structure_named

    if not folder.is_dir():
        raise InputNotFoundError(f"{folder} is not a folder; expected the folder of the predicted masks")
    whole = tuple(structure_named(name) for name in names) if names else (LUNGS, INFECTION)
    structures = tuple(labelled(text, whole[0]) for text in labels or ()) or whole
    return FolderPredictor(folder, structures, same_voxels), structures


def threshold_values(texts: list[str] | None) -> dict[str, float]:
    """Thresholds written as NAME=VALUE.

    Raises:
        OptionError: not of that form, or not between 0 and 1.
    """
    from groundglass.errors import OptionError

    values: dict[str, float] = {}
    for text in texts or ():
        name, _, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 < value <= 1:
            raise OptionError(f"--threshold {text}; expected NAME=VALUE with a probability above 0, up to 1")
        values[name.strip()] = value
    return values


def fold_numbers(text: str | None) -> tuple[int, ...] | None:
    """Folds written as numbers with commas; None where none are named.

    Raises:
        OptionError: not numbers.
    """
    from groundglass.errors import OptionError

    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise OptionError(f"folds '{text}'; expected numbers with commas, such as 0,1")
    return tuple(int(part) for part in parts)


def show_evaluation(record: Evaluation, page: Path) -> None:
    """Print the summary, the cautions and where the page is."""
    for text in record.warnings:
        typer.echo(f"Note: {text}", err=True)
    for failure in record.failures:
        typer.echo(f"Not scored: {failure.text}", err=True)
    for summary in record.structures:
        show(_summary_table(record, summary.structure))
    typer.echo(f"Page: {page}")


def _summary_table(record: Evaluation, name: str) -> Table:
    from rich.table import Table

    from groundglass.evaluation.published import published_for

    summary = record.of(name)
    assert summary is not None
    table = Table(title=f"{name}: {summary.volumes} volumes of {summary.patients} patients", title_justify="left")
    for column in ("", "mean", "95 % interval", "SD", "median", "worst"):
        table.add_column(column, justify="right" if column else "left")
    for metric in summary.metrics:
        digits = 1 if "mm" in metric.metric or "error" in metric.metric else 3
        interval = metric.interval
        table.add_row(
            metric.metric.replace("_", " "),
            f"{metric.mean:.{digits}f}",
            f"{interval.low:.{digits}f} to {interval.high:.{digits}f}" if interval else "-",
            "-" if metric.sd is None else f"{metric.sd:.{digits}f}",
            f"{metric.median:.{digits}f}",
            f"{metric.worst:.{digits}f}",
        )
    table.add_section()
    for row in published_for(name):
        if row.comparable and row.dice is not None:
            sd = "-" if row.dice_sd is None else f"{row.dice_sd:.3f}"
            table.add_row(f"[dim]Dice of {row.system}[/]", f"{row.dice:.3f}", "", sd, "", "")
    return table
