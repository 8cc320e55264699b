"""Speed of training: the gradients of some convolutions, and whole training steps, against PyTorch's own.

    python benchmarks/training.py [--threads N] [--json FILE]

- gradient: each depthwise convolution of an EfficientNet-lite0 at 256x256 that `quicken` replaces.
- up: forward and gradients of the widest transposed convolution of the U-Net presets.
- step: forward, backward and AdamW of whole networks, with and without.

CPU milliseconds of one thread by default (they hardly depend on what else runs), bf16 where the processor has it.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from groundglass.training.arithmetic import bf16_is_fast
from groundglass.training.classification.nets.build import build
from groundglass.training.nets import build_network
from groundglass.training.nets.depthwise import DepthwiseConv2d
from groundglass.training.nets.quick import quicken
from groundglass.training.nets.unet import LiteUNet, UNetConfig
from groundglass.training.presets import load_preset

BATCH = 8
SEGMENTATION = {"infection-unet": 224, "lungs-bcdunet": 96, "lungs-infection-mobilenetv2": 224}
Row = dict[str, str | float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    unet = LiteUNet(UNetConfig(pretrained=False))
    rows = [
        *gradients(unet, 256),
        step("lungs-infection, 256", unet, 256),
        up(64, 112),
        *(step(f"{name}, {size}", preset_network(name), size) for name, size in SEGMENTATION.items()),
        step("threeclass-lite, 224", build("efficientnet-lite0", 3), 224),
        step("threeclass-efficientnet-b0, 224", build("efficientnet-b0", 3), 224),
    ]
    for row in rows:
        print(f"{row['what']:42s} {row['own']:8.1f} ms  {row['quick']:8.1f} ms  {row['ratio']:5.2f} times as fast")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2))


def gradients(network: nn.Module, size: int) -> list[Row]:
    """One row for each replaced convolution of another shape."""
    network, shapes = copy.deepcopy(network).train(), {}
    quicken(network)

    def keep(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(conv, DepthwiseConv2d)
        shapes[(*conv.weight.shape[::3], conv.stride[0], *inputs[0].shape[2:])] = (conv, inputs[0].detach())

    for module in network.modules():
        if isinstance(module, DepthwiseConv2d):
            module.register_forward_pre_hook(keep)
    network(pictures(size))
    rows = []
    for (channels, kernel, stride, side, _), (conv, images) in shapes.items():
        plain = nn.Sequential(conv.border, nn.Conv2d(channels, channels, kernel, stride, groups=channels, bias=False))
        times = [backward(one, images) for one in (plain, conv)]
        rows.append(row(f"{kernel}x{kernel}, stride {stride}, {channels} channels, {side}x{side}", *times))
    return rows


def backward(network: nn.Module, images: Tensor) -> float:
    """CPU milliseconds of the gradients of images and weights."""
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    with arithmetic():
        found = network(images)
    wanted = [images, *network.parameters()]
    return cpu_ms(lambda: torch.autograd.grad(found, wanted, torch.ones_like(found), retain_graph=True))


def up(channels: int, side: int) -> Row:
    """A transposed convolution of 2 x 2, forward and backward."""
    plain = nn.Sequential(nn.ConvTranspose2d(channels, channels, 2, 2)).train()
    quick = copy.deepcopy(plain)
    quicken(quick)
    images = torch.rand(BATCH, channels, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()

    def learn(network: nn.Module) -> None:
        with arithmetic():
            found = network(images)
        torch.autograd.grad(found, [images, *network.parameters()], torch.ones_like(found))

    times = [cpu_ms(partial(learn, network)) for network in (plain, quick)]
    return row(f"2x2 up, {channels} channels, {side}x{side}", *times)


def preset_network(name: str) -> nn.Module:
    """The network of a segmentation preset."""
    preset = load_preset(name)
    return build_network(preset.network, len(preset.channels))


def step(name: str, network: nn.Module, size: int) -> Row:
    """A whole training step with PyTorch's own gradients and with ours."""
    times = []
    for quick in (False, True):
        own = copy.deepcopy(network).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if quick:
            quicken(own)
        optimiser, images = torch.optim.AdamW(own.parameters()), pictures(size)

        def update(own: nn.Module = own, optimiser: torch.optim.Optimizer = optimiser, images: Tensor = images) -> None:
            with arithmetic():
                found = own(images)
            optimiser.zero_grad()
            found.float().square().mean().backward()
            optimiser.step()

        times.append(cpu_ms(update))
    return row(f"step of {BATCH}: {name}", *times)


def row(what: str, own: float, quick: float) -> Row:
    """Times and how they compare."""
    return {"what": what, "own": round(own, 1), "quick": round(quick, 1), "ratio": round(own / quick, 2)}


def pictures(size: int) -> Tensor:
    """Grey pictures (n, 1, size, size)."""
    images = torch.randint(0, 256, (BATCH, 1, size, size)).float()
    return images.contiguous(memory_format=torch.channels_last)


def arithmetic() -> torch.autocast:
    """As training computes here."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bf16_is_fast())


def cpu_ms(work: Callable[[], object], times: int = 3) -> float:
    """The best of some calls, after one that does not count."""
    work()
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return 1000 * min(found)


if __name__ == "__main__":
    main()
