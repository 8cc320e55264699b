"""A whole evaluation: files, honesty about learned volumes and thresholds, failures, every door of the command."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from groundglass.cli.main import main
from groundglass.errors import InputError, OptionError
from groundglass.evaluation.layouts import read_data
from groundglass.evaluation.predict import FolderPredictor, NetworkPredictor
from groundglass.evaluation.published import published, published_for
from groundglass.evaluation.records import Evaluation
from groundglass.evaluation.run import evaluate
from groundglass.evaluation.structures import INFECTION, LUNGS
from groundglass.evaluation.summary import EvaluationOptions
from groundglass.models.catalog import load_card
from tests.evaluation.conftest import masks, save_volume
from tests.evaluation.painter import Painter

OPTIONS = EvaluationOptions((LUNGS, INFECTION))


def painter(learned_from: tuple[str, ...] = (), doubt: int = 0) -> NetworkPredictor:
    card = replace(load_card(), learned_from=learned_from)
    return NetworkPredictor.of(Painter(card, doubt))  # type: ignore[arg-type]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_network_leaves_every_file(slices: Path, tmp_path: Path) -> None:
    record = evaluate(read_data(slices), painter(), tmp_path / "out", OPTIONS)
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert names == {"evaluation.json", "evaluation.html", "volumes.csv", "slices.csv", "figures", "panels"}
    assert len(rows(out / "volumes.csv")) == 5 * 2
    assert len(rows(out / "slices.csv")) == 5 * 3 * 2
    assert len(list((out / "panels" / "infection").iterdir())) == 5
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png", ".svg"}
    read = Evaluation.model_validate_json((out / "evaluation.json").read_text())
    assert read.schema_version == "1.0"
    assert read.model is not None
    assert read.of("lungs") == record.of("lungs")
    assert (read.data.patients, read.data.volumes, read.data.slices) == (4, 5, 15)
    dice = read.of("infection")
    assert dice is not None
    assert dice.metric("nsd") is None
    assert dice.metric("volume_error_ml") is None
    found = dice.metric("dice")
    assert found is not None
    assert found.interval is not None
    assert found.interval.low <= found.mean <= found.interval.high


def test_the_page_needs_nothing_else_and_says_what_it_must(slices: Path, tmp_path: Path) -> None:
    evaluate(read_data(slices), painter(), tmp_path, OPTIONS)
    page = (tmp_path / "evaluation.html").read_text()
    for outside in ('src="http', 'href="http', "@import", "<script"):
        assert outside not in page
    assert "flatter the network" in page
    assert "does not list the volumes that the network learned from" in page
    assert "Not a medical device" in page
    assert "data:image/jpeg;base64," in page
    for row in published_for("infection"):
        assert row.protocol.split(",")[0] in page
    assert page.count("<svg ") == 2 * 5 + 2


def test_volumes_learned_from_are_left_out(slices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundglass.evaluation.results.save", lambda record, folder: None)
    data = read_data(slices)
    seen = painter(("beta", "gamma"))
    assert data.of_patients_in(["alpha_1"]) == {"alpha_1", "alpha_2"}
    record = evaluate(data, seen, tmp_path / "one", OPTIONS)
    assert {one.volume for one in record.volumes} == {"alpha_1", "alpha_2", "delta"}
    assert any("2 of 5 volumes" in text for text in record.warnings)
    every = evaluate(data, seen, tmp_path / "two", replace(OPTIONS, include_learned=True))
    assert {one.volume for one in every.volumes if one.learned_from} == {"beta", "gamma"}
    # They are shown, but no number has them.
    assert every.structures == record.structures
    with pytest.raises(OptionError, match="learned from every volume"):
        evaluate(data, painter(tuple(case.name for case in data.cases)), tmp_path, OPTIONS)


def test_thresholds_come_from_other_patients(slices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundglass.evaluation.results.save", lambda record, folder: None)
    data = read_data(slices)
    # So unsure that the threshold of the card finds no infection: only a chosen one does.
    unsure = painter(("nobody",), doubt=160)
    plain = evaluate(data.of_folds([0]), unsure, tmp_path / "plain", OPTIONS)
    chosen = evaluate(data.of_folds([0]), unsure, tmp_path / "chosen", OPTIONS, validation=data.of_folds([1]))
    before, after = plain.of("infection"), chosen.of("infection")
    assert before is not None
    assert after is not None
    assert before.metric("dice").mean == 0.0  # type: ignore[union-attr]
    assert after.metric("dice").mean > 0.9  # type: ignore[union-attr]
    assert after.threshold_from == "validation data"
    assert after.threshold is not None
    assert 30 / 255 < after.threshold <= 100 / 255
    assert chosen.validation is not None
    assert chosen.validation.patients == 2
    assert not any("flatter" in text for text in chosen.warnings)


def test_the_same_patients_on_both_sides_are_refused(slices: Path, tmp_path: Path) -> None:
    data = read_data(slices)
    with pytest.raises(OptionError, match="2 patients are in the validation and in the test data"):
        evaluate(data, painter(), tmp_path, OPTIONS, validation=data.of_folds([1]))
    with pytest.raises(OptionError, match="masks have no threshold"):
        evaluate(
            data.of_folds([0]),
            FolderPredictor(slices, (INFECTION,)),
            tmp_path,
            OPTIONS,
            validation=data.of_folds([1]),
        )


def test_a_volume_that_fails_is_listed_and_the_others_go_on(slices: Path, tmp_path: Path) -> None:
    (slices / "ct" / "beta__1.png").write_bytes(b"no picture")
    record = evaluate(read_data(slices), painter(), tmp_path / "out", OPTIONS)
    assert [failure.volume for failure in record.failures] == ["beta"]
    assert "beta__1.png" in record.failures[0].message
    assert len(record.volumes) == 4
    assert "beta__1.png" in (tmp_path / "out" / "evaluation.html").read_text()
    for path in (slices / "ct").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="not one volume"):
        evaluate(read_data(slices), painter(), tmp_path / "out", OPTIONS)


def test_perfect_masks_of_scans_with_millimetres(volumes: Path, tmp_path: Path) -> None:
    predictor = FolderPredictor(volumes, (LUNGS, INFECTION))
    record = evaluate(read_data(volumes), predictor, tmp_path / "out", OPTIONS, predictions="rival")
    summary = record.of("infection")
    assert summary is not None
    for metric in ("dice", "iou", "nsd", "accuracy"):
        assert summary.metric(metric).mean == 1.0  # type: ignore[union-attr]
    assert summary.metric("hd95_mm").mean == 0.0  # type: ignore[union-attr]
    assert summary.curves is None
    score = record.volumes[0].of("infection")
    assert score is not None
    assert score.truth_ml == pytest.approx(score.scores.truth * 0.003)
    assert record.involvement is not None
    assert record.involvement.bias == 0.0
    assert record.predictions == "rival"


def test_what_has_no_masks_is_named_everywhere(
    volumes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for sub in ("lung_mask", "infection_mask"):
        (volumes / sub / "coronacases_001.nii.gz").unlink()
    arguments = ["evaluate", "--data", str(volumes), "--predictions", str(volumes), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--no-surfaces"]) == 0
    assert "Without masks, so not scored: coronacases_001" in " ".join(capsys.readouterr().err.split())
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "Without masks, so not scored: coronacases_001" in page
    # The spacing is known; it is the surfaces that were not wanted.
    assert "NSD and HD95 were not computed (--no-surfaces)" in page
    assert "need a spacing" not in page
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert record["data"]["left_out"] == ["coronacases_001"]


def test_masks_of_another_size_than_the_scan(volumes: Path, tmp_path: Path) -> None:
    """They agree with each other; only no picture can lie below them."""
    for sub in ("lung_mask", "infection_mask"):
        for path in (volumes / sub).iterdir():
            save_volume(path, np.asarray(nibabel.load(path).dataobj)[:-4])
    predictor = FolderPredictor(volumes, (LUNGS, INFECTION))
    record = evaluate(read_data(volumes), predictor, tmp_path / "out", replace(OPTIONS, surfaces=False))
    assert [summary.metric("dice").mean for summary in record.structures] == [1.0, 1.0]  # type: ignore[union-attr]


def test_a_failure_names_its_case(volumes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for case in ("anna", "berta"):
        (tmp_path / "cases" / case).mkdir(parents=True)
        shutil.copy(volumes / "ct_scans" / "coronacases_org_001.nii.gz", tmp_path / "cases" / case / "ct.nii.gz")
        shutil.copy(volumes / "lung_mask" / "coronacases_001.nii.gz", tmp_path / "cases" / case / "lungs.nii.gz")
    damaged = tmp_path / "cases" / "berta" / "lungs.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:60])
    cases = str(tmp_path / "cases")
    arguments = ["evaluate", "--data", cases, "--predictions", cases, "-o", str(tmp_path / "out"), "--no-surfaces"]
    assert main(arguments) == 1
    assert "Not scored: berta: lungs.nii.gz: " in " ".join(capsys.readouterr().err.split())
    shutil.rmtree(tmp_path / "cases" / "anna")
    assert main(arguments) == 3
    assert "the first error: berta: lungs.nii.gz: " in " ".join(capsys.readouterr().err.split())


def test_slices_are_summed_up_too(slices: Path, tmp_path: Path) -> None:
    record = evaluate(read_data(slices), painter(), tmp_path, OPTIONS)
    table = [row for row in rows(tmp_path / "slices.csv") if row["structure"] == "infection"]
    summary = record.of("infection")
    assert summary is not None
    assert [one.metric for one in summary.slice_metrics] == [one.metric for one in summary.metrics]
    for one in summary.slice_metrics:
        values = [float(row[one.metric]) for row in table if row[one.metric]]
        assert one.slices == len(values)
        assert one.mean == pytest.approx(np.mean(values), rel=1e-4)
        assert one.sd == pytest.approx(np.std(values, ddof=1), rel=1e-4)
        assert one.median == pytest.approx(np.median(values), rel=1e-4)
    assert {row["volume_error_ml"] for row in table} == {""}
    row = table[4]
    percent = 100 * (int(row["predicted"]) - int(row["truth"])) / int(row["truth"])
    assert float(row["volume_error_percent"]) == pytest.approx(percent, rel=1e-4)
    page = (tmp_path / "evaluation.html").read_text()
    assert "Slice by slice" in page
    assert "millilitres need a spacing" in page
    stored = json.loads((tmp_path / "evaluation.json").read_text())
    assert stored["structures"][1]["slice_metrics"][0]["metric"] == "dice"
    assert stored["structures"][1]["empty_slices"] == 0


def test_masks_as_analyze_leaves_them(volumes: Path, tmp_path: Path) -> None:
    for case, mask in (("coronacases_001", "coronacases_001"), ("radiopaedia_10_85902_1", "radiopaedia_10_85902_1")):
        (tmp_path / "found" / case).mkdir(parents=True)
        for source, name in (("lung_mask", "lungs"), ("infection_mask", "infection")):
            shutil.copy(volumes / source / f"{mask}.nii.gz", tmp_path / "found" / case / f"{name}.nii.gz")
    predictor = FolderPredictor(tmp_path / "found", (LUNGS, INFECTION))
    record = evaluate(read_data(volumes), predictor, tmp_path / "out", OPTIONS, predictions="found")
    assert [summary.metric("dice").mean for summary in record.structures] == [1.0, 1.0]  # type: ignore[union-attr]


def test_sides_by_label_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lungs = masks(0)[0].T[:, :, None].repeat(4, axis=2) // 255
    sides = lungs.copy()
    sides[24:] *= 2
    save_volume(tmp_path / "truth" / "a.nii.gz", sides)
    save_volume(tmp_path / "rival" / "a.nii.gz", np.minimum(sides, 1))
    arguments = ["evaluate", "--data", str(tmp_path / "truth"), "--predictions", str(tmp_path / "rival")]
    arguments += ["-o", str(tmp_path / "out"), "--structure", "lungs", "--json", "--no-surfaces"]
    assert main([*arguments, "--label", "right lung=1", "--label", "left lung=2"]) == 0
    record = json.loads(capsys.readouterr().out)
    found = {one["structure"]: one["metrics"][0]["mean"] for one in record["structures"]}
    assert found["left lung"] == 0.0
    assert found["right lung"] == pytest.approx(2 / 3, abs=0.05)
    assert record["structures"][1]["one_empty"] == 1


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["--predictions", "nowhere"], 3, "not a folder"),
        (["--predictions", ".", "--model", "lungs-infection"], 2, "have nothing to do there"),
        (["--label", "right lung=1"], 2, "needs --predictions"),
        (["--threshold", "infection=2"], 2, "expected NAME=VALUE"),
        (["--folds", "first"], 2, "expected numbers with commas"),
        (["--folds", "9"], 2, "no fold 9"),
        (["--model", "nothing"], 2, "no model at nothing"),
        (["--structure", "heart"], 2, "heart"),
    ],
)
def test_wrong_usage(
    more: list[str], code: int, text: str, slices: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--data", str(slices), "-o", str(tmp_path / "out"), "-q", *more]) == code
    assert text in " ".join(capsys.readouterr().err.split())


def test_every_published_row_has_its_protocol() -> None:
    assert len(published()) >= 15
    for row in published():
        assert row.dice is not None
        assert 0.5 < row.dice < 1.0
        assert len(row.protocol) > 10
        assert row.source


def test_only_numbers_stay_of_a_volume(slices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays of a volume is its numbers: two histograms a structure, no pixel."""
    monkeypatch.setattr("groundglass.evaluation.results.save", lambda record, folder: None)
    record = evaluate(read_data(slices), painter(), tmp_path, OPTIONS)
    for volume in record.volumes:
        assert len(volume.model_dump_json()) < 12_000


def test_the_shipped_network_on_unseen_volumes(shared_data: Path, tmp_path: Path) -> None:
    """The numbers of the model card come out again through `evaluate`."""
    card = load_card()
    held = next((metric.cases for metric in card.metrics if metric.name == "infection Dice, covid20"), {})
    small = read_data(shared_data / "covid20")
    name = "radiopaedia_10_85902_1"
    if name in card.learned_from or name not in held:
        pytest.skip(f"the shipped network learned from {name}")
    from groundglass.inference.segment import SliceSegmenter

    data = replace(small, cases=tuple(case for case in small.cases if case.name == name))
    record = evaluate(data, NetworkPredictor.of(SliceSegmenter(card)), tmp_path, OPTIONS)
    score = record.volumes[0].of("infection")
    assert score is not None
    assert score.scores.dice == pytest.approx(held[name], abs=0.01)
