"""What one replica did with its time and its memory: sums that a step adds to."""

from __future__ import annotations

from dataclasses import dataclass, field

from labs.simulator.histogram import Histogram


@dataclass(slots=True)
class Usage:
    """Times in ticks; what ends in ``_time`` is a quantity times how long it was so. ``gaps`` are the
    inter-token latencies."""

    steps: int = 0
    busy: int = 0
    prefill_tokens: int = 0  # with those computed again after a preemption
    decode_tokens: int = 0
    padding_tokens: int = 0
    sequences_time: int = 0  # in a step
    blocks_time: int = 0  # owned
    shared_time: int = 0  # owners of blocks beyond the first
    stored_time: int = 0  # tokens in blocks, those of a shared block for each owner
    most_blocks: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of these, spared by the prefix cache
    swapped_tokens: int = 0
    gaps: Histogram = field(default_factory=Histogram)
