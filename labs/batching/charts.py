"""The figures of a race: tokens over time, what was computed for nothing, latencies, a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from labs.batching.replay import CLOCK
from labs.batching.strategies import TITLES
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Lines,
    Metric,
    Provenance,
    Scatter,
    Series,
    Table,
    array,
)
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.batching.run import Run
    from labs.batching.strategies import Strategy
    from labs.results import Array
    from labs.simulator.traces import Request

_TIME = Axis(title=Text(zh="从开始起的时间", en="time since the start"), unit="s")
_BINS = 24
MEASURED = Provenance.MEASURED


def workload(requests: Sequence[Request]) -> Scatter:
    """When each request comes and how long it is."""
    times = array([one.arrival_s for one in requests])
    lengths = {
        Text(zh="提示词", en="prompt"): [one.input_tokens for one in requests],
        Text(zh="回答", en="answer"): [one.output_tokens for one in requests],
    }
    return Scatter(
        id="workload",
        title=Text(zh="请求：何时到，多长", en="The requests: when they come, how long they are"),
        help=Text(
            zh="每个请求两点：提示词和回答的 token 数。所有策略服务的都是这些请求。",
            en="Two points a request: the tokens of its prompt and of its answer. All strategies serve "
            "these.",
        ),
        provenance=Provenance.ESTIMATED,
        source=Text(
            zh="由参数和种子生成，或按输入的时刻", en="from the parameters and the seed, or as typed"
        ),
        unit="token",
        x=Axis(title=Text(zh="到达时刻", en="arrival"), unit="s"),
        y=Axis(title=Text(zh="长度", en="length"), unit="token"),
        series=[Series(name=name, x=times, y=array(tokens)) for name, tokens in lengths.items()],
    )


def progress(runs: Sequence[Run], provenance: Provenance = MEASURED) -> Lines:
    """Tokens of answers that had been delivered by each moment: the race itself."""
    return Lines(
        id="progress",
        title=Text(zh="已交付的回答 token", en="Answer tokens delivered"),
        help=Text(
            zh="斜率就是 token/s；先到顶的先跑完。只算用户要的 token，白算的不算。",
            en="The slope is tokens/s, and who is first at the top has finished. Only tokens that somebody "
            "asked for count.",
        ),
        provenance=provenance,
        unit="token",
        wide=True,
        x=_TIME,
        y=Axis(title=Text(zh="累计 token", en="tokens so far"), unit="token"),
        series=[
            Series(name=TITLES[run.strategy], x=times, y=array(np.arange(1, len(times) + 1)))
            for run in runs
            for times in [_token_times(run)]
        ],
        markers=False,
        clock=CLOCK,
    )


def rate(runs: Sequence[Run], provenance: Provenance = MEASURED) -> Lines:
    """Tokens a second in each of a few dozen parts of the longest run."""
    end_s = max(run.makespan_s for run in runs)
    edges = np.linspace(0.0, end_s, _BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    series = []
    for run in runs:
        counts, _ = np.histogram(_token_times(run), edges)
        running = middles <= run.makespan_s + edges[1]
        series.append(
            Series(
                name=TITLES[run.strategy], x=array(middles[running]), y=array((counts / edges[1])[running])
            )
        )
    return Lines(
        id="rate",
        title=Text(zh="吞吐随时间的变化", en="Throughput over time"),
        help=Text(
            zh="静态批处理的台阶往下走：批里答完的越多，每步产出的有用 token 越少。",
            en="Static batching comes down in stairs: the more of a batch have ended, the fewer tokens of "
            "use a step yields.",
        ),
        provenance=provenance,
        unit="token/s",
        x=_TIME,
        y=Axis(title=Text(zh="回答 token/s", en="answer tokens/s"), unit="token/s"),
        series=series,
        markers=False,
        clock=CLOCK,
    )


def work(runs: Sequence[Run], provenance: Provenance = MEASURED) -> Bars:
    """All tokens that the model computed, by what they were for."""
    parts = {
        "prefill": Text(zh="提示词", en="prompts"),
        "padding": Text(zh="白算", en="for nothing"),
        "decode": Text(zh="回答", en="answers"),
    }
    return Bars(
        id="work",
        title=Text(zh="算了多少 token，为了什么", en="Tokens computed, what for"),
        help=Text(
            zh="白算：补齐提示词的 pad，和已经答完却还占着位置的行。每个请求的首个回答 token 来自预填充。",
            en="For nothing: padding of prompts, and rows whose answer has ended. The first token of each "
            "answer comes out of its prefill.",
        ),
        provenance=provenance,
        unit="token",
        categories=[TITLES[run.strategy] for run in runs],
        y=Axis(title=Text(zh="计算的 token", en="tokens computed"), unit="token"),
        series=[
            BarSeries(
                name=name,
                values=array([sum(getattr(step, part) for step in run.steps) for run in runs]),
            )
            for part, name in parts.items()
        ],
    )


def latency(runs: Sequence[Run], provenance: Provenance = MEASURED) -> Bars:
    return Bars(
        id="ttft",
        title=Text(zh="首 token 时间（TTFT）", en="Time to first token (TTFT)"),
        help=Text(
            zh="从到达到第一个 token：排队加预填充。",
            en="From arrival to the first token: queueing and prefill.",
        ),
        provenance=provenance,
        unit="s",
        categories=[TITLES[run.strategy] for run in runs],
        y=Axis(title=Text(zh="TTFT", en="TTFT"), unit="s"),
        series=[
            BarSeries(name=Text(zh="平均", en="mean"), values=array([run.mean_ttft_s() for run in runs])),
            BarSeries(
                name=Text(zh="第 95 百分位", en="95th percentile"),
                values=array([run.ttft_percentile_s(95) for run in runs]),
            ),
        ],
    )


_COLUMNS = [
    Column(title=Text(zh="策略", en="strategy")),
    Column(
        title=Text(zh="总用时", en="makespan"),
        unit="s",
        help=Text(zh="从开始到最后一个回答结束。", en="From the start until the last answer ends."),
    ),
    Column(
        title=Text(zh="吞吐", en="throughput"),
        unit="token/s",
        help=Text(zh="回答 token 数 ÷ 总用时。", en="Tokens of answers over the makespan."),
    ),
    Column(
        title=Text(zh="平均 TTFT", en="mean TTFT"),
        unit="s",
        help=Text(zh="从到达到首个 token。", en="From arrival to the first token."),
    ),
    Column(
        title=Text(zh="白算", en="wasted"),
        unit="%",
        help=Text(zh="白算的 token 占计算的比例。", en="Share of the computed tokens that nobody needed."),
    ),
    Column(
        title=Text(zh="KV 空置", en="KV unused"),
        unit="%",
        help=Text(
            zh="已预留的 KV 槽位里，没有存放任何还需要的 token 的比例，按时间平均。",
            en="Share of the reserved KV slots that hold nothing still needed, averaged over time.",
        ),
    ),
    Column(
        title=Text(zh="平均 TPOT", en="mean TPOT"),
        unit="ms",
        help=Text(
            zh="首 token 之后，平均每个 token 的间隔。", en="Mean gap between tokens after the first one."
        ),
    ),
    Column(
        title=Text(zh="最长停顿", en="longest stall"),
        unit="ms",
        help=Text(
            zh="任一回答中相邻两个 token 的最大间隔（最大 ITL）。",
            en="The largest gap between two tokens of any answer (largest ITL).",
        ),
    ),
    Column(title=Text(zh="步数", en="steps")),
    Column(
        title=Text(zh="最大的一步", en="largest step"),
        unit="token",
        help=Text(
            zh="一步最多算了多少 token：其他人都要等这一步算完。",
            en="Most tokens computed in one step, for which everyone else had to wait.",
        ),
    ),
    Column(
        title=Text(zh="抢占", en="preempted"),
        help=Text(
            zh="KV 块不够时，有几次把一条序列赶回去排队。",
            en="How often a sequence was sent back to wait because KV blocks ran out.",
        ),
    ),
    Column(
        title=Text(zh="引擎忙碌", en="busy"),
        unit="%",
        help=Text(zh="有步在算的时间占比。", en="Share of the time in which a step was computed."),
    ),
]


def table(runs: Sequence[Run], provenance: Provenance = MEASURED) -> Table:
    rows: list[list[Text | float | int | None]] = [
        [
            TITLES[run.strategy],
            run.makespan_s,
            run.tokens_per_s,
            run.mean_ttft_s(),
            100 * run.wasted_share,
            100 * run.empty_share,
            1e3 * run.mean_tpot_s(),
            1e3 * run.longest_gap_s,
            len(run.steps),
            run.largest_step,
            run.preemptions,
            100 * run.busy_share,
        ]
        for run in runs
    ]
    best = max(range(len(runs)), key=lambda index: runs[index].tokens_per_s)
    return Table(
        id="table",
        title=Text(zh="同样的请求，各策略的结果", en="The same requests, one row a strategy"),
        provenance=provenance,
        wide=True,
        columns=_COLUMNS,
        rows=rows,
        highlight=best,
    )


def metrics(runs: dict[Strategy, Run]) -> list[Metric]:
    """What ``predict`` has predicted, as far as these runs tell, and the ratio of throughputs."""
    found = []
    static, continuous = runs.get("static"), runs.get("continuous")
    if static is not None:
        waste, steps = 100 * static.decode_waste, float(len(static.steps))
        found.append(_metric("static_waste", STATIC_WASTE, "%", waste, "lower"))
        found.append(_metric("static_steps", STATIC_STEPS, "", steps, "lower"))
    if static is not None and continuous is not None:
        ratio = len(static.steps) / len(continuous.steps)
        found.append(_metric("step_ratio", STEP_RATIO, "×", ratio, "higher"))
        found.append(speedup(continuous.tokens_per_s / static.tokens_per_s))
    return found


def speedup(value: float | None, provenance: Provenance = MEASURED) -> Metric:
    """None: its place, before it has been measured."""
    return _metric("speedup", SPEEDUP, "×", value, "higher", provenance)


def _metric(
    id: str,
    title: Text,
    unit: str,
    value: float | None,
    better: Literal["lower", "higher"],
    provenance: Provenance = MEASURED,
) -> Metric:
    return Metric(id=id, title=title, provenance=provenance, unit=unit, value=value, better=better)


SPEEDUP = Text(zh="吞吐：连续 ÷ 静态", en="Speed: cont. ÷ static")
STATIC_WASTE = Text(zh="静态：解码白算的行", en="Static: wasted rows")
STATIC_STEPS = Text(zh="静态：总步数", en="Static: steps in all")
STEP_RATIO = Text(zh="步数：静态 ÷ 连续", en="Steps: static ÷ cont.")


def _token_times(run: Run) -> Array:
    return array(sorted(at_s for one in run.served for at_s in one.token_times_s))
