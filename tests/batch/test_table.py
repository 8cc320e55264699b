"""The table of a batch and its statistics."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundglass.batch import table
from groundglass.batch.cases import Case
from groundglass.batch.cohort import write_cohort_report
from groundglass.batch.ledger import Entry
from groundglass.batch.outcome import Outcome
from groundglass.batch.statistics import bins, outliers, spreads
from groundglass.batch.work import finished_before, outcome_of
from groundglass.finding import Finding
from tests.batch.fakes import FakeResult, FakeTask, fake_analysis


def entry(name: str, percent: float) -> Entry:
    analysis = fake_analysis(name, 20)
    row = dict(outcome_of(Case("x", name=name), analysis, 1.0).row) | {"involvement_percent_total": percent}
    return Entry(Case("x", name=name), "done", 0, 1.0, Outcome("i", "done", row=row))


def test_every_measurement_has_a_column() -> None:
    analysis = fake_analysis("a", 36)
    row = table.measurement_row(analysis)
    assert row["involvement_percent_right"] == pytest.approx(analysis.measurements.involvement_percent.right)
    assert row["zonal_severity_score"] == analysis.measurements.zonal_severity_score
    zones = {f"zones_{zone.name.replace(' ', '_')}_percent" for zone in analysis.measurements.zones}
    assert zones <= set(row)
    assert len(zones) == 6
    assert not any("histogram" in key for key in row)


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: list[table.Row] = [
        {"case": "a", "status": "done", "lung": 1.5, "findings": "x"},
        {"case": "=b", "status": "failed", "reason": "no, really", "lung": 2},
    ]
    table.write_csv(rows, tmp_path / "t.csv")
    assert table.write_parquet(rows, tmp_path / "t.parquet")
    read = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["lung"] for row in read] == ["1.5", "2"]
    assert read[1]["case"] == "'=b", "a spreadsheet must not run it"
    assert read[1]["reason"] == "no, really"
    stored = parquet.read_table(tmp_path / "t.parquet")
    assert stored["lung"].to_pylist() == [1.5, 2.0]
    assert stored.column_names == list(read[0])


def test_numbers_that_must_not_be_used_stay_out() -> None:
    bad = Finding(code="no-lungs", severity="error", text="No lungs were found.")
    analysis = fake_analysis("a", 3).model_copy(update={"findings": [bad]})
    outcome = outcome_of(Case("x", name="a"), analysis, 2.0)
    assert (outcome.status, outcome.kind, outcome.reason) == ("unusable", "no-lungs", "No lungs were found.")
    assert "lung_volume_ml_total" not in outcome.row
    assert outcome.row["findings"] == "no-lungs"


def test_only_a_result_of_this_attempt_counts_as_finished(tmp_path: Path) -> None:
    analysis, case = fake_analysis("a", 3), Case("x", name="a")
    FakeResult(analysis, tmp_path).save(tmp_path)
    from groundglass.options import AnalysisOptions
    from groundglass.settings import Settings

    task = FakeTask(str(tmp_path), AnalysisOptions(), Settings())
    from datetime import datetime

    began = datetime.fromisoformat(analysis.run.started).timestamp()
    assert finished_before(case, task, began + 0.9) is not None
    assert finished_before(case, task, began + 2.0) is None, "an older result"
    assert finished_before(Case("x", name="b"), task, began) is None
    (tmp_path / "a" / "analysis.json").write_text("{}")
    assert finished_before(case, task, began) is None


def test_outliers_stand_apart_from_ten_cases_on() -> None:
    usual: list[table.Row] = [{"case": f"c{n}", "mean_lung_hu": -800.0 + n} for n in range(9)]
    odd: table.Row = {"case": "odd", "mean_lung_hu": -300.0}
    assert outliers([*usual[:8], odd]) == []
    (found,) = outliers([*usual, odd])
    assert (found.case, found.value) == ("odd", -300.0)
    assert found.score > 50
    assert [spread.quantity.column for spread in spreads([odd])] == ["mean_lung_hu"]


@settings(deadline=None)
@given(st.lists(st.floats(-2000, 2000).map(lambda value: round(value, 3)), min_size=1, max_size=60))
def test_a_histogram_counts_every_value(values: list[float]) -> None:
    counts, edges = bins(np.sort(np.array(values)))
    assert counts.sum() == len(values)
    assert len(edges) == len(counts) + 1 <= 60
    assert edges[0] <= min(values) <= max(values) <= edges[-1]


def test_the_cohort_report_is_one_page_that_loads_nothing(tmp_path: Path) -> None:
    entries = [entry(f"case{n}", 5.0 + 0.1 * n) for n in range(12)] + [entry("<odd> & so", 90.0)]
    failure = Outcome("i", "failed", "NotCTError", "<script>alert(1)</script>")
    entries.append(Entry(Case("/home/Mustermann/x", name="bad"), "failed", 0, 1.0, failure))
    write_cohort_report(entries, tmp_path, ["study: series 1, localizer, 2 slices"])
    page = (tmp_path / "cohort.html").read_text()
    for text in ("14 scans", "Cases that stand apart", "NotCTError", "localizer", "&lt;odd&gt; &amp; so", "Median"):
        assert text in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "Mustermann" not in page
    write_cohort_report([], tmp_path, [])
    assert "0 scans" in (tmp_path / "cohort.html").read_text()
