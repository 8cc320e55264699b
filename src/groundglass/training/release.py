"""``python -m groundglass.training.release``: exports a run, measures it and writes its card."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import torch

from groundglass.evaluation.involvement import at_threshold, fit_band
from groundglass.evaluation.records import Evaluation
from groundglass.evaluation.results import RECORD
from groundglass.inference.segment import SliceSegmenter
from groundglass.io.tables import Row, read_rows
from groundglass.models.catalog import SEGMENTATION, WEIGHTS, Metric, ModelCard
from groundglass.training.callbacks import LAST
from groundglass.training.crossval import SCORES
from groundglass.training.crossval_report import FoldScores
from groundglass.training.export import export
from groundglass.training.nets.unet import LiteUNet, UNetConfig
from groundglass.training.presets import load_preset
from groundglass.training.sample import CHANNELS
from groundglass.training.score import score
from groundglass.training.transfer import weights_of

logger = logging.getLogger(__name__)

SET = "COVID-19 CT Lung and Infection Segmentation (Ma et al. 2020), 256x256 8-bit slices"
TRAINED_ON = (
    "MedSeg / SIRM slices, train half of Inf-Net's split, three in four: 37 slices; infection and consolidation",
    "Finding lungs in CT data (K. Mader), 2D part, seven in eight: 186 slices of as many patients, HU; lungs, with "
    "synthetic lesions pasted in",
    "COVID-CT-MD sample normal001: 154 slices, HU; lungs by a classical method, no infection, with synthetic "
    "lesions, bowel gas and blankets added",
    "LUNA16/LIDC slices (160) and CC-CCII normal slices (100): known to be free of infection",
    "Encoder started from ImageNet weights of EfficientNet-lite0",
)
NOT_TRAINED_ON = (
    "MedSeg / SIRM, every fourth slice: 13",
    "Finding lungs in CT data, every eighth slice: 27",
    "COVID-CT-MD samples covid_P001 and cap_cap001",
)
LICENCE = (
    "Weights: research use only, non-commercial. Part of the training data is licensed CC BY-NC-SA 4.0 or for "
    "non-commercial use; of two sources no licence is stated."
)
LIMITS = (
    "Not a medical device.",
    "Infection was labelled in adults with COVID-19 pneumonia of one data set and 37 single slices; other "
    "pneumonia, tumour, oedema, fibrosis and atelectasis may be called infection.",
    "Consolidation as a channel of its own rests on 37 labelled slices and on synthetic lesions: use it only for "
    "pictures without Hounsfield units.",
    "Each slice is judged alone; a lung that is consolidated as a whole may be missed.",
    "Gas in the bowel and air in clothing can be called lung on single slices; keep the large parts inside the body.",
    "Reads axial slices; coronal or sagittal ones, children and slices thicker than 10 mm were not seen in training.",
)
PROTOCOLS = {
    "lung Dice, covid20": "mean over the held-out volumes of covid20, Dice pooled over the slices of a volume",
    "infection Dice, covid20": "mean over the held-out volumes of covid20, Dice pooled over the slices of a volume",
    "infection Dice, medseg": "mean over 13 held-out MedSeg slices",
    "lung Dice, lung2d": "mean over 27 held-out HU slices of as many patients",
    "slice AUROC": "ranking of radiologists' slice labels by predicted infected area, mean over volumes",
    "involvement, percent": "infected share of the lung, network alone, mean over volumes (normal001 was trained on)",
}
FEW = 20
CROSS_VALIDATED = "networks of this recipe"
BAND_COVERAGE = 0.8
"""Of the interval of the involvement; for .9 it would be several times as wide as the number itself."""


def learned_part(data: Path, folds: Sequence[int]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What of ``covid20`` some folds are: their volumes, a line for `trained_on`, and one for `not_trained_on`."""
    rows = read_rows(data / "covid20" / "slices.csv")
    learned = [row for row in rows if int(row["fold"]) in folds]
    left = [row for row in rows if int(row["fold"]) not in folds]
    trained_on, not_trained_on = (tuple(_described(part)) for part in (learned, left))
    return tuple(dict.fromkeys(row["volume"] for row in learned)), trained_on, not_trained_on


def _described(rows: list[Row]) -> Iterator[str]:
    if rows:
        volumes, patients = ({row[key] for row in rows} for key in ("volume", "patient"))
        yield f"{SET}: {len(rows)} slices of {len(volumes)} volumes ({len(patients)} patients); lung and infection"


def draft(size: int, data: Path, folds: Sequence[int], threshold: float = 0.5) -> ModelCard:
    """The card of the lung and infection network, before it is measured.

    Args:
        size: side of the network's input, pixels.
        data: folder of the data sets.
        folds: folds of ``covid20`` that it has learned from.
        threshold: probability from which a pixel is infected.
    """
    volumes, trained_on, left = learned_part(data, folds)
    return ModelCard(
        name=SEGMENTATION,
        task="Lungs, infection and consolidation of pneumonia in axial chest CT slices",
        architecture="U-Net, EfficientNet-lite0 encoder, dense-convolution decoder (96, 64, 40, 24), pixel-shuffle "
        "head; 3.6 million weights, stored as float16",
        file=f"{SEGMENTATION}.onnx",
        sha256="",
        date=datetime.now(UTC).date().isoformat(),
        channels=CHANNELS,
        thresholds=(0.5, threshold, 0.5),
        preprocessing=replace(load_preset(SEGMENTATION).shown, size=size),
        trained_on=(*trained_on, *TRAINED_ON),
        not_trained_on=(*left, *NOT_TRAINED_ON),
        licence=LICENCE,
        metrics=(),
        limits=LIMITS,
        learned_from=volumes,
    )


def crossval_metrics(record: Evaluation, networks: str = CROSS_VALIDATED) -> tuple[Metric, ...]:
    """What a cross-validation of the recipe says, as entries of a card.

    Args:
        record: of the cross-validation.
        networks: what was cross-validated, in words.
    """
    found = []
    for summary in record.structures:
        dice = summary.metric("dice")
        if dice is None:
            continue
        held = dice.interval
        span = f"; 95 % interval over patients {held.low:.3f} to {held.high:.3f}" if held is not None else ""
        found.append(
            Metric(
                name=f"{summary.structure} Dice, covid20, cross-validated",
                value=round(dice.mean, 4),
                protocol=f"{record.title}: {networks}, each volume by one that has not seen its patient, "
                f"threshold from {summary.threshold_from}; mean over {dice.volumes} volumes{span}",
                cases={
                    volume.volume: round(score.scores.dice, 4)
                    for volume in record.volumes
                    if (score := volume.of(summary.structure)) is not None and score.scores.dice is not None
                },
            )
        )
    return tuple(found)


def metrics(results: dict[str, dict[str, float]]) -> tuple[Metric, ...]:
    """Scores as entries of a card; cases are listed where they are few."""
    return tuple(
        Metric(
            name=name,
            value=round(fmean(cases.values()), 4),
            protocol=PROTOCOLS[name],
            cases={case: round(value, 4) for case, value in cases.items()} if len(cases) <= FEW else {},
        )
        for name, cases in results.items()
    )


def release(
    card: ModelCard,
    run: Path,
    data: Path,
    folder: Path,
    crossval: Path | None = None,
    networks: str = CROSS_VALIDATED,
) -> ModelCard:
    """Exports the averaged weights of a run, measures the export, writes its card into ``folder``.

    Args:
        card: from `draft`.
        run: folder of the run, or a checkpoint.
        data: folder of the data sets.
        folder: folder of cards and weights.
        crossval: folder of a cross-validation of the recipe; its scores go into the card, and the interval of the
            involvement that its out-of-fold predictions give.
        networks: what was cross-validated, in words.
    """
    network = LiteUNet(UNetConfig(pretrained=False))
    network.load_state_dict(weights_of(run / LAST if run.is_dir() else run))
    written = export(network, card, folder)
    told: tuple[Metric, ...] = ()
    if crossval is not None:
        record = Evaluation.model_validate_json((crossval / RECORD).read_bytes())
        told = crossval_metrics(record, networks)
        folds = [
            FoldScores.model_validate_json(path.read_bytes()) for path in sorted(crossval.glob(f"fold-*/{SCORES}"))
        ]
        scored = [volume for fold in folds for volume in fold.volumes]
        volumes = at_threshold(scored, card.thresholds[CHANNELS.index("infection")])
        band = fit_band(volumes, protocol=f"{record.title}: {networks}, {len(volumes)} volumes", coverage=BAND_COVERAGE)
        written = replace(written, involvement_interval=band)
    measured = replace(written, metrics=(*told, *metrics(score(SliceSegmenter(written), data))))
    (folder / f"{measured.name}.json").write_text(measured.to_json(), encoding="utf-8")
    return measured


def main() -> None:
    """Reads the options and releases."""
    parser = argparse.ArgumentParser(prog="python -m groundglass.training.release", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a run, or a checkpoint")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="folder of cards and weights")
    parser.add_argument(
        "--size", type=int, default=load_preset(SEGMENTATION).size_in_use, help="side of the network input"
    )
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3], help="folds of covid20 learned from")
    parser.add_argument("--crossval", type=Path, help="folder of a cross-validation of the recipe")
    parser.add_argument("--crossval-of", default=CROSS_VALIDATED, help="what was cross-validated, in words")
    parser.add_argument("--threshold", type=float, default=0.5, help="probability from which a pixel is infected")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    drafted = draft(arguments.size, arguments.data, arguments.folds, arguments.threshold)
    card = release(
        drafted, arguments.run, arguments.data, arguments.to, arguments.crossval, networks=arguments.crossval_of
    )
    for metric in card.metrics:
        logger.info("%-26s %.4f  %s", metric.name, metric.value, metric.cases)


if __name__ == "__main__":
    main()
