"""What tiled attention moves, computes and keeps, against attention that writes its scores.

Two loop orders: keys outer (FlashAttention, Dao et al., 2205.14135, algorithm 1) and queries outer
(FlashAttention-2, Dao, 2307.08691, algorithm 1). Exact where tiles divide the lengths. FLOPs as
``labs.inspection.interpreted`` counts them; a multiply and an add of a matrix product are two.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Shape(NamedTuple):
    """``queries`` are the last positions of the ``keys``; ``heads`` of queries share ``kv_heads``."""

    batch: int
    heads: int
    kv_heads: int
    queries: int
    keys: int
    dim: int

    @property
    def planes(self) -> int:
        """Heads of all sequences: each is an attention of its own."""
        return self.batch * self.heads

    def compulsory(self, element_bytes: int) -> tuple[int, int]:
        """Bytes that must be read (Q, K, V) and written (O), each once."""
        q = self.planes * self.queries * self.dim * element_bytes
        return q + 2 * self.batch * self.kv_heads * self.keys * self.dim * element_bytes, q


class Tile(NamedTuple):
    """``rows`` of queries against ``columns`` of keys."""

    rows: int
    columns: int


class Movement(NamedTuple):
    """``read`` and ``written``: bytes, each once; ``loaded`` and ``stored``: as often as the loops ask."""

    read: int
    written: int
    loaded: int
    stored: int
    matrix_flops: int
    vector_flops: int

    @property
    def moved(self) -> int:
        """Bytes that cross the memory bus if no cache helps."""
        return self.loaded + self.stored


def visited(shape: Shape, tile: Tile, *, causal: bool = False, window: int = 0) -> int:
    """Pairs of a block of queries and a tile of keys that some query may see, of one head."""
    before, pairs = shape.keys - shape.queries, 0
    for low in range(before, shape.keys, tile.rows):
        end = min(shape.keys, low + tile.rows) if causal else shape.keys
        begin = max(0, low - window + 1) // tile.columns if window else 0
        pairs += math.ceil(end / tile.columns) - begin
    return pairs


def queries_outer(
    shape: Shape, tile: Tile, element_bytes: int, *, causal: bool = False, window: int = 0
) -> Movement:
    """FlashAttention-2's order: Q is loaded and O stored once; every block of queries loads K and V again."""
    pairs, (rows, columns), dim = visited(shape, tile, causal=causal, window=window), tile, shape.dim
    blocks = math.ceil(shape.queries / rows)
    read, written = shape.compulsory(element_bytes)
    loaded = shape.planes * (shape.queries * dim + 2 * pairs * columns * dim) * element_bytes
    return Movement(
        *(read, written, loaded, written),
        matrix_flops=shape.planes * pairs * 4 * rows * columns * dim,
        vector_flops=shape.planes * (pairs * _postponed_flops(tile, dim) + blocks * rows * dim),
    )


def keys_outer(shape: Shape, tile: Tile, element_bytes: int, *, causal: bool = False) -> Movement:
    """The first FlashAttention's order: K and V are loaded once; Q is loaded, and O with its row's maximum
    and sum (fp32) loaded and stored, once for every tile of keys. What nothing was written to is not loaded.
    """
    pairs, (rows, columns), dim = visited(shape, tile, causal=causal), tile, shape.dim
    blocks = math.ceil(shape.queries / rows)
    read, written = shape.compulsory(element_bytes)
    block, state = rows * dim * element_bytes, rows * 8
    loaded = 2 * shape.keys * dim * element_bytes + pairs * block + (pairs - blocks) * (block + state)
    stored = pairs * (block + state)
    again = _seen_again(shape, tile, causal) * (dim * element_bytes + 8)  # O, maximum and sum are read too
    return Movement(
        read + shape.planes * again,
        written + shape.planes * shape.queries * 8,
        shape.planes * loaded,
        shape.planes * stored,
        matrix_flops=shape.planes * pairs * 4 * rows * columns * dim,
        vector_flops=shape.planes * pairs * _normalised_flops(tile, dim),
    )


def _seen_again(shape: Shape, tile: Tile, causal: bool) -> int:
    """Queries whose block meets more than one tile of keys."""
    before = shape.keys - shape.queries
    ends = (
        min(shape.keys, low + tile.rows) if causal else shape.keys
        for low in range(before, shape.keys, tile.rows)
    )
    return tile.rows * sum(end > tile.columns for end in ends)


def _postponed_flops(tile: Tile, dim: int) -> int:
    """Of a tile, besides products: five for each score (its part in the maximum, times the scale, minus the
    maximum, exp, its part in the sum), six a row, and O shrunk."""
    rows, columns = tile
    return 5 * rows * columns + 6 * rows + rows * dim


def _normalised_flops(tile: Tile, dim: int) -> int:
    """The same with O divided by the sum in every tile: four for each number of O, nine a row."""
    rows, columns = tile
    return 5 * rows * columns + 9 * rows + 4 * rows * dim


def three_kernels(shape: Shape, element_bytes: int) -> Movement:
    """Scores, softmax and mixing as a kernel each: both ``T x S`` matrices are written and read.

    The least that attention can move which is not fused: a mask or a scale of its own costs more.
    """
    (read, written), pairs = shape.compulsory(element_bytes), shape.queries * shape.keys
    # Every query head reads its KV head: caches may spare the repetition, so it is not counted.
    matrix = 2 * shape.planes * pairs * element_bytes
    flops = shape.planes * pairs
    return Movement(
        *(read, written, read + matrix, written + matrix),
        matrix_flops=4 * flops * shape.dim,
        vector_flops=5 * flops,
    )


def score_bytes(shape: Shape, element_bytes: float) -> float:
    """Of one ``T x S`` matrix of all heads: what tiled attention never has in memory."""
    return shape.planes * shape.queries * shape.keys * element_bytes


def statistics_bytes(shape: Shape) -> int:
    """What the backward pass needs of the scores: a row's log-sum-exp in fp32 (2307.08691, section 3.1)."""
    return shape.planes * shape.queries * 4


def joined(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Maximum and sum of weights of two pieces of a row, each ``(m, l)``, as of the whole.

    ``m = max(m1, m2)``, ``l = e^(m1 - m) l1 + e^(m2 - m) l2`` (Milakov and Gimelshein, 1805.02867).
    """
    most = max(one[0], other[0])
    return most, math.exp(one[0] - most) * one[1] + math.exp(other[0] - most) * other[1]


def tile_bytes(
    tile: Tile, dim: int, element_bytes: int, stages: int = 1, *, queries_in_registers: bool = False
) -> int:
    """Shared memory of a block's Q and of ``stages`` tiles of K and V; scores and O stay in registers.

    Hopper's ``wgmma`` reads Q from shared memory; with ``mma.sync`` it can stay in registers.
    """
    rows = 0 if queries_in_registers else tile.rows
    return (rows + 2 * stages * tile.columns) * dim * element_bytes


def accumulator_registers(tile: Tile, dim: int, threads: int) -> float:
    """32-bit registers a thread for a tile's scores and its block's O, in fp32."""
    return (tile.rows * tile.columns + tile.rows * dim) / threads


def tile_intensity(rows: int, element_bytes: float) -> float:
    """FLOPs of products for each byte of K and V that a block of ``rows`` queries loads: ``2 rows / e``."""
    return 2 * rows / element_bytes


def exponential_share(dim: int, matrix_flops: float, exponentials: float) -> float:
    """Time of a score's exponential over that of its products: ``P / (4 d E)``, rates per second.

    A score costs one exponential and ``4 d`` FLOPs of products (FlashAttention-3, 2407.08608, section 3.1).
    """
    return matrix_flops / (4 * dim * exponentials)


def split_keys(shape: Shape, rows: int, tile: int, parts: int, element_bytes: int) -> Movement:
    """FlashDecoding: one query, the keys in ``parts``, a program a part and KV head with ``rows`` rows; then
    the merge of each part's O, maximum and sum, which are written and read in fp32."""
    (read, written), dim = shape.compulsory(element_bytes), shape.dim
    partial = shape.planes * parts * (dim + 2) * 4
    tiles = shape.batch * shape.kv_heads * math.ceil(shape.keys / tile)
    softmax = tiles * _postponed_flops(Tile(rows, tile), dim)
    rebased = shape.batch * shape.kv_heads * parts * rows  # maxima, to another base
    # Of a part: in the maximum, minus it, exp, times the sum, in their sum; O scaled and summed; O divided.
    merged = shape.planes * (5 * parts + 2 * parts * dim + dim)
    again = (parts - 1) * shape.planes * dim * element_bytes  # every part loads the query
    return Movement(
        *(read + partial, written + partial, read + partial + again, written + partial),
        matrix_flops=tiles * 4 * rows * tile * dim,
        vector_flops=softmax + rebased + merged,
    )
