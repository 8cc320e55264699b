"""Many scans in one process: networks loaded once, several scans at a time, results in order."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import ArrayLike

from groundglass.errors import GroundglassError, OptionError
from groundglass.geometry import Vector3
from groundglass.inference.scan import Networks
from groundglass.options import AnalysisOptions, with_model
from groundglass.pipeline import analyze
from groundglass.progress import Progress, silent
from groundglass.result import AnalysisResult, PictureResult
from groundglass.settings import Settings

Result = AnalysisResult | PictureResult


@dataclass(frozen=True, slots=True, eq=False)
class Analyzed:
    """One scan of many, with its result or the error that it ended in.

    Attributes:
        scan: what was given.
        result: None where the scan could not be analyzed.
        error: why not; None where it could.
    """

    scan: Any
    result: Result | None
    error: GroundglassError | None

    def get(self) -> Result:
        """The result.

        Raises:
            GroundglassError: the scan could not be analyzed.
        """
        if self.result is None:
            raise self.error or GroundglassError("no result")
        return self.result


class Analyzer:
    """Analyzes scans with networks that are loaded once; may be used by several threads at the same time.

    ```python
    import groundglass as gg

    with gg.Analyzer() as analyzer:
        for one in analyzer.analyze_many(paths):
            print(one.get().measurements.involvement_percent.total)
    ```

    Attributes:
        options: choices of every analysis.
        settings: limits and threads.
    """

    def __init__(
        self,
        options: AnalysisOptions | None = None,
        *,
        settings: Settings | None = None,
        model: str | Path | None = None,
    ) -> None:
        """Prepare; the networks are loaded when first needed.

        Args:
            options: choices of every analysis.
            settings: limits and threads; the environment's when None.
            model: a network of your own, as for `groundglass.analyze`.
        """
        self.options = with_model(options, model)
        self.settings = settings or Settings.from_environment()
        self._networks: Networks | None = None
        self._loading = threading.Lock()

    def __enter__(self) -> Analyzer:
        """Load the networks."""
        self.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the networks."""
        self._networks = None

    def load(self) -> Networks:
        """Load the networks, once, however many threads ask.

        Raises:
            ModelError: unknown name, weights missing or damaged.
        """
        with self._loading:
            if self._networks is None:
                self._networks = Networks.load(self.options, self.settings)
            return self._networks

    def analyze(
        self,
        scan: Any,  # noqa: ANN401 - foreign image types
        *,
        spacing: Vector3 | None = None,
        affine: ArrayLike | None = None,
        progress: Progress = silent,
    ) -> Result:
        """Analyze one scan; see `groundglass.analyze` for the arguments.

        Raises:
            InputError: the input cannot be used.
            ModelError: the network is missing or damaged.
        """
        return analyze(
            scan,
            spacing=spacing,
            affine=affine,
            options=self.options,
            settings=self.settings,
            networks=self.load(),
            progress=progress,
        )

    def analyze_many(self, scans: Iterable[Any], *, workers: int = 2) -> Iterator[Analyzed]:
        """Analyze scans, several at a time, in their order.

        One scan is read while another is in the network. Scans are drawn only as fast as their results are taken: at
        most `workers` + 1 scans and results exist at any moment.

        Args:
            scans: paths, images or arrays; may be endless.
            workers: scans at a time.

        Yields:
            One `Analyzed` per scan; a scan that cannot be used does not end the run.

        Raises:
            OptionError: fewer than one worker.
            ModelError: the network is missing or damaged.
        """
        _require_workers(workers)
        self.load()
        with ThreadPoolExecutor(workers, thread_name_prefix="groundglass") as pool:
            under_way: deque[Future[Analyzed]] = deque()
            try:
                for scan in scans:
                    under_way.append(pool.submit(self._one, scan))
                    if len(under_way) > workers:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for future in under_way:
                    future.cancel()

    async def stream(self, scans: Iterable[Any] | AsyncIterator[Any], *, workers: int = 2) -> AsyncIterator[Analyzed]:
        """`analyze_many` for asynchronous programs: the event loop stays free while scans are analyzed.

        Args:
            scans: paths, images or arrays, from a usual or an asynchronous iterator.
            workers: scans at a time.

        Yields:
            One `Analyzed` per scan, in order.

        Raises:
            OptionError: fewer than one worker.
            ModelError: the network is missing or damaged.
        """
        _require_workers(workers)
        await asyncio.to_thread(self.load)
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="groundglass")
        under_way: deque[asyncio.Future[Analyzed]] = deque()
        try:
            async for scan in _asynchronous(scans):
                under_way.append(loop.run_in_executor(pool, self._one, scan))
                if len(under_way) > workers:
                    yield await under_way.popleft()
            while under_way:
                yield await under_way.popleft()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _one(self, scan: Any) -> Analyzed:  # noqa: ANN401 - foreign image types
        try:
            return Analyzed(scan, self.analyze(scan), None)
        except GroundglassError as error:
            return Analyzed(scan, None, error)


def _require_workers(workers: int) -> None:
    if workers < 1:
        raise OptionError(f"{workers} workers; expected at least 1")


async def _asynchronous(scans: Iterable[Any] | AsyncIterator[Any]) -> AsyncIterator[Any]:
    if isinstance(scans, AsyncIterator):
        async for scan in scans:
            yield scan
        return
    for scan in scans:
        yield scan
