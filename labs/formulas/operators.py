"""Bytes and FLOPs of elementwise and row-wise operators, as their kernels do them.

A FLOP is one floating-point operation on one element; a reduction of n elements counts n; comparisons,
selections and casts count none. Bytes are those that must cross the memory at least once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def softmax_bytes(rows: int, columns: int, element_bytes: int) -> tuple[int, int]:
    """Read and written, where a row stays on the chip from its only load to its only store."""
    size = rows * columns * element_bytes
    return size, size


def softmax_flops(rows: int, columns: int, *, tiles: int = 0) -> int:
    """Of each element: its part in the maximum, minus it, exp, its part in the sum, divided by it.

    A row that is read twice, in ``tiles``, subtracts and exponentiates twice, and pays for each tile: the
    larger of two maxima, their difference, its exp, the sum scaled, and the tile's sum added to it.
    """
    return rows * (5 * columns + (2 * columns + 5 * tiles if tiles else 0))


def rms_norm_bytes(rows: int, columns: int, element_bytes: int, *, residual: bool) -> tuple[int, int]:
    """Read and written: the rows, and the weight once; with a residual, it is read and the sum written."""
    size = rows * columns * element_bytes
    return size * (1 + residual) + columns * element_bytes, size * (1 + residual)


def rms_norm_flops(rows: int, columns: int, *, residual: bool) -> int:
    """Of each element: square, its part in the sum, times the row's factor, times the weight, and the
    residual's addition; of each row: divided by the width, plus epsilon, root, reciprocal."""
    return rows * columns * (4 + residual) + 4 * rows


def matmul_bytes(m: int, n: int, k: int, element_bytes: float) -> tuple[float, float]:
    """Read and written by ``[m, k] @ [k, n]``, each number once."""
    return (m * k + k * n) * element_bytes, m * n * element_bytes


def int4_weight_bytes(k: int, n: int, group: int, scale_bytes: float) -> float:
    """``k x n`` weights of 4 bits, with a scale and a minimum for each group of ``group`` along k."""
    return k * n / 2 + 2 * (k // group) * n * scale_bytes


def layer_norm_bytes(rows: int, columns: int, element_bytes: int, *, residual: bool) -> tuple[int, int]:
    """As ``rms_norm_bytes``, with a bias beside the weight."""
    read, written = rms_norm_bytes(rows, columns, element_bytes, residual=residual)
    return read + columns * element_bytes, written


def layer_norm_flops(rows: int, columns: int, *, residual: bool) -> int:
    """Of each element: its part in the mean, minus that, square, its part in the sum, times the row's factor,
    weight, bias, and the residual; of each row: two divisions by the width, plus epsilon, root, inverse."""
    return rows * columns * (7 + residual) + 5 * rows


def rope_bytes(tokens: int, heads: int, head_dim: int, element_bytes: int) -> tuple[int, int]:
    """Read and written: the heads, and of the tables a cosine and a sine (fp32) for each pair of a token."""
    size = tokens * heads * head_dim * element_bytes
    return size + 2 * tokens * (head_dim // 2) * 4, size


def rope_flops(tokens: int, heads: int, head_dim: int) -> int:
    """A rotation of a pair: four products and two sums."""
    return 6 * tokens * heads * (head_dim // 2)


def rope_store_bytes(
    tokens: int, heads: int, kv_heads: int, head_dim: int, element_bytes: int
) -> tuple[int, int]:
    """Read and written: queries and keys turned, values as they are, each once; and a token's angles."""
    size = tokens * (heads + 2 * kv_heads) * head_dim * element_bytes
    return size + 2 * tokens * (head_dim // 2) * 4, size


def gated_bytes(rows: int, columns: int, element_bytes: int) -> tuple[int, int]:
    """Read and written by act(gate) * up: two numbers for each that is written."""
    return 2 * rows * columns * element_bytes, rows * columns * element_bytes


# Of one element of act(gate) * up. SiLU: minus, exp, 1 plus, divide, times up (x / (1 + exp(-x)) * up);
# GELU by erf: times 1/sqrt 2, erf, 1 plus, times 0.5, times x, times up.
GATED_FLOPS = {"silu": 5, "gelu": 6}


def gated_flops(rows: int, columns: int, activation: str) -> int:
    """See GATED_FLOPS."""
    return GATED_FLOPS[activation] * rows * columns


def routing_bytes(tokens: int, experts: int, chosen: int, element_bytes: int) -> tuple[int, int]:
    """Read and written: the logits; a weight (fp32) and a number (int32) for each expert chosen."""
    return tokens * experts * element_bytes, tokens * chosen * 8


def routing_flops(tokens: int, experts: int, chosen: int) -> int:
    """Of each token: ``chosen`` times the largest of all; then for each expert chosen minus the first, exp
    and its part in the sum, and once more minus, exp and divided by the sum."""
    return tokens * (chosen * experts + 6 * chosen)


def grouped_bytes(counts: Sequence[int], k: int, n: int, element_bytes: int) -> tuple[int, int]:
    """Read and written by experts with ``counts`` tokens: tokens, where each expert's end (int32), and the
    weights of those that have any."""
    tokens, busy = sum(counts), sum(count > 0 for count in counts)
    read = (tokens * k + busy * k * n) * element_bytes + 4 * len(counts)
    return read, tokens * n * element_bytes


LEAST_MAGNITUDE = 1e-12  # of a row that is quantised: a row of zeros has codes of zero


def norm_quantise_bytes(rows: int, columns: int, element_bytes: int) -> tuple[int, int]:
    """Read and written by residual, RMSNorm and INT8 codes in one pass: as ``rms_norm_bytes`` with a
    residual, but a byte for each normed number, and a scale (fp32) a row."""
    read, written = rms_norm_bytes(rows, columns, element_bytes, residual=True)
    return read, written - rows * columns * (element_bytes - 1) + 4 * rows


def norm_quantise_flops(rows: int, columns: int) -> int:
    """The norm with its residual; of each element its part in the largest magnitude, divided by the scale,
    and a half added; of each row the larger of that magnitude and the least one, divided by 127."""
    return rms_norm_flops(rows, columns, residual=True) + rows * (3 * columns + 2)
