"""The state that a recording tells behind its last event is the block manager's own, at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.engine.recording import CACHED, FREE, Recording
from labs.engine.sampling import SamplingParams
from tests.labs.engine.test_engine import Setting, log, prompts

if TYPE_CHECKING:
    from labs.engine.engine import Engine

kinds = st.sampled_from(["greedy", "samples", "beams"])
requests = st.tuples(prompts, st.integers(1, 8), kinds)


def params(limit: int, kind: str) -> SamplingParams:
    if kind == "samples":
        return SamplingParams(max_tokens=limit, temperature=1.0, n=2)
    return SamplingParams(max_tokens=limit, beams=2 if kind == "beams" else 0)


def compare(engine: Engine) -> None:
    recording = Recording(log(engine), engine.scheduler.manager.block_size)
    manager, size = engine.scheduler.manager, engine.scheduler.manager.block_size
    state = {row.block: row for row in recording.blocks}
    tables: dict[int, dict[int, int]] = {}
    for row in recording.tables:
        tables.setdefault(row.sequence, {})[row.logical] = row.block
    owners: dict[int, list[Any]] = {}
    for sequence in engine.scheduler.iter_running():
        told = [block for _, block in sorted(tables[sequence.id].items()) if block >= 0]
        assert told == sequence.blocks
        for block in sequence.blocks:
            owners.setdefault(block, []).append(sequence)
    for block in range(manager.blocks):
        row = state.get(block)
        if block in owners:
            assert row is not None and row.owners == len(owners[block])
            assert row.owner in {one.id for one in owners[block]}
            places = [(one, one.blocks.index(block)) for one in owners[block]]
            assert row.filled == max(max(0, min(size, one.computed - at * size)) for one, at in places)
        elif block in manager.cached:
            assert row is not None and (row.owner, row.owners, row.filled) == (CACHED, 0, size)
        else:
            assert row is None or (row.owner, row.owners, row.filled) == (FREE, 0, 0)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    waves=st.lists(st.lists(requests, max_size=3), min_size=1, max_size=3),
    block_size=st.sampled_from([1, 3, 4]),
    blocks=st.integers(40, 60),
    prefix_cache=st.booleans(),
    preemption=st.sampled_from(["recompute", "swap"]),
)
def test_every_state_is_that_of_the_block_manager(
    waves: Any, block_size: int, blocks: int, prefix_cache: bool, preemption: str
) -> None:
    setting = Setting(
        blocks=blocks, block_size=block_size, prefix_cache=prefix_cache, preemption=preemption, budget=8
    )
    engine = setting.engine()
    for wave in waves:
        for prompt, limit, kind in wave:
            engine.add(list(prompt), params(limit, kind))
        engine.step()
        compare(engine)
    for _ in engine.run():
        compare(engine)
    compare(engine)


def test_spans_tell_waiting_computing_and_being_preempted() -> None:
    engine = Setting(blocks=9, block_size=4, most=4, preemption="swap").engine()
    for n in range(4):
        engine.add(list(range(3 + n)), SamplingParams(max_tokens=20))
    list(engine.run())
    recording = Recording(log(engine), 4)
    phases = {span.phase for span in recording.spans}
    assert phases == {"waiting", "prefill", "decode", "swapped"}
    decoded = sum(span.tokens for span in recording.spans if span.phase == "decode")
    assert decoded == 4 * 19  # the first token of each comes with its prefill
    assert all(span.end_s > span.start_s for span in recording.spans)
