"""The fused kernels of a decoder block: C++ on a CPU, compiled at first use; Triton on a GPU.

Shapes: T tokens, C width, F FFN width, H query and K KV heads of D numbers, S tokens with the new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from labs.formulas.decoder_block import Step
    from labs.fusion.layers.int8 import Codes, Projection
    from labs.text import Text


class FusedKernels(Protocol):
    """``calls`` counts launches: torch's profiler does not see these. ``missing`` says what there is not."""

    calls: int
    missing: dict[Step, Text]

    def add_norm(
        self, residual: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor]:
        """``residual + delta`` and its RMSNorm, both ``[T, C]``, in one pass over contiguous rows."""

    def add_norm_quantise(
        self, residual: Tensor, delta: Tensor, weight: Tensor, epsilon: float
    ) -> tuple[Tensor, Codes]:
        """The same, the norm as INT8 codes with a scale a row."""

    def int8_sums(self, numbers: Tensor, weight: Tensor) -> Tensor:
        """``[T, N]`` int32 of ``numbers [T, C]`` and ``weight [N, C]``, both int8: the product unfused."""

    def int8_product(self, codes: Codes, projection: Projection) -> Tensor:
        """``[T, N]`` fp32: integers summed, scaled by row and by column before they are stored."""

    def swiglu(self, gate: Tensor, up: Tensor) -> Tensor:
        """``silu(gate) * up [T, F]``; both are columns of one tensor, or each a tensor of its own."""

    def rope(
        self, parts: Sequence[Tensor], angles: Sequence[Tensor], keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Turned queries ``[H, T, D]`` of ``q [T, H D]``, ``k`` and ``v [T, K D]``, and all keys and values
        ``[K, S, D]``: K is written into the last T rows of ``keys``, and V into those of ``values`` where
        there is a cache, that is for a single token, or where attention wants it by head."""

    def attention(self, q: Tensor, keys: Tensor, values: Tensor, causal: bool) -> Tensor:
        """``[H, T, D]`` of ``q [H, T, D]`` over ``keys, values [K, S, D]``, its scores never in memory."""


def fused_kernels(device: str) -> FusedKernels:
    if device.startswith("cuda"):
        from labs.fusion.layers.triton_kernels import TritonKernels

        return TritonKernels()
    from labs.fusion.layers.native_kernels import NativeKernels

    return NativeKernels()
