"""The model's blocks streamed from a file through two buffers: loaded, computed, and loaded ahead.

The file is written once and dropped from the system's page cache before each pass, if the system obeys.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import torch
from torch.func import functional_call

from labs.models.llama import Block
from labs.quantization.threads import threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from torch import Tensor

    from labs.models.llama import Llama

_REPEATS = 3
_CURVE_STEP, _CURVE_LAYERS = 4, 4


@dataclass(frozen=True)
class Pass:
    """Seconds from the pass's start, ``(start, end)`` a layer; ``output`` is the last block's."""

    loads: list[tuple[float, float]]
    computes: list[tuple[float, float]]
    output: Tensor

    @property
    def seconds(self) -> float:
        return self.computes[-1][1]

    @property
    def load_s(self) -> list[float]:
        return [end - start for start, end in self.loads]

    @property
    def compute_s(self) -> list[float]:
        return [end - start for start, end in self.computes]


class BlockFile:
    """The parameters of the first ``layers`` blocks behind each other in a file without a name.

    It vanishes with this object, or with the process.
    """

    def __init__(self, model: Llama, layers: int, check: Callable[[], None] = lambda: None) -> None:
        self.model, self.layers = model, layers
        self.file: IO[bytes] = tempfile.TemporaryFile(buffering=0)
        weakref.finalize(self, self.file.close)
        for layer in range(layers):
            check()
            for parameter in self._block(layer).parameters():
                self.file.write(parameter.detach().cpu().contiguous().flatten().numpy().data)
        os.fsync(self.file.fileno())
        self.layer_bytes = os.fstat(self.file.fileno()).st_size // layers
        self._buffers = [torch.empty(self.layer_bytes // 4) for _ in range(2)]

    def drop_cache(self) -> bool:
        """Ask the system to forget the file's pages; False where it cannot be asked."""
        if not hasattr(os, "posix_fadvise"):
            return False
        os.posix_fadvise(self.file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return True

    def load(self, layer: int) -> None:
        """Read a layer into its buffer: even layers have one, odd ones the other."""
        read_into(self.file, self._buffers[layer % 2].numpy().data.cast("B"), layer * self.layer_bytes)

    def compute(self, layer: int, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Block ``layer`` with the parameters that its buffer holds."""
        block, parameters, first = self._block(layer), {}, 0
        for name, parameter in block.named_parameters():
            end = first + parameter.numel()
            parameters[name] = self._buffers[layer % 2][first:end].view(parameter.shape)
            first = end
        return functional_call(block, parameters, (x, cos, sin, None))  # type: ignore[no-any-return]

    def _block(self, layer: int) -> Block:
        block = self.model.layers[layer]
        assert isinstance(block, Block)
        return block


def read_into(file: IO[bytes], view: memoryview, at: int = 0) -> None:
    """Fill ``view`` with the unbuffered file's bytes from ``at`` on; by one thread at a time."""
    file.seek(at)
    while len(view):
        got = file.readinto(view)  # type: ignore[attr-defined]
        if not got:
            raise EOFError(f"{len(view)} bytes are missing")
        view = view[got:]


@torch.inference_mode()
def serial_pass(file: BlockFile, x: Tensor, cos: Tensor, sin: Tensor, check: Callable[[], None]) -> Pass:
    """Load a layer, compute it, load the next."""
    start, loads, computes = time.perf_counter(), [], []
    for layer in range(file.layers):
        check()
        begin = time.perf_counter()
        file.load(layer)
        middle = time.perf_counter()
        x = file.compute(layer, x, cos, sin)
        loads.append((begin - start, middle - start))
        computes.append((middle - start, time.perf_counter() - start))
    return Pass(loads, computes, x)


@torch.inference_mode()
def prefetched_pass(file: BlockFile, x: Tensor, cos: Tensor, sin: Tensor, check: Callable[[], None]) -> Pass:
    """While a layer is computed, a thread loads the next one; reading a file leaves Python free."""
    start, loads, computes = time.perf_counter(), [], []

    def timed_load(layer: int) -> tuple[float, float]:
        begin = time.perf_counter()
        file.load(layer)
        return begin - start, time.perf_counter() - start

    with ThreadPoolExecutor(1) as pool:
        coming: Future[tuple[float, float]] = pool.submit(timed_load, 0)
        for layer in range(file.layers):
            check()
            loads.append(coming.result())
            if layer + 1 < file.layers:
                coming = pool.submit(timed_load, layer + 1)
            begin = time.perf_counter()
            x = file.compute(layer, x, cos, sin)
            computes.append((begin - start, time.perf_counter() - start))
    return Pass(loads, computes, x)


@torch.inference_mode()
def resident_pass(file: BlockFile, x: Tensor, cos: Tensor, sin: Tensor, layers: int | None = None) -> Pass:
    """The same blocks (or so many of them) with the weights that are in memory: nothing is loaded."""
    start, computes = time.perf_counter(), []
    for layer in range(file.layers if layers is None else layers):
        begin = time.perf_counter()
        x = file.model.layers[layer](x, cos, sin, None)
        computes.append((begin - start, time.perf_counter() - start))
    return Pass([], computes, x)


def stream(
    file: BlockFile, x: Tensor, cos: Tensor, sin: Tensor, check: Callable[[], None]
) -> tuple[Pass, Pass, Pass]:
    """Resident, serial and prefetched: of each the median of some passes.

    One core is left to the thread that loads, where there are several: a GPU has a copy engine of its own.
    """
    with threads(max(1, torch.get_num_threads() - 1)):
        resident_pass(file, x, cos, sin)  # warm
        passes: tuple[list[Pass], list[Pass], list[Pass]] = ([], [], [])
        for _ in range(_REPEATS):
            passes[0].append(resident_pass(file, x, cos, sin))
            file.drop_cache()
            passes[1].append(serial_pass(file, x, cos, sin, check))
            file.drop_cache()
            passes[2].append(prefetched_pass(file, x, cos, sin, check))
    middle = [sorted(found, key=lambda one: one.seconds)[_REPEATS // 2] for found in passes]
    return middle[0], middle[1], middle[2]


def compute_curve(
    file: BlockFile, x: Tensor, cos: Tensor, sin: Tensor, check: Callable[[], None]
) -> list[tuple[int, float]]:
    """``(tokens, seconds a layer)`` with resident weights, for 1, 4, 16, ... tokens of ``x [1, T, C]``.

    Not a multiple of one token's time: with few tokens a layer takes as long as reading its weights does.
    """
    layers = min(_CURVE_LAYERS, file.layers)
    curve, tokens = [], 1
    with threads(max(1, torch.get_num_threads() - 1)):
        while tokens <= x.shape[1]:
            part = (x[:, :tokens], cos[..., :tokens, :], sin[..., :tokens, :])
            found = [resident_pass(file, *part, layers=layers) for _ in range(1 + _REPEATS)][1:]
            check()
            # Of the passes the least disturbed one: others may want the same cores.
            curve.append((tokens, min(statistics.median(one.compute_s) for one in found)))
            tokens *= _CURVE_STEP
    return curve
