"""Transposed convolutions with fast gradients: the same numbers as PyTorch's own."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from groundglass.training.nets import build_network  # noqa: E402
from groundglass.training.nets.doubling import DoublingConv2d  # noqa: E402
from groundglass.training.nets.quick import quicken  # noqa: E402
from groundglass.training.presets.model import BCDUNetwork, Network, UNetNetwork  # noqa: E402
from tests.training.gradients import assert_the_same  # noqa: E402


@settings(max_examples=40, deadline=None)
@given(
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    sides=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_results_and_gradients_are_those_of_pytorch(
    channels: tuple[int, int], sides: tuple[int, int], bias: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    plain = nn.Sequential(nn.ConvTranspose2d(*channels, 2, 2, bias=bias))
    quick = copy.deepcopy(plain)
    quicken(quick)
    assert isinstance(quick[0], DoublingConv2d)
    assert_the_same(plain, quick, torch.randn(2, channels[0], *sides))


@pytest.mark.parametrize(
    "conv",
    [
        nn.ConvTranspose2d(4, 4, 3, 2),
        nn.ConvTranspose2d(4, 4, 2, 1),
        nn.ConvTranspose2d(4, 4, 2, 2, padding=1),
        nn.ConvTranspose2d(4, 4, 2, 2, output_padding=1),
        nn.ConvTranspose2d(4, 4, 2, 2, groups=2),
        nn.ConvTranspose2d(4, 4, 2, 2, dilation=2),
        nn.ConvTranspose2d(4, 4, (2, 3), 2),
    ],
)
def test_other_convolutions_stay(conv: nn.ConvTranspose2d) -> None:
    network = nn.Sequential(conv)
    quicken(network)
    assert network[0] is conv


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (UNetNetwork(kind="unet", features=(4, 8, 8, 16, 16)), 4),
        (BCDUNetwork(kind="bcdunet", filters=4, dense_blocks=1), 3),
    ],
)
def test_a_network_keeps_names_and_results(config: Network, count: int) -> None:
    torch.manual_seed(0)
    plain = build_network(config, 1)
    quick = copy.deepcopy(plain)
    quicken(quick)
    assert sum(isinstance(module, DoublingConv2d) for module in quick.modules()) == count
    assert list(quick.state_dict()) == list(plain.state_dict())
    images = 255 * torch.rand(2, 1, 32, 64)
    with torch.no_grad():
        assert torch.equal(quick.eval()(images), plain.eval()(images))
        for module in (*plain.train().modules(), *quick.train().modules()):
            if isinstance(module, nn.Dropout):  # would differ from call to call
                module.eval()
        torch.testing.assert_close(quick(images), plain(images), atol=1e-4, rtol=1e-4)


def test_bf16_stays_bf16_all_the_way_up() -> None:
    network = build_network(UNetNetwork(kind="unet", features=(4, 8, 8, 16, 16)), 1).train()
    quicken(network)
    seen: list[object] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.rand(2, 1, 32, 32))
    assert seen[1:] == [torch.bfloat16] * (len(seen) - 1), "a layer in float32 costs a third of the time of training"
