"""The model card and the exported network that a training run writes."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from groundglass import __version__
from groundglass.models.catalog import LearnedPatient, Metric, ModelCard
from groundglass.training.export import export
from groundglass.training.material import Material, seen_before
from groundglass.training.presets.model import LiteNetwork, Network, Preset
from groundglass.training.transfer import Start

if TYPE_CHECKING:
    from groundglass.training.cache import CachedVolume
    from groundglass.training.module import SegmentationModule

logger = logging.getLogger(__name__)

FEW = 30
"""Cases that a card lists one by one."""
LICENCE = (
    "As your training data allow. The card cannot know their licence: state it before you pass the weights on. The "
    "public COVID-19 CT sets are non-commercial."
)


def run_card(
    preset: Preset, material: Material, weights: int, metrics: tuple[Metric, ...], start: Start | None = None
) -> ModelCard:
    """The card of a finished run.

    Args:
        preset: What was trained.
        material: What it learned from.
        weights: Number of weights of the network.
        metrics: Validation Dice.
        start: What it started from; its patients count as learned from.
    """
    channels = ", ".join(preset.channels)
    seen = _seen(preset, material)
    limits = ["Not a medical device.", "Reads axial slices, each on its own."]
    if preset.needs_lungs:
        limits.append(
            "Learned from slices cropped to the lungs or blackened outside them: `analyze` finds the lungs with the "
            "shipped network and shows it such slices."
        )
    if preset.schedule.keep == "best" and metrics:
        limits.append("The checkpoint was chosen by the validation Dice on this card, which is therefore optimistic.")
    card = ModelCard(
        name=preset.name,
        task=f"{channels} in axial chest CT slices",
        architecture=f"{_kind(preset.network)}, {weights / 1e6:.1f} million weights, stored as float16; preset "
        f"'{preset.name}' of groundglass {__version__}",
        file=f"{preset.name}.onnx",
        sha256="",
        date=datetime.now(UTC).date().isoformat(),
        channels=preset.channels,
        thresholds=(0.5,) * len(preset.channels),
        preprocessing=preset.shown,
        trained_on=tuple(
            f"{source}: {sum(len(v.slices) for v in volumes)} slices of {len({v.patient for v in volumes})} patients"
            if not all(v.extra for v in volumes)
            else f"{source}: {sum(len(v.slices) for v in volumes)} slices"
            for source, volumes in material.sources.items()
            if volumes
        ),
        not_trained_on=_watched(material),
        licence=LICENCE,
        metrics=metrics,
        limits=tuple(limits),
        learned_from=tuple(sorted({volume.name for volume in seen})),
        learned_patients=_patients(seen, material),
    )
    return card if start is None else _started(card, start)


def _kind(network: Network) -> str:
    return f"{network.kind} ({network.encoder})" if isinstance(network, LiteNetwork) else network.kind


def _started(card: ModelCard, start: Start) -> ModelCard:
    """The card of a network that started from another one, with what that one has learned from."""
    before = start.card
    if before is None:
        unknown = f"Started from {start.weights.name}, which has no card: what it learned from is not listed here."
        return replace(card, limits=(*card.limits, unknown))
    images: dict[str, set[str]] = defaultdict(set)
    for one in (*before.learned_patients, *card.learned_patients):
        images[one.patient].update(one.images)
    origin = f"Started from '{before.name}' of {before.date} (SHA-256 {before.sha256[:12]}), which learned from: "
    return replace(
        card,
        trained_on=(*card.trained_on, origin + "; ".join(before.trained_on)),
        learned_from=tuple(sorted({*before.learned_from, *card.learned_from})),
        learned_patients=tuple(LearnedPatient(patient, tuple(sorted(images[patient]))) for patient in sorted(images)),
        licence=card.licence if before.licence == card.licence else f"{card.licence} {before.name}: {before.licence}",
    )


def _seen(preset: Preset, material: Material) -> list[CachedVolume]:
    """Labelled volumes that the weights depend on: learned from, or watched to choose the checkpoint."""
    learned = [volume for volumes in material.sources.values() for volume in volumes if not volume.extra]
    chosen_by = material.watch if preset.schedule.keep == "best" else []
    return [*learned, *chosen_by]


def _patients(seen: list[CachedVolume], material: Material) -> tuple[LearnedPatient, ...]:
    images: dict[str, set[str]] = defaultdict(set)
    for volume in seen:
        images[volume.patient].update({mark} if (mark := material.images.get(volume.name)) else ())
    return tuple(LearnedPatient(patient, tuple(sorted(images[patient]))) for patient in sorted(images))


def _watched(material: Material) -> tuple[str, ...]:
    counts = Counter(volume.source for volume in material.watch for _ in volume.slices)
    patients = len({volume.patient for volume in material.watch})
    return tuple(f"validation: {count} slices ({source}) of {patients} patients" for source, count in counts.items())


def validation_metrics(case_dice: dict[str, dict[str, float]]) -> tuple[Metric, ...]:
    """Dice per channel as entries of a card; cases are listed where they are few."""
    return tuple(
        Metric(
            name=f"{channel} Dice, validation",
            value=round(sum(cases.values()) / len(cases), 4),
            protocol="mean over the validation volumes, Dice pooled over the slices of a volume, threshold 0.5",
            cases={case: round(value, 4) for case, value in cases.items()} if len(cases) <= FEW else {},
        )
        for channel, cases in case_dice.items()
        if cases
    )


def export_run(module: SegmentationModule, folder: Path, material: Material, start: Start | None = None) -> ModelCard:
    """Exports the kept weights of a run with their card, verified against the network.

    Validation volumes from which the network that the run started from has learned are not scored on the card.

    Raises:
        TrainingError: The exported file and the network disagree.
        OutputError: The folder cannot be written.
    """
    weights = sum(weight.numel() for weight in module.averaged.parameters())
    known = seen_before(start.card if start else None, material.watch, material)
    if known:
        logger.warning(
            "not on the card: the Dice of validation volumes that the start has learned from (%s)",
            ", ".join(sorted(known)),
        )
    judged = {
        channel: {name: dice for name, dice in cases.items() if name not in known}
        for channel, cases in module.case_dice.items()
    }
    card = run_card(module.preset, material, weights, validation_metrics(judged), start)
    return export(module.averaged, card, folder)
