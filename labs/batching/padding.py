"""The same requests in padded batches, in batches of like lengths, and without padding at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.batching.strategies import TITLES
from labs.formulas.batching import padding_waste
from labs.results import Axis, Bars, BarSeries, Column, Markdown, Metric, Provenance, Table, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.batching.run import Run
    from labs.results import Result
    from labs.simulator.traces import Request

_MEASURED = Provenance.MEASURED


def padding_results(runs: Sequence[Run], requests: Sequence[Request], places: int) -> Iterator[Result]:
    """As far as the strategies have run; the first one is static."""
    static = runs[0]
    yield Metric(
        id="prompt_padding",
        title=Text(zh="静态：预填充里的补齐", en="Static: prefill wasted"),
        provenance=_MEASURED,
        unit="%",
        value=100 * prompt_waste(static),
        predicted=100 * padding_waste([one.input_tokens for one in requests], places),
        formula=Text(
            zh="1 − Σ长度 ÷ Σ(每批最长 × 条数)", en="1 − Σ lengths / Σ (longest × rows) of each batch"
        ),
        help=Text(
            zh="补齐（padding）：短提示词后面填上无用的 token，好让一批成为一个矩形。",
            en="Padding: useless tokens behind the short prompts, which make the batch a rectangle.",
        ),
        better="lower",
    )
    yield Metric(
        id="decode_padding",
        title=Text(zh="静态：解码里白算的", en="Static: decode wasted"),
        provenance=_MEASURED,
        unit="%",
        value=100 * static.decode_waste,
        # Each answer's first token comes with the prefill, so a step fewer is decoded.
        predicted=100 * padding_waste([one.output_tokens - 1 for one in requests], places),
        formula=Text(
            zh="1 − Σ(回答 − 1) ÷ Σ(每批最长 − 1) × 条数",
            en="1 − Σ (answer − 1) / Σ (longest − 1) × rows of each batch",
        ),
        help=Text(
            zh="答完的序列仍占着位置被算，直到同批最长的回答结束。",
            en="A sequence that has ended is still computed until the batch's longest answer ends.",
        ),
        better="lower",
    )
    if len(runs) > 2:
        yield _step_ratio(static, runs[-1])
        yield _gain(static, runs[-1])
    yield _bars(runs)
    yield _table(runs)


def prompt_waste(run: Run) -> float:
    """Of all tokens of prefill steps, the share of padding."""
    steps = [step for step in run.steps if step.prefill]
    padding, useful = sum(step.padding for step in steps), sum(step.prefill for step in steps)
    return padding / (padding + useful) if steps else 0.0


def _step_ratio(static: Run, packed: Run) -> Metric:
    """Beside the bound that was predicted under the same id."""
    steps, packed_steps = (sum(step.decode > 0 for step in run.steps) for run in (static, packed))
    return Metric(
        id="step_ratio",
        title=Text(zh="解码步数之比：静态 ÷ 连续", en="Decode steps: static over continuous"),
        provenance=_MEASURED,
        unit="×",
        value=steps / packed_steps,
        help=Text(
            zh="有序列在解码的步数。时间之比是另一个数：预填充省不掉，而且每步的时间随批里的条数变。",
            en="Steps in which something decodes. The ratio of times is another figure: prefill is not "
            "spared, and a step's time depends on the rows in it.",
        ),
        better="higher",
    )


def _gain(static: Run, packed: Run) -> Metric:
    return Metric(
        id="speedup",
        title=Text(zh="连续批处理快几倍", en="Continuous: faster by"),
        provenance=_MEASURED,
        unit="×",
        value=static.makespan_s / packed.makespan_s,
        help=Text(
            zh="同样的请求，静态批的总时间 ÷ 每步重新组批的总时间。",
            en="The same requests: total time of static batches over that of batches formed anew each step.",
        ),
        better="higher",
    )


def _bars(runs: Sequence[Run]) -> Bars:
    prefill = [float(sum(step.prefill for step in run.steps)) for run in runs]
    decode = [float(sum(step.decode for step in run.steps)) for run in runs]
    prompts = [float(sum(step.padding for step in run.steps if step.prefill)) for run in runs]
    ended = [float(sum(step.padding for step in run.steps if not step.prefill)) for run in runs]
    return Bars(
        id="tokens",
        title=Text(zh="算了多少 token，为什么", en="Tokens computed, and what for"),
        provenance=_MEASURED,
        unit="token",
        categories=[TITLES[run.strategy] for run in runs],
        y=Axis(title=Text(zh="计算的 token", en="tokens computed"), unit="token"),
        series=[
            BarSeries(name=Text(zh="提示词", en="prompts"), values=array(prefill)),
            BarSeries(name=Text(zh="回答", en="answers"), values=array(decode)),
            BarSeries(name=Text(zh="补齐提示词", en="padding of prompts"), values=array(prompts)),
            BarSeries(name=Text(zh="已答完还在算", en="ended, still computed"), values=array(ended)),
        ],
    )


def _table(runs: Sequence[Run]) -> Table:
    return Table(
        id="padding_table",
        title=Text(zh="同样的请求，三种组批", en="The same requests, three ways to batch"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="组批", en="batching")),
            Column(title=Text(zh="总时间", en="total"), unit="s"),
            Column(title=Text(zh="吞吐", en="throughput"), unit="token/s"),
            Column(title=Text(zh="白算", en="for nothing"), unit="%"),
            Column(
                title=Text(zh="预填充白算", en="prefill for nothing"),
                unit="%",
            ),
        ],
        rows=[
            [
                TITLES[run.strategy],
                run.makespan_s,
                run.tokens_per_s,
                100 * run.wasted_share,
                100 * prompt_waste(run),
            ]
            for run in runs
        ],
        highlight=min(range(len(runs)), key=lambda index: runs[index].makespan_s),
    )


def explanation(runs: Sequence[Run], places: int) -> Markdown:
    """Where the padding came from and what took it away."""
    static, bucketed, packed = runs
    zh = (
        f"**静态批。** 每批 {places} 条，补齐到最长：预填充白算 {prompt_waste(static):.0%}，解码白算 "
        f"{static.decode_waste:.0%}。\n\n"
        f"**分桶。** 只把长度相近的放一批，预填充白算 {prompt_waste(bucketed):.0%}；可回答多长事先不知道，"
        f"解码仍白算 {bucketed.decode_waste:.0%}。桶越细补齐越少，但凑满一批要等得越久。\n\n"
        f"**不补齐。** 各条的 token 首尾相接（varlen/packed），每步重新组批：白算 {packed.wasted_share:.0%}，"
        f"总时间 {packed.makespan_s:.1f} s，静态是 {static.makespan_s:.1f} s。"
    )
    en = (
        f"**Static.** {places} a batch, padded to the longest: {prompt_waste(static):.0%} of prefill and "
        f"{static.decode_waste:.0%} of decode are computed for nothing.\n\n"
        f"**Buckets.** Only like lengths share a batch, and prefill wastes {prompt_waste(bucketed):.0%}; but "
        "nobody knows how long an answer will be, and decode still wastes "
        f"{bucketed.decode_waste:.0%}. Finer buckets pad less and take longer to fill a batch.\n\n"
        "**No padding.** Tokens of all sequences are laid end to end (packed, varlen) and the batch is "
        f"formed anew each step: {packed.wasted_share:.0%} for nothing, {packed.makespan_s:.1f} s in all "
        f"against {static.makespan_s:.1f} s."
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh=zh, en=en),
        wide=True,
    )
