"""The scheduler's promises, without a model: budgets, order, chunks, preemption, static batches."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.engine.block_manager import BlockManager
from labs.engine.decode_set import DecodeSet
from labs.engine.policies import EarliestDeadlineFirst, ShortestFirst
from labs.engine.scheduler import Batch, Scheduler
from labs.engine.sequence import Sequence
from labs.engine.static_scheduler import StaticScheduler
from labs.spec import LabError
from tests.labs.engine.invariants import check, check_idle


def scheduler(blocks: int = 100, block_size: int = 4, **options: Any) -> Scheduler:
    return Scheduler(BlockManager(blocks, block_size), **{"most_sequences": 4, "token_budget": 8, **options})


def add(target: Scheduler, number: int, prompt: int, limit: int = 4, **more: Any) -> Sequence:
    sequence = Sequence(id=number, prompt=prompt, limit=limit, arrival_s=float(number), **more)
    target.add(sequence, float(number))
    return sequence


def step(target: Scheduler, now: float = 0.0) -> tuple[list[tuple[int, int]], int]:
    """The chunks (sequence, tokens) and the decodes of the next batch; what is at its limit ends."""
    batch = target.schedule(now)
    chunks = [(chunk.sequence.id, chunk.tokens) for chunk in batch.chunks]
    decodes = len(target.decoding) if batch.decodes else 0
    target.complete(batch)
    for sequence in [one for one in target.decoding if one.remaining <= 0]:
        if sequence.finished_s != sequence.finished_s:
            target.finish(sequence, now)
    check(target)
    return chunks, decodes


def test_decodes_come_first_and_prompts_fill_the_budget() -> None:
    target = scheduler()
    add(target, 0, prompt=3)
    add(target, 1, prompt=20)
    assert step(target) == ([(0, 3), (1, 5)], 0)
    assert step(target) == ([(1, 7)], 1)
    assert step(target) == ([(1, 7)], 1)
    assert step(target) == ([(1, 1)], 1)
    assert step(target) == ([], 1)


def test_without_chunks_a_prompt_is_whole_and_nothing_decodes_beside_it() -> None:
    target = scheduler(chunked=False)
    add(target, 0, prompt=3)
    assert step(target) == ([(0, 3)], 0)
    add(target, 1, prompt=20)
    add(target, 2, prompt=2)
    assert step(target) == ([(1, 20)], 0)
    assert step(target) == ([(2, 2)], 0)
    assert step(target) == ([], 3)


def test_no_more_run_than_may_and_the_first_in_line_is_not_passed() -> None:
    target = scheduler(blocks=8, most_sequences=2)
    add(target, 0, prompt=20, limit=4)
    step(target)
    add(target, 1, prompt=25, limit=4)  # does not fit beside it
    add(target, 2, prompt=2, limit=4)  # would
    for _ in range(3):
        chunks, _ = step(target)
        assert {number for number, _ in chunks} <= {0}


def test_the_given_policy_decides_who_is_next() -> None:
    """An empty policy is false, and must not be taken for none."""
    target = scheduler(policy=ShortestFirst(), most_sequences=1)
    add(target, 0, 8)
    add(target, 1, 2)
    assert step(target) == ([(1, 2)], 0)
    target = scheduler(policy=EarliestDeadlineFirst(), most_sequences=1)
    add(target, 0, 8, deadline_s=9.0)
    add(target, 1, 8, deadline_s=3.0)
    assert step(target) == ([(1, 8)], 0)


def test_the_latest_makes_room_and_starts_again() -> None:
    target = scheduler(blocks=6, preemption="recompute")
    first, second = add(target, 0, prompt=7, limit=16), add(target, 1, prompt=7, limit=16)
    while not target.preemptions:
        step(target)
    assert second.preemptions == 1 and first.preemptions == 0
    assert second.computed == 0 and second.generated > 0, "what it has said is kept"
    for _ in range(200):
        if not (target.running or target.waiting):
            break
        step(target)
    check_idle(target)


@settings(deadline=None)
@given(
    requests=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12)), min_size=1, max_size=10),
    block_size=st.integers(1, 8),
    spare=st.integers(0, 20),
    most=st.integers(1, 5),
    budget=st.integers(5, 30),
    chunked=st.booleans(),
)
def test_each_request_is_served_once_whatever_the_room(
    requests: list[tuple[int, int]], block_size: int, spare: int, most: int, budget: int, chunked: bool
) -> None:
    blocks = max(-(-(prompt + limit) // block_size) for prompt, limit in requests) + spare
    target = scheduler(blocks, block_size, most_sequences=most, token_budget=budget, chunked=chunked)
    sequences = [add(target, n, prompt, limit) for n, (prompt, limit) in enumerate(requests)]
    for _ in range(5000):
        if not (target.running or target.waiting):
            break
        chunks, decodes = step(target)
        assert chunks or decodes, "something waits and nothing runs"
        if chunked:
            assert sum(tokens for _, tokens in chunks) + decodes <= budget
    check_idle(target)
    assert all(one.generated == one.limit for one in sequences)


@settings(deadline=None)
@given(
    requests=st.lists(st.tuples(st.integers(1, 20), st.integers(1, 12)), min_size=1, max_size=6),
    room=st.integers(0, 12),
)
def test_again_is_what_schedule_would_have_done(requests: list[tuple[int, int]], room: int) -> None:
    """Two schedulers, one of which takes the short way wherever it is offered, stay the same."""
    blocks = max(-(-(prompt + limit) // 4) for prompt, limit in requests) + room
    short, plain = scheduler(blocks), scheduler(blocks)
    for n, (prompt, limit) in enumerate(requests):
        add(short, n, prompt, limit)
        add(plain, n, prompt, limit)
    decodes_only = False
    for _ in range(1000):
        if not (plain.running or plain.waiting):
            break
        if decodes_only and short.again():
            short.complete(Batch(decodes=True))
        else:
            step(short)
        chunks, decodes = step(plain)
        for one in [one for one in short.decoding if one.remaining <= 0]:
            short.finish(one, 0.0)
        # Offered where nobody ended: then there would be something to decide.
        decodes_only = not chunks and decodes == plain.running
        assert _state(short) == _state(plain)
    check_idle(short)


def _state(target: Scheduler) -> Any:
    return [(one.id, one.length, one.blocks) for one in target.iter_running()], target.manager.free


def test_a_static_batch_waits_until_it_is_full_or_its_time_has_come() -> None:
    target = StaticScheduler(BlockManager(100, 4), most_sequences=2, wait_s=5.0)
    add(target, 0, prompt=3)
    assert step(target, now=1.0) == ([], 0)
    assert target.starts_s() == 5.0
    assert step(target, now=5.0) == ([(0, 3)], 0)
    full = StaticScheduler(BlockManager(100, 4), most_sequences=2)
    add(full, 0, prompt=3)
    add(full, 1, prompt=9)
    batch = full.schedule(1.0)
    assert [(chunk.tokens, chunk.padding) for chunk in batch.chunks] == [(3, 6), (9, 0)]


def test_buckets_batch_prompts_of_like_length() -> None:
    target = StaticScheduler(BlockManager(100, 4), most_sequences=2, buckets=True)
    for number, prompt in enumerate((3, 20, 2, 30)):
        add(target, number, prompt)
    assert [chunk.sequence.id for chunk in target.schedule(4.0).chunks] == [0, 2]


def test_the_members_of_a_static_batch_end_together() -> None:
    target = StaticScheduler(BlockManager(100, 4), most_sequences=2)
    short, long = add(target, 0, prompt=3, limit=2), add(target, 1, prompt=3, limit=6)
    add(target, 2, prompt=3, limit=2)
    for now in range(4):
        step(target, float(now))
    assert short.finished_s == 1.0 and short.blocks, "it has ended, and keeps its memory"
    assert step(target, 4.0) == ([], 2)
    assert step(target, 5.0) == ([], 2)
    assert not short.blocks and not long.blocks
    target.drained = True
    assert step(target, 6.0) == ([(2, 3)], 0)


def test_bad_settings_are_refused_with_the_numbers() -> None:
    with pytest.raises(LabError, match="4 tokens a step for 8 sequences"):
        scheduler(most_sequences=8, token_budget=4)
    with pytest.raises(LabError, match="0 blocks of 16"):
        BlockManager(0, 16)
    with pytest.raises(LabError, match="becomes 9, and at most 4"):
        add(scheduler(), 0, prompt=3, width=9)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 9), st.integers(1, 30))
def test_the_decode_set_keeps_lengths_by_one_clock(lengths: list[int], block_size: int, steps: int) -> None:
    together = DecodeSet(block_size)
    sequences = []
    for number, length in enumerate(lengths):
        sequence = Sequence(id=number, prompt=length, limit=99)
        sequence.computed = length - 1
        together.add(sequence)
        sequences.append((sequence, length, together.clock))
        together.advance()
    for _ in range(steps):
        due = {one.id for one in together.due()}
        for sequence, length, joined in sequences:
            assert sequence.length == length + together.clock - joined
            assert (sequence.id in due) == ((sequence.length - 1) % block_size == 0)
        assert together.context == sum(one.length for one in together)
        together.advance()
    for sequence, length, joined in sequences:
        together.remove(sequence)
        assert sequence.length == length + together.clock - joined
        assert sequence.computed == sequence.length - 1
    assert not len(together) and together.context == 0
