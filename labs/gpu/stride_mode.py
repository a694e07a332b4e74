"""The same effect on this machine, measured: bytes wanted and bytes moved as the stride grows.

A processor moves cache lines of 64 bytes where a GPU moves sectors of 32; a single core is its own "warp".
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labs.engine.native_library import loaded
from labs.formulas.warp_access import SECTOR_BYTES
from labs.results import Axis, Lines, Mark, Markdown, Metric, Provenance, Series, array
from labs.spec import Prediction
from labs.text import Text
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.context import Context
    from labs.measure import Timing
    from labs.results import Array, Result

STRIDES = (1, 2, 4, 8, 16, 32, 64)
CPU_LINE_BYTES = 64
_SOURCE = Path(__file__).parent / "native" / "strided_sum.cpp"
# In rounds, so that a neighbour's burst does not draw the curve; each stride keeps its fastest round.
_ROUNDS, _BUDGET_S = 3, 0.1
MEASURED, ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED


@dataclass(frozen=True)
class Strided:
    """One stride: numbers (float32) read a pass, and the time of a pass."""

    stride: int
    count: int
    timing: Timing

    @property
    def wanted(self) -> float:
        """Wanted bytes a second, of the fastest fifth: what the memory can do, not what others left of it."""
        return 4 * self.count / self.timing.low_s


def expected_share(stride: int, unit: int) -> float:
    """Wanted over moved bytes of float32 at a stride, ``unit`` bytes being moved at a time."""
    return 1 / min(stride, unit // 4)


def predictions(device: str) -> Iterator[Prediction]:
    unit = SECTOR_BYTES if device == "cuda" else CPU_LINE_BYTES
    for stride in (2, unit // 4):
        yield Prediction(
            id=f"share_{stride}",
            title=_share_title(stride),
            value=100 * expected_share(stride, unit),
            unit="%",
            formula=Text(zh=f"1 ÷ min(步长, {unit // 4})", en=f"1 / min(stride, {unit // 4})"),
        )


def _share_title(stride: int) -> Text:
    return Text(zh=f"步长 {stride}：对连续读之比", en=f"Stride {stride} against stride 1")


def run_strides(ctx: Context, size_mib: int) -> Iterator[Result]:
    if ctx.preview:
        return
    count = size_mib * 2**18
    ctx.reserve(4 * count, Text(zh="要读的数组", en="the array to read"))
    unit = SECTOR_BYTES if ctx.device == "cuda" else CPU_LINE_BYTES
    read, how = reader(ctx, count)
    best: dict[int, Strided] = {}
    steps = [stride for _ in range(_ROUNDS) for stride in STRIDES]
    for place, stride in enumerate(steps):
        ctx.progress(place / len(steps), Text(zh=f"步长 {stride}", en=f"stride {stride}"))
        one = Strided(stride, -(-count // stride), ctx.measure(read(stride), budget_s=_BUDGET_S))
        best[stride] = max(one, best.get(stride, one), key=lambda strided: strided.wanted)
        yield curves(list(best.values()), unit, how)
    found = list(best.values())
    yield from figures(found, unit, how)
    yield explanation(found, unit, size_mib, ctx.device)


def reader(ctx: Context, count: int) -> tuple[Callable[[int], Callable[[], object]], Text]:
    """What reads an array of ones at a stride, and how it does."""
    if ctx.device == "cuda":
        import torch

        tensor = torch.ones(count, device="cuda")
        return lambda stride: lambda: tensor[::stride].sum(), Text(zh="torch，CUDA", en="torch on CUDA")
    data = np.ones(count, dtype=np.float32)
    library = loaded(_SOURCE)
    if isinstance(library, Text):
        return lambda stride: lambda: data[::stride].sum(), Text(zh="numpy，一个线程", en="numpy, one thread")
    library.strided_sum.restype = ctypes.c_float
    library.strided_sum.argtypes = (ctypes.c_void_p, ctypes.c_long, ctypes.c_long)
    return (
        lambda stride: lambda: _read(library, data, stride),
        Text(zh="C++，一个线程", en="C++, one thread"),
    )


def _read(library: ctypes.CDLL, data: Array, stride: int) -> float:
    return float(library.strided_sum(data.ctypes.data, len(data), stride))


def curves(found: list[Strided], unit: int, how: Text) -> Lines:
    strides = array([one.stride for one in found])
    wanted = array([one.wanted for one in found])
    share = array([expected_share(one.stride, unit) for one in found])
    return Lines(
        id="strides",
        title=Text(zh="本机：步长与带宽", en="This machine: bandwidth against stride"),
        provenance=MEASURED,
        unit="B/s",
        x=Axis(title=Text(zh="步长（float32）", en="stride (float32)"), log=True),
        y=Axis(title=Text(zh="带宽", en="bandwidth"), unit="B/s"),
        series=[
            Series(name=Text(zh="要用的", en="wanted"), x=strides, y=wanted),
            Series(
                name=Text(zh="要用的：按公式", en="wanted, by the formula"),
                x=strides,
                y=wanted[0] * share,
                provenance=ESTIMATED,
                reference=True,
            ),
            Series(
                name=Text(zh=f"搬的（{unit} 字节一条）", en=f"moved ({unit} bytes at a time)"),
                x=strides,
                y=wanted / share,
            ),
        ],
        marks=[Mark(x=unit / 4, name=Text(zh=f"{unit} B", en=f"{unit} B"))],
        source=how,
        wide=True,
    )


def figures(found: list[Strided], unit: int, how: Text) -> Iterator[Metric]:
    by_stride = {one.stride: one for one in found}
    for stride in (2, unit // 4):
        yield Metric(
            id=f"share_{stride}",
            title=_share_title(stride),
            provenance=MEASURED,
            unit="%",
            value=100 * by_stride[stride].wanted / by_stride[1].wanted,
            predicted=100 * expected_share(stride, unit),
            formula=Text(zh=f"1 ÷ min(步长, {unit // 4})", en=f"1 / min(stride, {unit // 4})"),
            source=how,
        )


def explanation(found: list[Strided], unit: int, size_mib: int, device: str) -> Markdown:
    by_stride = {one.stride: one for one in found}
    first, edge, last = by_stride[1], by_stride[unit // 4], found[-1]
    longer = edge.wanted / last.wanted
    zh = (
        f"连续读 {size_mib} MiB：每秒 {first.wanted / 1e9:.1f} GB 全是要用的。步长 {edge.stride}"
        f"（一条 {unit} 字节里只用 4 字节）时降到 {edge.wanted / 1e9:.2f} GB，"
        f"是连续时的 {edge.wanted / first.wanted:.1%}；公式只看搬了多少条，是 "
        f"{expected_share(edge.stride, unit):.1%}。步长再大，每次访问仍是一条：步长 {last.stride} 时"
        f"一次访问用的时间是步长 {edge.stride} 的 {longer:.2f} 倍。公式里没有预取与页表（TLB），"
        "差别来自它们，也来自同一台机器上别的程序。"
    )
    en = (
        f"Read in order, {size_mib} MiB give {first.wanted / 1e9:.1f} GB/s, all of it wanted. At a stride of "
        f"{edge.stride} (4 of {unit} bytes are used) it is {edge.wanted / 1e9:.2f} GB/s, "
        f"{edge.wanted / first.wanted:.1%} of that; the formula, which only counts lines, says "
        f"{expected_share(edge.stride, unit):.1%}. Beyond, each access still moves one line: at a stride of "
        f"{last.stride} it takes {longer:.2f} times as long as at {edge.stride}. Prefetching and page tables "
        "(TLB) are not in the formula; they make the difference, and so do other programs on the machine."
    )
    kernels = loaded(_SOURCE)
    if device == "cpu" and isinstance(kernels, Text):
        zh += f"\n\n**没有 C++ 内核**：{kernels.zh}。这里由 numpy 跨步求和，它自己的开销也算在内。"
        en += f"\n\n**No C++ kernel**: {kernels.en}. numpy adds at the stride, and its own overhead counts."
    if warning := noise_warning([one.timing for one in found]):
        zh, en = f"{zh}\n\n{warning.zh}", f"{en}\n\n{warning.en}"
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=MEASURED,
        body=Text(zh=zh, en=en),
    )
