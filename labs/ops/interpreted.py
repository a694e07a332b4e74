"""The Triton kernel in Triton's interpreter: its results against the naive formula, its loads counted.

A process of its own (``python -m labs.ops.interpreted``), for the interpreter is chosen before Triton is
imported and a wrong address would end it. Writes one line of JSON, an object a case, to stdout.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

# bf16 products are wrong in Triton 3.7's interpreter (it multiplies the raw bits), so it is not among these.
TOLERANCE = {"fp32": 1e-5, "fp16": 2e-3}


@dataclass(frozen=True)
class Case:
    """One decode step: ``lengths`` of its sequences, all of the rest of the pool NaN where ``poisoned``."""

    lengths: tuple[int, ...]
    heads: int
    kv_heads: int
    head_dim: int
    block_size: int
    parts: int
    dtype: str = "fp32"
    poisoned: bool = True


@dataclass(frozen=True)
class Outcome:
    """``difference``: relative, by norms. ``kv_bytes``, ``table_bytes``: distinct ones that were loaded."""

    case: Case
    difference: float
    kv_bytes: int
    table_bytes: int

    @property
    def passed(self) -> bool:
        return self.difference <= TOLERANCE[self.case.dtype]


CASES = (
    Case((1, 63, 130), heads=9, kv_heads=3, head_dim=64, block_size=16, parts=1),
    Case((100, 7), heads=8, kv_heads=1, head_dim=64, block_size=7, parts=3),
    Case((65,), heads=4, kv_heads=4, head_dim=80, block_size=1, parts=4),
    Case((130, 33), heads=8, kv_heads=2, head_dim=128, block_size=32, parts=2, dtype="fp16"),
)


def read_outcomes(line: str) -> list[Outcome]:
    """What ``main`` wrote."""
    found = json.loads(line)
    for one in found:
        one["case"]["lengths"] = tuple(one["case"]["lengths"])
    return [Outcome(**{**one, "case": Case(**one["case"])}) for one in found]


def outcome(case: Case) -> Outcome:
    """Run one case; only within the interpreter."""
    from labs.ops.paged_attention import naive_paged_attention, triton_paged_attention

    generator = torch.Generator().manual_seed(0)
    dtype = {"fp32": torch.float32, "fp16": torch.float16}[case.dtype]
    width = max(-(-length // case.block_size) for length in case.lengths)
    blocks = len(case.lengths) * width + 3
    shape = (case.kv_heads, blocks * case.block_size, case.head_dim)
    keys, values = (torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
    q = torch.randn(len(case.lengths), case.heads, case.head_dim, generator=generator).to(dtype)
    numbers = torch.randperm(blocks, generator=generator)[: len(case.lengths) * width]
    tables, lengths = numbers.view(-1, width).int(), torch.tensor(case.lengths, dtype=torch.int32)
    if case.poisoned:
        poison(keys, values, tables, case)
    with Loads({"kv": [keys, values], "table": [tables]}) as loads:
        out = triton_paged_attention(q, keys, values, tables, lengths, case.block_size, case.parts)
    expected = naive_paged_attention(q, keys, values, tables, lengths, case.block_size)
    difference = float((out.float() - expected).norm() / expected.norm())
    return Outcome(case, difference, loads.bytes("kv"), loads.bytes("table"))


def poison(keys: Tensor, values: Tensor, tables: Tensor, case: Case) -> None:
    """NaN into every slot that no sequence has written: one that is read shows."""
    written = torch.zeros(keys.shape[1], dtype=torch.bool)
    for row, length in zip(tables.long(), case.lengths, strict=True):
        positions = torch.arange(length)
        written[row[positions // case.block_size] * case.block_size + positions % case.block_size] = True
    keys[:, ~written] = torch.nan
    values[:, ~written] = torch.nan


class Loads:
    """Counts distinct bytes that kernels load from some tensors, while it is entered."""

    def __init__(self, tensors: dict[str, list[Tensor]]) -> None:
        self._ranges = {
            name: [(one.data_ptr(), one.data_ptr() + one.nbytes, one.element_size()) for one in group]
            for name, group in tensors.items()
        }
        self._loaded: dict[str, list[NDArray[np.uint64]]] = {name: [] for name in tensors}

    def bytes(self, name: str) -> int:
        loaded, size = self._loaded[name], self._ranges[name][0][2]
        return size * len(np.unique(np.concatenate(loaded))) if loaded else 0

    def __enter__(self) -> Loads:
        from triton.runtime.interpreter import InterpreterBuilder

        self._original = InterpreterBuilder.create_masked_load

        # The interpreter passes arguments by these names.
        def counted(builder, ptrs, mask, other, cache_modifier, eviction_policy, is_volatile):  # type: ignore[no-untyped-def]
            self._note(ptrs.data[mask.data.astype(bool)])
            return self._original(builder, ptrs, mask, other, cache_modifier, eviction_policy, is_volatile)

        InterpreterBuilder.create_masked_load = counted
        return self

    def _note(self, addresses: NDArray[np.uint64]) -> None:
        for name, ranges in self._ranges.items():
            for low, high, _ in ranges:
                inside = addresses[(addresses >= low) & (addresses < high)]
                if inside.size:
                    self._loaded[name].append(inside.copy())

    def __exit__(self, *_: object) -> None:
        from triton.runtime.interpreter import InterpreterBuilder

        InterpreterBuilder.create_masked_load = self._original


def main() -> None:
    assert os.environ.get("TRITON_INTERPRET") == "1", "set before Triton is imported, by whoever starts this"
    json.dump([asdict(outcome(case)) for case in CASES], sys.stdout)


if __name__ == "__main__":
    main()
