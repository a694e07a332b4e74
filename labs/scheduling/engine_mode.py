"""The same question asked of the real engine: a few requests at once, each order for real, and whether the
simulator, told what a step of this machine takes, puts the orders in the same sequence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.engine.engine import Engine
from labs.engine.sampling import SamplingParams
from labs.engine.serving import Arrival, Setting, make_engine, make_scheduler
from labs.engine.serving import serve as serve_in_time
from labs.models.texts import load_text
from labs.results import Axis, Bars, BarSeries, Column, Markdown, Metric, Provenance, Table, array
from labs.scheduling.orders import ORDERS, TITLES, make_policy
from labs.scheduling.predictor import noisy
from labs.scheduling.prose import points
from labs.simulator.cost import Ramp
from labs.simulator.replica import Replica
from labs.simulator.simulator import Simulator
from labs.simulator.ticks import NEVER, ticks
from labs.simulator.traces import Request
from labs.simulator.workloads import OpenLoop
from labs.text import Text, same

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

MEASURED, SIMULATED = Provenance.MEASURED, Provenance.SIMULATED

REQUESTS = 14
# Prompt and answer: the model is small and the machine slow, so requests are a tenth of the simulated ones.
SHORT, LONG, LONG_EVERY = (24, 6), (48, 36), 4
SETTING = Setting(blocks=256, most_sequences=2, token_budget=64, weights="int4")
URGENT_S, RELAXED_S = 1.0, 10.0
QUANTUM = 8


class Outcome(NamedTuple):
    """A request an entry, in s; ``steps`` are those that the engine made until its first token."""

    ttft_s: Array
    latency_s: Array
    steps: Array


@dataclass(frozen=True)
class StepCost:
    """A step's time as a straight line, fitted on the engine's own steps: ``step_s + tokens * token_s +
    sequences * sequence_s``. ``mean_s`` is the mean of these steps."""

    step_s: float
    token_s: float
    sequence_s: float
    mean_s: float = 0.0

    def linear(self, tokens: int, sequences: int) -> int:
        return ticks(self.step_s + tokens * self.token_s + sequences * self.sequence_s)

    def prefill_attention(self, tokens: int, cached: int) -> int:
        return 0

    def decode_attention(self, rows: int, context: int) -> Ramp:
        return Ramp(0, 0, NEVER)

    def swap(self, tokens: int) -> int:
        return 0


def fit(steps: Sequence[StepRecord]) -> StepCost:
    """Least absolute deviations, none negative: a step that the machine held up for something else must not
    bend the line. A step's tokens are its prefill tokens and its decode rows."""
    columns = np.array([[1.0, one.prefill_tokens + one.decode_tokens, one.decode_tokens] for one in steps])
    taken = np.array([one.end_s - one.start_s for one in steps])
    used = [0, 1, 2]
    while True:
        found = _least_absolute(columns[:, used], taken)
        if (found >= 0).all() or len(used) == 1:
            break
        used = [column for column, value in zip(used, found, strict=True) if value >= 0] or [0]
    full = np.zeros(3)
    full[used] = found
    step_s, token_s, sequence_s = map(float, full)
    return StepCost(step_s, token_s, sequence_s, mean_s=float(taken.mean()))


def _least_absolute(columns: Array, taken: Array) -> Array:
    """By least squares that are weighted anew some ten times."""
    weight = np.ones(len(taken))
    for _ in range(12):
        root = np.sqrt(weight)[:, None]
        found, *_ = np.linalg.lstsq(columns * root, taken * root[:, 0], rcond=None)
        weight = 1 / np.maximum(np.abs(taken - columns @ found), 1e-5)
    return np.asarray(found)


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
        yield _requests(requests)
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
        cost = fit(engine.steps)
        simulated[order] = _simulate(order, requests, cost, scenario)
        yield _table(measured, simulated)
        yield _bars(measured, simulated)
    yield from _agreement(measured, simulated)
    yield _requests(requests)
    yield _story(measured, simulated)


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


def _simulate(order: Order, requests: Sequence[Request], cost: StepCost, scenario: Scenario) -> Outcome:
    """Once with the run's own line for a step, for the seconds; once with steps that are all as long as its
    mean, which counts them."""
    first, ends = _times(order, requests, cost, scenario)
    even = StepCost(cost.mean_s, 0.0, 0.0)
    counted, _ = _times(order, requests, even, scenario)
    return Outcome(first, ends, np.round(counted / even.step_s).astype(int))


def _times(
    order: Order, requests: Sequence[Request], cost: StepCost, scenario: Scenario
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


def _requests(requests: Sequence[Request]) -> Table:
    rows: list[list[Text | float | int | None]] = [
        [
            number,
            one.input_tokens,
            one.output_tokens,
            same(one.user),
            Text(zh="急", en="urgent") if one.priority else Text(zh="一般", en="relaxed"),
        ]
        for number, one in enumerate(requests)
    ]
    return Table(
        id="requests",
        title=Text(zh="真实引擎要服务的请求", en="What the real engine is to serve"),
        help=Text(
            zh="同时到达，两个位置。每四个里有一个长的，第一个就是：FCFS 下短的都排在它后面。",
            en="Every fourth is long, the first among them, so that under FCFS the short ones stand behind "
            "it. ",
        ),
        provenance=SIMULATED,
        columns=[
            Column(title=same("#")),
            Column(title=Text(zh="提示词", en="prompt"), unit="token"),
            Column(title=Text(zh="回答", en="answer"), unit="token"),
            Column(title=Text(zh="用户", en="user")),
            Column(title=Text(zh="紧急", en="urgency")),
        ],
        rows=rows,
    )


def _table(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for order, real in measured.items():
        model = simulated[order]
        error = 100 * float(model.ttft_s.mean() / real.ttft_s.mean() - 1)
        pairs = [(real.steps, model.steps), (real.ttft_s, model.ttft_s), (real.latency_s, model.latency_s)]
        means = [(float(one.mean()), float(other.mean())) for one, other in pairs]
        rows.append([TITLES[order], *means[0], *means[1], error, *means[2]])
    sim = Text(zh="模拟", en="simulated")
    return Table(
        id="table",
        title=Text(zh="真实引擎与模拟器，各策略", en="The real engine and the simulator, one row a policy"),
        provenance=MEASURED,
        wide=True,
        columns=[
            Column(title=Text(zh="策略", en="policy")),
            Column(
                title=Text(zh="首 token 前的步数", en="steps to the first token"),
                help=Text(
                    zh="引擎走到第几步，这个请求才有首 token，取平均。它只由次序决定，与机器此刻快慢无关。",
                    en="Engine steps until a request has its first token, on average. The order alone "
                    "decides "
                    "it, however fast the machine is just now.",
                ),
            ),
            Column(title=sim, provenance=SIMULATED),
            Column(title=Text(zh="平均 TTFT", en="mean TTFT"), unit="s"),
            Column(title=sim, unit="s", provenance=SIMULATED),
            Column(title=Text(zh="误差", en="error"), unit="%", provenance=SIMULATED),
            Column(title=Text(zh="平均端到端", en="mean latency"), unit="s"),
            Column(title=sim, unit="s", provenance=SIMULATED),
        ],
        rows=rows,
    )


def _bars(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> Bars:
    return Bars(
        id="steps",
        title=Text(zh="首 token 前的平均步数", en="Mean steps to the first token"),
        provenance=MEASURED,
        categories=[TITLES[order] for order in measured],
        y=Axis(title=Text(zh="步", en="steps")),
        series=[
            BarSeries(
                name=Text(zh="真实引擎", en="real engine"),
                values=array([one.steps.mean() for one in measured.values()]),
            ),
            BarSeries(
                name=Text(zh="模拟器", en="simulator"),
                values=array([one.steps.mean() for one in simulated.values()]),
                provenance=SIMULATED,
            ),
        ],
    )


def agreement(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> float:
    """Of all requests under all orders, the share that gets its first token in the same step in both."""
    same_step = [measured[order].steps == simulated[order].steps for order in measured]
    return float(np.concatenate(same_step).mean())


def _agreement(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> Iterator[Metric]:
    yield Metric(
        id="agreement",
        title=Text(zh="在同一步得到首 token 的请求", en="First token in the very same step"),
        help=Text(
            zh="真实引擎与模拟器相比，七种策略的全部请求。只有看时钟的策略（SLO 优先、MLFQ "
            "的老化）可能不同：真实的一步"
            "时快时慢。",
            en="Real engine against simulator, all requests under all seven policies. Only policies that "
            "look "
            "at the clock (SLO first, the ageing of MLFQ) can differ, for a real step is sometimes slower.",
        ),
        provenance=MEASURED,
        unit="%",
        value=100 * agreement(measured, simulated),
        better="higher",
    )
    errors = [abs(simulated[order].ttft_s.mean() / measured[order].ttft_s.mean() - 1) for order in measured]
    yield Metric(
        id="error",
        title=Text(zh="模拟的平均 TTFT 误差", en="Error of the simulated mean TTFT"),
        help=Text(
            zh="各策略误差绝对值的平均。每步耗时的直线由该次运行自己的步拟合，所以比的是次序，不是机器快慢。",
            en="Mean of the absolute errors over policies. The line for a step's time is fitted on the run's "
            "own steps: it is the order that is compared, not how fast the machine was.",
        ),
        provenance=MEASURED,
        unit="%",
        value=100 * float(np.mean(errors)),
        better="lower",
    )


def _story(measured: dict[Order, Outcome], simulated: dict[Order, Outcome]) -> Markdown:
    fcfs, sjf = measured["fcfs"], measured["sjf"]
    before, after = fcfs.ttft_s.mean(), sjf.ttft_s.mean()
    steps = fcfs.steps.mean(), sjf.steps.mean()
    exact = 100 * agreement(measured, simulated)
    zh = [
        f"真实引擎上，SJF 把首 token 前的平均步数从 {steps[0]:.0f} 降到 {steps[1]:.0f}，平均 TTFT 从 "
        f"{before:.2f} s 到 "
        f"{after:.2f} s。",
        f"{exact:.0f}% 的请求在真实引擎和模拟器里恰好在同一步得到首 token：调度器、策略、块管理是同一份代码，"
        "模拟器只用一条直线代替模型算一步的时间。",
        "优先级和 EDF 在这里次序相同，步数也就相同；秒数若不同，那是机器上别的程序造成的。",
    ]
    en = [
        f"On the real engine SJF takes the mean steps to the first token from {steps[0]:.0f} to "
        f"{steps[1]:.0f}, and "
        f"mean TTFT from {before:.2f} to {after:.2f} s.",
        f"{exact:.0f}% of requests get their first token in the very same step in engine and simulator: "
        f"scheduler, "
        "policies and block manager are the same code, and a straight line stands for the time of a step.",
        "Priority and EDF order these requests alike, so their steps are the same; where their seconds "
        "differ, "
        "other programs on this machine made them so.",
    ]
    return points(zh, en, MEASURED)
