"""How far a stream may run: StreamingLLM's loss with the sinks at positions in the cache, or in the text.

What lies between the sinks and the window has been dropped, so it is not computed here; what is left of it
is how far the sinks are away. Keys and values of the window are those of the prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from labs.attention.evaluation import text_losses
from labs.attention.eviction import Eviction, evicted_attention
from labs.models.perplexity import paired_difference
from labs.results import Axis, Lines, Mark, Provenance, Series, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.attention.eviction_run import Study
    from labs.attention.prompt import Prompt
    from labs.context import Context
    from labs.models.perplexity import LossDifference, Perplexity
    from labs.results import Result

_OF_TRAINED = (0.25, 0.5, 1, 2, 4, 8)  # tokens streamed, as shares of what the model was trained on


@dataclass
class Stream:
    """Loss over the full cache's by tokens streamed; ``cached`` is the same for all of them."""

    trained: int
    cached: LossDifference
    original: dict[int, LossDifference] = field(default_factory=dict)


def run_stream(ctx: Context, study: Study, cache: Prompt) -> Iterator[Result]:
    """One curve, which grows with the length of the stream."""
    assert study.full is not None
    config, full = ctx.model().config, study.full.losses
    stays = Eviction("streaming", study.budget)

    def losses(eviction: Eviction) -> Perplexity:
        key = ("streamed", eviction, study.tokens, len(cache.keys[0]))
        attend = evicted_attention(cache, eviction, config)
        return ctx.memo(key, lambda: text_losses(ctx, study.prompts, cache, attend))

    study.stream = Stream(config.context, paired_difference(full, losses(stays)))
    moves = replace(stays, positions="original")
    for length in (study.tokens, *(round(share * config.context) for share in _OF_TRAINED)):
        if length < study.tokens:
            continue
        ctx.progress(None, Text(zh=f"汇点在 {length} 个 token 之前", en=f"sinks {length} tokens ago"))
        streamed = replace(moves, streamed=length - study.tokens)
        study.stream.original[length] = paired_difference(full, losses(streamed))
        yield curve(study.stream)


def curve(stream: Stream) -> Lines:
    lengths = list(stream.original)
    cached, original = [stream.cached] * len(lengths), list(stream.original.values())
    ways = (
        (Text(zh="缓存内的位置（论文）", en="positions in the cache (published)"), cached),
        (Text(zh="原来的位置", en="original positions"), original),
    )
    return Lines(
        id="stream",
        title=Text(zh="流走了多远，损失增加多少", en="Loss added by how far the stream has run"),
        help=Text(
            zh="汇点用缓存内的位置时，它与查询的距离永远小于预算；用原来的位置时，它随流越退越远，退到训练"
            "长度之外，旋转的角度是模型没见过的。中间的 token 反正已丢，没有计算，只算距离。",
            en="With positions in the cache the sinks stay nearer than the budget for ever. With original "
            "ones they recede as the stream runs, and beyond the trained length RoPE turns by angles that "
            "the model has never seen. The tokens in between are dropped anyway: they are not computed, "
            "only the distance is theirs.",
        ),
        provenance=Provenance.MEASURED,
        unit="nat",
        x=Axis(title=Text(zh="流过的 token", en="tokens streamed"), log=True),
        y=Axis(title=Text(zh="每 token 损失增加", en="loss added a token"), unit="nat"),
        series=[
            Series(
                name=name,
                x=array(lengths),
                y=array([one.mean for one in found]),
                low=array([one.mean - one.stderr for one in found]),
                high=array([one.mean + one.stderr for one in found]),
            )
            for name, found in ways
        ],
        marks=[Mark(x=float(stream.trained), name=Text(zh="训练长度", en="trained length"))],
        source=Text(
            zh="同样的提示词与后文；Xiao 等，2309.17453，第 3.2 节；mit-han-lab/streaming-llm",
            en="the same prompts and text; Xiao et al., 2309.17453, section 3.2; mit-han-lab/streaming-llm",
        ),
        wide=True,
    )


def told(stream: Stream) -> Text:
    """What the curve says, for the closing words."""
    trained = stream.trained
    near, far = stream.original[min(stream.original)], stream.original[max(stream.original)]
    return Text(
        zh="\n\n**位置在缓存里数。** 论文给缓存里的 token 重新编号：0、1、2……，所以流再长也是 "
        f"{stream.cached.mean:.3f} nat。保留原来的位置，起先是 {near.mean:.3f}，流到 "
        f"{max(stream.original):,} 个 token（训练长度 {trained:,}）是 {far.mean:.3f}。窗口里的 token 在文中"
        "和缓存里都相邻，距离不变；变的只有到汇点的距离。",
        en="\n\n**Positions are counted in the cache.** The paper numbers what the cache holds anew, 0, 1, "
        f"2 and so on: {stream.cached.mean:.3f} nat however long the stream. With original positions it is "
        f"{near.mean:.3f} at first and {far.mean:.3f} when {max(stream.original):,} tokens have gone by "
        f"(trained length {trained:,}). The window's tokens are neighbours in the text and in the cache; "
        "only the distance to the sinks differs.",
    )
