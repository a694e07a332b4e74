"""Taking a stretch of steps at once changes nothing: no time, no metric, no event, no block."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labs.simulator.cost import Constants, RooflineCost
from labs.simulator.deployment import Deployment
from labs.simulator.hardware import device
from labs.simulator.models import model
from labs.simulator.replica import starts
from labs.simulator.routing import LeastLoaded, PrefixAware, RoundRobin
from labs.simulator.simulator import Simulator
from labs.simulator.traces import Request
from labs.simulator.workloads import ClosedLoop, OpenLoop
from tests.labs.engine.invariants import check_idle
from tests.labs.simulator.settings import BATCHING, POLICIES, PlainCost, Setting, events

if TYPE_CHECKING:
    from labs.simulator.job import Job

requests = st.lists(
    st.tuples(st.floats(0, 40), st.integers(1, 24), st.integers(1, 40), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


def source_of(asked: Any, closed: bool) -> Any:
    if closed:
        lengths = ((prompt, limit) for _, prompt, limit, _ in asked)
        return ClosedLoop(3, 1.5, lengths, len(asked), seed=1)
    return OpenLoop(
        Request(
            at,
            prompt,
            limit,
            hash_ids=(kind,),  # the same prefix, as far as both prompts go
            user="abcd"[kind],
            priority=kind,
            deadline_s=at + 10 * kind,
        )
        for at, prompt, limit, kind in sorted(asked)
    )


def outcome(setting: Setting, asked: Any, closed: bool = False, replicas: int = 1, router: Any = None) -> Any:
    """All that a run tells."""
    fleet = [setting.replica() for _ in range(replicas)]
    ended: list[tuple[Any, ...]] = []

    def note(job: Job) -> None:
        ended.append((job.id, job.admitted_s, job.first_token_s, job.finished_s, job.preemptions, job.cached))

    simulator = Simulator(
        fleet,
        source_of(asked, closed),
        router=router() if router else None,
        ended=note,
        predict=lambda request: request.output_tokens // 2,
    )
    served = simulator.run()
    for one in fleet:
        check_idle(one.scheduler)
    assert sorted(job[0] for job in ended) == list(range(len(asked))), "each request is served once"
    blocks = [one.scheduler.manager.free for one in fleet]
    told = [events(one) for one in fleet] if setting.logged else []
    return ended, served, [one.usage for one in fleet], blocks, told


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    asked=requests,
    block_size=st.sampled_from([1, 3, 4, 16]),
    room=st.integers(0, 12),
    prefix_cache=st.booleans(),
    batching=st.sampled_from(BATCHING),
    policy=st.sampled_from(sorted(POLICIES)),
    most=st.integers(1, 6),
    budget=st.integers(1, 40),
    preemption=st.sampled_from(["recompute", "swap"]),
    closed=st.booleans(),
    context_s=st.sampled_from([0.0, 0.0007, 0.03]),
)
def test_it_equals_plain_stepping(
    asked: Any,
    block_size: int,
    room: int,
    prefix_cache: bool,
    batching: str,
    policy: str,
    most: int,
    budget: int,
    preemption: str,
    closed: bool,
    context_s: float,
) -> None:
    longest = max(prompt for _, prompt, _, _ in asked) + max(limit for _, _, limit, _ in asked)
    fast = Setting(
        blocks=-(-longest // block_size) + room,  # little room: memory runs out again and again
        block_size=block_size,
        prefix_cache=prefix_cache,
        batching=batching,
        policy=policy,
        most=most,
        budget=budget,
        preemption=preemption,
        cost=PlainCost(context_s=context_s),
    )
    plain = outcome(replace(fast, fast_forward=False, logged=True), asked, closed)
    assert outcome(fast, asked, closed)[:4] == plain[:4]
    assert outcome(replace(fast, logged=True), asked, closed) == plain


@settings(max_examples=60, deadline=None)
@given(
    asked=requests,
    batching=st.sampled_from(["chunked", "continuous", "dynamic"]),
    replicas=st.integers(2, 3),
    router=st.sampled_from([RoundRobin, LeastLoaded, PrefixAware]),
    closed=st.booleans(),
)
def test_it_equals_plain_stepping_with_several_replicas(
    asked: Any, batching: str, replicas: int, router: Any, closed: bool
) -> None:
    fast = Setting(blocks=20, batching=batching, prefix_cache=router is PrefixAware)
    plain = outcome(replace(fast, fast_forward=False), asked, closed, replicas, router)
    assert outcome(fast, asked, closed, replicas, router) == plain


@pytest.mark.parametrize("name", ["llama-3-8b", "gpt-oss-20b", "deepseek-v3", "mixtral-8x7b"])
def test_it_equals_plain_stepping_by_the_roofline(name: str) -> None:
    """Also where a layer's window ends, and the cost's slope with it."""
    deployment = Deployment(model=model(name), device=device("h200-sxm"), tensor_parallel=8)
    constants = Constants(compute=0.7, bandwidth=0.8, step_s=1e-4, sequence_s=1e-6, collective_s=1e-6)
    cost = RooflineCost(deployment, constants)
    fast = Setting(blocks=400, block_size=16, most=8, budget=64, cost=cost)
    asked = [(0.01 * n, 40 + 13 * n, 150 + 31 * (n % 3), 0) for n in range(12)]
    assert outcome(fast, asked) == outcome(replace(fast, fast_forward=False), asked)


def test_it_makes_few_decisions() -> None:
    """Or these tests would prove nothing: of a lone request's 40 steps only the first is decided; another
    look finds nothing left to do."""
    replica = Setting().replica()
    calls = []
    plain = replica.scheduler.schedule
    replica.scheduler.schedule = lambda now: calls.append(now) or plain(now)  # type: ignore
    Simulator([replica], OpenLoop([Request(0.0, 5, 40)])).run()
    assert replica.usage.steps == 40
    assert len(calls) == 2


@given(st.integers(1, 50), st.integers(0, 9), st.integers(0, 2000))
def test_starts_counts_the_steps_that_begin_before_a_time(first: int, rise: int, room: int) -> None:
    begins, at, duration = [], 0, first
    while at < room:
        begins.append(at)
        at += duration
        duration += rise
    assert starts(first, rise, room) == len(begins)
