from __future__ import annotations

import numpy as np
import pytest

from groundglass.evaluation.classes import scores
from tests.support.labelled import CLASSES, judged

MIXED = [
    judged("COVID", 0.9, "COVID", patient="a"),
    judged("COVID", 0.7, "COVID", patient="b"),
    judged("COVID", 0.2, "Normal", patient="b"),
    judged("NonCOVID", 0.6, None, patient="c"),
    judged("NonCOVID", 0.3, "OtherPneumonia", patient="d"),
    judged("Normal", 0.1, "Normal", patient="e"),
]


def test_covid_is_scored_against_everything_else() -> None:
    found = scores.covid_scores(MIXED)
    assert (found.slices, found.covid, found.patients) == (6, 3, 5)
    assert {one.name: one.value for one in found.scores} == {
        "F1": pytest.approx(2 / 3),
        "AUROC": pytest.approx(7 / 9),
        "AUPRC": pytest.approx((1 + 1 + 3 / 5) / 3),
        "accuracy": pytest.approx(4 / 6),
        "sensitivity": pytest.approx(2 / 3),
        "specificity": pytest.approx(2 / 3),
        "precision": pytest.approx(2 / 3),
        "Brier": pytest.approx(np.mean([0.01, 0.09, 0.64, 0.36, 0.09, 0.01])),
        "ECE": pytest.approx(np.mean([0.1, 0.3, 0.8, 0.6, 0.3, 0.1])),
    }
    assert found.of("F1").interval is not None


def test_what_was_answered_is_scored_apart() -> None:
    assert scores.coverage(MIXED).value == pytest.approx(5 / 6)
    found = scores.answered_scores(MIXED)
    assert found is not None
    assert (found.slices, found.of("specificity").value) == (5, 1.0)
    assert scores.answered_scores(MIXED[3:4]) is None


def test_an_open_label_is_right_with_either_class() -> None:
    asked = {("NonCOVID", "Normal"): True, ("NonCOVID", "OtherPneumonia"): True, ("NonCOVID", "COVID"): False}
    asked |= {("Normal", "NonCOVID"): True, ("Normal", "OtherPneumonia"): False, ("OtherPneumonia", "NonCOVID"): True}
    asked |= {("COVID", "COVID"): True, ("COVID", "NonCOVID"): False}
    for (label, answer), right in asked.items():
        assert judged(label, 0.5, answer).right is right, (label, answer)
    assert judged("COVID", 0.5, None).right is None


def test_rows_are_labels_and_columns_are_answers() -> None:
    table = scores.confusion_record(MIXED, CLASSES)
    assert table.labels == ["COVID", "Normal", "NonCOVID"]
    assert table.answers == [*CLASSES, "abstained"]
    assert table.counts == [[2, 0, 1, 0], [0, 0, 1, 0], [0, 1, 0, 1]]
    assert scores.confusion_record(MIXED[:1], CLASSES).answers == list(CLASSES)


def test_three_classes_are_told_apart_where_labels_name_them() -> None:
    assert scores.classes_apart(MIXED, CLASSES) is None
    found = scores.classes_apart([*MIXED, judged("OtherPneumonia", 0.2, "OtherPneumonia")], CLASSES)
    assert found is not None
    assert [one.name for one in found] == ["macro F1", "macro AUROC"]
    # The likeliest class counts: COVID 2 of 3, other pneumonia (3 to 1 before normal) always, normal never.
    assert found[0].value == pytest.approx((2 * 2 / 5 + 2 * 1 / 4 + 0) / 3)
    assert scores.classes_apart(MIXED, ("COVID", "NonCOVID")) is None


def test_the_intervals_say_what_they_resample() -> None:
    unknown = [judged("COVID", 0.9, "COVID", name=str(number)) for number in range(5)]
    assert scores.patients(unknown) == 0
    assert scores.resampled(unknown).startswith("slices, for the data do not say whose")
    assert scores.resampled(MIXED) == "patients, each with all of their slices"
    assert "the 5 slices whose patient is not known" in scores.resampled([*MIXED, *unknown])


def test_curves_end_at_the_corners_and_one_class_has_none() -> None:
    curves = scores.curves_record(MIXED)
    ends = [(line[0], line[-1]) for line in (curves.false_positive_rate, curves.true_positive_rate, curves.recall)]
    assert ends == [(0.0, 1.0)] * 3
    assert curves.precision[-1] == 0.5
    assert scores.curves_record(MIXED[:3]).recall == []


def test_each_of_several_sources_is_scored() -> None:
    other = [judged("COVID", 0.8, "COVID"), judged("Normal", 0.1, "Normal")]
    for one in other:
        object.__setattr__(one.slice, "source", "other")
    assert scores.source_scores(MIXED) == []
    found = scores.source_scores([*MIXED, *other])
    assert [(one.source, one.covid.slices, one.covid.of("accuracy").value) for one in found] == [
        ("made", 6, pytest.approx(4 / 6)),
        ("other", 2, 1.0),
    ]
