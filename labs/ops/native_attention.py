"""The engine's native attention alone: one layer's decodes over a paged store, blocks read in place."""

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

    from labs.engine.kv_store import KVStore

_SOURCE = Path(__file__).parent / "native" / "paged.cpp"
_KV_KINDS = {"fp32": 0, "bf16": 1, "int8": 2}
_P, _I = ctypes.c_void_p, ctypes.c_int32


class CStore(ctypes.Structure):
    """``Store`` of the engine's ``native/attention.h``."""

    _fields_ = (("kind", _I), ("block_size", _I), ("slots", ctypes.c_int64), ("data", _P), ("scales", _P))


class CDecode(ctypes.Structure):
    """``Decode`` of ``native/paged.cpp``."""

    _fields_ = (
        *((name, _I) for name in ("sequences", "heads", "kv_heads", "head_dim", "layer", "table_width")),
        *((name, _P) for name in ("q", "tables", "lengths", "out")),
    )


class NativeAttention:
    """A pool of threads that attends over whatever store it is given."""

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        self._library = library
        self._pool = library.inferlab_paged(threads)
        weakref.finalize(self, library.inferlab_paged_forget, self._pool)

    def decode(self, q: Tensor, store: KVStore, layer: int, tables: Tensor, lengths: Tensor) -> Tensor:
        """``q [B, H, D]`` fp32, ``tables [B, W]`` and ``lengths [B]`` int32; gives ``[B, H, D]``.

        The tables must name blocks of the store: nothing is checked here.
        """
        layers, _, kv_heads, slots, head_dim = store.data.shape
        assert layer < layers and tables.dtype == lengths.dtype == torch.int32
        assert tables.is_contiguous() and q.dtype == torch.float32
        scaled, out = (q * head_dim**-0.5).contiguous(), torch.empty_like(q)
        scales = None if store.scales is None else store.scales.data_ptr()
        place = CStore(_KV_KINDS[store.kind], store.block_size, slots, store.data.data_ptr(), scales)
        step = CDecode(
            *(len(q), q.shape[1], kv_heads, head_dim, layer, tables.shape[1]),
            *(scaled.data_ptr(), tables.data_ptr(), lengths.data_ptr(), out.data_ptr()),
        )
        self._library.inferlab_paged_decode(self._pool, ctypes.byref(place), ctypes.byref(step))
        return out


@functools.cache
def native_attention() -> ctypes.CDLL | Text:
    """The loaded library, or why there is none."""
    library = loaded(_SOURCE, HEADERS)
    if isinstance(library, Text):
        return library
    library.inferlab_paged.restype = _P
    library.inferlab_paged.argtypes = (ctypes.c_int,)
    library.inferlab_paged_decode.restype = None
    library.inferlab_paged_decode.argtypes = (_P, _P, _P)
    library.inferlab_paged_forget.restype = None
    library.inferlab_paged_forget.argtypes = (_P,)
    return library
