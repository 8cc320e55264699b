"""``python -m groundglass.training.classification.matrix``: what is learned from x what is tested on.

Trains the shipped classifier's recipe on every source, on every source but one, and on one source alone, and tests each
network on every source. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import DatasetError, GroundglassError, OptionError
from groundglass.evaluation.classification import Estimate, binary_scores, coverage_of
from groundglass.image.lung_view import LUNG_LEVEL
from groundglass.inference.segment import SliceSegmenter
from groundglass.io.write import atomic_write_bytes
from groundglass.training.classification.judging import Judge, Views
from groundglass.training.classification.matrix_tables import SEGMENTATION, write_matrix
from groundglass.training.classification.records import CLASSES
from groundglass.training.classification.shipped import (
    ShippedConfig,
    add_options,
    config_of,
    load_network,
    start_logging,
    train_classifier,
)
from groundglass.training.classification.shipped_data import Prepared
from groundglass.training.classification.sources import (
    SEGMENTED,
    has_both,
    learnable,
    learned_part,
    load_sources,
    part,
    testable,
    title_of,
    without_twins_of,
)

logger = logging.getLogger(__name__)
SCORES = ("AUROC", "F1", "accuracy")
KINDS = ("all", "without", "only")


@dataclass(frozen=True)
class Row:
    """One network of the matrix: its name and the sources that it learns from."""

    name: str
    sources: tuple[str, ...]


def rows_of(prepared: Sequence[Prepared], kinds: Collection[str] = KINDS) -> list[Row]:
    """The networks to train: of all sources, without each, of each alone.

    Raises:
        DatasetError: no source has COVID and others to learn from and to calibrate on.
    """
    everything = tuple(dict.fromkeys(one.slice.source for one in prepared if one.slice.split == "train"))
    able = learnable(prepared)
    if not able:
        raise DatasetError("no source has slices of COVID and others from enough patients to learn and to calibrate")
    rows = [Row("all", everything)] if "all" in kinds else []
    if "without" in kinds and len(able) > 1:
        rows += [Row(f"without-{name}", tuple(one for one in everything if one != name)) for name in able]
    return rows + [Row(f"only-{name}", (name,)) for name in able if "only" in kinds]


def slices_to_test(prepared: Sequence[Prepared], row: Row) -> dict[str, list[Prepared]]:
    """What a network is tested on: the test part of sources that it learns from, everything of the others."""
    return {
        name: part(prepared, {name}, "test")
        if name in row.sources
        else [one for one in prepared if one.slice.source == name]
        for name in testable(prepared)
    }


def train_row(row: Row, prepared: Sequence[Prepared], config: ShippedConfig, views: Views, folder: Path) -> None:
    """Trains one network, judges every source with it and writes `result.json` and `predictions.csv`, once."""
    tested = slices_to_test(prepared, row)
    material = learned_part(prepared, row.sources)
    kept, twins = without_twins_of(material, [one for members in tested.values() for one in members])
    calibrating = [one for one in kept if one.slice.split == "val"]
    learned = [one for one in kept if one.slice.split == "train"]
    if not (has_both(learned) and has_both(calibrating)):
        raise DatasetError(f"{row.name}: without near twins of tested slices there is not enough left to learn from")
    train_classifier(kept, config, folder)
    judge = Judge.fit(load_network(folder)[0], learned, calibrating, size=config.size, views=views)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["source", "slice", "patient", "label", *CLASSES, "answered"])
    cells = []
    for source, members in tested.items():
        probabilities, answered = judge.verdicts(members)
        cells.append(cell_of(row.name, source, source in row.sources, members, probabilities[:, 0], answered))
        for one, chances, told in zip(members, probabilities, answered, strict=True):
            shares = [f"{chance:.4f}" for chance in chances]
            writer.writerow([source, one.slice.name, one.slice.patient or "", one.slice.label, *shares, int(told)])
    atomic_write_bytes(folder / "predictions.csv", text.getvalue().encode())
    counts = {"learned": len(learned), "calibrated": len(calibrating), "twins_left_out": twins}
    result = {"run": row.name, "sources": row.sources, "slices": counts, "terms": asdict(judge.terms), "cells": cells}
    atomic_write_bytes(folder / "result.json", (json.dumps(result, indent=1) + "\n").encode())


def cell_of(
    run: str,
    source: str,
    seen: bool,
    members: Sequence[Prepared],
    covid: NDArray[np.float64],
    answered: NDArray[np.bool_] | None,
) -> dict[str, Any]:
    """The scores of one network on one source.

    Args:
        run: name of the network.
        source: what it is tested on.
        seen: whether it learned from other patients of the source.
        members: the slices.
        covid: score or probability of COVID (slice,).
        answered: which slices are answered; None where nothing abstains and `covid` ranks alone.
    """
    truth = np.array([int(one.slice.label == "COVID") for one in members])
    groups = [one.slice.group for one in members]
    known = all(one.slice.patient for one in members)
    found = binary_scores(truth, covid, groups, wanted=SCORES if answered is not None else ("AUROC",))
    if answered is not None:
        found["coverage"] = coverage_of(answered, groups)
        sure = [group for group, told in zip(groups, answered, strict=True) if told]
        of_sure: dict[str, Estimate] = {}
        if sure:
            of_sure = binary_scores(truth[answered], covid[answered], sure, wanted=("AUROC", "accuracy"))
        for name in ("AUROC", "accuracy"):
            found[f"{name} of those answered"] = of_sure.get(name, Estimate(None, None))
    return {
        "run": run,
        "source": source,
        "title": title_of(source),
        "seen": seen,
        "slices": len(members),
        "covid": int(truth.sum()),
        "patients": len(set(groups)) if known else None,
        "scores": {name: _record(one) for name, one in found.items()},
    }


def _record(one: Estimate) -> dict[str, Any]:
    interval = None if one.interval is None else [round(one.interval.low, 4), round(one.interval.high, 4)]
    return {"value": None if one.value is None else round(one.value, 4), "interval": interval}


def segmentation_cells(prepared: Sequence[Prepared]) -> list[dict[str, Any]]:
    """How well the infected share of the lung ranks COVID, on everything of each source."""
    cells = []
    for name in testable(prepared):
        members = [one for one in prepared if one.slice.source == name]
        shares = np.array([_infected_share(one) for one in members])
        cells.append(cell_of(SEGMENTATION, name, name in SEGMENTED, members, shares, None))
    return cells


def _infected_share(one: Prepared) -> float:
    _, lung, infection = one.planes
    inside = lung >= LUNG_LEVEL
    return float((infection[inside] >= LUNG_LEVEL).mean()) if inside.any() else 0.0


def matrix(
    data: Path,
    folder: Path,
    config: ShippedConfig,
    *,
    kinds: Sequence[str] = KINDS,
    views: Views = "mirror",
    segmenter: SliceSegmenter | None = None,
) -> dict[str, Any]:
    """Trains and tests what is missing of the matrix, and writes `matrix.json`, `.csv`, `.md` and `.png`.

    Args:
        data: folder of the data (see `load_sources`).
        folder: gets a folder per network and the tables; finished networks in it are kept.
        config: how each network learns.
        kinds: of networks, out of `KINDS`.
        views: what is averaged at the test.
        segmenter: finds lungs and infection; the shipped one when None.

    Returns:
        The record of `matrix.json`.

    Raises:
        OptionError: the folder holds a matrix of other settings.
        DatasetError: the data cannot be used.
    """
    settings = {**asdict(config), "views": views}
    _check_settings(settings, folder)
    prepared = load_sources(data, segmenter or SliceSegmenter(threads=1), seed=config.seed)
    rows, cells = rows_of(prepared, kinds), segmentation_cells(prepared)
    for number, row in enumerate(rows, 1):
        place = folder / "runs" / row.name
        if not (place / "result.json").is_file():
            logger.info("%d of %d: %s learns from %s", number, len(rows), row.name, ", ".join(row.sources))
            train_row(row, prepared, config, views, place)
        cells += json.loads((place / "result.json").read_text(encoding="utf-8"))["cells"]
        write_matrix({"settings": settings, "cells": cells}, folder)
    return {"settings": settings, "cells": cells}


def _check_settings(settings: dict[str, Any], folder: Path) -> None:
    path = folder / "settings.json"
    folder.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        other = [name for name, value in settings.items() if before.get(name) != value]
        if other:
            told = ", ".join(f"{name} {before.get(name)!r}" for name in other)
            raise OptionError(f"{folder} holds a matrix with {told}; repeat these options or name another folder")
    atomic_write_bytes(path, (json.dumps(settings, indent=1) + "\n").encode())


def main() -> None:
    """Reads the options and fills the matrix."""
    parser = argparse.ArgumentParser(prog="python -m groundglass.training.classification.matrix", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the matrix; goes on where it was")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="networks to train (default: all)")
    parser.add_argument("--views", choices=get_args(Views), default="mirror", help="averaged at the test")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    add_options(parser, without=("leave_out", "only"))
    arguments = parser.parse_args()
    start_logging(arguments.threads)
    segmenter = SliceSegmenter(threads=arguments.threads)
    try:
        matrix(
            arguments.data,
            arguments.output,
            config_of(arguments),
            kinds=arguments.kinds,
            views=arguments.views,
            segmenter=segmenter,
        )
    except GroundglassError as error:
        parser.exit(error.exit_code, f"{error}\n")
    logger.info("%s", arguments.output / "matrix.md")


if __name__ == "__main__":
    main()
