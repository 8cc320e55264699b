"""What each part of the recipe of `lungs-infection` is worth: short trainings that differ in one thing.

    python benchmarks/recipes.py --data DIR -o OUT [--folds 0 2] [--steps 500] [--only NAME ...] [--seed N]

Every recipe learns from the same folds with the same random numbers and is scored on the volumes of the fold left out:
Dice of infection and lungs per volume at the best common threshold and at 0.5, network alone, and milliseconds of one
thread per slice in OpenVINO. A recipe that is finished is not repeated. OUT gets `recipes.md` and `recipes.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.evaluation.cases import load_image, load_masks
from groundglass.evaluation.layouts import LabelledData, read_data
from groundglass.evaluation.structures import INFECTION, LUNGS
from groundglass.inference.scan import smoothed_channels
from groundglass.inference.segment import SliceSegmenter
from groundglass.models.catalog import load_card
from groundglass.training.presets import load_preset
from groundglass.training.presets.model import Preset
from groundglass.training.run import TrainOptions, train

Changes = Mapping[str, Any]
THRESHOLDS = np.linspace(0.05, 0.8, 16)
FLIPS_AND_TURNS = ("random-lung-crop", "stretch", "flip", "rotate", "shift")
APPEARANCE = ("equalise", "window-jitter", "blur", "gamma", "contrast", "noise", "jpeg")

RECIPES: dict[str, Changes] = {
    "as shipped": {},
    "another seed": {"seed": 1},
    "encoder from random weights": {"network": {"pretrained": False}},
    "encoder EfficientNet-lite1": {"network": {"encoder": "efficientnet-lite1"}},
    "encoder EfficientNet-lite2": {"network": {"encoder": "efficientnet-lite2"}},
    "encoder MobileNetV2, random weights": {
        "network": {"kind": "mobilenetv2-unet", "decoder": [96, 64, 40, 24], "pretrained": None}
    },
    "plain U-Net, 16 to 256 channels": {"network": {"kind": "unet", "features": [16, 32, 64, 128, 256]}},
    "decoder half as wide": {"network": {"decoder": [48, 32, 20, 12]}},
    "decoder twice as wide": {"network": {"decoder": [192, 128, 80, 48]}},
    "decoder twice as wide, another seed": {"network": {"decoder": [192, 128, 80, 48]}, "seed": 1},
    "decoder four times as wide": {"network": {"decoder": [384, 256, 160, 96]}},
    "low prior of every class": {"network": {"prior": 0.05}},
    "low prior of every class, another seed": {"network": {"prior": 0.05}, "seed": 1},
    "128 pixels": {"sizes": [128]},
    "256 pixels": {"sizes": [256]},
    "loss: cross-entropy": {"loss": {"name": "bce"}},
    "loss: Dice": {"loss": {"name": "dice"}},
    "loss: focal": {"loss": {"name": "focal"}},
    "loss: Tversky": {"loss": {"name": "tversky"}},
    "the 20-volume set alone": {"sources": 1},
    "the 20-volume set alone, EfficientNet-lite2": {"sources": 1, "network": {"encoder": "efficientnet-lite2"}},
    "the 20-volume set alone, EfficientNet-lite1": {"sources": 1, "network": {"encoder": "efficientnet-lite1"}},
    "every slice once an epoch": {"sampling": "epochs"},
    "no pasted lesions": {"without": ["lesions"]},
    "flips alone": {"only": ["flip"]},
    "no change of place": {"without": [*FLIPS_AND_TURNS, "quarter-turn"]},
    "no change of appearance": {"without": APPEARANCE},
    "no average of the weights": {"schedule": {"average_decay": None}},
    "constant rate": {"schedule": {"shape": "constant", "rate": 5e-4}},
}


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 2], help="each is left out in turn")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--only", nargs="+", choices=RECIPES, metavar="NAME", default=list(RECIPES))
    arguments = parser.parse_args()
    data = read_data(arguments.data)
    for name in arguments.only:
        for fold in arguments.folds:
            measure(name, fold, data, arguments)
        write_table(arguments.output, arguments.folds)


def measure(name: str, fold: int, data: LabelledData, arguments: argparse.Namespace) -> None:
    """Trains and scores one recipe on one fold."""
    run = arguments.output / name.replace(" ", "-").replace(":", "").replace(",", "") / f"fold-{fold}"
    if (run / "scores.json").is_file():
        return
    preset = changed(load_preset("lungs-infection"), RECIPES[name], arguments.steps)
    learn = sorted({case.fold for case in data.cases if case.fold is not None} - {fold})
    options = TrainOptions(seed=RECIPES[name].get("seed", 0), cache=arguments.output / "cache")
    clock = time.process_time()
    found = train(preset, arguments.data, run, folds=learn, options=options)
    record = {"recipe": name, "fold": fold, "training_cpu_s": round(time.process_time() - clock)}
    segmenter = SliceSegmenter(load_card(found.card.stem, found.card.parent), threads=1)
    record["volumes"] = {case.name: scores for case, scores in scored(data.of_folds([fold]), segmenter)}
    record["ms_per_slice"] = milliseconds(segmenter)
    (run / "scores.json").write_text(json.dumps(record, indent=2))
    print(json.dumps(record))


def changed(preset: Preset, changes: Changes, steps: int) -> Preset:
    """The preset, short, at 192 pixels, with one thing changed."""
    table = preset.model_dump(mode="json")
    table |= {"sizes": changes.get("sizes", [192]), "sampling": changes.get("sampling", table["sampling"])}
    table["schedule"] |= {"steps": steps, "validate_every": steps, **changes.get("schedule", {})}
    table["loss"] |= changes.get("loss", {})
    network = changes.get("network", {})
    table["network"] = dict(network) if "kind" in network else {**table["network"], **network}
    table["sources"] = table["sources"][: changes.get("sources")]
    keep = [step for step in table["augmentation"] if step["step"] not in changes.get("without", ())]
    table["augmentation"] = [step for step in keep if step["step"] in changes.get("only", [step["step"]])]
    return Preset.model_validate(table)


def scored(data: LabelledData, segmenter: SliceSegmenter) -> Iterable[tuple[Any, dict[str, list[float]]]]:
    """Dice of every volume at each of the thresholds."""
    for case in data.cases:
        image, truth = load_image(case), load_masks(case, case.truth, (LUNGS, INFECTION), same_voxels=True)
        assert image.slices is not None
        maps = smoothed_channels(image.slices, image.kind, segmenter, progress=lambda *_: None)
        lungs = [own["lung"] / 255 for own in maps]
        infection = [own["infection"] / 255 * (own["lung"] >= 128) for own in maps]
        yield (
            case,
            {
                "lungs": dice_at(lungs, truth.planes["lungs"], np.array([0.5])),
                "infection": dice_at(infection, truth.planes["infection"], THRESHOLDS),
            },
        )


def dice_at(
    found: list[NDArray[np.float64]], truth: list[NDArray[np.bool_]], thresholds: NDArray[np.float64]
) -> list[float]:
    """Dice of a volume, its slices together, at each threshold."""
    values = np.concatenate([one.ravel() for one in found])
    inside = np.concatenate([one.ravel() for one in truth])
    return [
        round(float(2 * (inside & (values >= at)).sum() / max(1, inside.sum() + (values >= at).sum())), 4)
        for at in thresholds
    ]


def milliseconds(segmenter: SliceSegmenter, slices: int = 40) -> float:
    """Of one thread, per slice in Hounsfield units."""
    rng = np.random.default_rng(0)
    images = [rng.integers(-1000, 300, (256, 256)).astype(np.int16) for _ in range(slices)]
    list(segmenter.stream(images[:5], kind="hu"))
    clock = time.process_time()
    list(segmenter.stream(images, kind="hu"))
    return round(1000 * (time.process_time() - clock) / slices, 1)


def write_table(output: Path, folds: list[int]) -> None:
    """`recipes.md`: the recipes that are finished on all folds."""
    rows, every = [], []
    for name in RECIPES:
        folder = output / name.replace(" ", "-").replace(":", "").replace(",", "")
        paths = [folder / f"fold-{fold}" / "scores.json" for fold in folds]
        if not all(path.is_file() for path in paths):
            continue
        records = [json.loads(path.read_text()) for path in paths]
        every += records
        volumes = [volume for record in records for volume in record["volumes"].values()]
        curve = np.mean([volume["infection"] for volume in volumes], axis=0)
        lungs = float(np.mean([volume["lungs"][0] for volume in volumes]))
        half, best = curve[int(np.argmin(abs(THRESHOLDS - 0.5)))], int(curve.argmax())
        speed, cost = records[0]["ms_per_slice"], sum(record["training_cpu_s"] for record in records)
        rows.append(
            f"| {name} | {curve[best]:.3f} at {THRESHOLDS[best]:.2f} | {half:.3f} | {lungs:.3f} | {speed} | {cost} |"
        )
    columns = ("recipe", "infection, best threshold", "at 0.5", "lungs", "ms per slice", "CPU s of training")
    head = f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"
    (output / "recipes.md").write_text("\n".join([head, *rows]) + "\n")
    (output / "recipes.json").write_text(json.dumps(every, indent=2))


if __name__ == "__main__":
    main()
