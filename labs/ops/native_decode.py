"""Products of few rows with 2:4 and INT4 weights in C++: what memory carries is the small form alone."""

from __future__ import annotations

import ctypes
import functools
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from labs.engine.native_library import loaded
from labs.engine.native_step import HEADERS
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

_SOURCE = Path(__file__).parent / "native" / "decode.cpp"
_KINDS = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
_P, _L = ctypes.c_void_p, ctypes.c_long
MANY = 16  # rows of x from which a weight that is unfolded to memory once, for torch, is the better one


class NativeDecode:
    """A pool of threads; tensors on the CPU and contiguous, ``x [m, k]``, ``out [m, n]`` in fp32.

    Without ``x`` the weight itself, ``[n, k]``, is written to ``out``.
    """

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        self._library = library
        self._pool = library.inferlab_decode(threads)
        weakref.finalize(self, library.inferlab_decode_forget, self._pool)

    def two_four(self, x: Tensor | None, values: Tensor, meta: Tensor, out: Tensor) -> None:
        """As ``labs.ops.sparse_24.compress`` lays them out, ``values`` in any type."""
        n, k = len(values), 2 * values.shape[1]
        kind = _KINDS[values.dtype]
        self._library.inferlab_decode_two_four(
            self._pool, _at(values), kind, _at(meta), _at(x), _at(out), len(out), n, k
        )

    def int4(self, x: Tensor | None, packed: Tensor, scale: Tensor, low: Tensor, out: Tensor) -> None:
        """As ``labs.ops.int4_gemm.quantize`` lays them out, with ``scale`` and ``low`` in fp32; k is whole
        groups."""
        n, groups, half = packed.shape
        assert scale.dtype == low.dtype == torch.float32
        self._library.inferlab_decode_int4(
            self._pool, _at(packed), _at(scale), _at(low), _at(x), _at(out), len(out), n, groups, half
        )


def _at(tensor: Tensor | None) -> int | None:
    if tensor is None:
        return None
    assert tensor.is_contiguous() and tensor.is_cpu
    return tensor.data_ptr()


def native_decode() -> NativeDecode | Text:
    """With as many threads as torch has now, compiled at first use (some seconds); or why there is none."""
    return _with_threads(torch.get_num_threads())


@functools.cache
def _with_threads(threads: int) -> NativeDecode | Text:
    library = _library()
    return library if isinstance(library, Text) else NativeDecode(library, threads)


@functools.cache
def _library() -> ctypes.CDLL | Text:
    library = loaded(_SOURCE, HEADERS)
    if isinstance(library, Text):
        return library
    library.inferlab_decode.restype, library.inferlab_decode.argtypes = _P, (ctypes.c_int,)
    arguments = {
        "two_four": (_P, _P, _L, *[_P] * 3, *[_L] * 3),
        "int4": (*[_P] * 6, *[_L] * 4),
        "forget": (_P,),
    }
    for name, kinds in arguments.items():
        function = getattr(library, f"inferlab_decode_{name}")
        function.restype, function.argtypes = None, kinds
    return library
