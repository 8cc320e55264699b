"""Memory of training: does it grow with the number of volumes?

    python benchmarks/training_memory.py [--steps N] [--json FILE]

`groundglass train` in a fresh process on 5 and on 50 synthetic scans (NIfTI with lungs and infection), prepared,
learned from and validated on; the largest resident memory of each process, as the operating system counts it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from process import run

from groundglass.geometry import Geometry
from groundglass.phantom import make_chest

COUNTS = (5, 50)
SHAPE = (256, 256, 40)
PRESET = """
title = "Memory"
channels = ["lung", "infection"]
sizes = [64]

[[preparation]]
step = "hu-window"

[network]
kind = "unet"
features = [8, 8, 16, 16, 32]

[schedule]
steps = {steps}
batch = 8
precision = "fp32"
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        peaks = {count: peak_mb(Path(folder), count, arguments.steps) for count in COUNTS}
    few, many = (peaks[count] for count in COUNTS)
    for count, peak in peaks.items():
        print(
            f"{count:3d} volumes of {SHAPE[2]} slices ({count * volume_mb():5.0f} MB of HU and labels): {peak:6.0f} MB"
        )
    print(f"{many / few:.3f} times as much memory for {COUNTS[1] // COUNTS[0]} times as many volumes")
    if arguments.json:
        arguments.json.write_text(json.dumps({"peak_mb": peaks, "ratio": many / few}, indent=2))


def volume_mb() -> float:
    """Size of one volume in memory: 16 bits a voxel, and 8 for each label map."""
    return float(np.prod(SHAPE)) * 4 / 2**20


def peak_mb(folder: Path, count: int, steps: int) -> float:
    """Largest resident memory of a training on so many volumes."""
    data, preset = folder / f"data{count}", folder / "memory.toml"
    preset.write_text(PRESET.format(steps=steps))
    write_scans(data, count)
    command = [sys.executable, "-m", "groundglass", "train", str(preset), "--data", str(data)]
    cost, _ = run([*command, "-o", str(folder / f"run{count}"), "--workers", "0", "--threads", "1", "--json"])
    return cost.peak_mb


def write_scans(folder: Path, count: int) -> None:
    """Scans of one chest in a folder each, every one with noise of its own; none is like another to the leak check."""
    chest = make_chest(seed=3, shape=SHAPE)
    rng = np.random.default_rng(0)
    for number in range(count):
        case = folder / f"case{number}"
        case.mkdir(parents=True)
        cloud = np.kron(rng.normal(0, 400, (16, 16, 1)), np.ones((16, 16, SHAPE[2])))
        values = np.clip(chest.volume.values + cloud, -1024, 3071)
        save(values.astype(np.int16), chest.volume.geometry, case / "ct.nii.gz")
        save(chest.lungs.labels, chest.volume.geometry, case / "lungs.nii.gz")
        save(chest.infection.labels, chest.volume.geometry, case / "infection.nii.gz")


def save(values: NDArray[np.generic], geometry: Geometry, path: Path) -> None:
    """Write a NIfTI file."""
    nibabel.save(nibabel.Nifti1Image(values, geometry.affine), path)


if __name__ == "__main__":
    main()
