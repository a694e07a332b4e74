"""Bytes and FLOPs of elementwise and row-wise operators, as their kernels do them.

A FLOP is one floating-point operation on one element; a reduction of n elements counts n; comparisons,
selections and casts count none. Bytes are those that must cross the memory at least once.
"""

from __future__ import annotations


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


def causal_pairs(length: int) -> int:
    """Pairs of a query and a key that it sees, itself included."""
    return length * (length + 1) // 2
