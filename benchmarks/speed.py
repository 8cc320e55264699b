"""Speed and memory of the whole program and of its parts, against peers and against the limit of the machine.

    python benchmarks/speed.py [--slices 64 128 ...] [--data DIR] [--peer-python PYTHON] [--json FILE] [--plot FILE]

- whole: `groundglass analyze` from cold start, synthetic scans of 512x512 pixels as NIfTI and DICOM, and
  `DIR/ct_volumes/covid_P001_dicom` where `--data` gives it; wall and CPU seconds, peak memory, seconds per stage.
- warm: the same with networks loaded. files: reading and writing. batch: scans per hour with one and two workers.
- network: the shipped network alone, the same network in PyTorch, and `lungmask` from a Python of its own
  (`python -m venv V; V/bin/pip install lungmask nibabel`, then `--peer-python V/bin/python`), with random weights.
- limit: floating-point operations of the network over those of a large matrix product on this machine.

On a busy machine read the CPU seconds: they hardly depend on what else runs. The load is recorded beside each number.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from process import best, part
from scans import read_bytes

Record = dict[str, Any]


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="+", default=[64, 128, 256, 512, 1000])
    parser.add_argument("--times", type=int, default=2, help="runs of each whole analysis; the best counts")
    parser.add_argument("--data", type=Path, help="folder of real CT data")
    parser.add_argument("--peer-python", help="Python with lungmask")
    parser.add_argument("--scans", type=int, default=8, help="scans of the batch; 0 leaves it out")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    results: Record = {"machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        results["whole"] = whole(Path(folder), arguments)
        results |= parts(Path(folder), arguments)
    results["limit"] = limit(results)
    show(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    if arguments.plot:
        from plot import draw

        draw(results["whole"], arguments.plot)


def machine() -> Record:
    """What it was measured on."""
    model = "unknown processor"
    if (info := Path("/proc/cpuinfo")).is_file():
        model = next(
            (line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), model
        )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def whole(folder: Path, arguments: argparse.Namespace) -> list[Record]:
    """`analyze` from cold start."""
    part("make", str(folder), *(str(count) for count in arguments.slices))
    rows = []
    for count in arguments.slices:
        paths = {"nifti": folder / f"chest{count}.nii.gz", "dicom": folder / f"chest{count}"}
        rows += [analyzed(path, kind, count, arguments.times, folder) for kind, path in paths.items()]
    real = arguments.data and arguments.data / "ct_volumes" / "covid_P001_dicom"
    if real and real.is_dir():
        rows.append(analyzed(real, "dicom, JPEG Lossless, real", len(list(real.iterdir())), arguments.times, folder))
    return rows


def analyzed(path: Path, kind: str, slices: int, times: int, folder: Path) -> Record:
    """One line of the table."""
    command = [sys.executable, "-m", "groundglass", "analyze", str(path), "-o", str(folder / "out"), "--json", "-q"]
    cost, printed = best(command, times)
    saved = json.loads((folder / "out" / json.loads(printed)["case"] / "analysis.json").read_text())
    row = {"input": kind, "slices": slices, **cost.record(), "megabytes": round(read_bytes(path) / 1e6, 1)}
    print(
        f"  analyze {kind} {slices}: {cost.wall_s:.1f} s, CPU {cost.cpu_s:.1f} s, {cost.peak_mb:.0f} MB",
        file=sys.stderr,
    )
    return row | {"stages_s": saved["run"]["seconds"]}


def parts(folder: Path, arguments: argparse.Namespace) -> Record:
    """Everything but the whole."""
    count = arguments.slices[0]
    nifti, dicom = folder / f"chest{count}.nii.gz", folder / f"chest{count}"
    found: Record = {
        "warm": part("warm", str(nifti)) | {"slices": count},
        "files": {"nifti": part("files", str(nifti)), "dicom": part("files", str(dicom))},
        "network": part("network"),
        "lungs alone": part("lungs", str(nifti)),
    }
    for name, work in (("peak", "peak"), ("network in PyTorch", "torch_network")):
        try:
            found[name] = part(work)
        except RuntimeError:
            found[name] = None
    if arguments.peer_python:
        found["lungmask"] = part("lungmask", str(nifti), python=arguments.peer_python)
    if arguments.scans:
        many = folder / "many"
        many.mkdir()
        for number in range(arguments.scans):
            shutil.copy(nifti, many / f"scan{number:02}.nii.gz")
        found["batch"] = {workers: part("batch", str(many), workers) for workers in ("1", "2")}
    return found | {"load at the end": os.getloadavg()[0]}


def limit(results: Record) -> Record | None:
    """How near the network comes to what the machine can do."""
    if not results.get("peak"):
        return None
    shares: Record = {}
    for precision in ("bf16", "f32"):
        if precision in results["network"]:
            seconds = results["network"][precision]["cpu_ms"] / 1000
            reached = results["network"]["gflop"] / seconds
            possible = results["peak"][precision]["gflops_per_cpu_second"]
            shares[precision] = {
                "reached_gflops_per_cpu_second": round(reached, 1),
                "share": round(reached / possible, 3),
            }
    return shares


def show(results: Record) -> None:
    """Print everything."""
    print(json.dumps(results["machine"]))
    print(f"{'input':28}{'slices':>7}{'wall s':>8}{'CPU s':>8}{'CPU ms/slice':>14}{'peak MB':>9}{'load':>6}")
    for row in results["whole"]:
        each = 1000 * row["cpu_s"] / row["slices"]
        print(
            f"{row['input']:28}{row['slices']:7}{row['wall_s']:8.1f}{row['cpu_s']:8.1f}{each:14.1f}"
            f"{row['peak_mb']:9.0f}{row['load']:6.1f}"
        )
    for name, value in results.items():
        if name not in {"machine", "whole"}:
            print(f"{name}: {json.dumps(value)}")


if __name__ == "__main__":
    main()
