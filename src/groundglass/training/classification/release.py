"""``python -m groundglass.training.classification.release``: calibrates, exports, measures the shipped classifier."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from groundglass.evaluation.classification import Estimate, binary_scores
from groundglass.image.prepare import Preprocessing
from groundglass.inference.classify import SliceAnswer, SliceClassifier, SliceInput
from groundglass.inference.classify_scan import classify_volume
from groundglass.inference.scan import scan_probabilities
from groundglass.inference.segment import SliceSegmenter
from groundglass.models.catalog import CLASSIFIER, WEIGHTS, Metric, ModelCard
from groundglass.training.classification.export import export_classifier
from groundglass.training.classification.judging import Judge
from groundglass.training.classification.records import CLASSES
from groundglass.training.classification.shipped import ShippedConfig, learned_slices, load_network
from groundglass.training.classification.shipped_data import Prepared, load_shipped
from groundglass.training.classification.unseen import kept_entries, unseen_entries, unseen_limit

logger = logging.getLogger(__name__)

SOURCES = {
    "ucsd": "UCSD COVID-CT, official train split: 425 figures of papers; COVID and not",
    "sars_cov_2_ct": "SARS-CoV-2 CT-scan set: 800 slices of unknown patients; COVID and not",
    "three_class": "CC-CCII subset: slices of 8 patients (4 COVID, 1 normal, 3 other pneumonia)",
    "luna_no_pneumonia": "LUNA16/LIDC: 160 slices without pneumonia",
    "covid20": "COVID-19 CT Lung and Infection Segmentation, every fourth slice; COVID",
    "medseg": "MedSeg, 50 slices; COVID",
    "synthetic": "Synthetic lesions pasted into the normal slices: pneumonia of a kind left open",
}
"""What the card says of each source that was learned from."""
ENCODERS = {
    "lesions": "Encoder: that of the segmentation network, as it is (see its card)",
    "lungs": "Encoder started from {start}; its first five blocks stay as they were",
}
ARCHITECTURES = {
    "lesions": "EfficientNet-lite0 up to stride 16, as the segmentation network has learned it, on the lungs; mean of "
    "its features over the infection, two linear questions with 226 weights: COVID or not; other pneumonia or normal",
    "lungs": "EfficientNet-lite0 on the lungs, told the lung and infection maps of the segmentation at stride "
    "8; mean over the last feature map, linear head; 3.4 million weights, stored as float16",
}
NOT_TRAINED_ON = (
    "UCSD COVID-CT, official validation split: 118 figures of 56 patients; chose the recipe, temperature and limits",
    "COVID-CT-MD samples covid_P001, cap_cap001 and normal_normal001",
)
LICENCE = (
    "Weights: research use only, non-commercial. The copyright of the UCSD figures is with the papers; of other "
    "sources no licence is stated, or the use is non-commercial."
)
LIMITS = (
    "Not a medical device.",
    "COVID-19 and other pneumonia look alike; a picture cannot replace a test for the virus.",
    "Other pneumonia was learned from three patients.",
    "Learned from 8-bit pictures alone; scans in Hounsfield units are shown to it through a lung window.",
    "Calibrated on one source (UCSD).",
)


def draft(config: ShippedConfig, sources: Collection[str]) -> ModelCard:
    """The card of the classifier before it is calibrated and measured.

    Args:
        config: how it learned.
        sources: what it learned from.
    """
    encoder = ENCODERS[config.network].format(start=config.start or "ImageNet weights of EfficientNet-lite0")
    return ModelCard(
        name=CLASSIFIER,
        task="COVID-19 pneumonia, other pneumonia or normal, for axial chest CT slices and scans",
        architecture=ARCHITECTURES[config.network],
        file=f"{CLASSIFIER}.onnx",
        sha256="",
        date=datetime.now(UTC).date().isoformat(),
        channels=CLASSES,
        thresholds=(0.5,) * len(CLASSES),
        preprocessing=Preprocessing(size=config.size),
        trained_on=(*(text for name, text in SOURCES.items() if name in sources), encoder),
        not_trained_on=NOT_TRAINED_ON,
        licence=LICENCE,
        metrics=(),
        limits=LIMITS,
    )


def release(
    run: Path,
    data: Path,
    folder: Path,
    *,
    unseen: Path | None = None,
    prepared: list[Prepared] | None = None,
) -> ModelCard:
    """Calibrates on the validation slices, exports, measures the export and writes its card into `folder`.

    Args:
        run: folder of the run.
        data: folder of the data sets.
        folder: gets the network and its card.
        unseen: `matrix.json` of `groundglass.training.classification.matrix`; what the card in `folder`, else the
            shipped one, says of unseen sources is kept when None.
        prepared: the slices, where they are at hand.
    """
    segmenter = SliceSegmenter(threads=1)
    slices = load_shipped(data, segmenter) if prepared is None else prepared
    val = [one for one in slices if one.slice.split == "val"]
    network, config = load_network(run)
    learned = learned_slices(slices, config)
    judge = Judge.fit(network, learned, val, size=config.size)
    known = kept_entries(folder) if unseen is None else unseen_entries(unseen)
    card = replace(
        draft(config, {one.slice.source for one in learned}),
        classifier=judge.terms,
        limits=(*LIMITS, unseen_limit(known)),
    )
    card = export_classifier(judge.network, judge.familiar, card, folder)
    classifier = SliceClassifier(card, threads=1)
    metrics = [*slice_metrics(classifier, val), *scan_metrics(classifier, segmenter, data), *known]
    card = replace(card, metrics=tuple(metrics))
    (folder / f"{card.name}.json").write_text(card.to_json(), encoding="utf-8")
    return card


def slice_metrics(classifier: SliceClassifier, val: Sequence[Prepared]) -> list[Metric]:
    """Binary COVID scores of the exported network on the validation slices, all of them and those it answers."""
    answers = answers_of(classifier, val)
    covid = np.array([classifier.probabilities(answer)[0] for answer in answers])
    truth = np.array([int(one.slice.label == "COVID") for one in val])
    patients = [one.slice.group for one in val]
    where = f"UCSD COVID-CT validation split, {len(val)} slices of {len(set(patients))} patients"
    metrics = [_metric(name, one, where) for name, one in binary_scores(truth, covid, patients).items()]
    answered = np.array([not classifier.classification(answer).abstained for answer in answers])
    metrics.append(Metric("coverage", round(float(answered.mean()), 4), f"share of them that it answers, {where}", {}))
    kept = [patient for patient, yes in zip(patients, answered, strict=True) if yes]
    for name in ("accuracy", "AUROC"):
        one = binary_scores(truth[answered], covid[answered], kept)[name]
        metrics.append(_metric(f"{name} of those answered", one, where))
    return metrics


def _metric(name: str, one: Estimate, where: str) -> Metric:
    spread = "" if one.interval is None else f"; 95 % by patient {one.interval.low:.3f} to {one.interval.high:.3f}"
    return Metric(f"COVID {name}", round(one.value or 0.0, 4), where + spread, {})


def answers_of(classifier: SliceClassifier, slices: Sequence[Prepared]) -> list[SliceAnswer]:
    """What the exported network says about slices."""
    return list(classifier.answers(SliceInput(*one.planes) for one in slices))


def scan_metrics(classifier: SliceClassifier, segmenter: SliceSegmenter, data: Path) -> list[Metric]:
    """What the exported network says about the three scans that it never saw."""
    from groundglass.io.read import read_input
    from groundglass.volume import CTVolume

    metrics = []
    for file in ("covid_P001_dicom", "cap_cap001_ct.nii.gz", "normal_normal001_ct.nii.gz"):
        volume = read_input(data / "ct_volumes" / file)
        if not isinstance(volume, CTVolume):
            continue
        judged = classify_volume(volume, scan_probabilities(volume, segmenter, progress=lambda *_: None), classifier)
        if judged is None:
            continue
        said = judged.classification
        cases = {str(name): value for name, value in said.probabilities.items()}
        verdict = said.label or "abstains"
        metrics.append(Metric(f"scan {file.split('_')[1]}", max(cases.values()), f"says: {verdict}", cases))
    return metrics


def main() -> None:
    """Reads the options and releases."""
    parser = argparse.ArgumentParser(prog="python -m groundglass.training.classification.release", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a run")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="folder of cards and weights")
    parser.add_argument(
        "--unseen", type=Path, help="matrix.json with the runs that left a source out; else the card keeps what it says"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    card = release(arguments.run, arguments.data, arguments.to, unseen=arguments.unseen)
    logger.info("%s", json.dumps([[one.name, one.value, one.protocol] for one in card.metrics], indent=1))


if __name__ == "__main__":
    main()
