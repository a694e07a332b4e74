"""What the lab claims of orders, predictors and routers, on small workloads: nothing here depends on time."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from labs.engine.sequence import Sequence
from labs.scheduling import replay
from labs.scheduling.load_mode import knee
from labs.scheduling.load_point import Point
from labs.scheduling.orders import ORDERS, Knobs
from labs.scheduling.predictor import kendall_tau, noisy
from labs.scheduling.prefixes import PREFIX_BLOCKS, with_prefixes
from labs.scheduling.routers import BetterOfTwo, LeastWork, OldNews
from labs.scheduling.scenario import Scenario
from labs.scheduling.server import Server
from labs.scheduling.sharing import sharing
from labs.scheduling.slo_first import AttainableFirst
from labs.scheduling.workload import HEAVY, PATIENCE, URGENT, Workload
from labs.simulator.traces import HASH_BLOCK_TOKENS, Request

if TYPE_CHECKING:
    from labs.scheduling.policy_run import PolicyRun


@pytest.fixture(scope="module")
def overload() -> dict[str, PolicyRun]:
    """Queues grow: what orders differ in is large."""
    scenario = Scenario(Workload(requests=1200), Server(16), load=1.2, error=0.0)
    return {order: scenario.serve(order) for order in ORDERS}


@pytest.fixture(scope="module")
def idle() -> dict[str, PolicyRun]:
    scenario = Scenario(Workload(requests=150), Server(64), load=0.2)
    return {order: scenario.serve(order) for order in ("fcfs", "sjf", "edf")}


# The workload


def test_the_rate_changes_only_when_requests_come() -> None:
    slow, fast = Workload(requests=50).at_rate(1.0), Workload(requests=50).at_rate(8.0)
    same = [(one.input_tokens, one.output_tokens, one.user, one.priority) for one in slow]
    assert same == [(one.input_tokens, one.output_tokens, one.user, one.priority) for one in fast]
    assert fast[-1].arrival_s == pytest.approx(slow[-1].arrival_s / 8)


def test_shares_and_deadlines_are_as_asked() -> None:
    requests = Workload(requests=4000, heavy_share=0.6, urgent_share=0.25, ttft_s=2.0).at_rate(1.0)
    assert np.mean([one.user == HEAVY for one in requests]) == pytest.approx(0.6, abs=0.03)
    assert np.mean([one.priority == URGENT for one in requests]) == pytest.approx(0.25, abs=0.03)
    for one in requests[:20]:
        due = 2.0 if one.priority == URGENT else 2.0 * PATIENCE
        assert one.deadline_s == pytest.approx(one.arrival_s + due)


# The server


@pytest.mark.parametrize(("prompt", "answer"), [(10, 1), (513, 2), (1500, 300)])
def test_alone_is_what_a_lone_request_takes(prompt: int, answer: int) -> None:
    scenario = Scenario(Workload(requests=1))
    request = Request(3.0, prompt, answer, deadline_s=9.0)
    scenario.__dict__["requests"] = [request]
    scenario.__dict__["alone_s"] = np.array([scenario.server.alone_s(request)])
    assert scenario.serve("fcfs").slowdown[0] == pytest.approx(1.0, rel=1e-9)


def test_capacity_is_what_an_overloaded_server_finishes() -> None:
    scenario = Scenario(Workload("equal", requests=1500), load=1.5)
    run, last = scenario.serve("fcfs"), scenario.requests[-1].arrival_s
    finished = ((run.end_s > last / 3) & (run.end_s <= last)).sum() / (last * 2 / 3)
    assert finished == pytest.approx(scenario.full.capacity_per_s, rel=0.1)


def test_little_memory_means_fewer_places() -> None:
    requests = Workload(requests=300).at_rate(1.0)
    assert Server(32, blocks=400).full(requests).places < Server(32).full(requests).places == 32


# Orders


def test_all_are_served_whatever_the_order(overload: dict[str, PolicyRun]) -> None:
    for run in overload.values():
        assert run.figures.requests == len(run.requests)
        assert (run.wait_s > -1e-9).all() and (run.end_s >= run.first_s).all()  # ticks round
        assert (run.slowdown > 0.999).all()


def test_without_a_queue_orders_do_not_differ(idle: dict[str, PolicyRun]) -> None:
    first = idle["fcfs"]
    assert first.wait_s.max() < 0.1
    for run in idle.values():
        assert run.latency_s.mean() == pytest.approx(first.latency_s.mean(), rel=0.01)


def test_shortest_first_helps_the_mean_and_starves_the_longest(overload: dict[str, PolicyRun]) -> None:
    fcfs, sjf = overload["fcfs"], overload["sjf"]
    assert sjf.ttft_s.mean() < fcfs.ttft_s.mean() / 2
    assert sjf.idle_s.max() > 1.5 * fcfs.idle_s.max()


def test_deadlines_alone_collapse_and_putting_the_late_last_does_not(overload: dict[str, PolicyRun]) -> None:
    assert overload["slo"].attainment > overload["edf"].attainment + 0.2


def test_fair_share_makes_the_heavy_user_wait(overload: dict[str, PolicyRun]) -> None:
    fcfs, fair = overload["fcfs"], overload["fair"]
    heavy = fair.of_users([HEAVY])
    assert fair.ttft_s[~heavy].mean() < fcfs.ttft_s[~heavy].mean() / 3
    assert fair.ttft_s[heavy].mean() > fcfs.ttft_s[heavy].mean()
    last = float(fcfs.arrival_s[-1])
    assert sharing(fair, last).jain.mean() > sharing(fcfs, last).jain.mean() + 0.1


def test_urgent_first_keeps_the_urgent(overload: dict[str, PolicyRun]) -> None:
    run, fcfs = overload["priority"], overload["fcfs"]
    assert run.kept[run.urgent].mean() > fcfs.kept[run.urgent].mean() + 0.3
    assert run.kept[~run.urgent].mean() < fcfs.kept[~run.urgent].mean()


def test_feedback_preempts_and_pays(overload: dict[str, PolicyRun]) -> None:
    mlfq, fcfs = overload["mlfq"], overload["fcfs"]
    assert mlfq.preempted.sum() > 100 and mlfq.figures.repeated_tokens > 0
    assert mlfq.ttft_s.mean() < fcfs.ttft_s.mean()
    assert np.nanpercentile(mlfq.tpot_s, 99) > 2 * np.nanpercentile(fcfs.tpot_s, 99)


def test_waiting_is_counted_after_preemptions_too(overload: dict[str, PolicyRun]) -> None:
    fcfs, mlfq = overload["fcfs"], overload["mlfq"]
    assert fcfs.idle_s == pytest.approx(fcfs.wait_s)
    back = mlfq.preempted > 0
    assert (mlfq.idle_s[back] > mlfq.wait_s[back]).all()
    assert mlfq.idle_s[~back] == pytest.approx(mlfq.wait_s[~back])


def test_all_that_is_granted_is_fair_where_nobody_waits(idle: dict[str, PolicyRun]) -> None:
    run = idle["fcfs"]
    assert sharing(run, float(run.arrival_s[-1])).jain.mean() > 0.95


def test_a_timelines_bars_fill_the_time_from_arrival_to_end(overload: dict[str, PolicyRun]) -> None:
    run = overload["mlfq"]
    chosen = replay.crowded(overload["fcfs"])
    shown = replay.timeline(run, chosen, Workload())
    for lane, number in enumerate(chosen):
        mine = shown.lane == lane
        took = (shown.end[mine] - shown.start[mine]).sum()
        assert took == pytest.approx(run.latency_s[number], abs=1e-6)
    assert replay.trace([run, overload["fcfs"]], chosen).times.size >= 2 * 4 * len(chosen)


# Deadlines first, the late last


def waiting(number: int, deadline_s: float) -> Sequence:
    return Sequence(id=number, prompt=1, limit=1, arrival_s=0.0, deadline_s=deadline_s)


def test_the_late_come_last() -> None:
    policy = AttainableFirst()
    for number, deadline_s in enumerate((1.0, 5.0, 3.0, 0.5)):
        policy.add(waiting(number, deadline_s), 0.0)
    assert policy.peek(0.0).id == 3
    assert [policy.pop(2.0).id for _ in range(4)] == [2, 1, 3, 0]


def test_any_of_them_can_be_taken() -> None:
    policy = AttainableFirst()
    for number, deadline_s in enumerate((1.0, 5.0, 3.0)):
        policy.add(waiting(number, deadline_s), 0.0)
    policy.peek(2.0)  # 0 is late now
    assert {one.id for one in policy} == {0, 1, 2}
    assert [one.id for one in policy.take(lambda one: one.id in (0, 1), 2)] == [1, 0]
    assert len(policy) == 1 and policy.pop(2.0).id == 2


# The predictor


def test_an_oracle_and_a_noisy_one() -> None:
    requests = Workload("lognormal", requests=800).at_rate(1.0)
    true = [one.output_tokens for one in requests]
    assert [noisy(0.0, 0)(one) for one in requests] == true
    taus = [kendall_tau(true, [noisy(error, 0)(one) for one in requests]) for error in (0.3, 1.0, 3.0)]
    assert taus[0] > taus[1] > taus[2] > 0


def test_kendall_by_hand() -> None:
    assert kendall_tau([1, 2, 3], [1, 2, 3]) == 1.0
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1.0
    assert kendall_tau([1, 2, 3], [1, 3, 2]) == pytest.approx(1 / 3)


# Routers


def fake(jobs: int, waiting: tuple[int, ...] = ()) -> Any:
    """A replica with so many requests, whose waiting ones have so many tokens left."""
    queue = [SimpleNamespace(length=0, computed=0, predicted=left, limit=1, generated=0) for left in waiting]
    return SimpleNamespace(jobs=jobs, scheduler=SimpleNamespace(policy=queue, iter_running=lambda: iter(())))


def at(time_s: float) -> Any:
    return SimpleNamespace(arrival_s=time_s)


def test_old_news_sends_all_to_one_unless_what_was_sent_is_counted() -> None:
    replicas = [fake(3), fake(1), fake(2)]
    herd = OldNews(1.0, seed=0)
    assert all(herd.choose(at(0.1 * n), replicas) is replicas[1] for n in range(5))
    replicas[1].jobs = 9
    assert herd.choose(at(1.5), replicas) is replicas[2]
    counting = OldNews(1.0, seed=0, counting=True)
    replicas[1].jobs = 1
    sent = [replicas.index(counting.choose(at(0.0), replicas)) for _ in range(6)]
    assert sorted(sent) == [0, 1, 1, 1, 2, 2]


def test_work_is_counted_in_tokens() -> None:
    replicas = [fake(1, (900,)), fake(4, (50, 50, 50, 50))]
    assert LeastWork().choose(at(0.0), replicas) is replicas[1]


def test_of_two_the_better() -> None:
    replicas = [fake(5), fake(0)]
    assert all(BetterOfTwo(seed=1).choose(at(0.0), replicas) is replicas[1] for _ in range(5))


def test_prefixes_are_shared_and_what_follows_is_not() -> None:
    requests = with_prefixes(Workload(requests=300).at_rate(1.0), seed=0)
    shared = [one.hash_ids[:PREFIX_BLOCKS] for one in requests]
    assert len(set(shared)) < 60
    own = [block for one in requests for block in one.hash_ids[PREFIX_BLOCKS:]]
    assert len(set(own)) == len(own)
    for one in requests:
        assert (len(one.hash_ids) - 1) * HASH_BLOCK_TOKENS < one.input_tokens <= len(one.hash_ids) * 512


# The sweep, and the engine's steps


def test_the_knee_lies_between_points() -> None:
    def point(rate: float, attainment: float) -> Point:
        return Point(rate, attainment, 0.0, 0.0, 0.0, 0.0, 0.0)

    assert knee([point(1, 1.0), point(2, 0.95), point(3, 0.85)]) == pytest.approx(2.5)
    assert knee([point(1, 0.5)]) == 0.0
    assert knee([point(1, 1.0), point(2, 0.99)]) == 2.0


def test_ageing_is_told_to_the_policies() -> None:
    scenario = Scenario(Workload(requests=600), Server(8), load=1.2)
    patient = replace(scenario, knobs=Knobs(ageing_s=100.0)).serve("priority")
    hasty = replace(scenario, knobs=Knobs(ageing_s=1.0)).serve("priority")
    assert patient.wait_s[patient.urgent].mean() < hasty.wait_s[hasty.urgent].mean() / 2
