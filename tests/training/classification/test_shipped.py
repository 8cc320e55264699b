from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from groundglass.training.classification.judging import views_of
from groundglass.training.classification.lesion_fit import balanced_weights, fit_head
from groundglass.training.classification.nets.lesion import LesionClassifier
from groundglass.training.classification.nets.start import start_encoder
from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.shipped import (
    BEST,
    ShippedConfig,
    ShippedTraining,
    learned_slices,
    load_network,
    train_classifier,
)
from groundglass.training.classification.shipped_data import Prepared
from tests.support.classifier import chest_slice
from tests.training.classification.conftest import slice_picture


def prepared() -> list[Prepared]:
    made, rng = [], np.random.default_rng(0)
    for number in range(16):
        label, split = ("COVID", "NonCOVID")[number % 2], ("train", "val")[number // 12]
        shown = chest_slice(64)
        grey = slice_picture(rng, "COVID" if label == "COVID" else "Normal", 64)
        one = LabelledSlice(f"{number}", "ucsd", f"p{number}", label, split, grey)
        made.append(Prepared(one, (grey, shown.lung, shown.infection)))
    return made


def test_training_keeps_the_first_blocks_saves_and_goes_on(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = ShippedConfig(network="lungs", steps=4, batch=4, size=64, validate_every=2)
    training = ShippedTraining(prepared(), config)
    stem = training.network.encoder.stem[0].weight.clone()
    head = training.network.head.weight.clone()
    training.fit(tmp_path)
    assert torch.equal(training.network.encoder.stem[0].weight, stem)
    assert not torch.equal(training.network.head.weight, head)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4]
    assert load_network(tmp_path)[0].state_dict()["head.weight"].shape == (3, 320)
    # A finished run is not trained on.
    stamp = (tmp_path / BEST).stat().st_mtime_ns
    again = ShippedTraining(prepared(), config)
    again.fit(tmp_path)
    assert again.step == 4
    assert (tmp_path / BEST).stat().st_mtime_ns == stamp


def test_a_left_out_source_is_not_learned_from() -> None:
    known = prepared()
    other = [Prepared(LabelledSlice("x", "sars_cov_2_ct", None, "COVID", "", known[0].slice.image), known[0].planes)]
    training = ShippedTraining([*known, *other], ShippedConfig(network="lungs", size=64, leave_out="ucsd"))
    assert training.sampler.sources == ["sars_cov_2_ct"]


def test_the_head_of_the_lesion_classifier_learns_and_the_encoder_does_not(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    known = prepared()
    alone = [Prepared(LabelledSlice("x", "covid20", "p", "COVID", "", known[0].slice.image), known[0].planes)]
    config = ShippedConfig(size=64, start="lungs-infection")
    assert {one.slice.source for one in learned_slices([*known, *alone], config)} == {"ucsd"}
    train_classifier([*known, *alone], config, tmp_path)
    network, kept = load_network(tmp_path)
    assert kept == config
    assert isinstance(network, LesionClassifier)
    learned = learned_slices(known, config)
    covid = network(torch.from_numpy(views_of(learned, 64)).float()).softmax(dim=1)[:, 0]
    sick = torch.tensor([one.slice.label == "COVID" for one in learned])
    assert covid[sick].min() > covid[~sick].max()
    again = LesionClassifier()
    start_encoder(again, "lungs-infection", views_of(learned, 64)[:, 0])
    views = torch.from_numpy(views_of(learned, 64)).float()
    torch.testing.assert_close(again.eval().feature_map(views), network.feature_map(views), rtol=1e-2, atol=1e-2)
    # A finished run is not trained again.
    stamp = (tmp_path / BEST).stat().st_mtime_ns
    train_classifier(known, config, tmp_path)
    assert (tmp_path / BEST).stat().st_mtime_ns == stamp


def test_only_the_infection_is_looked_at_and_nothing_is_nothing() -> None:
    torch.manual_seed(0)
    network = LesionClassifier().eval()
    views = torch.randint(0, 256, (1, 3, 64, 64)).float()
    views[:, 2] = 0
    assert torch.equal(network(views), network.answer(torch.zeros(1, 112)))
    views[:, 2, 16:32, 32:48] = 255
    shown = network.feature_map(views)[0]
    assert shown[:, 1, 2].abs().sum() > 0
    shown[:, 1, 2] = 0
    assert shown.abs().sum() == 0


def test_the_fit_finds_what_separates_the_classes() -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(400, 112, generator=generator) * 0.1 + 2.0
    truth = (features[:, 5] > 2.0).long()
    allowed = torch.stack([truth == 1, truth == 0, truth == 0], dim=1).long()
    network = LesionClassifier()
    fit_head(network, features, allowed, torch.ones(400), ridge=1e-3)
    said = network.covid(features)[:, 0] > 0
    assert (said == truth.bool()).float().mean() > 0.97
    # Nobody told the two others apart, so they are even.
    even = network.answer(features)[:, 1:].detach()
    torch.testing.assert_close(even[:, 0], even[:, 1])
    weak = network.covid.weight.detach().norm()
    fit_head(network, features, allowed, torch.ones(400), ridge=1.0)
    assert network.covid.weight.norm() < 0.2 * weak


def test_the_two_questions_are_fitted_on_slices_that_answer_them() -> None:
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(900, 112, generator=generator)
    label = torch.randint(0, 3, (900,), generator=generator)
    features[:, 0] += 4.0 * (label == 0)
    features[:, 1] += 4.0 * (label == 1)
    allowed = torch.nn.functional.one_hot(label, 3)
    allowed[(label == 2) & (torch.arange(900) % 2 == 0)] = torch.tensor([0, 1, 1])
    # A label that says nothing about COVID must change nothing, wherever its slices lie.
    odd = torch.cat([features, 9.0 * torch.ones(50, 112)])
    open_ones = torch.cat([allowed, torch.tensor([[1, 1, 0]]).repeat(50, 1)])
    network, with_odd = LesionClassifier(), LesionClassifier()
    fit_head(network, features, allowed, torch.ones(900), ridge=1e-2)
    fit_head(with_odd, odd, open_ones, torch.ones(950), ridge=1e-2)
    torch.testing.assert_close(network.covid.weight, with_odd.covid.weight)
    probabilities = network.answer(features).softmax(dim=1)
    assert (probabilities.argmax(dim=1) == label).float().mean() > 0.9
    odds = network.covid(features)[:, 0].sigmoid()
    torch.testing.assert_close(probabilities[:, 0], odds)


def test_weights_are_shared_out_by_source_then_covid_then_label() -> None:
    image = np.zeros((4, 4), np.uint8)
    labels = [("a", "COVID")] * 3 + [("a", "Normal")] + [("a", "OtherPneumonia")] * 2 + [("b", "Normal")] * 2
    slices = [
        Prepared(LabelledSlice(str(n), source, None, label, "", image), (image, image, image))
        for n, (source, label) in enumerate(labels)
    ]
    weights = balanced_weights(slices, {"a": 3.0, "b": 1.0})
    assert float(weights.mean()) == pytest.approx(1.0)
    assert float(weights[:6].sum() / weights[6:].sum()) == pytest.approx(3.0)
    assert float(weights[:3].sum()) == pytest.approx(float(weights[3:6].sum()))
    assert float(weights[3]) == pytest.approx(float(weights[4:6].sum()))
