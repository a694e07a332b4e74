"""What is found again is what the tokens say, on the real engine and in the simulator."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.engine.sampling import SamplingParams
from labs.prefix_cache.reference import spared, spared_in_order
from labs.prefix_cache.sessions import Sessions, session_requests
from labs.prefix_cache.trace_run import BLOCK_SIZE, room_for, serve_with, sizes
from labs.simulator.constants import constants
from labs.simulator.cost import RooflineCost
from labs.simulator.deployment import Deployment
from labs.simulator.hardware import device
from labs.simulator.models import model
from labs.simulator.traces import HASH_BLOCK_TOKENS, Request, read_trace
from tests.labs.engine.test_engine import Setting

if TYPE_CHECKING:
    from pathlib import Path

    from labs.simulator.cost import CostModel


@pytest.fixture(scope="module")
def cost() -> CostModel:
    return RooflineCost(
        Deployment(model=model("llama-3-8b"), device=device("a100-80gb-sxm")),
        constants("kernels", "a100-80gb-sxm"),
    )


def test_a_prefix_counts_in_whole_blocks_and_never_whole() -> None:
    stored = [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 9]]
    assert spared([1, 2, 3, 4, 5, 0, 0], stored, 4) == 4
    assert spared([1, 2, 3, 4, 5, 6, 7, 8], stored, 4) == 4, "the last token is always computed"
    assert spared([1, 2, 3, 4, 5, 6, 7, 8, 9], stored, 4) == 8
    assert spared([9], stored, 4) == 0 and spared([1, 2, 3], [], 1) == 0


tokens = st.lists(st.integers(0, 2), min_size=1, max_size=20)


@given(st.lists(tokens, min_size=1, max_size=6), st.integers(1, 5))
def test_the_engine_finds_what_the_reference_says(prompts: list[list[int]], block_size: int) -> None:
    engine = Setting(blocks=200, block_size=block_size, prefix_cache=True).engine()
    stored: list[list[int]] = []
    for prompt in prompts:
        generation = engine.add(prompt, SamplingParams(max_tokens=3))
        list(engine.run())
        assert generation.root.cached == spared(prompt, stored, block_size)
        stored.append(generation.root.tokens[:-1])


def test_the_simulator_hits_exactly_what_the_ids_say(cost: CostModel, tmp_path: Path) -> None:
    """Requests far apart, from a file in Mooncake's format, the last id of a prompt for what remains."""
    rows: list[dict[str, Any]] = [
        {"timestamp": 0, "input_length": 1300, "output_length": 10, "hash_ids": [1, 2, 3]},
        {"timestamp": 60_000, "input_length": 1324, "output_length": 10, "hash_ids": [1, 2, 4]},
        {"timestamp": 120_000, "input_length": 1300, "output_length": 10, "hash_ids": [1, 2, 3]},
        {"timestamp": 180_000, "input_length": 512, "output_length": 10, "hash_ids": [9]},
        {"timestamp": 240_000, "input_length": 512, "output_length": 10, "hash_ids": [9]},
    ]
    file = tmp_path / "trace.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    requests = list(read_trace(file))
    expected = [0, 1024, 1296, 0, 496]  # 512 is 32 blocks of 16, of which the last token's is computed
    assert list(spared_in_order(requests, BLOCK_SIZE)) == expected
    run = serve_with(requests, cost, 4000, True, lambda: None)
    total = sum(request.input_tokens for request in requests)
    assert run.report.prefix_hits == pytest.approx(sum(expected) / total, abs=1e-12)
    assert serve_with(requests, cost, 4000, False, lambda: None).report.prefix_hits == 0


def test_more_room_never_finds_less_here_and_all_of_it_finds_everything(cost: CostModel) -> None:
    requests = _apart(list(session_requests(Sessions(requests=60), seed=3)))
    ideal = sum(spared_in_order(requests, BLOCK_SIZE)) / sum(one.input_tokens for one in requests)
    least = room_for(requests)
    hits = [
        serve_with(requests, cost, blocks, True, lambda: None).report.prefix_hits
        for blocks in sizes(least, 40 * least)
    ]
    assert hits == sorted(hits), "LRU is a stack algorithm"
    assert hits[0] < ideal and hits[-1] == pytest.approx(ideal)


def test_sessions_tell_each_turn_by_what_came_before() -> None:
    sessions = Sessions(requests=300, system_prompts=2)
    requests = list(session_requests(sessions, seed=1))
    assert requests == list(session_requests(sessions, seed=1)) != list(session_requests(sessions, seed=2))
    assert len(requests) == 300
    assert all(one.arrival_s <= other.arrival_s for one, other in pairwise(requests))
    for one in requests:
        assert len(one.hash_ids) == -(-one.input_tokens // HASH_BLOCK_TOKENS)
    # Full blocks name all before them: who shares one shares its whole past.
    before: dict[int, tuple[int, ...]] = {}
    for one in requests:
        for at, name in enumerate(one.hash_ids):
            assert before.setdefault(name, one.hash_ids[:at]) == one.hash_ids[:at]
    assert {one.hash_ids[:2] for one in requests} == {(0, 1), (2, 3)}


@given(st.integers(1, 50), st.integers(0, 500))
def test_sizes_rise_from_the_least_to_the_most(least: int, more: int) -> None:
    found = list(sizes(least, least + more))
    assert found[-1] == least + more and found[0] == least
    assert all(one < other for one, other in pairwise(found))


def _apart(requests: list[Request]) -> list[Request]:
    """So far that each is done before the next comes."""
    fields = ("input_tokens", "output_tokens", "hash_ids")
    return [
        Request(60.0 * number, **{name: getattr(one, name) for name in fields})
        for number, one in enumerate(requests)
    ]
