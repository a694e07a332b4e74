"""What low precision buys on this very device: kernels against the roofs, then the whole model."""

from collections.abc import Iterator
from typing import Annotated, Literal

from labs.context import Context
from labs.results import Result
from labs.spec import Field, Lab, LabError, LabParams, Preset
from labs.text import Text


class Params(LabParams, frozen=True):
    """Which phase of inference, how many rows, on how many threads, and whether to run the model itself."""

    phase: Annotated[
        Literal["both", "decode", "prefill"],
        Field(
            zh="阶段",
            en="Phase",
            zh_help="解码：每步一个 token，矩阵乘向量，受内存带宽限制。预填充：许多 token 一起，受算力限制。",
            en_help="Decode: a token a step, matrix times vector, bound by memory. Prefill: many "
            "tokens at once, "
            "bound by compute.",
            choices={
                "both": Text(zh="两者", en="both"),
                "decode": Text(zh="解码", en="decode"),
                "prefill": Text(zh="预填充", en="prefill"),
            },
            preview=False,
        ),
    ] = "both"
    tokens: Annotated[
        int,
        Field(
            zh="预填充的 token 数",
            en="Prefill tokens",
            zh_help="预填充时矩阵的行数：提示词有多长。",
            en_help="Rows of the prefill product: how long the prompt is.",
            ge=32,
            le=1024,
            scale="log2",
            unit="token",
            when={"phase": ["both", "prefill"]},
            preview=False,
        ),
    ] = 512
    threads: Annotated[
        int,
        Field(
            zh="线程数",
            en="Threads",
            zh_help="CPU 线程数；0 表示全部。单线程时带宽与算力都较低，比例也不同。",
            en_help="CPU threads; 0 means all. One thread has less bandwidth and less compute, in "
            "another ratio.",
            ge=0,
            le=64,
            step=1,
            preview=False,
        ),
    ] = 0
    end_to_end: Annotated[
        bool,
        Field(
            zh="跑整个模型",
            en="Run the whole model",
            zh_help="把模型的全部线性层换成每种模式的内核，测真实前向的 token/s。",
            en_help="Swap every linear layer for each mode's kernel and measure tokens/s of the real "
            "forward pass.",
            preview=False,
        ),
    ] = True


def run(params: Params, ctx: Context) -> Iterator[Result]:
    """Roofs, kernels by mode, then the model by mode; every mode's bars show as soon as it is done."""
    from labs.quantization.threads import threads

    if ctx.preview:  # a time that was measured while a slider moves would be no measurement
        return
    with threads(params.threads) as used:
        yield from measure(params, ctx, used)


def measure(params: Params, ctx: Context, threads: int) -> Iterator[Result]:
    """All measurements, at the number of threads that is set."""
    from labs.quantization import kernel_speed_views as views
    from labs.quantization import model_speed_views as model_views
    from labs.quantization.kernel_speed import Phase, measure_roofs, time_kernel
    from labs.quantization.packed_model import time_model
    from labs.quantization.speed_modes import MODES, model_shapes

    phases: list[Phase] = ["decode", "prefill"] if params.phase == "both" else [params.phase]
    shapes = model_shapes(ctx.model().config)
    ctx.progress(0.0, Text(zh="测量带宽与算力", en="Measuring bandwidth and compute"))
    roofs = measure_roofs(ctx)
    yield views.roof_table(roofs)

    kernels: views.Kernels = {}
    share = 0.5 if params.end_to_end else 1.0
    for index, (name, mode) in enumerate(MODES.items()):
        for phase in phases:
            ctx.progress(share * index / len(MODES), mode.title)
            rows = 1 if phase == "decode" else params.tokens
            wanted = [shape for shape in shapes if phase == "decode" or not shape.is_head]
            kernels[name, phase] = [time_kernel(ctx, mode, shape, phase, rows, roofs) for shape in wanted]
            yield views.kernel_bars(kernels, phase)
    yield from views.speedup_metrics(kernels)
    yield views.roofline(kernels, roofs)
    yield from views.kernel_tables(kernels)

    runs, reasons = {}, {}
    for index, (name, mode) in enumerate(MODES.items() if params.end_to_end else ()):
        ctx.progress(0.5 + 0.5 * index / len(MODES), mode.title)
        failed = [kernel.reason for phase in phases for kernel in kernels[name, phase] if kernel.reason]
        try:
            if failed:
                raise LabError(failed[0])
            runs[name] = time_model(ctx, mode, phases, params.tokens)
        except LabError as error:
            reasons[name] = error.text
        for phase in phases:
            yield model_views.model_bars(runs, reasons, roofs, phase)
        yield model_views.model_table(runs, roofs)
    if "decode" in phases:
        yield model_views.explanation(kernels, runs, roofs, threads)


LAB = Lab(
    id="model/quantization_speed",
    title=Text(zh="量化的速度", en="Quantisation speed"),
    summary=Text(
        zh="在这台设备上，低精度到底快多少：真实矩阵形状的内核、带宽与算力上限、整个模型的 token/s。",
        en="What low precision buys on this device: kernels at the model's own shapes, the bandwidth and "
        "compute bounds, and tokens/s of the whole model.",
    ),
    sections=["1.2.1"],
    questions=["1.2.1-01", "1.2.1-02", "1.2.1-03", "1.2.1-06"],
    params=Params,
    run=run,
    needs_model=True,
    smoke=Params(phase="decode", tokens=32, end_to_end=False),
    presets=[
        Preset(
            id="decode",
            title=Text(zh="解码：字节就是时间", en="Decode: bytes are time"),
            story=Text(
                zh="先预测：权重从 32 位变成 5 位，解码能快 6.4 倍吗？再看内核和整个模型各实现了多少。",
                en="Predict first: from 32 bits a weight to 5, will decode be 6.4 times as fast? Then "
                "see how much "
                "of it the kernels reach, and how much the model.",
            ),
            values={"phase": "decode"},
        ),
        Preset(
            id="prefill",
            title=Text(zh="预填充：字节不再重要", en="Prefill: bytes no longer matter"),
            story=Text(
                zh="512 行共用一次权重读取，时间花在乘法上。仅权重量化还要反量化，往往不快反慢。",
                en="512 rows share one reading of the weights and time goes into multiplying. "
                "Weight-only modes "
                "must also dequantise, and are often slower.",
            ),
            values={"phase": "prefill", "tokens": 512},
        ),
        Preset(
            id="one_thread",
            title=Text(zh="单线程", en="One thread"),
            story=Text(
                zh="只用一个线程，带宽上限降得比算力少：看达到上限的百分比如何变化。",
                en="On one thread compute halves, while bandwidth falls less: watch the share of the bound.",
            ),
            values={"phase": "decode", "threads": 1, "end_to_end": False},
        ),
    ],
)
