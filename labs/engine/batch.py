"""One step's work as flat tensors: decodes first, then prefill chunks, each token with its slot.

Shapes: N tokens of the step in all, B decodes (one token each), S tokens of a sequence with its new ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from labs.engine.work import Work


@dataclass(frozen=True)
class Chunk:
    """A prefill chunk: ``tokens`` flat rows from ``first`` on, reading the ``slots [S]`` of its sequence."""

    first: int
    tokens: int
    slots: Tensor


@dataclass(frozen=True)
class Batch:
    """``ids``, ``positions``, ``slots``: ``[N]``. ``samples [R]``: rows whose logits are wanted, in order.

    The first ``decodes`` rows are the decodes; ``decode_slots [B, S]`` are the slots that each one reads.
    ``future [B, S]`` is true behind the end of the shorter ones, where ``decode_slots`` repeats the last:
    never a slot that nobody wrote, whose content may be anything.
    """

    ids: Tensor
    positions: Tensor
    slots: Tensor
    samples: Tensor
    decodes: int
    decode_slots: Tensor
    future: Tensor
    chunks: list[Chunk]


def flat_batch(works: Sequence[Work], block_size: int, device: torch.device | str) -> Batch:
    """The tensors of a step, on ``device``."""
    order = sorted(range(len(works)), key=lambda i: len(works[i].tokens) > 1)  # stable: decodes first
    ordered = [works[i] for i in order]
    counts = [len(work.tokens) for work in ordered]
    ends = torch.tensor([work.start + len(work.tokens) for work in ordered])
    tables = _tables(ordered)
    ids = torch.tensor([token for work in ordered for token in work.tokens])
    owners = torch.repeat_interleave(torch.tensor(counts))
    firsts = torch.tensor(counts).cumsum(0) - torch.tensor(counts)
    starts = torch.tensor([work.start for work in ordered])
    positions = torch.arange(len(ids)) - firsts[owners] + starts[owners]
    slots = tables[owners, positions // block_size] * block_size + positions % block_size
    last = dict(zip(order, (firsts + torch.tensor(counts) - 1).tolist(), strict=True))
    samples = torch.tensor([last[i] for i, work in enumerate(works) if work.sample], dtype=torch.long)
    decodes = sum(count == 1 for count in counts)
    decode_slots, future = _decode_slots(tables[:decodes], ends[:decodes], block_size)
    chunks = []
    for i in range(decodes, len(ordered)):
        seen = torch.arange(int(ends[i]))
        read = tables[i, seen // block_size] * block_size + seen % block_size
        chunks.append(Chunk(int(firsts[i]), counts[i], read.to(device)))
    ids, positions, slots = ids.to(device), positions.to(device), slots.to(device)
    decode_slots, future = decode_slots.to(device), future.to(device)
    return Batch(ids, positions, slots, samples.to(device), decodes, decode_slots, future, chunks)


def _tables(works: Sequence[Work]) -> Tensor:
    """Block tables ``[works, longest]``; what is filled up is never read."""
    longest = max(len(work.blocks) for work in works)
    return torch.tensor([work.blocks + [0] * (longest - len(work.blocks)) for work in works])


def _decode_slots(tables: Tensor, ends: Tensor, block_size: int) -> tuple[Tensor, Tensor]:
    longest = int(ends.max()) if len(ends) else 0
    seen = torch.arange(longest).expand(len(ends), -1)
    real = torch.minimum(seen, ends[:, None] - 1)
    slots = torch.gather(tables, 1, real // block_size) * block_size + real % block_size
    return slots, seen >= ends[:, None]
