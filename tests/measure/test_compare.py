"""Follow-up with known change: another breath, another position, lesions that grew, went and came."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from groundglass.errors import InputError
from groundglass.geometry import Geometry
from groundglass.measure import measure
from groundglass.measure.compare import Comparison, FollowUp, TimePoint, compare
from groundglass.volume import INFECTION_NAMES, LUNG_NAMES, CTVolume, LabelMap, Source
from tests.report.conftest import make_analysis
from tests.support.volumes import rotation

STEP = 2.5
SHAPE = (124, 84, 112)


def spheres(which: str) -> list[tuple[tuple[float, float, float], float, int]]:
    """Middle, radius in millimetres and kind, in the baseline's coordinates."""
    stays = ((75.0, -10.0, -20.0), 30.0, 1)
    return {
        "before": [stays, ((-70.0, 20.0, 40.0), 18.0, 1)],
        "after": [stays, ((70.0, 20.0, 65.0), 16.0, 1), ((-65.0, -15.0, -30.0), 20.0, 2)],
    }[which]


def sphere_ml(radius: float) -> float:
    return 4 / 3 * np.pi * radius**3 / 1000


def time_point(name: str, which: str, motion: NDArray[np.float64]) -> TimePoint:
    """A scan in which the body of the baseline was moved by `motion` (4x4, RAS)."""
    affine = np.diag([STEP, STEP, STEP, 1.0])
    affine[:3, 3] = -STEP * (np.array(SHAPE) - 1) / 2
    index = np.stack(np.meshgrid(*[np.arange(n) for n in SHAPE], indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    back = np.linalg.inv(motion)
    x, y, z = np.moveaxis(world @ back[:3, :3].T + back[:3, 3], -1, 0)
    lungs = np.zeros(SHAPE, np.uint8)
    # Egg-shaped and flattened at the base, so that no rotation leaves them unchanged.
    width = 1 + z / 500
    lungs[(((x - 75) / (48 * width)) ** 2 + (y / 66) ** 2 + (z / 112) ** 2 < 1) & (z > -95 + y / 4)] = 1
    lungs[(((x + 70) / (42 * width)) ** 2 + ((y - 6) / 60) ** 2 + ((z - 5) / 104) ** 2 < 1) & (z > -88 + y / 4)] = 2
    infection = np.zeros(SHAPE, np.uint8)
    for (a, b, c), radius, kind in spheres(which):
        infection[((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 < radius**2) & (lungs > 0)] = kind
    hu = np.select([infection == 2, infection == 1, lungs > 0], [-20.0, -520.0, -840.0], 30.0).astype(np.float32)
    geometry = Geometry(SHAPE, affine)
    source = Source(name, "array", geometry)
    maps = [
        LabelMap(np.asfortranarray(labels), geometry, names, source)
        for labels, names in ((lungs, LUNG_NAMES), (infection, INFECTION_NAMES))
    ]
    volume = CTVolume(np.asfortranarray(hu), geometry, source)
    numbers = measure(volume, *maps, subtype_method="hu-threshold")
    return TimePoint(make_analysis(case=name, measurements=numbers), maps[0], maps[1])


@pytest.fixture(scope="module")
def followed() -> tuple[FollowUp, LabelMap]:
    breath = np.diag([1.02, 0.98, 0.93, 1.0])
    breath[:3, 3] = (7.0, -5.0, 9.0)
    motion = rotation((3.0, -2.0, 4.0)) @ breath
    return compare(time_point("first", "before", np.eye(4)), time_point("second", "after", motion))


def test_new_persistent_and_resolved_within_five_percent_of_truth(followed: tuple[FollowUp, LabelMap]) -> None:
    amounts = followed[0].change_map
    assert amounts.resolved_ml == pytest.approx(sphere_ml(18), rel=0.05)
    assert amounts.new_ml == pytest.approx(sphere_ml(16) + sphere_ml(20), rel=0.05)
    assert amounts.persistent_ml == pytest.approx(sphere_ml(30), rel=0.05)
    assert min(amounts.right_lung_dice or 0, amounts.left_lung_dice or 0) > 0.97


def test_the_map_lies_where_the_change_is(followed: tuple[FollowUp, LabelMap]) -> None:
    change = followed[1]
    assert change.names == {1: "new", 2: "persistent", 3: "resolved"}
    for place, label in (((75.0, -10.0, -20.0), 2), ((-70.0, 20.0, 40.0), 3), ((70.0, 20.0, 65.0), 1)):
        index = tuple(round(float(value)) for value in change.geometry.index(place))
        assert change.labels[index] == label


def test_differences_are_the_later_minus_the_earlier(followed: tuple[FollowUp, LabelMap]) -> None:
    found = {item.name: item for item in followed[0].differences}
    breath = 1.02 * 0.98 * 0.93
    infected = found["infected volume, total"]
    before = sphere_ml(30) + sphere_ml(18)
    after = breath * (sphere_ml(30) + sphere_ml(16) + sphere_ml(20))
    assert infected.change == pytest.approx(after - before, rel=0.05)
    assert infected.change_percent == pytest.approx(100 * (after - before) / before, rel=0.05)
    assert found["consolidation"].change == pytest.approx(breath * sphere_ml(20), rel=0.05)
    lungs = found["lung volume, total"]
    assert (lungs.followup or 0) / (lungs.baseline or 1) == pytest.approx(breath, rel=0.02)
    involvement = found["involvement, total"]
    assert involvement.change == pytest.approx((involvement.followup or 0) - (involvement.baseline or 0))
    assert involvement.change_percent is None, "percent of percent would be read wrongly"
    assert sum(item.name.endswith("zone") for item in followed[0].differences) == 6


def test_no_change_against_itself() -> None:
    point = time_point("same", "before", np.eye(4))
    found, _ = compare(point, point)
    assert found.change_map.new_ml + found.change_map.resolved_ml < 0.02 * found.change_map.persistent_ml
    assert all(item.change in (0.0, None) for item in found.differences)
    assert found.findings == []
    assert Comparison.model_validate_json(Comparison(baseline="a", followups=[found]).model_dump_json())


def test_lungs_of_another_shape_are_named_and_a_lung_free_scan_refused() -> None:
    point = time_point("first", "before", np.eye(4))
    half = time_point("second", "before", np.eye(4))
    half.lungs.labels[half.lungs.labels == 2] = 0
    half.lungs.labels[:, :, :60] = 0
    found, _ = compare(point, half)
    assert "registration-poor" in [finding.code for finding in found.findings]
    half.lungs.labels[:] = 0
    with pytest.raises(InputError, match="no lungs in this scan"):
        compare(point, half)


def test_another_breath_is_said() -> None:
    first = time_point("first", "before", np.eye(4))
    second = time_point("second", "before", np.diag([0.9, 0.9, 0.9, 1.0]))
    found, _ = compare(first, second)
    assert [finding.code for finding in found.findings] == ["breath-differs"]
