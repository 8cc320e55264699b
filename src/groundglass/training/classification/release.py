"""``python -m groundglass.training.classification.release``: calibrates, exports, measures the shipped classifier."""

from __future__ import annotations

import argparse
import csv
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from groundglass.evaluation.classification import Estimate, auroc, binary_scores
from groundglass.image.prepare import Preprocessing
from groundglass.inference.classify import SliceAnswer, SliceClassifier, SliceInput, calibrated, domain_reasons
from groundglass.inference.classify_scan import classify_volume
from groundglass.inference.scan import scan_probabilities
from groundglass.inference.segment import SliceSegmenter
from groundglass.models.catalog import CLASSIFIER, WEIGHTS, ClassifierTerms, Metric, ModelCard
from groundglass.training.classification.calibration import (
    fit_calibration,
    fit_least_probability,
    with_offset,
)
from groundglass.training.classification.export import Familiar, export_classifier, pooled_features
from groundglass.training.classification.nets.lite import LiteClassifier
from groundglass.training.classification.records import CLASSES
from groundglass.training.classification.shipped import BEST, logits_of, views_of
from groundglass.training.classification.shipped_data import Prepared, load_shipped

logger = logging.getLogger(__name__)

STRANGEST = 0.99
"""Share of the validation slices that count as familiar."""
LEAST_LUNG_SHARE = 0.03
TRAINED_ON = (
    "UCSD COVID-CT, official train split: 425 figures of papers; COVID and not",
    "SARS-CoV-2 CT-scan set: 800 slices of unknown patients; COVID and not",
    "CC-CCII subset: slices of 8 patients (4 COVID, 1 normal, 3 other pneumonia)",
    "LUNA16/LIDC: 160 slices without pneumonia",
    "COVID-19 CT Lung and Infection Segmentation, every fourth slice, and 50 MedSeg slices; COVID",
    "Synthetic lesions pasted into the normal slices: pneumonia of a kind left open",
    "Encoder started from ImageNet weights of EfficientNet-lite0; its first five blocks stay as they were",
)
NOT_TRAINED_ON = (
    "UCSD COVID-CT, official validation split: 118 figures of 56 patients; chose the weights, temperature and limits",
    "COVID-CT-MD samples covid_P001, cap_cap001 and normal_normal001",
)
LICENCE = (
    "Weights: research use only, non-commercial. The copyright of the UCSD figures is with the papers; of other "
    "sources no licence is stated, or the use is non-commercial."
)
LIMITS = (
    "Not a medical device.",
    "COVID-19 and other pneumonia look alike; a picture cannot replace a test for the virus.",
    "Pictures of a source that it never saw are judged little better than by chance (see the metrics): sources differ "
    "in who counts as not having COVID, and in how pictures were made.",
    "Other pneumonia was learned from three patients.",
    "Learned from 8-bit pictures alone; scans in Hounsfield units are shown to it through a lung window.",
    "Calibrated on one source (UCSD).",
)


def draft(size: int) -> ModelCard:
    """The card of the classifier before it is calibrated and measured."""
    return ModelCard(
        name=CLASSIFIER,
        task="COVID-19 pneumonia, other pneumonia or normal, for axial chest CT slices and scans",
        architecture="EfficientNet-lite0 on the lungs, told the lung and infection maps of the segmentation at stride "
        "8; mean over the last feature map, linear head; 3.4 million weights, stored as float16",
        file=f"{CLASSIFIER}.onnx",
        sha256="",
        date=datetime.now(UTC).date().isoformat(),
        channels=CLASSES,
        thresholds=(0.5,) * len(CLASSES),
        preprocessing=Preprocessing(size=size),
        trained_on=TRAINED_ON,
        not_trained_on=NOT_TRAINED_ON,
        licence=LICENCE,
        metrics=(),
        limits=LIMITS,
    )


def load_network(run: Path) -> LiteClassifier:
    """The best averaged weights of a run."""
    network = LiteClassifier(pretrained=False)
    network.load_state_dict(torch.load(run / BEST, map_location="cpu", weights_only=True)["averaged"])
    return network.eval()


def release(run: Path, data: Path, folder: Path, *, size: int, prepared: list[Prepared] | None = None) -> ModelCard:
    """Calibrates on the validation slices, exports, measures the export and writes its card into `folder`."""
    segmenter = SliceSegmenter(threads=1)
    slices = load_shipped(data, segmenter) if prepared is None else prepared
    network = load_network(run)
    val = [one for one in slices if one.slice.split == "val"]
    learned = [one for one in slices if one.slice.split != "val"]
    familiar = Familiar.fit(pooled_features(network, views_of(learned, size)))
    views = views_of(val, size)
    logits, allowed = logits_of(network, views), np.array([one.slice.allowed for one in val])
    temperature, offset = fit_calibration(logits, allowed)
    logits = np.asarray(with_offset(logits, offset), np.float32)
    with torch.no_grad():
        network.head.bias[CLASSES.index("COVID")] += offset
    limit = float(np.quantile(familiar.distance(pooled_features(network, views)), STRANGEST))
    terms = ClassifierTerms(
        temperature=round(temperature, 4),
        least_probability=fit_least_probability(calibrated(logits, temperature), allowed),
        largest_distance=round(limit, 3),
        least_lung_share=LEAST_LUNG_SHARE,
    )
    card = export_classifier(network, familiar, replace(draft(size), classifier=terms), folder)
    classifier = SliceClassifier(card, threads=1)
    metrics = [*slice_metrics(classifier, val), *scan_metrics(classifier, segmenter, data)]
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


def cross_source(
    networks: dict[str, LiteClassifier], slices: Sequence[Prepared], sizes: dict[str, int]
) -> dict[str, dict[str, float]]:
    """AUROC for COVID of several networks on every source that has both labels.

    Args:
        networks: per row of the table, a network.
        slices: everything; of UCSD the validation split alone is scored.
        sizes: side of the view of each network.
    """
    parts: dict[str, list[Prepared]] = {}
    for one in slices:
        if one.slice.source in {"ucsd", "sars_cov_2_ct", "three_class"} and one.slice.split in {"", "val"}:
            parts.setdefault(one.slice.source, []).append(one)
    table: dict[str, dict[str, float]] = {}
    for name, network in networks.items():
        for source, members in parts.items():
            probabilities = calibrated(logits_of(network, views_of(members, sizes[name])), 1.0)
            truth = np.array([int(one.slice.label == "COVID") for one in members])
            table.setdefault(name, {})[source] = round(auroc(truth, probabilities[:, 0]), 3)
    return table


def write_table(table: dict[str, dict[str, float]], path: Path) -> None:
    """Writes a table of scores as CSV, one network a row."""
    columns = sorted({source for row in table.values() for source in row})
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["network", *columns])
        writer.writerows([name, *(row.get(source, "") for source in columns)] for name, row in table.items())


def unfamiliar_share(classifier: SliceClassifier, slices: Sequence[Prepared]) -> float:
    """Share of slices that the classifier calls outside of what it knows."""
    strange: NDArray[np.bool_] = np.array(
        [bool(domain_reasons(answer, classifier.terms)) for answer in answers_of(classifier, slices)]
    )
    return float(strange.mean())


def main() -> None:
    """Reads the options and releases."""
    parser = argparse.ArgumentParser(prog="python -m groundglass.training.classification.release", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a run")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="folder of cards and weights")
    parser.add_argument("--size", type=int, default=192, help="side of the network input")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    card = release(arguments.run, arguments.data, arguments.to, size=arguments.size)
    logger.info("%s", json.dumps([[one.name, one.value, one.protocol] for one in card.metrics], indent=1))


if __name__ == "__main__":
    main()
