"""What a batch wastes, what continuous batching can win, and from which size on decode is compute bound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def padding_waste(lengths: Sequence[int], batch_size: int) -> float:
    """Share of the computed slots that are padding when each batch is padded to its longest member.

    Batches are taken in the given order; sorted lengths show what grouping can save. Of prompts this is
    padding proper; of answers it is slots that idle until the batch's longest answer ends.
    """
    slots = sum(max(batch) * len(batch) for batch in _batches(lengths, batch_size))
    return 1 - sum(lengths) / slots if slots else 0.0


def bucket_waste(lengths: Sequence[int], bounds: Sequence[int]) -> float:
    """Share of padding when each sequence is padded to the next of the ``bounds``. ValueError if none is."""
    slots = 0
    for length in lengths:
        slots += min((bound for bound in bounds if bound >= length), default=0)
        if length > max(bounds, default=0):
            raise ValueError(f"{length} tokens exceed the largest bucket, {max(bounds, default=0)}")
    return 1 - sum(lengths) / slots if slots else 0.0


def static_steps(output_lengths: Sequence[int], batch_size: int) -> int:
    """Decode steps of static batches, each of which runs until its longest answer ends."""
    return sum(max(batch) for batch in _batches(output_lengths, batch_size))


def continuous_steps_bound(output_lengths: Sequence[int], batch_size: int) -> int:
    """Fewest steps of any schedule with ``batch_size`` places: full at every step, or the longest answer."""
    return max(-(-sum(output_lengths) // batch_size), max(output_lengths, default=0))


def continuous_speedup_bound(output_lengths: Sequence[int], batch_size: int) -> float:
    """At most so much faster than static batches of the same size, if a step takes the same time in both.

    A step does so while it is bound by reading weights. Prefill, queueing and memory are left out.
    """
    return static_steps(output_lengths, batch_size) / continuous_steps_bound(output_lengths, batch_size)


def expected_longest(lengths: Sequence[int], batch_size: int) -> float:
    """Mean of the longest of ``batch_size`` lengths drawn independently from the given ones.

    ``sum x_i ((i / n)**B - ((i - 1) / n)**B)`` over the sorted lengths. Over the mean length, this is what
    static batching costs at this batch size in the long run, and so what continuous batching can win.
    """
    ordered, count = sorted(lengths), len(lengths)
    return math.fsum(
        x * ((i / count) ** batch_size - ((i - 1) / count) ** batch_size) for i, x in enumerate(ordered, 1)
    )


def decode_knee(
    weight_bytes: float,
    flops_per_token: float,
    peak_flops: float,
    bandwidth: float,
    kv_bytes_per_sequence: float = 0.0,
) -> float:
    """Batch size from which on a decode step is compute bound, by the roofline; not rounded.

    A step reads the weights once and each sequence's KV: ``(W + B kv) / bandwidth`` against
    ``B flops / peak_flops``. Both grow with B, so long contexts move the knee away and, once a sequence's KV
    takes longer to read than its token to compute, to infinity: decode then is memory bound at any batch.
    """
    spare_s = flops_per_token / peak_flops - kv_bytes_per_sequence / bandwidth
    return weight_bytes / bandwidth / spare_s if spare_s > 0 else math.inf


def distinct_experts(count: int, chosen: int, tokens: float) -> float:
    """Expected number of different experts that a batch of ``tokens`` uses in a layer, routed evenly.

    ``E (1 - (1 - k / E)**n)``: each token takes ``k`` different ones of ``E``, independently of the others.
    Real routing is uneven and uses fewer. A step reads the weights of these experts, so a small batch reads
    almost ``n k`` of them: sharing pays only once most experts are in use.
    """
    return float(count * (1 - (1 - chosen / count) ** tokens))


def _batches(lengths: Sequence[int], batch_size: int) -> list[Sequence[int]]:
    if batch_size < 1:
        raise ValueError(f"batch_size = {batch_size}, expected at least 1")
    return [lengths[i : i + batch_size] for i in range(0, len(lengths), batch_size)]
