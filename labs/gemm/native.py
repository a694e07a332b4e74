"""The ladder's rungs in C++, and the ceilings of this processor, called through ctypes."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from labs.engine.native_library import loaded

if TYPE_CHECKING:
    from torch import Tensor

    from labs.text import Text

SOURCE = Path(__file__).parent / "native" / "gemm.cpp"
_L, _P = ctypes.c_long, ctypes.c_void_p
Chain = Literal["dot", "scalars", "vectors"]
_CHAINS: tuple[Chain, ...] = ("dot", "scalars", "vectors")


class Blocks(NamedTuple):
    """Sizes that rungs with blocks use: ``tile`` of rung 3, the others of rungs 4 to 6."""

    tile: int = 128
    m: int = 96
    n: int = 2048
    k: int = 256


class Kernels:
    """The compiled ladder. ``rows`` and ``columns`` of its micro-kernel, ``lanes`` numbers of a vector."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.lanes = int(library.inferlab_gemm_lanes())
        self.rows = int(library.inferlab_gemm_rows())
        self.columns = int(library.inferlab_gemm_columns())

    def product(self, rung: int, a: Tensor, b: Tensor, out: Tensor, blocks: Blocks, threads: int = 1) -> None:
        """``out[m, n] = a[m, k] @ b[k, n]`` by a rung from 0 to 6; contiguous fp32 on the CPU."""
        (m, k), n = a.shape, b.shape[1]
        assert b.shape[0] == k and out.shape == (m, n)
        for x in (a, b, out):
            assert x.is_contiguous() and x.dtype == torch.float32 and x.device.type == "cpu"
        # A block as wide as the whole of B for the rung without packing would leave L2 at once.
        width = min(blocks.n, blocks.tile) if rung == UNPACKED else blocks.n
        depth = min(blocks.k, blocks.tile) if rung == UNPACKED else blocks.k
        pointers = (a.data_ptr(), b.data_ptr(), out.data_ptr())
        self._library.inferlab_gemm(rung, *pointers, m, n, k, blocks.tile, blocks.m, width, depth, threads)

    def tile_steps(self, m: int, n: int, k: int, tile: int) -> Tensor:
        """``[steps, 5]``: row, column, width, depth's start and length of each step of rung 3, in order."""
        found = torch.empty(self._library.inferlab_gemm_tile_steps(m, n, k, tile, None), 5, dtype=torch.int64)
        self._library.inferlab_gemm_tile_steps(m, n, k, tile, found.data_ptr())
        return found

    def chain(self, kind: Chain, steps: int, threads: int) -> float:
        """Run chains of multiply-adds; the FLOPs done."""
        out = torch.empty(threads)
        return float(self._library.inferlab_gemm_ceiling(_CHAINS.index(kind), steps, threads, out.data_ptr()))

    def read(self, data: Tensor, times: int) -> None:
        """Read all of ``data`` so many times."""
        self._library.inferlab_gemm_read(data.data_ptr(), data.numel(), times)


UNPACKED = 4


@functools.cache
def kernels() -> Kernels | Text:
    """Compiled at first use (some seconds), or why there are none here."""
    library = loaded(SOURCE)
    if not isinstance(library, ctypes.CDLL):
        return library
    for name in ("lanes", "rows", "columns"):
        getattr(library, f"inferlab_gemm_{name}").restype = _L
    library.inferlab_gemm.restype = None
    library.inferlab_gemm.argtypes = (_L, _P, _P, _P, *([_L] * 8))
    library.inferlab_gemm_ceiling.restype = ctypes.c_double
    library.inferlab_gemm_ceiling.argtypes = (_L, _L, _L, _P)
    library.inferlab_gemm_tile_steps.restype = _L
    library.inferlab_gemm_tile_steps.argtypes = (_L, _L, _L, _L, _P)
    library.inferlab_gemm_read.restype = ctypes.c_float
    library.inferlab_gemm_read.argtypes = (_P, _L, _L)
    return Kernels(library)
