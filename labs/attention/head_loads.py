"""The decode kernel in Triton's interpreter with shared KV heads: every byte of K and V that it asks for.

Two kernels of the same arithmetic: grouped, one program a KV head, whose queries are the rows of one tile;
and ungrouped, one program a query head, which reads its KV head for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import torch

from labs.relative_error import relative_error

if TYPE_CHECKING:
    from torch import Tensor

HEAD_DIM = 64
COUNTED_CONTEXT = 96  # tokens: the interpreter is slow, and bytes scale with the context
TOLERANCE = 1e-5  # relative, FP32: only the order of additions differs


class Loaded(msgspec.Struct, frozen=True):
    """Bytes of K and V that the kernel asked for; ``difference`` is that of its result from the naive
    formula, relative."""

    kv_heads: int
    grouped: bool
    asked_bytes: int
    difference: float

    @property
    def passed(self) -> bool:
        return self.difference <= TOLERANCE


def divisors(heads: int) -> list[int]:
    """The numbers of KV heads that ``heads`` query heads can share evenly, from MQA to MHA."""
    return [count for count in range(1, heads + 1) if heads % count == 0]


def counted(heads: int) -> list[Loaded]:
    """One decode step of one sequence, for each number of KV heads and both kernels; in the interpreter."""
    return [_one(heads, kv_heads, grouped) for kv_heads in divisors(heads) for grouped in (True, False)]


def _one(heads: int, kv_heads: int, grouped: bool) -> Loaded:
    from labs.inspection.interpreted import Recorder
    from labs.ops.paged_attention import naive_paged_attention

    generator = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(kv_heads, COUNTED_CONTEXT, HEAD_DIM, generator=generator) for _ in range(2))
    q = torch.randn(1, heads, HEAD_DIM, generator=generator)
    recorder = Recorder()
    with recorder.entered():
        out = _attend(q, keys, values, grouped)
    read = [one for one in recorder.recording().tensors if one.name in ("key_ptr", "value_ptr")]
    expected = naive_paged_attention(q, keys, values, *_whole(COUNTED_CONTEXT), COUNTED_CONTEXT)
    loaded = sum(one.loaded_bytes for one in read)
    return Loaded(kv_heads, grouped, loaded, relative_error(out, expected))


def _attend(q: Tensor, keys: Tensor, values: Tensor, grouped: bool) -> Tensor:
    from labs.ops.paged_attention import triton_paged_attention

    context = keys.shape[1]
    if grouped:
        return triton_paged_attention(q, keys, values, *_whole(context), context)
    group, parts = q.shape[1] // len(keys), []
    for head in range(len(keys)):
        # The same memory under each of the group's heads (stride 0): G programs read it, one after another.
        k, v = (part[head : head + 1].expand(group, -1, -1) for part in (keys, values))
        own = q[:, head * group : (head + 1) * group].contiguous()
        parts.append(triton_paged_attention(own, k, v, *_whole(context), context))
    return torch.cat(parts, dim=1)


def _whole(context: int) -> tuple[Tensor, Tensor]:
    """Table and length of one sequence whose context is one block: contiguous memory."""
    return torch.zeros(1, 1, dtype=torch.int32), torch.tensor([context], dtype=torch.int32)
