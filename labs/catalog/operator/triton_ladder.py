"""The kernel ladder: one Triton kernel, its tiles, its compiled stages, its roof; ten exercises.

Long for its parameters and their texts; what it runs and shows stands in ``labs.ladder``.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, preset
from labs.text import Text, same

_TILED = ["matmul", "grouped_matmul", "int4_matmul", "flash_attention"]


class Params(LabParams, frozen=True):
    """Which kernel, in whose text, with which tiles, compiled for what."""

    kernel: Annotated[
        Literal[
            "vector_add",
            "row_sum",
            "transpose",
            "softmax",
            "rms_norm",
            "matmul",
            "grouped_matmul",
            "int4_matmul",
            "flash_attention",
            "paged_attention",
        ],
        Field(
            zh="内核",
            en="Kernel",
            zh_help="十级阶梯：从向量加法到 PagedAttention。每一级都有 PyTorch 规格、骨架、提示和判定。",
            en_help="Ten rungs, from vector addition to paged attention, each with a specification in "
            "PyTorch, a skeleton, hints and a verdict.",
            choices={
                "vector_add": Text(zh="1 向量加法", en="1 vector addition"),
                "row_sum": Text(zh="2 按行求和", en="2 sums of rows"),
                "transpose": Text(zh="3 转置", en="3 transpose"),
                "softmax": same("4 softmax"),
                "rms_norm": Text(zh="5 残差 + RMSNorm", en="5 residual + RMSNorm"),
                "matmul": Text(zh="6 矩阵乘", en="6 matrix product"),
                "grouped_matmul": Text(zh="7 分组次序", en="7 grouped order"),
                "int4_matmul": Text(zh="8 INT4 矩阵乘", en="8 INT4 product"),
                "flash_attention": same("9 FlashAttention"),
                "paged_attention": same("10 PagedAttention"),
            },
            preview=False,
        ),
    ] = "softmax"
    begin: Annotated[
        Literal["solution", "skeleton"],
        Field(
            zh="从哪里开始",
            en="Begin with",
            zh_help="答案：已经写好的内核，随意改着玩。骨架：关键几行留空，自己写，答案先不看。",
            en_help="The solution: a kernel that works, to be changed at will. The skeleton: the decisive "
            "lines are left to you, and the solution stays folded.",
            choices={
                "solution": Text(zh="答案", en="the solution"),
                "skeleton": Text(zh="骨架（练习）", en="the skeleton"),
            },
            preview=False,
        ),
    ] = "solution"
    hints: Annotated[
        int,
        Field(
            zh="提示",
            en="Hints",
            zh_help="先自己想，再一条一条要；3：改过、跑过之后看答案。",
            en_help="Think first, then take them one by one; 3 shows the solution to who has tried.",
            ge=0,
            le=3,
            when={"begin": ["skeleton"]},
            preview=False,
        ),
    ] = 0
    source: Annotated[
        str,
        Field(
            zh="内核的代码",
            en="The kernel's text",
            zh_help="空着就用上面选的。也可以直接在结果里的代码上改，Ctrl+Enter 运行。",
            en_help="Empty: what is chosen above. It can be edited in the results as well; Ctrl+Enter runs.",
            lines=6,
            language="python",
            preview=False,
        ),
    ] = ""
    tile: Annotated[
        Literal[16, 32, 64, 128, 256],
        Field(
            zh="tile",
            en="Tile",
            zh_help="一个程序一次处理多少个元素（PagedAttention：多少个位置）。必须是 2 的幂。",
            en_help="Elements that a program has at a time (paged attention: positions). A power of two.",
            when={"kernel": ["vector_add", "row_sum", "transpose", "paged_attention"]},
            preview=False,
        ),
    ] = 64
    tile_m: Annotated[
        Literal[16, 32, 64, 128, 256],
        Field(
            zh="tile 的行",
            en="Tile rows",
            zh_help="结果 tile 的行数（注意力：一个程序的查询数）。",
            en_help="Rows of a tile of the result (attention: queries of a program).",
            when={"kernel": _TILED},
            preview=False,
        ),
    ] = 32
    tile_n: Annotated[
        Literal[16, 32, 64, 128, 256],
        Field(
            zh="tile 的列",
            en="Tile columns",
            zh_help="结果 tile 的列数（注意力：一次读多少个键）。",
            en_help="Columns of a tile of the result (attention: keys at a time).",
            when={"kernel": _TILED},
            preview=False,
        ),
    ] = 32
    tile_k: Annotated[
        Literal[16, 32, 64, 128],
        Field(
            zh="tile 的深度",
            en="Tile depth",
            zh_help="沿 K 一次读多少。不改变总流量，改变流水线每级要的共享内存。",
            en_help="How much of K at a time. It leaves the traffic alone and changes what a stage of the "
            "pipeline takes of shared memory.",
            when={"kernel": ["matmul", "grouped_matmul"]},
            preview=False,
        ),
    ] = 32
    warps: Annotated[
        Literal[1, 2, 4, 8, 16],
        Field(
            zh="线程束",
            en="Warps",
            zh_help="num_warps：一个程序由几个线程束一起算。",
            en_help="num_warps: how many warps compute a program together.",
            preview=False,
        ),
    ] = 4
    stages: Annotated[
        Literal[1, 2, 3, 4, 5],
        Field(
            zh="流水级数",
            en="Stages",
            zh_help="num_stages：循环里提前几轮把数据取进共享内存。",
            en_help="num_stages: how many rounds of a loop are fetched ahead into shared memory.",
            when={
                "kernel": ["matmul", "grouped_matmul", "int4_matmul", "flash_attention", "paged_attention"]
            },
            preview=False,
        ),
    ] = 3
    target: Annotated[
        Literal["sm_80", "sm_89", "sm_90", "sm_100", "sm_120", "gfx942"],
        Field(
            zh="编译给",
            en="Compile for",
            zh_help="不需要有这块 GPU：Triton 自带汇编器。",
            en_help="The GPU need not be here: Triton brings its assembler.",
            choices={
                "sm_80": same("sm_80 (A100)"),
                "sm_89": same("sm_89 (RTX 4090)"),
                "sm_90": same("sm_90 (H100)"),
                "sm_100": same("sm_100 (B200)"),
                "sm_120": same("sm_120 (RTX 5090)"),
                "gfx942": same("gfx942 (MI300X)"),
            },
            preview=False,
        ),
    ] = "sm_90"


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """Bytes that the shipped kernel loads at the size shown, by its tiles."""
    from labs.edited_source import chosen_source
    from labs.ladder.exercise import EXERCISES
    from labs.ladder.prediction import loaded_bytes

    _, shipped = chosen_source(text_name(params), params.source, EXERCISES[params.kernel].solution)
    if params.begin == "skeleton" or not shipped:
        return  # the reader's kernel may load what it likes
    yield Prediction(
        id="loaded",
        title=Text(zh="读了多少（所示规模）", en="Bytes loaded (size shown)"),
        value=loaded_bytes(params.kernel, params.tile, params.tile_m, params.tile_n),
        unit="B",
        formula=Text(
            zh="每个 tile 自己读一遍它要的行和列", en="each tile loads its rows and columns for itself"
        ),
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """Verdict, accesses, stages, resources, roof."""
    from labs.edited_source import chosen_source
    from labs.ladder.exercise import EXERCISES
    from labs.ladder.run import run_ladder

    exercise = EXERCISES[params.kernel]
    shipped = exercise.solution if params.begin == "solution" else exercise.skeleton
    source, untouched = chosen_source(text_name(params), params.source, shipped)
    settings: dict[str, int] = {name: int(getattr(params, name)) for name in exercise.settings}
    unsolved = params.begin == "skeleton"
    yield from run_ladder(
        ctx,
        exercise,
        source,
        settings,
        params.target,
        params.hints if unsolved else 0,
        unsolved=unsolved,
        attempted=not untouched,
    )


def text_name(params: Params) -> str:
    """A text that was made from the skeleton does not stand where the solution is chosen, nor the reverse."""
    return params.kernel if params.begin == "solution" else f"{params.kernel} (skeleton)"


LAB = Lab(
    id="operator/triton_ladder",
    title=Text(zh="Triton 内核阶梯", en="The Triton kernel ladder"),
    summary=Text(
        zh="一个窗口看透一个内核：源码旁边是它的 tile 怎样走过张量、编译器每一级把它变成什么、寄存器与"
        "占用率，以及它在屋顶线下的位置。改一行，再跑一遍。十级练习，从向量加法到 PagedAttention。",
        en="One window on one kernel: beside its source, how its tiles walk over tensors, what each stage of "
        "the compiler makes of it, registers and occupancy, and its place under the roofline. Change a line "
        "and run again. Ten exercises, from vector addition to paged attention.",
    ),
    sections=["2.4.2"],
    questions=[f"2.4.2-0{number}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(kernel="vector_add"),
    presets=[
        preset(
            "tiles",
            "tile 大一倍，读得少一半",
            "Twice the tile, half the loads",
            "矩阵乘，tile 64×64：每个字节平均读 2 次；改回 32×32 是 4 次，矩阵指令也从 wgmma 退回 mma.sync。",
            "A matrix product in tiles of 64 x 64: each byte is loaded twice. Back at 32 x 32 it is four "
            "times, and the matrix instruction is mma.sync instead of wgmma.",
            kernel="matmul",
            tile_m=64,
            tile_n=64,
        ),
        preset(
            "shared",
            "流水级数与占用率",
            "Stages against occupancy",
            "FlashAttention，tile 64×64、5 级流水：共享内存成为瓶颈，占用率下降。",
            "FlashAttention in tiles of 64 x 64 with 5 stages: shared memory limits, occupancy falls.",
            kernel="flash_attention",
            tile_m=64,
            tile_n=64,
            stages=5,
        ),
        preset(
            "exercise",
            "自己写 softmax",
            "Write softmax yourself",
            "从骨架开始，改代码，Ctrl+Enter，看判定。",
            "Begin with the skeleton, edit, Ctrl+Enter, see the verdict.",
            kernel="softmax",
            begin="skeleton",
            hints=1,
        ),
        preset(
            "amd",
            "同一个内核，给 MI300X",
            "The same kernel for an MI300X",
            "不改一行，编译成 AMD 的机器码：矩阵指令换成了 MFMA。",
            "Not a line changed, compiled for AMD: the matrix instruction is MFMA now.",
            kernel="matmul",
            target="gfx942",
        ),
    ],
)
