"""The figures of all orders on one workload: tails, who gains and who pays, users, what preemption costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.queueing import requests_in_system
from labs.results import Axis, Bars, BarSeries, Column, Lines, Metric, Provenance, Series, Table, array
from labs.scheduling.orders import TITLES
from labs.scheduling.sharing import sharing
from labs.scheduling.workload import HEAVY, USERS
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labs.results import Array
    from labs.scheduling.policy_run import PolicyRun
    from labs.scheduling.scenario import Scenario

SIMULATED = Provenance.SIMULATED

FCFS_WAIT = Text(zh="FCFS 的平均排队时间", en="Mean wait under FCFS")
FCFS_FORMULA = Text(
    zh="M/G/k：Erlang C × S ÷ (k − λS) × (1 + c²) ÷ 2，S 是满批时的服务时间；再加半步，等正在算的那一步",
    en="M/G/k: Erlang's C × S / (k − λS) × (1 + c²) / 2, S the service time in a full batch; and half a "
    "step, "
    "for the one under way",
)
TTFT_HELP = Text(
    zh="首 token 时间：从到达到第一个 token，排队加预填充。",
    en="Time to first token: from arrival to the first token, queueing and prefill.",
)
TPOT_HELP = Text(
    zh="每 token 时间：首 token 之后，平均每个 token 的间隔；中途被抢占也算在内。",
    en="Time per output token: the mean gap after the first one; being preempted on the way counts.",
)
LATENCY_HELP = Text(zh="从到达到最后一个 token。", en="End to end: from arrival to the last token.")


def metrics(runs: Sequence[PolicyRun], scenario: Scenario) -> list[Metric]:
    """What theory predicts of the FCFS run, once it is there."""
    run = next((one for one in runs if one.order == "fcfs"), None)
    if run is None:
        return []
    in_batch = float((run.latency_s - run.idle_s).mean())
    return [
        Metric(
            id="fcfs_wait",
            title=FCFS_WAIT,
            provenance=SIMULATED,
            unit="s",
            value=float(run.wait_s.mean()),
            better="lower",
            help=Text(
                zh="预测把批里每个位置当成一个服务台，且假设长期稳态。接近满载时，"
                "一千来个请求的均值波动很大，"
                "误差几十个百分点不奇怪：这正是不该贴着满载运行的原因。",
                en="The prediction takes each place of the batch for a server, in the long run. Near full "
                "load the mean of a thousand requests varies by tens of per cent from seed to seed, which is "
                "itself a reason not to run there.",
            ),
        ),
        Metric(
            id="running",
            title=Text(zh="批中的平均序列数", en="Sequences in the batch"),
            provenance=SIMULATED,
            value=run.figures.mean_batch * run.figures.busy,
            predicted=requests_in_system(run.figures.requests_per_s, in_batch),
            formula=Text(
                zh="利特尔定律：L = λW，λ 是完成率，W 是在批中的平均时间",
                en="Little's law: L = λW, λ the rate of completion, W the mean time in the batch",
            ),
        ),
        Metric(
            id="rate",
            title=Text(zh="到达率", en="Offered rate"),
            provenance=SIMULATED,
            unit="req/s",
            value=scenario.rate_per_s,
            help=Text(
                zh="负载 × 估计的容量。容量由屋顶线给出：位置数 ÷（每个请求的步数 × 满批时一步的时间）。",
                en="Load × estimated capacity. The roofline gives it: places over steps a request times the "
                "time of a step in a full batch.",
            ),
        ),
    ]


_COLUMNS = [
    Column(title=Text(zh="策略", en="policy")),
    Column(title=Text(zh="TTFT 均值", en="TTFT mean"), unit="s", help=TTFT_HELP),
    Column(title=same("p50"), unit="s", help=TTFT_HELP),
    Column(title=same("p99"), unit="s", help=TTFT_HELP),
    Column(title=Text(zh="TPOT 均值", en="TPOT mean"), unit="ms", help=TPOT_HELP),
    Column(title=same("p99"), unit="ms", help=TPOT_HELP),
    Column(title=Text(zh="端到端均值", en="latency mean"), unit="s", help=LATENCY_HELP),
    Column(title=same("p99"), unit="s", help=LATENCY_HELP),
    Column(
        title=Text(zh="SLO 达成", en="SLO kept"),
        unit="%",
        help=Text(
            zh="TTFT 在自己那一档的期限内、且 TPOT 在目标内的请求占比。",
            en="Share of requests whose TTFT is within their own tier's objective and whose TPOT is too.",
        ),
    ),
    Column(
        title=same("goodput"),
        unit="req/s",
        help=Text(zh="每秒完成且达到 SLO 的请求。", en="Requests a second that kept their objectives."),
    ),
    Column(
        title=Text(zh="等得最久", en="longest wait"),
        unit="s",
        help=Text(
            zh="等得最久的请求一共等了多久，被抢占后的等待也算：饿死从这里看。",
            en="In all, of the request that waited longest, waits after a preemption included: starvation "
            "shows here.",
        ),
    ),
    Column(
        title=Text(zh="Jain 指数", en="Jain's index"),
        help=Text(
            zh="各用户实得服务 ÷ 应得服务的均匀程度，按时间窗平均：1 人人足份，1/5 一人独占。"
            "应得按最大最小公平划分。",
            en="How even the users' shares are, each over what is due by max-min fairness; mean over windows "
            "of time. 1: all got their due. 1/5: one of five got everything.",
        ),
    ),
    Column(title=Text(zh="抢占", en="preempted"), help=Text(zh="次数。", en="How often.")),
]


def table(runs: Sequence[PolicyRun], jain: dict[str, float]) -> Table:
    rows: list[list[Text | float | int | None]] = [
        [
            TITLES[run.order],
            float(run.ttft_s.mean()),
            *_percentiles(run.ttft_s, 50, 99),
            1e3 * float(np.nanmean(run.tpot_s)),
            1e3 * float(np.nanpercentile(run.tpot_s, 99)),
            float(run.latency_s.mean()),
            *_percentiles(run.latency_s, 99),
            100 * run.attainment,
            run.goodput_per_s,
            float(run.idle_s.max()),
            jain[run.order],
            int(run.preempted.sum()),
        ]
        for run in runs
    ]
    return Table(
        id="table",
        title=Text(zh="同样的请求，各策略的结果", en="The same requests, one row a policy"),
        help=Text(
            zh="标出的是 SLO 达成最多的策略。换一个指标，赢家往往就换了。",
            en="Marked is the policy that keeps the most objectives. By another column another one wins.",
        ),
        provenance=SIMULATED,
        wide=True,
        columns=_COLUMNS,
        rows=rows,
        highlight=int(np.argmax([run.attainment for run in runs])),
    )


def mean_jain(run: PolicyRun) -> float:
    return float(sharing(run, float(run.arrival_s[-1])).jain.mean())


def slowdown(runs: Sequence[PolicyRun]) -> Bars:
    tokens = np.array([one.input_tokens + one.output_tokens for one in runs[0].requests])
    short, long = tokens <= np.percentile(tokens, 50), tokens > np.percentile(tokens, 90)
    classes = [
        (Text(zh="较短的一半", en="shorter half"), short),
        (Text(zh="中间四成", en="next 40%"), ~short & ~long),
        (Text(zh="最长的一成", en="longest 10%"), long),
    ]
    return Bars(
        id="slowdown",
        title=Text(zh="减速比：按请求长短", en="Slowdown, by length of the request"),
        help=Text(
            zh="端到端延迟 ÷ 独占一台空闲服务器时的延迟，取平均。并排批处理本身也会让每步变慢。",
            en="End-to-end latency over what the request takes alone on an idle server, on average. Sharing "
            "a "
            "batch makes each step slower too.",
        ),
        provenance=SIMULATED,
        unit="×",
        categories=[TITLES[run.order] for run in runs],
        y=Axis(title=Text(zh="平均减速比", en="mean slowdown"), unit="×"),
        series=[
            BarSeries(name=name, values=array([run.slowdown[mask].mean() for run in runs]))
            for name, mask in classes
            if mask.any()
        ],
    )


def kept(runs: Sequence[PolicyRun]) -> Bars:
    return Bars(
        id="kept",
        title=Text(zh="SLO 达成率：按紧急程度", en="Objectives kept, by urgency"),
        help=Text(
            zh="急件和一般件的 TTFT 期限差 10 倍，TPOT 目标相同。",
            en="The TTFT objectives of urgent and relaxed requests differ tenfold; TPOT's is the same.",
        ),
        provenance=SIMULATED,
        unit="%",
        categories=[TITLES[run.order] for run in runs],
        y=Axis(title=Text(zh="达成率", en="kept"), unit="%"),
        series=[
            BarSeries(
                name=Text(zh="急件", en="urgent"), values=_means(runs, lambda run: 100 * run.kept[run.urgent])
            ),
            BarSeries(
                name=Text(zh="一般件", en="relaxed"),
                values=_means(runs, lambda run: 100 * run.kept[~run.urgent]),
            ),
        ],
    )


def users(runs: Sequence[PolicyRun]) -> Bars:
    light = USERS[1:]
    return Bars(
        id="users",
        title=Text(zh="谁在等：大户与其余用户", en="Who waits: the heavy user and the others"),
        help=Text(
            zh="平均 TTFT。用户 A 占了设定的那份请求，其余四人平分剩下的。",
            en="Mean TTFT. User A sends the share that is set, four others the rest.",
        ),
        provenance=SIMULATED,
        unit="s",
        categories=[TITLES[run.order] for run in runs],
        y=Axis(title=Text(zh="平均 TTFT", en="mean TTFT"), unit="s"),
        series=[
            BarSeries(
                name=Text(zh="大户 A", en="heavy user A"),
                values=_means(runs, lambda run: run.ttft_s[run.of_users([HEAVY])]),
            ),
            BarSeries(
                name=Text(zh="其余四人", en="the other four"),
                values=_means(runs, lambda run: run.ttft_s[run.of_users(light)]),
            ),
        ],
    )


def service(runs: Sequence[PolicyRun]) -> Lines:
    """Of few runs: two curves each."""
    end_s = float(runs[0].arrival_s[-1])
    series = []
    for run in runs:
        shared, name = sharing(run, end_s), TITLES[run.order]
        heavy, light = shared.service[0], shared.service[1:].mean(axis=0)
        for who, values in (
            (Text(zh="大户", en="heavy user"), heavy),
            (Text(zh="其余每人", en="each other"), light),
        ):
            title = Text(zh=f"{name.zh}：{who.zh}", en=f"{name.en}: {who.en}")
            series.append(Series(name=title, x=array(shared.middle_s), y=array(values)))
    return Lines(
        id="service",
        title=Text(zh="各用户得到的服务", en="Service that the users received"),
        help=Text(
            zh="加权 token：输入算 1，输出算 2（VTC 的权重）。输出按首末 token 之间均匀摊开。",
            en="Weighted tokens: 1 an input token, 2 an output token (VTC's weights). An answer is spread "
            "evenly between its first and last token.",
        ),
        provenance=SIMULATED,
        unit="token/s",
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        y=Axis(title=Text(zh="加权 token/s", en="weighted tokens/s"), unit="token/s"),
        series=series,
        markers=False,
    )


def fairness(runs: Sequence[PolicyRun]) -> Lines:
    end_s = float(runs[0].arrival_s[-1])
    series = []
    for run in runs:
        shared = sharing(run, end_s)
        series.append(Series(name=TITLES[run.order], x=array(shared.middle_s), y=array(shared.jain)))
    return Lines(
        id="fairness",
        title=Text(zh="Jain 公平指数随时间的变化", en="Jain's fairness index over time"),
        help=Text(
            zh="每个时间窗里，各用户实得 ÷ 应得（最大最小公平）的均匀程度。1 是人人足份。",
            en="In each window, how even the users' service over what is due to them (max-min) is. 1: all "
            "got "
            "their due.",
        ),
        provenance=SIMULATED,
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        y=Axis(title=Text(zh="Jain 指数", en="Jain's index")),
        series=series,
        markers=False,
    )


def preemption_cost(rows: Sequence[tuple[Text, PolicyRun]]) -> Table:
    """Of runs that preempt in different ways, the first one not at all."""
    return Table(
        id="preemption",
        title=Text(zh="抢占的代价：重算与换出", en="What preemption costs: recompute against swap"),
        help=Text(
            zh="被抢占的序列要么丢掉 KV、回来时把提示词和已生成的全部重算，要么把 KV 换到主机内存再换回来。",
            en="A preempted sequence either drops its KV and computes prompt and answer so far again, or its "
            "KV moves to host memory and back.",
        ),
        provenance=SIMULATED,
        wide=True,
        columns=[
            Column(title=Text(zh="方式", en="way")),
            Column(title=Text(zh="抢占次数", en="preemptions")),
            Column(title=Text(zh="重算", en="computed again"), unit="token"),
            Column(
                title=Text(zh="换出换入", en="swapped"),
                unit="token",
                help=Text(zh="进出各算一次。", en="Out and in each count."),
            ),
            Column(
                title=Text(zh="吞吐", en="throughput"),
                unit="token/s",
                help=Text(zh="输出 token ÷ 有步在算的时间。", en="Output tokens over the time in steps."),
            ),
            Column(title=Text(zh="TPOT p99", en="TPOT p99"), unit="ms", help=TPOT_HELP),
            Column(title=Text(zh="端到端均值", en="latency mean"), unit="s", help=LATENCY_HELP),
            Column(title=Text(zh="SLO 达成", en="SLO kept"), unit="%"),
        ],
        rows=[
            [
                name,
                run.figures.preemptions,
                run.figures.repeated_tokens,
                run.figures.swapped_tokens,
                run.figures.output_tokens_per_s / run.figures.busy,
                1e3 * float(np.nanpercentile(run.tpot_s, 99)),
                float(run.latency_s.mean()),
                100 * run.attainment,
            ]
            for name, run in rows
        ],
    )


def _percentiles(values: Array, *percents: float) -> list[float]:
    return [float(one) for one in np.percentile(values, percents)]


def _means(runs: Sequence[PolicyRun], of: Callable[[PolicyRun], Array]) -> Array:
    """NaN where a group is empty."""
    return array([float(values.mean()) if len(values := of(run)) else np.nan for run in runs])
