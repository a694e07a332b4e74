"""What must hold between any two steps, whatever the policy, the sizes and the luck."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from labs.engine.sequence import Status

if TYPE_CHECKING:
    from labs.engine.scheduler import Scheduler


def check(scheduler: Scheduler) -> None:
    """No block is leaked, lost, or shared by accident; every table covers what has been computed."""
    manager = scheduler.manager
    running = list(scheduler.iter_running())
    owners = Counter(block for sequence in running for block in sequence.blocks)
    extra = {block: count - 1 for block, count in owners.items() if count > 1}
    assert manager.extra_owners == extra
    free, cached = manager.free, list(manager.cached)
    assert len(set(free)) == len(free)
    assert sorted([*free, *cached, *owners]) == list(range(manager.blocks)), (
        "a block leaked, or in two places"
    )
    assert set(manager.block_of.values()) == set(manager.key_of) and set(cached) <= set(manager.key_of)
    assert all(manager.block_of[key] == block for block, key in manager.key_of.items())
    for sequence in running:
        assert len(set(sequence.blocks)) == len(sequence.blocks), "a block twice in one table"
        assert len(sequence.blocks) * manager.block_size >= sequence.computed
        assert sequence.status is (Status.DECODE if sequence in scheduler.decoding else Status.PREFILL)
    for sequence in scheduler.policy:
        assert sequence.status in (Status.WAITING, Status.SWAPPED) and not sequence.blocks
    assert scheduler.decoding.context == sum(sequence.length for sequence in scheduler.decoding)
    assert (
        len(scheduler.decoding) + sum(one.width for one in scheduler.prefilling) <= scheduler.most_sequences
    )


def check_idle(scheduler: Scheduler) -> None:
    """After the last sequence everything is free again, or cached."""
    check(scheduler)
    assert not scheduler.running and not scheduler.waiting
    assert scheduler.manager.owned == 0
