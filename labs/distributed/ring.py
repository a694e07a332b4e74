"""Ring attention on one rank: its queries stay, blocks of keys and values pass by and are merged in.

Liu et al., Ring Attention (2310.01889); partial results are merged by their log-sum-exp, as FlashDecoding
does. Shapes: H query heads, K KV heads, G = H / K, T own tokens, D head dim.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

if TYPE_CHECKING:
    from torch import Tensor

_ROWS = 128  # queries at a time: scores of a whole block would be as large as what the ring avoids


@dataclass
class Partial:
    """Attention over some of the keys: ``out [H, T, D]`` normalised, ``lse [H, T]`` the log of the sum of its
    weights, -inf where a query has seen no key."""

    out: Tensor
    lse: Tensor


@dataclass
class Record:
    """What one rank did. Times are of the machine's monotonic clock, in seconds, an entry a step.

    ``pairs``: of a query and a key, computed. ``cpu_s``: this thread's processor time of computing.
    ``held_bytes``: keys and values on this rank at the most.
    """

    posted: list[float] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    pairs: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    sent_bytes: int = 0
    held_bytes: int = 0


def block_attention(q: Tensor, k: Tensor, v: Tensor, q_at: Tensor, k_at: Tensor, causal: bool) -> Partial:
    """``q [H, T, D]`` at positions ``q_at [T]`` on ``k, v [K, U, D]`` at ``k_at [U]``, in fp32."""
    heads, tokens, dim = q.shape
    grouped = q.view(len(k), heads // len(k), tokens, dim)
    outs, sums = [], []
    for start in range(0, tokens, _ROWS):
        own, own_at = grouped[:, :, start : start + _ROWS], q_at[start : start + _ROWS]
        # Both ascend: keys behind the last of these queries need not be looked at.
        seen = int(torch.searchsorted(k_at, own_at[-1], right=True)) if causal else len(k_at)
        scores = own @ k[:, None, :seen].transpose(-1, -2) * dim**-0.5
        if causal:
            scores.masked_fill_(own_at[:, None] < k_at[:seen], float("-inf"))
        lse = scores.logsumexp(dim=-1)
        # A query that sees nothing of this block has -inf - -inf: it weighs nothing when merged.
        weights = (scores - lse[..., None]).exp().nan_to_num(0.0)
        outs.append(weights @ v[:, None, :seen])
        sums.append(lse)
    out, lse = torch.cat(outs, dim=2), torch.cat(sums, dim=2)
    return Partial(out.view(heads, tokens, dim), lse.view(heads, tokens))


def merge(a: Partial, b: Partial) -> Partial:
    """Attention over the keys of both, exactly: each weighs as much as its sum of weights."""
    lse = torch.logaddexp(a.lse, b.lse)
    share_a, share_b = ((part.lse - lse).exp().nan_to_num(0.0)[..., None] for part in (a, b))
    return Partial(a.out * share_a + b.out * share_b, lse)


def ring_attention(
    q: Tensor, k: Tensor, v: Tensor, positions: list[Tensor], rank: int, causal: bool
) -> tuple[Partial, Record]:
    """``positions[r]``: those of rank r's tokens, ascending; ``q``, ``k``, ``v`` are this rank's own.

    At step s the block at hand is that of ``rank - s``; it is passed on while it is computed with.
    """
    ranks, record = len(positions), Record()
    own = torch.stack([k, v])
    current, total = own, None
    for step in range(ranks):
        source = (rank - step) % ranks
        record.posted.append(time.monotonic())
        arriving, requests = _pass_on(current, step, rank, ranks, record)
        held = {id(part): part.nbytes for part in (own, current, arriving) if part is not None}
        record.held_bytes = max(record.held_bytes, sum(held.values()))
        total = _computed(q, current, positions[rank], positions[source], causal, total, record)
        for request in requests:
            request.wait()
        if requests and current.is_cuda:  # NCCL's wait only holds back the stream
            torch.cuda.synchronize()
        record.arrived.append(time.monotonic())
        current = current if arriving is None else arriving
    assert total is not None
    return total, record


def _pass_on(
    current: Tensor, step: int, rank: int, ranks: int, record: Record
) -> tuple[Tensor | None, list[dist.Work]]:
    """Start sending to the right and receiving from the left; nothing in the last step."""
    if step == ranks - 1:
        return None, []
    arriving = torch.empty_like(current)
    requests = dist.batch_isend_irecv(
        [
            dist.P2POp(dist.isend, current, (rank + 1) % ranks),
            dist.P2POp(dist.irecv, arriving, (rank - 1) % ranks),
        ]
    )
    record.sent_bytes += current.nbytes
    return arriving, requests


def _computed(
    q: Tensor,
    block: Tensor,
    q_at: Tensor,
    k_at: Tensor,
    causal: bool,
    total: Partial | None,
    record: Record,
) -> Partial:
    """``total`` with this block merged in; a block all of whose keys lie in the future costs nothing."""
    record.began.append(time.monotonic())
    start, part = time.thread_time(), None
    if not causal or int(k_at[0]) <= int(q_at[-1]):
        part = block_attention(q, block[0], block[1], q_at, k_at, causal)
    merged = part if total is None else total if part is None else merge(total, part)
    if q.device.type == "cuda":
        torch.cuda.synchronize()
    record.cpu_s.append(time.thread_time() - start)
    record.ended.append(time.monotonic())
    # At or before a query: how many keys are at or before each of them.
    seen = torch.searchsorted(k_at, q_at, right=True) if causal else torch.full_like(q_at, len(k_at))
    record.pairs.append(int(seen.sum()))
    assert merged is not None, "a rank's first block is its own, of which it sees something"
    return merged
