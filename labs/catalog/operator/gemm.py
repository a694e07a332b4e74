"""Matrix products: a ladder from three naive loops to the machine's peak, and what surrounds them.

Long for its parameters and their texts; what it runs and shows stands in ``labs.gemm``.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, Preset
from labs.text import Text, same


class Params(LabParams, frozen=True):
    """Which side of matrix products to look at, and with what."""

    mode: Annotated[
        Literal["ladder", "tile_size", "loops", "pipeline", "strassen", "tensor_cores", "model"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="梯子：从三重循环到峰值，一级修一处。块大小：速度与访存。循环回放：每步碰到哪里、缺什么。"
            "流水线：GPU 内核怎样边装边算。Strassen：从多大起划算。Tensor Core：类型与对齐。"
            "模型：GEMM 占真实模型多少时间。",
            en_help="Ladder: from three loops to the peak, a fix a rung. Tile size: speed and traffic. Loop "
            "replay: what each step touches and misses. Pipeline: how a GPU kernel loads while it computes. "
            "Strassen: from which size it pays. Tensor Cores: types and alignment. Model: GEMM's share of "
            "the real model's time.",
            choices={
                "ladder": Text(zh="梯子", en="ladder"),
                "tile_size": Text(zh="块大小", en="tile size"),
                "loops": Text(zh="循环回放", en="loop replay"),
                "pipeline": Text(zh="流水线", en="pipeline"),
                "strassen": same("Strassen"),
                "tensor_cores": same("Tensor Core"),
                "model": Text(zh="真实模型", en="real model"),
            },
            preview=False,
        ),
    ] = "ladder"
    m: Annotated[
        int,
        Field(
            zh="m：A 与 C 的行数",
            en="m: rows of A and C",
            zh_help="线性层里是 token 数：预填充几百上千，解码是批大小。",
            en_help="In a linear layer the tokens: hundreds in prefill, the batch in decode.",
            ge=1,
            le=4096,
            scale="log2",
            when={"mode": ["ladder", "tensor_cores"]},
        ),
    ] = 768
    n: Annotated[
        int,
        Field(
            zh="n：B 与 C 的列数",
            en="n: columns of B and C",
            zh_help="线性层的输出宽度。",
            en_help="The output width of a linear layer.",
            ge=16,
            le=16384,
            scale="log2",
            when={"mode": ["ladder", "tensor_cores"]},
        ),
    ] = 768
    k: Annotated[
        int,
        Field(
            zh="k：要相加的维度",
            en="k: the summed dimension",
            zh_help="线性层的输入宽度；C 的每个数是 k 个乘积之和。",
            en_help="The input width of a linear layer; a number of C is the sum of k products.",
            ge=16,
            le=16384,
            scale="log2",
            when={"mode": ["ladder", "tensor_cores"]},
        ),
    ] = 768
    tile: Annotated[
        int,
        Field(
            zh="缓存块的边长",
            en="Cache tile",
            zh_help="B 被切成这么大的方块，一块留在缓存里，A 的各行从旁经过。",
            en_help="B is cut into squares of this side; one stays in the cache while the rows of A pass.",
            ge=8,
            le=512,
            scale="log2",
            when={"mode": ["ladder"]},
            preview=False,
        ),
    ] = 128
    threads: Annotated[
        int,
        Field(
            zh="线程数",
            en="Threads",
            zh_help="最后一级与 torch 用几个线程；0 表示全部。",
            en_help="Of the last rung and of torch; 0 means all.",
            ge=0,
            le=64,
            step=1,
            when={"mode": ["ladder"]},
            preview=False,
        ),
    ] = 0
    size: Annotated[
        int,
        Field(
            zh="方阵边长",
            en="Size",
            zh_help="块大小：三边都是它。Strassen：从 256 起逐次翻倍到这么大。",
            en_help="Tile size: all three sides. Strassen: doubles from 256 up to this.",
            ge=512,
            le=4096,
            scale="log2",
            when={"mode": ["tile_size", "strassen"]},
            preview=False,
        ),
    ] = 1024
    levels: Annotated[
        int,
        Field(
            zh="Strassen 的层数",
            en="Levels of Strassen",
            zh_help="每层把 8 个半边长的乘法换成 7 个，外加 18 次加法。",
            en_help="Each level trades 8 products of half the size for 7, and 18 sums.",
            ge=1,
            le=3,
            step=1,
            when={"mode": ["strassen"]},
            preview=False,
        ),
    ] = 2
    order: Annotated[
        Literal["ijk", "ikj", "tiled"],
        Field(
            zh="循环序",
            en="Loop order",
            zh_help="ijk：沿 B 的列。ikj：沿 B 的行。分块：B 一块一块地来。",
            en_help="ijk: down columns of B. ikj: along its rows. Tiles: B tile by tile.",
            choices={
                "ijk": same("ijk"),
                "ikj": same("ikj"),
                "tiled": Text(zh="分块", en="tiled"),
            },
            when={"mode": ["loops"]},
        ),
    ] = "tiled"
    small: Annotated[
        int,
        Field(
            zh="小方阵的边长",
            en="Small size",
            zh_help="小到能逐步看；缓存也按比例缩小。",
            en_help="Small enough to be watched; the cache is scaled down with it.",
            ge=16,
            le=48,
            step=8,
            when={"mode": ["loops"]},
        ),
    ] = 32
    small_tile: Annotated[
        int,
        Field(
            zh="块的边长",
            en="Tile",
            zh_help="B 的块；(边长² + 2 × 边长) ÷ 8 行要装进缓存。",
            en_help="Of B; (side² + 2 × side) / 8 lines must fit the cache.",
            ge=2,
            le=48,
            step=2,
            when={"mode": ["loops"]},
        ),
    ] = 8
    cache_lines: Annotated[
        int,
        Field(
            zh="缓存的行数",
            en="Cache lines",
            zh_help="每行 8 个数，全相联，最久没用的先走（LRU）。",
            en_help="Of 8 numbers each, fully associative, least recently used out first.",
            ge=8,
            le=256,
            step=4,
            when={"mode": ["loops"]},
        ),
    ] = 24
    chip: Annotated[
        Literal["a100", "h100"],
        Field(
            zh="GPU",
            en="GPU",
            zh_help="带宽、峰值、SM 数、共享内存按公布的数据。",
            en_help="Bandwidth, peak, SMs and shared memory as published.",
            choices={"a100": same("A100 80 GB SXM"), "h100": same("H100 SXM")},
            when={"mode": ["pipeline", "tensor_cores"]},
        ),
    ] = "a100"
    tile_m: Annotated[
        int,
        Field(
            zh="tile_m",
            en="tile_m",
            zh_help="一个线程块算 C 的多少行。",
            en_help="Rows of C that a thread block computes.",
            ge=16,
            le=256,
            scale="log2",
            when={"mode": ["pipeline"]},
        ),
    ] = 128
    tile_n: Annotated[
        int,
        Field(
            zh="tile_n",
            en="tile_n",
            zh_help="一个线程块算 C 的多少列。",
            en_help="Columns of C that a thread block computes.",
            ge=16,
            le=256,
            scale="log2",
            when={"mode": ["pipeline"]},
        ),
    ] = 128
    tile_k: Annotated[
        int,
        Field(
            zh="tile_k",
            en="tile_k",
            zh_help="一步沿 k 走多远；A、B 的块都这么深。",
            en_help="How far a step goes along k: the depth of the tiles of A and B.",
            ge=16,
            le=128,
            scale="log2",
            when={"mode": ["pipeline"]},
        ),
    ] = 32
    stages: Annotated[
        int,
        Field(
            zh="流水线级数",
            en="Stages",
            zh_help="共享内存里有几个缓冲：1 没有重叠，2 是双缓冲。Triton 的 num_stages。",
            en_help="Buffers in shared memory: 1 overlaps nothing, 2 is double buffering. Triton's "
            "num_stages.",
            ge=1,
            le=8,
            step=1,
            when={"mode": ["pipeline"]},
        ),
    ] = 3
    latency_ns: Annotated[
        int,
        Field(
            zh="访存延迟",
            en="Load latency",
            zh_help="请求到第一个字节到达要多久。随芯片、负载与命中 L2 与否而变，所以是参数，不是引用值。",
            en_help="From the request to the first byte. It varies with chip, load and L2 hits: a "
            "parameter, not a citation.",
            ge=100,
            le=2000,
            step=50,
            unit="ns",
            when={"mode": ["pipeline"]},
        ),
    ] = 600
    l2_hit: Annotated[
        int,
        Field(
            zh="L2 命中率",
            en="L2 hits",
            zh_help="多少装载由 L2 供给、不占显存带宽：相邻的块共用 A 的行或 B 的列。",
            en_help="Loads that L2 serves without using memory's bandwidth: neighbouring tiles share rows "
            "of A or columns of B.",
            ge=0,
            le=95,
            step=5,
            unit="%",
            when={"mode": ["pipeline"]},
        ),
    ] = 75
    tokens: Annotated[
        int,
        Field(
            zh="提示词长度",
            en="Prompt tokens",
            zh_help="预填充多少 token；解码时它们是上下文。",
            en_help="Tokens of the prefill; in decode they are the context.",
            ge=16,
            le=1024,
            scale="log2",
            unit="token",
            when={"mode": ["model"]},
            preview=False,
        ),
    ] = 256
    batch: Annotated[
        int,
        Field(
            zh="解码的批大小",
            en="Decode batch",
            zh_help="与单条解码相比的那一批有几条序列。",
            en_help="Sequences of the batch that is compared with a single one.",
            ge=2,
            le=32,
            scale="log2",
            when={"mode": ["model"]},
            preview=False,
        ),
    ] = 8


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What the formulas say of the chosen mode's first figure."""
    from labs.gemm.predictions import predictions

    yield from predictions(params, ctx)


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """One mode; those that compute no time are cheap enough to follow a slider."""
    if params.mode == "loops":
        from labs.gemm.loops_mode import run_loops

        sizes = {"size": params.small, "tile": params.small_tile, "cache_lines": params.cache_lines}
        yield from run_loops(ctx, order=params.order, **sizes)
    elif params.mode == "pipeline":
        from labs.gemm.pipeline import pipeline
        from labs.gemm.pipeline_mode import run_pipeline

        tiles = (params.tile_m, params.tile_n, params.tile_k, params.stages)
        pipe = pipeline(params.chip, *tiles, params.latency_ns * 1e-9, params.l2_hit / 100)
        yield from run_pipeline(params.chip, pipe)
    elif params.mode == "tensor_cores":
        from labs.gemm.tensor_core_mode import run_tensor_cores

        yield from run_tensor_cores(ctx, chip=params.chip, m=params.m, n=params.n, k=params.k)
    elif ctx.preview:  # a time measured while a slider moves would be no measurement
        return
    elif params.mode == "ladder":
        from labs.gemm.ladder import run_ladder

        shape = {"m": params.m, "n": params.n, "k": params.k}
        yield from run_ladder(ctx, **shape, tile=params.tile, thread_count=params.threads)
    elif params.mode == "tile_size":
        from labs.gemm.tile_mode import run_tiles

        yield from run_tiles(ctx, size=params.size)
    elif params.mode == "strassen":
        from labs.gemm.strassen_mode import run_strassen

        yield from run_strassen(ctx, size=params.size, levels=params.levels)
    else:
        from labs.gemm.model_mode import run_model

        yield from run_model(ctx, tokens=params.tokens, batch=params.batch)


LAB = Lab(
    id="operator/gemm",
    title=Text(zh="GEMM：从三重循环到峰值", en="GEMM: from three loops to the peak"),
    summary=Text(
        zh="同一组乘加，循环序、分块、寄存器、打包、向量与线程各修一处，一级级爬到本机实测的峰值；再看流水线"
        "、Strassen、Tensor Core，以及 GEMM 占真实模型多少时间。",
        en="The same multiply-adds: loop order, tiles, registers, packing, vectors and threads each mend "
        "one thing, up to the measured peak; then pipelines, Strassen, Tensor Cores, and GEMM's share of "
        "the real model's time.",
    ),
    sections=["2.3.1"],
    questions=[f"2.3.1-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(m=96, n=96, k=96, tile=32),
    presets=[
        Preset(
            id="ladder",
            title=Text(zh="爬梯子", en="Up the ladder"),
            story=Text(
                zh="768 的方阵，从三重循环到多线程微内核。先猜：最上一级比最下一级快几倍？哪一步最大？",
                en="Squares of 768, from three loops to a threaded micro-kernel. Guess first: how many times "
                "between top and bottom, and which step is the largest?",
            ),
            values={"mode": "ladder"},
        ),
        Preset(
            id="power_of_two",
            title=Text(zh="2 的幂更快吗", en="Are powers of two faster"),
            story=Text(
                zh="边长 1024，一行正好 4 KiB。先猜：朴素循环比 768 快还是慢？打包的呢？",
                en="Sides of 1024: a row is exactly 4 KiB. Guess first: are naive loops faster or slower "
                "than at 768? And the packed ones?",
            ),
            values={"mode": "ladder", "m": 1024, "n": 1024, "k": 1024},
        ),
        Preset(
            id="decode_shape",
            title=Text(zh="解码的形状", en="The shape of decode"),
            story=Text(
                zh="m = 1：矩阵乘向量。先猜：微内核还能到峰值的几成？",
                en="m = 1: a vector times a matrix. Guess first: which share of the peak is left?",
            ),
            values={"mode": "ladder", "m": 1, "n": 4096, "k": 4096},
        ),
        Preset(
            id="tile_size",
            title=Text(zh="块多大最快", en="Which tile is fastest"),
            story=Text(
                zh="块从 8 到 512。先算：装满 L1、L2 的块边长各是多少？",
                en="Tiles from 8 to 512. Work out first which side fills L1, and which L2.",
            ),
            values={"mode": "tile_size"},
        ),
        Preset(
            id="watch_ijk",
            title=Text(zh="看朴素循环怎样浪费", en="Watch naive loops waste"),
            story=Text(
                zh="缓存 24 行，B 的一列就要 32 行，A 的一行还要 4 行。先猜：每个数会取几次？",
                en="The cache has 24 lines; a column of B takes 32 and a row of A 4 more. Guess first: how "
                "often is each number fetched?",
            ),
            values={"mode": "loops", "order": "ijk"},
        ),
        Preset(
            id="watch_tiles",
            title=Text(zh="看分块怎样省", en="Watch tiles save"),
            story=Text(
                zh="同样的缓存，块边长 8。拖大块：到哪一格突然变差？",
                en="The same cache, tiles of 8. Enlarge them: where does it suddenly get worse?",
            ),
            values={"mode": "loops", "order": "tiled"},
        ),
        Preset(
            id="pipeline",
            title=Text(zh="双缓冲够不够", en="Is double buffering enough"),
            story=Text(
                zh="A100 上 128×128×32 的块，2 级。先算：延迟藏住了吗？要几级？",
                en="Tiles of 128 × 128 × 32 on an A100 with 2 stages. Work out first whether the latency is "
                "hidden, and how many stages hide it.",
            ),
            values={"mode": "pipeline", "stages": 2},
        ),
        Preset(
            id="strassen",
            title=Text(zh="Strassen 何时划算", en="When Strassen pays"),
            story=Text(
                zh="少算八分之一，多做 18 次加法。先猜：从多大的方阵起赢？误差大几倍？",
                en="An eighth fewer products, 18 more sums. Guess first: from which size does it win, and "
                "by how much does the error grow?",
            ),
            values={"mode": "strassen", "size": 2048},
        ),
        Preset(
            id="tensor_cores",
            title=Text(zh="多一列，慢一截", en="A column more"),
            story=Text(
                zh="H100 上 4096×4224×4096。先算：132 个 SM，块 128×128，要几波？n 再加 1 呢？",
                en="4096 × 4224 × 4096 on an H100. Work out first: 132 SMs, tiles of 128 × 128, how many "
                "waves? And with one column more?",
            ),
            values={"mode": "tensor_cores", "chip": "h100", "m": 4096, "n": 4224, "k": 4096},
        ),
        Preset(
            id="model",
            title=Text(zh="GEMM 在真实模型里", en="GEMM in the real model"),
            story=Text(
                zh="给真实模型的每个模块计时。先猜：预填充与解码里 GEMM 各占几成？",
                en="Every module of the real model is timed. Guess GEMM's share first, in prefill and in "
                "decode.",
            ),
            values={"mode": "model"},
        ),
    ],
)
