"""Runs a network on the CPU with OpenVINO."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from groundglass.errors import OptionError, UnusableModelError
from groundglass.inference.memory import Memory
from groundglass.inference.network_file import read_network
from groundglass.inference.quantised import read_quantised

Precision = Literal["auto", "int8", "bf16", "f32"]
Arithmetic = Literal["int8", "bf16", "f32"]
AGREEMENT = {"int8": 0.5, "bf16": 0.1}
"""Largest mean difference of probabilities from f32, in percent of full range, at which a precision is used.

What int8 loses is measured when a network is quantised; here it is a guard against processors on which 8-bit products
overflow, where the difference is several times as large.
"""


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
        precision: ``"int8"``, ``"bf16"`` or ``"f32"``: what the network computes in.
        size: Side of the network input, pixels.
        channels: Number of maps that it gives.
    """

    def __init__(
        self,
        weights: Path,
        *,
        quantised: Path | None = None,
        precision: Precision = "auto",
        threads: int | None = None,
        cache: Path | None = None,
    ) -> None:
        """Compiles the network.

        Args:
            weights: ONNX file with one uint8 input ``[n, 1, size, size]`` and one output of probabilities.
            quantised: the same network in 8 bits, see `read_quantised`.
            precision: ``"auto"`` takes the first of int8, bf16 and f32 that the network and the processor have and
                that agrees with f32 on `check_pictures`.
            threads: CPU threads; all by default.
            cache: folder that remembers what agrees with f32; found out anew each time when None.

        Raises:
            UnusableModelError: no ONNX file, or a network with other inputs or outputs.
            OptionError: int8 is wanted of a network that is not quantised.
        """
        openvino = import_openvino()
        self._openvino = openvino
        self._core = openvino.Core()
        self._models = {"f32": read_network(self._core, weights)}
        _, self.channels, self.size, _ = (
            int(side.get_length()) for side in self._models["f32"].outputs[0].partial_shape
        )
        self._files = {"f32": weights}
        if quantised is not None and precision in ("auto", "int8"):
            self._models["int8"] = read_quantised(self._core, quantised, self._models["f32"])
            self._files["int8"] = quantised
        self._threads = threads or usable_cores()
        self.precision, compiled = self._chosen(precision, cache)
        self._compiled = {self.size: compiled}

    def _chosen(self, precision: Precision, cache: Path | None) -> tuple[Arithmetic, Any]:
        """What the network computes in, and the network compiled for it."""
        if precision != "auto":
            if precision == "int8" and "int8" not in self._models:
                raise OptionError(f"{self._files['f32']} has no int8 weights beside it; expected auto, bf16 or f32")
            return precision, self._compile(precision)
        for candidate in self._candidates():
            compiled = self._compile(candidate)
            if self._known_to_agree(candidate, compiled, cache):
                return candidate, compiled
        return "f32", self._compile("f32")

    def _candidates(self) -> list[Arithmetic]:
        """What is faster than f32 here, the fastest first."""
        known: list[tuple[Arithmetic, bool]] = [("int8", "int8" in self._models), ("bf16", self._bf16_available())]
        return [name for name, there in known if there]

    def _bf16_available(self) -> bool:
        return "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

    def _compile(self, precision: Arithmetic, side: int | None = None) -> Any:  # noqa: ANN401
        """The network for one precision and side; what is not quantised in an int8 network computes in bf16."""
        hint = ("bf16" if self._bf16_available() else "f32") if precision == "int8" else precision
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": hint}
        settings["INFERENCE_NUM_THREADS"] = self._threads
        # Bound to cores, the threads of several processes would share the first core and leave the others idle.
        settings["ENABLE_CPU_PINNING"] = False
        model = self._models.get(precision, self._models["f32"])
        if side is not None:
            model = model.clone()
            try:
                model.reshape([1, 1, side, side])
            except RuntimeError as error:
                raise UnusableModelError(
                    f"{self._files['f32']} takes pictures of {self.size} pixels alone; {side} are needed for coarse "
                    "slices; take coarse_size out of its card"
                ) from error
        return self._core.compile_model(model, "CPU", settings)

    def _known_to_agree(self, precision: Arithmetic, compiled: Any, cache: Path | None) -> bool:  # noqa: ANN401
        """Whether it agrees with f32, remembered for these weights, this OpenVINO and this processor."""
        files = (self._files["f32"], self._files.get(precision, self._files["f32"]))
        parts = (
            precision,
            *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files),
            self._openvino.get_version(),
            *(str(self._core.get_property("CPU", name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")),
            str(AGREEMENT[precision]),
        )
        memory = Memory(cache, hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32])
        known = memory.recall()
        if known is None:
            known = self._difference(compiled) < AGREEMENT[precision]
            memory.keep(known)
        return known

    def _difference(self, compiled: Any) -> float:  # noqa: ANN401
        """Mean difference of the probabilities from f32 on `check_pictures`, in percent of full range."""
        pictures = check_pictures(self.size)
        answers = [
            run_in_order(network, (picture[None] for picture in pictures))
            for network in (compiled, self._compile("f32"))
        ]
        difference = [np.abs(one[0].astype(np.float32) - other[0]).mean() for one, other in zip(*answers, strict=True)]
        return float(np.mean(difference)) * 100.0

    def infer(self, pictures: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """Runs the network on a stream of pictures, several at a time.

        Args:
            pictures: uint8 ``[side, side]`` each; drawn only as fast as the network takes them. The side is `size`, or
                another one that the network can be reshaped to, for which it is compiled when one comes.

        Yields:
            float32 ``[channel, side, side]``, probabilities 0..1, in the order of ``pictures``.
        """
        for side, alike in groupby(pictures, key=len):
            for outputs in run_in_order(self._compiled_for(side), (picture[None, None] for picture in alike)):
                yield outputs[0].astype(np.float32, copy=False)

    def _compiled_for(self, side: int) -> Any:  # noqa: ANN401
        if side not in self._compiled:
            self._compiled[side] = self._compile(self.precision, side)
        return self._compiled[side]


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
