"""The conversations with and without the prefix cache, side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.formulas.prefill import prefill_flops
from labs.models.config import linear_shapes
from labs.results import Axis, Bars, BarSeries, Lines, Markdown, Metric, Provenance, Series, array
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.models.config import ModelConfig
    from labs.prefix_cache.chats import ChatRun, Turn
    from labs.results import Result

_MEASURED = Provenance.MEASURED
_ON, _OFF = Text(zh="有前缀缓存", en="with the prefix cache"), Text(zh="没有", en="without")


def chat_results(off: ChatRun, on: ChatRun, config: ModelConfig) -> Iterator[Result]:
    """Everything but the replay, as far as both runs have come."""
    yield _hit_ratio(on)
    yield _saved(off.turns, on.turns, config)
    if lost := [turn.shared - turn.spared for turn in on.turns if turn.spared]:
        yield _lost(lost)
    yield _first_tokens(off, on)
    yield _prompts(on.turns)


def _hit_ratio(on: ChatRun) -> Metric:
    return Metric(
        id="hit_ratio",
        title=Text(zh="前缀命中率", en="Prefix hit ratio"),
        provenance=_MEASURED,
        unit="%",
        value=100 * on.hit_ratio,
        predicted=100 * on.ideal_tokens / on.prompt_tokens,
        formula=Text(
            zh="永不淘汰的缓存：与之前所有序列的最长公共前缀，取整块，至少留一个 token 要算",
            en="a cache that forgets nothing: the longest prefix common with any earlier sequence, in whole "
            "blocks, one token at least left to compute",
        ),
        help=Text(
            zh="全部提示词 token 里，KV 直接取自缓存、不必再算的比例。",
            en="Of all prompt tokens, those whose KV came from the cache and were not computed.",
        ),
        better="higher",
    )


def _saved(off: list[Turn], on: list[Turn], config: ModelConfig) -> Metric:
    """Mean TTFT without the cache over that with it."""
    before, after = (math.fsum(turn.ttft_s for turn in turns) for turns in (off, on))
    linear, pair = _flops(config)
    work = [
        math.fsum(prefill_flops(turn.prompt, linear, pair, turn.spared) for turn in turns)
        for turns in (off, on)
    ]
    return Metric(
        id="ttft_gain",
        title=Text(zh="TTFT：无缓存 ÷ 有缓存", en="TTFT: without ÷ with"),
        provenance=_MEASURED,
        unit="×",
        value=before / after,
        predicted=work[0] / work[1],
        formula=Text(
            zh="两边预填充的 FLOPs 之比（线性层与注意力）",
            en="the ratio of both sides' prefill FLOPs (linear layers and attention)",
        ),
        help=Text(
            zh="TTFT：从请求到达到第一个 token。缓存省下的是预填充，所以长历史省得多；小批的固定开销省不掉。",
            en="TTFT: from a request's arrival to its first token. What is spared is prefill, so long "
            "histories gain most; what a step costs at least is not spared.",
        ),
        better="higher",
    )


def _lost(lost: list[int]) -> Metric:
    """Beside the prediction of the same id."""
    return Metric(
        id="last_block",
        title=Text(zh="每次命中丢掉的前缀结尾", en="Lost to the last, partial block"),
        provenance=_MEASURED,
        unit="token",
        value=sum(lost) / len(lost),
        help=Text(
            zh="公共前缀里没能命中的 token：结尾不满一块，以及因块不够而被忘掉的。对命中的各轮取平均。",
            en="Tokens of the common prefix that were not found: the end that fills no block, and what was "
            "forgotten for lack of room. The mean over turns that found something.",
        ),
        better="lower",
    )


def _first_tokens(off: ChatRun, on: ChatRun) -> Lines:
    return Lines(
        id="ttft",
        title=Text(zh="首 token 时间随历史变长", en="Time to first token as the history grows"),
        provenance=_MEASURED,
        unit="ms",
        x=Axis(title=Text(zh="提示词长度（全部历史）", en="prompt, the whole history"), unit="token"),
        y=Axis(title=same("TTFT"), unit="ms"),
        series=[_curve(_OFF, off.turns), _curve(_ON, on.turns)],
    )


def _curve(name: Text, turns: list[Turn]) -> Series:
    ordered = sorted(turns, key=lambda turn: turn.prompt)
    x, y = [float(turn.prompt) for turn in ordered], [1e3 * turn.ttft_s for turn in ordered]
    return Series(name=name, x=array(x), y=array(y))


def _prompts(turns: list[Turn]) -> Bars:
    spared = array([float(turn.spared) for turn in turns])
    computed = array([float(turn.prompt - turn.spared) for turn in turns])
    return Bars(
        id="prompts",
        title=Text(zh="每一轮的提示词：取自缓存与重新计算", en="Each turn's prompt: cached, and computed"),
        provenance=_MEASURED,
        unit="token",
        categories=[_turn_name(turn) for turn in turns],
        y=Axis(title=Text(zh="提示词", en="prompt"), unit="token"),
        series=[
            BarSeries(name=Text(zh="取自缓存", en="from the cache"), values=spared),
            BarSeries(name=Text(zh="重新计算", en="computed"), values=computed),
        ],
        help=Text(
            zh="按提问的先后。第一轮什么也找不到；其他用户的第一轮共用系统提示词；以后各轮还共用自己的历史。",
            en="In the order of asking. User 1's first turn finds nothing; the others' first turns find the "
            "system prompt; later turns find their own history too.",
        ),
    )


def explanation(off: ChatRun, on: ChatRun) -> Markdown:
    """What happened, in the run's own figures."""
    before, after = (sum(turn.ttft_s for turn in run.turns) / len(run.turns) for run in (off, on))
    missed = on.ideal_tokens - on.spared_tokens
    zh = [
        f"**省下了什么。** {len(on.turns)} 轮提示词共 {on.prompt_tokens} 个 token，其中 {on.spared_tokens} 个"
        f"（{on.hit_ratio:.0%}）的 KV 直接取自缓存。平均首 token 时间：没有缓存 {1e3 * before:.0f} ms，"
        f"有缓存 {1e3 * after:.0f} ms。多轮对话每一轮都把全部历史再发一遍，历史越长，缓存省得越多。"
        + (
            ""
            if after < before
            else "这一次没有变快：提示词太短，一步的固定开销盖过了省下的计算，或者机器正忙。"
        ),
        "**为什么不是 100%。** 只有写满的块才有名字可查，所以前缀按整块取；新问题没有人算过；最后一个 token "
        "总要算，因为要它的 logits。",
    ]
    en = [
        f"**What was spared.** The prompts of {len(on.turns)} turns have {on.prompt_tokens} tokens, and the "
        f"KV of {on.spared_tokens} ({on.hit_ratio:.0%}) came from the cache. The mean time to first token is "
        f"{1e3 * before:.0f} ms without the cache and {1e3 * after:.0f} ms with it. Each turn sends the "
        "whole history again: the longer it is, the more is spared."
        + (
            ""
            if after < before
            else " This time it gained nothing: prompts so short cost little beside what "
            "a step costs at least, or the machine was busy."
        ),
        "**Why not 100%.** Only full blocks have a name to be found by, so a prefix counts in whole blocks; "
        "nobody has computed the new question; and the last token is always computed, for its logits.",
    ]
    if missed:
        zh.append(
            f"**忘掉的。** 永不淘汰的缓存还会多命中 {missed} 个 token：块不够时，最久没用的块先被忘掉。"
        )
        en.append(
            f"**Forgotten.** A cache that forgets nothing would have spared {missed} tokens more: when "
            "blocks run out, the least recently used are forgotten first."
        )
    same_answers = [turn.answer for turn in off.turns] == [turn.answer for turn in on.turns]
    zh.append("**回答" + ("完全相同" if same_answers else "不同") + "。** 缓存的 KV 就是重算会得到的 KV。")
    en.append(
        f"**The answers are {'the same' if same_answers else 'not the same'}, token for token.** Cached KV "
        "is the KV that computing again would give."
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh="\n\n".join(zh), en="\n\n".join(en)),
        wide=True,
    )


def _turn_name(turn: Turn) -> Text:
    return Text(
        zh=f"用户 {turn.user + 1} 第 {turn.turn + 1} 轮", en=f"user {turn.user + 1}, turn {turn.turn + 1}"
    )


def _flops(config: ModelConfig) -> tuple[float, float]:
    """FLOPs of all linear layers a token, and of attention a pair of query and key."""
    linear = 2 * config.layers * sum(rows * columns for rows, columns in linear_shapes(config).values())
    return linear, 4 * config.layers * config.heads * config.head_dim
