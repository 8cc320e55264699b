"""Training of a classifier preset: from a folder of data to weights, scores, curves and predictions."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import OptionError
from groundglass.evaluation.classification import Estimate, binary_scores, confusion, macro_scores
from groundglass.io.write import atomic_write_bytes
from groundglass.progress import Progress, silent
from groundglass.training.classification.examples import (
    Examples,
    LungFinder,
    count_patients,
    make_examples,
    require_two_classes,
    with_smote,
)
from groundglass.training.classification.learner import BEST, CHECKPOINT, LOG, Learner
from groundglass.training.classification.network_export import MODEL, export_run
from groundglass.training.classification.presets import ClassifierPreset
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.splits import (
    Split,
    Twin,
    left_out,
    split_slices,
    without_twins,
    write_twins,
)

logger = logging.getLogger(__name__)
PRESET, RESULT, CURVES = "preset.json", "result.json", "curves.png"
PREDICTIONS, TWINS = "predictions.csv", "twins.csv"


@dataclass(frozen=True)
class TrainedClassifier:
    """What a finished run leaves.

    Attributes:
        folder: of the run, with `best.pt`, `result.json`, `log.csv`, `curves.png`, `predictions.csv`,
            `twins.csv`, and `model/` with the ONNX network and its card.
        result: counts, scores with intervals of validation and test, confusion matrices.
    """

    folder: Path
    result: dict[str, Any]


def train(
    preset: ClassifierPreset,
    data: Path | Sequence[LabelledSlice],
    folder: Path,
    *,
    seed: int = 0,
    resume: bool = True,
    lungs: LungFinder | None = None,
    progress: Progress = silent,
) -> TrainedClassifier:
    """Trains a classifier; a finished run is read, a stopped one goes on at its last epoch.

    Slices are split by patient (see `split_slices`), and those with a near twin in another part are left out (see
    `without_twins`) and listed in `twins.csv`. The epoch with the best validation AUROC is kept; the test part is
    looked at once, at the end.

    Args:
        preset: what to train.
        data: a data set, a folder of data sets, or their slices.
        folder: of the run.
        seed: of split, weights and changes.
        resume: go on with the run in `folder`; else it is trained anew.
        lungs: finds the lungs, for stages that need them; what the preset names when None.
        progress: called with (stage, done, total).

    Raises:
        DatasetError: there is nothing to learn from.
        LeakageError: the data set's own parts share a patient, or every picture of the validation with the test.
        OptionError: the folder holds a run of other settings or data.
    """
    progress("read", 0, 0)
    slices = read_data(data) if isinstance(data, Path) else data
    described = {"preset": preset.model_dump(mode="json"), "seed": seed, "slices": listed(slices)}
    if not resume:
        _forget(folder)
    before, finished = _settings(folder), folder / RESULT
    _require_same(folder, before, described)
    if before == described and (known := _finished(folder)):
        return TrainedClassifier(folder, known)
    folder.mkdir(parents=True, exist_ok=True)
    divided = split_slices(slices, seed=seed)
    split, twins = without_twins(divided)
    write_twins(twins, divided, folder / TWINS)
    if twins:
        logger.info(
            "%d slices left out as near twins of slices in other parts: %s", len(left_out(twins)), folder / TWINS
        )
    finished.unlink(missing_ok=True)  # of fewer epochs
    atomic_write_bytes(folder / PRESET, json.dumps(described, indent=2, sort_keys=True).encode())
    parts = _examples(split, preset, lungs, twins)
    learner = Learner(preset, parts, seed)
    learner.fit(folder, progress)
    result = {**_result(learner, parts), **_people(split, preset), "near_twins_left_out": len(left_out(twins))}
    result["started_from"] = learner.network.started_from
    export_run(learner.network, preset, result, folder / MODEL)
    _write_predictions(learner, parts, folder / PREDICTIONS)
    draw_curves(folder / LOG, folder / CURVES, losses=loss_names(preset))
    atomic_write_bytes(finished, (json.dumps(result, indent=2) + "\n").encode())
    return TrainedClassifier(folder, result)


def listed(slices: Sequence[LabelledSlice]) -> str:
    """Checksum of the list of slices: names, patients, labels and parts, without the pictures."""
    rows = sorted([one.source, one.name, one.patient or "", one.label, one.split] for one in slices)
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()


def _forget(folder: Path) -> None:
    """Deletes what a run would go on from."""
    for name in (RESULT, CHECKPOINT, BEST, LOG, PRESET):
        (folder / name).unlink(missing_ok=True)


def _settings(folder: Path) -> dict[str, Any]:
    """What the folder's run was told; empty without a run."""
    path = folder / PRESET
    if not path.is_file():
        return {}
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**settings, "preset": dict(settings["preset"])}
    except (ValueError, KeyError, TypeError) as error:
        raise OptionError(
            f"{path} is damaged ({type(error).__name__}); delete {folder}, or choose another one"
        ) from error


def _require_same(folder: Path, before: dict[str, Any], described: dict[str, Any]) -> None:
    """Refuses to go on with a run of something else; more epochs are no other settings."""
    if not before or not any((folder / name).is_file() for name in (CHECKPOINT, RESULT)):
        return
    more = described["preset"]["epochs"] >= before["preset"].get("epochs", 0)
    same = {**before, "preset": {**before["preset"], "epochs": described["preset"]["epochs"]}}
    if same != described or not more:
        what = "data" if before.get("slices") != described["slices"] else "settings"
        raise OptionError(
            f"{folder} holds a run of other {what} (see {folder / PRESET}); use the same data, preset and options to "
            "go on with it (more epochs may be asked for), or choose another folder"
        )


def _finished(folder: Path) -> dict[str, Any] | None:
    """The result of a finished run. One that is damaged or has lost its predictions is made again from the weights."""
    try:
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(result, dict) and "classes" in result and (folder / PREDICTIONS).is_file()
    return result if whole else None


def _examples(
    split: Split, preset: ClassifierPreset, lungs: LungFinder | None, twins: Sequence[Twin]
) -> dict[str, Examples]:
    members = {"train": split.train, "val": split.val, "test": split.test}
    require_two_classes(split.train, preset, twins=twins)
    parts = {name: make_examples(part, preset, lungs=lungs) for name, part in members.items() if part}
    if preset.smote:
        parts["train"] = with_smote(parts["train"])
    return parts


def _people(split: Split, preset: ClassifierPreset) -> dict[str, dict[str, int]]:
    """Known patients of each part, and slices whose patient nobody knows."""
    members = {"train": split.train, "val": split.val, "test": split.test}
    counts = {name: count_patients(part, preset) for name, part in members.items() if part}
    return {
        "patients": {name: known for name, (known, _) in counts.items()},
        "slices_without_patient": {name: unknown for name, (_, unknown) in counts.items()},
    }


def _result(learner: Learner, parts: dict[str, Examples]) -> dict[str, Any]:
    names = learner.preset.class_names
    result: dict[str, Any] = {
        "preset": learner.preset.name,
        "classes": list(names),
        "slices": {part: len(one) for part, one in parts.items()},
    }
    for part in ("val", "test"):
        if part in parts:
            result[part] = _scores(parts[part], learner.probabilities(parts[part]), len(names))
    return result


def _scores(part: Examples, shares: NDArray[np.float64], count: int) -> dict[str, Any]:
    truth = part.classes
    macro = macro_scores(truth.tolist(), shares, part.patients)
    covid = binary_scores((truth == 0).astype(int), shares[:, 0], part.patients)
    table = confusion(truth.tolist(), shares.argmax(axis=1).tolist(), count)
    named = {**macro, **{f"COVID {name}": one for name, one in covid.items()}}
    return {"scores": {name: _plain(one) for name, one in named.items()}, "confusion": table.tolist()}


def _plain(one: Estimate) -> dict[str, Any]:
    record = asdict(one)
    record["interval"] = None if one.interval is None else [one.interval.low, one.interval.high]
    return record


def _write_predictions(learner: Learner, parts: dict[str, Examples], path: Path) -> None:
    names, text = learner.preset.class_names, io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["part", "slice", "patient", "class", *names])
    for part, one in parts.items():
        if part == "train":
            continue
        for row in zip(one.names, one.patients, one.classes, learner.probabilities(one), strict=True):
            writer.writerow([part, row[0], row[1], names[row[2]], *(f"{value:.5f}" for value in row[3])])
    atomic_write_bytes(path, text.getvalue().encode())


def loss_names(preset: ClassifierPreset) -> tuple[str, str]:
    """What the training and the validation loss of a run are called; the latter is always plain cross-entropy."""
    kind = "focal loss" if preset.focal_gamma else "cross-entropy"
    if not (preset.focal_gamma or preset.class_weights):
        return "training", "validation"
    return f"training: {kind}{', weighted by class' if preset.class_weights else ''}", "validation: cross-entropy"


def read_log(log: Path) -> dict[str, list[float]]:
    """The columns of a run's `log.csv`: `epoch`, `loss`, `val_loss`, `val_auroc`.

    Raises:
        OptionError: it is missing or damaged.
    """
    try:
        with log.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        return {name: [float(row[name]) for row in rows] for name in ("epoch", "loss", "val_loss", "val_auroc")}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise OptionError(
            f"{log} is missing or damaged ({type(error).__name__}); expected the losses of every epoch; restore it, or "
            f"delete {log.parent}: the same command then trains this run anew"
        ) from error


def draw_curves(log: Path, picture: Path, *, losses: tuple[str, str] = ("training", "validation")) -> None:
    """Draws loss and validation ranking per epoch.

    Args:
        log: the run's `log.csv`.
        picture: where the figure goes.
        losses: what the training and the validation loss are called.

    Raises:
        OptionError: the log is missing or damaged.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import MaxNLocator

    columns = read_log(log)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for column, name in zip(("loss", "val_loss"), losses, strict=True):
        left.plot(columns["epoch"], columns[column], marker=".", label=name)
    left.set(xlabel="epoch", ylabel="loss")
    left.legend(frameon=False)
    right.plot(columns["epoch"], columns["val_auroc"], marker=".", color="tab:green")
    right.set(xlabel="epoch", ylabel="validation AUROC", ylim=(0, 1.02))
    for axis in (left, right):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
    figure.savefig(picture, dpi=110)
    plt.close(figure)
