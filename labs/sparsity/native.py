"""Products of sparse weights in C++, one thread, called through ctypes; or why there are none here."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from labs.engine.native_library import loaded

if TYPE_CHECKING:
    from torch import Tensor

    from labs.text import Text

SOURCE = Path(__file__).parent / "native" / "sparse.cpp"
_L, _P = ctypes.c_long, ctypes.c_void_p


class Kernels:
    """Contiguous tensors on the CPU, values in fp32; ``x [k, m]``, ``out [n, m]``, m is 1 or in eights."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def csr(self, values: Tensor, columns: Tensor, starts: Tensor, x: Tensor, out: Tensor) -> None:
        """``columns`` in int32 or uint16."""
        index = columns.element_size()
        self._library.inferlab_csr(*_at(values, columns, starts, x, out), *out.shape, index)

    def bsr(self, values: Tensor, columns: Tensor, starts: Tensor, x: Tensor, out: Tensor) -> None:
        """``values [blocks, b, b]``, b in eights."""
        self._library.inferlab_bsr(*_at(values, columns, starts, x, out), *out.shape, values.shape[1])

    def active_rows(self, weight: Tensor, active: Tensor, x: Tensor, out: Tensor) -> None:
        """``out [batch, n] = x [batch, k] @ weight [k, n]``, of ``active`` (int32) channels."""
        (k, n), count = weight.shape, len(active)
        library = self._library
        library.inferlab_active_rows(*_at(weight, active), count, *_at(x, out), n, k, len(x))


def _at(*tensors: Tensor) -> list[int]:
    for one in tensors:
        assert one.is_contiguous() and one.device.type == "cpu"
        assert one.dtype in (torch.float32, torch.int32, torch.uint16)
    return [one.data_ptr() for one in tensors]


@functools.cache
def kernels() -> Kernels | Text:
    """Compiled at first use (some seconds), or why there are none here."""
    library = loaded(SOURCE)
    if not isinstance(library, ctypes.CDLL):
        return library
    arguments = {
        "csr": (*[_P] * 5, *[_L] * 3),
        "bsr": (*[_P] * 5, *[_L] * 3),
        "active_rows": (_P, _P, _L, _P, _P, *[_L] * 3),
    }
    for name, kinds in arguments.items():
        function = getattr(library, f"inferlab_{name}")
        function.restype, function.argtypes = None, kinds
    return Kernels(library)
