"""One small phantom for all tests of this folder."""

from __future__ import annotations

import pytest

from groundglass.phantom import Phantom, make_chest

SMALL = (96, 96, 40)


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    return make_chest(4, shape=SMALL)
