"""A classifier at its lessons: batches, steps, the best epoch; after a kill it goes on to the same weights."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundglass.errors import OptionError
from groundglass.evaluation.classification import macro_scores
from groundglass.io.write import atomic_file, atomic_write_bytes
from groundglass.progress import Progress
from groundglass.training.arithmetic import bf16_is_fast
from groundglass.training.classification.changes import Changes, changed_view
from groundglass.training.classification.examples import Examples, balance
from groundglass.training.classification.losses import open_label_loss
from groundglass.training.classification.nets.build import build
from groundglass.training.classification.nets.simple import SliceNetwork
from groundglass.training.classification.presets import ClassifierPreset
from groundglass.training.nets.quick import quicken

CHECKPOINT, BEST, LOG = "checkpoint.pt", "best.pt", "log.csv"
T = TypeVar("T")
CHANGES = Changes(whole_chance=1.0, mask_chance=0.0, blind_chance=0.0, lettering_chance=0.1, hole_chance=0.1)


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
        quicken(self.network)
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=preset.rate, weight_decay=preset.weight_decay)
        weights = balance(parts["train"].classes, count) if preset.class_weights else np.ones(count, np.float32)
        self.class_weights = torch.from_numpy(weights).to(self.device)
        self.epoch, self.best = 0, -1.0
        self.history: list[dict[str, float]] = []

    def fit(self, folder: Path, progress: Progress) -> None:
        """Trains the epochs that are missing; the network then has the weights of the best epoch.

        Raises:
            OptionError: the folder's checkpoint is damaged, or has learned from other slices.
        """
        if (folder / CHECKPOINT).is_file():
            self._load(folder / CHECKPOINT)
        while self.epoch < self.preset.epochs:
            # Chance depends on the epoch alone, so a run that goes on after a kill draws what it would have drawn.
            rng = np.random.default_rng([self.seed, self.epoch])
            torch.manual_seed(int(rng.integers(2**63)))
            losses = [self._update(images, classes) for images, classes in ahead(self._batches(rng))]
            self.epoch += 1
            ranked = self._watch()
            self.history.append({"epoch": self.epoch, "loss": float(np.mean(losses)), **ranked})
            if ranked["val_auroc"] >= self.best:
                self.best = ranked["val_auroc"]
                save({"network": self.network.state_dict()}, folder / BEST)
            save(self._state(), folder / CHECKPOINT)
            _write_log(self.history, folder / LOG)
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
        done = {"epoch": self.epoch, "best": self.best, "history": self.history}
        return {**state, **done, "learned_from": fingerprint(self.parts["train"])}

    def _load(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
        except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
            raise OptionError(
                f"{path} is damaged ({type(error).__name__}), so the run cannot go on; start it anew with --no-resume, "
                f"or choose another folder than {path.parent}"
            ) from error
        if state.get("learned_from") != fingerprint(self.parts["train"]):
            raise OptionError(
                f"{path} has learned from other slices, or from the same ones prepared in another way; go on with the "
                "same data, or choose another folder"
            )
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.best, self.history = int(state["epoch"]), float(state["best"]), list(state["history"])


def _tensor(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    return torch.from_numpy(images)[:, None].float().to(device)


def fingerprint(examples: Examples) -> str:
    """Checksum of slices, classes and pixels."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update("\n".join(examples.names).encode())
    digest.update(examples.classes.tobytes())
    digest.update(np.ascontiguousarray(examples.images).data)
    return digest.hexdigest()


def _write_log(history: list[dict[str, float]], path: Path) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    atomic_write_bytes(path, text.getvalue().encode())


def save(state: dict[str, Any], path: Path) -> None:
    """Saves a checkpoint, completely or not at all.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.
    """
    with atomic_file(path) as file:
        torch.save(state, file)
