"""Kernel fusion: a chain of steps, cut into kernels as one likes; what fusing spares, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from labs.spec import Field, Lab, LabParams, Prediction, preset
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.fusion.chains.outcome import Setting
    from labs.results import Result


def _join(number: int, chains: list[str] | None = None) -> Field:
    return Field(
        zh=f"第 {number} 步并入前一个内核",
        en=f"Step {number} joins the kernel before",
        zh_help="开：它的输入若来自同一个内核，就留在寄存器里。关：从这里切开，中间结果写进显存。",
        en_help="On: what it takes from that kernel stays in registers. Off: the chain is cut here, and the "
        "intermediate goes through memory.",
        when={"chain": list(chains)} if chains else None,
    )


class Params(LabParams, frozen=True):
    """Which chain, where it is cut, its size, and for which GPU."""

    chain: Annotated[
        Literal["residual_norm", "gated", "softmax", "bias_gelu", "rope", "qkv_rope"],
        Field(
            zh="算子链",
            en="Chain",
            zh_help="Llama 类模型里常见的逐元素与归约链，拆成未融合框架会逐个启动的步骤。",
            en_help="Chains of a Llama-like model, taken apart into the steps that a framework without "
            "fusion launches one by one.",
            choices={
                "residual_norm": Text(zh="残差 + RMSNorm（5 步）", en="residual + RMSNorm (5 steps)"),
                "gated": Text(zh="SwiGLU（3 步）", en="SwiGLU (3 steps)"),
                "softmax": Text(zh="softmax（4 步）", en="softmax (4 steps)"),
                "bias_gelu": Text(zh="偏置 + GELU（4 步）", en="bias + GELU (4 steps)"),
                "rope": Text(zh="RoPE（6 步）", en="RoPE (6 steps)"),
                "qkv_rope": Text(zh="QKV 矩阵乘 + RoPE（3 步）", en="QKV product + RoPE (3 steps)"),
            },
            preview=False,
        ),
    ] = "residual_norm"
    join2: Annotated[bool, _join(2)] = True
    join3: Annotated[bool, _join(3)] = True
    join4: Annotated[bool, _join(4, ["residual_norm", "softmax", "bias_gelu", "rope"])] = True
    join5: Annotated[bool, _join(5, ["residual_norm", "rope"])] = True
    join6: Annotated[bool, _join(6, ["rope"])] = True
    tokens: Annotated[
        int,
        Field(
            zh="行数（token）",
            en="Rows (tokens)",
            zh_help="推算与本机计时用的行数。1 是解码，上千是预填充。",
            en_help="Rows of the estimate and of what is timed here. 1 is decode, thousands are prefill.",
            ge=1,
            le=4096,
            scale="log2",
            preview=False,
        ),
    ] = 512
    columns: Annotated[
        Literal[576, 1024, 2048, 4096, 8192, 16384],
        Field(
            zh="列数（隐藏维）",
            en="Columns (hidden size)",
            zh_help="一行的宽度；一个程序把一整行放在寄存器里。576 是 SmolLM2 的宽度，不是 2 的幂。"
            "QKV 矩阵乘：模型的隐藏维，头数随它而定。",
            en_help="Width of a row; a program holds a whole one in registers. 576 is SmolLM2's, and no "
            "power of two. Of the QKV product: the model's hidden size, which sets its heads.",
            preview=False,
        ),
    ] = 4096
    dtype: Annotated[
        Literal["fp16", "fp32"],
        Field(
            zh="数据类型",
            en="Data type",
            zh_help="张量在显存里的类型；寄存器里一律用 fp32 算。",
            en_help="Type of tensors in memory; registers compute in fp32 throughout.",
            choices={"fp16": same("FP16"), "fp32": same("FP32")},
            preview=False,
        ),
    ] = "fp16"
    warps: Annotated[
        Literal[1, 2, 4, 8, 16],
        Field(
            zh="每行几个线程束",
            en="Warps a row",
            zh_help="线程束（warp）越少，一个线程分到的元素越多，寄存器越紧张，直到溢出。"
            "矩阵乘：每块 64 行几个。",
            en_help="The fewer warps, the more elements a thread has and the more registers it needs, until "
            "they spill. Of a product: warps for a tile of 64 rows.",
            preview=False,
        ),
    ] = 8
    target: Annotated[
        Literal["sm_80", "sm_89", "sm_90", "sm_100", "sm_120", "gfx942"],
        Field(
            zh="编译给",
            en="Compile for",
            zh_help="不需要有这块 GPU：Triton 自带汇编器；带宽与峰值取自数据手册。",
            en_help="The GPU need not be here: Triton brings its assembler; bandwidth and peak are those of "
            "the data sheet.",
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
    launch_us: Annotated[
        float,
        Field(
            zh="每个内核的启动开销",
            en="Launch of a kernel",
            zh_help="一个假设，由你定：GPU 在相邻内核之间空等的时间。CUDA Graph 能把它压小，但不会到 0。",
            en_help="An assumption that is yours: how long the GPU idles between kernels. CUDA graphs make "
            "it smaller, not nothing.",
            ge=0,
            le=20,
            step=0.5,
            unit="µs",
            preview=False,
        ),
    ] = 2.0

    @property
    def joins(self) -> tuple[bool, ...]:
        return (self.join2, self.join3, self.join4, self.join5, self.join6)


def _setting(params: Params) -> Setting:
    from labs.fusion.chains.outcome import Setting

    names = ("tokens", "columns", "dtype", "warps", "target")
    sizes: dict[str, Any] = {name: getattr(params, name) for name in names}
    return Setting(params.chain, params.joins, launch_s=params.launch_us * 1e-6, **sizes)


def predict(params: Params, ctx: Context) -> Iterator[Prediction]:
    """Bytes of the cut chosen, before any kernel runs."""
    from labs.fusion.chains.views import MOVED_FORMULA

    setting = _setting(params)
    size = setting.counted_size
    yield Prediction(
        id="moved",
        title=Text(zh=f"搬动的字节（{size.zh}）", en=f"Bytes moved ({size.en})"),
        value=setting.counted_moved("chosen"),
        unit="B",
        formula=MOVED_FORMULA,
    )


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """Graph, kernels, counts, expected time, torch here, resources, story."""
    from labs.fusion.chains.run import run_kernel_fusion

    yield from run_kernel_fusion(ctx, _setting(params))


LAB = Lab(
    id="operator/kernel_fusion",
    title=Text(zh="内核融合：切在哪里", en="Kernel fusion: where to cut"),
    summary=Text(
        zh="把一条算子链随意切成几个 Triton 内核：数它们读写的每个字节，看中间结果何时不再落到显存；再看编译"
        "出来的寄存器与占用率，知道融合的代价。",
        en="Cut a chain of operators into Triton kernels as you like: every byte they read and write is "
        "counted, and what fusing costs is read from the compiled code: registers and occupancy.",
    ),
    sections=["2.2.2"],
    questions=[f"2.2.2-0{number}" for number in range(1, 10)],
    params=Params,
    predict=predict,
    run=run,
    smoke=Params(chain="gated", columns=576, tokens=16),
    presets=[
        preset(
            "apart",
            "一步一个内核",
            "A kernel a step",
            "残差 + RMSNorm 拆成 5 个内核。先算：每行要搬几遍？再打开全部开关。",
            "Residual + RMSNorm in 5 kernels. Work out first how often a row crosses the bus; then join all.",
            join2=False,
            join3=False,
            join4=False,
            join5=False,
        ),
        preset(
            "softmax",
            "softmax：三个内核还是一个",
            "Softmax: three kernels or one",
            "最大值、exp 与求和、相除：三个内核。先猜：比一个内核多搬几倍？",
            "Maximum, exp with its sum, division: three kernels. Guess first how much more they move than "
            "one.",
            chain="softmax",
            join2=False,
            join4=False,
        ),
        preset(
            "spill",
            "融合过头：寄存器溢出",
            "Too much in one: registers spill",
            "RoPE 六步合一，一行只给 1 个线程束。先猜：溢出多少？换成 8 个线程束呢？",
            "All six steps of RoPE with one warp a row. Guess what spills; and with 8 warps?",
            chain="rope",
            warps=1,
        ),
        preset(
            "epilogue",
            "矩阵乘的尾声：QKV + RoPE",
            "A product's epilogue: QKV + RoPE",
            "512 行、宽 576：RoPE 可以在矩阵乘的累加器里做。先猜：省下的字节占几成？"
            "自己的矩阵乘慢多少就不值了？",
            "512 rows of 576: RoPE can be done in the product's accumulators. Guess first: what share of the "
            "bytes goes, and how much slower may your product be?",
            chain="qkv_rope",
            columns=576,
            warps=4,
        ),
        preset(
            "decode",
            "解码：省的是启动",
            "Decode: launches are what is spared",
            "1 行 SwiGLU：字节少到可以不计。先猜：启动占多少？把启动开销拖到 0 再看。",
            "SwiGLU for one row: hardly any bytes. Guess the share of launching; then set the launch to 0.",
            chain="gated",
            join2=False,
            join3=False,
            tokens=1,
        ),
    ],
)
