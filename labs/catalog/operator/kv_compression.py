"""KV compression: which tokens to evict, in how few bits to keep the others, how many heads to share them.

Long for its parameters and their texts; what it runs and shows stands in ``labs.attention``.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.attention.presets import PRESETS
from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction
from labs.text import Text, same

_MODEL_MODES = {"mode": ["evict", "quantise"]}


class Params(LabParams, frozen=True):
    """Which way to have less KV, and how much less."""

    mode: Annotated[
        Literal["evict", "quantise", "heads"],
        Field(
            zh="怎样变小",
            en="How to shrink",
            zh_help="丢弃：只留一部分 token。量化：每个数用更少的位。共享：多个查询头共用一份 KV（MQA、GQA）"
            "。",
            en_help="Evict: keep some of the tokens. Quantise: fewer bits a number. Share: several query "
            "heads on one KV head (MQA, GQA).",
            choices={
                "evict": Text(zh="丢弃 token", en="evict tokens"),
                "quantise": Text(zh="量化", en="quantise"),
                "heads": Text(zh="共享 KV 头", en="share KV heads"),
            },
            preview=False,
        ),
    ] = "evict"
    policy: Annotated[
        Literal["window", "streaming", "h2o", "snapkv"],
        Field(
            zh="丢弃策略",
            en="Policy",
            zh_help="窗口：只留最近的。StreamingLLM：再加最前面 4 个（汇点）。H2O：一半最近的，"
            "一半累计注意力最高的。SnapKV：末尾 8 个查询投票选，投票后不再丢。",
            en_help="Window: the latest only. StreamingLLM: with the first 4 (sinks). H2O: half the "
            "latest, half those with the most attention so far. SnapKV: the last 8 queries vote, and "
            "nothing is dropped after that.",
            choices={
                "window": Text(zh="窗口", en="window"),
                "streaming": same("StreamingLLM"),
                "h2o": same("H2O"),
                "snapkv": same("SnapKV"),
            },
            when={"mode": ["evict"]},
        ),
    ] = "h2o"
    positions: Annotated[
        Literal["cache", "original"],
        Field(
            zh="位置按什么数",
            en="Positions",
            zh_help="论文的做法：键旋转前存下，按在缓存里的次序编号。原来的：按在文中的次序，汇点随流越退越远。",
            en_help="As published: keys are kept before RoPE and numbered by their place in the cache. "
            "Original: by their place in the text, so that the sinks recede as the stream runs.",
            choices={
                "cache": Text(zh="在缓存里", en="within the cache"),
                "original": Text(zh="在原文里", en="original"),
            },
            when={"mode": ["evict"], "policy": ["streaming"]},
            preview=False,
        ),
    ] = "cache"
    share: Annotated[
        float,
        Field(
            zh="保留比例",
            en="Share kept",
            zh_help="提示词的 token 留下多大一部分，至少 8 个。",
            en_help="What part of the prompt's tokens stays; 8 of them at least.",
            ge=0.05,
            le=1.0,
            step=0.05,
            when={"mode": ["evict"]},
        ),
    ] = 0.2
    asked: Annotated[
        Literal["before", "after"],
        Field(
            zh="问题在压缩",
            en="The question comes",
            zh_help="之前：问题是提示词的一部分，丢谁时已看到它。之后：先压缩，再来问题（多轮对话、前缀缓存）"
            "。",
            en_help="Before the cut: it is part of the prompt, and is seen when tokens are chosen. After: "
            "the cache is cut first (chats of several turns, cached prefixes).",
            choices={
                "before": Text(zh="之前", en="before the cut"),
                "after": Text(zh="之后", en="after the cut"),
            },
            when={"mode": ["evict"]},
            preview=False,
        ),
    ] = "before"
    bits: Annotated[
        Literal[8, 4, 3, 2],
        Field(
            zh="位宽",
            en="Bits",
            zh_help="每个 K、V 的数用几位；32 个一组，每组另有 FP16 的 scale 和最小值。",
            en_help="Bits a number of K and V, in groups of 32 with an FP16 scale and minimum each.",
            choices={"8": same("INT8"), "4": same("INT4"), "3": same("INT3"), "2": same("INT2")},
            when={"mode": ["quantise"]},
        ),
    ] = 2
    keys: Annotated[
        Literal["channel", "token"],
        Field(
            zh="K 的分组",
            en="Groups of K",
            zh_help="逐通道：同一通道的 32 个 token 一组。逐 token：同一 token 的 32 个通道一组。",
            en_help="Per channel: 32 tokens of one channel. Per token: 32 channels of one token.",
            choices={
                "channel": Text(zh="逐通道", en="per channel"),
                "token": Text(zh="逐 token", en="per token"),
            },
            when={"mode": ["quantise"]},
        ),
    ] = "channel"
    values: Annotated[
        Literal["channel", "token"],
        Field(
            zh="V 的分组",
            en="Groups of V",
            zh_help="同上。KIVI：K 逐通道，V 逐 token。",
            en_help="As above. KIVI: K per channel, V per token.",
            choices={
                "channel": Text(zh="逐通道", en="per channel"),
                "token": Text(zh="逐 token", en="per token"),
            },
            when={"mode": ["quantise"]},
        ),
    ] = "token"
    residual: Annotated[
        int,
        Field(
            zh="最近多少 token 不量化",
            en="Latest tokens in full",
            zh_help="它们被看得最多，逐通道的组也要等凑满才能量化。",
            en_help="They are looked at most, and a group per channel must wait until it is full.",
            ge=0,
            le=128,
            step=16,
            unit="token",
            when={"mode": ["quantise"]},
            preview=False,
        ),
    ] = 32
    tokens: Annotated[
        int,
        Field(
            zh="提示词长度",
            en="Prompt length",
            zh_help="每条提示词的 token 数，含埋下的一句事实。",
            en_help="Tokens of each prompt, with the planted fact.",
            ge=64,
            le=1024,
            step=64,
            unit="token",
            when=_MODEL_MODES,
            preview=False,
        ),
    ] = 256
    prompts: Annotated[
        int,
        Field(
            zh="提示词条数",
            en="Prompts",
            zh_help="越多越准，也越慢；事实埋在各条的不同深度。",
            en_help="More are surer and slower; facts lie at another depth in each.",
            ge=1,
            le=8,
            when=_MODEL_MODES,
            preview=False,
        ),
    ] = 4
    layer: Annotated[
        int,
        Field(
            zh="看哪一层",
            en="Layer to look at",
            zh_help="图里画的那一层；评测总是压缩所有层。",
            en_help="The one in the pictures; scores always compress all layers.",
            ge=0,
            le="last_layer",
            when=_MODEL_MODES,
        ),
    ] = 12
    kv_head: Annotated[
        int,
        Field(
            zh="看哪个 KV 头",
            en="KV head to look at",
            zh_help="图里画的那一个，从 0 数。本应用的模型有 3 个 KV 头。",
            en_help="The one in the pictures, from 0. The model of this app has 3.",
            ge=0,
            le=127,
            when=_MODEL_MODES,
        ),
    ] = 0
    sweep: Annotated[
        bool,
        Field(
            zh="全部比一遍",
            en="Compare all",
            zh_help="所有策略在三个比例上，或所有分组方向在 4 位和 2 位上；关掉只评所选的一种。",
            en_help="All policies at three shares, or all ways to group at 4 and 2 bits; off: the chosen "
            "one.",
            when=_MODEL_MODES,
            preview=False,
        ),
    ] = True
    heads: Annotated[
        Literal[4, 8, 16],
        Field(
            zh="查询头数",
            en="Query heads",
            zh_help="头维度为 64。",
            en_help="Of head dim 64.",
            choices={"4": same("4"), "8": same("8"), "16": same("16")},
            when={"mode": ["heads"]},
            preview=False,
        ),
    ] = 8
    kv_heads: Annotated[
        Literal[1, 2, 4, 8, 16],
        Field(
            zh="KV 头数",
            en="KV heads",
            zh_help="1 是 MQA，等于查询头数是 MHA，之间是 GQA；必须整除查询头数。",
            en_help="1 is MQA, as many as query heads MHA, between them GQA; it must divide the query heads.",
            choices={str(count): same(str(count)) for count in (1, 2, 4, 8, 16)},
            when={"mode": ["heads"]},
        ),
    ] = 2
    context: Annotated[
        int,
        Field(
            zh="上下文长度",
            en="Context length",
            zh_help="每条序列已有的 token 数；一步要读它们全部的 KV。",
            en_help="Tokens that each sequence has; a step reads the KV of all.",
            ge=256,
            le=16384,
            scale="log2",
            unit="token",
            when={"mode": ["heads"]},
            preview=False,
        ),
    ] = 4096
    batch: Annotated[
        int,
        Field(
            zh="批大小",
            en="Batch size",
            zh_help="一起解码的序列数。",
            en_help="Sequences that decode together.",
            ge=1,
            le=16,
            scale="log2",
            when={"mode": ["heads"]},
            preview=False,
        ),
    ] = 2


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """Bytes of the chosen cache, by formula."""
    from labs.attention import predictions

    if params.mode == "evict":
        yield predictions.evicted(ctx.model_config(), params.tokens, params.share)
    elif params.mode == "quantise":
        yield predictions.quantised(
            ctx.model_config(), params.tokens, params.bits, params.keys, params.values, params.residual
        )
    elif params.heads % params.kv_heads == 0:
        yield predictions.faster(params.heads, params.kv_heads)


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """One mode."""
    if params.mode == "evict":
        from labs.attention.eviction_run import run_eviction

        yield from run_eviction(
            ctx,
            policy=params.policy,
            share=params.share,
            tokens=params.tokens,
            count=params.prompts,
            layer=params.layer,
            kv_head=params.kv_head,
            asked=params.asked,
            positions=params.positions,
            sweep=params.sweep,
        )
    elif params.mode == "quantise":
        from labs.attention.quantization_run import run_quantization
        from labs.attention.quantized_kv import KVFormat

        yield from run_quantization(
            ctx,
            chosen=KVFormat(params.bits, params.keys, params.values, params.residual),
            tokens=params.tokens,
            count=params.prompts,
            layer=params.layer,
            kv_head=params.kv_head,
            sweep=params.sweep,
        )
    else:
        from labs.attention.heads_run import run_heads

        yield from run_heads(
            ctx,
            heads=params.heads,
            kv_heads=params.kv_heads,
            context=params.context,
            batch=params.batch,
        )


LAB = Lab(
    id="operator/kv_compression",
    title=Text(zh="KV Cache 压缩", en="KV cache compression"),
    summary=Text(
        zh="丢 token、减位宽、共享头：三种让 KV 变小的办法，各在真实模型和真实内核上付什么代价。",
        en="Evict tokens, cut bits, share heads: three ways to a smaller KV cache, and what each costs on "
        "the real model and in real kernels.",
    ),
    sections=["2.1.3"],
    questions=[f"2.1.3-{number:02}" for number in range(1, 7)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(tokens=96, prompts=1, sweep=False, layer=2),
    presets=PRESETS,
)
