"""The GEMM operators compiled for a GPU that need not be here: which instruction multiplies, what it takes.

Where the GPU is, the same kernels are checked and timed against its library as well.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from labs.device import no_kernels
from labs.formulas.memory import gemm_flops
from labs.ops.operator import HAS_TRITON, Case
from labs.relative_error import relative_error
from labs.results import Bars, BarSeries, Column, Provenance, Table, array
from labs.results.plots import Axis
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.context import Context
    from labs.inspection.compiled import Compiled, Target
    from labs.results import Result

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
TARGETS: dict[str, Target] = {"a100": "sm_80", "h100": "sm_90"}
# With the shape of one instruction: m16n8k16, m64n128k16.
_INSTRUCTION = re.compile(r"(wgmma\.mma_async|mma\.sync)\S*?\.(m\d+n\d+k\d+)\S*")
_SIDE = 4096
_KERNELS: tuple[tuple[Text, str, Case], ...] = (
    (
        same("FP16"),
        "gemm",
        Case({"m": _SIDE, "n": _SIDE, "k": _SIDE, "transposed": 1}, "fp16"),
    ),
    (same("FP32"), "gemm", Case({"m": _SIDE, "n": _SIDE, "k": _SIDE, "transposed": 1})),
    (same("INT8"), "int8_gemm", Case({"m": _SIDE, "n": _SIDE, "k": _SIDE})),
    (
        Text(zh="INT4 权重", en="INT4 weights"),
        "int4_gemm",
        Case({"m": _SIDE, "n": _SIDE, "k": _SIDE, "group": 128}, "fp16"),
    ),
)


@dataclass(frozen=True)
class Built:
    """A kernel's machine code, and the instructions of its assembly that multiply matrices."""

    name: Text
    kernel: Compiled
    instructions: list[str]


def compiled_kernels(ctx: Context, chip: str) -> Iterator[Result]:
    """Grows kernel by kernel; nothing where there is no Triton."""
    if not HAS_TRITON:
        return
    built: list[Built] = []
    for index, (name, operator, case) in enumerate(_KERNELS):
        ctx.progress(index / len(_KERNELS), Text(zh=f"编译 {name.zh}", en=f"compiling {name.en}"))
        built.append(_build(name, operator, case, TARGETS[chip]))
        yield table(built, chip)
    if no_kernels() is None:
        yield against_library(ctx)


def _build(name: Text, operator: str, case: Case, target: Target) -> Built:
    from labs.inspection.compiled import compile_launch
    from labs.inspection.launches import launches_of

    launches = launches_of(functools.partial(_triton(operator), **_placeholders(operator, case)))
    kernel = compile_launch(launches[0], target)
    found = {f"{kind} {shape}" for kind, shape in _INSTRUCTION.findall(kernel.stages["ptx"])}
    return Built(name, kernel, sorted(found))


def _triton(operator: str) -> Callable[..., Any]:
    from labs.ops.operator import operators

    launch = operators()[operator].triton
    assert launch is not None
    return launch


def _placeholders(operator: str, case: Case) -> dict[str, torch.Tensor]:
    """Tensors of the right shapes and types that hold nothing: compiling reads no values."""
    side, half = _SIDE, torch.float16
    if operator == "gemm":
        dtype = half if case.dtype == "fp16" else torch.float32
        return {"a": torch.empty(side, side, dtype=dtype), "b": torch.empty(side, side, dtype=dtype).t()}
    if operator == "int8_gemm":
        numbers = {name: torch.empty(side, side, dtype=torch.int8) for name in "ab"}
        return numbers | {f"{name}_scale": torch.empty(side) for name in "ab"}
    groups = side // case["group"]
    scales = {name: torch.empty(side, groups, dtype=half) for name in ("scale", "low")}
    packed = torch.empty(side, groups, case["group"] // 2, dtype=torch.uint8)
    return {"x": torch.empty(side, side, dtype=half), "packed": packed} | scales


def table(built: list[Built], chip: str) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for one in built:
        kernel, residency = one.kernel, one.kernel.residency
        none = Text(zh="无：走 CUDA 核的 FMA", en="none: FMAs on CUDA cores")
        rows.append(
            [
                one.name,
                same(", ".join(one.instructions)) if one.instructions else none,
                kernel.registers,
                kernel.spill_bytes,
                kernel.shared_bytes / 1024,
                residency.blocks,
                100 * residency.occupancy,
            ]
        )
    return Table(
        id="kernels",
        title=Text(
            zh=f"本应用的 Triton GEMM 编译给 {TARGETS[chip]}",
            en=f"This app's Triton GEMMs for {TARGETS[chip]}",
        ),
        help=Text(
            zh="编译不需要 GPU。看每种类型用的是哪条矩阵指令，一条做多大的块。",
            en="Compiling needs no GPU. See which matrix instruction each type gets, and how much one does.",
        ),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="类型", en="type")),
            Column(title=Text(zh="矩阵指令", en="matrix instruction")),
            Column(title=Text(zh="寄存器 / 线程", en="registers a thread")),
            Column(title=Text(zh="溢出", en="spilled"), unit="B"),
            Column(title=Text(zh="共享内存", en="shared memory"), unit="KiB"),
            Column(title=Text(zh="每 SM 线程块", en="blocks an SM"), provenance=_ESTIMATED),
            Column(title=Text(zh="占用率", en="occupancy"), unit="%", provenance=_ESTIMATED),
        ],
        rows=rows,
        source=Text(
            zh=f"离线编译，{_SIDE} 的方阵；PTX 与 cubin",
            en=f"compiled offline for sides of {_SIDE}; PTX and cubin",
        ),
        wide=True,
    )


def against_library(ctx: Context) -> Bars:
    """On a GPU: the kernel with its tuned configuration, and cuBLAS, once they agree."""
    from labs.ops.gemm import tuned_gemm

    a, b = (torch.randn(_SIDE, _SIDE, device="cuda", dtype=torch.float16) for _ in range(2))
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "cuBLAS (torch)": lambda: a @ b,
        "Triton": lambda: tuned_gemm(a, b),
    }
    expected, rates = a.float() @ b.float(), []
    for call in ways.values():
        right = relative_error(call(), expected) <= 2e-3
        seconds = ctx.measure(call).median_s if right else float("nan")
        rates.append(gemm_flops(_SIDE, _SIDE, _SIDE) / seconds / 1e12)
    return Bars(
        id="against_library",
        title=Text(zh="Triton GEMM 与 cuBLAS（FP16）", en="The Triton GEMM and cuBLAS (FP16)"),
        provenance=_MEASURED,
        unit="TFLOP/s",
        categories=[same(name) for name in ways],
        series=[BarSeries(name=Text(zh="实测", en="measured"), values=array(rates))],
        y=Axis(title=Text(zh="速度", en="rate"), unit="TFLOP/s"),
        source=Text(zh="与 FP32 结果相符才计时", en="timed once they agree with the product in fp32"),
    )
