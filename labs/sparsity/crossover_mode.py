"""From which sparsity a format is faster than dense: measured on one thread, beside what bytes allow."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from labs.caches import rotate
from labs.formulas import sparsity as formulas
from labs.ops import sparse_24, spmm
from labs.ops.native_decode import NativeDecode, native_decode
from labs.quantization.layer_data import layer_data
from labs.quantization.threads import threads
from labs.relative_error import relative_error
from labs.results import Axis, Lines, Markdown, Metric, Provenance, Series, array
from labs.sparsity.native import Kernels, kernels
from labs.sparsity.patterns import Pattern, mask_of
from labs.sparsity.predictions import TWO_FOUR_FORMULA
from labs.sparsity.race import dense_call, in_turn, raced, right
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing
    from labs.results import Result

SWEEP = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
_FP32 = 4
NAMES: dict[str, Text] = {
    "torch_csr": Text(zh="CSR（torch，MKL）", en="CSR (torch, MKL)"),
    "csr32": Text(zh="CSR（C++，int32 列号）", en="CSR (C++, int32 columns)"),
    "csr16": Text(zh="CSR（C++，uint16 列号）", en="CSR (C++, uint16 columns)"),
    "bsr": Text(zh="BSR（C++，整块）", en="BSR (C++, blocks)"),
    "two_four": Text(zh="2:4（C++，展开）", en="2:4 (C++, unfolded)"),
    "sparse_tensor_core": Text(zh="2:4（稀疏 Tensor Core）", en="2:4 (sparse Tensor Core)"),
}
SHORT: dict[str, Text] = {
    "torch_csr": Text(zh="交叉点：torch CSR", en="Crossing: torch CSR"),
    "csr32": Text(zh="交叉点：CSR，int32 列号", en="Crossing: CSR, int32"),
    "csr16": Text(zh="交叉点：CSR，uint16 列号", en="Crossing: CSR, uint16"),
    "bsr": Text(zh="交叉点：BSR", en="Crossing: BSR"),
}
METHOD = Text(
    zh="单线程 fp32，与稠密乘积相符才计时；稠密与稀疏交替测，各取最快的五分之一",
    en="one thread, fp32, timed once it agrees with the dense product; dense and sparse in turn, the "
    "fastest fifth of each",
)


@dataclass
class Curves:
    """Speed over dense by way and sparsity; NaN where a check failed."""

    m: int
    block: int
    found: dict[str, dict[float, float]] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    refused: str = ""  # what torch said of the 2:4 product on this GPU

    def crossing(self, way: str) -> float | None:
        """Sparsity at which both are as fast, on the straight line of time against density that fits all
        points best: one disturbed point moves it little. None: outside the measured range."""
        points = {x: y for x, y in self.found.get(way, {}).items() if y > 0}  # not NaN
        if len(points) < 2:
            return None
        density, time = [1 - x for x in points], [1 / y for y in points.values()]
        slope, base = statistics.linear_regression(density, time)
        found = 1 - (1 - base) / slope if slope > 0 else math.nan
        return found if min(points) <= found <= max(points) else None

    def by_rate(self, way: str) -> float | None:
        """Where the curve would cross if each nonzero took as long at any sparsity; None for one column,
        where bytes predict it beforehand."""
        sparsity, speed = min(self.found[way].items())
        if self.m == 1 or math.isnan(speed):
            return None
        return 1 - formulas.speed_break_even_density(1.0, (1 - sparsity) * speed)


def run_crossover(ctx: Context, params: Any, sweep: tuple[float, ...] = SWEEP) -> Iterator[Result]:
    """Points appear as they are measured."""
    weight = layer_data(ctx, params.layer, params.module).weight
    curves, device = Curves(params.tokens, params.block), ctx.device
    x = torch.randn(weight.shape[1], params.tokens, generator=ctx.generator())
    with threads(1):
        for index, sparsity in enumerate(sweep):
            ctx.progress(index / len(sweep), Text(zh=f"稀疏度 {sparsity:.0%}", en=f"sparsity {sparsity:.0%}"))
            _measure(ctx, curves, weight, x, sparsity, params)
            yield speed_lines(curves)
    if device == "cuda":
        _on_gpu(ctx, curves, weight, x)
        yield speed_lines(curves)
    yield from figures(curves)
    yield explanation(curves, params)


def _measure(ctx: Context, curves: Curves, weight: Tensor, x: Tensor, sparsity: float, params: Any) -> None:
    for pattern in ("unstructured", "block", "two_four"):
        if pattern == "two_four" and sparsity != 0.5:
            continue
        pruned = weight * mask_of(weight.abs(), pattern, sparsity, params.block)
        expected = pruned @ x
        for way, call in _ways(pattern, pruned, x, params).items():
            if right(call(), expected):
                dense_s, sparse_s = raced(ctx, curves.timings, dense_call(pruned, x, params.source), call)
                curves.found.setdefault(way, {})[sparsity] = dense_s / sparse_s
            else:
                curves.wrong.append(way)
                curves.found.setdefault(way, {})[sparsity] = math.nan


def _ways(pattern: Pattern, pruned: Tensor, x: Tensor, params: Any) -> dict[str, Callable[[], Tensor]]:
    found = kernels()
    native = found if isinstance(found, Kernels) else None
    if pattern == "unstructured":
        values, columns, starts = spmm.compress(pruned)
        flat, narrow = values.flatten(), columns.to(torch.uint16)
        ways = {"torch_csr": _torch_csr(pruned, values, columns, starts, x, params)}
        if native:
            ways["csr32"] = _native(native.csr, (flat, columns, starts), x, len(pruned), params)
            ways["csr16"] = _native(native.csr, (flat, narrow, starts), x, len(pruned), params)
        return ways
    if pattern == "block" and native:
        return {"bsr": _native(native.bsr, spmm.compress(pruned, params.block), x, len(pruned), params)}
    decode = native_decode()
    if pattern == "block" or not isinstance(decode, NativeDecode) or x.shape[1] > 1:
        return {}  # with several columns: the mode that compares shapes

    def two_four(values: Tensor, meta: Tensor, x: Tensor, out: Tensor) -> None:
        decode.two_four(x.view(1, -1), values, meta, out.view(1, -1))  # one column is one row

    return {"two_four": _native(two_four, sparse_24.compress(pruned), x, len(pruned), params)}


def _native(
    product: Callable[..., None], arrays: tuple[Tensor, ...], x: Tensor, rows: int, params: Any
) -> Callable[[], Tensor]:
    out, turn = torch.empty(rows, x.shape[1]), in_turn(params.source, lambda: arrays)

    def call() -> Tensor:
        product(*turn(), x, out)
        return out

    return call


def _torch_csr(
    pruned: Tensor, values: Tensor, columns: Tensor, starts: Tensor, x: Tensor, params: Any
) -> Callable[[], Tensor]:
    shape = (pruned.shape[0], pruned.shape[1])

    def make() -> Tensor:
        return spmm.csr_tensor(values.clone(), columns.clone(), starts.clone(), shape)

    one = make()
    size = values.nbytes + columns.nbytes + starts.nbytes
    turn = rotate(make, size, "cpu") if params.source == "memory" else lambda: one
    return lambda: turn() @ x


def _on_gpu(ctx: Context, curves: Curves, weight: Tensor, x: Tensor) -> None:
    """torch's own 2:4 product in fp16, against cuBLAS; weights of a multiple of 32 x 64 only."""
    halved = weight * mask_of(weight.abs(), "two_four", 0.5)
    dense = halved.half().cuda()
    wide = torch.randn(weight.shape[1], max(64, x.shape[1]), device="cuda").half()
    try:
        sparse = sparse_24.semi_structured(dense)
        found = sparse @ wide
    except (RuntimeError, NotImplementedError) as error:  # a GPU before sm_80, or another shape
        curves.refused = (str(error).splitlines() or [type(error).__name__])[0][:160]
        return
    expected = dense @ wide
    if not relative_error(found, expected) <= 1e-2:
        curves.wrong.append("sparse_tensor_core")
        return
    plain, quick = (ctx.measure(partial(torch.matmul, one, wide)) for one in (dense, sparse))
    curves.found["sparse_tensor_core"] = {0.5: plain.median_s / quick.median_s}


def speed_lines(curves: Curves) -> Lines:
    series = []
    for way, points in curves.found.items():
        name = NAMES[way]
        xs, ys = zip(*sorted(points.items()), strict=True)
        series.append(Series(name=name, x=array([100 * x for x in xs]), y=array(ys)))
    shown = sorted({x for points in curves.found.values() for x in points})
    limit = [formulas.least_speedup(x, _FP32, formulas.INDEX_BYTES) for x in shown]
    if curves.m == 1:
        series.append(
            Series(
                name=Text(zh="CSR int32 按字节（公式）", en="CSR int32 by bytes (formula)"),
                x=array([100 * x for x in shown]),
                y=array(limit),
                provenance=Provenance.ESTIMATED,
                reference=True,
            )
        )
    ends = [100 * shown[0], 100 * shown[-1]]
    series.append(
        Series(name=Text(zh="稠密", en="dense"), x=array(ends), y=array([1.0, 1.0]), reference=True)
    )
    return Lines(
        id="speed",
        title=Text(zh=f"比稠密快几倍（{curves.m} 列）", en=f"Times as fast as dense ({curves.m} columns)"),
        help=Text(
            zh="列数是 token 数：解码是批大小，预填充是几百。大于 1 才值得。整块的零用 BSR，非结构化的零用 "
            "CSR。",
            en="Columns are tokens: the batch in decode, hundreds in prefill. Only above 1 does it pay. "
            "BSR has its zeros in blocks, CSR anywhere.",
        ),
        provenance=Provenance.MEASURED,
        unit="×",
        x=Axis(title=Text(zh="稀疏度", en="sparsity"), unit="%"),
        y=Axis(title=Text(zh="稠密时间 ÷ 稀疏时间", en="dense time / sparse time"), unit="×", log=True),
        series=series,
        source=METHOD,
        wide=True,
    )


def figures(curves: Curves) -> Iterator[Metric]:
    for way in ("csr32", "csr16", "bsr", "torch_csr"):
        if way not in curves.found:
            continue
        crossing = curves.crossing(way)
        yield Metric(
            id=f"crossing_{way}",
            title=SHORT[way],
            help=Text(
                zh="快慢相等的稀疏度，取时间对密度的拟合直线；空：测过的范围里没有交叉。",
                en="The sparsity at which both are as fast, on the fitted line of time against density; "
                "empty: no crossing in the measured range.",
            ),
            provenance=Provenance.MEASURED,
            unit="%",
            value=None if crossing is None else 100 * crossing,
            predicted=100 * by_rate if (by_rate := curves.by_rate(way)) is not None else None,
            formula=Text(
                zh="1 − 稀疏乘积的有用速率 ÷ 稠密的速率（在最密的一点量得）",
                en="1 - useful rate of the sparse product / rate of dense, at the densest point",
            ),
            better="lower",
            source=METHOD,
        )
    if "two_four" in curves.found:
        yield Metric(
            id="two_four_speed",
            title=Text(zh="2:4 比稠密快", en="2:4 over dense"),
            provenance=Provenance.MEASURED,
            unit="×",
            value=_shown(curves.found["two_four"][0.5]),
            predicted=1 / formulas.two_four_share(32),
            formula=TWO_FOUR_FORMULA,
            better="higher",
            source=METHOD,
        )


def _shown(value: float) -> float | None:
    return None if math.isnan(value) else value


def explanation(curves: Curves, params: Any) -> Markdown:
    parts = [_crossings(curves), _why(curves, params), _gpu(curves)]
    native = kernels()
    if isinstance(native, Text):
        parts.append(Text(zh=f"C++ 的几条没有：{native.zh}。", en=f"No C++ curves: {native.en}."))
    if curves.wrong:
        names = ", ".join(sorted(set(curves.wrong)))
        parts.append(
            Text(zh=f"结果不对、不给速度：{names}。", en=f"Wrong, and shown without speed: {names}.")
        )
    if warning := noise_warning(curves.timings):
        parts.append(warning)
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=Provenance.MEASURED,
        body=Text(
            zh="\n\n".join(one.zh for one in parts),
            en="\n\n".join(one.en for one in parts),
        ),
        wide=True,
    )


def _crossings(curves: Curves) -> Text:
    told = []
    for way in curves.found:
        crossing = curves.crossing(way)
        points = sorted(curves.found[way].items())
        if crossing is not None:
            told.append((NAMES[way], f"{crossing:.0%}", f"{crossing:.0%}"))
        elif len(points) > 1:
            fast = points[0][1] >= 1
            told.append((NAMES[way], "始终更快" if fast else "始终更慢", "always" if fast else "never"))
    zh = "；".join(f"{name.zh} {where}" for name, where, _ in told)
    en = "; ".join(f"{name.en} {where}" for name, _, where in told)
    return Text(zh=f"**从哪里起比稠密快**：{zh}。", en=f"**Faster than dense from**: {en}.")


def _why(curves: Curves, params: Any) -> Text:
    if curves.m == 1 and params.source == "memory":
        return Text(
            zh="一列时稠密乘积等内存：少读字节就快。CSR int32 每个值 8 字节，按字节 50% 起才赢；列号换成 "
            "uint16 每个6 字节，界限是 33%。与实测的差，是按列号取 x 的聚集加载（gather）和每行的收尾。",
            en="With one column the dense product waits for memory, so fewer bytes are faster. CSR int32 "
            "takes 8 bytes a value and wins from 50% by bytes; uint16 columns take 6, with the limit at "
            "33%. The difference from what is measured: gathers of x by column, and the end of each row.",
        )
    if curves.m == 1:
        return Text(
            zh="权重在缓存里，稠密乘积不等内存，比的是指令：稠密一条加载配一条乘加，CSR 多一次聚集加载。所"
            "以缓存里的交叉点比内存里靠后：换到“内存”看。",
            en="With weights in the cache the dense product does not wait for memory, and instructions "
            "decide: a load for each multiply-add, where CSR gathers too. So the crossing lies later than "
            "from memory: choose that and compare.",
        )
    return Text(
        zh=f"{curves.m} 列时同一个权重用 {curves.m} 次，字节不再是瓶颈，比的是有用乘加的速率：稀疏的是稠密的"
        "几成，密度低到几成才打平。稠密 GEMM 把 C 的一块留在寄存器里，x 的一个向量给多行用；CSR 每个非零重"
        "读 x 的一行；BSR 在块内照样复用。稠密库越接近峰值，交叉点越靠后。",
        en=f"With {curves.m} columns a weight is used {curves.m} times: bytes no longer decide, the rate of "
        "useful multiply-adds does, and its share of the dense rate is the density at which both are as "
        "fast. A dense GEMM keeps a tile of C in registers, so that a vector of x serves several rows; CSR "
        "reads a row of x for each nonzero; BSR reuses within a block. The closer the dense library is to "
        "the peak, the later the crossing.",
    )


def _gpu(curves: Curves) -> Text:
    if "sparse_tensor_core" in curves.found:
        speed = curves.found["sparse_tensor_core"][0.5]
        return Text(
            zh=f"**稀疏 Tensor Core**（fp16，torch）：{speed:.2f} 倍于 cuBLAS。",
            en=f"**Sparse Tensor Core** (fp16, torch): {speed:.2f} times cuBLAS.",
        )
    if curves.refused:
        return Text(
            zh=f"**稀疏 Tensor Core 没有测**：这个 GPU 或形状不行：{curves.refused}。",
            en=f"**Sparse Tensor Cores were not measured**: not on this GPU, or shape: {curves.refused}.",
        )
    shown = "two_four" in curves.found
    return Text(
        zh="**稀疏 Tensor Core 没有测**：`torch.sparse.to_sparse_semi_structured` 只在 CUDA 上有，此处没有 "
        "GPU。"
        + ("图上的 2:4 是 CPU 上按元数据展开的乘积，省的是字节；" if shown else "")
        + "多列的 2:4 见“2:4 与真实形状”。",
        en="**Sparse Tensor Cores were not measured**: `torch.sparse.to_sparse_semi_structured` exists on "
        "CUDA only, and there is no GPU here. "
        + (
            "2:4 in the plot is a product on the CPU that unfolds by the metadata; it saves bytes. "
            if shown
            else ""
        )
        + "For 2:4 with more columns see its real shapes.",
    )
