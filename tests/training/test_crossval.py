"""Cross-validation: folds by patient, networks that have not seen what they are scored on, resumed after a kill."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from groundglass.cli.main import main
from groundglass.errors import OptionError
from groundglass.evaluation.layouts import LabelledData, read_data
from groundglass.evaluation.records import Evaluation
from groundglass.evaluation.results import to_json
from groundglass.models.catalog import ModelCard, load_card
from groundglass.training import crossval_models
from groundglass.training.crossval import FoldModel, Job, cross_validate, plan_folds, score_folds
from groundglass.training.crossval_models import finished_models, start_of_fold, trained, unseen_fold
from groundglass.training.crossval_report import CrossvalOptions
from groundglass.training.crossval_splits import FoldPlan, by_slices, training_view, with_patient_folds
from groundglass.training.presets import load_preset
from groundglass.training.run import TrainedRun, TrainOptions
from tests.evaluation.conftest import VOLUMES, write_slices
from tests.evaluation.painter import Painter

OPTIONS = CrossvalOptions(surfaces=False)


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    return write_slices(tmp_path)


def card(fold: int = 0, learned_from: tuple[str, ...] = ()) -> ModelCard:
    return replace(load_card(), name=f"net-{fold}", sha256=f"{fold}" * 64, learned_from=learned_from)


def honest(plan: FoldPlan) -> ModelCard:
    return card(plan.fold, plan.others)


def painter(one: ModelCard, doubt: int = 0) -> Any:
    return Painter(one, doubt)


def run_folds(
    data: LabelledData,
    folder: Path,
    model: FoldModel = honest,
    options: CrossvalOptions = OPTIONS,
    doubt: int = 0,
    page: bool = False,
) -> Evaluation:
    """Cross-validate with a painter for a network; figures and page, which take most of the time, only on request."""

    with nullcontext() if page else patch("groundglass.training.crossval.save", save_record):
        segment = partial(painter, doubt=doubt)
        return cross_validate("test", data, folder / "data", folder / "run", model, options, segment=segment)


def save_record(record: Evaluation, folder: Path) -> None:
    (folder / "evaluation.json").write_text(to_json(record))


def test_every_volume_is_scored_once_by_the_network_of_its_fold(slices: Path, tmp_path: Path) -> None:
    record = run_folds(read_data(slices), tmp_path, page=True)
    assert sorted(one.volume for one in record.volumes) == sorted(name for name, _, _ in VOLUMES)
    assert [fold.model.name for fold in record.folds] == ["net-0", "net-1"]
    assert record.folds[0].patients == ["alpha", "beta"]
    assert record.data.patients == 4
    assert record.structures[0].metric("dice").interval is not None  # type: ignore[union-attr]
    read = Evaluation.model_validate_json((tmp_path / "run" / "evaluation.json").read_text())
    assert read.folds == record.folds
    with (tmp_path / "run" / "slices.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5 * 3 * 2
    assert "2-fold cross-validation by patient" in (tmp_path / "run" / "evaluation.html").read_text()


def test_a_network_that_has_seen_the_fold_is_refused(slices: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"learned from patients of fold 0 \(beta\)"):
        run_folds(read_data(slices), tmp_path, lambda plan: card(plan.fold, ("beta",)))


def test_an_interrupted_run_goes_on_where_it_stopped(slices: Path, tmp_path: Path) -> None:
    calls: list[int] = []

    def cut_off(plan: FoldPlan) -> ModelCard:
        calls.append(plan.fold)
        if calls == [0, 1]:
            raise KeyboardInterrupt
        return honest(plan)

    with pytest.raises(KeyboardInterrupt):
        run_folds(read_data(slices), tmp_path, cut_off)
    assert not (tmp_path / "run" / "evaluation.json").exists()
    record = run_folds(read_data(slices), tmp_path, cut_off)
    assert calls == [0, 1, 1]
    run_folds(read_data(slices), tmp_path, cut_off)
    assert calls == [0, 1, 1]
    assert len(record.volumes) == 5
    with pytest.raises(OptionError, match="other settings"):
        run_folds(read_data(slices), tmp_path, cut_off, replace(OPTIONS, seed=1))


def test_processes_share_a_cross_validation(slices: Path, tmp_path: Path) -> None:
    data, folder = read_data(slices), tmp_path / "run"
    asked: list[int] = []

    def counted(plan: FoldPlan) -> ModelCard:
        asked.append(plan.fold)
        return honest(plan)

    def own(fold: int) -> tuple[int, ...]:
        return score_folds(Job("test", data, slices, folder, counted, OPTIONS), [fold], segment=painter)

    assert own(1) == (0,)
    assert not (folder / "fold-0").exists()
    assert own(0) == ()
    together = cross_validate("test", data, slices, folder, counted, OPTIONS, segment=painter)
    assert asked == [1, 0]
    alone = run_folds(data, tmp_path / "alone")
    assert together.structures == alone.structures
    with pytest.raises(OptionError, match=r"no fold 7 in .*; expected one of 0, 1"):
        own(7)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.training.test_crossval import honest, read_data, run_folds
def killed(plan):
    if plan.fold == 1:
        (plan.folder / "scores.json.partial").write_text("{")
        os.kill(os.getpid(), signal.SIGKILL)
    return honest(plan)
run_folds(read_data(Path(sys.argv[1])), Path(sys.argv[2]), killed)
"""


def test_a_killed_run_goes_on(slices: Path, tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(slices), str(tmp_path)], check=False, cwd=os.getcwd())
    assert run.returncode == -signal.SIGKILL
    calls: list[int] = []

    def counted(plan: FoldPlan) -> ModelCard:
        calls.append(plan.fold)
        return honest(plan)

    assert len(run_folds(read_data(slices), tmp_path, counted).volumes) == 5
    assert calls == [1]


def without_folds(data: LabelledData) -> LabelledData:
    return replace(data, cases=tuple(replace(case, fold=None) for case in data.cases))


def test_folds_are_dealt_by_patient_and_seed(slices: Path) -> None:
    data = without_folds(read_data(slices))
    placed, new = with_patient_folds(data, 2, seed=3)
    assert new
    fold_of = {case.patient: case.fold for case in placed.cases}
    assert all(case.fold == fold_of[case.patient] for case in placed.cases)
    assert sorted(fold_of.values()) == [0, 0, 1, 1]  # type: ignore[type-var]
    assert with_patient_folds(data, 2, seed=3)[0] == placed
    with pytest.raises(OptionError, match="4 patients; expected at least 5"):
        with_patient_folds(data, 5, seed=0)
    assert with_patient_folds(read_data(slices), 4, seed=0) == (read_data(slices), False)


def test_a_patient_in_two_folds_is_refused(slices: Path) -> None:
    data = read_data(slices)
    moved = replace(data, cases=(replace(data.cases[0], fold=1), *data.cases[1:]))
    with pytest.raises(OptionError, match=r"patient alpha .* in the folds 1 and 0"):
        with_patient_folds(moved, 2, seed=0)
    some = replace(data, cases=(replace(data.cases[0], fold=None), *data.cases[1:]))
    with pytest.raises(OptionError, match="expected all or none"):
        with_patient_folds(some, 2, seed=0)


def test_training_reads_the_dealt_folds(slices: Path, tmp_path: Path) -> None:
    placed, _ = with_patient_folds(without_folds(read_data(slices)), 2, seed=0)
    (slices.parent / "more").mkdir()
    view = training_view(slices.parent, placed.cases, tmp_path / "view")
    with (view / "slices.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    assert {row["patient"]: int(row["fold"]) for row in rows} == {case.patient: case.fold for case in placed.cases}
    assert all(Path(row[column]).is_file() for row in rows for column in ("file", "lung", "infection"))
    # Other folders of the data stay within reach; the labelled one does not come in a second time.
    assert (view / "more").is_dir()
    assert not (view / "slices").exists()


def test_the_split_by_slices_is_marked_as_a_leak(slices: Path, tmp_path: Path) -> None:
    data = read_data(slices)
    parts = by_slices(data, 2, seed=0)
    assert sum(len(case.images) for case in parts.cases) == 15
    assert {case.fold for case in parts.cases if case.patient == "alpha"} == {0, 1}
    (tmp_path / "data").mkdir()
    record = run_folds(data, tmp_path, honest, replace(OPTIONS, split="slices", folds=2), page=True)
    assert record.warnings[0].startswith("LEAK")
    assert "by slice (leaking)" in record.protocol
    assert record.involvement_band is None
    assert 'class="caution severe"' in (tmp_path / "run" / "evaluation.html").read_text()
    with (tmp_path / "run" / "fold-0" / "data" / "slices.csv").open(newline="") as file:
        learned = {row["file"] for row in csv.DictReader(file)}
    tested = {str(path) for case in parts.of_folds([0]).cases for path in case.images}
    assert not learned & tested
    assert len(learned | tested) == 15


def test_thresholds_from_a_validation_fold(slices: Path, tmp_path: Path) -> None:
    data, _ = with_patient_folds(without_folds(read_data(slices)), 4, seed=0)
    options = replace(OPTIONS, thresholds="validation")
    plans = plan_folds(data, tmp_path, tmp_path / "run", options)
    for plan in plans:
        assert plan.validation is not None
        assert not plan.validation.patients & plan.test.patients
        assert plan.learn is not None
        assert not {plan.fold, *(plan.validation_folds or ())} & set(plan.learn)
    # Unsure networks: at the card's 0.5 they find nothing.
    record = run_folds(data, tmp_path, honest, options, doubt=160)
    assert record.of("infection").metric("dice").mean > 0.9  # type: ignore[union-attr]
    assert all(fold.thresholds["infection"] < 0.41 for fold in record.folds)
    with pytest.raises(OptionError, match="2 folds; expected at least 3"):
        plan_folds(read_data(slices), tmp_path, tmp_path / "run", options)


def test_thresholds_from_the_other_folds(slices: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, thresholds="others")
    record = run_folds(read_data(slices), tmp_path, honest, options, doubt=160)
    assert record.of("infection").metric("dice").mean > 0.9  # type: ignore[union-attr]
    assert "other folds" in record.of("infection").threshold_from  # type: ignore[union-attr]


def test_a_preset_is_trained_once_per_fold(slices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, Any, Any]] = []

    def fake(preset: Any, data: Path, run: Path, *, folds: Any, options: TrainOptions, **rest: Any) -> TrainedRun:
        asked.append((folds, options.validation_folds, options.test_folds))
        shipped = load_card()
        here = shipped.folder / f"{shipped.name}.json"
        return TrainedRun(run, run, run, shipped.weights, here, run, run, None, 1)

    monkeypatch.setattr(crossval_models, "train", fake)
    monkeypatch.setattr(crossval_models, "load_card", lambda *_: card())
    model = trained(load_preset("lungs-infection"), TrainOptions(steps=1))
    record = run_folds(read_data(slices), tmp_path, model)
    assert asked == [((1,), None, (0,)), ((0,), None, (1,))]
    # The card was silent: what was not held out counts as learned from, so no caution is needed.
    assert not any("rests on your word" in text for text in record.warnings)


def test_folds_start_from_an_earlier_cross_validation(
    slices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, other = plan_folds(read_data(slices), slices, tmp_path / "run", OPTIONS)
    known = {"fold-0": card(0, plan.others), "fold-1": card(1, plan.others)}
    monkeypatch.setattr(crossval_models, "card_at", lambda place: known[Path(place).parent.name])
    with pytest.raises(OptionError, match="nothing to start from at"):
        start_of_fold(tmp_path / "first", plan)
    for fold in known:
        (tmp_path / "first" / fold / "training").mkdir(parents=True)
    with pytest.raises(OptionError, match=r"no checkpoint .*fold-0"):
        start_of_fold(tmp_path / "first", plan)
    for fold in known:
        (tmp_path / "first" / fold / "training" / "last.ckpt").touch()
    assert start_of_fold(tmp_path / "first", plan).parent.parent.name == "fold-0"
    with pytest.raises(OptionError, match="learned from patients of fold 1"):
        start_of_fold(tmp_path / "first", other)


def test_every_fold_may_start_from_one_network_that_has_seen_nobody(slices: Path, tmp_path: Path) -> None:
    shipped = Path("lungs-infection")
    for plan in plan_folds(read_data(slices), slices, tmp_path / "run", OPTIONS):
        assert start_of_fold(shipped, plan) == shipped
    table = (slices / "slices.csv").read_text()
    (slices / "slices.csv").write_text(table.replace("alpha_1,alpha", "coronacases_001,alpha"))
    first, second = plan_folds(read_data(slices), slices, tmp_path / "run", OPTIONS)
    with pytest.raises(OptionError, match="learned from patients of fold 0"):
        start_of_fold(shipped, first)
    assert start_of_fold(shipped, second) == shipped
    (tmp_path / "loose.ckpt").touch()
    with pytest.raises(OptionError, match=r"loose\.ckpt has no card, so nobody knows"):
        start_of_fold(tmp_path / "loose.ckpt", second)


def test_networks_find_their_folds(slices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_data(slices)
    known = {"one": card(0, ("gamma",)), "two": card(1, ("alpha_1", "beta")), "silent": card(9)}
    monkeypatch.setattr(crossval_models, "card_at", lambda place: known[str(place)])
    assert unseen_fold(known["one"], data, "one") == 0
    model_of, cards = finished_models(["two", "0=one"], data)
    assert {fold: one.name for fold, one in cards.items()} == {0: "net-0", 1: "net-1"}
    assert run_folds(data, tmp_path, model_of).folds[1].model.name == "net-1"
    for places, message in (
        (["one"], "no network for fold 1"),
        (["one", "0=two"], "two networks for fold 0"),
        (["silent"], "does not list what it learned from; say which fold it left out: FOLD=silent"),
    ):
        with pytest.raises(OptionError, match=message):
            finished_models(places, data)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ([], "no preset is named"),
        (["no-such-preset"], "no preset named"),
        (["lungs-infection", "--folds-done", "x"], "takes networks as they are"),
        (["lungs-infection", "--split", "rows"], "--split"),
        (["lungs-infection", "--split", "slices", "--start", "x"], "needs folds by patient"),
        (["--folds-done", "x", "--start", "x"], "no --start"),
        (["lungs-infection", "--only", "7"], "no fold 7"),
    ],
)
def test_wrong_usage(
    more: list[str], text: str, slices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["crossval", *more, "--data", str(slices), "-o", str(tmp_path / "run"), "-q"]) == 2
    assert text in " ".join(capsys.readouterr().err.split())


def test_the_band_of_the_involvement_needs_patients_enough(slices: Path, tmp_path: Path) -> None:
    record = run_folds(read_data(slices), tmp_path)
    assert record.involvement_band is None
    assert "involvement_band" in json.loads((tmp_path / "run" / "evaluation.json").read_text())
