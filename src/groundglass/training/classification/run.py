"""Training of a classifier preset: from a folder of data to weights, scores, curves and predictions."""

from __future__ import annotations

import csv
import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundglass.evaluation.classification import Estimate, binary_scores, confusion, macro_scores
from groundglass.io.write import atomic_write_bytes
from groundglass.progress import Progress, silent
from groundglass.training.arithmetic import bf16_is_fast
from groundglass.training.classification.changes import Changes, changed_view
from groundglass.training.classification.examples import (
    Examples,
    LungFinder,
    balance,
    make_examples,
    require_two_classes,
    with_smote,
)
from groundglass.training.classification.losses import open_label_loss
from groundglass.training.classification.nets.build import build
from groundglass.training.classification.nets.simple import SliceNetwork
from groundglass.training.classification.presets import ClassifierPreset
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.splits import Split, split_slices, without_twins
from groundglass.training.nets.depthwise import quicken_depthwise

logger = logging.getLogger(__name__)

PRESET, RESULT, CHECKPOINT, BEST = "preset.json", "result.json", "checkpoint.pt", "best.pt"
LOG, CURVES = "log.csv", "curves.png"
T = TypeVar("T")
CHANGES = Changes(whole_chance=1.0, mask_chance=0.0, blind_chance=0.0, lettering_chance=0.1, hole_chance=0.1)


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
    data: Path,
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
        data: a data set, or a folder of data sets.
        folder: of the run.
        seed: of split, weights and changes.
        lungs: finds the lungs, for stages that need them; what the preset names when None.
        progress: called with (stage, done, total).

    Raises:
        DatasetError: there is nothing to learn from.
        LeakageError: the data set's own parts share a patient.
    """
    finished = folder / RESULT
    described = json.dumps({"preset": preset.model_dump(mode="json"), "seed": seed}, indent=2, sort_keys=True)
    if finished.is_file() and (folder / PRESET).read_text(encoding="utf-8") == described:
        return TrainedClassifier(folder, json.loads(finished.read_text(encoding="utf-8")))
    folder.mkdir(parents=True, exist_ok=True)
    progress("read", 0, 0)
    split, twins = without_twins(split_slices(read_data(data), seed=seed))
    atomic_write_bytes(folder / "preset.json", described.encode())
    parts = _examples(split, preset, lungs)
    learner = Learner(preset, parts, seed)
    learner.fit(folder, progress)
    result = _result(learner, parts, len(twins))
    _write_predictions(learner, parts, folder / "predictions.csv")
    draw_curves(folder / LOG, folder / CURVES)
    atomic_write_bytes(finished, (json.dumps(result, indent=2) + "\n").encode())
    return TrainedClassifier(folder, result)


def _examples(split: Split, preset: ClassifierPreset, lungs: LungFinder | None) -> dict[str, Examples]:
    members = {"train": split.train, "val": split.val, "test": split.test}
    require_two_classes(split.train, preset)
    parts = {name: make_examples(part, preset, lungs=lungs) for name, part in members.items() if part}
    if preset.smote:
        parts["train"] = with_smote(parts["train"])
    return parts


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, in order; a thread makes the next one while the caller works on one."""
    with ThreadPoolExecutor(max_workers=1) as helper:
        coming = helper.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = helper.submit(next, items, None)
            yield item


class Learner:
    """A network, its optimiser and what it learns from."""

    def __init__(self, preset: ClassifierPreset, parts: dict[str, Examples], seed: int) -> None:
        torch.manual_seed(seed)
        self.preset, self.parts, self.seed = preset, parts, seed
        count = len(preset.class_names)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = build(preset.network, count, pretrained=preset.pretrained, weights=preset.weights)
        self.network: SliceNetwork = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        quicken_depthwise(self.network)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=preset.rate, weight_decay=preset.weight_decay)
        weights = balance(parts["train"].classes, count) if preset.class_weights else np.ones(count, np.float32)
        self.class_weights = torch.from_numpy(weights).to(self.device)
        self.epoch, self.best = 0, -1.0

    def fit(self, folder: Path, progress: Progress) -> None:
        """Trains the epochs that are missing; the network then has the weights of the best epoch."""
        if (folder / CHECKPOINT).is_file():
            self._load(folder / CHECKPOINT)
        while self.epoch < self.preset.epochs:
            rng = np.random.default_rng([self.seed, self.epoch])
            losses = [self._update(images, classes) for images, classes in ahead(self._batches(rng))]
            self.epoch += 1
            ranked = self._watch()
            _append(folder / LOG, {"epoch": self.epoch, "loss": float(np.mean(losses)), **ranked})
            if ranked["val_auroc"] >= self.best:
                self.best = ranked["val_auroc"]
                _save({"network": self.network.state_dict()}, folder / BEST)
            _save(self._state(), folder / CHECKPOINT)
            progress("train", self.epoch, self.preset.epochs)
        state = torch.load(folder / BEST, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])

    def _batches(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        """Pictures, changed by chance where the preset says so, and their classes."""
        train = self.parts["train"]
        order = rng.permutation(len(train))
        count = max(1, len(order) // self.preset.batch)  # the last, smaller batch joins the others
        for batch in np.array_split(order, count):
            images = train.images[batch]
            if self.preset.augmentation:
                blank = np.zeros_like(images[0])
                changed = [changed_view((one, blank, blank), self.preset.size, rng, CHANGES)[0] for one in images]
                images = np.stack(changed)
            yield images, train.classes[batch]

    def _update(self, images: NDArray[np.uint8], numbers: NDArray[np.int64]) -> float:
        classes = torch.from_numpy(numbers).to(self.device)
        allowed = torch.nn.functional.one_hot(classes, len(self.preset.class_names))
        self.network.train()
        with self._arithmetic():
            logits = self.network(_tensor(images, self.device)).float()
        loss = open_label_loss(logits, allowed, weights=self.class_weights[classes], gamma=self.preset.focal_gamma)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def _watch(self) -> dict[str, float]:
        """Validation loss and ranking after an epoch; the training part stands in where there is no validation."""
        part = self.parts.get("val", self.parts["train"])
        shares = self.probabilities(part)
        right = shares[np.arange(len(part)), part.classes]
        scores = macro_scores(part.classes.tolist(), shares, [""] * len(part))
        ranked = scores["macro AUROC"].value
        return {
            "val_loss": float(-np.log(np.clip(right, 1e-9, 1)).mean()),
            "val_auroc": 0.5 if ranked is None else ranked,
        }

    @torch.no_grad()
    def probabilities(self, part: Examples) -> NDArray[np.float64]:
        """Probabilities (slice, class)."""
        self.network.eval()
        with self._arithmetic():
            found = [
                torch.softmax(self.network(_tensor(part.images[i : i + 32], self.device)).float(), dim=1).cpu()
                for i in range(0, len(part), 32)
            ]
        return np.asarray(torch.cat(found).numpy(), dtype=np.float64)

    def _arithmetic(self) -> torch.autocast:
        """bf16 where the processor has it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16_is_fast())

    def _state(self) -> dict[str, Any]:
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict()}
        return {**state, "epoch": self.epoch, "best": self.best}

    def _load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.best = int(state["epoch"]), float(state["best"])


def _tensor(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    return torch.from_numpy(images)[:, None].float().to(device)


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
    names = learner.preset.class_names
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["part", "slice", "patient", "class", *names])
        for part in ("val", "test"):
            if part not in parts:
                continue
            one = parts[part]
            for row in zip(one.names, one.patients, one.classes, learner.probabilities(one), strict=True):
                writer.writerow([part, row[0], row[1], names[row[2]], *(f"{value:.5f}" for value in row[3])])


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


def _append(path: Path, row: dict[str, float]) -> None:
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _save(state: dict[str, Any], path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)
