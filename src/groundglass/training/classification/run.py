"""Training of a classifier preset: from a folder of data to weights, scores, curves and predictions."""

from __future__ import annotations

import csv
import hashlib
import io
import json
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
    make_examples,
    require_two_classes,
    with_smote,
)
from groundglass.training.classification.learner import CHECKPOINT, LOG, Learner
from groundglass.training.classification.presets import ClassifierPreset
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.splits import Split, split_slices, without_twins

PRESET, RESULT, CURVES = "preset.json", "result.json", "curves.png"


@dataclass(frozen=True)
class TrainedClassifier:
    """What a finished run leaves.

    Attributes:
        folder: of the run, with `best.pt`, `result.json`, `log.csv`, `curves.png` and `predictions.csv`.
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
    lungs: LungFinder | None = None,
    progress: Progress = silent,
) -> TrainedClassifier:
    """Trains a classifier; a finished run is read, a stopped one goes on at its last epoch.

    Slices are split by patient (see `split_slices`), and training slices with a near twin in the other parts are left
    out. The epoch with the best validation AUROC is kept; the test part is looked at once, at the end.

    Args:
        preset: what to train.
        data: a data set, a folder of data sets, or their slices.
        folder: of the run.
        seed: of split, weights and changes.
        lungs: finds the lungs, for stages that need them; what the preset names when None.
        progress: called with (stage, done, total).

    Raises:
        DatasetError: there is nothing to learn from.
        LeakageError: the data set's own parts share a patient.
        OptionError: the folder holds a run of other settings or data.
    """
    progress("read", 0, 0)
    slices = read_data(data) if isinstance(data, Path) else data
    described = {"preset": preset.model_dump(mode="json"), "seed": seed, "slices": _listed(slices)}
    before, finished = _settings(folder), folder / RESULT
    _require_same(folder, before, described)
    if finished.is_file() and before == described:
        return TrainedClassifier(folder, json.loads(finished.read_text(encoding="utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    split, twins = without_twins(split_slices(slices, seed=seed))
    finished.unlink(missing_ok=True)  # of fewer epochs
    atomic_write_bytes(folder / PRESET, json.dumps(described, indent=2, sort_keys=True).encode())
    parts = _examples(split, preset, lungs)
    learner = Learner(preset, parts, seed)
    learner.fit(folder, progress)
    result = _result(learner, parts, len(twins))
    _write_predictions(learner, parts, folder / "predictions.csv")
    draw_curves(folder / LOG, folder / CURVES)
    atomic_write_bytes(finished, (json.dumps(result, indent=2) + "\n").encode())
    return TrainedClassifier(folder, result)


def _listed(slices: Sequence[LabelledSlice]) -> str:
    """Checksum of the list of slices: names, patients, labels and parts, without the pictures."""
    listed = sorted([one.source, one.name, one.patient or "", one.label, one.split] for one in slices)
    return hashlib.blake2b(json.dumps(listed).encode(), digest_size=16).hexdigest()


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


def _examples(split: Split, preset: ClassifierPreset, lungs: LungFinder | None) -> dict[str, Examples]:
    members = {"train": split.train, "val": split.val, "test": split.test}
    require_two_classes(split.train, preset)
    parts = {name: make_examples(part, preset, lungs=lungs) for name, part in members.items() if part}
    if preset.smote:
        parts["train"] = with_smote(parts["train"])
    return parts


def _result(learner: Learner, parts: dict[str, Examples], twins: int) -> dict[str, Any]:
    names = learner.preset.class_names
    result: dict[str, Any] = {
        "preset": learner.preset.name,
        "classes": list(names),
        "slices": {part: len(one) for part, one in parts.items()},
        "patients": {part: len(set(one.patients) - {""}) for part, one in parts.items()},
        "near_twins_left_out": twins,
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


def draw_curves(log: Path, picture: Path) -> None:
    """Draws loss and validation ranking per epoch."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    with log.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    epochs = [int(row["epoch"]) for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    left.plot(epochs, [float(row["loss"]) for row in rows], label="training")
    left.plot(epochs, [float(row["val_loss"]) for row in rows], label="validation")
    left.set(xlabel="epoch", ylabel="loss")
    left.legend(frameon=False)
    right.plot(epochs, [float(row["val_auroc"]) for row in rows], color="tab:green")
    right.set(xlabel="epoch", ylabel="validation AUROC", ylim=(0, 1.02))
    figure.savefig(picture, dpi=110)
    plt.close(figure)
