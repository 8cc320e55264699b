"""Depthwise convolutions with fast gradients: the same numbers as PyTorch's own."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from groundglass.training.nets.depthwise import SLOW, DepthwiseConv2d  # noqa: E402
from groundglass.training.nets.quick import quicken  # noqa: E402
from groundglass.training.nets.unet import LiteEncoder  # noqa: E402
from tests.training.gradients import assert_the_same, gradients  # noqa: E402


@settings(max_examples=60, deadline=None)
@given(
    kernel_and_stride=st.sampled_from(sorted(SLOW)),
    padding=st.sampled_from(["valid", "same", 0, 1, 2]),
    rows=st.integers(7, 15),
    columns=st.integers(7, 15),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_gradients_are_those_of_pytorch(
    kernel_and_stride: tuple[int, int],
    padding: str | int,
    rows: int,
    columns: int,
    bias: bool,
    seed: int,
) -> None:
    kernel, stride = kernel_and_stride
    if padding == "same" and stride > 1:
        padding = 1
    torch.manual_seed(seed)
    plain = nn.Sequential(nn.Conv2d(4, 4, kernel, stride, padding, groups=4, bias=bias))
    quick = copy.deepcopy(plain)
    quicken(quick)
    assert isinstance(quick[0], DepthwiseConv2d)
    assert_the_same(plain, quick, torch.randn(2, 4, rows, columns))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 8, 5, groups=4),
        nn.Conv2d(4, 4, 5, groups=2),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 4, 5, groups=4, dilation=2),
        nn.Conv2d(4, 4, (5, 3), groups=4),
        nn.Conv2d(4, 4, 5, groups=4, padding=(1, 2)),
        nn.Conv2d(4, 4, 5, groups=4, padding=2, padding_mode="reflect"),
        nn.Conv2d(1, 1, 5),
        nn.Conv2d(4, 4, 7, stride=2, groups=4),
    ],
)
def test_other_convolutions_stay(conv: nn.Conv2d) -> None:
    network = nn.Sequential(conv)
    quicken(network)
    assert network[0] is conv


def test_an_encoder_keeps_names_results_and_gradients() -> None:
    torch.manual_seed(0)
    plain = LiteEncoder(pretrained=False)
    quick = copy.deepcopy(plain)
    quicken(quick)
    assert sum(isinstance(module, DepthwiseConv2d) for module in quick.modules()) == 11
    assert list(quick.state_dict()) == list(plain.state_dict())
    images = torch.randn(2, 1, 64, 96)
    with torch.no_grad():
        for mine, own in zip(quick.eval()(images), plain.eval()(images), strict=True):
            assert torch.equal(mine, own)
    losses = []
    for network in (plain.train(), quick.train()):
        network.zero_grad()
        loss = sum(level.square().mean() for level in network(images))
        loss.backward()
        losses.append({name: one.grad for name, one in network.named_parameters() if one.grad is not None})
    scale = max(float(one.norm()) for one in losses[0].values())
    for name, one in losses[0].items():
        assert float((one - losses[1][name]).norm()) < 1e-4 * float(one.norm()) + 1e-6 * scale, name


def test_bf16_comes_as_near_to_the_truth_as_pytorch() -> None:
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Conv2d(16, 16, 5, 2, groups=16, bias=False))
    quick = copy.deepcopy(plain)
    quicken(quick)
    images = torch.randn(4, 16, 23, 21)
    _, truth = gradients(plain, images)
    with torch.autocast("cpu", torch.bfloat16):
        found, quicker = gradients(quick, images)
        _, rounded = gradients(plain, images)
    assert found.dtype == torch.bfloat16
    for name, one in truth.items():
        assert quicker[name].dtype == torch.float32
        assert (quicker[name] - one).norm() < 1.5 * (rounded[name] - one).norm() + 1e-3 * one.norm()
