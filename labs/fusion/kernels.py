"""The fused kernels of a decoder block: C++ on a CPU, compiled at first use; Triton on a GPU.

Shapes: T tokens, C width, F FFN width, H query and K KV heads of D numbers, S tokens with the new ones.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from labs.engine.native_library import loaded
from labs.ops.gated_activation import triton_gated
from labs.ops.operator import HAS_TRITON
from labs.ops.rms_norm import triton_rms_norm
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_SOURCE = Path(__file__).parent / "native" / "fused.cpp"
_P, _I, _L, _F = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float


class FusedKernels:
    """``calls`` counts launches: torch's profiler does not see these. ``missing`` says what there is not."""

    def __init__(self, device: str) -> None:
        self.calls = 0
        self._library: ctypes.CDLL | None = None
        self.missing: dict[str, Text] = {}
        if device.startswith("cuda"):
            self._on_gpu()
        else:
            self._on_cpu()

    def _on_cpu(self) -> None:
        library = native()
        if isinstance(library, Text):
            self.missing = dict.fromkeys(("norm", "activation", "rope"), library)
        else:
            self._library = library

    def _on_gpu(self) -> None:
        here = Text(zh="GPU 上没有这个内核", en="there is no such kernel for a GPU here")
        self.missing["rope"] = here
        if not HAS_TRITON:
            triton = Text(zh="没有 Triton", en="there is no Triton")
            self.missing |= {"norm": triton, "activation": triton}

    def add_norm(
        self, residual: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """``residual + delta`` and its RMSNorm, both ``[T, C]``, in one pass over contiguous rows."""
        self.calls += 1
        if self._library is None:
            normed, total = triton_rms_norm(residual, weight, delta, epsilon)
            return total, normed
        total, out = torch.empty_like(residual), torch.empty_like(residual)
        pointers = (one.data_ptr() for one in (residual, delta, weight, total, out))
        self._library.fused_add_rms_norm(*pointers, *residual.shape, epsilon)
        return total, out

    def swiglu(self, gate: Tensor, up: Tensor) -> Tensor:
        """``silu(gate) * up [T, F]``; both are columns of one tensor, or each a tensor of its own."""
        if self._library is None:
            # The operator wants them side by side: where they are not, a copy is made, and counted.
            packed = gate._base if gate._base is not None else torch.cat((gate, up), dim=1)
            self.calls += 1
            result: Tensor = triton_gated(packed, gelu=False)
            return result
        self.calls += 1
        out = torch.empty(gate.shape)
        pointers = (one.data_ptr() for one in (gate, up, out))
        self._library.fused_swiglu(*pointers, *gate.shape, gate.stride(0))
        return out

    def rope(self, parts: Sequence[Tensor], angles: Sequence[Tensor], keys: Tensor, values: Tensor) -> Tensor:
        """Turned queries ``[H, T, D]`` of ``q [T, H D]``, ``k`` and ``v [T, K D]``. Writes K into the last T
        rows of ``keys [K, S, D]``; a single token's V into those of ``values``, too: there is a cache."""
        assert self._library is not None
        self.calls += 1
        (q, k, _), (kv_heads, seen, size) = parts, keys.shape
        tokens, heads = len(q), q.shape[1] // size
        out, past = torch.empty(heads, tokens, size), (seen - tokens) * size * keys.element_size()
        self._library.fused_rope(
            *(one.data_ptr() for one in parts),
            *(q.stride(0), k.stride(0)),
            *(one.data_ptr() for one in angles),
            *(out.data_ptr(), keys.data_ptr() + past, values.data_ptr() + past if tokens == 1 else None),
            *(tokens, heads, kv_heads, size, seen * size),
        )
        return out


@functools.cache
def native() -> ctypes.CDLL | Text:
    """The compiled library, or why there is none."""
    library = loaded(_SOURCE)
    if isinstance(library, Text):
        return library
    library.fused_add_rms_norm.argtypes = (*[_P] * 5, _I, _I, _F)
    library.fused_swiglu.argtypes = (_P, _P, _P, _I, _I, _L)
    library.fused_rope.argtypes = (*[_P] * 3, _L, _L, *[_P] * 5, *[_I] * 4, _L)
    for name in ("fused_add_rms_norm", "fused_swiglu", "fused_rope"):
        getattr(library, name).restype = None
    return library
