"""Runs a network on the CPU with OpenVINO."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.inference.memory import Memory
from groundglass.inference.network_file import read_network

Precision = Literal["auto", "f32", "bf16"]
AGREEMENT = 0.1
"""Largest mean difference of probabilities, in percent of full range, at which bf16 is used."""


def import_openvino() -> Any:  # noqa: ANN401 - the library has no types
    """Imports OpenVINO without its model converter.

    The converter reports its import to a server; the run-time library works without it.
    """
    blocked = "openvino.tools.ovc"
    if "openvino" in sys.modules or blocked in sys.modules:
        import openvino

        return openvino
    sys.modules[blocked] = None  # type: ignore[assignment]
    try:
        import openvino

        return openvino
    finally:
        del sys.modules[blocked]


def usable_cores() -> int:
    """Number of processor cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def check_pictures(size: int, count: int = 2) -> NDArray[np.uint8]:
    """Fixed pictures on which two precisions are compared: a body with two dark lungs and texture.

    Returns:
        uint8 ``[picture, 1, size, size]``.
    """
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    grain = np.random.default_rng(7).standard_normal((count, size, size)) * 12.0
    pictures = np.full((size, size), 25.0)
    pictures[(x / 0.85) ** 2 + (y / 0.65) ** 2 < 1] = 165.0
    for side in (-0.4, 0.4):
        pictures[((x - side) / 0.28) ** 2 + (y / 0.48) ** 2 < 1] = 45.0
    pictures[((x - 0.45) / 0.12) ** 2 + ((y - 0.25) / 0.12) ** 2 < 1] = 110.0
    return np.clip(pictures + grain, 0, 255).astype(np.uint8)[:, None]


class Engine:
    """A compiled network: uint8 pictures in, probabilities out.

    Attributes:
        precision: ``"bf16"`` or ``"f32"``: what the network computes in.
        size: Side of the network input, pixels.
        channels: Number of maps that it gives.
    """

    def __init__(
        self, weights: Path, *, precision: Precision = "auto", threads: int | None = None, cache: Path | None = None
    ) -> None:
        """Compiles the network.

        Args:
            weights: ONNX file with one uint8 input ``[n, 1, size, size]`` and one output of probabilities.
            precision: ``"auto"`` takes bf16 where the processor has it and it agrees with f32 on `check_pictures`.
            threads: CPU threads; all by default.
            cache: folder that remembers whether bf16 agrees with f32; found out anew each time when None.

        Raises:
            UnusableModelError: no ONNX file, or a network with other inputs or outputs.
        """
        openvino = import_openvino()
        self._openvino = openvino
        self._core = openvino.Core()
        self._model = read_network(self._core, weights)
        _, self.channels, self.size, _ = (int(side.get_length()) for side in self._model.outputs[0].partial_shape)
        self._threads = threads or usable_cores()
        self.precision: Literal["f32", "bf16"] = "f32"
        if precision == "bf16" or (precision == "auto" and self._bf16_available()):
            self.precision = "bf16"
        self._compiled = self._compile(self.precision)
        if precision == "auto" and self.precision == "bf16" and not self._known_to_agree(weights, cache):
            self.precision = "f32"
            self._compiled = self._compile("f32")

    def _bf16_available(self) -> bool:
        return "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    def _compile(self, precision: str) -> Any:  # noqa: ANN401
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
        settings["INFERENCE_NUM_THREADS"] = self._threads
        return self._core.compile_model(self._model, "CPU", settings)

    def _known_to_agree(self, weights: Path, cache: Path | None) -> bool:
        """Whether bf16 agrees with f32, remembered for these weights, this OpenVINO and this processor."""
        parts = (
            hashlib.sha256(weights.read_bytes()).hexdigest(),
            self._openvino.get_version(),
            *(str(self._core.get_property("CPU", name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")),
            str(AGREEMENT),
        )
        memory = Memory(cache, hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32])
        known = memory.recall()
        if known is None:
            known = self._agrees()
            memory.keep(known)
        return known

    def _agrees(self) -> bool:
        pictures = check_pictures(self.size)
        exact = self._compile("f32")
        answers = [
            run_in_order(network, (picture[None] for picture in pictures)) for network in (self._compiled, exact)
        ]
        difference = [np.abs(one[0].astype(np.float32) - other[0]).mean() for one, other in zip(*answers, strict=True)]
        return float(np.mean(difference)) * 100.0 < AGREEMENT

    def infer(self, pictures: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Runs the network on a stream of pictures, several at a time.

        Args:
            pictures: uint8 ``[size, size]`` each; drawn only as fast as the network takes them.

        Yields:
            float32 ``[channel, size, size]``, probabilities 0..1, in the order of ``pictures``.
        """
        for outputs in run_in_order(self._compiled, (picture[None, None] for picture in pictures)):
            yield outputs[0].astype(np.float32, copy=False)


def run_in_order(compiled: Any, inputs: Iterable[NDArray[Any]]) -> Iterator[tuple[NDArray[Any], ...]]:  # noqa: ANN401
    """Runs a compiled network on a stream of inputs, several at a time.

    A queue with Python callbacks would be shorter, but its threads take the interpreter's lock, and a network that is
    freed while one of them waits for the lock hangs. So requests are waited for in turn, and inputs are copied.

    Args:
        compiled: A compiled OpenVINO network with one input.
        inputs: The network's input each, batch axis included; drawn only as fast as the network takes them.

    Yields:
        The outputs of the first of the batch, one array per output of the network, in the order of ``inputs``.
    """
    count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    free = [compiled.create_infer_request() for _ in range(count)]
    running: deque[Any] = deque()
    try:
        for values in inputs:
            if not free:
                yield _outputs(running[0], len(compiled.outputs))
                free.append(running.popleft())
            request = free.pop()
            request.start_async({0: np.ascontiguousarray(values)})
            running.append(request)
        while running:
            yield _outputs(running[0], len(compiled.outputs))
            running.popleft()
    finally:
        for request in running:
            request.wait()


def _outputs(request: Any, count: int) -> tuple[NDArray[Any], ...]:  # noqa: ANN401
    """The answers of a request, once they are there."""
    request.wait()
    return tuple(np.array(request.get_output_tensor(index).data[0]) for index in range(count))
