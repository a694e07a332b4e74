"""PagedAttention: block size against speed, waste and sharing; copies on write; the kernel itself.

Long for its parameters and their texts; what it runs and shows stands in ``labs.paging`` and ``labs.ops``.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same


class Params(LabParams, frozen=True):
    """Which side of paging to look at, and with what."""

    mode: Annotated[
        Literal["speed", "waste", "copy_on_write", "kernel"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="速度：分页注意力对连续内存。浪费：块大小对碎片、块表、共享。写时复制：真实的束搜索。"
            "内核：Triton 内核的检查与编译。",
            en_help="Speed: paged attention against contiguous memory. Waste: block size against "
            "fragmentation, tables, sharing. Copy on write: a real beam search. Kernel: checking and "
            "compiling it.",
            choices={
                "speed": Text(zh="速度", en="speed"),
                "waste": Text(zh="浪费", en="waste"),
                "copy_on_write": Text(zh="写时复制", en="copy on write"),
                "kernel": Text(zh="内核", en="kernel"),
            },
            preview=False,
        ),
    ] = "speed"
    block_size: Annotated[
        int,
        Field(
            zh="块大小",
            en="Block size",
            zh_help="一块（页）装多少个 token 的 KV。",
            en_help="Tokens whose KV a block (a page) holds.",
            ge=1,
            le=256,
            scale="log2",
            unit="token",
        ),
    ] = 16
    context: Annotated[
        int,
        Field(
            zh="上下文长度",
            en="Context length",
            zh_help="每条序列已有多少个 token；解码一步要读它们全部的 KV。",
            en_help="Tokens that each sequence has; a decode step reads the KV of all.",
            ge=256,
            le=16384,
            scale="log2",
            unit="token",
            when={"mode": ["speed"]},
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
            le=32,
            scale="log2",
            when={"mode": ["speed"]},
            preview=False,
        ),
    ] = 4
    kv: Annotated[
        Literal["fp32", "bf16", "int8"],
        Field(
            zh="KV 的数字格式",
            en="KV format",
            zh_help="每个数 4、2 或 1 字节；INT8 另有每 token、每头一个 4 字节的缩放因子。",
            en_help="4, 2 or 1 bytes a number; INT8 adds a scale of 4 bytes for each token and head.",
            choices={"fp32": same("FP32"), "bf16": same("BF16"), "int8": same("INT8")},
            when={"mode": ["speed"]},
            preview=False,
        ),
    ] = "fp32"
    order: Annotated[
        Literal["shuffled", "in_order"],
        Field(
            zh="物理块的次序",
            en="Order of the blocks",
            zh_help="打乱：服务了很久之后，一条序列的块散在各处。顺序：刚启动时，块一个挨一个。",
            en_help="Shuffled: after hours of serving a sequence's blocks lie anywhere. In order: just "
            "after the start they are neighbours.",
            choices={
                "shuffled": Text(zh="打乱", en="shuffled"),
                "in_order": Text(zh="顺序", en="in order"),
            },
            when={"mode": ["speed"]},
            preview=False,
        ),
    ] = "shuffled"
    mean_length: Annotated[
        int,
        Field(
            zh="平均长度",
            en="Mean length",
            zh_help="序列自己的 token 数，对数正态分布，最长为平均的 4 倍。",
            en_help="Tokens of a sequence's own, log-normal, at most 4 times the mean.",
            ge=32,
            le=2048,
            scale="log2",
            unit="token",
            when={"mode": ["waste"]},
        ),
    ] = 256
    spread: Annotated[
        float,
        Field(
            zh="长短不一的程度",
            en="Spread of lengths",
            zh_help="变异系数：标准差 ÷ 平均。0 表示一样长。",
            en_help="Coefficient of variation: standard deviation over mean. 0: all alike.",
            ge=0.0,
            le=1.5,
            step=0.1,
            when={"mode": ["waste"]},
        ),
    ] = 0.8
    prefix: Annotated[
        int,
        Field(
            zh="公共前缀",
            en="Common prefix",
            zh_help="每条序列开头相同的 token 数（系统提示词）。只有整块能共享。0 表示没有。",
            en_help="Tokens that all sequences start with (a system prompt). Only whole blocks are "
            "shared. 0: none.",
            ge=0,
            le=512,
            step=10,
            unit="token",
            when={"mode": ["waste"]},
        ),
    ] = 100
    prompt: Annotated[
        str,
        Field(
            zh="提示词",
            en="Prompt",
            zh_help="束搜索续写的问题。模型只懂英语，请写英文。",
            en_help="What the beam search answers. The model knows English only.",
            when={"mode": ["copy_on_write"]},
            preview=False,
        ),
    ] = "Describe the sea in one sentence."
    beams: Annotated[
        int,
        Field(
            zh="束宽",
            en="Beams",
            zh_help="束搜索保留几条最可能的续写。",
            en_help="Likeliest continuations that the search keeps.",
            ge=2,
            le=8,
            step=1,
            when={"mode": ["copy_on_write"]},
            preview=False,
        ),
    ] = 4
    new_tokens: Annotated[
        int,
        Field(
            zh="最多生成",
            en="New tokens at most",
            zh_help="每条束的上限。",
            en_help="The limit of each beam.",
            ge=2,
            le=128,
            scale="log2",
            unit="token",
            when={"mode": ["copy_on_write"]},
            preview=False,
        ),
    ] = 32
    head_dim: Annotated[
        Literal[64, 128],
        Field(
            zh="头维度",
            en="Head dimension",
            zh_help="编译内核用的头维度：Llama 3 是 128，本应用的模型是 64。",
            en_help="What the kernel is compiled for: 128 in Llama 3, 64 in the model of this app.",
            choices={"64": same("64"), "128": same("128")},
            when={"mode": ["kernel"]},
            preview=False,
        ),
    ] = 128
    group: Annotated[
        int,
        Field(
            zh="每个 KV 头的查询头数",
            en="Query heads a KV head",
            zh_help="GQA 的组大小：KV 读一次，供这么多查询头用。Llama-3-8B 是 4。",
            en_help="The group of GQA: KV is read once for so many query heads. 4 in Llama-3-8B.",
            ge=1,
            le=16,
            scale="log2",
            when={"mode": ["kernel"]},
            preview=False,
        ),
    ] = 4


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What the formulas say of the chosen mode's first figure."""
    from labs.formulas.kv_cache import bytes_per_token

    config = ctx.model_config()
    shape = {"kv_heads": config.kv_heads, "head_dim": config.head_dim}
    if params.mode == "speed":
        from labs.formulas.paged_attention import decode_traffic

        element = {"fp32": 4.0, "bf16": 2.0, "int8": 1 + 4 / config.head_dim}[params.kv]
        lengths = [params.context] * params.batch
        traffic = decode_traffic(lengths, heads=config.heads, kv_element_bytes=element, **shape)
        yield Prediction(
            id="kv_bytes",
            title=Text(zh="一层注意力要读的 KV", en="KV that one layer's attention reads"),
            value=traffic.kv_bytes,
            unit="B",
            formula=Text(
                zh="2 × 序列数 × 上下文 × KV 头数 × 头维度 × 每个数的字节",
                en="2 × sequences × context × KV heads × head dim × bytes a number",
            ),
        )
    elif params.mode == "waste":
        from labs.formulas.kv_cache import expected_last_block_waste
        from labs.formulas.paged_attention import shared_prefix_tokens

        empty = expected_last_block_waste(params.block_size)
        own = params.mean_length + params.prefix - shared_prefix_tokens(params.prefix, params.block_size)
        yield Prediction(
            id="waste",
            title=Text(zh="已分配却空着的槽", en="Slots allocated and empty"),
            value=100 * empty / (own + empty),
            unit="%",
            formula=Text(
                zh="(块大小 − 1)/2 ÷ (自己的平均 token 数 + (块大小 − 1)/2)",
                en="(block size - 1)/2 / (mean own tokens + (block size - 1)/2)",
            ),
        )
    elif params.mode == "copy_on_write":
        each = bytes_per_token(layers=config.layers, bytes_per_element=4, **shape)
        yield Prediction(
            id="block_bytes",
            title=Text(zh="一块的字节", en="Bytes of a block"),
            value=each * params.block_size,
            unit="B",
            formula=Text(
                zh="块大小 × 2 × 层数 × KV 头数 × 头维度 × 4 B",
                en="block size × 2 × layers × KV heads × head dim × 4 B",
            ),
        )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """One mode; only the waste of block sizes is cheap enough to follow a slider."""
    if params.mode == "waste":
        from labs.paging.waste_mode import run_waste

        yield from run_waste(
            ctx,
            block_size=params.block_size,
            mean=params.mean_length,
            spread=params.spread,
            prefix=params.prefix,
        )
    elif ctx.preview:
        return
    elif params.mode == "speed":
        from labs.paging.speed import run_speed

        yield from run_speed(
            ctx,
            block_size=params.block_size,
            context=params.context,
            batch=params.batch,
            kv=params.kv,
            order=params.order,
        )
    elif params.mode == "copy_on_write":
        from labs.paging.beam_copies import run_beams

        yield from run_beams(
            ctx,
            prompt=params.prompt,
            beams=params.beams,
            new_tokens=params.new_tokens,
            block_size=params.block_size,
        )
    else:
        from labs.paging.kernel_mode import run_kernel

        yield from run_kernel(ctx, head_dim=params.head_dim, group=params.group, block_size=params.block_size)


LAB = Lab(
    id="operator/paged_attention",
    title=Text(zh="PagedAttention", en="PagedAttention"),
    summary=Text(
        zh="KV 分块之后：还浪费多少，注意力慢多少，束搜索少复制多少，内核怎样边查表边读。",
        en="KV in blocks of a fixed size: what is still wasted, what attention pays, what beam search no "
        "longer copies, and how a kernel looks blocks up as it reads.",
    ),
    sections=["2.1.2"],
    questions=[f"2.1.2-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(mode="copy_on_write", beams=2, new_tokens=6, block_size=4),
    presets=[
        Preset(
            id="block_size_speed",
            title=Text(zh="块多小会变慢", en="How small is too slow"),
            story=Text(
                zh="同一个内核，块从 1 到 256 个 token，块打乱。先猜：从多大起追平连续内存？",
                en="One kernel, blocks of 1 to 256 tokens, shuffled. Guess first: from which size on does "
                "it keep up with contiguous memory?",
            ),
            values={"mode": "speed", "block_size": 16},
        ),
        Preset(
            id="in_order",
            title=Text(zh="块还排着队", en="Blocks still in order"),
            story=Text(
                zh="刚启动时物理块一个挨一个：地址连续，只多查一次表。先猜：小块还慢吗？慢的是查表，还是散？",
                en="Just after the start blocks are neighbours: contiguous addresses, and a look-up. Guess "
                "first: are small ones still slow? Is it the look-up that costs, or the scattering?",
            ),
            values={"mode": "speed", "order": "in_order"},
        ),
        Preset(
            id="int8_kv",
            title=Text(zh="INT8 的 KV", en="KV in INT8"),
            story=Text(
                zh="KV 只有四分之一，一行 64 字节。先猜：块小的代价更大还是更小？",
                en="A quarter of the bytes, 64 to a row. Guess first: do small blocks cost more now, or "
                "less?",
            ),
            values={"mode": "speed", "kv": "int8"},
        ),
        Preset(
            id="waste",
            title=Text(zh="块多大会浪费", en="How large wastes"),
            story=Text(
                zh="平均 256 个 token 的序列装满一个池。拖动块大小，看空槽、块表、"
                "能共享的前缀和并发数一起变。",
                en="Sequences of 256 tokens on average fill a pool. Drag the block size and watch empty "
                "slots, tables, the shared prefix and concurrency change together.",
            ),
            values={"mode": "waste"},
        ),
        Preset(
            id="short_answers",
            title=Text(zh="短序列、大块", en="Short sequences, large blocks"),
            story=Text(
                zh="平均只有 64 个 token，块却有 128。先算：浪费几成？",
                en="64 tokens on average and blocks of 128. Work out the waste first.",
            ),
            values={"mode": "waste", "mean_length": 64, "block_size": 128, "prefix": 0},
        ),
        Preset(
            id="beam_search",
            title=Text(zh="束搜索的写时复制", en="Copy on write in beam search"),
            story=Text(
                zh="四条束不断分叉、被剪。先猜：写时复制比每步重排整个缓存少复制几倍？",
                en="Four beams fork and are pruned. Guess first: how many times less is copied on write "
                "than by rebuilding the caches at each step?",
            ),
            values={"mode": "copy_on_write"},
        ),
        Preset(
            id="kernel",
            title=Text(zh="没有 GPU 也能查内核", en="The kernel without a GPU"),
            story=Text(
                zh="Triton 内核在解释器里对照朴素公式，逐地址数它读的字节，再编译给 A100 到 B200 "
                "看寄存器与共享内存。",
                en="The Triton kernel against the naive formula in the interpreter, its loads counted by "
                "address; then compiled for A100 to B200: registers and shared memory.",
            ),
            values={"mode": "kernel"},
        ),
    ],
)
