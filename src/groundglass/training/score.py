"""How good an exported network is on what it has not seen: the numbers of its card."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from groundglass.evaluation.metrics import dice
from groundglass.inference.scan import slice_channels
from groundglass.inference.segment import SliceSegmenter, threshold_level
from groundglass.io.tables import read_rows
from groundglass.training.sample import INFECTION, LUNG, Sample
from groundglass.training.sources import research as sources
from groundglass.training.sources.pictures import picture_volumes


def predict(segmenter: SliceSegmenter, samples: list[Sample]) -> list[NDArray[np.uint8]]:
    """Probability maps of samples at their own size, uint8 ``[channel, row, column]`` each."""
    maps: list[NDArray[np.uint8]] = []
    for kind in ("hu", "picture"):
        part = [sample for sample in samples if sample.kind == kind]
        results = slice_channels([sample.image for sample in part], kind, segmenter)
        maps += [np.stack(list(own.values())) for own in results]
    return maps


def dice_by_group(
    segmenter: SliceSegmenter, samples: Iterable[Sample], channel: int, threshold: float = 0.5
) -> dict[str, float]:
    """Dice of one channel, pooled over the slices of each volume or patient; samples must be of one kind."""
    grouped: dict[str, list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]] = defaultdict(list)
    known = list(samples)
    level = threshold_level(threshold)
    for sample, maps in zip(known, predict(segmenter, known), strict=True):
        grouped[sample.group].append((maps[channel] >= level, sample.masks[channel].astype(bool)))
    return {
        group: dice(np.concatenate([p for p, _ in pairs]), np.concatenate([t for _, t in pairs]))
        for group, pairs in grouped.items()
    }


def dicom_slices(folder: Path) -> NDArray[np.int16]:
    """A single-series DICOM folder in display orientation, ``[slice from the head, row, column]``, HU."""
    files = [pydicom.dcmread(path) for path in sorted(folder.iterdir()) if path.is_file()]
    files.sort(key=lambda file: -float(file.ImagePositionPatient[2]))
    planes = [file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept) for file in files]
    return np.stack(planes).astype(np.int16)


def areas(segmenter: SliceSegmenter, slices: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lung and infected area per slice of an HU volume, in pixels.

    Infection counts only inside the lungs (both from a probability of the card's threshold).
    """
    lung_level, infection_level = (threshold_level(value) for value in segmenter.card.thresholds[:2])
    lungs, infected = [], []
    for maps in slice_channels(list(slices), "hu", segmenter):
        lung = maps["lung"] >= lung_level
        lungs.append(lung.sum())
        infected.append(((maps["infection"] >= infection_level) & lung).sum())
    return np.array(lungs, float), np.array(infected, float)


def slice_labels(root: Path, volume: str) -> NDArray[np.int64]:
    """Radiologists' label per slice from the head: 1 where infected."""
    rows = [row for row in read_rows(root / "ct_volumes" / "slice_labels.csv") if row["volume"] == volume]
    rows.sort(key=lambda row: int(row["slice_from_head"]))
    return np.array([int(row["infected"]) for row in rows])


def score(segmenter: SliceSegmenter, root: Path) -> dict[str, dict[str, float]]:
    """Every number of the card, on data that was kept out of the training.

    Returns:
        Score -> case -> value; without the scores on ``covid20`` where the network has learned from all of it.
    """
    medseg = list(sources.medseg(root, held_out=True, size=segmenter.size))
    thresholds = segmenter.card.thresholds
    scores = _on_covid20(segmenter, root)
    scores["infection Dice, medseg"] = dice_by_group(segmenter, medseg, INFECTION, thresholds[INFECTION])
    lung2d = list(sources.lung2d(root, held_out=True))
    scores["lung Dice, lung2d"] = dice_by_group(segmenter, lung2d, LUNG, thresholds[LUNG])
    return scores | _on_scans(segmenter, root)


def _on_covid20(segmenter: SliceSegmenter, root: Path) -> dict[str, dict[str, float]]:
    unseen = [
        sample
        for volume in picture_volumes(root / "covid20")
        if volume.name not in segmenter.card.learned_from
        for sample in volume.load()
    ]
    if not unseen:
        return {}
    return {
        f"{name} Dice, covid20": dice_by_group(segmenter, unseen, channel, segmenter.card.thresholds[channel])
        for name, channel in (("lung", LUNG), ("infection", INFECTION))
    }


def _on_scans(segmenter: SliceSegmenter, root: Path) -> dict[str, dict[str, float]]:
    """Ranking of slices by infected area, and involvement."""
    volumes = {
        "covid_P001": dicom_slices(root / "ct_volumes" / "covid_P001_dicom"),
        "cap_cap001": sources.display_slices(root / "ct_volumes" / "cap_cap001_ct.nii.gz")[0],
    }
    normal = sources.display_slices(root / "ct_volumes" / "normal_normal001_ct.nii.gz")[0]
    ranking, involvement = {}, {}
    for name, slices in volumes.items():
        lungs, infected = areas(segmenter, slices)
        ranking[name] = float(roc_auc_score(slice_labels(root, name), infected))
        involvement[name] = float(100.0 * infected.sum() / max(lungs.sum(), 1.0))
    lungs, infected = areas(segmenter, normal)
    involvement["normal_normal001"] = float(100.0 * infected.sum() / max(lungs.sum(), 1.0))
    return {"slice AUROC": ranking, "involvement, percent": involvement}
