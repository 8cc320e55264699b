from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from groundglass.errors import OptionError
from groundglass.inference.classify import SliceClassifier, SliceInput
from groundglass.models.catalog import SEGMENTATION, load_card
from groundglass.training.classification.export import export_classifier
from groundglass.training.classification.judging import Judge, outputs, shown, views_of
from groundglass.training.classification.nets.lesion import LesionClassifier
from groundglass.training.classification.nets.lite import LiteClassifier, Maps
from groundglass.training.classification.nets.start import encoder_from_onnx, start_encoder
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.shipped import (
    ShippedConfig,
    ShippedTraining,
    add_options,
    config_of,
    load_network,
)
from groundglass.training.classification.shipped_data import Prepared
from groundglass.training.nets.unet import LiteEncoder, LiteUNet, UNetConfig
from tests.support.classifier import chest_slice, draft, untrained
from tests.training.classification.test_shipped import prepared


def pictures(size: int = 64) -> np.ndarray:
    return views_of(prepared(), size)[:, 0]


@torch.no_grad()
def deepest(encoder: LiteEncoder, grey: np.ndarray) -> torch.Tensor:
    encoder.eval()
    return torch.as_tensor(encoder((torch.from_numpy(grey)[:, None].float() - 127.5) / 64.0)[-1])


def test_the_encoder_of_the_shipped_network_starts_as_it_is_and_can_learn() -> None:
    """Folded normalisations come back: the same features with the statistics kept and with those of the batch."""
    encoder, grey = LiteEncoder(pretrained=False), pictures()
    encoder_from_onnx(encoder, load_card(SEGMENTATION).weights, grey)
    kept = deepest(encoder, grey)
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    encoder.train()
    with torch.no_grad():
        learning = encoder((torch.from_numpy(grey)[:, None].float() - 127.5) / 64.0)[-1]
    assert kept.std() > 0.01
    assert torch.corrcoef(torch.stack([kept.flatten(), learning.flatten()]))[0, 1] > 0.999


def test_a_start_from_onnx_gives_the_features_of_the_exported_network(tmp_path: Path) -> None:
    from groundglass.training.export import to_onnx

    torch.manual_seed(0)
    network = LiteUNet(UNetConfig(pretrained=False)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.as_tensor(module.running_mean).uniform_(-0.2, 0.2)
            torch.as_tensor(module.running_var).uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.7, 1.4)
    path = tmp_path / "network.onnx"
    path.write_bytes(to_onnx(network, 64).SerializeToString())
    expected = deepest(network.encoder, pictures())
    started = LiteEncoder(pretrained=False)
    encoder_from_onnx(started, path, pictures())
    torch.testing.assert_close(
        deepest(started, pictures()), expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())
    )


def test_a_checkpoint_of_the_segmentation_starts_the_encoder_alone(tmp_path: Path) -> None:
    donor, network = LiteUNet(UNetConfig(pretrained=False)), LiteClassifier(pretrained=False)
    head = network.head.weight.clone()
    torch.save({"averaged": donor.state_dict()}, tmp_path / "last.ckpt")
    start_encoder(network, str(tmp_path / "last.ckpt"), pictures())
    assert torch.equal(network.encoder.blocks[9]._project_conv.weight, donor.encoder.blocks[9]._project_conv.weight)
    assert torch.equal(network.head.weight, head)


def test_what_cannot_start_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"no network .*nothing\.onnx"):
        start_encoder(LiteClassifier(pretrained=False), str(tmp_path / "nothing.onnx"), pictures())
    with pytest.raises(OptionError, match="no checkpoint"):
        start_encoder(LiteClassifier(pretrained=False), str(tmp_path / "nothing.ckpt"), pictures())
    layer = torch.nn.Conv2d(1, 4, 3)
    torch.onnx.export(layer, (torch.zeros(1, 1, 8, 8),), str(tmp_path / "other.onnx"), dynamo=False)
    with pytest.raises(OptionError, match="not those of this LiteEncoder"):
        start_encoder(LiteClassifier(pretrained=False), str(tmp_path / "other.onnx"), pictures())


@pytest.mark.parametrize("maps", ["stride8", "input", "none"])
def test_the_maps_enter_where_they_are_told_to(maps: Maps, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    run = ShippedTraining(
        prepared(), ShippedConfig(network="lungs", steps=2, batch=4, size=64, validate_every=2, maps=maps)
    )
    run.fit(tmp_path)
    network, views = load_network(tmp_path)[0], torch.from_numpy(views_of(prepared(), 64)).float()
    assert network.enter == maps
    blind = views.clone()
    blind[:, 1:] = 0
    with torch.no_grad():
        assert torch.allclose(network(views), network(blind), atol=1e-6) == (maps == "none")


@pytest.mark.parametrize("kind", ["input", "none", "lesions"])
def test_networks_of_every_recipe_are_exported(kind: Literal["input", "none", "lesions"], tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = LesionClassifier() if kind == "lesions" else LiteClassifier(pretrained=False, maps=kind)
    judge = Judge.fit(network.eval(), prepared(), prepared(), size=96)
    card = export_classifier(judge.network, judge.familiar, replace(draft(), classifier=judge.terms), tmp_path)
    (answer,) = SliceClassifier(card, threads=1).answers([SliceInput(*prepared()[0].planes)])
    expected = outputs(judge.network, prepared()[:1], 96, "mirror")[0][0]
    np.testing.assert_allclose(answer.logits, expected, atol=5e-2)
    added_up = answer.activation.mean(axis=(1, 2))
    if isinstance(judge.network, LesionClassifier):
        covid, other, normal = added_up
        bias = float(judge.network.covid.bias.detach()), float(judge.network.kind.bias.detach())
        assert normal == pytest.approx(-other, abs=1e-3)
        against = answer.logits[1] - answer.logits[2]
        np.testing.assert_allclose([covid + bias[0], other + bias[1]], [answer.logits[0], against], atol=5e-2)
    else:
        np.testing.assert_allclose(added_up + judge.network.head.bias.detach().numpy(), answer.logits, atol=5e-2)


def test_the_judge_abstains_as_the_shipped_classifier_does(tmp_path: Path) -> None:
    slices = [
        *prepared(),
        Prepared(LabelledSlice("no lung", "x", None, "Normal", "", prepared()[0].slice.image), no_lung()),
    ]
    judge = Judge.fit(untrained(), prepared(), prepared(), size=96)
    judge.network.favour_covid(-2.0)  # an untrained network is sure of nothing; COVID would never be likelier than not
    card = export_classifier(judge.network, judge.familiar, replace(draft(), classifier=judge.terms), tmp_path)
    classifier = SliceClassifier(card, threads=1)
    inputs = [SliceInput(*one.planes) for one in slices]
    said = [classifier.classification(one) for one in classifier.answers(inputs)]
    probabilities, answered = judge.verdicts(slices)
    np.testing.assert_allclose(probabilities, [list(one.probabilities.values()) for one in said], atol=2e-2)
    assert said[-1].abstained
    assert not answered[-1]
    # Far from both limits the two agree on every slice.
    top = np.sort(probabilities[:-1].max(axis=1))
    gap = int(np.diff(top).argmax())
    limit = float(top[gap : gap + 2].mean())
    terms = replace(judge.terms, least_probability=limit, largest_distance=1e9)
    sure = replace(judge, terms=terms).verdicts(slices)[1]
    told = SliceClassifier(replace(card, classifier=terms), threads=1)
    assert [not one.abstained for one in map(told.classification, told.answers(inputs))] == sure.tolist()
    assert 0 < sure.sum() < len(slices) - 1


def no_lung() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    grey = chest_slice(64).image
    return np.asarray(grey, np.uint8), np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)


def test_views_are_the_whole_its_mirror_image_and_crops() -> None:
    batch = torch.arange(3 * 16 * 16, dtype=torch.float32).reshape(1, 3, 16, 16)
    assert len(shown(batch, "plain")) == 1
    plain, mirrored = shown(batch, "mirror")
    assert torch.equal(mirrored.flip(-1), plain)
    crops = shown(batch, "crops")
    assert len(crops) == 12
    assert all(one.shape == batch.shape for one in crops)
    # The corner of the first crop is that of the picture; that of the one to the right lies two columns on.
    assert crops[2][0, 0, 0, 0] == batch[0, 0, 0, 0]
    assert crops[4][0, 0, 0, 0] == batch[0, 0, 0, 2]
    plainly, cropped = (outputs(untrained(), prepared(), 64, one)[0] for one in ("plain", "crops"))
    assert not np.array_equal(plainly, cropped)


def test_every_part_of_the_recipe_is_an_option() -> None:
    parser = ArgumentParser()
    add_options(parser, without=("only",))
    assert config_of(parser.parse_args([])) == ShippedConfig()
    given = parser.parse_args(["--maps", "input", "--average-decay", "0", "--steps", "7", "--start", SEGMENTATION])
    assert config_of(given) == ShippedConfig(maps="input", average_decay=0.0, steps=7, start=SEGMENTATION)
    assert "greyed out" in parser.format_help()


def test_without_averaging_the_last_weights_are_kept() -> None:
    torch.set_num_threads(1)
    training = ShippedTraining(prepared(), ShippedConfig(network="lungs", steps=2, batch=4, size=64, average_decay=0.0))
    training.update()
    for kept, now in zip(training.averaged.parameters(), training.network.parameters(), strict=True):
        assert torch.equal(kept, now)


def test_a_run_without_the_validation_source_keeps_the_last_weights(tmp_path: Path) -> None:
    other = [
        Prepared(replace(one.slice, source="beta", split=""), one.planes)
        for one in prepared()
        if one.slice.split == "train"
    ]
    training = ShippedTraining(
        [*prepared(), *other],
        ShippedConfig(network="lungs", steps=2, batch=4, size=64, validate_every=1, leave_out="ucsd"),
    )
    assert training.val == []
    training.fit(tmp_path)
    kept, last = load_network(tmp_path)[0], training.averaged.state_dict()
    assert all(torch.equal(kept.state_dict()[name], value) for name, value in last.items())
