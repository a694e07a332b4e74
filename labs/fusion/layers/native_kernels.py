"""The fused kernels on a CPU: C++ in one thread (``native/fused.cpp``), and torch's own flash attention."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.engine.native_library import loaded
from labs.fusion.layers.int8 import Codes
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from labs.formulas.decoder_block import Step
    from labs.fusion.layers.int8 import Projection

_SOURCE = Path(__file__).parent / "native" / "fused.cpp"
_P, _I, _L, _F = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float


class NativeKernels:
    """See ``labs.fusion.layers.kernels.FusedKernels``."""

    def __init__(self) -> None:
        self.calls = 0
        self.missing: dict[Step, Text] = {}
        library = native()
        if isinstance(library, Text):
            self.missing = dict.fromkeys(("norm", "quantise", "scales", "activation", "rope"), library)
        else:
            self._library = library

    def add_norm(
        self, residual: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        self.calls += 1
        total, out = torch.empty_like(residual), torch.empty_like(residual)
        pointers = (one.data_ptr() for one in (residual, delta, weight, total, out))
        self._library.fused_add_rms_norm(*pointers, *residual.shape, epsilon)
        return total, out

    def add_norm_quantise(
        self, residual: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Codes]:
        self.calls += 1
        total = torch.empty_like(residual)
        codes = Codes(torch.empty_like(residual, dtype=torch.int8), torch.empty(len(residual), 1))
        pointers = (one.data_ptr() for one in (residual, delta, weight, total, *codes))
        self._library.fused_add_rms_norm_quantise(*pointers, *residual.shape, epsilon)
        return total, codes

    def int8_sums(self, numbers: Tensor, weight: Tensor) -> Tensor:
        """The fused product's own loops: what scaling in place saves is then not the product's doing."""
        if "scales" in self.missing:
            return torch._int_mm(numbers, weight.t())
        self.calls += 1
        (rows, depth), columns = numbers.shape, len(weight)
        out = torch.empty(rows, columns, dtype=torch.int32)
        pointers = (one.data_ptr() for one in (numbers, weight, out))
        self._library.int8_sums(*pointers, rows, columns, depth)
        return out

    def int8_product(self, codes: Codes, projection: Projection) -> Tensor:
        assert projection.scale is not None
        self.calls += 1
        (rows, depth), columns = codes.numbers.shape, len(projection.weight)
        out = torch.empty(rows, columns)
        tensors = (*codes, projection.weight, projection.scale, out)
        self._library.int8_product(*(one.data_ptr() for one in tensors), rows, columns, depth)
        return out

    def swiglu(self, gate: Tensor, up: Tensor) -> Tensor:
        self.calls += 1
        out = torch.empty(gate.shape)
        pointers = (one.data_ptr() for one in (gate, up, out))
        self._library.fused_swiglu(*pointers, *gate.shape, gate.stride(0))
        return out

    def rope(
        self, parts: Sequence[Tensor], angles: Sequence[Tensor], keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """V is left where it is in a prefill: torch's attention takes it as a view."""
        self.calls += 1
        (q, k, v), (kv_heads, seen, size) = parts, keys.shape
        tokens, heads = len(q), q.shape[1] // size
        out, past = torch.empty(heads, tokens, size), (seen - tokens) * size * keys.element_size()
        cached = tokens == 1
        self._library.fused_rope(
            *(one.data_ptr() for one in parts),
            *(q.stride(0), k.stride(0)),
            *(one.data_ptr() for one in angles),
            *(out.data_ptr(), keys.data_ptr() + past, values.data_ptr() + past if cached else None),
            *(tokens, heads, kv_heads, size, seen * size),
        )
        return out, keys, values if cached else v.view(tokens, kv_heads, size).transpose(0, 1)

    def attention(self, q: Tensor, keys: Tensor, values: Tensor, causal: bool) -> Tensor:
        """torch's profiler sees this one."""
        return F.scaled_dot_product_attention(
            q[None], keys[None], values[None], is_causal=causal, enable_gqa=True
        )[0]


@functools.cache
def native() -> ctypes.CDLL | Text:
    """The compiled library, or why there is none."""
    library = loaded(_SOURCE)
    if isinstance(library, Text):
        return library
    library.fused_add_rms_norm.argtypes = (*[_P] * 5, _I, _I, _F)
    library.fused_add_rms_norm_quantise.argtypes = (*[_P] * 6, _I, _I, _F)
    library.int8_product.argtypes = (*[_P] * 5, *[_I] * 3)
    library.int8_sums.argtypes = (*[_P] * 3, *[_I] * 3)
    library.fused_swiglu.argtypes = (_P, _P, _P, _I, _I, _L)
    library.fused_rope.argtypes = (*[_P] * 3, _L, _L, *[_P] * 5, *[_I] * 4, _L)
    fused = (f"fused_{name}" for name in ("add_rms_norm", "add_rms_norm_quantise", "swiglu", "rope"))
    for name in (*fused, "int8_product", "int8_sums"):
        getattr(library, name).restype = None
    return library
