"""``python -m groundglass.training.release``: exports a run, measures it and writes its card."""

from __future__ import annotations

import argparse
import csv
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import torch

from groundglass.image.prepare import Preprocessing
from groundglass.inference.segment import SliceSegmenter
from groundglass.models.catalog import SEGMENTATION, WEIGHTS, Metric, ModelCard
from groundglass.training.callbacks import LAST
from groundglass.training.export import export
from groundglass.training.nets.unet import LiteUNet, UNetConfig
from groundglass.training.sample import CHANNELS
from groundglass.training.score import score
from groundglass.training.transfer import weights_of

logger = logging.getLogger(__name__)

LEARNED_FOLDS = ("1", "2", "3")
TRAINED_ON = (
    "COVID-19 CT Lung and Infection Segmentation (Ma et al. 2020), 256x256 8-bit slices: 911 slices of 12 volumes "
    "(11 patients), folds 1-3; lung and infection",
    "MedSeg / SIRM slices, train half of Inf-Net's split, three in four: 37 slices; infection and consolidation",
    "Finding lungs in CT data (K. Mader), 2D part, seven in eight: 186 slices of as many patients, HU; lungs, with "
    "synthetic lesions pasted in",
    "COVID-CT-MD sample normal001: 154 slices, HU; lungs by a classical method, no infection, with synthetic "
    "lesions, bowel gas and blankets added",
    "LUNA16/LIDC slices (160) and CC-CCII normal slices (100): known to be free of infection",
    "Encoder started from ImageNet weights of EfficientNet-lite0",
)
NOT_TRAINED_ON = (
    "COVID-19 CT Lung and Infection Segmentation, fold 0: 358 slices of 4 volumes (3 patients)",
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
    "lung Dice, covid20": "mean over the volumes of covid20 fold 0, Dice pooled over the slices of a volume",
    "infection Dice, covid20": "mean over the volumes of covid20 fold 0, Dice pooled over the slices of a volume",
    "infection Dice, medseg": "mean over 13 held-out MedSeg slices",
    "lung Dice, lung2d": "mean over 27 held-out HU slices of as many patients",
    "slice AUROC": "ranking of radiologists' slice labels by predicted infected area, mean over volumes",
    "involvement, percent": "infected share of the lung, network alone, mean over volumes (normal001 was trained on)",
}
FEW = 20


def learned_volumes(data: Path) -> tuple[str, ...]:
    """Names of the volumes of ``covid20`` in the folds that `TRAINED_ON` names."""
    with (data / "covid20" / "slices.csv").open() as handle:
        return tuple(dict.fromkeys(row["volume"] for row in csv.DictReader(handle) if row["fold"] in LEARNED_FOLDS))


def draft(size: int) -> ModelCard:
    """The card of the lung and infection network, before it is measured."""
    return ModelCard(
        name=SEGMENTATION,
        task="Lungs, infection and consolidation of pneumonia in axial chest CT slices",
        architecture="U-Net, EfficientNet-lite0 encoder, dense-convolution decoder (96, 64, 40, 24), pixel-shuffle "
        "head; 3.6 million weights, stored as float16",
        file=f"{SEGMENTATION}.onnx",
        sha256="",
        date=datetime.now(UTC).date().isoformat(),
        channels=CHANNELS,
        thresholds=(0.5, 0.5, 0.5),
        preprocessing=Preprocessing(size=size),
        trained_on=TRAINED_ON,
        not_trained_on=NOT_TRAINED_ON,
        licence=LICENCE,
        metrics=(),
        limits=LIMITS,
    )


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


def release(run: Path, data: Path, folder: Path, size: int) -> ModelCard:
    """Exports the averaged weights of a run, measures the export, writes its card into ``folder``."""
    network = LiteUNet(UNetConfig(pretrained=False))
    network.load_state_dict(weights_of(run / LAST if run.is_dir() else run))
    written = export(network, replace(draft(size), learned_from=learned_volumes(data)), folder)
    measured = replace(written, metrics=metrics(score(SliceSegmenter(written), data)))
    (folder / f"{measured.name}.json").write_text(measured.to_json(), encoding="utf-8")
    return measured


def main() -> None:
    """Reads the options and releases."""
    parser = argparse.ArgumentParser(prog="python -m groundglass.training.release", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a run, or a checkpoint")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="folder of cards and weights")
    parser.add_argument("--size", type=int, default=256, help="side of the network input")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    card = release(arguments.run, arguments.data, arguments.to, arguments.size)
    for metric in card.metrics:
        logger.info("%-26s %.4f  %s", metric.name, metric.value, metric.cases)


if __name__ == "__main__":
    main()
