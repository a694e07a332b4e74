"""The most FLOP/s that this device reaches: multiply-adds without memory, and matrix products by type."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from labs.formulas.memory import gemm_flops
from labs.quantization.linear import int8_dynamic
from labs.roofline.bandwidths import QUICK_S
from labs.roofline.streams import library
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from labs.context import Context
    from labs.measure import Timing

Precision = Literal["fp64", "fp32", "tf32", "bf16", "int8"]

_SIZES: Final = (512, 1024, 2048)
_GPU_SIZES: Final = (2048, 4096, 8192)
_LONGEST_S: Final = 0.12  # a product that takes longer is not tried at twice the size
_BUDGET_S: Final = 0.12
_TURNS: Final = 400_000
_LOOPS: Final[
    tuple[tuple[str, Precision | Literal[""], int], ...]
] = (  # name, the type it is a roof of, kind and FLOPs a turn (vector bytes 32 or 64)
    ("fma fp32", "fp32", 0),
    ("fma fp64", "fp64", 1),
    ("fma scalar", "", 2),
    ("fma chain", "", 3),
)
TITLES: Final = {
    "fma fp32": Text(zh="向量 FMA，FP32", en="vector FMA, FP32"),
    "fma fp64": Text(zh="向量 FMA，FP64", en="vector FMA, FP64"),
    "fma scalar": Text(zh="不用 SIMD：标量 FMA", en="no SIMD: scalar FMA"),
    "fma chain": Text(zh="无指令级并行：一条依赖链", en="no parallel instructions: one chain"),
    "gemm fp64": Text(zh="矩阵乘，FP64", en="matrix product, FP64"),
    "gemm fp32": Text(zh="矩阵乘，FP32", en="matrix product, FP32"),
    "gemm tf32": Text(zh="矩阵乘，TF32", en="matrix product, TF32"),
    "gemm bf16": Text(zh="矩阵乘，BF16", en="matrix product, BF16"),
    "gemm int8": Text(zh="矩阵乘，INT8", en="matrix product, INT8"),
}


@dataclass(frozen=True)
class Ceiling:
    """``rate`` in FLOP/s (INT8: operations/s) of the fastest fifth; ``precision`` "": a roof of none."""

    name: str
    precision: Precision | Literal[""]
    rate: float
    size: int  # of the square product, 0 of a loop
    timing: Timing


def ceilings(ctx: Context, threads: int, quick: bool = False) -> Iterator[Ceiling]:
    """Loops, where they compile; products: the best of some sizes, or ``quick``, by type; loops once more."""
    yield from _loops(ctx, threads, quick)
    precisions: tuple[Precision, ...] = ("fp64", "fp32", "bf16", "int8")
    if ctx.device != "cpu":
        precisions = ("fp64", "fp32", "tf32", "bf16", "int8")
    for precision in precisions:
        with contextlib.suppress(LabError):  # INT8 has no product without fbgemm: then it has no roof
            yield _best_product(ctx, precision, quick)
    if not quick:
        yield from _loops(ctx, threads, quick)


def keep_higher(found: list[Ceiling], new: Ceiling) -> None:
    """Take ``new`` into ``found`` unless the same was higher before."""
    before = [index for index, one in enumerate(found) if one.name == new.name]
    if not before:
        found.append(new)
    elif new.rate > found[before[0]].rate:
        found[before[0]] = new


def _loops(ctx: Context, threads: int, quick: bool) -> Iterator[Ceiling]:
    kernels = library()
    if ctx.device != "cpu" or isinstance(kernels, Text):
        return
    vector, chains = int(kernels.inferlab_vector_bytes()), int(kernels.inferlab_chains())
    flops = {0: vector // 4 * chains, 1: vector // 8 * chains, 2: chains, 3: vector // 4}
    for name, precision, kind in _LOOPS:
        timing = ctx.measure(
            lambda kind=kind: kernels.inferlab_multiply_add(kind, _TURNS, threads),  # type: ignore[misc]
            budget_s=QUICK_S if quick else 0.04,
        )
        rate = 2 * flops[kind] * _TURNS * threads / timing.low_s
        yield Ceiling(name, precision, rate, 0, timing)


def _best_product(ctx: Context, precision: Precision, quick: bool) -> Ceiling:
    best: Ceiling | None = None
    for size in _SIZES if ctx.device == "cpu" else _GPU_SIZES:
        ctx.check()
        if best is not None and not _fits(ctx, size):
            break
        timing = ctx.measure(_product(ctx, precision, size), budget_s=QUICK_S if quick else _BUDGET_S)
        one = Ceiling(
            f"gemm {precision}", precision, gemm_flops(size, size, size) / timing.low_s, size, timing
        )
        if best is None or one.rate > best.rate:
            best = one
        if quick or timing.median_s > _LONGEST_S / 8:
            break
    assert best is not None
    return best


def _fits(ctx: Context, size: int) -> bool:
    """Whether three squares in the widest type leave room."""
    try:
        ctx.reserve(3 * 8 * size * size, Text(zh="矩阵", en="the matrices"))
    except LabError:
        return False
    return True


def _product(ctx: Context, precision: Precision, size: int) -> Callable[[], object]:
    a = torch.randn(size, size, generator=ctx.generator()).to(ctx.device)
    if precision == "int8":
        layer = int8_dynamic(a.float().cpu(), ctx.device)
        return lambda: layer(a)
    if precision in ("fp32", "tf32") and ctx.device != "cpu":
        return lambda: _with_tf32(precision == "tf32", a)
    dtype = {"fp64": torch.float64, "bf16": torch.bfloat16}.get(precision, torch.float32)
    operand = a.to(dtype)
    return lambda: F.linear(operand, operand)


def _with_tf32(allowed: bool, a: torch.Tensor) -> torch.Tensor:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = allowed
    try:
        return F.linear(a, a)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
