"""What shortest-first gains as its length predictor gets worse, from an oracle to a guess."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.scheduling import log_spread, prediction_tau
from labs.results import Axis, Lines, Mark, Metric, Provenance, Scatter, Series, array
from labs.scheduling.predictor import kendall_tau, noisy
from labs.scheduling.prose import points
from labs.scheduling.workload import VARIATION
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labs.context import Context
    from labs.results import Markdown, Result
    from labs.scheduling.policy_run import PolicyRun
    from labs.scheduling.scenario import Scenario

ERRORS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_TAU_REQUESTS = 1500
_POINTS = 500
SIMULATED = Provenance.SIMULATED

TAU = Text(zh="预测的秩相关（Kendall τ）", en="Rank correlation (Kendall's τ)")
TAU_FORMULA = Text(
    zh="2/π · asin(s ÷ √(s² + σ²))，s 是真实长度对数的标准差，σ 是预测误差",
    en="2/π · asin(s / √(s² + σ²)), s the spread of the logarithm of true lengths, σ the error",
)


def tau_predicted(error: float) -> float:
    """For log-normal lengths."""
    return prediction_tau(log_spread(VARIATION), error)


def sweep(scenario: Scenario, ctx: Context) -> Iterator[Result]:
    """The lab's own error first, then the whole range, then FCFS and MLFQ, which predict nothing."""
    yield _guesses(scenario)
    yield _tau(scenario)
    if ctx.preview:
        return
    fcfs, mlfq = scenario.serve("fcfs", ctx.check), scenario.serve("mlfq", ctx.check)
    runs: list[PolicyRun] = []
    for number, error in enumerate(ERRORS):
        ctx.progress(number / len(ERRORS), Text(zh=f"误差 σ = {error:g}", en=f"error σ = {error:g}"))
        runs.append(replace(scenario, error=error).serve("sjf", ctx.check))
        yield _gain(runs, fcfs, mlfq, scenario)
        yield _tail(runs, fcfs, mlfq, scenario)
    yield _kept_gain(runs, fcfs, scenario)
    yield _story(runs, fcfs, mlfq, scenario)


def _guesses(scenario: Scenario) -> Scatter:
    requests, predict = scenario.requests[:_POINTS], noisy(scenario.error, scenario.workload.seed)
    true = array([one.output_tokens for one in requests])
    ends = array([true.min(), true.max()])
    return Scatter(
        id="guesses",
        title=Text(zh="预测的与真实的长度", en="Predicted and true lengths"),
        help=Text(
            zh="预测 = 真实 × e^(σz)，z 是标准正态。σ = 0.7 时有三成的预测错两倍以上。",
            en="Prediction = truth × e^(σz), z standard normal. With σ = 0.7 a third are off by more than a "
            "factor of two.",
        ),
        provenance=SIMULATED,
        unit="token",
        x=Axis(title=Text(zh="真实长度", en="true length"), unit="token", log=True),
        y=Axis(title=Text(zh="预测长度", en="predicted length"), unit="token", log=True),
        series=[
            Series(name=Text(zh="准确", en="exact"), x=ends, y=ends, reference=True),
            Series(name=Text(zh="请求", en="requests"), x=true, y=array([predict(one) for one in requests])),
        ],
    )


def _tau(scenario: Scenario) -> Metric:
    requests, predict = scenario.requests[:_TAU_REQUESTS], noisy(scenario.error, scenario.workload.seed)
    tau = kendall_tau([one.output_tokens for one in requests], [predict(one) for one in requests])
    return Metric(
        id="tau",
        title=TAU,
        provenance=SIMULATED,
        value=tau,
        better="higher",
        help=Text(
            zh="SJF 只用次序：任取两个请求，预测排对先后的概率是 (1 + τ) ÷ 2。",
            en="Shortest-first uses the order alone: of two requests (1 + τ) / 2 are put in the right one.",
        ),
    )


def _flat(name: Text, value: float) -> Series:
    return Series(name=name, x=array(ERRORS), y=array([value] * len(ERRORS)))


def _lines(result_id: str, title: Text, y: Axis, series: list[Series], mark: float, help_text: Text) -> Lines:
    return Lines(
        id=result_id,
        title=title,
        help=help_text,
        provenance=SIMULATED,
        unit=y.unit,
        x=Axis(title=Text(zh="预测误差 σ（对数标准差）", en="predictor's error σ (of the logarithm)")),
        y=y,
        series=series,
        marks=[Mark(x=mark, name=Text(zh="当前", en="set"))],
    )


def _gain(runs: Sequence[PolicyRun], fcfs: PolicyRun, mlfq: PolicyRun, scenario: Scenario) -> Lines:
    x = array(ERRORS[: len(runs)])
    return _lines(
        "gain",
        Text(zh="平均 TTFT 随误差的变化", en="Mean TTFT by error"),
        Axis(title=Text(zh="平均 TTFT", en="mean TTFT"), unit="s"),
        [
            Series(name=same("SJF"), x=x, y=array([run.ttft_s.mean() for run in runs])),
            _flat(same("FCFS"), float(fcfs.ttft_s.mean())),
            _flat(Text(zh="MLFQ（不预测）", en="MLFQ (predicts nothing)"), float(mlfq.ttft_s.mean())),
        ],
        scenario.error,
        Text(
            zh="σ = 0 是神谕。误差大到次序全乱，SJF 就成了随机次序，均值回到 FCFS 附近。",
            en="σ = 0 is an oracle. With an error so large that the order is random, the mean is back near "
            "FCFS.",
        ),
    )


def _tail(runs: Sequence[PolicyRun], fcfs: PolicyRun, mlfq: PolicyRun, scenario: Scenario) -> Lines:
    x = array(ERRORS[: len(runs)])

    def p99(run: PolicyRun) -> float:
        return float(np.percentile(run.ttft_s, 99))

    return _lines(
        "tail",
        Text(zh="TTFT 的 p99 随误差的变化", en="p99 of TTFT by error"),
        Axis(title=same("TTFT p99"), unit="s"),
        [
            Series(name=same("SJF"), x=x, y=array([p99(run) for run in runs])),
            _flat(same("FCFS"), p99(fcfs)),
            _flat(Text(zh="MLFQ（不预测）", en="MLFQ (predicts nothing)"), p99(mlfq)),
        ],
        scenario.error,
        Text(
            zh="尾部由被高估的短请求和真正的长请求组成：误差越大，越多短请求被当成长的压在后面。",
            en="The tail is made of long requests, and of short ones taken for long: the larger the error, "
            "the "
            "more of these.",
        ),
    )


def kept_gain(run: PolicyRun, oracle: PolicyRun, fcfs: PolicyRun) -> float:
    """Of what the oracle gains in mean TTFT over FCFS, the share that is left; NaN where it gains nothing."""
    gain = fcfs.ttft_s.mean() - oracle.ttft_s.mean()
    return float((fcfs.ttft_s.mean() - run.ttft_s.mean()) / gain) if gain > 1e-3 else math.nan


def _kept_gain(runs: Sequence[PolicyRun], fcfs: PolicyRun, scenario: Scenario) -> Lines:
    x, spread = array(ERRORS), _spread(scenario)
    return _lines(
        "kept_gain",
        Text(zh="神谕的收益还剩几成", en="What is left of the gain"),
        Axis(title=Text(zh="占神谕的份额", en="share of the oracle's"), unit="%"),
        [
            Series(
                name=Text(zh="平均 TTFT 的收益", en="gain in mean TTFT"),
                x=x,
                y=array([100 * kept_gain(run, runs[0], fcfs) for run in runs]),
            ),
            Series(
                name=Text(zh="Kendall τ（对数正态公式）", en="Kendall's τ (log-normal formula)"),
                x=x,
                y=array([100 * prediction_tau(spread, error) for error in ERRORS]),
                reference=True,
                provenance=Provenance.ESTIMATED,
            ),
        ],
        scenario.error,
        Text(
            zh="收益比次序耐用：排错的多是长短相近的两个，换了先后也无妨。",
            en="The gain outlasts the order: most pairs in the wrong order are of like lengths, and cost "
            "little.",
        ),
    )


def _spread(scenario: Scenario) -> float:
    return float(np.std(np.log([one.output_tokens for one in scenario.requests])))


def _story(runs: Sequence[PolicyRun], fcfs: PolicyRun, mlfq: PolicyRun, scenario: Scenario) -> Markdown:
    oracle, factor2 = runs[0], ERRORS.index(0.75)
    first, last = kept_gain(runs[factor2], oracle, fcfs), kept_gain(runs[-1], oracle, fcfs)
    times = [float(run.ttft_s.mean()) for run in (fcfs, oracle, runs[factor2], runs[-1], mlfq)]
    if math.isnan(first):
        zh = ["神谕也没有收益：长度都一样，或没有队列。SJF 靠的是长短不齐加上排队。"]
        en = ["Even the oracle gains nothing: lengths are alike, or nobody queues. SJF lives on both."]
    else:
        zh = [
            f"平均 TTFT：FCFS {times[0]:.2f} s，神谕 {times[1]:.2f} s，σ = 0.75（常错两倍）{times[2]:.2f} s，"
            f"σ = 3（几乎乱猜）{times[3]:.2f} s。",
            f"σ = 0.75 保住神谕收益的 {100 * first:.0f}%，σ = 3 还剩 {100 * last:.0f}%。"
            f"**把短的和长的分开就够了，"
            "不必报出准确的长度。**",
            f"不预测的 MLFQ 平均 TTFT {times[4]:.2f} s，代价在别处：抢占和更慢的 TPOT（见策略对比）。",
        ]
        en = [
            f"Mean TTFT: FCFS {times[0]:.2f} s, an oracle {times[1]:.2f} s, σ = 0.75 (often off by two) "
            f"{times[2]:.2f} s, σ = 3 (almost a guess) {times[3]:.2f} s.",
            f"σ = 0.75 keeps {100 * first:.0f}% of the oracle's gain, σ = 3 {100 * last:.0f}%. **Telling "
            f"short "
            "from long is enough; the exact length is not needed.**",
            f"MLFQ, which predicts nothing, has a mean TTFT of {times[4]:.2f} s and pays elsewhere: "
            f"preemptions "
            "and a slower TPOT (see the comparison of policies).",
        ]
    return points(zh, en)
