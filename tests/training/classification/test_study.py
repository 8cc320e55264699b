from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from groundglass.errors import PresetError
from groundglass.image.stages import STAGES, classical_lungs

pytest.importorskip("torch")
import torch

from groundglass.training.classification.dataset_page import grouped, write_dataset_page
from groundglass.training.classification.readers import read_data
from groundglass.training.classification.study import CONFIGURATIONS, Row, best_of_each, load_grid, runs_of, study
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
    rows = study(grid, out, lungs=lungs)  # type: ignore[arg-type]
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
    assert "| slices (patients) |" in (out / "table.md").read_text()
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


def test_the_page_of_several_sources_tells_them_apart_and_draws_twins(dataset: Path, tmp_path: Path) -> None:
    own = read_data(dataset)
    other = [replace(one, source="other", patient=None, name=f"{one.name}+") for one in own if one.label == "COVID"]
    both = [*own, *other]
    assert list(grouped(own)) == ["COVID", "Normal", "OtherPneumonia"]
    groups = grouped(both)
    assert list(groups) == ["COVID, made", "COVID, other", "Normal, made", "OtherPneumonia, made"]
    assert sum(len(members) for members in groups.values()) == len(both)
    page = write_dataset_page(both, tmp_path).read_text()
    assert f"<td>all<td><td><td>{len(both)}<td>15, and {len(other)} slices of unknown ones" in page
    assert "alt='pairs of nearly the same picture'" in page
    assert f"<td>{other[0].name}<td>0" in page
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
