"""This machine's roofs as results: bandwidth by size, ceilings by type, and what they come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.results import Axis, Bars, BarSeries, Column, Lines, Mark, Metric, Provenance, Series, Table, array
from labs.roofline.bandwidths import capacities
from labs.roofline.ceilings import TITLES
from labs.roofline.streams import KINDS
from labs.text import Text, same
from labs.timing_results import time_metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from labs.results import Result
    from labs.roofline.machine import Machine

_MEASURED = Provenance.MEASURED
KIND_NAMES: Final = {
    "read": Text(zh="读", en="read"),
    "copy": Text(zh="复制", en="copy"),
    "triad": Text(zh="triad：a = b + 3c", en="triad: a = b + 3c"),
}
METHOD: Final = Text(
    zh="每种大小反复走一遍，取最快五分之一的样本。字节按 STREAM 的记法：写之前先把缓存行读进来的那一份不算。",
    en="Each size is gone over again and again; the fastest fifth of the samples counts. Bytes as in STREAM: "
    "the line that is read before it is overwritten is not counted.",
)


def bandwidth_lines(machines: Sequence[Machine]) -> Result:
    """Rate against the size that is streamed, with the caches' capacities marked."""
    series = []
    for machine in machines:
        for kind in KINDS:
            points = [one for one in machine.streamed if one.kind == kind]
            if not points:
                continue
            series.append(
                Series(
                    name=_name(kind, machine, len(machines) > 1),
                    x=array([one.working_bytes / 2**10 for one in points]),
                    y=array([one.rate for one in points]),
                )
            )
    first = machines[0]
    marks = [Mark(x=size / 2**10, name=same(name)) for name, size in capacities(first.threads, first.device)]
    return Lines(
        id="bandwidth",
        title=Text(zh="带宽与数据大小", en="Bandwidth and the size of the data"),
        help=Text(
            zh="数据全部（各数组、各线程合计）装得进哪一级缓存，就有哪一级的速度；每过一级掉一个台阶。竖线是"
            "各级容量"
            "（各核私有的按线程数合计）。",
            en="What fits a cache, all arrays and threads together, is as fast as that cache; beyond each "
            "there "
            "is a step down. The lines mark their capacities, private ones summed over the threads.",
        ),
        provenance=_MEASURED,
        unit="B/s",
        x=Axis(title=Text(zh="数据大小", en="size of the data"), unit="KiB", log=True),
        y=Axis(title=Text(zh="带宽", en="bandwidth"), unit="B/s", log=True),
        series=series,
        marks=marks,
        source=METHOD,
        wide=True,
    )


def level_table(machines: Sequence[Machine]) -> Result:
    """Each level's rates, and the ridge under the fp32 peak."""
    rows: list[list[Text | float | int | None]] = []
    for machine in machines:
        by_kind = {kind: {one.name: one for one in machine.levels(kind)} for kind in KINDS}
        peak = machine.peak("fp32") if any(one.precision == "fp32" for one in machine.ceilings) else None
        for level in machine.levels():
            rates = [by_kind[kind].get(level.name) for kind in KINDS]
            rows.append(
                [
                    same(level.name),
                    machine.threads,
                    level.capacity / 2**10 if level.capacity else None,
                    *(one.bandwidth / 1e9 if one else None for one in rates),
                    peak / level.bandwidth if peak else None,
                ]
            )
    return Table(
        id="levels",
        title=Text(zh="各级存储的带宽", en="Bandwidth of each level"),
        provenance=_MEASURED,
        columns=[
            Column(title=Text(zh="层级", en="level")),
            Column(title=Text(zh="线程", en="threads")),
            Column(title=Text(zh="容量", en="capacity"), unit="KiB"),
            *(Column(title=KIND_NAMES[kind], unit="GB/s") for kind in KINDS),
            Column(
                title=Text(zh="FP32 拐点", en="FP32 ridge"),
                unit="FLOP/B",
                help=Text(
                    zh="FP32 峰值 ÷ 这一级的读带宽：强度低于它，这一级喂不饱计算单元。",
                    en="FP32 peak over this level's read bandwidth: below it this level cannot feed the "
                    "units.",
                ),
            ),
        ],
        rows=rows,
        source=METHOD,
        wide=True,
    )


def ceiling_bars(machines: Sequence[Machine]) -> Result:
    """All ceilings of each machine, by name."""
    names = list(dict.fromkeys(one.name for machine in machines for one in machine.ceilings))
    series = []
    for machine in machines:
        rates = {one.name: one.rate for one in machine.ceilings}
        series.append(
            BarSeries(name=_threads(machine), values=array([rates.get(name, float("nan")) for name in names]))
        )
    return Bars(
        id="ceilings",
        title=Text(zh="计算峰值", en="Compute ceilings"),
        help=Text(
            zh="FMA 是乘加：一条指令两次运算。循环只在寄存器里乘加，是硬件的顶；矩阵乘是库真正做到的（INT8 "
            "的含激活量化）。不用 "
            "SIMD、或"
            "每条指令都等上一条时的两个低顶，就是没有向量化、没有指令级并行的代码的上限。",
            en="FMA: multiply and add, two operations an instruction. The loops stay in registers: the "
            "hardware's ceiling; products are what the library reaches (INT8 with quantising the "
            "activations). The two low ones bound code without "
            "vectors, or in which each instruction waits for the one before.",
        ),
        provenance=_MEASURED,
        unit="FLOP/s",
        categories=[TITLES[name] for name in names],
        y=Axis(title=Text(zh="速率", en="rate"), unit="FLOP/s"),
        series=series,
        source=Text(
            zh="寄存器里的乘加循环；方阵乘取 512、1024、2048 中最快的（GPU 上 2048 到 8192）。",
            en="loops of multiply-adds in registers; the fastest of square products of 512, 1024 and 2048 "
            "(on "
            "GPUs 2048 to 8192).",
        ),
        wide=True,
    )


def machine_metrics(machine: Machine) -> Iterator[Metric]:
    """Memory bandwidth, fp32 peak, ridge, and an empty call, as far as they are known."""
    found = machine.levels()
    memory = found[-1].bandwidth if found and found[-1].capacity == 0 else None
    yield Metric(
        id="memory_bandwidth",
        title=Text(zh="读内存的带宽", en="Bandwidth of reading memory"),
        provenance=_MEASURED,
        unit="B/s",
        value=memory,
        better="higher",
        source=METHOD,
    )
    products = [one for one in machine.ceilings if one.precision == "fp32"]
    best = max(products, key=lambda one: one.rate, default=None)
    yield Metric(
        id="peak",
        title=Text(zh="FP32 计算峰值", en="FP32 compute peak"),
        provenance=_MEASURED,
        unit="FLOP/s",
        value=best.rate if best else None,
        better="higher",
        source=TITLES[best.name] if best else METHOD,
    )
    yield Metric(
        id="ridge",
        title=Text(zh="拐点", en="Ridge point"),
        provenance=_MEASURED,
        unit="FLOP/B",
        value=best.rate / memory if best and memory else None,
        source=Text(zh="FP32 峰值 ÷ 读内存的带宽", en="FP32 peak over the bandwidth of reading memory"),
    )
    if machine.empty_call is not None:
        yield time_metric(
            machine.empty_call,
            id="empty_call",
            title=Text(zh="一次空调用", en="An empty call"),
            help=Text(
                zh="对一个元素取负：几乎不算，时间全是框架的派发（GPU 上是内核启动）。比它还短的算子没有意"
                "义。",
                en="Negating one element computes next to nothing: the framework's dispatch, on a GPU the "
                "kernel's launch. No operator can be shorter.",
            ),
        )


def _name(kind: str, machine: Machine, several: bool) -> Text:
    name = KIND_NAMES[kind]
    if not several:
        return name
    threads = _threads(machine)
    return Text(zh=f"{name.zh}，{threads.zh}", en=f"{name.en}, {threads.en}")


def _threads(machine: Machine) -> Text:
    if machine.device != "cpu":
        return same("GPU")
    count = machine.threads
    return Text(zh=f"{count} 线程", en="1 thread" if count == 1 else f"{count} threads")
