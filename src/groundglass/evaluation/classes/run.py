"""`groundglass evaluate` for a classifier: answers against labels, with every number and figure."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from groundglass.errors import InputError
from groundglass.evaluation.classes import scores
from groundglass.evaluation.classes.answers import Classifier, Judged, LabelledPicture, collect_answers
from groundglass.evaluation.classes.records import ClassifierEvaluation, CovidScores, NotScored, ScoredData
from groundglass.evaluation.records import EvaluationRun
from groundglass.evaluation.summary import run_record
from groundglass.io.write import check_output_folder, writing
from groundglass.progress import Progress, silent

THRESHOLD = "In the scores of COVID against the rest, COVID counts as said from a probability of one half."


@dataclass(frozen=True)
class ClassesOptions:
    """Choices of one evaluation of a classifier.

    Attributes:
        data: name of the data, for the record.
        part: the part of the data that is scored, for the record; None for all of them.
        seed: of the bootstrap.
        warnings: what the reader must know about data and classifier.
    """

    data: str
    part: str | None = None
    seed: int = 0
    warnings: tuple[str, ...] = ()


def evaluate_classes(
    slices: Sequence[LabelledPicture],
    classifier: Classifier,
    output: Path,
    options: ClassesOptions,
    *,
    progress: Progress = silent,
) -> ClassifierEvaluation:
    """Score a classifier on labelled slices and write table, figures, page and record into a folder.

    Args:
        slices: what is scored; pictures are read when they are looked at.
        classifier: who answers.
        output: folder; gets `predictions.csv`, `confusion.png`, `roc.png`, `calibration.png`, `evaluation.html` and
            `evaluation.json`.
        options: choices.
        progress: called with (stage, done, total).

    Raises:
        InputError: not one slice could be scored.
        OutputError: the folder cannot be written.
    """
    from groundglass.evaluation.classes.results import save

    started, clock = datetime.now(UTC), time.perf_counter()
    check_output_folder(output)
    judged, failed = collect_answers(slices, classifier, progress=progress)
    if not judged:
        why = f"; the first error: {failed[0].message}" if failed else ""
        raise InputError(f"not one slice of {options.data} could be scored{why}")
    progress("report", 0, 0)
    run = run_record({"part": options.part or "all", "seed": options.seed}, started, clock, None)
    record = summarise(judged, failed, classifier, options, run)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    save(record, judged, output)
    return record


def summarise(
    judged: Sequence[Judged],
    failed: Sequence[NotScored],
    classifier: Classifier,
    options: ClassesOptions,
    run: EvaluationRun,
) -> ClassifierEvaluation:
    """Put the answers together.

    Args:
        judged: slices with their answers, one at least.
        failed: slices that could not be scored.
        classifier: who answered.
        options: choices.
        run: how the numbers came about.
    """
    seed = options.seed
    covid = scores.covid_scores(judged, seed=seed)
    return ClassifierEvaluation(
        title=f"{classifier.name} on {options.data}{f', {options.part}' if options.part else ''}",
        protocol=f"{classifier.protocol} {THRESHOLD}",
        models=classifier.models,
        classes=list(classifier.classes),
        data=ScoredData(
            name=options.data,
            part=options.part,
            slices=len(judged),
            patients=covid.patients,
            labels=dict(Counter(one.slice.label for one in judged)),
            sources=dict(Counter(one.slice.source for one in judged)),
        ),
        resampled=scores.resampled(judged),
        warnings=[*options.warnings, *_cautions(covid, failed)],
        covid=covid,
        answered=scores.answered_scores(judged, seed=seed),
        coverage=scores.coverage(judged, seed=seed),
        classes_apart=scores.classes_apart(judged, classifier.classes, seed=seed),
        confusion=scores.confusion_record(judged, classifier.classes),
        curves=scores.curves_record(judged),
        reliability=scores.reliability_record(judged),
        sources=scores.source_scores(judged, seed=seed),
        failures=list(failed),
        run=run,
    )


def _cautions(covid: CovidScores, failed: Sequence[NotScored]) -> list[str]:
    told = []
    if failed:
        told.append(f"{len(failed)} slices could not be scored; they are listed below and count nowhere.")
    if covid.covid in (0, covid.slices):
        what = "COVID" if covid.covid else "not COVID"
        told.append(f"Every slice is labelled {what}: what compares COVID with the rest is not defined.")
    return told
