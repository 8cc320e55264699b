"""Does the answer stay when the same slices come another way? The shipped network through the public interface.

    python benchmarks/robustness.py --data DIR [--json FILE] [--only GROUP ...]

DIR holds `medseg_train/`, `lung2d_hu/` and `ct_volumes/`; slices that the network has learned from are left out.

- turned: MedSeg (infection Dice) and HU slices windowed to pictures (lung Dice), turned, flipped and rotated.
- altered: the same pictures compressed, shrunk, blurred, noisy, brighter, equalised, framed or squeezed.
- window: the scan covid_P001 in HU and as pictures of several windows: involvement, AUROC of its slice labels.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from accuracy import held_out_lung2d, held_out_medseg, pooled_dice, read_grey
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import groundglass as gg
from groundglass.inference.scan import Networks
from groundglass.io.read import read_input
from groundglass.result import AnalysisResult, PictureResult
from groundglass.volume import CTVolume, PictureSet, Slice2D

Picture = NDArray[np.uint8]
Change = Callable[[Picture, bool], Picture]
"""Changes a picture or, told True, its mask: both by the same geometry."""
Row = dict[str, str | float]
WINDOWS = {
    "-1250..250": (-1250, 250),
    "-1024..600": (-1024, 600),
    "-1350..150": (-1350, 150),
    "-1000..200": (-1000, 200),
}
"""Windows that lungs are looked at through, HU; the first is that of the training pictures."""
GREY = np.arange(256, dtype=np.float64)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", default=["turned", "altered", "window"])
    arguments = parser.parse_args()
    networks, rows = Networks.load(), list[Row]()
    for group, changes in {"turned": turns(), "altered": alterations()}.items():
        if group in arguments.only:
            rows += show(group, (pictures(arguments.data, networks, name, change) for name, change in changes))
    if "window" in arguments.only:
        rows += show("window", windows(arguments.data / "ct_volumes", networks))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


def show(group: str, rows: Iterator[Row]) -> list[Row]:
    """Print rows as they come."""
    kept = list[Row]()
    for row in rows:
        kept.append({"group": group, **row})
        print("  ".join(f"{key} {value}" for key, value in kept[-1].items()), flush=True)
    return kept


def pictures(data: Path, networks: Networks, name: str, change: Change) -> Row:
    """Mean and lowest Dice of changed pictures, each analyzed by itself."""
    infections = [score(picture, truth, change, networks, "infection") for picture, truth in medseg(data)]
    lungs = [score(picture, truth, change, networks, "lungs") for picture, truth in lung2d(data)]
    return {"change": name, **summary("infection", infections), **summary("lungs", lungs)}


def summary(structure: str, scores: list[float]) -> Row:
    """Mean and lowest."""
    return {structure: round(float(np.mean(scores)), 3), f"lowest {structure}": round(min(scores), 2)}


def score(picture: Picture, truth: Picture, change: Change, networks: Networks, structure: str) -> float:
    """Dice of a structure of one changed picture."""
    result = analyze([change(picture, False)], networks)
    return pooled_dice([change(truth, True)], getattr(result, structure))


def analyze(slices: list[Picture], networks: Networks) -> PictureResult:
    """Analyze pictures as one case."""
    named = tuple(Slice2D(np.ascontiguousarray(one), f"{number:04d}.png") for number, one in enumerate(slices))
    result = gg.analyze(PictureSet("case", named), networks=networks)
    assert isinstance(result, PictureResult)
    return result


def medseg(data: Path) -> Iterator[tuple[Picture, Picture]]:
    """Held-out pictures and their infection."""
    for file in held_out_medseg(data / "medseg_train"):
        yield read_grey(file), read_grey(data / "medseg_train" / "infection" / f"{file.stem}.png")


def lung2d(data: Path) -> Iterator[tuple[Picture, Picture]]:
    """Held-out HU slices as pictures, and their lungs."""
    for file in held_out_lung2d(data / "lung2d_hu"):
        hu = np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), dtype=np.int32) - 1024
        yield as_picture(hu, *WINDOWS["-1250..250"]), read_grey(data / "lung2d_hu" / "lung" / file.name)


def as_picture(hu: NDArray[np.int32], low: int, high: int) -> Picture:
    """Hounsfield units through a window."""
    grey = np.clip((hu - low) * (255 / (high - low)), 0, 255)
    return np.asarray(grey, dtype=np.uint8)


def turns() -> Iterator[tuple[str, Change]]:
    """Quarter turns, mirrored ones and rotations about the middle."""
    for mirrored in (False, True):
        for quarters in range(4):
            yield f"turned {90 * quarters}{', mirrored' * mirrored}", partial(_turned, quarters, mirrored)
    for degrees in (-45, -30, -15, 15, 30, 45):
        yield f"rotated {degrees}", partial(_rotated, degrees)


def _turned(quarters: int, mirrored: bool, picture: Picture, _: bool) -> Picture:
    return np.ascontiguousarray(np.rot90(picture[:, ::-1] if mirrored else picture, quarters))


def _rotated(degrees: float, picture: Picture, mask: bool) -> Picture:
    rows, columns = picture.shape
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1)
    how = cv2.INTER_NEAREST if mask else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(picture, matrix, (columns, rows), flags=how), dtype=np.uint8)


def alterations() -> Iterator[tuple[str, Change]]:
    """What happens to pictures on their way into a figure or a chat."""
    yield "as it is", lambda picture, _: picture
    for quality in (50, 20):
        yield f"JPEG of quality {quality}", partial(_compressed, quality)
    for side in (256, 128):
        yield f"{side} pixels", partial(_shrunk, side)
    for sigma in (1, 2):
        yield f"blurred, sigma {sigma}", partial(_grey, partial(cv2.GaussianBlur, ksize=(0, 0), sigmaX=sigma))
    for levels in (10, 20):
        yield f"noise of {levels} grey levels", partial(_grey, partial(_noisy, levels))
    for power in (0.7, 1.4):
        yield f"gamma {power}", partial(_grey, partial(cv2.LUT, lut=(255 * (GREY / 255) ** power).astype(np.uint8)))
    yield "contrast halved", partial(_grey, partial(cv2.LUT, lut=(64 + GREY / 2).astype(np.uint8)))
    yield "equalised (CLAHE)", partial(_grey, cv2.createCLAHE(3.0, (8, 8)).apply)
    yield "black frame", lambda picture, _: np.pad(picture, [(side // 6, side // 6) for side in picture.shape])
    yield (
        "white frame",
        lambda picture, mask: np.pad(
            picture, [(side // 6, side // 6) for side in picture.shape], constant_values=0 if mask else 255
        ),
    )
    yield (
        "three quarters as wide",
        lambda picture, mask: _resized(picture, picture.shape[1] * 3 // 4, picture.shape[0], mask),
    )


def _grey(change: Callable[[Picture], object], picture: Picture, mask: bool) -> Picture:
    return picture if mask else np.asarray(change(picture), dtype=np.uint8)


def _noisy(levels: float, picture: Picture) -> Picture:
    noise = np.random.default_rng(0).normal(0, levels, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _compressed(quality: int, picture: Picture, mask: bool) -> Picture:
    if mask:
        return picture
    _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def _shrunk(side: int, picture: Picture, mask: bool) -> Picture:
    return _resized(picture, side, side * picture.shape[0] // picture.shape[1], mask)


def _resized(picture: Picture, columns: int, rows: int, mask: bool) -> Picture:
    how = cv2.INTER_NEAREST if mask else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=how), dtype=np.uint8)


def windows(folder: Path, networks: Networks) -> Iterator[Row]:
    """A scan in Hounsfield units, then as pictures."""
    with (folder / "slice_labels.csv").open() as lines:
        labels = [int(row["infected"]) for row in csv.DictReader(lines) if row["volume"] == "covid_P001"]
    scan = read_input(folder / "covid_P001_dicom")
    assert isinstance(scan, CTVolume)
    result = gg.analyze(scan, networks=networks)
    assert isinstance(result, AnalysisResult)
    lungs, infection = (np.moveaxis(one.labels, 2, 0)[::-1] for one in (result.lungs, result.infection))
    yield {"shown as": "HU", **ranked(lungs, infection, labels)}
    # From the head, rows to posterior and columns to the patient's left, as pictures are exported.
    hu = np.asarray(scan.values, dtype=np.int32)[::-1, ::-1, ::-1].transpose(2, 1, 0)
    for name, (low, high) in WINDOWS.items():
        pictures = analyze([as_picture(one, low, high) for one in hu], networks)
        yield {"shown as": name, **ranked(pictures.lungs, pictures.infection, labels)}


def ranked(lungs: Iterable[Picture], infection: Iterable[Picture], labels: list[int]) -> Row:
    """Infected share of the lung, and how well the infected area tells the slices labelled infected."""
    lung, infected = ([np.count_nonzero(one) for one in masks] for masks in (lungs, infection))
    auroc = float(roc_auc_score(labels, infected[: len(labels)]))
    return {"involvement %": round(100 * sum(infected) / sum(lung), 2), "AUROC": round(auroc, 3)}


if __name__ == "__main__":
    main()
