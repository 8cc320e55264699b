"""OpenVINO: order, precision, and nothing sent or loaded that should not be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from groundglass.errors import UnusableModelError
from groundglass.inference.engine import AGREEMENT, Engine, Precision, check_pictures
from groundglass.models.catalog import load_card
from tests.support.network import bright_network


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load_card().verify(), precision="f32")


def test_results_are_probabilities_in_the_order_of_the_pictures(engine: Engine) -> None:
    pictures = [picture[0] for picture in check_pictures(engine.size, 7)]
    together = list(engine.infer(pictures))
    assert len(together) == 7
    for picture, result in zip(pictures, together, strict=True):
        assert result.shape[1:] == picture.shape
        assert result.min() >= 0
        assert result.max() <= 1
        np.testing.assert_allclose(result, next(engine.infer([picture])), atol=1e-4)


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_pictures_of_another_side_in_between(precision: Precision) -> None:
    card = load_card()
    engine = Engine(card.verify(), quantised=card.verify_quantised(), precision=precision)
    large, small = (check_pictures(side, 2)[:, 0] for side in (engine.size, 256))
    mixed = list(engine.infer([large[0], small[0], small[1], large[1]]))
    assert [one.shape[1] for one in mixed] == [engine.size, 256, 256, engine.size]
    np.testing.assert_allclose(mixed[2], next(engine.infer([small[1]])), atol=1e-4)


def test_a_network_of_one_side_alone_says_so(tmp_path: Path) -> None:
    fixed = bright_network(64)
    shape = numpy_helper.from_array(np.array([1, 1, 64, 64]), "shape")
    fixed.graph.initializer.append(shape)
    fixed.graph.node.append(helper.make_node("Reshape", ["probabilities", "shape"], ["reshaped"]))
    fixed.graph.output[0].name = "reshaped"
    (tmp_path / "fixed.onnx").write_bytes(fixed.SerializeToString())
    engine = Engine(tmp_path / "fixed.onnx", precision="f32")
    assert len(list(engine.infer([np.zeros((64, 64), np.uint8)]))) == 1
    with pytest.raises(UnusableModelError, match="takes pictures of 64 pixels alone; 96 are needed"):
        list(engine.infer([np.zeros((96, 96), np.uint8)]))


def test_threads_are_not_bound_to_cores(engine: Engine) -> None:
    # Bound, the single threads of several processes all sit on the first core.
    assert not engine._compiled[engine.size].get_property("ENABLE_CPU_PINNING")


def test_no_pictures_give_no_results(engine: Engine) -> None:
    assert list(engine.infer([])) == []


def test_chosen_precision_agrees_with_float32(engine: Engine) -> None:
    chosen = Engine(load_card().verify())
    pictures = [picture[0] for picture in check_pictures(engine.size)]
    found, expected = np.stack(list(chosen.infer(pictures))), np.stack(list(engine.infer(pictures)))
    assert np.abs(found - expected).mean() * 100 < AGREEMENT["bf16"]


def test_an_error_while_pictures_are_made_reaches_the_caller(engine: Engine) -> None:
    def broken() -> object:
        yield np.zeros((engine.size, engine.size), np.uint8)
        raise KeyError("the second picture")

    with pytest.raises(KeyError, match="second picture"):
        list(engine.infer(broken()))  # type: ignore[arg-type]
    assert len(list(engine.infer([np.zeros((engine.size, engine.size), np.uint8)]))) == 1


def test_a_network_is_freed_at_any_moment_without_a_hang() -> None:
    code = (
        "import numpy as np\n"
        "from groundglass.inference.engine import Engine\n"
        "from groundglass.models.catalog import load_card\n"
        "for left in range(12):\n"
        "    engine = Engine(load_card().verify(), precision='f32')\n"
        "    answers = engine.infer(np.zeros((256, 256), np.uint8) for _ in range(6))\n"
        "    for _ in range(left % 7):\n"
        "        next(answers)\n"
        "    del answers, engine\n"
        "    print(left)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=True, timeout=240, capture_output=True, text=True)
    assert ended.stdout.split() == [str(left) for left in range(12)]


def test_inference_loads_neither_torch_nor_telemetry() -> None:
    code = (
        "import sys\n"
        "from groundglass.inference.segment import SliceSegmenter\n"
        "assert 'openvino' not in sys.modules\n"
        "SliceSegmenter()\n"
        "bad = [name for name in sys.modules if 'telemetry' in name or name.split('.')[0] == 'torch']\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
