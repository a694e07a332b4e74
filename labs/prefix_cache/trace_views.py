"""Hit ratio and time to first token against the room that the cache has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.prefix_cache.trace_run import BLOCK_SIZE
from labs.results import Axis, Lines, Markdown, Metric, Provenance, Series, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.prefix_cache.trace_run import CacheRun
    from labs.results import Result

_SIMULATED = Provenance.SIMULATED


def trace_results(runs: list[CacheRun], off: CacheRun, ideal: float) -> Iterator[Result]:
    """``runs`` by room, ``off`` with the most room and no prefix cache; ``ideal``: the hit ratio of a cache
    that forgets nothing, each prompt after the one before it."""
    largest = runs[-1].report
    yield Metric(
        id="hit_ratio",
        title=Text(zh="命中率（缓存最大时）", en="Hit ratio with the most room"),
        provenance=_SIMULATED,
        unit="%",
        value=100 * largest.prefix_hits,
        predicted=100 * ideal,
        formula=Text(
            zh="逐个到来、永不淘汰：由哈希 id 直接数出", en="one after the other, nothing forgotten: from ids"
        ),
        help=Text(
            zh="全部提示词 token 里不必计算的比例。同时到来的请求还来不及共用，所以可能低于上限。",
            en="Of all prompt tokens, those not computed. Requests that come together cannot share yet, so "
            "it may be below the bound.",
        ),
        better="higher",
    )
    yield Metric(
        id="ttft_gain",
        title=Text(zh="平均 TTFT：无缓存 ÷ 有缓存", en="Mean TTFT, without over with"),
        provenance=_SIMULATED,
        unit="×",
        value=off.report.ttft.mean / largest.ttft.mean,
        better="higher",
        help=Text(
            zh="同样的显存、同样的请求，只是关掉前缀缓存。",
            en="The same memory and the same requests, with the prefix cache switched off.",
        ),
    )
    yield _curves(runs, ideal)
    yield _latencies(runs, off)


def _curves(runs: list[CacheRun], ideal: float) -> Lines:
    x = array([float(run.blocks * BLOCK_SIZE) for run in runs])
    hits = array([100 * run.report.prefix_hits for run in runs])
    bound = array([100 * ideal] * len(runs))
    return Lines(
        id="hits",
        title=Text(zh="命中率随缓存大小", en="Hit ratio by the room for KV"),
        provenance=_SIMULATED,
        unit="%",
        x=Axis(title=Text(zh="KV 缓存", en="KV cache"), unit="token", log=True),
        y=Axis(title=Text(zh="命中率", en="hit ratio"), unit="%"),
        series=[
            Series(name=Text(zh="LRU 淘汰", en="LRU eviction"), x=x, y=hits),
            Series(
                name=Text(zh="永不淘汰", en="nothing forgotten"),
                x=x,
                y=bound,
                reference=True,
                provenance=Provenance.ESTIMATED,
            ),
        ],
    )


def _latencies(runs: list[CacheRun], off: CacheRun) -> Lines:
    x = array([float(run.blocks * BLOCK_SIZE) for run in runs])
    return Lines(
        id="ttft",
        title=Text(zh="首 token 时间随缓存大小", en="Time to first token by the room for KV"),
        provenance=_SIMULATED,
        unit="s",
        x=Axis(title=Text(zh="KV 缓存", en="KV cache"), unit="token", log=True),
        y=Axis(title=Text(zh="TTFT", en="TTFT"), unit="s", log=True),
        series=[
            Series(name=Text(zh="平均", en="mean"), x=x, y=array([run.report.ttft.mean for run in runs])),
            Series(name=Text(zh="P99", en="P99"), x=x, y=array([run.report.ttft.p99 for run in runs])),
            Series(
                name=Text(zh="平均，无前缀缓存", en="mean, no prefix cache"),
                x=x,
                y=array([off.report.ttft.mean] * len(runs)),
                reference=True,
            ),
        ],
    )


def explanation(runs: list[CacheRun], off: CacheRun, ideal: float) -> Markdown:
    """What the room buys, in the run's own figures."""
    small, large = runs[0], runs[-1]
    zh = (
        f"**缓存要多大。** 只有 {small.blocks * BLOCK_SIZE:,} 个 token 的地方时命中率 "
        f"{small.report.prefix_hits:.0%}，有 {large.blocks * BLOCK_SIZE:,} 个时 "
        f"{large.report.prefix_hits:.0%}，上限是 {ideal:.0%}。会话停下来想的时候，它的历史要占着地方等，"
        "所以要装下的是一个思考间隔里所有活跃会话的 KV，而不只是正在跑的那一批。\n\n"
        f"**命中换来什么。** 平均 TTFT：不用缓存 {off.report.ttft.mean:.2f} s，最大的缓存 "
        f"{large.report.ttft.mean:.2f} s。少算的预填充还让排队变短，负载高时省下的比例比命中率更大。"
    )
    en = (
        f"**How much room it takes.** With room for {small.blocks * BLOCK_SIZE:,} tokens the hit ratio is "
        f"{small.report.prefix_hits:.0%}, with {large.blocks * BLOCK_SIZE:,} it is "
        f"{large.report.prefix_hits:.0%}, and the bound is {ideal:.0%}. While a user thinks, the history "
        "waits in the cache: what must fit is the KV of all sessions that are active within a pause, not "
        "only the batch that runs.\n\n"
        f"**What hits buy.** Mean TTFT: {off.report.ttft.mean:.2f} s without the cache, "
        f"{large.report.ttft.mean:.2f} s with the largest. Prefill that is not computed shortens the queue "
        "too, so under load more is saved than the hit ratio says."
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_SIMULATED,
        body=Text(zh=zh, en=en),
        wide=True,
    )
