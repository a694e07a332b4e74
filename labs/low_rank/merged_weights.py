"""Merged weights kept: what an LRU cache of them saves, and how far W drifts when merges are taken back."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from labs.relative_error import relative_error
from labs.results import Array, Axis, Lines, Metric, Provenance, Series, array
from labs.text import Text

if TYPE_CHECKING:
    from labs.context import Context

_REQUESTS = 4000
_SKEW = 1.0
DRIFTS = 20


class Step(NamedTuple):
    """Seconds, as measured: a product with the merged weight, one with the adapter apart, and merging."""

    merged_s: float
    apart_s: float
    merge_s: float


def hit_ratio(requests: Array, capacity: int) -> float:
    """Share of requests whose merged weight is still held by an LRU cache."""
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for adapter in requests:
        hits += adapter in held
        held[adapter] = None
        held.move_to_end(adapter)
        if len(held) > capacity:
            held.popitem(last=False)
    return hits / len(requests)


def zipf_requests(adapters: int, seed: int) -> Array:
    """Which adapter each request asks for, the i-th most popular 1/i as often as the first."""
    weights = 1 / np.arange(1, adapters + 1) ** _SKEW
    return np.random.default_rng(seed).choice(adapters, _REQUESTS, p=weights / weights.sum())


def cache_lines(step: Step, requests: Array, adapters: int, steps: int) -> Lines:
    """A request's products with merged weights in an LRU cache, by how many of them fit."""
    capacities = list(range(adapters + 1))
    shares = [hit_ratio(requests, capacity) if capacity else 0.0 for capacity in capacities]
    merged, apart = steps * step.merged_s, steps * step.apart_s
    return Lines(
        id="cache",
        title=Text(
            zh=f"缓存合并结果：每个请求 {steps} 步", en=f"Caching merged weights: {steps} steps a request"
        ),
        provenance=Provenance.SIMULATED,
        unit="s",
        x=Axis(title=Text(zh="缓存里放得下几份合并权重", en="merged weights that the cache holds")),
        y=Axis(title=Text(zh="每请求的乘法时间", en="products of a request"), unit="s"),
        series=[
            Series(
                name=Text(zh="LRU，未命中就合并", en="LRU, merged on a miss"),
                x=array(capacities),
                y=array([merged + (1 - share) * step.merge_s for share in shares]),
            ),
            Series(
                name=Text(zh="LRU，未命中就旁路", en="LRU, applied apart on a miss"),
                x=array(capacities),
                y=array([share * merged + (1 - share) * apart for share in shares]),
            ),
            Series(
                name=Text(zh="从不合并", en="never merged"),
                x=array([0, adapters]),
                y=array([apart, apart]),
                reference=True,
            ),
        ],
        source=Text(
            zh=f"{_REQUESTS} 个请求按 Zipf 分布选适配器；每步与每次合并的时间是本机实测",
            en=f"{_REQUESTS} requests choose adapters by Zipf's law; times of a step and of merging as "
            "measured",
        ),
        wide=True,
    )


def round_trip(ctx: Context, n: int, k: int, rank: int) -> dict[str, float]:
    """Relative change of W after merging and unmerging so many adapters, in each type."""
    generator = ctx.generator()
    weight = torch.randn(n, k, generator=generator) * k**-0.5
    deltas = [
        0.02 * torch.randn(n, rank, generator=generator) @ torch.randn(rank, k, generator=generator)
        for _ in range(DRIFTS)
    ]
    found = {}
    for name, dtype in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        start = weight.to(dtype)
        now = start.clone()
        for delta in deltas:
            now = (now + delta.to(dtype)) - delta.to(dtype)
        found[name] = relative_error(now, start)
    return found


def drift_metric(drift: dict[str, float]) -> Metric:
    return Metric(
        id="drift",
        title=Text(
            zh="W 的漂移（BF16）",
            en="Drift of W (bf16)",
        ),
        provenance=Provenance.MEASURED,
        unit="%",
        value=100 * drift["bf16"],
        better="lower",
        help=Text(
            zh=f"合并又减回 {DRIFTS} 次之后 W 变了多少。W + BA − BA 不等于 W：每步都舍入。要留一份没动过"
            "的底座。",
            en=f"Change of W after {DRIFTS} merges taken back. W + BA - BA is not W: each step rounds. "
            "Keep a base that nobody touched.",
        ),
        source=Text(
            zh=f"随机权重与增量；FP16 {100 * drift['fp16']:.3g}%，FP32 {100 * drift['fp32']:.2g}%",
            en=f"random weight and updates; fp16 {100 * drift['fp16']:.3g}%, fp32 {100 * drift['fp32']:.2g}%",
        ),
    )
