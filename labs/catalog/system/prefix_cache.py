"""What a prefix cache spares: conversations on the real engine, and request traces in the simulator."""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same

_CHATS = {"mode": ["chats"]}
_TRACE = {"mode": ["trace"]}


class Params(LabParams, frozen=True):
    """Who talks, how the cache is laid out, or which trace is served."""

    mode: Annotated[
        Literal["chats", "trace"],
        Field(
            zh="在哪里跑",
            en="Where",
            zh_help="对话：真实引擎和真实模型，开、关缓存各跑一遍。请求轨迹：模拟一台 A100 上的 Llama-3-8B。",
            en_help="Conversations: the real engine and model, with the cache and without. Request trace: a "
            "simulated A100 with Llama-3-8B.",
            choices={
                "chats": Text(zh="真实对话", en="conversations"),
                "trace": Text(zh="请求轨迹（模拟）", en="request trace (simulated)"),
            },
            preview=False,
        ),
    ] = "chats"
    users: Annotated[
        int,
        Field(
            zh="用户数",
            en="Users",
            zh_help="轮流提问的用户，各有各的对话，开头的系统提示词相同。",
            en_help="They ask in turn, each in a conversation of their own, after the same system prompt.",
            ge=1,
            le=6,
            step=1,
            when=_CHATS,
            preview=False,
        ),
    ] = 2
    turns: Annotated[
        int,
        Field(
            zh="每人几轮",
            en="Turns each",
            zh_help="每一轮都把之前的全部对话再发一遍。",
            en_help="Each turn sends the whole conversation again.",
            ge=1,
            le=6,
            step=1,
            when=_CHATS,
            preview=False,
        ),
    ] = 3
    answer_tokens: Annotated[
        int,
        Field(
            zh="回答最长",
            en="Answer at most",
            zh_help="一轮最多生成多少 token。",
            en_help="Tokens that a turn generates at most.",
            ge=1,
            le=64,
            scale="log2",
            unit="token",
            when=_CHATS,
            preview=False,
        ),
    ] = 12
    system: Annotated[
        bool,
        Field(
            zh="共用系统提示词",
            en="Shared system prompt",
            zh_help="约 100 个 token，放在每个对话之前。关掉后各用户之间几乎没有公共前缀。",
            en_help="About 100 tokens in front of each conversation. Without it users have little in common.",
            when=_CHATS,
            preview=False,
        ),
    ] = True
    block_size: Annotated[
        int,
        Field(
            zh="块大小",
            en="Block size",
            zh_help="前缀按整块命中：块越大，结尾不满一块、要重算的越多；块越小，名字越多。",
            en_help="A prefix is found in whole blocks: large ones leave more at the end to compute, small "
            "ones need more names.",
            ge=1,
            le=128,
            scale="log2",
            unit="token",
            when=_CHATS,
            preview=False,
        ),
    ] = 16
    blocks: Annotated[
        int,
        Field(
            zh="块数",
            en="Blocks",
            zh_help="缓存池的块数。少到装不下所有对话时，最久没用的块先被忘掉。",
            en_help="Blocks of the pool. Where they cannot hold all conversations, the least recently used "
            "are forgotten.",
            ge=32,
            le=1024,
            scale="log2",
            unit="block",
            when=_CHATS,
            preview=False,
        ),
    ] = 64
    weights: Annotated[
        Literal["fp32", "bf16", "int8", "int4"],
        Field(
            zh="权重格式",
            en="Weights",
            zh_help="低精度在多数 CPU 上更快；这里比的是开、关缓存，两边用同一种。",
            en_help="Low precision is faster on most CPUs; both sides of the comparison use the same.",
            choices={name: same(name.upper()) for name in ("fp32", "bf16", "int8", "int4")},
            when=_CHATS,
            preview=False,
        ),
    ] = "int8"
    trace: Annotated[
        str,
        Field(
            zh="轨迹文件",
            en="Trace file",
            zh_help="Mooncake 格式的 JSON lines 文件路径。留空则合成多轮会话。",
            en_help="Path of a JSON lines file in Mooncake's format. Empty: synthetic sessions.",
            when=_TRACE,
            preview=False,
        ),
    ] = ""
    requests: Annotated[
        int,
        Field(
            zh="请求数",
            en="Requests",
            zh_help="取轨迹的前这么多个。",
            en_help="So many from the start of the trace.",
            ge=20,
            le=5000,
            scale="log",
            when=_TRACE,
            preview=False,
        ),
    ] = 600
    rate_per_s: Annotated[
        float,
        Field(
            zh="新会话",
            en="New sessions",
            zh_help="合成轨迹里平均每秒开始几个会话，每个平均 4 轮，每轮之间平均想 30 秒。",
            en_help="Sessions that begin a second in the synthetic trace, of 4 turns on average, with 30 s "
            "of thinking between.",
            ge=0.05,
            le=4.0,
            step=0.05,
            unit="/s",
            when=_TRACE,
            preview=False,
        ),
    ] = 0.5


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """How much of a long conversation's last prompt can be found, from its lengths alone."""
    if params.mode != "chats" or params.turns < 2:
        return
    yield Prediction(
        id="last_block",
        title=Text(zh="每次命中平均差几个 token 到前缀结尾", en="Tokens lost to the last, partial block"),
        value=(params.block_size - 1) / 2,
        unit="token",
        formula=Text(
            zh="（块大小 − 1）÷ 2：前缀按整块取", en="(block size − 1) / 2: only whole blocks count"
        ),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """Serve with the prefix cache and without, and compare."""
    if ctx.preview:
        return
    if params.mode == "chats":
        from labs.prefix_cache.lab_run import run_chats

        yield from run_chats(
            ctx,
            users=params.users,
            turns=params.turns,
            answer_tokens=params.answer_tokens,
            system=params.system,
            block_size=params.block_size,
            blocks=params.blocks,
            weights=params.weights,
        )
    else:
        from labs.prefix_cache.lab_run import run_trace

        yield from run_trace(ctx, params.trace, params.requests, params.rate_per_s)


LAB = Lab(
    id="system/prefix_cache",
    title=Text(zh="前缀缓存", en="The prefix cache"),
    summary=Text(
        zh="多轮对话每一轮都重发全部历史。看真实引擎省下多少预填充、首 token 快多少，以及缓存要多大才够。",
        en="Each turn of a conversation sends its whole history again. See how much prefill the real engine "
        "spares, how much sooner the first token comes, and how large the cache must be.",
    ),
    sections=["1.5.3", "3.1.1"],
    questions=["3.1.1-08"],
    params=Params,
    predict=predict,
    run=run,
    needs_model=False,
    smoke=Params(users=2, turns=2, answer_tokens=2, blocks=64),
    presets=[
        Preset(
            id="history",
            title=Text(zh="一个人聊很久", en="One long conversation"),
            story=Text(
                zh="先猜：第 5 轮的提示词有几成要重算？再看首 token 时间的两条线怎样分开。",
                en="Guess first: how much of turn 5's prompt is computed? Then watch the two curves part.",
            ),
            values={"users": 1, "turns": 5, "answer_tokens": 32},
        ),
        Preset(
            id="shared",
            title=Text(zh="很多人，同一份系统提示词", en="Many users, one system prompt"),
            story=Text(
                zh="六个用户各问一句。第一个人付钱，后面的人搭车：看块图里的共享。",
                en="Six users ask one question each. The first one pays, the others ride along: watch the "
                "shared blocks.",
            ),
            values={"users": 6, "turns": 1, "answer_tokens": 8},
        ),
        Preset(
            id="forgetting",
            title=Text(zh="缓存太小", en="Too small a cache"),
            story=Text(
                zh="32 块装不下几个人的对话。轮到你时，你的历史已被忘掉：命中率离上限差多少？",
                en="32 blocks cannot hold the conversations. When your turn comes your history is forgotten: "
                "how far is the hit ratio from its bound?",
            ),
            values={"users": 4, "turns": 3, "answer_tokens": 16, "blocks": 32},
        ),
        Preset(
            id="fleet",
            title=Text(zh="缓存要多大（模拟）", en="How large must it be (simulated)"),
            story=Text(
                zh="几百个多轮会话打到一台 A100。先猜命中率到一半要多少 KV 空间，再看曲线。",
                en="Hundreds of sessions on one A100. Guess how much KV room gives half the hits, then look.",
            ),
            values={"mode": "trace"},
        ),
    ],
)
