"""Each request is served once, tokens and blocks are conserved, and figures are what a hand would find."""

from __future__ import annotations

import gc
import math
from typing import TYPE_CHECKING, Any

import pytest

from labs.formulas.serving import inter_token_latencies
from labs.simulator.disaggregation import DisaggregatedSimulator
from labs.simulator.report import report
from labs.simulator.routing import LeastLoaded, PrefixAware, RoundRobin
from labs.simulator.served import Objective
from labs.simulator.simulator import Simulator
from labs.simulator.traces import Request
from labs.simulator.workloads import (
    OpenLoop,
    fixed_lengths,
    lognormal_lengths,
    open_workload,
    poisson_arrivals,
)
from labs.spec import LabError
from tests.labs.engine.invariants import check, check_idle
from tests.labs.simulator.settings import BATCHING, PlainCost, Setting, events

if TYPE_CHECKING:
    from labs.simulator.job import Job
    from labs.simulator.replica import Replica

STEP = PlainCost(step_s=1.0, token_s=0.0)


def run(requests: list[Request], setting: Setting | None = None, **options: Any) -> tuple[Any, Replica]:
    replica = (setting or Setting(cost=STEP)).replica()
    simulator = Simulator([replica], OpenLoop(requests), **options)
    simulator.run()
    check_idle(replica.scheduler)
    return report(simulator.served, [replica]), replica


def test_a_lone_request_by_hand() -> None:
    """A prompt of 5 is one step, three more tokens are three; each takes 1 s and 0.125 s a token."""
    figures, _ = run([Request(2.0, 5, 4)], Setting(cost=PlainCost()))
    assert figures.ttft.mean == 1.625
    assert figures.tpot.mean == figures.itl.mean == 1.125
    assert figures.end_to_end.mean == 1.625 + 3 * 1.125
    assert (figures.queueing.mean, figures.requests, figures.busy) == (0.0, 1, 1.0)
    assert figures.output_tokens_per_s == pytest.approx(4 / 5)
    # Blocks of 4: two for a step with an empty cache, then 5 and 6 and 7 tokens in two.
    first, rest = 1.625, 1.125
    empty = 8 * first + (3 + 2 + 1) * rest
    assert figures.fragmentation == pytest.approx(empty / (8 * (first + 3 * rest)))
    assert figures.kv_occupancy == pytest.approx(2 / 64)


def test_an_arrival_waits_for_the_step_under_way() -> None:
    figures, _ = run([Request(0.0, 4, 3), Request(0.5, 4, 1)])
    assert figures.queueing.most == 0.5
    assert figures.ttft.most == 1.5


def test_chunks_share_the_budget_and_decodes_do_not_wait() -> None:
    """The long prompt takes three steps of 16, less what decodes; the short answer goes on meanwhile."""
    figures, _ = run([Request(0.0, 4, 9), Request(0.5, 40, 1)])
    assert figures.itl.most == 1.0
    assert figures.ttft.most == pytest.approx(3.5)


def test_without_chunks_decodes_wait_for_a_prompt() -> None:
    figures, _ = run([Request(0.0, 4, 9), Request(0.5, 40, 1)], Setting(batching="continuous", cost=STEP))
    assert figures.itl.most == 2.0


@pytest.mark.parametrize("preemption", ["recompute", "swap"])
@pytest.mark.parametrize("batching", ["chunked", "continuous", "static"])
def test_gaps_are_those_between_the_tokens_of_the_log(batching: str, preemption: str) -> None:
    """The histogram's sums against the events, request by request, through preemptions."""
    setting = Setting(blocks=9, batching=batching, preemption=preemption, logged=True)
    requests = [Request(0.3 * n, 3 + n % 5, 8 + n % 7) for n in range(12)]
    figures, replica = run(requests, setting)
    times: dict[int, list[float]] = {}
    for event in events(replica):
        if event.kind.value == "token":
            times.setdefault(event.sequence, []).append(event.time_s)
    gaps = [gap for one in times.values() for gap in inter_token_latencies(one)]
    assert replica.usage.gaps.count == len(gaps)
    assert figures.itl.mean == pytest.approx(sum(gaps) / len(gaps))
    assert figures.itl.most == pytest.approx(max(gaps))
    assert [len(times[n]) for n in range(12)] == [request.output_tokens for request in requests]
    firsts = [times[n][0] - request.arrival_s for n, request in enumerate(requests)]
    assert figures.ttft.mean == pytest.approx(sum(firsts) / len(firsts))
    if batching != "static":
        assert figures.preemptions > 0
        assert (figures.swapped_tokens > 0) == (preemption == "swap")


def test_tokens_and_blocks_are_conserved() -> None:
    lengths = lognormal_lengths(30, 20, 1.0, 100, seed=1)
    requests = list(open_workload(poisson_arrivals(0.4, 1), lengths, 400))
    replica = Setting(blocks=60, most=6, budget=32, cost=PlainCost(token_s=0.01)).replica()

    def verify(job: Job) -> None:
        assert job.generated == job.limit
        check(replica.scheduler)

    simulator = Simulator([replica], OpenLoop(requests), ended=verify)
    served = simulator.run()
    check_idle(replica.scheduler)
    usage = replica.usage
    assert (served.arrived, served.requests) == (400, 400)
    assert served.input_tokens == sum(request.input_tokens for request in requests)
    assert served.output_tokens == sum(request.output_tokens for request in requests)
    assert usage.gaps.count == served.output_tokens - served.requests
    assert replica.scheduler.preemptions > 0
    # Each prefill gives a token as well: the first one, or the next one after a preemption.
    resumed = served.output_tokens - served.requests - usage.decode_tokens
    assert 0 < resumed <= replica.scheduler.preemptions
    assert report(served, [replica]).repeated_tokens == usage.prefill_tokens - served.input_tokens > 0


def test_littles_law_in_steady_state() -> None:
    """Poisson arrivals see time averages: what each finds in the system against the rate times the time."""
    replica = Setting(blocks=4000, most=64, budget=128, cost=PlainCost(0.02, 0.0005)).replica()
    found: list[int] = []

    class Watched(OpenLoop):
        def take(self) -> Request:
            found.append(replica.jobs)
            return super().take()

    rate, count = 3.0, 60_000
    lengths = lognormal_lengths(60, 40, 0.8, 400, seed=5)
    simulator = Simulator([replica], Watched(open_workload(poisson_arrivals(rate, 5), lengths, count)))
    served = simulator.run()
    expected = rate * served.end_to_end.mean / 10**12
    assert sum(found) / count == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("batching", BATCHING)
def test_what_has_ended_is_freed_without_a_search_for_cycles(batching: str) -> None:
    """A run does without the collector, so it must leave nothing that only the collector finds."""
    setting = Setting(blocks=40, batching=batching, prefix_cache=True, preemption="swap")
    left = []
    for count in (10, 200):
        gc.collect()
        gc.disable()
        try:
            run([Request(0.7 * n, 5 + n % 9, 1 + n % 30, hash_ids=(n % 3,)) for n in range(count)], setting)
            left.append(gc.collect())
        finally:
            gc.enable()
    assert left[0] == left[1]


def test_one_seed_one_run() -> None:
    def figures(seed: int) -> Any:
        lengths = lognormal_lengths(30, 20, 1.0, 100, seed=seed)
        return run(list(open_workload(poisson_arrivals(0.3, seed), lengths, 200)))[0]

    assert figures(3) == figures(3)
    assert figures(3) != figures(4)


def test_goodput_counts_who_kept_both_objectives() -> None:
    requests = [Request(0.0, 4, 1), Request(0.5, 4, 1), Request(10.0, 4, 3)]
    assert run(requests, objective=Objective(ttft_s=1.0))[0].attainment == pytest.approx(2 / 3)
    assert run(requests, objective=Objective(tpot_s=0.9))[0].attainment == pytest.approx(2 / 3)
    kept = run(requests, objective=Objective(ttft_s=1.5, tpot_s=1.0))[0]
    assert kept.attainment == 1.0 and kept.goodput_per_s == kept.requests_per_s


def test_a_prefix_is_computed_once_and_its_hits_are_counted() -> None:
    requests = [Request(20.0 * n, 40, 2, hash_ids=(7,)) for n in range(4)]
    figures, replica = run(requests, Setting(prefix_cache=True, cost=STEP))
    assert figures.prefix_hits == 3 * 36 / 160  # whole blocks of 4, the last of which is computed
    assert replica.usage.prefill_tokens == 160 - 3 * 36


def test_what_cannot_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(LabError, match="may need 75 KV blocks, and there are only 64"):
        run([Request(0.0, 200, 100)])


def test_static_batches_wait_until_nothing_more_can_come() -> None:
    requests = [Request(float(n), 4, 2) for n in range(6)]
    figures, replica = run(requests, Setting(batching="static", cost=STEP, logged=True))
    steps = [(event.start_s, len(event.rows)) for event in events(replica) if event.kind.value == "step"]
    assert steps == [(3.0, 4), (4.0, 4), (5.0, 2), (6.0, 2)]
    assert figures.queueing.most == 3.0


def fleet(count: int, **options: Any) -> list[Replica]:
    return [Setting(cost=STEP, **options).replica() for _ in range(count)]


def test_round_robin_takes_turns_and_least_loaded_balances() -> None:
    requests = [Request(n / 10, 4, 40 if n % 2 == 0 else 1) for n in range(16)]
    shares = []
    for router in (RoundRobin(), LeastLoaded()):
        replicas = fleet(2)
        Simulator(replicas, OpenLoop(requests), router=router).run()
        shares.append([one.usage.decode_tokens for one in replicas])
    assert shares[0] == [8 * 39, 0]
    assert max(shares[1]) < 8 * 39


def test_prefix_aware_routing_finds_the_prefix_until_it_is_overloaded() -> None:
    requests = [Request(30.0 * n, 40, 2, hash_ids=(n % 3,)) for n in range(12)]
    hits = []
    for router in (PrefixAware(), RoundRobin()):
        replicas = fleet(2, prefix_cache=True)
        simulator = Simulator(replicas, OpenLoop(requests), router=router)
        hits.append(report(simulator.run(), replicas).prefix_hits)
    assert hits[0] == 9 * 36 / 480 > hits[1]
    burst = [Request(0.0, 40, 30, hash_ids=(1,))] + [Request(2.0, 40, 30, hash_ids=(1,))] * 9
    replicas = fleet(2, prefix_cache=True)
    Simulator(replicas, OpenLoop(burst), router=PrefixAware(slack=2)).run()
    assert all(one.usage.prompt_tokens for one in replicas)


def disaggregated(requests: list[Request], **options: Any) -> tuple[Any, DisaggregatedSimulator]:
    prefill, decode = fleet(1), fleet(1)
    simulator = DisaggregatedSimulator(
        prefill, decode, OpenLoop(requests), token_bytes=10.0, link_bandwidth=100.0, latency_s=0.25, **options
    )
    figures = report(simulator.run(), simulator.replicas)
    for replica in simulator.replicas:
        check_idle(replica.scheduler)
    return figures, simulator


def test_a_disaggregated_request_by_hand() -> None:
    """Prefill 1 s, then 5 tokens of 10 bytes at 100 bytes/s and the latency, then three steps."""
    figures, simulator = disaggregated([Request(0.0, 5, 4)])
    assert figures.ttft.mean == 1.0
    assert figures.itl.most == 0.5 + 0.25 + 1.0
    assert figures.end_to_end.mean == 1.0 + 0.75 + 3.0
    assert simulator.transferred_tokens == 5
    assert simulator.decode[0].usage.prefill_tokens == 0
    assert figures.swapped_tokens == 0


def test_transfers_leave_one_after_another() -> None:
    """The second comes to a step that the first has begun half a second before it."""
    figures, _ = disaggregated([Request(0.0, 5, 2), Request(0.0, 5, 2)])
    assert figures.end_to_end.most == pytest.approx(1.0 + 0.5 + 0.5 + 0.25 + 0.5 + 1.0)


def test_disaggregation_keeps_decodes_from_waiting_for_prompts() -> None:
    cost = PlainCost(step_s=0.1, token_s=0.01)
    requests = [Request(1.0 * n, 60, 30) for n in range(40)]

    def replicas() -> list[Replica]:
        return [Setting(blocks=400, budget=64, most=32, cost=cost).replica() for _ in range(2)]

    together = replicas()
    mixed = report(Simulator(together, OpenLoop(requests)).run(), together)
    first, second = replicas()
    simulator = DisaggregatedSimulator(
        [first], [second], OpenLoop(requests), token_bytes=1.0, link_bandwidth=math.inf
    )
    apart = report(simulator.run(), simulator.replicas)
    assert apart.requests == mixed.requests == 40
    assert apart.itl.p99 < mixed.itl.p99
    assert apart.output_tokens_per_s == pytest.approx(mixed.output_tokens_per_s, rel=0.1)


def test_fixed_work_comes_out_at_the_roofs_rate() -> None:
    """Sixteen places, always full: 16 tokens a step of 1 s, less what prefill takes."""
    requests = list(open_workload(iter([0.0] * 64), fixed_lengths(1, 100), 64))
    figures, _ = run(requests, Setting(blocks=2000, most=16, budget=32, cost=STEP))
    assert figures.output_tokens_per_s == pytest.approx(16, rel=0.02)
    assert figures.mean_batch == pytest.approx(16, rel=0.02)
