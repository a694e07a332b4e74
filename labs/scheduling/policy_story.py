"""What the comparison shows, in words, from the run's own figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from labs.scheduling.orders import TITLES
from labs.scheduling.prose import points
from labs.scheduling.workload import HEAVY
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.results import Array, Markdown
    from labs.scheduling.orders import Order
    from labs.scheduling.policy_run import PolicyRun
    from labs.scheduling.scenario import Scenario

# Below this mean wait nobody queues, and orders cannot differ.
_IDLE_S = 0.05
_FAIR_PAIR: tuple[Order, Order] = ("fcfs", "fair")


def story(runs: dict[Order, PolicyRun], jain: dict[str, float], scenario: Scenario) -> Markdown:
    if runs["fcfs"].wait_s.mean() < _IDLE_S:
        said = [_idle(runs)]
    else:
        said = [_shortest(runs), _feedback(runs), _deadlines(runs), _users(runs, jain), _winner(runs)]
    return points([one.zh for one in said], [one.en for one in said])


def _idle(runs: dict[Order, PolicyRun]) -> Text:
    wait = 1e3 * float(runs["fcfs"].wait_s.mean())
    return Text(
        zh=f"几乎没有人排队（FCFS 平均等 {wait:.0f} ms），各策略就几乎一样：**调度只能重排队列，"
        f"没有队列就没有调度。**"
        "把负载调高再看。",
        en=f"Hardly anyone queues (under FCFS {wait:.0f} ms on average), so all policies are much alike: "
        "**scheduling reorders a queue, and without one there is nothing to reorder.** Raise the load.",
    )


def _shortest(runs: dict[Order, PolicyRun]) -> Text:
    fcfs, sjf = runs["fcfs"], runs["sjf"]
    before, after = fcfs.ttft_s.mean(), sjf.ttft_s.mean()
    longest, was = sjf.idle_s.max(), fcfs.idle_s.max()
    tokens = sjf.requests[int(sjf.idle_s.argmax())].output_tokens
    if before < 1.02 * after:
        return Text(
            zh=f"**SJF** 的平均 TTFT 是 {after:.2f} s，FCFS 是 {before:.2f} s：长度都差不多，没有谁更短，"
            f"SJF 就没有收益。",
            en=f"**SJF** has a mean TTFT of {after:.2f} s, FCFS of {before:.2f} s: lengths are alike, "
            f"nobody is "
            "shorter, and SJF gains nothing.",
        )
    return Text(
        zh=f"**SJF**：平均 TTFT {before:.2f} → {after:.2f} s（{before / after:.1f} 倍），因为多数请求短，"
        f"先让它们过。"
        f"代价由长的付：等得最久的从 {was:.1f} s 变成 {longest:.1f} s，那个请求要生成 {tokens:,} 个 token。",
        en=f"**SJF**: mean TTFT from {before:.2f} to {after:.2f} s ({before / after:.1f}×), for most "
        f"requests "
        f"are short and go first. The long ones pay: the longest wait goes from {was:.1f} to {longest:.1f} "
        f"s, "
        f"for a request of {tokens:,} tokens.",
    )


def _feedback(runs: dict[Order, PolicyRun]) -> Text:
    run, fcfs = runs["mlfq"], runs["fcfs"]
    change = 100 * (_busy_rate(run) / _busy_rate(fcfs) - 1)
    first, often = run.ttft_s.mean(), int(run.preempted.sum())
    moved = run.figures.repeated_tokens + run.figures.swapped_tokens
    before, after = (1e3 * np.nanpercentile(one.tpot_s, 99) for one in (fcfs, run))
    return Text(
        zh=f"**MLFQ**：不预测长度，新来的很快就有首 token（平均 {first:.2f} s），但抢占了 {often} 次，"
        f"为此重算或搬运 "
        f"{moved:,} 个 token，每忙碌秒的产出比 FCFS 变化 {change:+.0f}%；TPOT 的 p99 从 {before:.0f} 到 "
        f"{after:.0f} ms，"
        f"等得最久的一共等了 {run.idle_s.max():.1f} s。",
        en=f"**MLFQ** predicts nothing, and newcomers soon have their first token ({first:.2f} s on "
        f"average); "
        f"but it preempted {often} times and computed again or moved {moved:,} tokens for it: output a busy "
        f"second changes by {change:+.0f}% against FCFS, p99 of TPOT goes from {before:.0f} to {after:.0f} "
        f"ms, and "
        f"the one that waited longest waited {run.idle_s.max():.1f} s in all.",
    )


def _deadlines(runs: dict[Order, PolicyRun]) -> Text:
    edf, slo, fcfs = (100 * runs[order].attainment for order in ("edf", "slo", "fcfs"))
    if slo > edf + 2:
        zh = "忙不过来时，EDF 总在救已经来不及的，后面的也被拖过期；把救不回来的排到最后就好了。"
        en = (
            "once there is too much to do, EDF goes on serving those that are late already, and makes the "
            "next ones late; putting the hopeless last mends it."
        )
    else:
        zh = "还忙得过来时两者相同：没有救不回来的请求。把负载调到 1 以上，EDF 会垮。"
        en = (
            "with enough capacity they are the same, as nobody is hopeless. Above a load of 1, EDF collapses."
        )
    return Text(
        zh=f"**期限**：SLO 达成 FCFS {fcfs:.0f}%、EDF {edf:.0f}%、SLO 优先 {slo:.0f}%。{zh}",
        en=f"**Deadlines**: FCFS keeps {fcfs:.0f}% of objectives, EDF {edf:.0f}%, SLO first {slo:.0f}%: {en}",
    )


def _users(runs: dict[Order, PolicyRun], jain: dict[str, float]) -> Text:
    heavy = runs["fcfs"].of_users([HEAVY])
    others = [_mean(runs[order].ttft_s[~heavy]) for order in _FAIR_PAIR]
    own = [_mean(runs[order].ttft_s[heavy]) for order in _FAIR_PAIR]
    before, after = (jain[order] for order in _FAIR_PAIR)
    return Text(
        zh=f"**公平份额**：其余用户的平均 TTFT {others[0]:.2f} → {others[1]:.2f} s，大户 {own[0]:.2f} → "
        f"{own[1]:.2f} s，"
        f"Jain 指数 {before:.2f} → {after:.2f}。谁造成拥塞谁排队，总吞吐几乎不变。",
        en=f"**Fair share**: mean TTFT of the other users {others[0]:.2f} → {others[1]:.2f} s, of the heavy "
        f"one "
        f"{own[0]:.2f} → {own[1]:.2f} s; Jain's index {before:.2f} → {after:.2f}. Whoever makes the queue "
        f"stands in "
        "it, and throughput hardly changes.",
    )


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else math.nan


_CROWNS: list[tuple[Text, Callable[[PolicyRun], float]]] = [
    (Text(zh="平均 TTFT 最小的是", en="least mean TTFT:"), lambda run: float(run.ttft_s.mean())),
    (Text(zh="平均端到端最小的是", en="least mean latency:"), lambda run: float(run.latency_s.mean())),
    (Text(zh="最长等待最短的是", en="least longest wait:"), lambda run: float(run.idle_s.max())),
    (Text(zh="SLO 达成最多的是", en="most objectives kept:"), lambda run: -run.attainment),
]


def _winner(runs: dict[Order, PolicyRun]) -> Text:
    zh, en = [], []
    for what, of in _CROWNS:
        title = TITLES[min(runs, key=lambda order: of(runs[order]))]
        zh.append(f"{what.zh} {title.zh}")
        en.append(f"{what.en} {title.en}")
    return Text(
        zh=f"**没有全能冠军**：{'，'.join(zh)}。先定目标，再选策略。",
        en=f"**No order wins everything**: {'; '.join(en)}. Choose the objective first.",
    )


def _busy_rate(run: PolicyRun) -> float:
    return run.figures.output_tokens_per_s / run.figures.busy
