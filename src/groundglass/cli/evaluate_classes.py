"""`groundglass evaluate` on labelled slices: how good a classifier is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from groundglass.cli.console import progress_bar, show

if TYPE_CHECKING:
    from rich.table import Table

    from groundglass.evaluation.classes.answers import Classifier
    from groundglass.evaluation.classes.records import ClassifierEvaluation, ScoreRecord
    from groundglass.evaluation.layouts import LabelledData
    from groundglass.training.classification.records import LabelledSlice
    from groundglass.training.classification.splits import Split

ALSO = "to score a classifier: folders named after classes (COVID/, NonCOVID/), images.csv or volumes.csv"


def labelled_volumes(data: Path, structure: str, *, masks: bool) -> LabelledData | None:
    """The labelled volumes of a folder or table; None where it holds labelled slices for a classifier instead.

    Args:
        data: folder or CSV file.
        structure: what the label maps of a plain folder show.
        masks: masks are scored, which no classifier makes.

    Raises:
        InputError: neither of both, or a table that cannot be understood.
    """
    from groundglass.errors import InputError, UnsupportedFormatError
    from groundglass.evaluation.layouts import read_data

    try:
        labelled = read_data(data, structure=structure)
    except InputError as error:
        if not masks and data.exists() and holds_classes(data):
            return None
        if isinstance(error, UnsupportedFormatError) and not masks:
            raise UnsupportedFormatError(f"{error}; {ALSO}") from error
        raise
    # Pictures beside their table look like label maps, which nothing but other masks can be compared with.
    flat = labelled.layout == "label maps" and not masks
    return None if flat and holds_classes(data) else labelled


def holds_classes(data: Path) -> bool:
    """Whether tables, or the names of folders, say that there are labelled slices; no picture is read."""
    from groundglass.io.tables import read_rows
    from groundglass.training.classification.readers import TABLES
    from groundglass.training.classification.records import find_label

    if data.is_file():
        return {"file", "label"} <= set(next(iter(read_rows(data)), {}))
    places = [data, *(path for path in data.iterdir() if path.is_dir())]
    listed = any((place / table).is_file() for place in places for table in TABLES)
    return listed or any(path.is_dir() and find_label(path.name) for path in data.rglob("*"))


def evaluate_classifier(
    data: Path,
    output: Path,
    *,
    model: str | None,
    part: str | None,
    include_learned: bool,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> int:
    """Score a classifier and print its scores.

    Args:
        data: folder or table of labelled slices.
        output: folder of the evaluation.
        model: folder of a finished run; the shipped classifier when None.
        part: part of the data that is scored; all of them when None.
        include_learned: also score slices that a run has learned from.
        seed: of the bootstrap.
        as_json: print the record as JSON and nothing else.
        quiet: no progress.

    Returns:
        The exit code: 1 where a slice could not be scored.
    """
    from groundglass.evaluation.classes.run import ClassesOptions, evaluate_classes
    from groundglass.evaluation.results import PAGE
    from groundglass.training.classification.readers import read_data

    with progress_bar(quiet or as_json) as progress:
        progress("read", 0, 0)
        slices = read_data(data)
        classifier, own, notes = _classifier(model, slices)
        chosen, left_out = chosen_slices(slices, part, own, include_learned=include_learned)
        name = data.absolute().stem if data.is_file() else data.absolute().name
        options = ClassesOptions(name, part, seed, (*left_out, *notes))
        record = evaluate_classes(chosen, classifier, output, options, progress=progress)
    if as_json:
        print(record.model_dump_json(indent=2))
    else:
        show_classifier(record, output / PAGE)
    return 1 if record.failures else 0


def _classifier(model: str | None, slices: Sequence[LabelledSlice]) -> tuple[Classifier, Split | None, list[str]]:
    """What is scored, how it divided these slices if it learned from them, and what its reader must know."""
    from groundglass.evaluation.classes.answers import ShippedClassifier
    from groundglass.models.catalog import CLASSIFIER

    if model is None or model == CLASSIFIER:
        shipped = ShippedClassifier()
        card = shipped.classifier.card
        learned, kept = ". ".join(card.trained_on), ". ".join(card.not_trained_on)
        told = f"On slices that the classifier learned from, the scores flatter it. It learned from: {learned}. "
        return shipped, None, [f"{told}It did not learn from: {kept}."]
    from groundglass.explain import run_classifier

    classifier = run_classifier(model)
    from groundglass.training.classification.scored import ScoredRun

    run = ScoredRun(classifier)
    own = run.own_parts(slices)
    told = (
        "These are not exactly the data that the run was trained with, so what it learned from cannot be left out: "
        "make sure that they hold none of its patients."
    )
    return run, own, [] if own else [told]


def chosen_slices(
    slices: Sequence[LabelledSlice], part: str | None, own: Split | None, *, include_learned: bool
) -> tuple[list[LabelledSlice], list[str]]:
    """The slices to score, and what to say about them.

    Args:
        slices: all of the data.
        part: `train`, `val` or `test`; None for all that the classifier has not learned from.
        own: how the run divided these slices; None where it learned from other data.
        include_learned: also those that it has learned from.

    Raises:
        OptionError: the data have no such part, or nothing is left.
    """
    from groundglass.errors import OptionError

    if part is None:
        parts = [*own.val, *own.test] if own and not include_learned else list(slices)
    else:
        parts = list(getattr(own, part)) if own else [one for one in slices if one.split == part]
    if not parts:
        named = {one.split for one in slices} - {""}
        have = "those of the run" if own else ", ".join(sorted(named)) or "none"
        raise OptionError(f"no slice is left to score in the part {part or 'val or test'}; parts of the data: {have}")
    if own is None:
        return parts, []
    seen = len(set(parts) & set(own.train))
    if seen:
        return parts, [f"LEAK: {seen} of these slices were learned from; the numbers are not accuracy."]
    notes = [f"{len(own.train)} slices of the training part are left out."] if part is None else []
    if part != "test" and own.val:
        other = "; --split test scores slices that chose nothing" if own.test else ""
        notes.append(f"The validation part chose the weights of the run{other}.")
    return parts, notes


def part_name(text: str | None) -> str | None:
    """The part that `--split` names.

    Raises:
        OptionError: it names none.
    """
    from groundglass.errors import OptionError
    from groundglass.training.classification.records import find_part

    if text is None:
        return None
    part = find_part(text)
    if part is None:
        raise OptionError(f"--split {text}; expected train, val or test")
    return part


def show_classifier(record: ClassifierEvaluation, page: Path) -> None:
    """Print the scores, the cautions and where the page is."""
    for text in record.warnings:
        typer.echo(f"Note: {text}", err=True)
    for failure in record.failures:
        typer.echo(f"Not scored: {failure.source}, {failure.slice}: {failure.message}", err=True)
    show(_score_table(record))
    for one in record.sources:
        area, right = (shown_score(one.covid.of(name)) for name in ("AUROC", "accuracy"))
        typer.echo(f"{one.source}: {one.covid.slices} slices, AUROC {area}, accuracy {right}")
    typer.echo(f"Page: {page}")


def _score_table(record: ClassifierEvaluation) -> Table:
    from rich.table import Table

    data, answered = record.data, record.partly_answered
    whose = f"{data.slices} slices of {data.patients} patients" if data.patients else f"{data.slices} slices"
    table = Table(title=f"COVID against the rest, {whose} (95 % intervals)", title_justify="left")
    table.add_column("")
    table.add_column("all slices")
    if answered:
        table.add_column(f"{answered.slices} answered")
    for score in record.covid.scores:
        table.add_row(score.name, shown_score(score), *([shown_score(answered.of(score.name))] if answered else []))
    table.add_section()
    for score in (record.coverage, *(record.classes_apart or ())):
        table.add_row(score.name, shown_score(score))
    return table


def shown_score(score: ScoreRecord) -> str:
    """A score with its interval, for a table."""
    if score.value is None:
        return "not defined"
    return f"{score.value:.3f}" + (
        f" ({score.interval.low:.3f} to {score.interval.high:.3f})" if score.interval else ""
    )
