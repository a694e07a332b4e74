"""Tensor Cores: published rates by type, what ragged sizes waste, what types and alignment do here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.formulas.gemm import compute_bound_rows, tile_count, tile_share, wave_share
from labs.formulas.memory import gemm_bytes, gemm_flops, ridge_point
from labs.gemm.compiled_kernels import compiled_kernels
from labs.gemm.pipeline import CHIPS
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Lines,
    Mark,
    Markdown,
    Metric,
    Provenance,
    Series,
    array,
)
from labs.simulator.hardware import COMPUTE, Compute, device
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing
    from labs.results import Result

_MEASURED, _ESTIMATED, _REPORTED = Provenance.MEASURED, Provenance.ESTIMATED, Provenance.REPORTED
_TYPES: tuple[Compute, ...] = ("fp32", "tf32", "bf16", "fp8", "int8", "fp4")
BITS: dict[Compute, int] = {"fp32": 32, "tf32": 32, "bf16": 16, "fp8": 8, "int8": 8, "fp4": 4}
_SHOWN = ("a100-80gb-sxm", "h100-sxm", "b200-sxm")
NAMES: dict[Compute, Text] = {
    "fp32": Text(zh="FP32（CUDA 核）", en="FP32 (CUDA cores)"),
    "tf32": same("TF32"),
    "bf16": same("BF16 / FP16"),
    "fp8": same("FP8"),
    "int8": same("INT8"),
    "fp4": same("FP4"),
}
_TILES = ((128, 128), (256, 128))
_SWEEP = 64  # points of n
_BUDGET_S = 0.15
# A processor without matrix instructions for a narrow type takes a hundred times as long for it.
_HERE = {"cpu": 256, "cuda": 4096}
_OFF = (0, -1, 1, 8)  # from a power of two


@dataclass(frozen=True)
class Shape:
    """A product, and the chip that it is imagined on."""

    chip: str
    m: int
    n: int
    k: int

    def useful(self, tile: tuple[int, int], n: int | None = None) -> float:
        """Share of the peak that whole tiles and whole waves leave, one tile an SM at a time."""
        width = self.n if n is None else n
        tiles = tile_count(self.m, width, *tile)
        return tile_share(self.m, width, *tile) * wave_share(tiles, CHIPS[self.chip].processors)


def run_tensor_cores(ctx: Context, *, chip: str, m: int, n: int, k: int) -> Iterator[Result]:
    """What needs no device first; then this one."""
    shape = Shape(chip, m, n, k)
    yield from figures(shape)
    yield quantisation(shape)
    yield peaks()
    yield by_rows(shape)
    if ctx.preview:
        return
    yield from compiled_kernels(ctx, chip)
    found: dict[tuple[str, int], float] = {}
    sizes = [_HERE[ctx.device] + off for off in _OFF]
    for index, (name, size) in enumerate((name, size) for size in sizes for name in _kernels()):
        ctx.progress(index / (len(sizes) * len(_kernels())), same(f"{name}, {size}"))
        found[name, size] = _rate(ctx, name, size)
        yield here(found, sizes)
    yield explanation(shape, found, sizes)


def figures(shape: Shape) -> Iterator[Metric]:
    best = max(_TILES, key=shape.useful)
    tiles, slots = tile_count(shape.m, shape.n, *best), CHIPS[shape.chip].processors
    yield Metric(
        id="useful",
        title=Text(zh="块与波之后的有用部分", en="Useful share of the peak"),
        provenance=_ESTIMATED,
        unit="%",
        value=100 * shape.useful(best),
        formula=USEFUL_FORMULA,
        better="higher",
        help=Text(
            zh=f"{best[0]}×{best[1]} 的块 {tiles} 个，{slots} 个 SM，每个一次算一块："
            f"{math.ceil(tiles / slots)} 波。",
            en=f"{tiles} tiles of {best[0]} × {best[1]} on {slots} SMs, one each at a time: "
            f"{math.ceil(tiles / slots)} waves.",
        ),
    )
    gpu = device(CHIPS[shape.chip].device)
    for compute in ("bf16", "fp8"):
        if not gpu.knows(f"peak.{compute}"):
            continue
        yield Metric(
            id=f"crossover_{compute}",
            title=Text(
                zh=f"{compute.upper()} 从几行起受限于算力",
                en=f"{compute.upper()} bound by compute from",
            ),
            provenance=_ESTIMATED,
            unit="token",
            value=crossover(shape, compute),
            formula=Text(
                zh="m 使 2mnk ÷ 峰值 = 字节 ÷ 带宽", en="m at which 2mnk / peak = bytes / bandwidth"
            ),
            source=same(gpu.figure(f"peak.{compute}").source),
        )


USEFUL_FORMULA = Text(
    zh="mn ÷（补齐到整块）× 块数 ÷（补齐到整波）", en="mn / (whole tiles) × tiles / (whole waves)"
)


def crossover(shape: Shape, compute: Compute) -> float:
    """Rows at which computing takes as long as moving, weights and activations in the same type."""
    gpu = device(CHIPS[shape.chip].device)
    ridge = ridge_point(gpu.peak(compute), gpu.memory_bandwidth)
    return compute_bound_rows(shape.n, shape.k, ridge, BITS[compute] / 8)


def quantisation(shape: Shape) -> Lines:
    """The useful share against n: teeth of tiles, steps of waves."""
    step = max(8, shape.n // _SWEEP // 8 * 8)
    widths = list(range(step, 2 * shape.n + 1, step))
    return Lines(
        id="quantisation",
        title=Text(zh="块量化与波量化", en="Tile and wave quantisation"),
        help=Text(
            zh="边上不满的块照算整块；最后一波不满，其余 SM 闲着。",
            en="A tile that is not full is computed in full; in a last wave that is not full SMs idle.",
        ),
        provenance=_ESTIMATED,
        unit="%",
        x=Axis(title=same("n")),
        y=Axis(title=Text(zh="峰值的有用部分", en="useful share of the peak"), unit="%"),
        series=[
            Series(
                name=same(f"{tile[0]} × {tile[1]}"),
                x=array(widths),
                y=array([100 * shape.useful(tile, n) for n in widths]),
            )
            for tile in _TILES
        ],
        marks=[Mark(x=float(shape.n), name=Text(zh="当前", en="now"))],
        markers=False,
        source=Text(
            zh=f"公式；SM 数：{CHIPS[shape.chip].source}。说明见 NVIDIA Matrix Multiplication Background "
            "User's Guide",
            en=f"formula; SMs: {CHIPS[shape.chip].source}. Explained in NVIDIA's Matrix Multiplication "
            "Background User's Guide",
        ),
        wide=True,
    )


def peaks() -> Bars:
    """Published dense peaks."""
    gpus = [device(name) for name in _SHOWN]

    def values(index: int) -> list[float]:
        gpu = gpus[index]
        return [gpu.peak(c) / 1e12 if gpu.knows(f"peak.{c}") else math.nan for c in _TYPES]

    sources = "; ".join(dict.fromkeys(gpu.figure("peak.bf16").source for gpu in gpus))
    return Bars(
        id="peaks",
        title=Text(zh="各数据类型的稠密峰值", en="Dense peaks by data type"),
        provenance=_REPORTED,
        unit="TFLOP/s",
        categories=[NAMES[c] for c in _TYPES],
        series=[BarSeries(name=same(gpu.title), values=array(values(i))) for i, gpu in enumerate(gpus)],
        y=Axis(title=Text(zh="峰值", en="peak"), unit="TFLOP/s"),
        source=same(sources),
        wide=True,
    )


def by_rows(shape: Shape) -> Lines:
    """Attainable rate against rows, by the roofline, weights and activations in the same type."""
    gpu, rows = device(CHIPS[shape.chip].device), [2**power for power in range(14)]
    series = []
    for compute in COMPUTE:
        if compute == "fp32" or not gpu.knows(f"peak.{compute}"):
            continue
        bits = BITS[compute]
        times = [
            max(
                gemm_flops(m, shape.n, shape.k) / gpu.peak(compute),
                gemm_bytes(m, shape.n, shape.k, bits, bits, 16) / gpu.memory_bandwidth,
            )
            for m in rows
        ]
        rates = [gemm_flops(m, shape.n, shape.k) / t / 1e12 for m, t in zip(rows, times, strict=True)]
        series.append(Series(name=NAMES[compute], x=array(rows), y=array(rates)))
    return Lines(
        id="by_rows",
        title=Text(
            zh=f"{gpu.title}：行数与能达到的速度（n = {shape.n}，k = {shape.k}）",
            en=f"{gpu.title}: attainable rate against rows (n = {shape.n}, k = {shape.k})",
        ),
        provenance=_ESTIMATED,
        unit="TFLOP/s",
        x=Axis(title=Text(zh="m（token 数）", en="m (tokens)"), log=True),
        y=Axis(title=Text(zh="至多", en="at best"), unit="TFLOP/s", log=True),
        series=series,
        marks=[Mark(x=float(shape.m), name=Text(zh="当前", en="now"))],
        source=Text(
            zh="屋顶线：稠密峰值与显存带宽取自数据表（labs/simulator/hardware.toml）",
            en="roofline with published dense peaks and bandwidth (labs/simulator/hardware.toml)",
        ),
    )


def _kernels() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    return {"FP32": torch.matmul, "BF16": torch.matmul, "INT8": torch._int_mm}


def _rate(ctx: Context, name: str, size: int) -> float:
    """FLOP/s of a product whose three sides are ``size``, checked; NaN where it cannot be had."""
    generator = ctx.generator()
    a, b = (torch.randint(-8, 8, (size, size), generator=generator).to(ctx.device) for _ in range(2))
    dtype = {"FP32": torch.float32, "BF16": torch.bfloat16, "INT8": torch.int8}[name]
    left, right, kernel = a.to(dtype), b.to(dtype), _kernels()[name]
    if name == "INT8" and ctx.device != "cpu":  # cuBLAS wants the second operand column by column
        right = right.t().contiguous().t()
    try:
        out = kernel(left, right)
    except RuntimeError:  # CUDA's INT8 product refuses sizes that are not multiples of 8
        return math.nan
    exact = a.float() @ b.float()  # of integers whose sums stay below 2^24
    if not torch.allclose(out.float(), exact, rtol=1e-2, atol=1e-2):
        return math.nan
    timing: Timing = ctx.measure(lambda: kernel(left, right), budget_s=_BUDGET_S)
    return gemm_flops(size, size, size) / timing.median_s


def here(found: dict[tuple[str, int], float], sizes: list[int]) -> Bars:
    """This device: types across, sizes beside each other."""
    return Bars(
        id="here",
        title=Text(zh="本机：类型与对齐", en="Here: types and alignment"),
        provenance=_MEASURED,
        unit="GFLOP/s",
        categories=[same(str(size)) for size in sizes],
        series=[
            BarSeries(
                name=same(name),
                values=array([found.get((name, size), math.nan) / 1e9 for size in sizes]),
            )
            for name in _kernels()
        ],
        y=Axis(title=Text(zh="速度", en="rate"), unit="GFLOP/s"),
        help=Text(
            zh="三边相同的方阵：2 的幂；一行奇数个数的少一、多一；是 8 的倍数而不是 2 的幂的多八。",
            en="Squares: a power of two; one less and one more, whose rows are odd; eight more, a multiple "
            "of 8 that is no power of two.",
        ),
        source=Text(
            zh="torch.matmul 与 torch._int_mm，与双精度结果相符才计时；中位数",
            en="torch.matmul and torch._int_mm, timed once they agree with double precision; medians",
        ),
    )


def explanation(shape: Shape, found: dict[tuple[str, int], float], sizes: list[int]) -> Markdown:
    gpu, best = device(CHIPS[shape.chip].device), max(_TILES, key=shape.useful)
    tiles, slots = tile_count(shape.m, shape.n, *best), CHIPS[shape.chip].processors
    waves = math.ceil(tiles / slots)
    rows = crossover(shape, "bf16")
    fp32, bf16 = found["FP32", sizes[0]], found["BF16", sizes[0]]
    ratio = gpu.peak("bf16") / gpu.peak("fp32")
    slow = min(found["FP32", size] for size in sizes[1:]) / fp32
    int8 = found["INT8", sizes[0]] / fp32
    body = Text(
        zh=f"**{gpu.title} 上。** BF16 的 Tensor Core 峰值是 FP32 CUDA 核的 {ratio:.0f} 倍；每减一半位宽，峰"
        f"值再翻倍。但只有 m 大过约 {rows:.0f} 行才碰得到峰值，再小就是在读权重：那里省的是字节，不是 FLOP。"
        f"\n\n**边角。** {shape.m}×{shape.n} 切成 {tiles} 个 {best[0]}×{best[1]} 的块，{slots} 个 SM 要 "
        f"{waves} 波，最后一波只有 {tiles - (waves - 1) * slots} 块：有用部分 {shape.useful(best):.0%}。"
        f"\n\n**本机。** BF16 是 FP32 的 {bf16 / fp32:.2f} 倍，INT8 是 {int8:.2f} 倍：没有相应矩阵指令的处理"
        f"器上，低精度省内存，不一定省时间。边长不是 2 的幂时 FP32 最慢为 {slow:.2f} 倍。",
        en=f"**On {gpu.title}.** BF16 on Tensor Cores has {ratio:.0f} times the peak of FP32 on CUDA cores, "
        f"and each halving of the bits doubles it. But only with more than about {rows:.0f} rows is it "
        "reached; below that one reads weights, and what narrow types save are bytes, not "
        f"FLOPs.\n\n**Edges.** {shape.m} × {shape.n} is {tiles} tiles of {best[0]} × {best[1]}; {slots} SMs "
        f"take {waves} waves, the last of {tiles - (waves - 1) * slots} tiles: {shape.useful(best):.0%} is "
        f"useful.\n\n**Here.** BF16 runs at {bf16 / fp32:.2f} times the rate of FP32, INT8 at {int8:.2f} "
        "times: without matrix instructions for them narrow types save memory, not necessarily time. With "
        f"sides that are no power of two FP32 runs at {slow:.2f} times the rate at worst.",
    )
    if not torch.cuda.is_available():
        body = Text(
            zh=f"{body.zh}\n\n**没有 GPU。** 上面的 Triton 内核只编译、没有运行；有 GPU 时这里会把它与 "
            "cuBLAS 比。",
            en=f"{body.en}\n\n**No GPU here.** The Triton kernels above were compiled and not run; on a GPU "
            "they would be timed beside cuBLAS.",
        )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=body,
        wide=True,
    )
