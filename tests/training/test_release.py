"""The card of the shipped network says what it has learned from, and what a cross-validation found."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from groundglass.evaluation.layouts import read_data
from groundglass.training.crossval_report import CrossvalOptions
from groundglass.training.release import crossval_metrics, draft, learned_part
from tests.evaluation.conftest import VOLUMES, write_slices
from tests.training.test_crossval import run_folds


def test_the_card_lists_what_was_learned_from_and_what_was_not(tmp_path: Path) -> None:
    write_slices(tmp_path).rename(tmp_path / "covid20")
    some, learned, left = learned_part(tmp_path, [0])
    every = draft(64, tmp_path, [0, 1], 0.3)
    assert set(some) < set(every.learned_from) == {name for name, _, _ in VOLUMES}
    assert len(learned) == len(left) == 1
    assert f"slices of {len(some)} volumes" in learned[0]
    assert every.thresholds == (0.5, 0.3, 0.5)
    # Nothing of the set is left: no line claims it.
    assert not any("volumes" in line for line in every.not_trained_on)
    assert any(f"slices of {len(VOLUMES)} volumes" in line for line in every.trained_on)


def test_scores_of_a_cross_validation_become_entries_of_the_card(tmp_path: Path) -> None:
    record = run_folds(read_data(write_slices(tmp_path)), tmp_path, options=CrossvalOptions(surfaces=False))
    found = {metric.name: metric for metric in crossval_metrics(record)}
    assert set(found) == {f"{name} Dice, covid20, cross-validated" for name in ("lungs", "infection")}
    for metric in found.values():
        assert set(metric.cases) == {name for name, _, _ in VOLUMES}
        assert metric.value == pytest.approx(sum(metric.cases.values()) / len(VOLUMES), abs=1e-3)
        assert "95 % interval over patients" in metric.protocol
