"""The eviction mode of the allocators' lab: policies on one trace, then references to shared blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labs.engine import replay
from labs.formulas.eviction import block_prefill_flops, lru_hit_ratio
from labs.memory import eviction_views as views
from labs.memory import reference_views
from labs.memory.eviction import PrefixCache, belady_hits
from labs.memory.prefix_trace import make_trace
from labs.memory.shared_prefixes import serve_chains
from labs.results import Provenance
from labs.simulator.model_cost import linear_flops_per_token, pair_flops
from labs.simulator.traces import HASH_BLOCK_TOKENS
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.memory.eviction import PolicyName, Request
    from labs.memory.prefix_trace import PrefixTrace
    from labs.results import Result
    from labs.simulator.deployment import Deployment

MEAN_BLOCKS = 8.0
_SIZES = tuple(2**power for power in range(4, 13))
_REPLAYED = 48  # requests whose references are shown
_PREVIEWED = 300  # requests, while a slider moves
_RATE_PER_S = 6.0
_BLOCKS_SHOWN = (64, 1024)  # at least so many that the longest prompts fit, at most so many are drawn


@dataclass(frozen=True)
class Setting:
    requests: int
    documents: int
    skew: float
    own: int
    one_off: float
    fashion: int
    cache_blocks: int
    ends_only: bool


def trace_of(setting: Setting, seed: int) -> PrefixTrace:
    return make_trace(
        requests=setting.requests,
        documents=setting.documents,
        skew=setting.skew,
        mean_blocks=MEAN_BLOCKS,
        own=setting.own,
        one_off=setting.one_off,
        fashion=setting.fashion,
        seed=seed,
    )


def predicted_lru(setting: Setting, seed: int) -> float:
    """Per cent, by Che's approximation; a one-off document counts as blocks that nobody asks for again."""
    trace = trace_of(setting, seed)
    recurring = 1 - setting.one_off
    popularity = [recurring * p for p in trace.popularity]
    own = setting.own + setting.one_off * MEAN_BLOCKS
    return 100 * lru_hit_ratio(popularity, trace.sizes, own, setting.cache_blocks)


def evict(ctx: Context, setting: Setting, deployment: Deployment) -> Iterator[Result]:
    """Policies at the current size, the curves point by point, references, and what it all means."""
    if ctx.preview:
        setting = replace(setting, requests=min(setting.requests, _PREVIEWED))
    trace = trace_of(setting, ctx.seed)
    costs = _Costs(deployment)
    runs: dict[PolicyName, list[Request]] = {}
    evictions: dict[PolicyName, int] = {}
    for policy in views.POLICIES:
        cache = PrefixCache(setting.cache_blocks, policy, costs, setting.ends_only)
        runs[policy] = [cache.request(chain) for chain in trace.chains]
        evictions[policy] = cache.evictions
        ctx.check()
    found = belady_hits(trace.chains, setting.cache_blocks)
    total = sum(map(len, trace.chains))
    bound = sum(found) / total
    yield from views.metrics(runs, bound)
    yield views.over_time(runs, found)
    if ctx.preview:
        return
    yield views.table(runs, evictions, bound)
    ratios: dict[PolicyName, list[float]] = {policy: [] for policy in views.POLICIES}
    bounds: list[float] = []
    for index, size in enumerate(_SIZES):
        ctx.progress(index / len(_SIZES), Text(zh=f"缓存 {size} 块", en=f"a cache of {size} blocks"))
        for policy, found_ratios in ratios.items():
            cache = PrefixCache(size, policy, costs, setting.ends_only)
            found_ratios.append(views.hit_ratio([cache.request(chain) for chain in trace.chains]))
            ctx.check()
        bounds.append(sum(belady_hits(trace.chains, size)) / total)
        yield views.curves(_SIZES, ratios, bounds, setting.cache_blocks)
    yield from _references(ctx, setting, trace, deployment)
    yield views.explanation(
        trace,
        runs,
        bound,
        setting.cache_blocks,
        bool(setting.fashion),
        setting.one_off > 0,
        setting.ends_only,
    )


def _references(
    ctx: Context, setting: Setting, trace: PrefixTrace, deployment: Deployment
) -> Iterator[Result]:
    """The first requests once more, through the scheduler and the block manager of the engine."""
    chains = trace.chains[:_REPLAYED]
    least = 2 + max(map(len, chains))
    blocks = min(max(setting.cache_blocks, least, _BLOCKS_SHOWN[0]), _BLOCKS_SHOWN[1])
    run = serve_chains(
        chains, deployment, blocks=blocks, rate_per_s=_RATE_PER_S, seed=ctx.seed, check=ctx.check
    )
    yield replay.trace(run.recording, Provenance.SIMULATED, at=run.most_shared.event)
    yield replay.block_map(
        run.recording, blocks, Provenance.SIMULATED, reference_views.TITLE, reference_views.help_text(blocks)
    )
    yield reference_views.counts(run)
    yield reference_views.story(run)


class _Costs:
    """TFLOPs of a block by its depth, each computed once."""

    def __init__(self, deployment: Deployment) -> None:
        shape = deployment.model
        self._linear = linear_flops_per_token(shape)
        self._pair = shape.layers * pair_flops(shape)
        self._known: list[float] = []

    def __call__(self, depth: int) -> float:
        while len(self._known) <= depth:
            flops = block_prefill_flops(len(self._known), HASH_BLOCK_TOKENS, self._linear, self._pair)
            self._known.append(flops / 1e12)
        return self._known[depth]
