"""The fused kernels on a GPU: the Triton operators of ``labs.ops``, each a launch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.fusion.layers.int8 import Codes
from labs.inspection.process import NO_TRITON
from labs.ops.flash_attention import triton_flash_attention
from labs.ops.gated_activation import triton_gated
from labs.ops.int8_gemm import triton_int8_gemm
from labs.ops.norm_quantise import triton_norm_quantise
from labs.ops.operator import HAS_TRITON
from labs.ops.rms_norm import triton_rms_norm
from labs.ops.rope_store import triton_rope_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from labs.formulas.decoder_block import Step
    from labs.fusion.layers.int8 import Projection
    from labs.text import Text

_LEAST_ROWS = 17


class TritonKernels:
    """See ``FusedKernels``. Launched on CPU tensors it runs in Triton's interpreter."""

    def __init__(self) -> None:
        self.calls = 0
        own: tuple[Step, ...] = ("norm", "quantise", "scales", "activation", "rope")
        self.missing: dict[Step, Text] = {} if HAS_TRITON else dict.fromkeys(own, NO_TRITON)

    def add_norm(
        self, residual: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        self.calls += 1
        normed, total = triton_rms_norm(residual, weight, delta, epsilon)
        return total, normed

    def add_norm_quantise(
        self, residual: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Codes]:
        self.calls += 1
        codes, scale, total = triton_norm_quantise(residual, weight, delta, epsilon)
        return total, Codes(codes, scale[:, None])

    def int8_sums(self, numbers: Tensor, weight: Tensor) -> Tensor:
        """cuBLAS's; it refuses fewer than 17 rows, so these are filled up, in an operator more."""
        rows = len(numbers)
        if numbers.is_cuda and rows < _LEAST_ROWS:
            numbers = F.pad(numbers, (0, 0, 0, _LEAST_ROWS - rows))
        return torch._int_mm(numbers, weight.t())[:rows]

    def int8_product(self, codes: Codes, projection: Projection) -> Tensor:
        assert projection.scale is not None
        self.calls += 1
        return triton_int8_gemm(codes.numbers, projection.weight, codes.scale, projection.scale)

    def swiglu(self, gate: Tensor, up: Tensor) -> Tensor:
        self.calls += 1
        result: Tensor = triton_gated(side_by_side(gate, up), gelu=False)
        return result

    def rope(
        self, parts: Sequence[Tensor], angles: Sequence[Tensor], keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """V goes by head into ``values`` always: attention's tiles want it so."""
        self.calls += 1
        q, k, v = parts
        cosine, sine = angles
        return triton_rope_store(q, k, v, cosine, sine, keys, values)

    def attention(self, q: Tensor, keys: Tensor, values: Tensor, causal: bool) -> Tensor:
        """One kernel for a single query, too: its scores stay on the chip, if on few multiprocessors."""
        q, keys, values = (one[None].contiguous() for one in (q, keys, values))
        if not HAS_TRITON:
            return F.scaled_dot_product_attention(q, keys, values, is_causal=causal, enable_gqa=True)[0]
        self.calls += 1
        return triton_flash_attention(q, keys, values, causal)[0]


def side_by_side(left: Tensor, right: Tensor) -> Tensor:
    """``[rows, 2 columns]``: the matrix of which these are the halves, or else a copy of both. Told by where
    they lie, since views have no ``_base`` in inference mode."""
    rows, columns = left.shape
    whole = (2 * columns, 1)
    one_buffer = left.untyped_storage().data_ptr() == right.untyped_storage().data_ptr()
    apart = right.data_ptr() - left.data_ptr()
    if one_buffer and left.stride() == right.stride() == whole and apart == columns * left.element_size():
        return left.as_strided((rows, 2 * columns), whole)
    return torch.cat((left, right), dim=1)
