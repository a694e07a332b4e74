"""The engine's run of a trace and the simulator's, side by side, with the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Markdown,
    Metric,
    Provenance,
    Scatter,
    Series,
    Table,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.results import Result
    from labs.simulator.own_engine import Side
    from labs.simulator.table_cost import Timed
    from labs.simulator.traces import Request

_MEASURED, _SIMULATED = Provenance.MEASURED, Provenance.SIMULATED
_ENGINE, _SIMULATOR = Text(zh="引擎", en="the engine"), Text(zh="模拟器", en="the simulator")


def table_of(rows: Sequence[Timed], seconds: float) -> Iterator[Result]:
    """What calibration found."""
    yield Metric(
        id="calibration",
        title=Text(zh="标定用时", en="Calibration took"),
        provenance=_MEASURED,
        unit="s",
        value=seconds,
        better="lower",
    )
    yield Table(
        id="cost_table",
        title=Text(zh="标定：引擎各种步的耗时", en="Calibration: the engine's steps, timed"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="步", en="step")),
            Column(title=Text(zh="新 token", en="new tokens"), unit="token"),
            Column(title=Text(zh="上下文合计", en="context in all"), unit="token"),
            Column(title=Text(zh="耗时", en="time"), unit="ms"),
        ],
        rows=[[_KINDS[row.kind], row.tokens, row.context, 1e3 * row.seconds] for row in rows],
        help=Text(
            zh="预填充：一块提示词；解码：每条序列一个 token。模拟器在这些点之间插值。",
            en="Prefill: a chunk of a prompt; decode: a token for each sequence. Between these points the "
            "simulator interpolates.",
        ),
    )


_KINDS = {
    "prefill": Text(zh="预填充", en="prefill"),
    "decode": Text(zh="解码", en="decode"),
    "swap": Text(zh="换出", en="swap"),
}


def side_by_side(requests: Sequence[Request], engine: Side, simulator: Side) -> Iterator[Result]:
    """The three means, request by request, and what the errors say."""
    yield _means(engine, simulator)
    yield _bars(engine, simulator)
    yield _each(engine, simulator)
    yield _explanation(requests, engine, simulator)


def errors(engine: Side, simulator: Side) -> dict[str, float]:
    """Relative errors of the simulated means, signed."""
    return {
        "TTFT": simulator.ttft_s / engine.ttft_s - 1,
        "TPOT": simulator.tpot_s / engine.tpot_s - 1,
        "throughput": simulator.tokens_per_s / engine.tokens_per_s - 1,
    }


def _means(engine: Side, simulator: Side) -> Table:
    off = errors(engine, simulator)

    def row(title: Text, measured: float, told: float, error: float) -> list[Text | float | int | None]:
        return [title, measured, told, 100 * error]

    return Table(
        id="means",
        title=Text(zh="同一条轨迹的平均值：实测与模拟", en="Means over the same trace"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="指标", en="figure")),
            Column(title=_ENGINE),
            Column(title=_SIMULATOR, provenance=_SIMULATED),
            Column(title=Text(zh="误差", en="error"), unit="%"),
        ],
        rows=[
            row(same("TTFT (ms)"), 1e3 * engine.ttft_s, 1e3 * simulator.ttft_s, off["TTFT"]),
            row(same("TPOT (ms)"), 1e3 * engine.tpot_s, 1e3 * simulator.tpot_s, off["TPOT"]),
            row(
                Text(zh="吞吐 (token/s)", en="throughput (token/s)"),
                engine.tokens_per_s,
                simulator.tokens_per_s,
                off["throughput"],
            ),
        ],
        help=Text(
            zh="TTFT：到达到第一个 token；TPOT：此后每个 token 的间隔。误差 = 模拟 ÷ 实测 − 1。",
            en="TTFT: arrival to first token; TPOT: the gap of each token after it. Error: simulated over "
            "measured, minus 1.",
        ),
    )


def _bars(engine: Side, simulator: Side) -> Bars:
    return Bars(
        id="errors",
        title=Text(zh="模拟与实测之差", en="Simulated against measured"),
        provenance=_SIMULATED,
        unit="%",
        categories=[same("TTFT"), same("TPOT"), Text(zh="吞吐", en="throughput")],
        y=Axis(title=Text(zh="误差", en="error"), unit="%"),
        series=[
            BarSeries(
                name=Text(zh="误差", en="error"),
                values=array([100 * one for one in errors(engine, simulator).values()]),
            )
        ],
    )


def _each(engine: Side, simulator: Side) -> Scatter:
    measured = array([1e3 * one.ttft_s for one in engine.times])
    told = array([1e3 * one.ttft_s for one in simulator.times])
    ends = array([0.0, float(max(measured.max(), told.max()))])
    return Scatter(
        id="requests",
        title=Text(zh="每个请求的首 token 时间", en="Each request's time to first token"),
        provenance=_MEASURED,
        unit="ms",
        x=Axis(title=Text(zh="引擎实测", en="the engine, measured"), unit="ms"),
        y=Axis(title=Text(zh="模拟器", en="the simulator"), unit="ms"),
        series=[
            Series(name=Text(zh="请求", en="requests"), x=measured, y=told, provenance=_SIMULATED),
            Series(name=Text(zh="相等", en="equal"), x=ends, y=ends, reference=True),
        ],
    )


def _explanation(requests: Sequence[Request], engine: Side, simulator: Side) -> Markdown:
    off = errors(engine, simulator)
    worst = max(off, key=lambda name: abs(off[name]))
    zh = (
        f"**同一个调度器。** 引擎和模拟器用同一份调度器与块管理器代码，{len(requests)} 个请求的到达和长度也"
        "相同；差别只在一步的耗时：引擎真的去算，模拟器查标定表。\n\n"
        f"**误差。** TTFT {off['TTFT']:+.1%}，TPOT {off['TPOT']:+.1%}，吞吐 {off['throughput']:+.1%}；"
        f"最大的是 {worst}。来源：表上各点之间的插值、混合步里注意力与线性层的叠加、标定之后机器快慢的变化。"
        "排队会把小误差放大，所以 TTFT 往往最难。"
    )
    en = (
        f"**One scheduler.** Engine and simulator run the same scheduler and block manager over the same "
        f"{len(requests)} arrivals and lengths; they differ in what a step takes: the engine computes it, "
        "the simulator looks it up.\n\n"
        f"**Errors.** TTFT {off['TTFT']:+.1%}, TPOT {off['TPOT']:+.1%}, throughput {off['throughput']:+.1%}; "
        f"the largest is {worst}. They come from interpolating between timed steps, from adding attention to "
        "linear layers in mixed steps, and from the machine's pace after calibration. Queues enlarge small "
        "errors, so TTFT is often the hardest."
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_SIMULATED,
        body=Text(zh=zh, en=en),
        wide=True,
    )
