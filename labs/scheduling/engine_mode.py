"""The same question asked of the real engine: a few requests at once, each order for real, and whether the
simulator, told what a step of this machine takes, puts the orders in the same sequence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from labs.engine.engine import Engine
from labs.engine.sampling import SamplingParams
from labs.engine.serving import Arrival, Setting, make_engine, make_scheduler
from labs.engine.serving import serve as serve_in_time
from labs.models.texts import load_text
from labs.scheduling.engine_charts import Outcome, bars, metrics, requests_table, story, table
from labs.scheduling.orders import ORDERS, TITLES, make_policy
from labs.scheduling.predictor import noisy
from labs.simulator.line_cost import LineCost, fit_line
from labs.simulator.replica import Replica
from labs.simulator.simulator import Simulator
from labs.simulator.traces import Request
from labs.simulator.workloads import OpenLoop
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.engine.engine import StepRecord
    from labs.engine.generation import Generation
    from labs.engine.model_runner import ModelRunner
    from labs.engine.policies import Policy
    from labs.engine.scheduler import Scheduler
    from labs.results import Array, Result
    from labs.scheduling.orders import Order
    from labs.scheduling.scenario import Scenario
    from labs.simulator.job import Job

REQUESTS = 14
# Prompt and answer: the model is small and the machine slow, so requests are a tenth of the simulated ones.
SHORT, LONG, LONG_EVERY = (24, 6), (48, 36), 4
SETTING = Setting(blocks=256, most_sequences=2, token_budget=64, weights="int4")
URGENT_S, RELAXED_S = 1.0, 10.0
QUANTUM = 8


def requests_of(scenario: Scenario) -> list[Request]:
    """All at once, so that the schedule does not hang on how fast the machine is today. Every LONG_EVERY-th
    is long, the first among them: under FCFS the short ones stand behind it."""
    drawn = replace(scenario.workload, requests=REQUESTS).at_rate(1.0)
    made = []
    for number, one in enumerate(drawn):
        prompt, answer = SHORT if number % LONG_EVERY else LONG
        due_s = URGENT_S if one.priority else RELAXED_S
        made.append(Request(0.0, prompt, answer, user=one.user, priority=one.priority, deadline_s=due_s))
    return made


def compare(scenario: Scenario, ctx: Context) -> Iterator[Result]:
    requests = requests_of(scenario)
    if ctx.preview:
        yield requests_table(requests)
        return
    ctx.progress(0.0, Text(zh="打包权重", en="Packing the weights"))
    runner = make_engine(ctx, SETTING, record=False).runner
    arrivals = _arrivals(ctx, requests, scenario)
    _warm_up(ctx, runner, scenario)
    measured: dict[Order, Outcome] = {}
    simulated: dict[Order, Outcome] = {}
    for number, order in enumerate(ORDERS):
        engine = _engine(ctx, runner, _policy(order, scenario))
        measured[order] = _serve(ctx, engine, arrivals, (number, order))
        simulated[order] = _simulate(order, requests, engine.steps, scenario)
        yield table(measured, simulated)
        yield bars(measured, simulated)
    yield from metrics(measured, simulated)
    yield requests_table(requests)
    yield story(measured, simulated)


def _policy(order: Order, scenario: Scenario) -> Policy:
    return make_policy(order, replace(scenario.knobs, quantum=QUANTUM))


def _scheduler(policy: Policy) -> Scheduler:
    scheduler = make_scheduler(SETTING, None)
    scheduler.policy = policy
    return scheduler


def _engine(ctx: Context, runner: ModelRunner, policy: Policy) -> Engine:
    return Engine(runner, _scheduler(policy), ctx.model().tokenizer)


def _arrivals(ctx: Context, requests: Sequence[Request], scenario: Scenario) -> list[Arrival]:
    """Prompts are stretches of the evaluation text, each from another place."""
    ids = ctx.memo("scheduling prompts", lambda: ctx.model().tokenizer.encode(load_text("evaluation.en")))
    predict = noisy(scenario.error, scenario.workload.seed)
    arrivals = []
    for number, one in enumerate(requests):
        start = 997 * number % max(1, len(ids) - one.input_tokens)
        assert one.deadline_s is not None
        arrivals.append(
            Arrival(
                one.arrival_s,
                ids[start : start + one.input_tokens],
                SamplingParams(max_tokens=one.output_tokens, ignore_eos=True),
                user=one.user,
                priority=-one.priority,
                deadline_s=one.deadline_s,
                predicted=predict(one),
            )
        )
    return arrivals


def _warm_up(ctx: Context, runner: ModelRunner, scenario: Scenario) -> None:
    """The first steps of a process touch fresh memory: no order shall pay for them."""
    engine = _engine(ctx, runner, _policy("fcfs", scenario))
    for _ in range(SETTING.most_sequences):
        engine.add([1] * SHORT[0], SamplingParams(max_tokens=3, ignore_eos=True))
    for _ in engine.run():
        ctx.check()


def _serve(ctx: Context, engine: Engine, arrivals: Sequence[Arrival], place: tuple[int, Order]) -> Outcome:
    number, order = place
    start, tokens, said = engine.clock(), sum(one.params.max_tokens for one in arrivals), 0
    generations: list[Generation] = []
    for record, so_far in serve_in_time(ctx, engine, arrivals):
        generations = so_far
        said += record.decode_tokens if record else 0
        ctx.progress((number + min(1.0, said / tokens)) / len(ORDERS), TITLES[order])
    first = np.array([one.root.first_token_s for one in generations]) - start
    ends = np.array([one.root.finished_s for one in generations]) - start
    begun = np.array([one.start_s for one in engine.steps]) - start
    return Outcome(first, ends, np.searchsorted(begun, first))


def _simulate(
    order: Order, requests: Sequence[Request], steps: Sequence[StepRecord], scenario: Scenario
) -> Outcome:
    """Once with the run's own line for a step, for the seconds; once with steps that are all as long as its
    mean, which counts them."""
    decode = np.array([one.decode_tokens for one in steps])
    tokens = decode + [one.prefill_tokens for one in steps]
    taken = np.array([one.end_s - one.start_s for one in steps])
    first, ends = _times(order, requests, fit_line(tokens, decode, taken), scenario)
    even = LineCost(float(taken.mean()))
    counted, _ = _times(order, requests, even, scenario)
    return Outcome(first, ends, np.round(counted / even.step_s).astype(int))


def _times(
    order: Order, requests: Sequence[Request], cost: LineCost, scenario: Scenario
) -> tuple[Array, Array]:
    jobs: dict[int, Job] = {}
    Simulator(
        [Replica(_scheduler(_policy(order, scenario)), cost)],
        OpenLoop(requests),
        predict=noisy(scenario.error, scenario.workload.seed),
        ended=lambda job: jobs.update({job.id: job}),
    ).run()
    own = [jobs[number] for number in range(len(requests))]
    return np.array([job.first_token_s for job in own]), np.array([job.finished_s for job in own])
