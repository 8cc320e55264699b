"""All numbers of a scan or of a set of pictures in one record."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.analysis import InfectionVolumes, LungVolumes, Measurements
from groundglass.errors import InvalidImageError
from groundglass.measure.burden import infection_volumes, involvement, lung_volumes, percent
from groundglass.measure.density import density_bands, high_opacity, histogram, lung_density, mean_hu
from groundglass.measure.lesions import lesions
from groundglass.measure.lobes import measure_lobes
from groundglass.measure.tally import tally
from groundglass.measure.zones import total_score, unknown_zones, zones
from groundglass.volume import CTVolume, LabelMap

SubtypeMethod = Literal["hu-threshold", "network"]

Picture = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Lungs and infection of one picture, both (rows, columns)."""


def measure(
    volume: CTVolume,
    lungs: LabelMap,
    infection: LabelMap,
    *,
    subtype_method: SubtypeMethod | None,
    lobes: LabelMap | None = None,
) -> Measurements:
    """Measure a scan.

    Args:
        volume: the scan.
        lungs: 1 = right, 2 = left, infection included.
        infection: 1 = ground-glass, 2 = consolidation; counted inside the lungs only.
        subtype_method: how ground-glass and consolidation were told apart; None where they were not.
        lobes: a lobe mask that the user brought, on the same grid.

    Returns:
        Volumes from the affine; None for what cannot be known: HU of grey values, shares without a lung, and the two
        kinds of infection where `subtype_method` is None.

    Raises:
        GeometryMismatchError: the three are not on one grid.
    """
    with ThreadPoolExecutor(max_workers=1) as beside:  # the two take about as long as each other
        pieces = beside.submit(lesions, lungs, infection)
        counted = tally(volume, lungs, infection)
    voxel_ml = volume.geometry.voxel_ml
    found = zones(counted.by_level, voxel_ml)
    mean_lung, mean_infection = mean_hu(counted)
    infected = infection_volumes(counted.infection, voxel_ml)
    if subtype_method is None:
        infected = infected.model_copy(update={"ground_glass": None, "consolidation": None})
    if subtype_method is None:
        found = [zone.model_copy(update={"ground_glass_ml": None, "consolidation_ml": None}) for zone in found]
    kinds = counted.infection.sum(axis=0)
    lobar = measure_lobes(lobes, infection) if lobes is not None else (None, None)
    return Measurements(
        lung_volume_ml=lung_volumes(counted.lungs, voxel_ml),
        infection_volume_ml=infected,
        involvement_percent=involvement(counted.lungs, counted.infection.sum(axis=1).astype(np.float64)),
        involvement_interval_percent=None,
        zones=found,
        zonal_severity_score=total_score(found),
        mean_lung_hu=mean_lung,
        mean_infection_hu=mean_infection,
        hu_histogram=histogram(counted),
        density_bands=density_bands(counted, voxel_ml),
        consolidation_share_percent=percent(kinds[1], kinds.sum()) if subtype_method else None,
        subtype_method=subtype_method,
        high_opacity_percent=high_opacity(counted),
        lung_density=lung_density(counted),
        lesions=pieces.result(),
        lobes=lobar[0],
        lobar_severity_score=lobar[1],
    )


def measure_pictures(pictures: Sequence[Picture], *, subtype_method: SubtypeMethod | None = "network") -> Measurements:
    """Measure pictures: shares only, for a picture has neither millimetres nor Hounsfield units.

    Pictures of different sizes count by the share of the picture that lung and infection cover, so that a larger copy
    of a slice weighs no more than a smaller one.

    Args:
        pictures: lungs (1 = right, 2 = left) and infection (1 = ground-glass, 2 = consolidation) of each picture,
            both (rows, columns); infection counts inside the lungs only.
        subtype_method: how ground-glass and consolidation were told apart; None where they were not.

    Raises:
        InvalidImageError: the two maps of a picture differ in shape.
    """
    sizes = np.zeros((3, 3))
    for lungs, infection in pictures:
        sizes += _picture_shares(lungs, infection)
    lung, kinds = sizes[1:].sum(axis=1), sizes[1:, 1:].sum(axis=0)
    return Measurements(
        lung_volume_ml=LungVolumes(total=None, right=None, left=None),
        infection_volume_ml=InfectionVolumes(total=None, right=None, left=None, ground_glass=None, consolidation=None),
        involvement_percent=involvement(lung, sizes[1:, 1:].sum(axis=1)),
        involvement_interval_percent=None,
        zones=unknown_zones(),
        zonal_severity_score=None,
        mean_lung_hu=None,
        mean_infection_hu=None,
        hu_histogram=None,
        density_bands=None,
        consolidation_share_percent=percent(kinds[1], kinds.sum()) if subtype_method else None,
        subtype_method=subtype_method,
    )


def _picture_shares(lungs: NDArray[np.uint8], infection: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of the picture (3 lungs, 3 kinds) per lung and infection label."""
    if lungs.shape != infection.shape:
        raise InvalidImageError(
            f"lungs of {lungs.shape} and infection of {infection.shape}; expected one picture's size"
        )
    code = lungs.astype(np.int64) * 3 + infection
    return np.asarray(np.bincount(code.ravel(), minlength=9).reshape(3, 3) / code.size)
