"""One matrix in every format: its arrays as they are allocated, and the bytes that formulas give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from labs.formulas import sparsity as formulas
from labs.ops import sparse_24, spmm
from labs.text import Text, same

if TYPE_CHECKING:
    from torch import Tensor

Format = Literal["dense", "coo", "csr", "csc", "bsr", "bitmap", "two_four"]
NAMES: dict[Format, Text] = {
    "dense": Text(zh="稠密", en="dense"),
    "coo": same("COO"),
    "csr": same("CSR"),
    "csc": same("CSC"),
    "bsr": same("BSR"),
    "bitmap": Text(zh="位图", en="bitmap"),
    "two_four": same("2:4"),
}


@dataclass(frozen=True)
class Encoded:
    """``arrays`` by name; ``predicted`` bytes by formula."""

    kind: Format
    arrays: dict[str, Tensor]
    predicted: float

    @property
    def allocated(self) -> int:
        return sum(one.nbytes for one in self.arrays.values())


def encode(weight: Tensor, kind: Format, block: int) -> Encoded | None:
    """None where the matrix is not of the format's pattern."""
    n, k = weight.shape
    nonzeros, size = int((weight != 0).sum()), weight.element_size()
    if kind == "dense":
        return Encoded(kind, {"values": weight}, n * k * size)
    if kind == "coo":
        rows, columns = (weight != 0).nonzero(as_tuple=True)
        arrays = {"rows": rows.int(), "columns": columns.int(), "values": weight[rows, columns]}
        return Encoded(kind, arrays, formulas.coo_bytes(nonzeros, size))
    if kind in ("csr", "csc"):
        lines = weight if kind == "csr" else weight.t().contiguous()
        values, places, starts = spmm.compress(lines)
        name = "columns" if kind == "csr" else "rows"
        arrays = {"starts": starts, name: places, "values": values.flatten()}
        return Encoded(kind, arrays, formulas.csr_bytes(len(lines), nonzeros, size))
    if kind == "bsr":
        values, places, starts = spmm.compress(weight, block)
        arrays = {"starts": starts, "columns": places, "values": values}
        return Encoded(kind, arrays, formulas.bsr_bytes(n, len(values), block, size))
    if kind == "bitmap":
        bits = (weight != 0).flatten().to(torch.uint8).view(-1, 8)
        packed = (bits << torch.arange(8, dtype=torch.uint8)).sum(dim=1, dtype=torch.uint8)
        arrays = {"bits": packed, "values": weight[weight != 0]}
        return Encoded(kind, arrays, formulas.bitmap_bytes(n, k, nonzeros, size))
    return _two_four(weight)


def _two_four(weight: Tensor) -> Encoded | None:
    try:
        values, meta = sparse_24.compress(weight)
    except ValueError:
        return None
    predicted = formulas.two_four_bytes(weight.shape[0], weight.shape[1], weight.element_size())
    return Encoded("two_four", {"values": values, "meta": meta}, predicted)
