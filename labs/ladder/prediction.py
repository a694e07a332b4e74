"""What the shipped kernels must load at the size shown, by their tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.ladder.exercise import EXERCISES
from labs.ladder.problems import INT4_GROUP

if TYPE_CHECKING:
    from labs.ladder.exercise import Name


def loaded_bytes(name: Name, tile: int, tile_m: int, tile_n: int) -> int:
    """Bytes of all loads, those of lanes that are masked out not among them, in fp32."""
    case = EXERCISES[name].shown
    size = {key: case[key] for key in case.sizes}
    match name:
        case "vector_add":
            return 2 * 4 * size["size"]
        case "row_sum" | "transpose" | "softmax":
            return 4 * size["rows"] * size["columns"]
        case "rms_norm":  # x, the residual, and for each row the weight
            return 3 * 4 * size["rows"] * size["columns"]
        case "matmul" | "grouped_matmul":
            m, n, k = size["m"], size["n"], size["k"]
            return 4 * (m * k * _tiles(n, tile_n) + k * n * _tiles(m, tile_m))
        case "int4_matmul":  # a byte is loaded for each of its two weights
            m, n, k = size["m"], size["n"], size["k"]
            scales = 2 * 4 * k // INT4_GROUP * n
            return 4 * m * k * _tiles(n, tile_n) + (k * n + scales) * _tiles(m, tile_m)
        case "flash_attention":
            heads, length, d = size["heads"], size["length"], size["d"]
            keys = sum(_keys(first, length, tile_m, tile_n) for first in range(0, length, tile_m))
            return 4 * heads * d * (length + 2 * keys)
        case "paged_attention":
            return _paged(size)


def _tiles(length: int, tile: int) -> int:
    return -(-length // tile)


def _keys(first: int, length: int, tile_m: int, tile_n: int) -> int:
    """Keys that a tile of queries from ``first`` on loads: whole tiles of them, up to its last query."""
    return min(length, _tiles(min(first + tile_m, length), tile_n) * tile_n)


def _paged(size: dict[str, int]) -> int:
    import torch

    lengths: list[int] = torch.linspace(1, size["longest"], size["sequences"]).int().tolist()
    query: int = size["sequences"] * size["heads"] * size["d"]
    tables = sum(lengths)  # an entry for each position: neighbouring lanes share it
    return 4 * (query + 2 * sum(lengths) * size["d"] + tables + len(lengths))
