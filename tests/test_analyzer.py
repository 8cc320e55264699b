"""Many scans in one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import groundglass as gg
from groundglass.analyzer import Analyzer
from groundglass.errors import InputNotFoundError, OptionError
from groundglass.volume import CTVolume
from tests.support.thorax import small_chest


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    analyzer = gg.Analyzer(settings=gg.Settings(threads=2))
    analyzer.load()
    return analyzer


def numbers(result: object) -> object:
    assert isinstance(result, gg.AnalysisResult)
    return result.measurements


def test_threads_share_one_load_and_get_the_same_numbers(analyzer: Analyzer) -> None:
    expected = numbers(gg.analyze(small_chest().volume))
    found: list[object] = []
    work = [
        threading.Thread(target=lambda: found.append(numbers(analyzer.analyze(small_chest().volume)))) for _ in range(2)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert found == [expected, expected]
    assert analyzer.load() is analyzer.load()


def test_results_come_in_order_and_a_bad_scan_ends_nothing(analyzer: Analyzer, tmp_path: Path) -> None:
    scans: list[object] = [small_chest().volume, tmp_path / "missing.nii.gz", small_chest().volume]
    first, bad, last = list(analyzer.analyze_many(scans, workers=2))
    assert [one.scan for one in (first, bad, last)] == scans
    assert numbers(first.get()) == numbers(last.get())
    with pytest.raises(InputNotFoundError):
        bad.get()


def test_scans_are_drawn_only_as_fast_as_results_are_taken(analyzer: Analyzer) -> None:
    drawn = 0

    def endless() -> Iterator[Path]:
        nonlocal drawn
        while True:
            drawn += 1
            yield Path("/nothing/there.nii.gz")

    results = analyzer.analyze_many(endless(), workers=2)
    for taken in range(1, 6):
        assert next(results).error is not None
        assert drawn <= taken + 2
    results.close()  # type: ignore[attr-defined]
    with pytest.raises(OptionError):
        next(analyzer.analyze_many([], workers=0))


def test_the_event_loop_stays_free(analyzer: Analyzer) -> None:
    async def scans() -> AsyncIterator[CTVolume]:
        for _ in range(2):
            yield small_chest().volume

    async def run() -> tuple[list[object], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        found = [numbers(one.get()) async for one in analyzer.stream(scans())]
        ticking.cancel()
        return found, ticks

    found, ticks = asyncio.run(run())
    assert len(found) == 2
    assert found[0] == found[1]
    assert ticks > 3
