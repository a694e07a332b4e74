"""What is read from the events equals what the block manager held, step by step."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.engine.recording import Recording
from labs.engine.sampling import SamplingParams
from labs.kv_cache.usage import Usage, read_usage
from tests.labs.engine.test_engine import Setting, log, prompts


def usage_of(engine: Any) -> Usage:
    return read_usage(Recording(log(engine), engine.scheduler.manager.block_size))


kinds = st.sampled_from([{}, {"temperature": 1.0, "n": 3}, {"beams": 2}])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    requests=st.lists(st.tuples(prompts, st.integers(1, 8), kinds), min_size=1, max_size=4),
    block_size=st.sampled_from([1, 3, 4]),
    blocks=st.integers(40, 60),
    prefix_cache=st.booleans(),
    preemption=st.sampled_from(["recompute", "swap"]),
)
def test_each_moment_is_the_managers_at_the_end_of_its_step(
    requests: Any, block_size: int, blocks: int, prefix_cache: bool, preemption: str
) -> None:
    engine = Setting(
        blocks=blocks, block_size=block_size, prefix_cache=prefix_cache, preemption=preemption, budget=8
    ).engine()
    for prompt, limit, kind in requests:
        engine.add(list(prompt), SamplingParams(max_tokens=limit, ignore_eos=True, **kind))
    manager = engine.scheduler.manager
    for _ in engine.run():
        last = usage_of(engine).moments[-1]
        running = list(engine.scheduler.iter_running())
        assert last.owned == manager.owned and last.cached == len(manager.cached)
        assert last.references == sum(len(one.blocks) for one in running)
        assert sorted(last.live) == sorted(one.id for one in running)
    usage = usage_of(engine)
    assert len(usage.moments) == len(engine.steps) + 1
    for moment, step in zip(usage.moments, engine.steps, strict=False):
        assert moment.filled <= moment.owned * block_size and moment.filled <= moment.logical
        assert moment.owned >= step.kv_blocks, "a step's record is taken after what ended gave up its blocks"


def test_forks_copy_nothing_but_the_block_that_they_write() -> None:
    engine = Setting(block_size=4).engine()
    engine.add([1, 2, 3, 4, 5, 6], SamplingParams(max_tokens=3, temperature=1.0, n=3, ignore_eos=True))
    for _ in engine.run():
        pass
    usage = usage_of(engine)
    assert (usage.forks, usage.copies, usage.forked_tokens) == (2, 2, 12)
    assert usage.first_copy is not None and usage.recomputed == usage.preempted == 0


def test_a_prompt_that_fills_its_blocks_is_never_copied() -> None:
    engine = Setting(block_size=4).engine()
    engine.add(list(range(1, 9)), SamplingParams(max_tokens=3, temperature=1.0, n=3, ignore_eos=True))
    for _ in engine.run():
        pass
    assert usage_of(engine).forks == 2 and usage_of(engine).copies == 0


def test_recomputing_after_a_preemption_is_counted_and_swapping_is_not() -> None:
    found = {}
    for preemption in ("recompute", "swap"):
        engine = Setting(blocks=9, block_size=4, preemption=preemption).engine()
        for first in range(3):
            engine.add([first + 1] * 6, SamplingParams(max_tokens=12, ignore_eos=True))
        for _ in engine.run():
            pass
        usage = usage_of(engine)
        assert usage.preempted > 0 and usage.first_preemption is not None
        computed = sum(step.prefill_tokens + step.decode_tokens for step in engine.steps)
        assert computed - usage.recomputed == 3 * (6 + 12 - 1), "each token but the last is computed once"
        found[preemption] = usage.recomputed
    assert found["swap"] == 0 < found["recompute"]
