"""Data: every layout is read, slices stream from the cache, splits are by patient and refuse leaks."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import cv2
import nibabel
import numpy as np

from groundglass.errors import DatasetError, LeakageError, OptionError, OutputError
from groundglass.training.cache import CachedVolume, cached
from groundglass.training.data import Numbers, Plan, TrainingSlices, WeightedDraw
from groundglass.training.presets import load_preset
from groundglass.training.presets.model import SourceChoice
from groundglass.training.sample import CONSOLIDATION, INFECTION, LUNG
from groundglass.training.sources.find import find_volumes, recognise
from groundglass.training.sources.research import lung2d, medseg
from groundglass.training.sources.volume import LabelledVolume
from groundglass.training.splits import check_leaks, split_volumes, with_folds
from groundglass.training.steps.preparation import HuWindow, LungCrop, Resize
from tests.support.dicom import write_series
from tests.support.network import PLAIN, bright_network, with_card
from tests.training.pictures import chest, write_pictures


def scan(depth: int = 4, size: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, lungs and infection, (x, y, z) in RAS+; z from the feet."""
    planes = [chest(size, seed=seed * 50 + z) for z in range(depth)]
    return tuple(np.stack([p[i][::-1, ::-1].T for p in planes], axis=2) for i in range(3))  # type: ignore[return-value]


def save(array: np.ndarray, path: Path, affine: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.astype(np.int16), np.eye(4) if affine is None else affine), path)


def public_set(folder: Path, kaggle: bool) -> Path:
    """Two volumes of the 20-volume set as Kaggle or Zenodo name them."""
    kaggle_names = {
        "ct": "ct_scans",
        "lung": "lung_mask",
        "infection": "infection_mask",
        "both": "lung_and_infection_mask",
    }
    zenodo = {"ct": "COVID-19-CT-Seg_20cases", "lung": "Lung_Mask", "infection": "Infection_Mask"}
    places = kaggle_names if kaggle else {**zenodo, "both": "Lung_and_Infection_Mask"}
    cases = (
        ("coronacases_001", "coronacases_org_001"),
        ("radiopaedia_10_85902_1", "radiopaedia_org_covid-19-pneumonia-10_85902_1"),
    )
    rows, end = [], ".nii" if kaggle else ".nii.gz"
    for number, (plain, long) in enumerate(cases):
        hu, lungs, infection = scan(seed=number)
        maps = {"ct": hu, "lung": lungs, "infection": infection, "both": np.where(infection, 3, lungs)}
        names = {key: f"{long if kaggle and key == 'ct' else plain}{end}" for key in maps}
        for key, array in maps.items():
            # The headers of the real set place some masks elsewhere.
            save(array, folder / places[key] / names[key], np.diag([1.0, 1.0, 2.0 if key == "lung" else 1.0, 1.0]))
        rows.append(
            {
                f"{column}": f"../input/covid19-ct-scans/{places[key]}/{names[key]}"
                for key, column in (
                    ("ct", "ct_scan"),
                    ("lung", "lung_mask"),
                    ("infection", "infection_mask"),
                    ("both", "lung_and_infection_mask"),
                )
            }
        )
    if kaggle:
        with (folder / "metadata.csv").open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


@pytest.mark.parametrize("kaggle", [True, False], ids=["kaggle", "zenodo"])
def test_the_public_set_is_read_as_downloaded(kaggle: bool, tmp_path: Path) -> None:
    volumes = recognise(public_set(tmp_path, kaggle))
    assert [volume.name for volume in volumes] == ["coronacases_001", "radiopaedia_10_85902_1"]
    assert [volume.patient for volume in volumes] == ["coronacases_001", "radiopaedia_10"]
    samples = volumes[0].load()
    hu, lung, lesion = chest(40, seed=3)
    assert len(samples) == 4
    np.testing.assert_array_equal(samples[0].image, hu)
    np.testing.assert_array_equal(samples[0].masks[LUNG], lung)
    np.testing.assert_array_equal(samples[0].masks[INFECTION], lesion)
    assert samples[0].kind == "hu"


def test_a_windowed_volume_is_a_picture(tmp_path: Path) -> None:
    _, lungs, _ = scan()
    save(np.where(lungs, 40, 180), tmp_path / "a" / "ct.nii.gz")
    save(lungs, tmp_path / "a" / "lungs.nii.gz")
    assert {sample.kind for sample in recognise(tmp_path)[0].load()} == {"picture"}


def test_case_folders_and_label_maps_with_consolidation(tmp_path: Path) -> None:
    hu, _, infection = scan()
    save(hu, tmp_path / "p1" / "ct.nii.gz")
    save(infection * 2, tmp_path / "p1" / "infection.nii.gz")
    (sample, *_) = recognise(tmp_path)[0].load()
    assert sample.masks[CONSOLIDATION].any()
    np.testing.assert_array_equal(sample.known[LUNG], sample.masks[INFECTION])


def test_a_label_map_elsewhere_is_refused(tmp_path: Path) -> None:
    hu, lungs, _ = scan()
    save(hu, tmp_path / "p1" / "ct.nii.gz")
    save(lungs, tmp_path / "p1" / "lungs.nii.gz", np.diag([1.0, 1.0, 3.0, 1.0]))
    with pytest.raises(DatasetError, match=r"lungs\.nii\.gz.*does not lie on the grid"):
        recognise(tmp_path)[0].load()


def test_a_list_of_scans_with_a_nifti(tmp_path: Path) -> None:
    hu, lungs, _ = scan()
    save(hu, tmp_path / "x" / "scan7.nii.gz")
    save(lungs, tmp_path / "x" / "map.nii.gz")
    (tmp_path / "scans.csv").write_text("ct,patient,lungs,fold\nx/scan7.nii.gz,anna,x/map.nii.gz,2\n")
    (volume,) = recognise(tmp_path)
    assert (volume.patient, volume.fold) == ("anna", 2)
    assert volume.load()[0].known[LUNG].all()
    (tmp_path / "scans.csv").write_text("ct,patient,lungs\nx/scan7.nii.gz,anna,x/none.nii.gz\n")
    with pytest.raises(DatasetError, match=r"row 2.*none\.nii\.gz not found"):
        recognise(tmp_path)


def test_a_dicom_folder_with_a_label_map(tmp_path: Path) -> None:
    hu, lungs, _ = scan()
    affine = np.diag([0.8, 0.8, 2.5, 1.0])
    write_series(tmp_path / "p1" / "ct", hu, affine)
    save(lungs, tmp_path / "p1" / "lungs.nii.gz", affine)
    (volume,) = recognise(tmp_path)
    samples = volume.load()
    assert len(samples) == len(volume.files) - 1 == 4
    np.testing.assert_array_equal(samples[0].image, hu[::-1, ::-1, 3].T)
    np.testing.assert_array_equal(samples[0].masks[LUNG], lungs[::-1, ::-1, 3].T)


def test_pictures_with_masks_named_in_the_table(tmp_path: Path) -> None:
    hu, lung, _ = chest(40)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), (hu.astype(np.int32) + 1024).astype(np.uint16))
    cv2.imwrite(str(tmp_path / "drawn.png"), lung.astype(np.uint8))
    (tmp_path / "images.csv").write_text("file,patient,lung\na.png,p,drawn.png\n")
    (sample,) = recognise(tmp_path)[0].load()
    assert sample.kind == "hu"
    np.testing.assert_array_equal(sample.image, np.clip(hu, -1024, None))
    np.testing.assert_array_equal(sample.masks[LUNG], lung)
    assert not sample.known[INFECTION][lung].any()
    assert sample.known[INFECTION][0].all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file\nv0.png\n", "expected 'patient'"),
        ("file,patient\nnone.png,p\n", "none.png is in none of"),
        ("file,patient,fold\np0_0.png,p,one\n", "fold 'one'"),
        ("file,patient,volume\np0_0.png,p,v\np0_1.png,q,v\n", "one patient and one fold"),
    ],
)
def test_a_wrong_table_is_explained(text: str, words: str, pictures: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pictures, copy)
    (copy / "slices.csv").write_text(text)
    with pytest.raises(DatasetError, match=words):
        recognise(copy)


def test_two_labelled_sets_are_both_learned_from(tmp_path: Path) -> None:
    for name in ("ours", "theirs"):
        folder = write_pictures(tmp_path / "both" / name, patients=2, slices=3)
        table = folder / "slices.csv"
        head, *rows = table.read_text().splitlines()
        place = head.split(",").index("volume")
        marked = [
            ",".join(f"{name}-{part}" if at == place else part for at, part in enumerate(row.split(",")))
            for row in rows
        ]
        table.write_text("\n".join([head, *marked]) + "\n")
    choices = (SourceChoice(folder="ours", weight=3.0), SourceChoice(folder="theirs", weight=1.0))
    found = find_volumes(tmp_path / "both", choices)
    assert {name: len(volumes) for name, volumes in found.items()} == {"labelled in ours": 2, "labelled in theirs": 2}


def test_a_folder_without_data_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no training data found.*slices\.csv"):
        find_volumes(tmp_path, (SourceChoice(),))
    with pytest.raises(DatasetError, match="no data folder"):
        find_volumes(tmp_path / "absent", (SourceChoice(),))
    # As an archive may unpack them.
    public_set(tmp_path / "data" / "covid19-ct-scans", kaggle=True)
    with pytest.raises(DatasetError, match=r"one folder deeper: give .*covid19-ct-scans"):
        find_volumes(tmp_path / "data", (SourceChoice(),))


def test_the_cache_gives_back_what_was_prepared(pictures: Path, tmp_path: Path) -> None:
    volume = recognise(pictures)[1]
    stored = cached(volume, (), tmp_path)
    for index, sample in enumerate(volume.load()):
        again = stored.read(index)
        np.testing.assert_array_equal(again.image, sample.image)
        np.testing.assert_array_equal(again.masks, sample.masks)
        np.testing.assert_array_equal(again.known, sample.known)
        assert (again.kind, again.name, again.group) == (sample.kind, sample.name, sample.group)


def test_another_process_may_prepare_a_volume_faster(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, rename = recognise(pictures)[0], os.rename

    def second(source: Path, target: Path) -> None:
        shutil.copytree(source, target)  # the other process, a moment before
        rename(source, target)

    monkeypatch.setattr("groundglass.training.cache.os.rename", second)
    stored = cached(volume, (), tmp_path / "cache")
    assert stored.slices == cached(volume, (), tmp_path / "alone").slices
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [stored.folder.name]


def test_the_cache_follows_content_and_steps(pictures: Path, tmp_path: Path) -> None:
    loads: list[str] = []
    volume = recognise(pictures)[0]

    def counting() -> list:
        loads.append(volume.name)
        return volume.load()

    counted = replace(volume, load=counting)
    first = cached(counted, (), tmp_path)
    assert cached(counted, (), tmp_path) == first
    assert len(loads) == 1
    resized = cached(counted, (HuWindow(), Resize(size=32)), tmp_path)
    assert resized.slices[0].rows == 32
    assert len(loads) == 2
    assert not list(tmp_path.glob(".partial*"))


def test_the_cache_follows_the_network_that_finds_the_lungs(pictures: Path, tmp_path: Path) -> None:
    volume, folders = recognise(pictures)[0], []
    for level in (100, 140, 100):
        place = with_card(tmp_path / "run", bright_network(level=level), ["lung"], preprocessing=PLAIN)
        folders.append(cached(volume, (LungCrop(lungs=str(place)),), tmp_path / "cache").folder)
    assert folders[0] != folders[1]
    assert folders[0] == folders[2]


def test_half_a_cached_volume_is_never_found(pictures: Path, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def broken() -> list:
        raise StoppedError

    with pytest.raises(StoppedError):
        cached(replace(recognise(pictures)[0], load=broken), (), tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        cached(recognise(pictures)[0], (), tmp_path / "file" / "cache")


MEMORY = """
import sys, tracemalloc
from pathlib import Path
import numpy as np
from groundglass.training.cache import cached
from groundglass.training.data import Plan, TrainingSlices
from groundglass.training.presets import load_preset
from groundglass.training.sources.find import recognise
import groundglass.training.steps.preparation, cv2
volumes = recognise(Path(sys.argv[1]))
preset = load_preset(Path(sys.argv[2]))
tracemalloc.start()
stored = [cached(volume, preset.preparation, Path(sys.argv[3])) for volume in volumes]
slices = TrainingSlices(preset, {"labelled": stored}, Plan(2, (32,), 0), 0)
for index in range(len(slices)):
    slices.example(index)
print(tracemalloc.get_traced_memory()[1])
"""


def test_memory_does_not_grow_with_the_number_of_volumes(tiny: Path, tmp_path: Path) -> None:
    peaks = []
    for count in (5, 50):
        folder = write_pictures(tmp_path / f"data{count}", patients=count, slices=4, size=256)
        command = [sys.executable, "-c", MEMORY, str(folder), str(tiny), str(tmp_path / f"cache{count}")]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    # 45 more volumes of four slices with their labels would be 80 MB; only their names may add to the peak.
    assert peaks[1] < peaks[0] + 2_000_000


def stored(folder: Path, cache: Path) -> list[CachedVolume]:
    return with_folds([cached(volume, (), cache) for volume in recognise(folder)])


def test_folds_are_dealt_by_patient(tmp_path: Path) -> None:
    def volume(name: str, patient: str, fold: int | None = None) -> LabelledVolume:
        return LabelledVolume(name, patient, fold, "pictures", (), list)

    placed = with_folds([volume(f"{p}{k}", p) for p in "abcdefgh" for k in range(2)])
    by_patient = {one.patient: {other.fold for other in placed if other.patient == one.patient} for one in placed}
    assert all(len(folds) == 1 for folds in by_patient.values())
    assert sorted(str(next(iter(folds))) for folds in by_patient.values()) == list("00112233")
    with pytest.raises(DatasetError, match="has no fold"):
        with_folds([volume("a", "a", 0), volume("b", "b")])


def test_a_split_separates_patients_and_leaves_other_folds_alone(pictures: Path, tmp_path: Path) -> None:
    volumes = stored(pictures, tmp_path)
    learn, watch = split_volumes(volumes, (0,), None, share=0.5)
    assert {volume.fold for volume in (*learn, *watch)} == {0}
    assert len(learn) == len(watch) == 1
    learn, watch = split_volumes(volumes, (0,), None, share=None)
    assert {volume.fold for volume in watch} == {1}
    check_leaks(learn, watch)
    with pytest.raises(OptionError, match="on one side"):
        split_volumes(volumes, (0,), (0,), share=None)
    with pytest.raises(OptionError, match="no patient is left"):
        split_volumes(volumes, (), (0,), share=None)


def test_a_patient_on_both_sides_is_refused(pictures: Path, tmp_path: Path) -> None:
    volumes = stored(pictures, tmp_path)
    with pytest.raises(LeakageError, match=r"patient 'p0'.*'v0'.*'v9'"):
        check_leaks(volumes, [replace(volumes[0], name="v9")])


def copies(name: str, picture: np.ndarray) -> np.ndarray:
    if name == "jpeg":
        code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
        return np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE))
    if name == "smaller":
        return np.asarray(cv2.resize(picture, (150, 150), interpolation=cv2.INTER_AREA))
    if name == "brighter":
        return np.clip(picture * 1.15 + 10, 0, 255).astype(np.uint8)
    return picture


@pytest.mark.parametrize("change", ["the same", "jpeg", "smaller", "brighter"])
def test_the_same_picture_of_another_patient_is_refused(change: str, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", patients=2, slices=1, size=192)
    twin = tmp_path / "twin"
    write_pictures(twin, patients=1, slices=1, folds=None, first_seed=9000)
    picture = np.asarray(cv2.imread(str(pictures / "ct" / "p1_0.png"), cv2.IMREAD_GRAYSCALE))
    altered = copies(change, picture)
    for name in ("ct", "lung", "infection"):
        cv2.imwrite(str(twin / name / "p0_0.png"), altered)
    (twin / "slices.csv").write_text("file,patient,volume\np0_0.png,other,twin\n")
    (copy,) = stored(twin, tmp_path / "cache")
    with pytest.raises(LeakageError, match=r"'p1_0\.png' of 'v1'.*'p0_0\.png' of 'twin'"):
        check_leaks(stored(pictures, tmp_path / "cache"), [copy])


def test_other_patients_are_no_leak(pictures: Path, tmp_path: Path) -> None:
    others = write_pictures(tmp_path / "others", patients=3, first_seed=7000, folds=None)
    strangers = [replace(volume, patient=f"other {volume.patient}") for volume in stored(others, tmp_path / "cache")]
    known = stored(pictures, tmp_path / "cache")
    assert not {volume.patient for volume in known} & {volume.patient for volume in strangers}
    check_leaks(known, strangers)
    # The same volumes under a known patient's name are a leak: it is the patient that was looked at.
    with pytest.raises(LeakageError, match=known[0].patient):
        check_leaks(known, [replace(strangers[0], patient=known[0].patient)])


def test_an_example_depends_on_its_number_alone(pictures: Path, tiny: Path, tmp_path: Path) -> None:
    sources = {"labelled": stored(pictures, tmp_path)}
    one, two = (TrainingSlices(load_preset(tiny), sources, Plan(2, (32,), 0), 4) for _ in range(2))
    for index in (17, 3, 30, 4):
        one[index]
    for ours, theirs in zip(one[5], two[5], strict=True):
        assert (ours == theirs).all()
        assert ours.shape[1:] == (32, 32)
    names = [two.example(index).name for index in range(len(two))]
    assert len(set(names)) == len(two) == 12
    assert names != [two.example(index + 12).name for index in range(12)]


def test_small_volumes_are_not_crowded_out(pictures: Path, tmp_path: Path) -> None:
    volumes = stored(pictures, tmp_path)[:2]
    many = replace(volumes[1], slices=volumes[1].slices[:1] * 300)
    draw = WeightedDraw({"labelled": [volumes[0], many]}, {"labelled": 1.0})
    np.testing.assert_allclose(sorted(draw.group_shares["labelled"]), [1 / 11, 10 / 11])


def test_sides_and_numbers_follow_the_step() -> None:
    plan = Plan(4, (192, 256), 60)
    assert [plan.size_at(step) for step in (0, 59, 60, 99)] == [192, 192, 256, 256]
    shares = [Numbers(4, 3, rank, 2) for rank in (0, 1)]
    for numbers in shares:
        numbers.set_epoch(2)
    assert [len(numbers) for numbers in shares] == [6, 6]
    assert sorted([*shares[0], *shares[1]]) == list(range(24, 36))


@pytest.mark.parametrize("name", ["medseg", "lung2d"])
def test_held_out_parts_share_nothing_with_the_training_set(shared_data: Path, name: str) -> None:
    read = {
        "medseg": lambda held: medseg(shared_data, held_out=held, size=64),
        "lung2d": lambda held: lung2d(shared_data, held),
    }
    apart, learned = ({sample.group for sample in read[name](held)} for held in (True, False))
    assert apart
    assert learned
    assert not apart & learned


def test_the_real_set_splits_without_a_leak(shared_data: Path, tmp_path: Path) -> None:
    volumes = [volume for volume in recognise(shared_data / "covid20") if len(volume.files) < 110]
    assert len({volume.patient for volume in volumes}) < len(volumes)
    prepared = [cached(volume, (), tmp_path) for volume in volumes]
    learn, watch = split_volumes(prepared, None, (0,), share=None)
    assert learn
    assert watch
    check_leaks(learn, watch)
