from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from groundglass.image.lung_view import Box, classifier_view
from groundglass.inference.cam import Method, attention, attention_in_lungs, heat, on_slice
from groundglass.inference.classify import SliceAnswer, SliceClassifier
from groundglass.report.attention import attention_pictures, overlay, panels

pytest.importorskip("torch")
import torch
from torch import Tensor, nn

from groundglass.inference.classify import SliceInput
from groundglass.training.classification.export import Familiar, export_classifier
from groundglass.training.classification.gradcam import grad_cam
from groundglass.training.classification.nets.lesion import LesionClassifier
from tests.support.classifier import SIZE, chest_slice, draft, exported, untrained

CLASSES = ("COVID", "OtherPneumonia", "Normal")


def answer_with(activation: np.ndarray, box: Box | None = None) -> SliceAnswer:
    return SliceAnswer(np.zeros(3, np.float32), 0.0, activation.astype(np.float32), box or Box(0, 4, 0, 4), 0.5, 0.0)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_map_of_the_onnx_file_equals_grad_cam_in_torch(tmp_path: Path, index: int) -> None:
    network, one = untrained(), chest_slice()
    classifier = SliceClassifier(exported(tmp_path, network), threads=1)
    answer = next(iter(classifier.answers([one])))
    view, _ = classifier_view(one.image, one.lung, one.infection, size=SIZE)
    # The network's own map is the mean of the slice and its mirror image; so is this one.
    sides = []
    for shown in (view, view[:, :, ::-1].copy()):
        inputs = torch.from_numpy(shown)[None].float()
        with torch.no_grad():
            features = network.feature_map(inputs)[0]
        weights = network.head.weight[index].detach()
        sides.append(torch.einsum("k,kyx->yx", weights, features).numpy())
        exact = np.maximum(sides[-1], 0)
        by_gradient = grad_cam(network, network.encoder.blocks[-1], inputs, index)
        np.testing.assert_allclose(by_gradient, exact / max(exact.max(), 1e-9), atol=1e-4)
    expected = np.maximum((sides[0] + sides[1][:, ::-1]) / 2, 0)
    np.testing.assert_allclose(heat(answer, index), expected / max(expected.max(), 1e-9), atol=2e-2)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_map_of_the_lesion_classifier_equals_grad_cam_on_what_it_averages(tmp_path: Path, index: int) -> None:
    class Lesions(nn.Module):
        def __init__(self, network: LesionClassifier) -> None:
            super().__init__()
            self.network = network

        def forward(self, views: Tensor) -> Tensor:
            return self.network.feature_map(views)

    class Whole(nn.Module):
        def __init__(self, network: LesionClassifier) -> None:
            super().__init__()
            self.network, self.lesions = network, Lesions(network)

        def forward(self, views: Tensor) -> Tensor:
            return self.network.answer(self.lesions(views).mean(dim=(2, 3)))

    torch.manual_seed(5)
    network, one = LesionClassifier().eval(), chest_slice()
    familiar = Familiar.fit(np.random.default_rng(0).standard_normal((200, 112), dtype=np.float32))
    classifier = SliceClassifier(export_classifier(network, familiar, draft(), tmp_path), threads=1)
    # Of the same slice twice, mirrored within itself: the mean of slice and mirror image is the map of either.
    even = SliceInput(
        *(np.where(np.arange(160)[None] < 80, x, x[:, ::-1]) for x in (one.image, one.lung, one.infection))
    )
    answer = next(iter(classifier.answers([even])))
    view, _ = classifier_view(even.image, even.lung, even.infection, size=SIZE)
    whole = Whole(network)
    by_gradient = [
        grad_cam(whole, whole.lesions, torch.from_numpy(shown)[None].float(), index)
        for shown in (view, view[:, :, ::-1].copy())
    ]
    assert by_gradient[0].any() or not heat(answer, index).any()
    expected = by_gradient[0] + by_gradient[1][:, ::-1]
    np.testing.assert_allclose(heat(answer, index), expected / max(expected.max(), 1e-9), atol=5e-2)


def test_grad_cam_finds_the_bright_square_of_a_network_that_counts_brightness() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 2, 1, bias=False)
            self.layer.weight.data = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)

        def forward(self, inputs: Tensor) -> Tensor:
            return torch.as_tensor(torch.relu(self.layer(inputs)).mean(dim=(2, 3)))

    picture = torch.zeros(1, 1, 8, 8)
    picture[0, 0, 2:4, 5:7] = 1.0
    network = Counter().eval()
    for method in get_args(Method):
        found = grad_cam(network, network.layer, picture, 0, method=method)
        np.testing.assert_allclose(found, picture[0, 0].numpy(), atol=1e-6)
        assert not grad_cam(network, network.layer, picture, 1, method=method).any()


def test_heat_is_the_positive_part() -> None:
    activation = np.zeros((3, 2, 2))
    activation[0] = [[4.0, -2.0], [1.0, 0.0]]
    activation[1] = -1.0
    np.testing.assert_allclose(heat(answer_with(activation), 0), [[1.0, 0.0], [0.25, 0.0]])
    assert not heat(answer_with(activation), 1).any()


def test_heat_lies_where_the_box_is_and_counts_inside_the_lungs() -> None:
    whole = on_slice(np.ones((3, 3), np.float32), Box(10, 30, 20, 60), 50, 80)
    assert whole[10:30, 20:60].min() == pytest.approx(1.0)
    assert whole.sum() == pytest.approx(20 * 40)
    lung = np.zeros((50, 80), np.uint8)
    lung[10:30, 20:30] = 255
    assert attention_in_lungs(whole, lung) == pytest.approx(0.25)
    assert attention_in_lungs(np.zeros_like(whole), lung) is None


def test_pictures_show_slice_heat_and_overlay() -> None:
    activation = np.zeros((3, 4, 4))
    activation[0, 1, 1] = 3.0
    one = chest_slice(64)
    seen = attention("Slice 3 of 9", one, answer_with(activation, Box(0, 64, 0, 64)), CLASSES, "COVID")
    assert seen.heat.argmax() // 64 in range(16, 32)
    picture = panels(seen)
    assert picture.shape == (384, 3 * 384 + 16, 3)
    cold = overlay(seen.grey, np.zeros_like(seen.heat))
    np.testing.assert_array_equal(cold, np.repeat(seen.grey[:, :, None], 3, axis=2))
    (drawn,) = attention_pictures([seen])
    assert drawn.source.startswith("data:image/jpeg;base64,")
    assert drawn.title == "Slice 3 of 9"
    assert drawn.percent is not None
    assert 0 <= drawn.percent <= 100
