"""What keeps numbers honest: thresholds from other patients, and no volume that the network learned from."""

from __future__ import annotations

from dataclasses import replace

from groundglass.errors import OptionError
from groundglass.evaluation.collect import Scoring, collect
from groundglass.evaluation.layouts import LabelledData
from groundglass.evaluation.predict import NetworkPredictor, Predictor
from groundglass.evaluation.records import DataRecord, Histogram, Optimum, StructureSummary
from groundglass.evaluation.summary import EvaluationOptions, describe
from groundglass.evaluation.sweep import best_threshold
from groundglass.progress import Progress, silent


def with_validation(summary: StructureSummary, optima: dict[str, Optimum]) -> StructureSummary:
    """The summary with the threshold that validation data gave."""
    if summary.structure not in optima:
        return summary
    return summary.model_copy(update={"threshold_from": "validation data", "validation": optima[summary.structure]})


def on_validation(
    data: LabelledData,
    validation: LabelledData,
    predictor: Predictor,
    options: EvaluationOptions,
    progress: Progress,
) -> tuple[NetworkPredictor, dict[str, Optimum], DataRecord]:
    """Choose the thresholds of a network on validation data.

    Raises:
        OptionError: a patient of the validation data is in the test data too, or there is no network.
    """
    if not isinstance(predictor, NetworkPredictor):
        raise OptionError("masks have no threshold to choose; leave the validation data out, or give a model")
    if shared := data.patients & validation.patients:
        raise OptionError(
            f"{len(shared)} patients are in the validation and in the test data ({', '.join(sorted(shared)[:3])}); a "
            "threshold chosen on the data that are reported flatters them: give other patients"
        )
    optima = chosen_thresholds(validation, predictor, options.scoring, progress)
    thresholds = dict(predictor.thresholds) | {name: best.threshold for name, best in optima.items()}
    return replace(predictor, thresholds=thresholds), optima, describe(validation, None)


def chosen_thresholds(
    validation: LabelledData, predictor: Predictor, scoring: Scoring, progress: Progress = silent
) -> dict[str, Optimum]:
    """The threshold of each structure with the best mean Dice over validation volumes."""
    found = collect(validation.cases, predictor, replace(scoring, surfaces=False), progress=progress)
    histograms: dict[str, list[Histogram]] = {}
    for volume in found.volumes:
        for score in volume.structures:
            if score.histogram is not None:
                histograms.setdefault(score.structure, []).append(score.histogram)
    if not histograms:
        raise OptionError(f"no volume of the validation data {validation.name} could be scored")
    return {name: best_threshold(parts) for name, parts in histograms.items()}


def without_learned(data: LabelledData, predictor: Predictor, keep: bool) -> tuple[LabelledData, set[str], list[str]]:
    """Leave out the volumes of patients that a network learned from, or only name them.

    Returns:
        The data, the names of volumes that the network learned from, and warnings.

    Raises:
        OptionError: nothing would be left.
    """
    if not isinstance(predictor, NetworkPredictor):
        return data, set(), []
    card = predictor.segmenter.card
    learned = data.of_patients_in(card.learned_from, card.learned_patients)
    if not learned:
        return data, set(), []
    count = f"{len(learned)} of {len(data.cases)} volumes"
    if keep:
        text = (
            f"The network learned from patients of {count}: they are marked, and no mean, interval or curve has them."
        )
        return data, learned, [text]
    if len(learned) == len(data.cases):
        raise OptionError(
            f"the model {card.name} learned from every volume of {data.name}, so they say nothing about its accuracy; "
            "give other data or folds (or --include-learned to see them all the same)"
        )
    cases = tuple(case for case in data.cases if case.name not in learned)
    warning = f"The network learned from patients of {count}: these are left out."
    return replace(data, cases=cases), set(), [warning]
