"""FlashAttention walked through on real numbers; its traffic counted, its time and memory measured, its tiles
compiled, its versions compared.

Long for its parameters and their texts; what it runs and shows stands in ``labs.attention.tiled``.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same


class Params(LabParams, frozen=True):
    """Which side of FlashAttention to look at, and with what."""

    mode: Annotated[
        Literal["walk", "traffic", "speed", "tile", "versions"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="走一遍：逐步看分块与在线 softmax。流量：数内核读写的字节。速度：本机的时间与内存。"
            "块大小：编译给 GPU 看寄存器与共享内存。版本：v1 到 v4 各改了什么。",
            en_help="Walk: tiles and online softmax step by step. Traffic: bytes that the kernels load and "
            "store. Speed: time and memory here. Tile: registers and shared memory on GPUs. Versions: what "
            "v1 "
            "to v4 changed.",
            choices={
                "walk": Text(zh="走一遍", en="walk"),
                "traffic": Text(zh="流量", en="traffic"),
                "speed": Text(zh="速度", en="speed"),
                "tile": Text(zh="块大小", en="tile"),
                "versions": Text(zh="版本", en="versions"),
            },
            preview=False,
        ),
    ] = "walk"
    source: Annotated[
        Literal["model", "typed"],
        Field(
            zh="数从哪来",
            en="Numbers from",
            zh_help="模型：模型某一层读文本时的 Q、K、V。手写：你写的数当作一个查询的分数。",
            en_help="Model: Q, K and V of a layer while it reads the text. Typed: your numbers are the "
            "scores "
            "of one query.",
            choices={"model": Text(zh="模型", en="the model"), "typed": Text(zh="手写", en="typed")},
            when={"mode": ["walk"]},
        ),
    ] = "model"
    text: Annotated[
        str,
        Field(
            zh="文本",
            en="Text",
            zh_help="模型读的文本。模型只懂英语。",
            en_help="What the model reads. It knows English only.",
            when={"mode": ["walk"], "source": ["model"]},
            preview=False,
        ),
    ] = (
        "Attention compares every token of a text with all tokens before it. The table of scores grows with "
        "the square of the length, and so does the memory that it takes. A kernel that works in tiles keeps "
        "only a small piece of the table at a time."
    )
    numbers: Annotated[
        str,
        Field(
            zh="分数",
            en="Scores",
            zh_help="2 到 32 个数，用空格分开：一个查询对各个键的分数。值依次是 1、2、3……",
            en_help="2 to 32 numbers: the scores of one query against its keys. The values are 1, 2, 3, ...",
            when={"mode": ["walk"], "source": ["typed"]},
        ),
    ] = "1 3 2 8 4 12 5 6"
    layer: Annotated[
        int,
        Field(
            zh="层",
            en="Layer",
            zh_help="取模型哪一层的 Q、K、V，从 0 数起。",
            en_help="The layer whose Q, K and V are taken, from 0.",
            ge=0,
            le="last_layer",
            step=1,
            when={"mode": ["walk", "versions"]},
            preview=False,
        ),
    ] = 11
    head: Annotated[
        int,
        Field(
            zh="头",
            en="Head",
            zh_help="哪个查询头，从 0 数起。默认模型有 9 个。",
            en_help="Which query head, from 0. The default model has 9.",
            ge=0,
            le=127,
            step=1,
            when={"mode": ["walk", "versions"]},
            preview=False,
        ),
    ] = 0
    tokens: Annotated[
        int,
        Field(
            zh="最多几个 token",
            en="Tokens at most",
            zh_help="只取文本开头这么多。",
            en_help="Only so many from the text's begin.",
            ge=2,
            le=48,
            step=1,
            unit="token",
            when={"mode": ["walk"], "source": ["model"]},
            preview=False,
        ),
    ] = 48
    order: Annotated[
        Literal["queries_outer", "keys_outer"],
        Field(
            zh="循环序",
            en="Loop order",
            zh_help="v2：外层走 Q 的块，O 留在片上。v1：外层走 K、V 的块，O 每次读出再写回。",
            en_help="v2: blocks of Q outside, O stays on the chip. v1: tiles of K and V outside, O goes in "
            "and "
            "out.",
            choices={"queries_outer": same("v2"), "keys_outer": same("v1")},
            when={"mode": ["walk"]},
        ),
    ] = "queries_outer"
    block: Annotated[
        int,
        Field(
            zh="Q 块的行数",
            en="Rows of a Q block",
            zh_help="走一遍时一块有几个查询。",
            en_help="Queries of a block in the walk.",
            ge=1,
            le=48,
            step=1,
            when={"mode": ["walk"]},
        ),
    ] = 16
    keys: Annotated[
        int,
        Field(
            zh="K 块的行数",
            en="Keys of a tile",
            zh_help="走一遍时一次看几个键。",
            en_help="Keys seen at a time in the walk.",
            ge=1,
            le=48,
            step=1,
            when={"mode": ["walk"]},
        ),
    ] = 8
    causal: Annotated[
        bool,
        Field(
            zh="因果掩码",
            en="Causal",
            zh_help="查询只看自己和它之前的键；整块都被遮住的不算。手写的数不用它。",
            en_help="A query sees itself and the keys before it; tiles wholly hidden are skipped. Not for "
            "typed numbers.",
            when={"mode": ["walk", "traffic"]},
        ),
    ] = True
    query: Annotated[
        int,
        Field(
            zh="跟着第几个查询",
            en="Query to follow",
            zh_help="画出它的 m 与 ℓ；超出时取最后一个。",
            en_help="Its m and ℓ are drawn; the last one if there are fewer.",
            ge=1,
            le=48,
            step=1,
            when={"mode": ["walk"]},
        ),
    ] = 44
    rows: Annotated[
        Literal[16, 32, 64, 128, 256],
        Field(
            zh="Q 块的行数",
            en="Rows of a Q block",
            zh_help="内核的一个线程块管多少个查询。",
            en_help="Queries of one program of the kernel.",
            choices={str(size): same(str(size)) for size in (16, 32, 64, 128, 256)},
            when={"mode": ["traffic", "tile"]},
            preview=False,
        ),
    ] = 128
    columns: Annotated[
        Literal[16, 32, 64, 128],
        Field(
            zh="K 块的行数",
            en="Keys of a tile",
            zh_help="内核一次读多少个键和值。",
            en_help="Keys and values that the kernel loads at a time.",
            choices={str(size): same(str(size)) for size in (16, 32, 64, 128)},
            when={"mode": ["traffic", "tile"]},
            preview=False,
        ),
    ] = 64
    length: Annotated[
        int,
        Field(
            zh="序列长度",
            en="Sequence length",
            zh_help="内核在解释器里真的跑这么长；更长的由公式画出。",
            en_help="So long a sequence is really run in the interpreter; longer ones are drawn by the "
            "formula.",
            ge=128,
            le=1024,
            scale="log2",
            unit="token",
            when={"mode": ["traffic"]},
        ),
    ] = 256
    context: Annotated[
        int,
        Field(
            zh="序列长度",
            en="Sequence length",
            zh_help="一条序列的预填充，头数取模型的。",
            en_help="The prefill of one sequence, with the heads of the model.",
            ge=1024,
            le=131072,
            scale="log2",
            unit="token",
            when={"mode": ["versions"]},
        ),
    ] = 8192
    longest: Annotated[
        int,
        Field(
            zh="最长",
            en="Longest",
            zh_help="从 256 起逐次翻倍，到这么长。8192 时朴素实现要 5 GB 内存。",
            en_help="Doubling from 256 up to this. At 8192 naive takes 5 GB.",
            ge=256,
            le=8192,
            scale="log2",
            unit="token",
            when={"mode": ["speed"]},
            preview=False,
        ),
    ] = 2048
    compiled: Annotated[
        bool,
        Field(
            zh="也用 Inductor 编译",
            en="Also compile with Inductor",
            zh_help="每个长度编译一次，第一次要几十秒；要有 g++。",
            en_help="Compiled once a length, some ten seconds the first time; needs g++.",
            when={"mode": ["speed"]},
            preview=False,
        ),
    ] = False
    target: Annotated[
        Literal["sm_80", "sm_89", "sm_90", "sm_100", "sm_120", "gfx942"],
        Field(
            zh="编译给",
            en="Compile for",
            zh_help="目标 GPU 的架构，不需要它在这里。",
            en_help="The architecture; no such GPU is needed.",
            choices={
                "sm_80": same("sm_80 (A100)"),
                "sm_89": same("sm_89 (L40S, RTX 4090)"),
                "sm_90": same("sm_90 (H100)"),
                "sm_100": same("sm_100 (B200)"),
                "sm_120": same("sm_120 (RTX 5090)"),
                "gfx942": same("gfx942 (MI300X)"),
            },
            when={"mode": ["tile"]},
            preview=False,
        ),
    ] = "sm_90"
    head_dim: Annotated[
        Literal[64, 128],
        Field(
            zh="头维度",
            en="Head dimension",
            zh_help="d：每个头的宽度。Llama 3 是 128。",
            en_help="d: the width of a head. 128 in Llama 3.",
            choices={"64": same("64"), "128": same("128")},
            when={"mode": ["tile", "versions"]},
            preview=False,
        ),
    ] = 128
    warps: Annotated[
        Literal[4, 8],
        Field(
            zh="线程束",
            en="Warps",
            zh_help="一个线程块的线程束（32 线程一束）。多了，每线程分到的累加器就少。",
            en_help="Of a block, of 32 threads each. With more of them a thread holds less of S and O.",
            choices={"4": same("4"), "8": same("8")},
            when={"mode": ["tile"]},
            preview=False,
        ),
    ] = 8
    stages: Annotated[
        Literal[1, 2, 3],
        Field(
            zh="流水线级数",
            en="Pipeline stages",
            zh_help="同时在共享内存里的 K、V 块数：算这一块时，下一块已在路上。",
            en_help="Tiles of K and V in shared memory at once: the next is on its way while one is used.",
            choices={"1": same("1"), "2": same("2"), "3": same("3")},
            when={"mode": ["tile"]},
            preview=False,
        ),
    ] = 2
    chip: Annotated[
        Literal["a100", "h100", "b200"],
        Field(
            zh="芯片",
            en="Chip",
            zh_help="按它的矩阵与指数速率排时间表。",
            en_help="The schedule goes by its rates of products and exponentials.",
            choices={"a100": same("A100"), "h100": same("H100"), "b200": same("B200")},
            when={"mode": ["versions"]},
        ),
    ] = "h100"


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What the formulas say of the chosen mode's first figure."""
    from labs.attention.tiled.predictions import predictions

    yield from predictions(params, ctx)


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """One mode."""
    if params.mode == "walk":
        from labs.attention.tiled.walk_mode import run_walk

        yield from run_walk(
            ctx,
            source=params.source,
            text=params.text,
            numbers=params.numbers,
            layer=params.layer,
            head=params.head,
            tokens=params.tokens,
            order=params.order,
            rows=params.block,
            columns=params.keys,
            causal=params.causal,
            query=params.query,
        )
    elif params.mode == "traffic":
        from labs.attention.tiled.traffic_mode import run_traffic

        yield from run_traffic(
            ctx, length=params.length, rows=params.rows, columns=params.columns, causal=params.causal
        )
    elif params.mode == "speed":
        from labs.attention.tiled.speed_mode import run_speed

        yield from run_speed(ctx, longest=params.longest, compiled=params.compiled)
    elif params.mode == "tile":
        from labs.attention.tiled.tile_mode import run_tile

        yield from run_tile(
            ctx,
            target=params.target,
            dim=params.head_dim,
            rows=params.rows,
            columns=params.columns,
            warps=params.warps,
            stages=params.stages,
        )
    else:
        from labs.attention.tiled.versions_mode import run_versions

        yield from run_versions(
            ctx,
            chip=params.chip,
            dim=params.head_dim,
            length=params.context,
            batch=1,
            layer=params.layer,
            head=params.head,
        )


LAB = Lab(
    id="operator/flash_attention",
    title=Text(zh="FlashAttention", en="FlashAttention"),
    summary=Text(
        zh="不写出注意力矩阵也能算出同样的结果：逐步走一遍，数它读写的字节，量它的时间与内存，编译看块大小，"
        "比较各版本。",
        en="The same result without the matrix: walked step by step, its bytes counted, its time and memory "
        "measured, its tiles compiled, its versions compared.",
    ),
    sections=["2.1.1"],
    questions=[f"2.1.1-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    needs_model=True,
    smoke=Params(mode="walk", tokens=10, block=4, keys=3),
    presets=[
        Preset(
            id="walk",
            title=Text(zh="走一遍 v2", en="Walk through v2"),
            story=Text(
                zh="真实的 Q、K、V，一块一块地算。先猜：整个过程里，S 被写进内存几个数？",
                en="Real Q, K and V, a tile at a time. Guess first: how many numbers of S are written to "
                "memory?",
            ),
            values={"mode": "walk"},
        ),
        Preset(
            id="online_softmax",
            title=Text(zh="一行数的在线 softmax", en="Online softmax of a row"),
            story=Text(
                zh="一行分数，每次看两个，中间藏着一个 12。先算：看到 12 时，之前的和要乘多少？",
                en="A row of scores, two at a time, with a 12 in it. Work out first: by what is the sum so "
                "far multiplied when the 12 comes?",
            ),
            values={"mode": "walk", "source": "typed", "keys": 2, "block": 1, "query": 1},
        ),
        Preset(
            id="walk_v1",
            title=Text(zh="换成 v1 的循环序", en="v1's loop order"),
            story=Text(
                zh="同样的数，外层换成 K、V。先猜：哪个张量开始反复进出内存？",
                en="The same numbers, with K and V outside. Guess first: which tensor now goes in and out of "
                "memory?",
            ),
            values={"mode": "walk", "order": "keys_outer"},
        ),
        Preset(
            id="traffic",
            title=Text(zh="数内核的字节", en="Count the kernels' bytes"),
            story=Text(
                zh="Triton 内核在解释器里跑，逐地址数它的读写，与公式对照。先算：块高一倍，v2 的流量变多少？",
                en="The Triton kernels run in the interpreter, each load and store counted by address beside "
                "the formula. Work out first: what does twice the rows make of v2's traffic?",
            ),
            values={"mode": "traffic"},
        ),
        Preset(
            id="speed",
            title=Text(zh="长度翻倍", en="Twice the length"),
            story=Text(
                zh="朴素、分块循环、融合内核，在本机上量。先猜：长度翻倍，时间和额外内存各乘几？",
                en="Naive, tiled loops and a fused kernel on this machine. Guess first: what does doubling "
                "the length do to time, and to extra memory?",
            ),
            values={"mode": "speed"},
        ),
        Preset(
            id="tile",
            title=Text(zh="块多大合适", en="How large a tile"),
            story=Text(
                zh="同一个内核，七种块，编译给 H100。先猜：先撞墙的是寄存器还是共享内存？",
                en="One kernel with seven tiles, compiled for H100. Guess first: which ends first, registers "
                "or shared memory?",
            ),
            values={"mode": "tile"},
        ),
        Preset(
            id="tile_a100",
            title=Text(zh="换到 A100", en="On an A100"),
            story=Text(
                zh="同样的块，没有 wgmma，共享内存少四分之一。看哪几行开始溢出。",
                en="The same tiles without wgmma and with a quarter less shared memory: see which rows "
                "spill.",
            ),
            values={"mode": "tile", "target": "sm_80"},
        ),
        Preset(
            id="versions",
            title=Text(zh="v1 到 v4", en="From v1 to v4"),
            story=Text(
                zh="每一版拿走了一个瓶颈。先猜：H100 上，softmax 的指数要花矩阵乘几成的时间？",
                en="Each version took one bottleneck away. Guess first: on H100, what share of the products' "
                "time do the exponentials take?",
            ),
            values={"mode": "versions"},
        ),
        Preset(
            id="blackwell",
            title=Text(zh="指数成了瓶颈", en="Exponentials in the way"),
            story=Text(
                zh="B200 的矩阵单元快一倍，指数单元没变，头维度 64。先猜：乒乓还盖得住指数吗？",
                en="B200 doubles the products and leaves the exponentials; heads of 64. Guess first: can "
                "ping-pong still hide them?",
            ),
            values={"mode": "versions", "chip": "b200", "head_dim": 64},
        ),
    ],
)
