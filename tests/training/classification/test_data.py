from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.errors import DatasetError, LeakageError

pytest.importorskip("torch")
import torch

from groundglass.training.classification.calibration import fit_calibration, fit_least_probability, with_offset
from groundglass.training.classification.changes import changed_view
from groundglass.training.classification.examples import balance, make_examples, with_smote
from groundglass.training.classification.losses import open_label_loss
from groundglass.training.classification.presets import load_classifier
from groundglass.training.classification.readers import read_data, read_dataset
from groundglass.training.classification.records import LabelledSlice, label_of
from groundglass.training.classification.shipped_data import Prepared, SourceSampler
from groundglass.training.classification.splits import find_twins, split_slices, without_twins
from tests.training.classification.conftest import slice_picture


def made(patient: str, label: str = "COVID", split: str = "", seed: int = 0, source: str = "s") -> LabelledSlice:
    image = slice_picture(np.random.default_rng(seed), label)
    return LabelledSlice(f"{patient}-{seed}", source, patient, label, split, image)


def test_table_and_folders_give_the_same_slices(dataset: Path) -> None:
    by_table = read_dataset(dataset)
    assert {one.label for one in by_table} == {"COVID", "OtherPneumonia", "Normal"}
    assert len({one.group for one in by_table}) == 15
    (dataset / "images.csv").rename(dataset / "kept")
    try:
        by_folder = read_data(dataset)
    finally:
        (dataset / "kept").rename(dataset / "images.csv")
    assert {(one.name, one.label) for one in by_folder} == {(one.name, one.label) for one in by_table}
    assert {one.patient for one in by_folder} == {None}
    assert len(read_data(dataset.parent)) >= len(by_table)


def test_bad_data_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no folder"):
        read_data(tmp_path / "nothing")
    (tmp_path / "x").mkdir()
    with pytest.raises(DatasetError, match="folders named after a class"):
        read_data(tmp_path / "x")
    (tmp_path / "x" / "images.csv").write_text("name\na.png\n")
    with pytest.raises(DatasetError, match="expected the columns file, label"):
        read_data(tmp_path / "x")
    (tmp_path / "x" / "images.csv").write_text("file,label\na.png,COVID\n")
    with pytest.raises(DatasetError, match=r"no file .*a.png, which .*images.csv lists"):
        read_data(tmp_path / "x")
    (tmp_path / "x" / "a.png").write_text("no picture")
    (one,) = read_data(tmp_path / "x")
    with pytest.raises(DatasetError, match="cannot be read as a picture"):
        find_twins([one], [one])
    with pytest.raises(DatasetError, match="'tumour' is not known"):
        label_of("tumour")
    assert label_of("Non-COVID") == label_of("NoCOVID") == "NonCOVID"


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 50), st.integers(4, 30))
def test_no_patient_is_in_two_parts(seed: int, patients: int) -> None:
    blank = np.zeros((4, 4), np.uint8)
    slices = [
        LabelledSlice(f"{p}-{n}", "s", f"p{p}", ("COVID", "Normal")[p % 2], "", blank)
        for p in range(patients)
        for n in range(1 + p % 3)
    ]
    split = split_slices(slices, seed=seed)
    groups = [{one.group for one in part} for part in (split.train, split.val, split.test)]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    assert sum(map(len, (split.train, split.val, split.test))) == len(slices)


def test_the_data_sets_own_parts_are_kept_and_leaks_refused() -> None:
    slices = [made("a", split="train"), made("b", split="val"), made("c", split="train", label="Normal")]
    split = split_slices(slices)
    assert [one.patient for one in split.val] == ["b"]
    assert split.test == []
    with pytest.raises(LeakageError, match="patient s/a is in train and in val"):
        split_slices([*slices, made("a", split="val", seed=2)])


def test_near_twins_across_parts_are_found_and_left_out() -> None:
    first = made("a", seed=1)
    smooth = cv2.GaussianBlur(np.asarray(first.image, np.uint8), (0, 0), 1.5)
    first = replace(first, held=np.asarray(smooth, np.uint8))
    _, code = cv2.imencode(".jpg", cv2.resize(smooth, (70, 70)), [cv2.IMWRITE_JPEG_QUALITY, 75])
    again = np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), np.uint8)
    copy = replace(made("b"), held=again, name="copy", split="val")
    other = made("c", label="OtherPneumonia", seed=9)
    turned = replace(made("d"), held=np.rot90(first.image).copy(), name="turned")
    assert [(twin.first, twin.second) for twin in find_twins([first, other, turned], [copy])] == [("a-1", "copy")]
    assert find_twins([first], [replace(copy, patient="a")]) == []
    split, twins = without_twins(split_slices([replace(first, split="train"), replace(other, split="train"), copy]))
    assert len(twins) == 1
    assert [one.patient for one in split.train] == ["c"]


def test_twins_are_found_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = [made(f"p{seed % 7}", seed=seed // 2) for seed in range(14)]  # each picture under two patients
    whole = find_twins(slices, slices)
    assert len(whole) >= 7
    monkeypatch.setattr("groundglass.training.classification.splits.ROWS", 3)
    assert find_twins(slices, slices) == whole


MEMORY = """
import resource, sys
from pathlib import Path
from groundglass.training.classification.examples import make_examples
from groundglass.training.classification.presets import load_classifier
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.splits import find_twins
preset = load_classifier("threeclass-simple").model_copy(update={"size": 32})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
slices = read_data(Path(sys.argv[1]))
find_twins(slices, slices)
make_examples(slices, preset)
print(len(slices), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (1000, 1000), np.uint8)
    rows = ["file,label"]
    for number in range(600):
        label = ("COVID", "Normal")[number % 2]
        rows.append(f"{number % 5}.png,{label}")
        cv2.imwrite(str(tmp_path / f"{number % 5}.png"), picture) if number < 5 else None
    (tmp_path / "images.csv").write_text("\n".join(rows) + "\n")
    done = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, check=True)
    count, kilobytes = map(int, done.stdout.split())
    assert count == 600
    assert kilobytes < 400_000  # the pictures have 600 MB


def test_flat_pictures_are_no_twins() -> None:
    flat = [replace(made(name), held=np.full((40, 40), 9, np.uint8)) for name in ("a", "b")]
    assert find_twins(flat, flat) == []


def test_views_keep_infection_inside_the_lungs() -> None:
    rng = np.random.default_rng(0)
    lung = np.zeros((90, 120), np.uint8)
    lung[20:70, 30:90] = 255
    planes = (np.full((90, 120), 100, np.uint8), lung, np.full((90, 120), 250, np.uint8))
    shapes = set()
    for _ in range(60):
        view = changed_view(planes, 64, rng)
        shapes.add(view.shape)
        assert view.dtype == np.uint8
        assert not view[2][view[1] < 128].any()
    assert shapes == {(3, 64, 64)}


def test_sampler_draws_labels_of_a_source_alike() -> None:
    blank = np.zeros((8, 8), np.uint8)
    many = [Prepared(made(f"p{i}", "Normal", seed=i), (blank, blank, blank)) for i in range(30)]
    few = [Prepared(made("q", "COVID"), (blank, blank, blank))]
    other = [Prepared(made("r", "COVID", source="t"), (blank, blank, blank))]
    sampler, rng = SourceSampler([*many, *few, *other], {"s": 1.0}), np.random.default_rng(1)
    drawn = [sampler.draw(rng).slice for _ in range(600)]
    assert {one.source for one in drawn} == {"s"}
    assert np.mean([one.label == "COVID" for one in drawn]) == pytest.approx(0.5, abs=0.08)


def test_open_labels_count_the_sum_of_what_they_leave_open() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.3, 0.5]]))
    loss = open_label_loss(logits, torch.tensor([[0, 1, 1]]))
    assert float(loss) == pytest.approx(-np.log(0.8), abs=1e-5)
    focal = open_label_loss(logits, torch.tensor([[0, 1, 1]]), gamma=2.0)
    assert float(focal) == pytest.approx(-np.log(0.8) * 0.04, abs=1e-5)
    two = logits.repeat(2, 1)
    weighted = open_label_loss(two, torch.tensor([[1, 0, 0], [0, 0, 1]]), weights=torch.tensor([3.0, 1.0]))
    assert float(weighted) == pytest.approx((-3 * np.log(0.2) - np.log(0.5)) / 4, abs=1e-5)


def test_calibration_undoes_overconfidence_and_a_shifted_class() -> None:
    rng = np.random.default_rng(2)
    true = rng.normal(0, 1.5, (4000, 3))
    shares = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    drawn = np.array([rng.choice(3, p=row) for row in shares])
    temperature, offset = fit_calibration(with_offset(true * 3.0, -2.0), np.eye(3, dtype=int)[drawn])
    assert temperature == pytest.approx(3.0, rel=0.1)
    assert offset == pytest.approx(2.0, abs=0.3)


def test_the_limit_reaches_the_wanted_accuracy_or_stops_at_half() -> None:
    top = np.linspace(0.5, 1.0, 200)
    shares = np.stack([top, 1 - top, np.zeros(200)], axis=1)
    right = np.where(top > 0.7, 0, 1)
    limit = fit_least_probability(shares, np.eye(3, dtype=int)[right])
    kept = top >= limit
    assert np.mean(right[kept] == 0) >= 0.80
    assert kept.mean() >= 0.5
    never = fit_least_probability(shares, np.eye(3, dtype=int)[np.full(200, 2)])
    assert (top >= never).mean() == pytest.approx(0.5, abs=0.02)


def test_smote_and_class_weights_balance_the_classes(dataset: Path) -> None:
    preset = load_classifier("covid-cnn").model_copy(update={"size": 24})
    examples = make_examples(read_data(dataset), preset)
    counts = np.bincount(examples.classes)
    assert counts[0] != counts[1]
    more = with_smote(examples)
    assert len(set(np.bincount(more.classes))) == 1
    np.testing.assert_array_equal(more.images[: len(examples)], examples.images)
    weights = balance(examples.classes, 2)
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1])
    assert (weights[examples.classes]).mean() == pytest.approx(1.0)
