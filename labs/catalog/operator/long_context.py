"""Long contexts: ring attention over real processes, and what a million tokens needs.

Long for its parameters and their texts; what it runs and shows stands in ``labs.distributed``.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset, UsageError
from labs.text import Text, same


class Params(LabParams, frozen=True):
    """A ring here, or a long context on paper."""

    mode: Annotated[
        Literal["ring", "million"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="环：真实的多个进程，每个只拿序列的一段，KV 块绕圈传递。百万 token：按公式算账。",
            en_help="Ring: real processes, each with a part of the sequence, blocks of KV passed round. A "
            "million tokens: the bill, by formulas.",
            choices={
                "ring": Text(zh="环形注意力", en="ring attention"),
                "million": Text(zh="百万 token 的账", en="the bill of a million tokens"),
            },
            preview=False,
        ),
    ] = "ring"
    ranks: Annotated[
        Literal[2, 3, 4],
        Field(
            zh="进程数",
            en="Ranks",
            zh_help="环上有几个进程。多于处理器核时，时间不说明问题，字节与计数照样准确。",
            en_help="Processes on the ring. With more than cores times mean little; bytes and counts stay "
            "exact.",
            choices={"2": same("2"), "3": same("3"), "4": same("4")},
            when={"mode": ["ring"]},
        ),
    ] = 4
    tokens: Annotated[
        int,
        Field(
            zh="序列长度",
            en="Sequence length",
            zh_help="所有进程合起来；须是 2 × 进程数的倍数。",
            en_help="Over all ranks together; a multiple of twice the ranks.",
            ge=96,
            le=8208,
            step=48,
            unit="token",
            when={"mode": ["ring"]},
        ),
    ] = 1536
    layout: Annotated[
        Literal["contiguous", "zigzag", "striped"],
        Field(
            zh="怎样切分",
            en="Layout",
            zh_help="连续：一段一个进程。zigzag：切成两倍的段，一头一尾配给同一进程。条纹：轮流发牌。",
            en_help="Contiguous: a run each. Zigzag: twice as many runs, one from the front with one from "
            "the back. Striped: dealt like cards.",
            choices={
                "contiguous": Text(zh="连续", en="contiguous"),
                "zigzag": same("zigzag"),
                "striped": Text(zh="条纹", en="striped"),
            },
            when={"mode": ["ring"]},
            preview=False,
        ),
    ] = "contiguous"
    causal: Annotated[
        bool,
        Field(
            zh="因果掩码",
            en="Causal",
            zh_help="查询只看自己和之前的键，如语言模型。关掉则人人一样忙。",
            en_help="A query sees itself and what came before, as in a language model. Off: all are equally "
            "busy.",
            when={"mode": ["ring"]},
            preview=False,
        ),
    ] = True
    shape: Annotated[
        Literal[
            "llama-2-7b",
            "llama-3.1-8b",
            "llama-3.1-70b",
            "llama-3.1-405b",
            "qwen2.5-7b",
            "qwen3-30b-a3b",
            "mistral-7b",
            "gpt-oss-120b",
            "deepseek-v3",
        ],
        Field(
            zh="模型",
            en="Model",
            zh_help="按公布的结构；权重 BF16。llama-2-7b 是 MHA，deepseek-v3 是 MLA，gpt-oss 与 mistral "
            "有滑动窗口。",
            en_help="By its published shape, weights in BF16. llama-2-7b has MHA, deepseek-v3 MLA, gpt-oss "
            "and mistral sliding windows.",
            choices={
                name: same(name)
                for name in (
                    "llama-2-7b",
                    "llama-3.1-8b",
                    "llama-3.1-70b",
                    "llama-3.1-405b",
                    "qwen2.5-7b",
                    "qwen3-30b-a3b",
                    "mistral-7b",
                    "gpt-oss-120b",
                    "deepseek-v3",
                )
            },
            when={"mode": ["million"]},
        ),
    ] = "llama-3.1-8b"
    device: Annotated[
        Literal["a100-80gb-sxm", "h100-sxm", "h200-sxm", "b200-sxm", "mi300x"],
        Field(
            zh="设备",
            en="Device",
            zh_help="按数据手册的显存、带宽、BF16 稠密峰值和互连。",
            en_help="Memory, bandwidth, dense BF16 peak and links as its data sheet says.",
            choices={
                "a100-80gb-sxm": same("A100 80 GB"),
                "h100-sxm": same("H100 80 GB"),
                "h200-sxm": same("H200"),
                "b200-sxm": same("B200"),
                "mi300x": same("MI300X"),
            },
            when={"mode": ["million"]},
        ),
    ] = "h100-sxm"
    context: Annotated[
        int,
        Field(
            zh="上下文长度",
            en="Context length",
            zh_help="一条序列的 token 数；1,048,576 即 2 的 20 次方。",
            en_help="Tokens of one sequence; 1,048,576 is 2 to the 20th.",
            ge=8192,
            le=16777216,
            scale="log2",
            unit="token",
            when={"mode": ["million"]},
        ),
    ] = 1048576
    kv_bits: Annotated[
        Literal[16, 8, 4, 2],
        Field(
            zh="KV 位宽",
            en="Bits of KV",
            zh_help="每个数几位，不计 scale。",
            en_help="Bits a number, scales not counted.",
            choices={"16": same("16"), "8": same("8"), "4": same("4"), "2": same("2")},
            when={"mode": ["million"]},
        ),
    ] = 16


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What the ring must send and hold."""
    if params.mode == "ring":
        from labs.distributed.ring_views import predictions

        _check(params)
        yield from predictions(params.ranks, params.tokens, params.layout, params.causal)


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """One mode; the bill follows a slider, the ring runs on release."""
    if params.mode == "million":
        from labs.distributed.long_need import Need
        from labs.distributed.long_views import results
        from labs.simulator.hardware import device
        from labs.simulator.models import model

        yield from results(Need(model(params.shape), device(params.device), params.context, params.kv_bits))
        return
    from labs.distributed.ring_run import run_ring

    _check(params)
    yield from run_ring(
        ctx, ranks=params.ranks, tokens=params.tokens, layout=params.layout, causal=params.causal
    )


def _check(params: Params) -> None:
    """UsageError with the nearest length that can be dealt evenly."""
    runs = 2 * params.ranks
    if params.tokens % runs:
        near = round(params.tokens / runs) * runs
        zh = f"序列长度（tokens）= {params.tokens} 不能均分成 {runs} 段；最接近的是 {near}"
        en = f"tokens = {params.tokens} cannot be divided into {runs} equal runs; nearest: {near}"
        raise UsageError(Text(zh=zh, en=en))


LAB = Lab(
    id="operator/long_context",
    title=Text(zh="长上下文", en="Long contexts"),
    summary=Text(
        zh="环形注意力在真实进程上跑：块绕圈、结果精确、负载如何才均衡；以及百万 token 要多少卡、多少秒。",
        en="Ring attention over real processes: blocks go round, the result is exact, and how work is "
        "balanced; and how many devices and seconds a million tokens takes.",
    ),
    sections=["2.1.3"],
    questions=["2.1.3-07", "2.1.3-08", "2.1.3-09"],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(mode="million"),
    presets=[
        Preset(
            id="ring",
            title=Text(zh="块绕圈走", en="Blocks go round"),
            story=Text(
                zh="四个进程、连续切分。播放：谁在算矩阵的哪一块，谁手里是哪块 KV。先猜：结果差多少？谁最闲？"
                "",
                en="Four ranks, cut contiguously. Play it: who computes which part of the matrix, who "
                "holds which block. Guess first: how far off is the result, and who idles?",
            ),
            values={"layout": "contiguous"},
        ),
        Preset(
            id="zigzag",
            title=Text(zh="zigzag：一头一尾", en="Zigzag: front with back"),
            story=Text(
                zh="同样的序列，每个进程拿一头一尾两段。先猜：各进程的计算差多少？",
                en="The same sequence, a run from the front and one from the back each. Guess how far the "
                "ranks' work differs.",
            ),
            values={"layout": "zigzag"},
        ),
        Preset(
            id="striped",
            title=Text(zh="条纹", en="Stripes"),
            story=Text(
                zh="像发牌一样轮流分。先猜：每一步的矩阵块还是三角形吗？",
                en="Dealt like cards. Guess first: is each step's part of the matrix still a triangle?",
            ),
            values={"layout": "striped"},
        ),
        Preset(
            id="full",
            title=Text(zh="没有因果掩码", en="Without the mask"),
            story=Text(
                zh="每个查询看所有的键，连续切分也均衡。先猜：传的字节变了吗？",
                en="Every query sees all keys, and even contiguous runs are balanced. Guess first: do the "
                "bytes change?",
            ),
            values={"causal": False},
        ),
        Preset(
            id="million",
            title=Text(zh="一百万 token 的账", en="A million tokens"),
            story=Text(
                zh="Llama-3.1-8B、H100、BF16 的 KV。先算：KV 多少 GiB？几块卡？预填充几秒？",
                en="Llama-3.1-8B on H100s, KV in BF16. Work out first: how many GiB of KV, how many "
                "devices, how many seconds of prefill?",
            ),
            values={"mode": "million"},
        ),
        Preset(
            id="mla_million",
            title=Text(zh="MLA 的一百万", en="A million with MLA"),
            story=Text(
                zh="DeepSeek-V3 大得多，KV 反而小。先猜：比 Llama-3.1-8B 大还是小？",
                en="DeepSeek-V3 is far larger and has less KV. Guess: more or less than Llama-3.1-8B?",
            ),
            values={"mode": "million", "shape": "deepseek-v3", "device": "h200-sxm"},
        ),
        Preset(
            id="four_bits",
            title=Text(zh="四位的 KV", en="KV in four bits"),
            story=Text(
                zh="MHA 的 Llama-2-7B，KV 压到 4 位。看斜线下移后在哪里与一块卡的水平线相交。",
                en="Llama-2-7B has MHA; KV in 4 bits. See where the slope now meets the level of one device.",
            ),
            values={"mode": "million", "shape": "llama-2-7b", "kv_bits": 4, "context": 131072},
        ),
    ],
)
