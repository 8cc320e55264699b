"""Writing phantoms as DICOM series, plain or with defects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from groundglass.phantom.chest import Phantom
from groundglass.phantom.defects import PLAIN, SeriesDefects
from groundglass.phantom.dicom_files import image_dataset, localizer_dataset, multi_frame_dataset, save
from groundglass.phantom.dicom_slices import planes_of
from groundglass.volume import CTVolume


def write_dicom_series(
    scan: Phantom | CTVolume, folder: Path, defects: SeriesDefects = PLAIN, *, seed: int = 0
) -> list[Path]:
    """Write a scan as a DICOM series of a made-up patient.

    The same scan, defects and seed give the same bytes.

    Args:
        scan: axes along the body.
        folder: made if it does not exist.
        defects: what is unusual or wrong about the series.
        seed: for UIDs and shuffling; another seed is another study.

    Returns:
        The files in the order of their names.

    Raises:
        OptionError: defects that cannot be had of this scan.
    """
    volume = scan.volume if isinstance(scan, Phantom) else scan
    folder.mkdir(parents=True, exist_ok=True)
    datasets = _datasets(volume, defects, seed)
    ending = "" if defects.without_endings else ".dcm"
    paths = []
    for number, dataset in enumerate(datasets):
        place = len(datasets) - 1 - number if defects.reversed_names else number
        path = folder / f"IM{place:04d}{ending}"
        save(dataset, path, defects.transfer_syntax)
        paths.append(path)
    return sorted(paths)


def _datasets(volume: CTVolume, defects: SeriesDefects, seed: int) -> list[Dataset]:
    planes = planes_of(volume, defects, np.random.default_rng([seed, 41]))
    if defects.multi_frame:
        return [multi_frame_dataset(planes, defects, seed)]
    datasets = [image_dataset(plane, place, defects, seed) for place, plane in enumerate(planes)]
    if defects.localizer != "none":
        series = 1 if defects.localizer == "same series" else 99
        datasets.insert(0, localizer_dataset(volume, defects, seed, series))
    if defects.second_series:
        thick = [image_dataset(plane, place, defects, seed, series=2) for place, plane in enumerate(planes[::3])]
        datasets += thick
    return datasets
