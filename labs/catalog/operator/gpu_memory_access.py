"""A warp machine: coalescing, banks, divergence, occupancy, shuffles and barriers, on patterns one types.

Long for its parameters and their texts; what it runs and shows stands in ``labs.gpu``.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabParams, Prediction, preset
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.gpu.pattern import Typed

Block = Literal["32x1", "16x2", "8x4", "32x8", "16x16", "256x1"]


class Params(LabParams, frozen=True):
    """Which side of the machine to look at, and with what."""

    mode: Annotated[
        Literal["pattern", "kernel", "triton", "occupancy", "machine"],
        Field(
            zh="看什么",
            en="Look at",
            zh_help="一次访问：自己写下标，数扇区与 bank 冲突。内核：整段程序逐步执行。"
            "Triton：真内核的地址。占用率：一个 SM 放得下几个 block。本机：真测步长对带宽的影响。",
            en_help="An access: type an index, count sectors and bank conflicts. A kernel: a program step by "
            "step. Triton: a real kernel's addresses. Occupancy: how many blocks an SM holds. This "
            "machine: strides against bandwidth, "
            "measured.",
            choices={
                "pattern": Text(zh="一次访问", en="an access"),
                "kernel": Text(zh="一个内核", en="a kernel"),
                "triton": same("Triton"),
                "occupancy": Text(zh="占用率", en="occupancy"),
                "machine": Text(zh="本机实测", en="this machine"),
            },
            preview=False,
        ),
    ] = "pattern"
    space: Annotated[
        Literal["global", "shared"],
        Field(
            zh="内存",
            en="Memory",
            zh_help="全局内存按 32 字节的扇区搬；共享内存有 32 个 bank，每个每拍给一个 4 字节的字。",
            en_help="Global memory moves sectors of 32 bytes; shared memory has 32 banks that each give a "
            "word "
            "of 4 bytes a cycle.",
            choices={
                "global": Text(zh="全局内存", en="global memory"),
                "shared": Text(zh="共享内存", en="shared memory"),
            },
            when={"mode": ["pattern"]},
        ),
    ] = "global"
    index: Annotated[
        str,
        Field(
            zh="下标",
            en="Index",
            zh_help="每个线程访问第几个元素。可用 threadIdx.x、threadIdx.y、lane、warp、滑块 stride 与 "
            "offset、"
            "+ - * / % << >> & | ^、比较、a if c else b、min、max。除法按 C 取整。",
            en_help="The element that each thread touches. There are threadIdx.x, threadIdx.y, lane, warp, "
            "the "
            "sliders stride and offset, + - * / % << >> & | ^, comparisons, a if c else b, min, max. "
            "Division "
            "is C's.",
            when={"mode": ["pattern"]},
        ),
    ] = "threadIdx.x * stride + offset"
    element_bytes: Annotated[
        Literal[1, 2, 4, 8, 16],
        Field(
            zh="元素",
            en="Element",
            zh_help="一次读写多少字节：int8、half、float、float2、float4。",
            en_help="Bytes of one read or write: int8, half, float, float2, float4.",
            choices={
                "1": same("1 B (int8)"),
                "2": same("2 B (half)"),
                "4": same("4 B (float)"),
                "8": same("8 B (float2)"),
                "16": same("16 B (float4)"),
            },
            when={"mode": ["pattern"]},
        ),
    ] = 4
    stride: Annotated[
        int,
        Field(
            zh="步长",
            en="Stride",
            zh_help="下标里的 stride：相邻线程隔几个元素。",
            en_help="What stride is in the index: elements between neighbouring threads.",
            ge=0,
            le=64,
            step=1,
            when={"mode": ["pattern"]},
        ),
    ] = 2
    offset: Annotated[
        int,
        Field(
            zh="偏移",
            en="Offset",
            zh_help="下标里的 offset：整个 warp 一起错开几个元素（不对齐）。",
            en_help="What offset is in the index: elements by which the whole warp is shifted (misaligned).",
            ge=0,
            le=64,
            step=1,
            when={"mode": ["pattern"]},
        ),
    ] = 0
    block: Annotated[
        Block,
        Field(
            zh="block 形状",
            en="Block shape",
            zh_help="x × y 个线程；线程号 = x + 宽 × y，每 32 个连号的线程是一个 warp。",
            en_help="x × y threads; a thread's number is x + width × y, and 32 in a row are a warp.",
            choices={name: same(name) for name in ("32x1", "16x2", "8x4", "32x8", "16x16", "256x1")},
            when={"mode": ["pattern"]},
        ),
    ] = "32x1"
    program: Annotated[
        Literal[
            "transpose_naive",
            "transpose_shared",
            "transpose_padded",
            "transpose_swizzled",
            "reduce_interleaved",
            "reduce_sequential",
            "reduce_shuffle",
            "missing_barrier",
            "divergence",
            "ballot_compaction",
            "histogram",
            "last_block",
            "grid_sync",
        ],
        Field(
            zh="内核",
            en="Kernel",
            zh_help="从库里选一个；在结果的“程序”一栏里改它，再运行。",
            en_help="One of the library; change it in the results' “program” pane and run it again.",
            choices={
                "transpose_naive": Text(zh="转置：直接写", en="transpose: direct"),
                "transpose_shared": Text(zh="转置：经共享内存", en="transpose: shared memory"),
                "transpose_padded": Text(zh="转置：每行垫一个字", en="transpose: padded"),
                "transpose_swizzled": Text(zh="转置：swizzle", en="transpose: swizzled"),
                "reduce_interleaved": Text(zh="归约：交错寻址", en="reduction: interleaved"),
                "reduce_sequential": Text(zh="归约：顺序寻址", en="reduction: sequential"),
                "reduce_shuffle": Text(zh="归约：shuffle", en="reduction: shuffles"),
                "missing_barrier": Text(zh="归约：漏了屏障", en="reduction: no barrier"),
                "divergence": Text(zh="分叉", en="divergence"),
                "ballot_compaction": Text(zh="表决：压紧", en="vote: packing"),
                "histogram": Text(zh="原子：直方图", en="atomics: histogram"),
                "last_block": Text(zh="跨 block：最后一个收尾", en="across blocks: the last one"),
                "grid_sync": Text(zh="跨 block：全网格屏障", en="across blocks: grid barrier"),
            },
            when={"mode": ["kernel"]},
            preview=False,
        ),
    ] = "transpose_shared"
    source: Annotated[
        str,
        Field(
            zh="程序",
            en="Program",
            zh_help="空着就用上面选的内核。改过的文本第一行写着它改自谁；换选别的内核，它就不算数。"
            "语言是 Python 语法的一小部分：launch、global_memory、shared_memory、赋值、if、while、for、"
            "syncthreads、syncwarp、grid_sync、shfl*、ballot、any、all、atomic_add。",
            en_help="Empty: the kernel chosen above. An edited text says in its first line which one it "
            "was made "
            "from, and counts while that is chosen. A small part of Python's syntax: launch, global_memory, "
            "shared_memory, assignments, if, while, for, syncthreads, syncwarp, grid_sync, shfl*, ballot, "
            "any, "
            "all, atomic_add.",
            lines=8,
            when={"mode": ["kernel"]},
            preview=False,
        ),
    ] = ""
    operator: Annotated[
        Literal["int4_gemm", "int8_gemm", "gemm", "flash_attention", "softmax", "rms_norm"],
        Field(
            zh="Triton 内核",
            en="Triton kernel",
            zh_help="在 Triton 解释器里跑一个小尺寸，记录每个地址，再按 32 个 lane 一组数扇区。",
            en_help="Run at a small size in Triton's interpreter, every address recorded, and sectors "
            "counted "
            "for every 32 lanes.",
            choices={
                "int4_gemm": same("INT4 GEMM"),
                "int8_gemm": same("INT8 GEMM"),
                "gemm": same("GEMM"),
                "flash_attention": same("FlashAttention"),
                "softmax": same("softmax"),
                "rms_norm": same("RMSNorm"),
            },
            when={"mode": ["triton"]},
            preview=False,
        ),
    ] = "int4_gemm"
    target: Annotated[
        Literal["sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120", "gfx942"],
        Field(
            zh="架构",
            en="Architecture",
            zh_help="计算能力（compute capability）：SM 的寄存器、共享内存与 warp 数。gfx942 是 MI300X。",
            en_help="Compute capability: registers, shared memory and warps of an SM. gfx942 is the MI300X.",
            choices={
                "sm_80": same("sm_80 (A100)"),
                "sm_86": same("sm_86 (RTX 3090)"),
                "sm_89": same("sm_89 (L40S)"),
                "sm_90": same("sm_90 (H100)"),
                "sm_100": same("sm_100 (B200)"),
                "sm_120": same("sm_120 (RTX 5090)"),
                "gfx942": same("gfx942 (MI300X)"),
            },
            when={"mode": ["occupancy", "kernel"]},
        ),
    ] = "sm_80"
    threads: Annotated[
        int,
        Field(
            zh="线程 / block",
            en="Threads a block",
            zh_help="不满 32 的倍数，最后一个 warp 照样占满资源。",
            en_help="If not a multiple of 32, the last warp still takes as much as a full one.",
            ge=1,
            le=1024,
            step=32,
            when={"mode": ["occupancy"]},
        ),
    ] = 256
    registers: Annotated[
        int,
        Field(
            zh="寄存器 / 线程",
            en="Registers a thread",
            zh_help="编译器决定（-Xptxas -v 可见）；按 warp 成份分配，所以占用率是台阶。",
            en_help="The compiler decides (see -Xptxas -v); a warp takes them in lots, which makes steps.",
            ge=1,
            le=255,
            step=1,
            when={"mode": ["occupancy"]},
        ),
    ] = 64
    shared_bytes: Annotated[
        int,
        Field(
            zh="共享内存 / block",
            en="Shared memory a block",
            zh_help="静态与动态合计，不含系统保留的 1 KiB。",
            en_help="Static and dynamic, without the 1 KiB that the system takes.",
            ge=0,
            le=232448,
            step=1024,
            unit="B",
            when={"mode": ["occupancy"]},
        ),
    ] = 0
    size_mib: Annotated[
        int,
        Field(
            zh="数组",
            en="Array",
            zh_help="要远大于末级缓存，否则量的是缓存。",
            en_help="Far larger than the last-level cache, or the cache is what is measured.",
            ge=1,
            le=1024,
            scale="log2",
            unit="MiB",
            when={"mode": ["machine"]},
            preview=False,
        ),
    ] = 256


def _typed(params: Params) -> "Typed":
    from labs.gpu.pattern import Typed

    x, y = map(int, params.block.split("x"))
    return Typed(params.index, params.space, (x, y), params.element_bytes, params.stride, params.offset)


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """What the closed forms say before anything is counted."""
    if params.mode == "pattern":
        from labs.gpu.pattern_mode import predictions

        yield from predictions(_typed(params))
    elif params.mode == "kernel":
        from labs.gpu.kernel_mode import predictions as kernel_predictions

        yield from kernel_predictions(params.program, params.source)
    elif params.mode == "machine":
        from labs.gpu.stride_mode import predictions as stride_predictions

        yield from stride_predictions(ctx.device)


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """One mode; patterns and occupancy follow a slider."""
    if params.mode == "pattern":
        from labs.gpu.pattern_mode import run_pattern

        yield from run_pattern(ctx, _typed(params))
    elif params.mode == "kernel":
        from labs.gpu.kernel_mode import run_kernel

        yield from run_kernel(ctx, params.program, params.source, params.target)
    elif params.mode == "triton":
        from labs.gpu.triton_mode import run_triton

        yield from run_triton(ctx, params.operator)
    elif params.mode == "occupancy":
        from labs.gpu.occupancy_mode import run_occupancy

        yield from run_occupancy(params.target, params.threads, params.registers, params.shared_bytes)
    else:
        from labs.gpu.stride_mode import run_strides

        yield from run_strides(ctx, params.size_mib)


LAB = Lab(
    id="operator/gpu_memory_access",
    title=Text(zh="GPU 访存与 warp", en="GPU memory access and warps"),
    summary=Text(
        zh="一台小小的 warp 机器：自己写下标或内核，数扇区、bank 冲突、分叉、竞争与占用率，再看它的 CUDA "
        "C++。",
        en="A small warp machine: type an index or a kernel, count sectors, bank conflicts, divergence, "
        "races and "
        "occupancy, and see its CUDA C++.",
    ),
    sections=["2.4.1"],
    questions=[f"2.4.1-{number:02}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(mode="kernel", program="divergence"),
    presets=[
        preset(
            "strided",
            "步长 2",
            "Stride 2",
            "相邻线程隔一个元素。先猜：搬来的字节有几成用得上？拖步长到 8、16、32。",
            "Neighbouring threads are two elements apart. Guess first which share of the moved bytes is "
            "wanted, "
            "then drag the stride to 8, 16, 32.",
        ),
        preset(
            "misaligned",
            "没对齐",
            "Misaligned",
            "连续，但整体错开一个元素。先猜：扇区从 4 个变成几个？",
            "Contiguous and shifted by one element. Guess first: 4 sectors become how many?",
            stride=1,
            offset=1,
        ),
        preset(
            "array_of_structures",
            "结构体数组（AoS）",
            "Array of structures",
            "每个结构体 3 个 float（x、y、z），只读 x。先猜效率，再把下标换成 threadIdx.x（SoA）。",
            "Structures of 3 floats (x, y, z), of which x is read. Guess the share, then make the index "
            "threadIdx.x (a structure of arrays).",
            index="threadIdx.x * 3",
        ),
        preset(
            "gather",
            "聚集（gather）",
            "Gather",
            "下标像散列一样乱。先猜：32 个 lane 落在几个扇区？",
            "Indices as scattered as a hash. Guess first: in how many sectors do 32 lanes fall?",
            index="(lane * 2654435 + 977) % 4096",
        ),
        preset(
            "vectorised",
            "一次读 16 字节",
            "16 bytes each",
            "float4：一个 warp 一条指令要 512 字节。先猜扇区数；再看 PTX 里的 ld.global.v4。",
            "float4: a warp's one instruction asks for 512 bytes. Guess the sectors; then find "
            "ld.global.v4 in "
            "the PTX.",
            element_bytes=16,
            stride=1,
        ),
        preset(
            "column",
            "共享内存按列读",
            "A column of shared memory",
            "行距 32 个字，一列全在一个 bank。先猜拍数；再把步长改成 33。",
            "Rows are 32 words apart and a column lies in one bank. Guess the passes; then make the stride "
            "33.",
            space="shared",
            stride=32,
        ),
        preset(
            "swizzle",
            "异或换位（swizzle）",
            "Swizzle",
            "列号异或行号，按列读一列。先猜：没有垫字节，还冲突吗？",
            "The column XOR the row, a column read downwards. Guess first: without padding, does it "
            "conflict?",
            space="shared",
            index="lane * 32 + (lane ^ offset)",
            offset=5,
        ),
        preset(
            "transpose",
            "转置四种写法",
            "Four transposes",
            "先看“直接写”哪一行最贵，再换成共享内存、垫字、swizzle：代价从哪里移到哪里？",
            "See which line of the direct one costs most, then choose shared memory, padding, swizzle: where "
            "does the cost go?",
            mode="kernel",
            program="transpose_naive",
        ),
        preset(
            "divergence",
            "分叉",
            "Divergence",
            "同样的两条路，按 lane 分和按 warp 分。先猜两个 if 里活跃 lane 各占几成。",
            "The same two paths, by lane and by warp. Guess the share of active lanes in either.",
            mode="kernel",
            program="divergence",
        ),
        preset(
            "missing_barrier",
            "漏了一个屏障",
            "A missing barrier",
            "循环里少了 syncthreads()。先猜结果对不对；看竞争落在哪一行，再在程序里补上。",
            "syncthreads() is missing in the loop. Guess whether the result is right; see which line "
            "races, and "
            "put it in.",
            mode="kernel",
            program="missing_barrier",
        ),
        preset(
            "shuffles",
            "五步归约",
            "Five shuffles",
            "32 个 lane 的和，逐步看寄存器。先猜：第 3 步后 lane 0 手里是几个数的和？",
            "The sum over 32 lanes, register by register. Guess first: how many numbers are in lane 0 "
            "after 3?",
            mode="kernel",
            program="reduce_shuffle",
        ),
        preset(
            "triton_layout",
            "Triton 内核的访存",
            "A Triton kernel's accesses",
            "INT4 GEMM 把打包的权重转置着读。先猜：lane 按块的行排，"
            "一个请求几个扇区？按地址排呢？缩放因子呢？",
            "The INT4 GEMM reads packed weights transposed. Guess the sectors of a request with lanes "
            "along the "
            "tile's rows, and by address; and of the scales.",
            mode="triton",
        ),
        preset(
            "occupancy_steps",
            "多一个寄存器",
            "One register more",
            "H100，256 线程、65 个寄存器。先算：从 64 到 65，占用率掉多少？",
            "H100, 256 threads with 65 registers. Work out first what the step from 64 to 65 costs.",
            mode="occupancy",
            target="sm_90",
            registers=65,
        ),
        preset(
            "machine",
            "本机实测",
            "On this machine",
            "CPU 按 64 字节的缓存行搬。先算：步长 16 时要用的带宽剩几成？",
            "A CPU moves cache lines of 64 bytes. Work out what is left of the bandwidth at a stride of 16.",
            mode="machine",
        ),
    ],
)
