"""`groundglass evaluate`: predictions against truth, with every number, curve and picture."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from groundglass.errors import InputError
from groundglass.evaluation.collect import Collected, collect, slice_table
from groundglass.evaluation.layouts import LabelledData
from groundglass.evaluation.predict import FolderPredictor, NetworkPredictor, Predictor
from groundglass.evaluation.records import Evaluation, Optimum
from groundglass.evaluation.summary import (
    EvaluationOptions,
    describe,
    left_out_warnings,
    model_record,
    run_record,
    summary_record,
)
from groundglass.evaluation.validation import on_validation, with_validation, without_learned
from groundglass.io.write import check_output_folder, writing
from groundglass.progress import Progress, silent

PANELS, SLICES = "panels", "slices.csv"


def evaluate(
    data: LabelledData,
    predictor: Predictor,
    output: Path,
    options: EvaluationOptions,
    *,
    validation: LabelledData | None = None,
    predictions: str | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Score predictions and write tables, pictures, page and record into a folder.

    Args:
        data: labelled volumes.
        predictor: a network, or a folder of masks.
        output: folder; gets `evaluation.json`, `evaluation.html`, `volumes.csv`, `slices.csv`, `figures/`, `panels/`.
        options: choices.
        validation: other volumes, on which the thresholds of a network are chosen.
        predictions: name of the folder of masks, for the record.
        progress: called with (stage, done, total).

    Raises:
        OptionError: validation data that share a patient with the test data, or nothing left to score.
        InputError: not one volume could be scored.
        OutputError: the folder cannot be written.
    """
    from groundglass.evaluation.results import save

    started, clock = datetime.now(UTC), time.perf_counter()
    check_output_folder(output)
    kept, learned, warnings = without_learned(data, predictor, options.include_learned)
    optima: dict[str, Optimum] = {}
    checked = None
    if validation is not None:
        validation = without_learned(validation, predictor, False)[0]
        predictor, optima, checked = on_validation(data, validation, predictor, options, progress)
    found = _scored(kept, predictor, output, options, progress)
    volumes = [one.model_copy(update={"learned_from": one.volume in learned}) for one in found.volumes]
    network = predictor if isinstance(predictor, NetworkPredictor) else None
    run = run_record(options.as_record(), started, clock, network.segmenter.precision if network else None)
    record = summary_record(
        Collected(volumes, found.failures),
        options,
        data=describe(kept, options.folds),
        title=f"{network.segmenter.card.name} on {data.name}" if network else f"{predictions} against {data.name}",
        protocol=protocol_text(network),
        model=model_record(network.segmenter.card) if network else None,
        run=run,
    ).model_copy(
        update={
            "predictions": predictions,
            "validation": checked,
            "warnings": [*left_out_warnings(data), *warnings, *_cautions(found, network, optima)],
        }
    )
    record = record.model_copy(update={"structures": [with_validation(one, optima) for one in record.structures]})
    progress("report", 0, 0)
    save(record, output)
    return record


def _scored(
    data: LabelledData, predictor: Predictor, output: Path, options: EvaluationOptions, progress: Progress
) -> Collected:
    """Score the volumes into the output folder: slices and pictures are written as they come."""
    if isinstance(predictor, FolderPredictor):
        predictor = replace(predictor, cases=data.cases)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    with slice_table(output / SLICES) as table:
        found = collect(data.cases, predictor, options.scoring, table=table, panels=output / PANELS, progress=progress)
    if not found.volumes:
        raise InputError(f"not one volume of {data.name} could be scored; the first error: {found.failures[0].text}")
    return found


def _cautions(found: Collected, network: NetworkPredictor | None, optima: dict[str, Optimum]) -> list[str]:
    cautions = []
    if found.failures:
        cautions.append(f"{len(found.failures)} volumes could not be scored; they are listed below and count nowhere.")
    if network is not None and not network.segmenter.card.learned_from:
        cautions.append(
            "The model card does not list the volumes that the network learned from: make sure none is among these."
        )
    if network is not None and not optima:
        cautions.append(
            "No validation data were given: the best thresholds marked in the curves were found on the very volumes "
            "shown, so they flatter the network. The tables use the thresholds of the model card."
        )
    return cautions


def protocol_text(network: NetworkPredictor | None) -> str:
    """How a volume became a number, in a sentence."""
    pooled = "Voxels are pooled over the slices of a volume, means are over volumes, intervals over patients."
    if network is None:
        return f"Masks as given. {pooled}"
    at = ", ".join(f"{name} from {value:.3g}" for name, value in network.thresholds.items())
    how = "cleaned as analyze does" if network.post_processing else "without any post-processing"
    return f"Probabilities of the network, {at}, {how}. {pooled}"
