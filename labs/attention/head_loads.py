"""The decode kernel in Triton's interpreter with shared KV heads: every byte that it asks for, counted.

Two kernels of the same arithmetic: ``grouped``, one program a KV head, whose queries are the rows of one
tile; ``a head each``, one program a query head, which reads its KV head for itself. A process of its own
(``python -m labs.attention.head_loads HEADS``): the interpreter is chosen before Triton is imported. Writes
one line of JSON, an object for each number of KV heads.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

HEAD_DIM = 64
COUNTED_CONTEXT = 96  # tokens: the interpreter is slow, and bytes scale with the context
TOLERANCE = 1e-5  # relative, FP32: only the order of additions differs


@dataclass(frozen=True)
class Loaded:
    """Bytes of K and V that the kernel asked for, and the distinct ones among them; ``difference`` is that
    of the result from the naive formula, relative."""

    kv_heads: int
    grouped: bool
    asked_bytes: int
    distinct_bytes: int
    difference: float

    @property
    def passed(self) -> bool:
        return self.difference <= TOLERANCE


def read_loaded(line: str) -> list[Loaded]:
    """What ``main`` wrote."""
    return [Loaded(**one) for one in json.loads(line)]


def divisors(heads: int) -> list[int]:
    """The numbers of KV heads that ``heads`` query heads can share evenly, from MQA to MHA."""
    return [count for count in range(1, heads + 1) if heads % count == 0]


def counted(heads: int, kv_heads: int, dim: int, context: int, grouped: bool) -> Loaded:
    """One decode step of one sequence; only within the interpreter."""
    from labs.ops.paged_attention import naive_paged_attention

    generator = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(kv_heads, context, dim, generator=generator) for _ in range(2))
    q = torch.randn(1, heads, dim, generator=generator)
    with LoadCounter(keys, values) as loads:
        out = _attend(q, keys, values, grouped)
    table, length = torch.zeros(1, 1, dtype=torch.int32), torch.tensor([context], dtype=torch.int32)
    expected = naive_paged_attention(q, keys, values, table, length, context)
    difference = float((out - expected).norm() / expected.norm())
    return Loaded(kv_heads, grouped, loads.asked, loads.distinct, difference)


def _attend(q: Tensor, keys: Tensor, values: Tensor, grouped: bool) -> Tensor:
    from labs.ops.paged_attention import triton_paged_attention

    context = keys.shape[1]
    table, length = torch.zeros(1, 1, dtype=torch.int32), torch.tensor([context], dtype=torch.int32)
    if grouped:
        return triton_paged_attention(q, keys, values, table, length, context)
    group, parts = q.shape[1] // len(keys), []
    for head in range(len(keys)):
        # The same memory under each of the group's heads (stride 0): G programs read it, one after another.
        k, v = (part[head : head + 1].expand(group, -1, -1) for part in (keys, values))
        own = q[:, head * group : (head + 1) * group].contiguous()
        parts.append(triton_paged_attention(own, k, v, table, length, context))
    return torch.cat(parts, dim=1)


class LoadCounter:
    """Counts what kernels load from ``tensors`` (FP32) while it is entered."""

    def __init__(self, *tensors: Tensor) -> None:
        self._ranges = [(one.data_ptr(), one.data_ptr() + one.nbytes) for one in tensors]
        self._seen: set[int] = set()
        self.asked = 0

    @property
    def distinct(self) -> int:
        return 4 * len(self._seen)

    def __enter__(self) -> LoadCounter:
        from triton.runtime.interpreter import InterpreterBuilder

        self._original = InterpreterBuilder.create_masked_load

        # The interpreter passes arguments by these names.
        def noted(builder, ptrs, mask, other, cache_modifier, eviction_policy, is_volatile):  # type: ignore[no-untyped-def]
            addresses = ptrs.data[mask.data.astype(bool)]
            for low, high in self._ranges:
                inside = addresses[(addresses >= low) & (addresses < high)]
                self.asked += 4 * inside.size
                self._seen.update(inside.tolist())
            return self._original(builder, ptrs, mask, other, cache_modifier, eviction_policy, is_volatile)

        InterpreterBuilder.create_masked_load = noted
        return self

    def __exit__(self, *_: object) -> None:
        from triton.runtime.interpreter import InterpreterBuilder

        InterpreterBuilder.create_masked_load = self._original


def main() -> None:
    assert os.environ.get("TRITON_INTERPRET") == "1", "set before Triton is imported, by whoever starts this"
    heads = int(sys.argv[1])
    found = [
        counted(heads, kv_heads, HEAD_DIM, COUNTED_CONTEXT, grouped)
        for kv_heads in divisors(heads)
        for grouped in (True, False)
    ]
    json.dump([asdict(one) for one in found], sys.stdout)


if __name__ == "__main__":
    main()
