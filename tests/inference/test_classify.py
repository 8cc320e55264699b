from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.image.lung_view import classifier_view
from groundglass.inference.classify import SliceClassifier, SliceInput, calibrated, conclude
from groundglass.inference.classify_scan import (
    MOST_SLICES,
    classify_pictures,
    classify_volume,
    deciding,
    slices_to_classify,
)
from groundglass.inference.scan import Channels
from groundglass.io.convert import from_array
from groundglass.models.catalog import ClassifierTerms, ModelCard, load_card
from groundglass.volume import PictureSet, Slice2D

torch = pytest.importorskip("torch")
from tests.support.classifier import SIZE, chest_slice, exported, untrained  # noqa: E402

CLASSES = ("COVID", "OtherPneumonia", "Normal")
TERMS = ClassifierTerms(
    temperature=1.0, least_probability=0.6, largest_distance=2.0, least_lung_share=0.03, largest_lung_doubt=0.45
)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return exported(tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def classifier(card: ModelCard) -> SliceClassifier:
    return SliceClassifier(card, threads=1)


def test_card_reads_back_with_its_terms(card: ModelCard) -> None:
    assert load_card("classifier", card.folder) == card


def test_same_logits_as_torch(classifier: SliceClassifier) -> None:
    one = chest_slice()
    view, _ = classifier_view(one.image, one.lung, one.infection, size=SIZE)
    both = torch.from_numpy(np.stack([view, view[:, :, ::-1]])).float()
    with torch.no_grad():
        expected = untrained()(both).mean(0).numpy()
    answer = next(iter(classifier.answers([one])))
    np.testing.assert_allclose(answer.logits, expected, atol=2e-2)


def test_activation_maps_add_up_to_the_logits(classifier: SliceClassifier) -> None:
    answer = next(iter(classifier.answers([chest_slice()])))
    bias = untrained().head.bias.detach().numpy()
    np.testing.assert_allclose(answer.activation.mean(axis=(1, 2)) + bias, answer.logits, atol=5e-3)


def test_answers_come_in_order_and_for_any_size(classifier: SliceClassifier) -> None:
    slices = [chest_slice(size) for size in (64, 200, 97)]
    together = list(classifier.answers(slices))
    for one, answer in zip(slices, together, strict=True):
        alone = next(iter(classifier.answers([one])))
        np.testing.assert_allclose(answer.logits, alone.logits, atol=1e-5)
        assert answer.box.bottom <= one.lung.shape[0]


def test_no_lungs_and_strange_pictures_abstain_and_say_why(card: ModelCard) -> None:
    terms = replace(TERMS, least_probability=0.0, largest_distance=1e-3)
    judge = SliceClassifier(replace(card, classifier=terms), threads=1)
    blank = SliceInput(*(np.zeros((80, 80), np.uint8) for _ in range(3)))
    empty, strange = (judge.classification(answer) for answer in judge.answers([blank, chest_slice()]))
    assert empty.abstained
    assert empty.label is None
    assert "Lung fills 0.0 % of the picture" in empty.reasons[0]
    assert empty.meaningless
    # No slice lies this close to the mean.
    assert strange.abstained
    assert "unlike those that the classifier learned from" in strange.reasons[0]


def test_a_picture_that_is_half_a_lung_all_over_abstains(card: ModelCard) -> None:
    judge = SliceClassifier(replace(card, classifier=replace(TERMS, largest_distance=1e9)), threads=1)
    sharp = chest_slice()
    fuzzy = SliceInput(sharp.image, np.where(sharp.lung >= 128, 150, 0).astype(np.uint8), sharp.infection)
    told, doubted = (judge.classification(answer) for answer in judge.answers([sharp, fuzzy]))
    assert not told.meaningless
    assert doubted.abstained
    assert doubted.meaningless
    assert doubted.reasons[0].startswith("Of what may be lung, 100 % is uncertain, more than 45 %")


def test_unsure_answers_abstain_and_name_both_classes() -> None:
    said = conclude(np.array([0.5, 0.1, 0.4]), CLASSES, TERMS)
    assert said.abstained
    assert said.label is None
    assert said.reasons == [
        "Unsure between COVID-19 pneumonia (50.0 %) and a normal lung (40.0 %): below 60.0 % no class is named."
    ]
    bold = replace(TERMS, least_probability=0.4)
    leading = conclude(np.array([0.45, 0.3, 0.25]), CLASSES, bold)
    assert leading.label is None
    assert leading.reasons == [
        "Unsure: COVID-19 pneumonia is the likeliest class (45.0 %), but not likelier than the others together."
    ]
    assert conclude(np.array([0.3, 0.25, 0.45]), CLASSES, bold).label == "Normal"
    assert conclude(np.array([0.5, 0.3, 0.2]), CLASSES, bold).label == "COVID"
    sure = conclude(np.array([0.1, 0.2, 0.7]), CLASSES, TERMS)
    assert (sure.label, sure.abstained, sure.reasons) == ("Normal", False, [])


@settings(deadline=None)
@given(
    st.lists(st.floats(-30, 30), min_size=3, max_size=3),
    st.floats(0.25, 8.0),
)
def test_calibration_keeps_the_order_and_adds_up_to_one(logits: list[float], temperature: float) -> None:
    shares = calibrated(np.array(logits), temperature)
    assert shares.sum() == pytest.approx(1.0)
    assert (np.diff(shares[np.argsort(logits)]) >= 0).all()
    hotter = calibrated(np.array(logits), temperature * 2)
    assert hotter.max() <= shares.max() + 1e-12


def test_slices_are_spread_over_those_with_enough_lung() -> None:
    areas = np.concatenate([np.zeros(20), np.linspace(0, 1000, 60), np.linspace(1000, 0, 60)]).astype(int)
    chosen = slices_to_classify(areas)
    assert len(chosen) == MOST_SLICES == len(set(chosen))
    assert chosen == sorted(chosen)
    assert areas[chosen].min() >= 250
    assert max(np.diff(chosen)) - min(np.diff(chosen)) <= 1
    assert slices_to_classify(np.zeros(9, int)) == []
    assert slices_to_classify(np.array([0, 5, 0])) == [1]


def test_the_third_least_likely_to_be_normal_decides() -> None:
    normal = np.array([0.9, 0.1, 0.8, 0.3, 0.7, 0.95])
    shares = np.stack([1 - normal, np.zeros(6), normal], axis=1)
    assert deciding(shares, CLASSES) == [1, 3]
    assert deciding(shares[:1], CLASSES) == [0]


def test_a_scan_is_judged_by_its_deciding_slices(classifier: SliceClassifier) -> None:
    one = chest_slice(96)
    hu = np.full((96, 96, 12), -1000.0, np.float32)
    maps = [np.zeros((96, 96, 12), np.uint8, order="F") for _ in range(2)]
    for z in range(2, 11):
        hu[:, :, z] = (one.image.astype(np.float32) / 255 * 1500 - 1250)[::-1, ::-1].T
        maps[0][:, :, z], maps[1][:, :, z] = (plane[::-1, ::-1].T for plane in (one.lung, one.infection))
    volume = from_array(hu, spacing=(1.0, 1.0, 2.0), affine=None)
    judged = classify_volume(volume, Channels(maps[0], maps[1], maps[1]), classifier)
    assert judged is not None
    said = judged.classification
    assert sum(said.probabilities.values()) == pytest.approx(1.0, abs=1e-3)
    assert len(said.slices) == 3  # a third of the nine slices with lung
    assert all(2 <= 12 - driver.slice <= 10 for driver in said.slices)
    # The slices are alike, so the scan says what one of them says.
    alone = classifier.probabilities(next(iter(classifier.answers([one]))))
    np.testing.assert_allclose(list(said.probabilities.values()), alone, atol=2e-2)
    assert judged.attention[0].heat.shape == (96, 96)
    # Kept with the result, which must not keep the probabilities of the whole scan.
    assert not any(np.shares_memory(view.lung, maps[0]) for view in judged.attention)
    empty = Channels(np.zeros_like(maps[0]), maps[1], maps[1])
    assert classify_volume(volume, empty, classifier) is None


def test_every_picture_gets_its_own_answer(classifier: SliceClassifier) -> None:
    slices = [chest_slice(96), chest_slice(128, infected=0)]
    pictures = PictureSet("set", tuple(Slice2D(one.image, f"{i}.png") for i, one in enumerate(slices)))  # type: ignore[arg-type]
    channels = [Channels(one.lung, one.infection, one.infection) for one in slices]
    judged = classify_pictures(pictures, channels, classifier)
    assert len(judged.pictures) == 2
    each = [classifier.classification(answer) for answer in classifier.answers(slices)]
    assert [one.label for one in judged.pictures] == [one.label for one in each]
    assert judged.classification.slices[0].slice in {1, 2}
