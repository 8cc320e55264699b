"""Parts of the speed benchmark, each in a process of its own; prints one JSON object.

python benchmarks/parts.py NAME [ARGUMENT ...]
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 256
PEER_SLICES = 8


def make(folder: str, *counts: str) -> dict[str, Any]:
    """Write the synthetic scans; here, because a large parent counts in the peak memory of its children."""
    from scans import Chest, write_scan

    chest = Chest()
    for count in counts:
        volume = chest.slices(int(count))
        for kind in ("nifti", "dicom"):
            write_scan(volume, Path(folder), kind)
    return {"scans": 2 * len(counts)}


def least(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Least wall and CPU seconds of several calls, after one that does not count."""
    work()
    found = []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def per_slice(pair: tuple[float, float], slices: int) -> dict[str, float]:
    return {"wall_ms": round(1000 * pair[0] / slices, 2), "cpu_ms": round(1000 * pair[1] / slices, 2)}


def network() -> dict[str, Any]:
    """The shipped network alone, in each precision, and its floating-point operations."""
    from groundglass.inference.engine import Engine
    from groundglass.models.catalog import load_card

    pictures = list(np.random.default_rng(0).integers(0, 255, (32, SIDE, SIDE), dtype=np.uint8))
    answer: dict[str, Any] = {}
    weights, quantised = load_card().verify(), load_card().verify_quantised()
    best = [Engine(weights, quantised=one).precision for one in (quantised, None)]
    for precision in dict.fromkeys((*best, "f32")):
        chosen = Engine(weights, quantised=quantised, precision=precision)  # type: ignore[arg-type]
        answer[precision] = per_slice(least(lambda chosen=chosen: list(chosen.infer(pictures)), 3), 32)
    return answer | {"gflop": round(gflop(), 3)}


def gflop() -> float:
    """Multiplications and additions of the convolutions and matrix products for one slice, in 10^9."""
    from groundglass.inference.engine import import_openvino
    from groundglass.models.catalog import load_card

    model = import_openvino().Core().read_model(load_card().verify())
    model.reshape([1, 1, SIDE, SIDE])
    total = 0
    for op in model.get_ops():
        kind = op.get_type_name()
        if kind in {"Convolution", "GroupConvolution", "MatMul"}:
            made = int(np.prod(list(op.output(0).shape)))
            weights = list(op.input(1).get_source_output().get_shape())
            # A weight tensor is (out, in, h, w), or (groups, out, in, h, w).
            total += 2 * made * int(np.prod(weights[1:] if kind == "Convolution" else weights[2:]))
    return total / 1e9


def peak() -> dict[str, Any]:
    """What the machine can do: a large bf16 (and fp32) matrix product in PyTorch."""
    import torch

    answer = {}
    for name, kind in (("bf16", torch.bfloat16), ("f32", torch.float32)):
        first, second = (torch.randn(4096, 4096).to(kind) for _ in range(2))
        wall, cpu = least(lambda first=first, second=second: first @ second, 4)
        work = 2 * 4096**3 / 1e9
        answer[name] = {"gflops": round(work / wall, 1), "gflops_per_cpu_second": round(work / cpu, 1)}
    return answer


def torch_network() -> dict[str, Any]:
    """Our own network in plain PyTorch, random weights."""
    import torch

    from groundglass.training.nets.unet import LiteUNet, UNetConfig

    net = LiteUNet(UNetConfig(pretrained=False)).eval()
    batch = torch.randn(8, 1, SIDE, SIDE)
    answer = {}
    for name, enabled in (("f32", False), ("bf16", True)):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            answer[name] = per_slice(least(lambda: net(batch), 3), 8)
    return answer


def lungs(path: str) -> dict[str, Any]:
    """Lungs alone on a scan in memory: network and everything after it."""
    import groundglass as gg
    from groundglass.inference.lungs import segment_lungs
    from groundglass.inference.scan import Networks, scan_probabilities

    volume, networks = gg.read(path), Networks.load()
    assert isinstance(volume, gg.CTVolume)

    def work() -> None:
        found = scan_probabilities(volume, networks.segmenter, progress=lambda done, total: None)
        segment_lungs(found.lung, volume, threshold=networks.lung_threshold)

    return per_slice(least(work, 2), volume.geometry.shape[2])


def lungmask(path: str) -> dict[str, Any]:
    """The peer `lungmask` (U-Net R231), random weights of the same shape, without its post-processing."""
    import nibabel
    from lungmask import mask
    from lungmask.resunet import UNet

    def random_network(name: str, where: str | None = None) -> object:
        net = UNet(n_classes=3, padding=True, depth=5, up_mode="upsample", batch_norm=True, residual=False)
        return net.eval()

    mask.get_model = random_network
    scan = np.asarray(nibabel.load(path).dataobj).T  # (slice, row, column), as it wants them
    middle = len(scan) // 2
    chosen = np.ascontiguousarray(scan[middle : middle + PEER_SLICES])
    peer = mask.LMInferer(force_cpu=True, batch_size=PEER_SLICES, volume_postprocessing=False, tqdm_disable=True)
    return per_slice(least(lambda: peer.apply(chosen), 1), PEER_SLICES)


def warm(path: str) -> dict[str, Any]:
    """A whole analysis, files written, with networks that are loaded."""
    import groundglass as gg

    with gg.Analyzer() as analyzer, tempfile.TemporaryDirectory() as folder:
        wall, cpu = least(lambda: analyzer.analyze(path).save(folder), 2)
    return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2)}


def files(path: str) -> dict[str, Any]:
    """Reading one scan and writing its label map."""
    import groundglass as gg
    from groundglass.io.write import write_nifti
    from groundglass.volume import LUNG_NAMES, LabelMap

    volume = gg.read(path)
    assert isinstance(volume, gg.CTVolume)
    labels = np.asfortranarray((volume.values < -500).astype(np.uint8))
    lungs_map = LabelMap(labels, volume.geometry, LUNG_NAMES, volume.source)
    slices = volume.geometry.shape[2]
    with tempfile.TemporaryDirectory() as folder:
        written = least(lambda: write_nifti(lungs_map, Path(folder) / "l.nii.gz"), 2)
    return {"read": per_slice(least(lambda: gg.read(path), 2), slices), "write": per_slice(written, slices)}


def batch(folder: str, workers: str) -> dict[str, Any]:
    """Scans per hour of a batch, networks loaded before the clock starts."""
    from groundglass.batch.run import BatchOptions, run_batch

    class Watch:
        """Notes when the first case begins."""

        first = 0.0

        def begin(self, total: int, ended: int) -> None:
            pass

        def stage(self, worker: int, case: str, stage: str) -> None:
            if case and not self.first:
                self.first = time.perf_counter()

        def end(self, case: str, outcome: object) -> None:
            self.last = time.perf_counter()

    watch = Watch()
    with tempfile.TemporaryDirectory() as out:
        summary = run_batch([folder], Path(out), BatchOptions(workers=int(workers)), watch)
    done = summary.counts["done"]
    return {
        "scans": done,
        "seconds": round(watch.last - watch.first, 2),
        "per_hour": round(3600 * done / (watch.last - watch.first)),
    }


if __name__ == "__main__":
    with contextlib.redirect_stdout(sys.stderr):
        outcome = globals()[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(outcome))
