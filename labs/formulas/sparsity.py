"""Sparse matrices: bytes of each format, FLOPs of the products, and the sparsity from which they pay.

A matrix is ``[rows, columns]`` with ``nonzeros`` stored values; density is the stored share, sparsity one
minus that. Formats as in the cuSPARSE documentation (COO, CSR, CSC, BSR) and, for 2:4, the PTX ISA (sparse
``mma``): of every four values in a row two are kept, with an index of 2 bits each.
"""

from __future__ import annotations

import math

INDEX_BYTES = 4  # int32, the usual type of an index
META_BITS = 2  # of a value that 2:4 keeps: its place among four


def coo_bytes(nonzeros: int, value_bytes: float, index_bytes: int = INDEX_BYTES) -> float:
    """A row, a column and a value for each nonzero."""
    return nonzeros * (2 * index_bytes + value_bytes)


def csr_bytes(rows: int, nonzeros: int, value_bytes: float, index_bytes: int = INDEX_BYTES) -> float:
    """A column and a value for each nonzero, and where each row begins, with the end behind the last.

    CSC is the same with columns and rows exchanged.
    """
    return nonzeros * (index_bytes + value_bytes) + (rows + 1) * index_bytes


def bsr_bytes(
    rows: int, blocks: int, block: int, value_bytes: float, index_bytes: int = INDEX_BYTES
) -> float:
    """CSR of ``blocks`` blocks of ``block x block`` values, zeros within them included."""
    return csr_bytes(math.ceil(rows / block), blocks, block * block * value_bytes, index_bytes)


def bitmap_bytes(rows: int, columns: int, nonzeros: int, value_bytes: float) -> float:
    """A bit for each place, and the values: the order of the ones tells whose value it is."""
    return rows * columns / 8 + nonzeros * value_bytes


def two_four_bytes(rows: int, columns: int, value_bytes: float) -> float:
    """Half of the values, and 2 bits for each of them. ``columns`` is divisible by 4."""
    return rows * (columns // 2) * (value_bytes + META_BITS / 8)


def two_four_share(value_bits: float) -> float:
    """Bytes of 2:4 over those of the dense matrix: 9/16 for 16 bits, 3/4 for 4."""
    return 0.5 * (value_bits + META_BITS) / value_bits


def break_even_density(value_bytes: float, index_bytes: float) -> float:
    """Density below which an index a value takes less than the dense matrix; row starts not counted."""
    return value_bytes / (value_bytes + index_bytes)


def speed_break_even_density(dense_rate: float, sparse_rate: float) -> float:
    """Density below which skipping zeros takes less time: rates in FLOP/s, of useful FLOPs only."""
    return min(1.0, sparse_rate / dense_rate)


def least_speedup(sparsity: float, value_bytes: float, index_bytes: float) -> float:
    """Dense over sparse bytes: at best so much faster where memory is the bound."""
    return value_bytes / ((1 - sparsity) * (value_bytes + index_bytes))


def spmm_flops(nonzeros: int, columns: int) -> int:
    """A product and a sum for each nonzero and column of the dense operand."""
    return 2 * nonzeros * columns


def block_density(density: float, block_values: int) -> float:
    """Share of blocks that are not empty if each value is kept independently with ``density``."""
    return 1 - (1 - density) ** block_values


def two_four_chance(density: float) -> float:
    """Share of groups of four with at most two values, each kept independently with ``density``."""
    return sum(math.comb(4, kept) * density**kept * (1 - density) ** (4 - kept) for kept in range(3))


def union_density(density: float, rows: float) -> float:
    """Share of channels that some of ``rows`` tokens needs, if each needs ``density`` independently."""
    union: float = 1 - (1 - density) ** rows
    return union


def bits_per_weight(
    value_bits: float, density: float, meta_bits: float, scale_bits: float = 0, group: int = 1
) -> float:
    """Of a sparse and quantised matrix, over all places, zeros included.

    ``meta_bits`` a place: 1 for a bitmap, 1 for 2:4 (2 bits for each of two in four), ``density * 32`` for
    an index each; ``scale_bits`` for each ``group`` places.
    """
    return value_bits * density + meta_bits + scale_bits / group
