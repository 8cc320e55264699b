"""What is remembered about the precision, and that nothing depends on remembering."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundglass.errors import OptionError
from groundglass.inference.engine import Engine
from groundglass.inference.memory import Memory
from groundglass.models.catalog import load_card
from groundglass.settings import Settings


def test_an_answer_is_kept_for_its_key_alone(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    assert Memory(folder, "a").recall() is None
    Memory(folder, "a").keep(False)
    Memory(folder, "b").keep(True)
    assert (Memory(folder, "a").recall(), Memory(folder, "b").recall()) == (False, True)
    assert len(list(folder.iterdir())) == 2


def test_what_cannot_be_kept_or_read_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    blocked = Memory(tmp_path / "file", "a")
    blocked.keep(True)
    assert blocked.recall() is None
    Memory(None, "a").keep(True)
    assert Memory(None, "a").recall() is None
    (tmp_path / "precision-a.txt").write_bytes(b"agr\xff")
    assert Memory(tmp_path, "a").recall() is None


def test_the_answer_decides_the_precision(tmp_path: Path) -> None:
    weights = load_card().verify()
    first = Engine(weights, cache=tmp_path)
    answers = list(tmp_path.iterdir())
    if not answers:
        pytest.skip("this processor has no bf16, so there is nothing to remember")
    answers[0].write_text("differs\n")
    assert Engine(weights, cache=tmp_path).precision == "f32"
    answers[0].write_text("rubbish")
    assert Engine(weights, cache=tmp_path).precision == first.precision
    assert answers[0].read_text() == f"{'agrees' if first.precision == 'bf16' else 'differs'}\n"


def test_where_it_is_kept() -> None:
    assert Settings(cache="off").cache_folder() is None
    assert Settings(cache="/x/y").cache_folder() == Path("/x/y")
    assert str(Settings().cache_folder()).endswith("groundglass")
    assert Settings.from_environment({"GROUNDGLASS_CACHE": "off"}).cache_folder() is None
    with pytest.raises(OptionError):
        Settings.from_environment({"GROUNDGLASS_THREADS": "many"})
