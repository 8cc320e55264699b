"""The slices of a run: what is watched can be judged, and what will be scored is in neither part."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import cv2
import numpy as np

from groundglass.errors import DatasetError, LeakageError
from groundglass.progress import silent
from groundglass.training.material import Material, gather
from groundglass.training.presets import load_preset
from groundglass.training.presets.model import Preset
from groundglass.training.run import TrainOptions
from groundglass.training.sources.volume import LabelledVolume
from groundglass.training.splits import split_volumes
from groundglass.training.steps.preparation import DropEmptySlices
from tests.training.pictures import write_pictures


def found(
    preset: Preset, data: Path, folds: tuple[int, ...] | None = None, options: TrainOptions | None = None
) -> Material:
    cache = data.parent / f"cache of {data.name}"
    return gather(preset, data, cache, folds=folds, options=options or TrainOptions(), progress=silent)


def without_lungs(data: Path, patients: tuple[int, ...]) -> Path:
    for patient in patients:
        for path in (data / "lung").glob(f"p{patient}_*"):
            path.unlink()
    return data


def only(preset: Preset, *channels: str) -> Preset:
    return preset.model_copy(update={"channels": channels})


@pytest.mark.parametrize("patient", [0, 2])
def test_pictures_of_the_scored_fold_are_in_no_other(patient: int, tiny: Path, tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", size=96)
    preset, options = load_preset(tiny), TrainOptions(test_folds=(1,))
    material = found(preset, data, (0,), options)
    assert {volume.name for volume in (*material.learn, *material.watch)} == {"v0", "v2"}
    for index in range(3):
        shutil.copy(data / "ct" / f"p1_{index}.png", data / "ct" / f"p{patient}_{index}.png")
    use = "learned from" if f"v{patient}" in {volume.name for volume in material.learn} else "validated on"
    with pytest.raises(LeakageError, match=rf"of 'v{patient}', which is {use}, .*of 'v1', which is scored afterwards"):
        found(preset, data, (0,), options)


def test_a_scored_fold_that_is_only_watched_is_no_leak(tiny: Path, tmp_path: Path) -> None:
    preset = load_preset(tiny)
    preset = preset.model_copy(update={"schedule": preset.schedule.model_copy(update={"keep": "last"})})
    material = found(preset, write_pictures(tmp_path / "data"), (0,), TrainOptions(test_folds=(1,)))
    assert [volume.name for volume in material.watch] == ["v1", "v3"]


def test_a_volume_without_slices_is_not_validated_on(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_pictures(tmp_path / "data")
    for path in (data / "infection").glob("p1_*"):
        cv2.imwrite(str(path), np.zeros((48, 48), np.uint8))
    steps = {"preparation": (DropEmptySlices(channel="infection"),)}
    material = found(load_preset(tiny).model_copy(update=steps), data, options=TrainOptions(validation_folds=(1,)))
    assert [volume.name for volume in material.watch] == ["v3"]
    assert "no slice is left after the preparation: v1" in caplog.text


def test_validation_that_can_judge_nothing_is_refused(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="groundglass.training")
    data = without_lungs(write_pictures(tmp_path / "data"), (1, 3))
    options = TrainOptions(validation_folds=(1,))
    with pytest.raises(DatasetError, match=r"nothing can be validated: none of the volumes v1, v3 .* lung labelled"):
        found(only(load_preset(tiny), "lung"), data, options=options)
    assert found(load_preset(tiny), data, options=options).watch
    assert "no volume to validate on has all of lung labelled" in caplog.text


@pytest.mark.parametrize("seed", range(4))
def test_patients_who_can_be_judged_are_drawn(seed: int, tiny: Path, tmp_path: Path) -> None:
    data = without_lungs(write_pictures(tmp_path / "data", patients=6, folds=None), (0, 1, 2, 3))
    material = found(only(load_preset(tiny), "lung"), data, options=TrainOptions(seed=seed))
    (watched,) = material.watch
    assert watched.name in {"v4", "v5"}


def test_every_channel_is_watched_where_two_patients_show_it() -> None:
    volumes = [LabelledVolume(name, name, 0, "pictures", (), list) for name in "abcdefgh"]
    shows = {"a": {"lung"}, "b": {"lung"}, "c": {"infection"}, "d": {"infection"}, "e": {"consolidation"}}
    for seed in range(5):
        _, watch = split_volumes(volumes, None, None, share=0.25, seed=seed, shows=shows)
        assert {channel for one in watch for channel in shows[one.name]} == {"lung", "infection"}
        everywhere = {one.name: {"lung"} for one in volumes}
        drawn = split_volumes(volumes, None, None, share=0.25, seed=seed, shows=everywhere)
        assert drawn == split_volumes(volumes, None, None, share=0.25, seed=seed)


def test_the_digest_follows_the_data_and_not_their_place(tiny: Path, tmp_path: Path) -> None:
    data, preset = write_pictures(tmp_path / "data"), load_preset(tiny)
    first = found(preset, data)
    shutil.copytree(data, tmp_path / "moved")
    assert found(preset, tmp_path / "moved").digest == first.digest
    assert replace(first, watch=[]).digest != first.digest
    table = data / "slices.csv"
    rows = list(csv.DictReader(table.read_text().splitlines()))
    for column, changed in (("patient", {"p0": "other"}), ("fold", {"0": "1", "1": "0"})):
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, column: changed.get(row[column], row[column])} for row in rows)
        assert found(preset, data).digest != first.digest, column
