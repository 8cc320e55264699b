"""Networks as presets describe them."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from groundglass.training.nets import build_network  # noqa: E402
from groundglass.training.presets.model import (  # noqa: E402
    BCDUNetwork,
    LiteNetwork,
    MobileNetV2Network,
    Network,
    UNetNetwork,
)

SMALL: list[Network] = [
    UNetNetwork(features=(4, 8, 8, 16, 16)),
    BCDUNetwork(filters=4, dense_blocks=1),
    MobileNetV2Network(decoder=(16, 8, 8, 8), pretrained=None),
    LiteNetwork(decoder=(16, 8, 8, 8), pretrained=False),
]


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.kind)
@pytest.mark.parametrize("prior", [0.02, 0.3])
def test_a_network_begins_with_its_prior(config: Network, prior: float) -> None:
    network = build_network(config.model_copy(update={"prior": prior}), 2)
    assert torch.allclose(network.get_parameter("head.bias"), torch.tensor(math.log(prior / (1 - prior))))
    with torch.no_grad():  # without what the picture adds, every pixel has this chance
        network.get_parameter("head.weight").zero_()
        found = network(255 * torch.rand(2, 1, 64, 32)).sigmoid()
    assert found.shape == (2, 2, 64, 32)
    torch.testing.assert_close(found, torch.full_like(found, prior))


def test_the_flagship_is_undecided_as_it_was_measured() -> None:
    bias = build_network(LiteNetwork(pretrained=False), 3).get_parameter("head.bias")
    assert bias.abs().max() < 0.1
