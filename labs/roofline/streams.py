"""Reading, copying and adding arrays of any size, by native kernels where they compile, else by torch."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from labs.engine.native_library import loaded
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from torch import Tensor

Kind = Literal["read", "copy", "triad"]
KINDS: Final[tuple[Kind, ...]] = ("read", "copy", "triad")
# Arrays that a pass goes through once. As in STREAM, reading a line before it is overwritten is not counted.
ARRAYS: Final[dict[Kind, int]] = {"read": 1, "copy": 2, "triad": 3}

_SOURCE = Path(__file__).parent / "native" / "stream.cpp"
_FLOATS = 128  # a thread's slice is a multiple of this: eight vectors of any width
_LEAST_BYTES = 192 * 2**20  # that a call moves: starting threads must not count


@functools.cache
def library() -> ctypes.CDLL | Text:
    """The compiled kernels, or why there are none."""
    found = loaded(_SOURCE)
    if not isinstance(found, Text):
        found.inferlab_stream.argtypes = (
            *(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
            *(ctypes.c_int64, ctypes.c_int64, ctypes.c_int),
        )
        found.inferlab_multiply_add.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int)
    return found


class Streams:
    """Three arrays, of which any part can be streamed; ``working_bytes`` counts all arrays of a kind."""

    def __init__(self, largest_bytes: int, device: str) -> None:
        self.device = device
        self.native = device == "cpu" and not isinstance(library(), Text)
        self._arrays = [torch.ones(largest_bytes // 4, device=device) for _ in range(3)]

    def call(self, kind: Kind, working_bytes: int, threads: int) -> tuple[Callable[[], object], int]:
        """A call to be timed, and the bytes that it moves. Of ``threads`` each has its own slice."""
        if self.native:
            return self._native(kind, working_bytes, threads)
        return self._torch(kind, working_bytes)

    def _native(self, kind: Kind, working_bytes: int, threads: int) -> tuple[Callable[[], object], int]:
        each = max(1, working_bytes // (ARRAYS[kind] * 4 * threads * _FLOATS)) * _FLOATS
        moved = each * 4 * threads * ARRAYS[kind]
        passes = max(1, _LEAST_BYTES // moved)
        kernels, (a, b, c) = library(), (array.data_ptr() for array in self._arrays)
        assert not isinstance(kernels, Text) and each * threads <= len(self._arrays[0])
        arguments = (KINDS.index(kind), a, b, c, each, passes, threads)
        return lambda: kernels.inferlab_stream(*arguments), moved * passes

    def _torch(self, kind: Kind, working_bytes: int) -> tuple[Callable[[], object], int]:
        count = working_bytes // (4 * ARRAYS[kind])
        a, b, c = (array[:count] for array in self._arrays)
        calls: dict[Kind, Callable[[], Tensor]] = {
            "read": a.amax,  # a maximum is vectorised better than a sum, whose order is fixed
            "copy": lambda: a.copy_(b),
            "triad": lambda: torch.add(b, c, alpha=3.0, out=a),
        }
        return calls[kind], 4 * count * ARRAYS[kind]
