from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from groundglass.errors import OptionError, PresetError
from groundglass.image.stages import STAGES, classical_lungs

pytest.importorskip("torch")
import torch

from groundglass.training.classification.dataset_page import _draw_twins, grouped, write_dataset_page
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.splits import find_twins
from groundglass.training.classification.study import (
    COLUMNS,
    CONFIGURATIONS,
    Row,
    best_of_each,
    load_grid,
    markdown,
    runs_of,
    study,
)
from groundglass.training.classification.study_figures import draw_confusions


def lungs(images: list[np.ndarray]) -> list[np.ndarray]:
    return [classical_lungs(image) for image in images]


def write_grid(folder: Path, data: Path, **changes: str) -> Path:
    lines = {
        "data": f'"{data}"',
        "models": '["threeclass-simple"]',
        "stages": '["original", "lungs-masked"]',
        "configurations": '["baseline", "classw+dataaug"]',
        "epochs": "2",
        "size": "32",
        **changes,
    }
    path = folder / "grid.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in lines.items()))
    return path


def test_a_study_leaves_tables_figures_and_the_page_of_the_data(dataset: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    grid, out = load_grid(write_grid(tmp_path, dataset)), tmp_path / "out"
    told: list[tuple[str, int, int]] = []
    rows = study(grid, out, lungs=lungs, progress=lambda *report: told.append(report))  # type: ignore[arg-type]
    assert ("run 3 of 4: threeclass-simple-lungs-masked-baseline", 2, 2) in told
    assert [(row.stage, row.configuration) for row in rows] == [
        ("original", "baseline"),
        ("original", "classw+dataaug"),
        ("lungs-masked", "baseline"),
        ("lungs-masked", "classw+dataaug"),
    ]
    with (out / "table.csv").open() as handle:
        table = list(csv.DictReader(handle))
    assert len(table) == 4
    for line, row in zip(table, rows, strict=True):
        score = row.result["test"]["scores"]["macro F1"]["value"]
        assert float(line["test macro F1"]) == pytest.approx(score, abs=1e-4)
    best = max(rows, key=lambda row: row.rank)
    assert best_of_each(rows) == [best]
    assert f"| {best.model} | {best.stage}, {best.configuration} |" in (out / "table.md").read_text()
    assert "| slices (patients) | macro F1 | macro AUROC | COVID F1 | COVID AUROC |" in (out / "table.md").read_text()
    for name in ("confusion.png", "roc.png", "curves.png"):
        assert cv2.imread(str(out / name)) is not None
    page = (out / "dataset.html").read_text()
    assert "Data set: 26 slices" in page
    assert "<td>COVID<td>12<td>5" in page
    # Going on: nothing is trained again.
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("best.pt")}
    study(grid, out, lungs=lungs)  # type: ignore[arg-type]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("best.pt")} == stamps
    assert len(stamps) == 4
    (out / "runs" / "threeclass-simple-original-baseline" / "log.csv").unlink()
    with pytest.raises(OptionError, match=r"baseline/log\.csv is missing or damaged"):
        study(grid, out, lungs=lungs)  # type: ignore[arg-type]


def test_the_grid_is_the_product(tmp_path: Path) -> None:
    models, stages = '["covid-cnn", "threeclass-cbr-tiny"]', str(list(STAGES)).replace("'", '"')
    configurations = str(list(CONFIGURATIONS)).replace("'", '"')
    path = write_grid(tmp_path, tmp_path, models=models, stages=stages, configurations=configurations)
    runs = list(runs_of(load_grid(path)))
    assert len(runs) == 2 * 5 * 4
    assert {(p.class_weights, p.augmentation) for p, *_ in runs} == {
        (a, b) for a in (True, False) for b in (True, False)
    }
    assert {p.epochs for p, *_ in runs} == {2}


def test_a_wrong_grid_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(PresetError, match=r"stages\.0"):
        load_grid(write_grid(tmp_path, tmp_path, stages='["cropped"]'))
    with pytest.raises(PresetError, match="cannot be read"):
        load_grid(tmp_path / "nothing.toml")
    with pytest.raises(PresetError, match="no preset named 'resnet'"):
        list(runs_of(load_grid(write_grid(tmp_path, tmp_path, models='["resnet"]'))))


def test_models_in_files_lie_beside_the_grid_and_have_names_of_their_own(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.toml").write_text('base = "threeclass-simple"\n')
    path = write_grid(tmp_path, tmp_path, models='["a/net.toml", "covid-cnn"]')
    assert load_grid(path).models == [str(tmp_path / "a" / "net.toml"), "covid-cnn"]
    assert {model for _, model, *_ in runs_of(load_grid(path))} == {"net", "covid-cnn"}
    with pytest.raises(PresetError, match=r"no preset file .*c/net\.toml"):
        list(runs_of(load_grid(write_grid(tmp_path, tmp_path, models='["c/net.toml"]'))))
    with pytest.raises(PresetError, match=r"two models of the study are called net .*rename the file"):
        list(runs_of(load_grid(write_grid(tmp_path, tmp_path, models='["a/net.toml", "b/net.toml"]'))))


def scored(model: str = "model", **changes: object) -> Row:
    """A run with scores that are easily cut wrongly."""
    scores = {name: {"value": 0.16666, "interval": [0.09999, 0.25555]} for name in COLUMNS}
    part = {"scores": scores, "confusion": [[1, 0], [0, 1]]}
    counts = {"slices": {"val": 9, "test": 9}, "patients": {"val": 4, "test": 0}}
    return Row(model, "original", "baseline", Path(model), {"val": part, "test": part, **counts, **changes})


def test_the_table_rounds_and_says_whose_slices_it_counts() -> None:
    told = markdown([scored()])
    assert "| 9 (4) | 0.167 (0.100 to 0.256) |" in told
    assert "95 % intervals by patient;" in told
    assert "near twins" not in told
    told = markdown([scored(slices_without_patient={"val": 2, "test": 9}, near_twins_left_out=3)])
    assert "| 9 (4, and 2 slices of unknown ones) |" in told
    assert "| 9 (unknown) |" in told
    assert "by patient;" not in told
    assert "a slice of an unknown patient by itself: too narrow" in told
    assert "near twins of slices in another part: 3 slices (`runs/*/twins.csv`)" in told


def test_the_page_of_several_sources_tells_them_apart_and_draws_twins(dataset: Path, tmp_path: Path) -> None:
    own = read_data(dataset)
    covid = [one for one in own if one.label == "COVID"]
    # The names of the first source with pictures in another order: names alone do not say which picture is meant.
    names = [one.name for one in covid][::-1]
    other = [replace(one, source="other", patient=None, name=name) for one, name in zip(covid, names, strict=True)]
    both = [*own, *other]
    assert list(grouped(own)) == ["COVID", "Normal", "OtherPneumonia"]
    groups = grouped(both)
    assert list(groups) == ["COVID, made", "COVID, other", "Normal, made", "OtherPneumonia, made"]
    assert sum(len(members) for members in groups.values()) == len(both)
    page = write_dataset_page(both, tmp_path).read_text()
    assert f"<td>all<td><td><td>{len(both)}<td>15, and {len(other)} slices of unknown ones" in page
    assert "alt='pairs of nearly the same picture'" in page
    assert f"<td>made<td>{covid[0].name}<td>other<td>{other[0].name}<td>0" in page
    (twin,) = find_twins(covid[:1], other[:1])
    upper, lower = (axis.images[0].get_array() for axis in _draw_twins([twin]).axes)
    np.testing.assert_array_equal(upper, lower)
    assert f"<td>other<td>not given<td>COVID<td>{len(other)}<td>unknown" in page
    alone = write_dataset_page(own[:1], tmp_path).read_text()
    assert "<p>None.</p>" in alone


def test_matrices_without_slices_of_a_class_say_so(tmp_path: Path) -> None:
    part = {"confusion": [[3, 1, 0], [0, 2, 0], [0, 0, 0]], "scores": {}}
    result = {"classes": ["COVID", "OtherPneumonia", "Normal"], "test": part}
    draw_confusions([Row("model", "original", "baseline", tmp_path, result)], tmp_path / "one.png")
    part["confusion"] = [[3, 1, 0], [0, 2, 0], [0, 0, 5]]
    draw_confusions([Row("model", "original", "baseline", tmp_path, result)], tmp_path / "two.png")
    one, two = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("one", "two"))
    assert one is not None
    assert two is not None
    assert one.min(axis=2)[: one.shape[0] // 2].mean() == pytest.approx(
        two.min(axis=2)[: two.shape[0] // 2].mean(), rel=0.02
    )
    assert one[one.shape[0] // 2 :].mean() > two[two.shape[0] // 2 :].mean() + 2
