from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from groundglass.training.classification.records import LabelledSlice
from groundglass.training.classification.shipped import BEST, ShippedConfig, ShippedTraining, load_network
from groundglass.training.classification.shipped_data import Prepared
from tests.support.classifier import chest_slice
from tests.training.classification.conftest import slice_picture


def prepared() -> list[Prepared]:
    made, rng = [], np.random.default_rng(0)
    for number in range(16):
        label, split = ("COVID", "NonCOVID")[number % 2], ("train", "val")[number // 12]
        shown = chest_slice(64)
        grey = slice_picture(rng, "COVID" if label == "COVID" else "Normal", 64)
        one = LabelledSlice(f"{number}", "ucsd", f"p{number}", label, split, grey)
        made.append(Prepared(one, (grey, shown.lung, shown.infection)))
    return made


def test_training_keeps_the_first_blocks_saves_and_goes_on(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = ShippedConfig(steps=4, batch=4, size=64, validate_every=2)
    training = ShippedTraining(prepared(), config)
    stem = training.network.encoder.stem[0].weight.clone()
    head = training.network.head.weight.clone()
    training.fit(tmp_path)
    assert torch.equal(training.network.encoder.stem[0].weight, stem)
    assert not torch.equal(training.network.head.weight, head)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4]
    assert load_network(tmp_path).head.weight.shape == (3, 320)
    # A finished run is not trained on.
    stamp = (tmp_path / BEST).stat().st_mtime_ns
    again = ShippedTraining(prepared(), config)
    again.fit(tmp_path)
    assert again.step == 4
    assert (tmp_path / BEST).stat().st_mtime_ns == stamp


def test_a_left_out_source_is_not_learned_from() -> None:
    known = prepared()
    other = [Prepared(LabelledSlice("x", "sars_cov_2_ct", None, "COVID", "", known[0].slice.image), known[0].planes)]
    training = ShippedTraining([*known, *other], ShippedConfig(size=64, leave_out="ucsd"))
    assert training.sampler.sources == ["sars_cov_2_ct"]
