"""Several replicas behind one gateway: who gets the next request, and how old the gateway's news may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.formulas import serving
from labs.scheduling import replica_charts as charts
from labs.scheduling.orders import make_policy
from labs.scheduling.predictor import noisy
from labs.scheduling.replica_charts import PERIODS_S, TITLES, WAYS, Fleet, Routed, Way
from labs.scheduling.routers import AtRandom, BetterOfTwo, LeastWork, OldNews, Watched
from labs.scheduling.tail import tails
from labs.simulator.report import report
from labs.simulator.routing import LeastLoaded, PrefixAware, RoundRobin
from labs.simulator.simulator import Simulator
from labs.simulator.workloads import OpenLoop
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.results import Result
    from labs.scheduling.scenario import Scenario
    from labs.simulator.job import Job
    from labs.simulator.routing import Router
    from labs.simulator.traces import Request


def route(fleet: Fleet, requests: Sequence[Request], router: Router, ctx: Context) -> Routed:
    scenario, watched = fleet.scenario, Watched(router)
    jobs: list[Job] = []
    replicas = [
        scenario.server.replica(make_policy("fcfs", scenario.knobs), prefix_cache=fleet.prefixes)
        for _ in range(fleet.replicas)
    ]
    simulator = Simulator(
        replicas,
        OpenLoop(requests),
        router=watched,
        predict=noisy(scenario.error, scenario.workload.seed),
        ended=jobs.append,
    )
    figures = report(simulator.run(ctx.check), replicas)
    loads = np.array(watched.loads)
    ttft = np.array([job.first_token_s - job.arrival_s for job in jobs])
    return Routed(
        ttft,
        np.array([job.finished_s - job.arrival_s for job in jobs]),
        serving.attainment([_kept(job, scenario) for job in jobs]),
        loads.max(axis=1) - loads.min(axis=1),
        np.array(watched.times_s),
        np.array([one.usage.prefill_tokens + one.usage.decode_tokens for one in replicas]),
        figures,
    )


def _kept(job: Job, scenario: Scenario) -> bool:
    assert job.request is not None
    gaps = job.generated - 1
    tpot_s = (job.finished_s - job.first_token_s) / gaps if gaps else None
    objective_s = scenario.workload.objective_s(job.request.priority)
    return serving.meets_slo(job.first_token_s - job.arrival_s, tpot_s, objective_s, scenario.tpot_s)


def _router(way: Way, seed: int) -> Router:
    match way:
        case "random":
            return AtRandom(seed)
        case "round_robin":
            return RoundRobin()
        case "two":
            return BetterOfTwo(seed)
        case "least":
            return LeastLoaded()
        case "work":
            return LeastWork()
        case "prefix":
            return PrefixAware()


def study(fleet: Fleet, ctx: Context) -> Iterator[Result]:
    requests, seed = fleet.requests(), fleet.scenario.workload.seed
    ways = [way for way in WAYS if way != "prefix" or fleet.prefixes]
    objective_s = fleet.scenario.workload.ttft_s
    routed: dict[Way, Routed] = {}
    for number, way in enumerate(ways):
        ctx.progress(number / (2 * len(ways)), TITLES[way])
        routed[way] = route(fleet, requests, _router(way, seed), ctx)
        yield charts.table(routed)
        yield charts.spread(routed)
        yield tails([(TITLES[way], one.ttft_s) for way, one in routed.items()], objective_s)
        if ctx.preview and number:
            return
    yield from charts.metrics(routed, fleet)
    news: dict[str, list[float]] = {}
    for number, period_s in enumerate(PERIODS_S):
        ctx.progress(0.5 + number / (2 * len(PERIODS_S)), Text(zh="负载信息变旧", en="older news"))
        for name, router in _stale(period_s, seed).items():
            ttft = route(fleet, requests, router, ctx).ttft_s
            news.setdefault(name, []).append(float(np.percentile(ttft, 99)))
        yield charts.news(news, routed)
    yield charts.story(routed, news, fleet)


def _stale(period_s: float, seed: int) -> dict[str, Router]:
    return {
        "least": OldNews(period_s, seed),
        "two": OldNews(period_s, seed, choices=2),
        "counting": OldNews(period_s, seed, counting=True),
    }
