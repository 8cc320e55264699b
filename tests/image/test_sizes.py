"""Sizes of components, counted in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from groundglass.image import morphology


def test_sizes_are_those_of_one_count(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = np.random.default_rng(0).random((9, 20, 30)) < 0.1
    monkeypatch.setattr(morphology, "_PIECE", 777)
    labels, sizes = morphology.components(stack)
    assert np.array_equal(sizes, np.bincount(labels.ravel()))
    assert sizes.size > 50
    empty, none = morphology.components(np.zeros((2, 3, 4), np.uint8))
    assert none.tolist() == [24]
    assert not empty.any()
