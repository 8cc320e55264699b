"""Slices before and after every step of a preset, as one picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from groundglass.errors import DatasetError
from groundglass.image.prepare import window_to_uint8
from groundglass.io.write import atomic_file
from groundglass.training.presets.model import Preset
from groundglass.training.sample import CHANNELS, CONSOLIDATION, INFECTION, LUNG, Sample
from groundglass.training.sources.find import find_volumes
from groundglass.training.steps.run import augment_in_stages, to_grey

TILE, GAP, HEAD = 192, 8, 26
COLOURS = {LUNG: (70, 160, 230), INFECTION: (240, 130, 40), CONSOLIDATION: (200, 60, 150)}
BACKGROUND, INK = (250, 250, 248), (30, 30, 30)
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Stage:
    """A slice after one step; None where the step left the slice out."""

    title: str
    sample: Sample | None


def draw_samples(preset: Preset, data: Path, target: Path, *, count: int = 4, seed: int = 0) -> list[str]:
    """Draws slices of a data set before and after every step, one row each, labels as outlines.

    Random steps are taken whatever their chance, so that each can be seen.

    Args:
        preset: Whose steps.
        data: Folder of the training data.
        target: PNG to write.
        count: Rows.
        seed: Source of chance.

    Returns:
        The titles of the columns.

    Raises:
        DatasetError: The data cannot be used.
        OutputError: The picture cannot be written.
    """
    found = [volume for volumes in find_volumes(data, preset.sources).values() for volume in volumes]
    rng = np.random.default_rng([seed, 53])
    rows: list[list[Stage]] = []
    for number in rng.permutation(len(found))[:count] if len(found) > 1 else [0] * count:
        rows.append(list(_stages(preset, found[int(number)].load(), np.random.default_rng([seed, len(rows)]))))
    if not rows:
        raise DatasetError(f"no volume to draw in {data}")
    titles = [stage.title for stage in rows[0]]
    picture = _sheet(rows, titles)
    with atomic_file(target) as file:
        picture.save(file, format="PNG")
    return titles


def _stages(preset: Preset, samples: list[Sample], rng: np.random.Generator) -> Iterator[Stage]:
    labelled = [sample for sample in samples if sample.masks.any()] or samples
    # Near the middle of the volume, so that a step that drops its ends leaves the slice.
    chosen: Sample | None = labelled[int(len(labelled) * rng.uniform(0.35, 0.65))]
    name = chosen.name if chosen else ""
    yield Stage("as stored", chosen)
    for step in preset.preparation:
        samples = step.apply_volume(samples)
        chosen = next((sample for sample in samples if sample.name == name), None)
        yield Stage(step.step, chosen)
    if chosen is not None:
        for title, sample in augment_in_stages(chosen, preset.augmentation, preset.size, rng):
            chosen = sample
            yield Stage(title, sample)
        yield Stage("to the network", to_grey(chosen, preset.shown))


def _tile(sample: Sample | None) -> Picture:
    if sample is None:
        return np.full((TILE, TILE, 3), 225, np.uint8)
    image = sample.image
    grey = window_to_uint8(image, -1250.0, 250.0) if sample.kind == "hu" else np.asarray(image, dtype=np.uint8)
    rows, columns = grey.shape
    scale = TILE / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    shown = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    colour = np.repeat(shown[:, :, None], 3, axis=2)
    for channel, ink in COLOURS.items():
        mask = cv2.resize(np.ascontiguousarray(sample.masks[channel]), size, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(colour, outlines, -1, ink, 1)
    tile = np.full((TILE, TILE, 3), 225, np.uint8)
    top, left = (TILE - size[1]) // 2, (TILE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = colour
    return tile


def _sheet(rows: list[list[Stage]], titles: list[str]) -> Image.Image:
    """Rows of slices; long rows are broken, so that a tile stays large enough to judge."""
    across = min(len(titles), 8)
    lines = -(-len(titles) // across)
    height = len(rows) * lines * (TILE + HEAD + GAP) + 2 * GAP + len(rows) * GAP + HEAD
    sheet = Image.new("RGB", (across * (TILE + GAP) + GAP, height), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    top = GAP
    for row in rows:
        for number, stage in enumerate(row):
            line, column = divmod(number, across)
            x, y = GAP + column * (TILE + GAP), top + line * (TILE + HEAD + GAP)
            title = f"{number}  {stage.title}" if stage.sample is not None else f"{number}  {stage.title}: left out"
            pen.text((x, y + 6), title, fill=INK, font_size=13)
            sheet.paste(Image.fromarray(_tile(stage.sample)), (x, y + HEAD))
        top += lines * (TILE + HEAD + GAP) + GAP
    left = GAP
    for channel, ink in COLOURS.items():
        pen.rectangle((left, top + 8, left + 12, top + 20), fill=ink)
        pen.text((left + 18, top + 6), CHANNELS[channel], fill=INK, font_size=13)
        left += 120
    return sheet
