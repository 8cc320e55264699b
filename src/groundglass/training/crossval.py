"""`groundglass crossval`: every volume scored by a network that has not seen its patient."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from groundglass.errors import InputError, OptionError
from groundglass.evaluation.collect import collect, slice_table
from groundglass.evaluation.layouts import LabelledData
from groundglass.evaluation.predict import NetworkPredictor, structures_of
from groundglass.evaluation.records import Evaluation, FoldRecord
from groundglass.evaluation.results import save
from groundglass.evaluation.summary import EvaluationOptions, model_record, run_record
from groundglass.evaluation.sweep import best_threshold
from groundglass.evaluation.validation import chosen_thresholds
from groundglass.inference.segment import SliceSegmenter
from groundglass.io.write import atomic_file, atomic_write_bytes, check_output_folder, writing
from groundglass.models.catalog import ModelCard
from groundglass.progress import Progress, silent
from groundglass.training.crossval_report import SOURCES, CrossvalOptions, FoldScores, crossval_record
from groundglass.training.crossval_splits import FoldPlan, Split, by_slices, training_view, with_patient_folds

FoldModel = Callable[[FoldPlan], ModelCard]
Segment = Callable[[ModelCard], SliceSegmenter]
SCORES, SLICES, PANELS, VIEW = "scores.json", "slices.csv", "panels", "data"


@dataclass(frozen=True)
class _Work:
    """What scoring a fold needs besides its plan."""

    model_of: FoldModel
    options: CrossvalOptions
    signature: str
    segment: Segment
    progress: Progress


class Job(NamedTuple):
    """A cross-validation: the first arguments of `cross_validate`."""

    name: str
    data: LabelledData
    source: Path
    run: Path
    model_of: FoldModel
    options: CrossvalOptions


def cross_validate(
    name: str,
    data: LabelledData,
    source: Path,
    run: Path,
    model_of: FoldModel,
    options: CrossvalOptions,
    *,
    segment: Segment = SliceSegmenter,
    progress: Progress = silent,
) -> Evaluation:
    """Score every volume by the network of its fold; a fold that is finished is not repeated.

    Args:
        name: of the preset or of the networks, for the title.
        data: labelled volumes, with or without folds.
        source: folder that training reads.
        run: folder of the cross-validation: one folder per fold, then page, tables and record.
        model_of: gives the network of a fold, by training it or because it is there.
        options: choices.
        segment: loads a network.
        progress: called with (stage, done, total).

    Raises:
        OptionError: the run folder holds a cross-validation of other settings, or a network has seen what it is to
            be scored on.
        OutputError: the folder cannot be written.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    check_output_folder(run)
    plans = plan_folds(data, source, run, options)
    work = _Work(model_of, options, _signature(name, plans, options), segment, progress)
    finished = _score_folds(plans, work)
    if options.thresholds == "others":
        pairs = list(zip(plans, finished, strict=True))
        finished = [_with_thresholds_of_others(plan, own, finished, work) for plan, own in pairs]
    progress("folds", len(plans), len(plans))
    _join_slices(plans, run / SLICES)
    info = run_record(options.as_record(), started, clock, None)
    record = crossval_record(name, data, finished, options, info)
    save(record, run)
    return record


def score_folds(
    job: Job, only: Collection[int], *, segment: Segment = SliceSegmenter, progress: Progress = silent
) -> tuple[int, ...]:
    """Some of the folds of `cross_validate`, so that several processes can share a cross-validation.

    Args:
        job: the cross-validation, with the same run folder for every process.
        only: the folds to score.
        segment: loads a network.
        progress: called with (stage, done, total).

    Returns:
        The folds that are not finished; where there are none, `cross_validate` only puts the scores together.

    Raises:
        OptionError: there is no such fold, or as in `cross_validate`.
        OutputError: the folder cannot be written.
    """
    check_output_folder(job.run)
    plans = plan_folds(job.data, job.source, job.run, job.options)
    unknown = sorted(set(only) - {plan.fold for plan in plans})
    if unknown:
        there = ", ".join(str(plan.fold) for plan in plans)
        raise OptionError(f"there is no fold {unknown[0]} in {job.data.name}; expected one of {there}")
    work = _Work(job.model_of, job.options, _signature(job.name, plans, job.options), segment, progress)
    _score_folds([plan for plan in plans if plan.fold in only], work)
    return tuple(plan.fold for plan in plans if _finished(plan, work.signature) is None)


def _score_folds(plans: Sequence[FoldPlan], work: _Work) -> list[FoldScores]:
    finished = []
    for done, plan in enumerate(plans):
        work.progress("folds", done, len(plans))
        finished.append(_finished(plan, work.signature) or _score_fold(plan, work))
    return finished


def plan_folds(data: LabelledData, source: Path, run: Path, options: CrossvalOptions) -> list[FoldPlan]:
    """What each fold learns from, chooses its thresholds on, and is scored on.

    Raises:
        OptionError: folds that cannot be made.
    """
    if options.split == "slices":
        return _plan_slices(by_slices(data, options.folds, options.seed), source, run)
    placed, new = with_patient_folds(data, options.folds, options.seed)
    where = training_view(source, placed.cases, run / VIEW) if new else source
    folds = sorted({case.fold for case in placed.cases if case.fold is not None})
    needed = 3 if options.thresholds == "validation" else 2
    if len(folds) < needed:
        raise OptionError(f"{data.name} has {len(folds)} folds; expected at least {needed}")
    plans = []
    for place, fold in enumerate(folds):
        watched = folds[(place + 1) % len(folds)] if options.thresholds == "validation" else None
        plans.append(
            FoldPlan(
                fold=fold,
                test=placed.of_folds([fold]),
                validation=None if watched is None else placed.of_folds([watched]),
                learn=tuple(one for one in folds if one not in (fold, watched)),
                others=tuple(case.name for case in placed.cases if case.fold != fold),
                data=where,
                folder=run / f"fold-{fold}",
            )
        )
    return plans


def _plan_slices(parts: LabelledData, source: Path, run: Path) -> list[FoldPlan]:
    plans = []
    for fold in sorted({case.fold for case in parts.cases if case.fold is not None}):
        folder = run / f"fold-{fold}"
        # To training the other parts are a data set without this fold: it has no way to know of the leak.
        kept = [replace(case, fold=None) for case in parts.cases if case.fold != fold]
        view = training_view(source, kept, folder / VIEW)
        plans.append(
            FoldPlan(fold, parts.of_folds([fold]), None, None, tuple(case.name for case in kept), view, folder)
        )
    return plans


def _finished(plan: FoldPlan, signature: str) -> FoldScores | None:
    path = plan.folder / SCORES
    if not path.is_file():
        return None
    try:
        scores = FoldScores.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise OptionError(f"{path} cannot be understood; move {plan.folder} away to score the fold again") from error
    if scores.signature != signature:
        raise OptionError(
            f"{plan.folder} was scored with other settings or data; choose another folder for this cross-validation"
        )
    return scores


def _score_fold(plan: FoldPlan, work: _Work) -> FoldScores:
    with writing(plan.folder):
        plan.folder.mkdir(parents=True, exist_ok=True)
    card = work.model_of(plan)
    require_unseen(card, plan, work.options.split)
    predictor = NetworkPredictor.of(work.segment(card), post_processing=work.options.post_processing)
    if plan.validation is not None:
        scoring = _evaluation_options(card, work.options).scoring
        chosen = chosen_thresholds(plan.validation, predictor, scoring, work.progress)
        thresholds = dict(predictor.thresholds) | {name: best.threshold for name, best in chosen.items()}
        predictor = replace(predictor, thresholds=thresholds)
    return _write_fold(plan, predictor, work)


def _write_fold(plan: FoldPlan, predictor: NetworkPredictor, work: _Work) -> FoldScores:
    card = predictor.segmenter.card
    scoring = _evaluation_options(card, work.options).scoring
    with slice_table(plan.folder / SLICES) as table:
        found = collect(
            plan.test.cases, predictor, scoring, table=table, panels=plan.folder.parent / PANELS, progress=work.progress
        )
    if not found.volumes:
        raise InputError(f"not one volume of fold {plan.fold} could be scored: {found.failures[0].text}")
    record = FoldRecord(
        fold=plan.fold,
        model=model_record(card),
        patients=sorted(plan.test.patients),
        volumes=[case.name for case in plan.test.cases],
        thresholds=dict(predictor.thresholds),
        thresholds_from=SOURCES[work.options.thresholds],
    )
    scores = FoldScores(
        signature=work.signature,
        knows_learned=bool(card.learned_from),
        fold=record,
        volumes=found.volumes,
        failures=found.failures,
    )
    # Written last and at once: a fold with this file is finished.
    atomic_write_bytes(plan.folder / SCORES, scores.model_dump_json().encode())
    return scores


def _with_thresholds_of_others(plan: FoldPlan, own: FoldScores, every: Sequence[FoldScores], work: _Work) -> FoldScores:
    """Score a fold again, at thresholds from the out-of-fold predictions of the other folds."""
    thresholds = dict(own.fold.thresholds)
    for name in thresholds:
        parts = [
            score.histogram
            for one in every
            if one.fold.fold != own.fold.fold
            for volume in one.volumes
            if (score := volume.of(name)) is not None and score.histogram is not None
        ]
        if parts:
            thresholds[name] = best_threshold(parts).threshold
    if thresholds == own.fold.thresholds:
        return own
    predictor = NetworkPredictor.of(
        work.segment(work.model_of(plan)), thresholds=thresholds, post_processing=work.options.post_processing
    )
    return _write_fold(plan, predictor, work)


def require_unseen(card: ModelCard, plan: FoldPlan, split: Split) -> None:
    """Raise where a network has learned from a patient that it is to be scored on.

    Raises:
        OptionError: names the patients.
    """
    if split == "slices":
        return
    shared = sorted(plan.test.of_patients_in(card.learned_from, card.learned_patients))
    if shared:
        raise OptionError(
            f"the model {card.name} learned from patients of fold {plan.fold} ({', '.join(shared[:3])}), so it cannot "
            "be scored on them; give the model that left this fold out"
        )


def _evaluation_options(card: ModelCard, options: CrossvalOptions) -> EvaluationOptions:
    return EvaluationOptions(structures_of(card), options.surfaces, seed=options.seed)


def _signature(name: str, plans: Sequence[FoldPlan], options: CrossvalOptions) -> str:
    """What every finished fold must share with this run."""
    described = {"name": name, **options.as_record()}
    described["folds"] = {plan.fold: [(case.name, len(case.images)) for case in plan.test.cases] for plan in plans}
    return hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode()).hexdigest()


def _join_slices(plans: Sequence[FoldPlan], path: Path) -> None:
    with atomic_file(path) as joined:
        for number, plan in enumerate(plans):
            with (plan.folder / SLICES).open("rb") as part:
                if number:
                    part.readline()
                shutil.copyfileobj(part, joined)
