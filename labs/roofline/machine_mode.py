"""This machine's roofs: every way of streaming, one thread and all, and every ceiling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.caches import cpu_caches
from labs.results import Provenance, Series, array
from labs.roofline import machine_views as views
from labs.roofline import roof_views
from labs.roofline.explanation import prose, roofs_by_torch
from labs.roofline.machine import known_machine, measure_machine
from labs.roofline.streams import KINDS
from labs.text import Text, same
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.results import Result
    from labs.roofline.machine import Machine


def run_machine(ctx: Context, threads: int, again: bool, quick: bool) -> Iterator[Result]:
    """With all threads first, then, where they are several, with one."""
    counts = dict.fromkeys([threads, 1] if ctx.device == "cpu" else [threads])
    machines: dict[int, Machine] = {}
    if ctx.preview:
        machines = {count: one for count in counts if (one := known_machine(ctx, count))}
        if machines:
            yield from _results(list(machines.values()))
        return
    for count in counts:
        for index, machine in enumerate(measure_machine(ctx, count, again=again, quick=quick, wanted=KINDS)):
            machines[count] = machine
            if index % len(KINDS) == 0:  # a picture for each size, not for each way of streaming it
                yield from _results(list(machines.values()))
    found = list(machines.values())
    yield from _results(found)
    yield roofline(found[0])
    yield _explanation(found)


def _results(machines: list[Machine]) -> Iterator[Result]:
    yield from views.machine_metrics(machines[0])
    yield views.bandwidth_lines(machines)
    yield views.level_table(machines)
    if any(machine.ceilings for machine in machines):
        yield views.ceiling_bars(machines)


def roofline(machine: Machine) -> Result:
    """A slope for each level of memory, and a level line for each type."""
    span = roof_views.span_of([])
    known = [
        precision
        for precision in ("fp32", "bf16", "int8", "fp64")
        if any(one.precision == precision for one in machine.ceilings)
    ]
    peaks = {precision: machine.peak(precision) for precision in known}
    roofs = roof_views.level_roofs(machine.levels(), peaks, span)
    return roof_views.roofline(
        [*roofs, _named(machine, span[0])],
        title=Text(zh="这台机器的分层屋顶线", en="This machine's hierarchical roofline"),
        source=views.METHOD,
    )


def _named(machine: Machine, left: float) -> Series:
    """A dot on each slope, so that it has its name beside it, at distances that keep the names apart."""
    found = machine.levels()
    xs = [left * 2 ** (0.75 * (len(found) - index)) for index in range(len(found))]
    return Series(
        name=Text(zh="各级带宽 × 强度", en="bandwidth of each level × intensity"),
        x=array(xs),
        y=array([level.bandwidth * x for level, x in zip(found, xs, strict=True)]),
        labels=[same(level.name) for level in found],
        provenance=Provenance.MEASURED,
    )


def _explanation(machines: list[Machine]) -> Result:
    first = machines[0]
    levels = first.levels()
    fastest, memory = max(levels, key=lambda level: level.bandwidth), levels[-1]
    parts = [
        Text(
            zh=f"**台阶。** {fastest.name} 读 {fastest.bandwidth / 1e9:.0f} GB/s，{memory.name} 只有 "
            f"{memory.bandwidth / 1e9:.0f} GB/s，差 {fastest.bandwidth / memory.bandwidth:.1f} 倍：把数据留"
            "在近处反复用，"
            "就是分块、融合的全部道理。",
            en=f"**Steps.** {fastest.name} is read at {fastest.bandwidth / 1e9:.0f} GB/s, {memory.name} at "
            f"{memory.bandwidth / 1e9:.0f} GB/s, {fastest.bandwidth / memory.bandwidth:.1f} times less: "
            "keeping "
            "data near and using it again is all that tiling and fusing are about.",
        ),
        Text(
            zh=f"**拐点。** FP32 峰值 {first.peak('fp32') / 1e9:.0f} GFLOP/s，所以数据从 {memory.name} 来时"
            "每字节要有 "
            f"{first.peak('fp32') / memory.bandwidth:.1f} 次运算才喂得满，从 {fastest.name} 来时只要 "
            f"{first.peak('fp32') / fastest.bandwidth:.2f} 次。",
            en=f"**Ridge.** With an FP32 peak of {first.peak('fp32') / 1e9:.0f} GFLOP/s data from "
            f"{memory.name} "
            f"must be used for {first.peak('fp32') / memory.bandwidth:.1f} FLOPs a byte to keep the units "
            "busy, "
            f"data from {fastest.name} for {first.peak('fp32') / fastest.bandwidth:.2f}.",
        ),
    ]
    rates = {one.name: one.rate for one in first.ceilings}
    if "fma fp32" in rates:
        low = rates["fma fp32"] / rates["fma chain"]
        parts.append(
            Text(
                zh=f"**低一些的顶。** 只用一条依赖链，乘加只剩 1/{low:.0f}：每条都要等上一条的结果。不用 "
                "SIMD 只剩 "
                f"1/{rates['fma fp32'] / rates['fma scalar']:.0f}。峰值要两者都有。矩阵乘达到乘加循环的 "
                f"{rates['gemm fp32'] / rates['fma fp32']:.0%}。",
                en=f"**Lower ceilings.** With one chain, multiply-adds run at 1/{low:.0f}: each waits for "
                "the "
                f"one before. Without SIMD at 1/{rates['fma fp32'] / rates['fma scalar']:.0f}. The peak "
                "needs "
                f"both. The matrix product reaches {rates['gemm fp32'] / rates['fma fp32']:.0%} of the loop.",
            )
        )
    parts.extend(_remarks(first))
    if warning := noise_warning([timing for machine in machines for timing in machine.timings]):
        parts.append(warning)
    return prose(parts)


def _remarks(machine: Machine) -> Iterator[Text]:
    yield from roofs_by_torch(machine)
    if machine.device == "cpu" and any(cache.assumed for cache in cpu_caches()):
        yield Text(
            zh="**系统没有告知缓存大小**，上面的容量是常见值。",
            en="**The system does not tell its caches**: their sizes above are usual ones.",
        )
