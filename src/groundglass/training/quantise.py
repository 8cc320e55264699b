"""``python -m groundglass.training.quantise``: 8-bit weights and arithmetic for a network of the package.

The ranges of the activations are taken from slices that the network learned from (post-training quantisation, NNCF).
The result is measured beside the exact network on data that was kept out of the training, and is kept only if it is as
good: then the card names it, and inference uses it.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import GroundglassError, MissingExtraError, TrainingError
from groundglass.image.prepare import views
from groundglass.inference.engine import import_openvino
from groundglass.inference.network_file import read_network
from groundglass.inference.quantised import pack_quantised
from groundglass.inference.segment import SliceSegmenter
from groundglass.io.write import atomic_write_bytes
from groundglass.models.catalog import SEGMENTATION, WEIGHTS, ModelCard, QuantisedWeights, load_card
from groundglass.settings import without_nncf_telemetry
from groundglass.training.release import metrics
from groundglass.training.sample import Sample
from groundglass.training.score import score
from groundglass.training.sources import research
from groundglass.training.sources.pictures import picture_volumes

logger = logging.getLogger(__name__)

Scores = dict[str, dict[str, float]]

LARGEST_FALL = 0.003
"""Of the mean Dice of lungs and of infection, against the exact network."""
LARGEST_SHIFT = 0.1
"""Of the involvement of a scan, in percent of the lung, on average."""
HELD_TO = ("lung Dice, lung2d", "infection Dice, medseg", "lung Dice, covid20", "infection Dice, covid20")
EVERY = {"covid20": 8, "medseg": 1, "lung2d": 3, "normal": 4}
"""Every how many slices of a data set the ranges are taken from."""


def calibration_slices(data: Path, card: ModelCard) -> Iterator[Sample]:
    """Slices that the network learned from, of every kind: equalised pictures, crops and Hounsfield units."""
    for volume in picture_volumes(data / "covid20"):
        if volume.name in card.learned_from:
            yield from volume.load()[:: EVERY["covid20"]]
    size = card.preprocessing.size
    yield from list(research.medseg(data, held_out=False, size=size))[:: EVERY["medseg"]]
    yield from list(research.lung2d(data, held_out=False))[:: EVERY["lung2d"]]
    scan = data / "ct_volumes" / "normal_normal001_ct.nii.gz"
    masks = np.zeros((3, 1, 1), np.uint8)
    for index, image in enumerate(research.display_slices(scan)[0][:: EVERY["normal"]]):
        yield Sample(f"{scan.name}[{index}]", scan.name, "hu", image, masks, masks)


def quantise(weights: Path, pictures: list[NDArray[np.uint8]]) -> bytes:
    """Quantises the convolutions of a network but for the first and the last one.

    Those two work on the picture and on the probabilities themselves, where rounding shows most; on processors without
    instructions for 8-bit products the first one would overflow besides. Together they are a tenth of the arithmetic.

    Args:
        weights: ONNX file.
        pictures: uint8 ``[size, size]``, as the network is shown them.

    Returns:
        The content of the file of the quantised network.

    Raises:
        MissingExtraError: NNCF is not installed.
    """
    without_nncf_telemetry()
    openvino = import_openvino()
    try:
        import nncf
    except ImportError as error:
        raise MissingExtraError(
            "quantising needs NNCF; install it with pip install 'groundglass[train,quantise]'"
        ) from error
    model = read_network(openvino.Core(), weights)
    convolutions = [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() == "Convolution"]
    quantised = nncf.quantize(
        model,
        nncf.Dataset([picture[None, None] for picture in pictures]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
        ignored_scope=nncf.IgnoredScope(names=[convolutions[0], convolutions[-1]]),
    )
    return _content(openvino, quantised)


def _content(openvino: Any, model: Any) -> bytes:  # noqa: ANN401 - the library has no types
    """The file of a network, with what is constant worked out: it is compiled a quarter faster, to the same answers."""
    from openvino._offline_transformations import apply_moc_transformations

    apply_moc_transformations(model, cf=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "network.xml"
        openvino.save_model(model, place, compress_to_fp16=True)
        return pack_quantised(place.read_bytes(), place.with_suffix(".bin").read_bytes())


def losses(exact: Scores, found: Scores) -> list[str]:
    """What a quantised network loses that it must not; empty if it may be used.

    Args:
        exact: score -> value per case, of the exact network.
        found: the same of the quantised network.
    """
    reasons = []
    for name in (name for name in HELD_TO if name in exact):
        fall = fmean(exact[name].values()) - fmean(found[name].values())
        if fall > LARGEST_FALL:
            reasons.append(f"{name} falls by {fall:.4f}; at most {LARGEST_FALL} is accepted")
    scans = exact["involvement, percent"]
    shift = fmean(abs(value - found["involvement, percent"][scan]) for scan, value in scans.items())
    if shift > LARGEST_SHIFT:
        reasons.append(f"the involvement shifts by {shift:.2f} % of the lung; at most {LARGEST_SHIFT} is accepted")
    return reasons


def release_quantised(data: Path, folder: Path, name: str) -> ModelCard:
    """Quantises a network, measures it beside the exact one, and names it in the card.

    Args:
        data: folder of the data sets.
        folder: folder of card and weights.
        name: of the network.

    Raises:
        TrainingError: it loses too much; nothing is changed.
        MissingExtraError: NNCF is not installed.
    """
    card = replace(load_card(name, folder), quantised=None)
    pictures = [
        views(one.image, one.kind, card.preprocessing)[0].astype(np.uint8) for one in calibration_slices(data, card)
    ]
    logger.info("quantising with %d slices", len(pictures))
    content = quantise(card.verify(), pictures)
    entry = QuantisedWeights(f"{card.name}.int8.zip", hashlib.sha256(content).hexdigest(), ())
    with tempfile.TemporaryDirectory() as place:
        trial = replace(card, quantised=entry, folder=Path(place))
        for path, held in ((trial.weights, card.weights.read_bytes()), (Path(place) / entry.file, content)):
            path.write_bytes(held)
        exact = score(SliceSegmenter(trial, precision="f32"), data)
        found = score(SliceSegmenter(trial, precision="int8"), data)
    _tell(exact, found)
    if reasons := losses(exact, found):
        raise TrainingError(f"the quantised network is not kept: {'; '.join(reasons)}")
    released = replace(card, quantised=replace(entry, metrics=metrics(found)))
    atomic_write_bytes(folder / entry.file, content)
    atomic_write_bytes(folder / f"{name}.json", released.to_json().encode())
    return released


def _tell(exact: Scores, found: Scores) -> None:
    for name, cases in exact.items():
        logger.info("%-26s f32 %.4f  int8 %.4f", name, fmean(cases.values()), fmean(found[name].values()))


def main() -> None:
    """Reads the options and quantises."""
    parser = argparse.ArgumentParser(prog="python -m groundglass.training.quantise", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="folder of cards and weights")
    parser.add_argument("--name", default=SEGMENTATION, help="name of the network")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        card = release_quantised(arguments.data, arguments.to, arguments.name)
    except GroundglassError as error:
        parser.exit(error.exit_code, f"{error}\n")
    if card.quantised is not None:
        logger.info("%s written; the card names it", arguments.to / card.quantised.file)


if __name__ == "__main__":
    main()
