"""The synthetic chest: deterministic, asymmetric, with the volumes it says."""

from __future__ import annotations

import hashlib
from itertools import product

import numpy as np
import pytest

from groundglass.errors import OptionError
from groundglass.geometry import Geometry
from groundglass.phantom import HEALTHY, ChestOptions, LesionRequest, Phantom, make_chest
from groundglass.phantom.chest import STANDARD_SHAPE, STANDARD_SPACING, standard_grid

SMALL = (96, 96, 40)
TINY = (56, 56, 28)


def digest(phantom: Phantom) -> str:
    parts = (phantom.volume.values, phantom.lungs.labels, phantom.infection.labels, phantom.lesion_index)
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


def test_the_same_seed_gives_the_same_voxels(phantom: Phantom) -> None:
    assert digest(make_chest(4, shape=SMALL)) == digest(phantom)


def test_another_seed_gives_another_patient(phantom: Phantom) -> None:
    other = make_chest(5, shape=SMALL)
    assert digest(other) != digest(phantom)
    assert [lesion.ml for lesion in other.lesions] != [lesion.ml for lesion in phantom.lesions]


@pytest.mark.parametrize("flips", [flips for flips in product((1, -1), repeat=3) if flips != (1, 1, 1)])
def test_no_flip_leaves_it_as_it_is(phantom: Phantom, flips: tuple[int, int, int]) -> None:
    turned = tuple(slice(None, None, flip) for flip in flips)
    body, lungs = phantom.volume.values > -300, phantom.lungs.labels
    assert np.mean(body[turned] != body) > 0.02
    assert np.count_nonzero((lungs[turned] > 0) & (lungs > 0)) < 0.95 * np.count_nonzero(lungs)


def test_the_standard_grid_covers_the_chest_in_ras() -> None:
    grid = standard_grid(None, None)
    assert (grid.shape, grid.spacing) == (STANDARD_SHAPE, STANDARD_SPACING)
    volume = make_chest(0, shape=TINY).volume
    assert volume.geometry.orientation == "RAS"
    extent = np.array(volume.geometry.shape) * volume.geometry.spacing
    assert extent == pytest.approx([368, 368, 310])


def test_requested_lesions_have_their_volume_side_and_zone() -> None:
    wanted = (
        LesionRequest("right", "lower", "ground-glass with consolidation", 90.0),
        LesionRequest("left", "upper", "ground-glass", 25.0),
        LesionRequest("left", "lower", "crazy paving", 40.0),
    )
    made = make_chest(2, shape=SMALL, options=ChestOptions(lesions=wanted))
    voxel = made.volume.geometry.voxel_ml
    for request, lesion in zip(wanted, made.lesions, strict=True):
        assert lesion.ml == pytest.approx(request.ml, abs=voxel)
        assert (lesion.side, lesion.zone, lesion.kind) == (request.side, request.zone, request.kind)
    assert made.lesions[0].consolidation_ml == pytest.approx(0.30 * 90, rel=0.02)
    assert made.lesions[1].consolidation_ml == 0
    total = made.infection.volume_ml(1) + made.infection.volume_ml(2)
    assert total == pytest.approx(155, abs=3 * voxel)
    assert made.infection.volume_ml(2) == pytest.approx(made.lesions[0].consolidation_ml)


def test_lesions_lie_in_the_lung_they_name(phantom: Phantom) -> None:
    labels = {"right": 1, "left": 2}
    for number, lesion in enumerate(phantom.lesions, start=1):
        inside = phantom.lungs.labels[phantom.lesion_index == number]
        assert inside.size > 0
        assert (inside == labels[lesion.side]).all()
        assert inside.size * phantom.volume.geometry.voxel_ml == pytest.approx(lesion.ml)
    assert ((phantom.infection.labels > 0) == (phantom.lesion_index > 0)).all()
    assert {lesion.side for lesion in phantom.lesions} == {"right", "left"}


def test_the_right_lung_is_larger_and_on_the_patients_right(phantom: Phantom) -> None:
    right, left = phantom.lungs.volume_ml(1), phantom.lungs.volume_ml(2)
    assert 2000 < left < right < 3300
    geometry: Geometry = phantom.lungs.geometry
    for label, sign in ((1, 1), (2, -1)):
        middle = geometry.world(np.argwhere(phantom.lungs.labels == label).mean(axis=0))
        assert sign * middle[0] > 40


def test_the_heart_lies_left_and_the_right_diaphragm_higher(phantom: Phantom) -> None:
    geometry, values = phantom.volume.geometry, phantom.volume.values
    heart = geometry.index([(-55, 30, 115), (50, 30, 115)]).round().astype(int)
    assert values[tuple(heart[0])] > -100
    assert values[tuple(heart[1])] < -600
    domes = []
    for x in (68, -68):
        i, j, _ = geometry.index((x, 8, 0)).round().astype(int)
        domes.append(int(np.flatnonzero(phantom.lungs.labels[i, j]).min()))
    assert domes[0] > domes[1]


def tissue(phantom: Phantom, place: tuple[float, float, float], reach: int = 1) -> float:
    """Mean HU in a small box around a body position."""
    x, y, z = phantom.volume.geometry.index(place).round().astype(int)
    box = phantom.volume.values[x - reach : x + reach + 1, y - reach : y + reach + 1, z]
    return float(box.mean())


def test_tissues_have_their_hounsfield_units() -> None:
    healthy = make_chest(4, shape=(160, 160, 62), options=HEALTHY)
    lung = healthy.volume.values[healthy.lungs.labels > 0]
    assert -880 < np.median(lung) < -820
    assert tissue(healthy, (70, 10, 60)) == pytest.approx(60, abs=20), "liver"
    assert tissue(healthy, (-15, 35, 110)) == pytest.approx(45, abs=20), "heart"
    assert tissue(healthy, (0.5, 5, 262)) < -850, "windpipe"
    assert tissue(healthy, (0, -54, 136)) > 90, "vertebra"
    assert tissue(healthy, (0, 160, 150)) == pytest.approx(-1000, abs=30), "air"
    assert healthy.volume.values.min() >= -1024
    assert healthy.volume.values.max() <= 3071
    assert (healthy.volume.values > 350).sum() * healthy.volume.geometry.voxel_ml > 150, "bone"


def test_infection_is_denser_than_lung_and_consolidation_is_tissue(phantom: Phantom) -> None:
    values, infection = phantom.volume.values, phantom.infection.labels
    glass, solid = values[infection == 1], values[infection == 2]
    assert -680 < np.median(glass) < -350
    assert -60 < np.median(solid) < 70
    assert np.median(values[(phantom.lungs.labels > 0) & (infection == 0)]) < -800


def test_a_healthy_chest_has_the_same_lungs_and_no_infection(phantom: Phantom) -> None:
    healthy = make_chest(4, shape=SMALL, options=HEALTHY)
    assert healthy.lesions == ()
    assert not healthy.infection.labels.any()
    assert (healthy.lungs.labels == phantom.lungs.labels).all()


@pytest.mark.parametrize("spacing", [(3.4, 3.4, 6.0), (4.5, 4.0, 5.0), (5.2, 5.2, 2.8)])
def test_volumes_hardly_depend_on_the_voxel_size(phantom: Phantom, spacing: tuple[float, float, float]) -> None:
    other = make_chest(4, spacing=spacing)
    assert other.volume.geometry.spacing == pytest.approx(spacing)
    for label in (1, 2):
        assert other.lungs.volume_ml(label) == pytest.approx(phantom.lungs.volume_ml(label), rel=0.03)
    assert sum(lesion.ml for lesion in other.lesions) == pytest.approx(
        sum(lesion.ml for lesion in phantom.lesions), 0.01
    )
    places = [np.subtract(a.centre, b.centre) for a, b in zip(other.lesions, phantom.lesions, strict=True)]
    assert np.abs(places).max() == 0, "lesions stay where they are"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (4, 64, 64)}, "at least 8 voxels"),
        ({"spacing": (1.0, 0.0, 1.0)}, "above zero"),
        (
            {"shape": TINY, "options": ChestOptions((LesionRequest("left", "lower", "ground-glass", 90000.0),))},
            "not fit",
        ),
    ],
)
def test_impossible_wishes_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_chest(0, **arguments)


@pytest.mark.parametrize("ml", [0.0, -3.0, float("nan")])
def test_a_lesion_has_a_volume(ml: float) -> None:
    with pytest.raises(OptionError, match="above zero"):
        LesionRequest("left", "lower", "ground-glass", ml)
