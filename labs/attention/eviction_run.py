"""The eviction mode: what each policy keeps of a prompt, and what that costs on the text and on a fact."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from labs.attention import eviction_views as views
from labs.attention.evaluation import (
    Score,
    all_caches,
    cache_of,
    evaluate,
    prompts_of,
    with_question,
)
from labs.attention.eviction import POLICIES, Eviction, evicted_attention
from labs.attention.model_pass import causal, extend, mix, scores_of
from labs.attention.predictions import LEAST
from labs.attention.prompt import joined
from labs.attention.stream import run_stream
from labs.formulas.kv_compression import kept_tokens
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.attention.cache_positions import Positions
    from labs.attention.evaluation import Asked, Prompts
    from labs.attention.eviction import Policy
    from labs.attention.prompt import Prompt
    from labs.attention.stream import Stream
    from labs.context import Context
    from labs.results import Result

SHARES = (0.1, 0.2, 0.5)


@dataclass
class Study:
    """One run's choices and what it has found: ``scores[policy, budget]``, and ``full`` without eviction."""

    policy: Policy
    share: float
    tokens: int
    layer: int
    kv_head: int
    asked: Asked
    positions: Positions
    prompts: Prompts
    full: Score | None = None
    scores: dict[tuple[Policy, int], Score] = field(default_factory=dict)
    stream: Stream | None = None

    @property
    def budget(self) -> int:
        return kept_tokens(self.tokens, self.share, LEAST)

    @property
    def eviction(self) -> Eviction:
        return Eviction(self.policy, self.budget, positions=self.positions)


def run_eviction(
    ctx: Context,
    *,
    policy: Policy,
    share: float,
    tokens: int,
    count: int,
    layer: int,
    kv_head: int,
    asked: Asked,
    positions: Positions,
    sweep: bool,
) -> Iterator[Result]:
    """Pictures of one prompt first, then the chosen policy, then, with ``sweep``, all of them at all
    shares."""
    loaded = ctx.model()
    if kv_head >= loaded.config.kv_heads:
        last = loaded.config.kv_heads - 1
        zh, en = f"模型的 KV 头编号到 {last} 为止", f"the model's KV heads end at {last}"
        raise LabError(Text(zh=zh, en=en))
    prompts = prompts_of(ctx, count, tokens)
    study = Study(policy, share, tokens, layer, kv_head, asked, positions, prompts)
    ctx.progress(0.0, Text(zh="读第一条提示词", en="reading the first prompt"))
    shown = count // 2
    one = cache_of(ctx, count, tokens, shown)
    yield from _pictures(ctx, study, one, shown)
    if ctx.preview:
        return
    cache = all_caches(ctx, count, tokens, 0.3)
    question = with_question(ctx, study.prompts, cache) if asked == "before" else None
    yield from _scores(ctx, study, cache, question, sweep)
    if policy == "streaming":
        yield from run_stream(ctx, study, cache)
    yield views.memory_metric(study, loaded.config, cache)
    yield views.table(study)
    yield views.explanation(study)


def _pictures(ctx: Context, study: Study, one: Prompt, shown: int) -> Iterator[Result]:
    loaded = ctx.model()
    yield views.kept_map(study, one)
    words = [loaded.tokenizer.decode([token]) for token in study.prompts.ids[shown].tolist()]
    yield views.kept_tokens_view(study, one, words, study.prompts.fact_at[shown])
    if not ctx.preview:
        following = study.prompts.text_next[shown : shown + 1]
        weights = attention_map(ctx, one, following, study.layer, study.kv_head, study.eviction)
        yield views.attention_heatmap(study, *weights)


def attention_map(
    ctx: Context, one: Prompt, following: Tensor, layer: int, kv_head: int, eviction: Eviction
) -> tuple[Tensor, Tensor]:
    """Full attention ``[C, S]`` of the tokens behind a prompt, averaged over a KV head's queries, and whether
    ``eviction`` would let them see it."""
    found: list[Tensor] = []
    allowed = causal(following.shape[1], one.tokens)

    def attend(at: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = joined(one, at, k, v)
        scores = scores_of(q, keys)
        weights = scores.masked_fill(~allowed, float("-inf")).softmax(dim=-1)
        if at == layer:
            visible = eviction.visible(scores, one.mass[at], one.recent[at])
            found.extend([weights[0, kv_head].mean(dim=0), visible[0, kv_head]])
        return mix(weights, values)

    extend(ctx.model().model, following, one.tokens, attend)
    return found[0], found[1]


def _scores(
    ctx: Context, study: Study, cache: Prompt, question: Prompt | None, sweep: bool
) -> Iterator[Result]:
    every: list[tuple[Policy, int]] = [("full", study.tokens), (study.policy, study.budget)]
    if sweep:
        budgets = [kept_tokens(study.tokens, share, LEAST) for share in SHARES]
        every += [(policy, budget) for budget in budgets for policy in POLICIES]
    for index, (policy, budget) in enumerate(dict.fromkeys(every)):
        name = views.NAMES[policy]
        text = Text(zh=f"{name.zh}，留 {budget} 个 token", en=f"{name.en}, {budget} tokens kept")
        ctx.progress(0.3 + 0.7 * index / len(every), text)
        eviction = Eviction(policy, budget, positions=study.positions if policy == "streaming" else "cache")
        attention = partial(evicted_attention, eviction=eviction, config=ctx.model().config)
        key = ("evicted", eviction, study.tokens, len(cache.keys[0]), study.asked)
        score = ctx.memo(key, partial(evaluate, ctx, study.prompts, cache, question, attention))
        if policy == "full":
            study.full = score
        else:
            study.scores[policy, budget] = score
            yield from views.metrics(study)
            if sweep:
                yield views.loss_curve(study)
                yield views.recall_curve(study)
