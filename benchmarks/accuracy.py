"""Accuracy of the shipped network through the public interface, on real data that it was not trained on.

    python benchmarks/accuracy.py --data DIR [--json FILE]

DIR holds `covid20/`, `medseg_train/`, `lung2d_hu/`, `lung3d_hu/` and `ct_volumes/`. Every number comes from
`groundglass.analyze`, post-processing included: pictures as pictures, scans as scans.

- covid20, the volumes that the network has not learned from, if any: Dice pooled over the slices of each volume.
- medseg, the held-out quarter: Dice of infection per picture (lung-cropped, rotated by 90 degrees).
- ct_volumes: AUROC of the infected area per slice against the radiologists' slice labels; involvement.
- lung2d_hu, the held-out eighth: lung Dice per slice.
- lung3d_hu: lung Dice per scan.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import nibabel
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import groundglass as gg
from groundglass.inference.scan import Networks
from groundglass.io.read import read_input
from groundglass.result import AnalysisResult, PictureResult
from groundglass.volume import PictureSet, Slice2D

Masks = list[NDArray[np.uint8]]


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    networks = Networks.load()
    results = {
        "covid20 unseen": covid20(arguments.data / "covid20", networks),
        "medseg held out": medseg(arguments.data / "medseg_train", networks),
        "ct_volumes": ct_volumes(arguments.data / "ct_volumes", networks),
        "lung2d_hu held out": lung2d(arguments.data / "lung2d_hu", networks),
        "lung3d_hu": lung3d(arguments.data / "lung3d_hu", networks),
    }
    for name, rows in results.items():
        print(f"\n{name}")
        for row in rows:
            print("  " + "  ".join(f"{key} {value}" for key, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


def covid20(folder: Path, networks: Networks) -> list[dict[str, object]]:
    """Dice per held-out volume, and their means."""
    volumes: dict[str, list[str]] = {}
    for row in csv.DictReader((folder / "slices.csv").open()):
        if row["volume"] not in networks.segmenter.card.learned_from:
            volumes.setdefault(row["volume"], []).append(row["file"])
    rows: list[dict[str, object]] = []
    if not volumes:
        return rows
    for name, files in volumes.items():
        result = analyze_pictures(name, [folder / "ct" / file for file in files], networks)
        lung = pooled_dice((read_grey(folder / "lung" / file) for file in files), result.lungs)
        infection = pooled_dice((read_grey(folder / "infection" / file) for file in files), result.infection)
        rows.append({"volume": name, "slices": len(files), "lung": round(lung, 4), "infection": round(infection, 4)})
    means = {key: round(float(np.mean([float(str(row[key])) for row in rows])), 4) for key in ("lung", "infection")}
    return [*rows, {"volume": "mean", "slices": sum(map(len, volumes.values())), **means}]


def medseg(folder: Path, networks: Networks) -> list[dict[str, object]]:
    """Mean and pooled Dice of infection on every fourth picture."""
    files = held_out_medseg(folder)
    result = analyze_pictures("medseg", files, networks)
    truth = [read_grey(folder / "infection" / f"{file.stem}.png") for file in files]
    single = [pooled_dice([one], [found]) for one, found in zip(truth, result.infection, strict=True)]
    pooled = pooled_dice(truth, result.infection)
    return [{"pictures": len(files), "infection mean": round(float(np.mean(single)), 4), "pooled": round(pooled, 4)}]


def ct_volumes(folder: Path, networks: Networks) -> list[dict[str, object]]:
    """Ranking of slices by infected area, and involvement."""
    labels: dict[str, list[int]] = {}
    for row in csv.DictReader((folder / "slice_labels.csv").open()):
        labels.setdefault(row["volume"], []).append(int(row["infected"]))
    scans = {
        "covid_P001": folder / "covid_P001_dicom",
        "cap_cap001": folder / "cap_cap001_ct.nii.gz",
        "normal_normal001": folder / "normal_normal001_ct.nii.gz",
    }
    rows: list[dict[str, object]] = []
    for name, path in scans.items():
        result = gg.analyze(path, networks=networks)
        assert isinstance(result, AnalysisResult)
        area = np.count_nonzero(result.infection.labels, axis=(0, 1))[::-1]  # from the head
        infected = np.array(labels[name][: len(area)])
        auroc = round(float(roc_auc_score(infected, area)), 4) if 0 < infected.sum() < len(infected) else None
        involvement = result.measurements.involvement_percent.total or 0.0
        rows.append({"scan": name, "slices": len(area), "AUROC": auroc, "involvement %": round(involvement, 3)})
    return rows


def lung2d(folder: Path, networks: Networks) -> list[dict[str, object]]:
    """Lung Dice of single HU slices, each as a scan of one slice (every eighth is held out)."""
    scores: list[float] = []
    for path in held_out_lung2d(folder):
        picture = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), dtype=np.int32) - 1024
        # Columns run to the patient's left and rows to posterior.
        result = gg.analyze(picture.T[:, :, None], affine=np.diag([-1.0, -1.0, 1.0, 1.0]), networks=networks)
        assert isinstance(result, AnalysisResult)
        truth = read_grey(folder / "lung" / path.name).T[:, :, None]
        scores.append(pooled_dice([truth], [result.lungs.on_source_grid()]))
    worst = sorted(round(score, 3) for score in scores)[:5]
    return [{"slices": len(scores), "lung mean": round(float(np.mean(scores)), 4), "worst": worst}]


def lung3d(folder: Path, networks: Networks) -> list[dict[str, object]]:
    """Lung Dice of whole small scans."""
    rows: list[dict[str, object]] = []
    for path in sorted(folder.glob("*_ct.nii.gz")):
        result = gg.analyze(path, networks=networks)
        assert isinstance(result, AnalysisResult)
        truth = np.asarray(nibabel.load(str(path).replace("_ct", "_lung")).dataobj)
        found = result.lungs.on_source_grid()
        rows.append({"scan": path.name, "lung": round(pooled_dice([truth], [found]), 4)})
    return rows


def held_out_medseg(folder: Path) -> list[Path]:
    """Every fourth picture, in the order of their numbers."""
    return sorted((folder / "ct").iterdir(), key=lambda path: int(path.stem))[::4]


def held_out_lung2d(folder: Path) -> list[Path]:
    """Every eighth slice."""
    return sorted((folder / "ct").glob("*.png"))[::8]


def analyze_pictures(case: str, files: Iterable[Path], networks: Networks) -> PictureResult:
    """Analyze pictures as one case."""
    slices: list[Slice2D] = []
    for file in files:
        image = read_input(file)
        assert isinstance(image, PictureSet)
        slices += image.slices
    result = gg.analyze(PictureSet(case, tuple(slices)), networks=networks)
    assert isinstance(result, PictureResult)
    return result


def read_grey(path: Path) -> NDArray[np.uint8]:
    """A mask picture."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def pooled_dice(truth: Iterable[NDArray[Any]], found: Masks) -> float:
    """Dice over all pixels of several masks together; 1 if all are empty."""
    both = sizes = 0
    for one, other in zip(truth, found, strict=True):
        both += int(np.count_nonzero((one > 0) & (other > 0)))
        sizes += int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 1.0 if sizes == 0 else 2 * both / sizes


if __name__ == "__main__":
    main()
