"""What offloading shows: bandwidths, a streamed pass with and without prefetch, and when it pays."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.offloading import (
    break_even_tokens,
    offloaded_bytes,
    prefetched_seconds,
    serial_seconds,
    streamed_tokens_per_s,
)
from labs.memory.ledger import sequence_bytes, weight_bytes
from labs.memory.precision import matrix_bytes
from labs.results import (
    Axis,
    Bars,
    BarSeries,
    Column,
    Lines,
    Mark,
    Metric,
    Provenance,
    Series,
    Table,
    Timeline,
    array,
)
from labs.simulator.model_cost import prefill_flops
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.memory.bandwidths import Bandwidths
    from labs.memory.kv_offload import KVTimes
    from labs.memory.ledger import Setting
    from labs.memory.streaming import Pass
    from labs.simulator.hardware import Device

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED


@dataclass(frozen=True)
class Streamed:
    """The three passes over the same layers, with the input of ``tokens``."""

    tokens: int
    resident: Pass
    serial: Pass
    prefetched: Pass

    @property
    def equal(self) -> bool:
        """Whether streaming changed nothing in the output."""
        outputs = [one.output for one in (self.serial, self.prefetched)]
        return all(bool((output == self.resident.output).all()) for output in outputs)


def bandwidth_bars(found: Bandwidths) -> Bars:
    rows = [
        (Text(zh="内存到内存（复制）", en="memory to memory (copy)"), found.copy),
        (Text(zh="文件，已在页缓存", en="file, in the page cache"), found.warm),
        (Text(zh="文件，清掉页缓存后", en="file, page cache dropped"), found.cold or np.nan),
    ]
    missing = (
        {2: Text(zh="这个系统不能清页缓存", en="this system cannot drop it")} if found.cold is None else {}
    )
    return Bars(
        id="bandwidths",
        title=Text(zh="这台机器搬字节的速度", en="How fast this machine moves bytes"),
        provenance=_MEASURED,
        unit="B/s",
        categories=[title for title, _ in rows],
        series=[BarSeries(name=Text(zh="带宽", en="bandwidth"), values=array([value for _, value in rows]))],
        y=Axis(title=Text(zh="送达的字节", en="bytes delivered"), unit="B/s"),
        missing=missing,
        source=Text(
            zh="posix_fadvise(DONTNEED) 只清本机的页缓存；虚拟机下面可能还有一层缓存",
            en="posix_fadvise(DONTNEED) drops this system's pages; below a virtual machine there may be "
            "another cache",
        ),
        wide=True,
    )


def pass_timeline(streamed: Streamed) -> Timeline:
    """Loads and computes of both passes, in four lanes."""
    lanes = [
        Text(zh="不预取：加载", en="serial: load"),
        Text(zh="不预取：计算", en="serial: compute"),
        Text(zh="预取：加载", en="prefetch: load"),
        Text(zh="预取：计算", en="prefetch: compute"),
    ]
    rows: list[tuple[int, float, float, int, int]] = []
    for first, one in ((0, streamed.serial), (2, streamed.prefetched)):
        rows += [(first, start, end, 0, layer) for layer, (start, end) in enumerate(one.loads)]
        rows += [(first + 1, start, end, 1, layer) for layer, (start, end) in enumerate(one.computes)]
    lane, start, end, category, layer = (array(column) for column in zip(*rows, strict=True))
    return Timeline(
        id="passes",
        title=Text(
            zh=f"逐层流式前向，{streamed.tokens} 个 token",
            en=f"A pass streamed layer by layer, {streamed.tokens} tokens",
        ),
        provenance=_MEASURED,
        unit="s",
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        lanes=lanes,
        lane=lane.astype(np.int64),
        start=start,
        end=end,
        category=category.astype(np.int64),
        categories=[
            Text(zh="从文件加载一层", en="load a layer from the file"),
            Text(zh="计算一层", en="compute a layer"),
        ],
        label=[same(f"{int(index)}") for index in layer],
        value=end - start,
        value_name=Text(zh="时长", en="duration"),
        source=Text(
            zh="真实读文件与真实计算；每遍之前清页缓存；给加载线程留一个核，三遍取中位",
            en="real reads and real compute; pages dropped before each pass; one core left to loading, the "
            "median of three passes",
        ),
        wide=True,
    )


def pass_metrics(streamed: Streamed) -> list[Metric]:
    """Measured passes beside what their layers' times predict."""
    loads, computes = streamed.serial.load_s, streamed.resident.compute_s
    exposed = max(0.0, streamed.prefetched.seconds - sum(streamed.prefetched.compute_s))
    hidden = 100 * (1 - exposed / sum(loads))
    return [
        Metric(
            id="serial",
            title=Text(zh="不预取", en="Without prefetch"),
            provenance=_MEASURED,
            unit="s",
            value=streamed.serial.seconds,
            predicted=serial_seconds(loads, computes),
            formula=Text(
                zh="Σ 加载 + Σ 计算（计算取常驻时的）", en="Σ load + Σ compute (compute as when resident)"
            ),
            better="lower",
        ),
        Metric(
            id="prefetched",
            title=Text(zh="预取下一层", en="With the next layer prefetched"),
            provenance=_MEASURED,
            unit="s",
            value=streamed.prefetched.seconds,
            predicted=prefetched_seconds(loads, computes),
            formula=Text(
                zh="首层加载 + Σ max(计算, 下一层加载)", en="first load + Σ max(compute, next load)"
            ),
            better="lower",
        ),
        Metric(
            id="resident",
            title=Text(zh="权重常驻", en="Weights resident"),
            provenance=_MEASURED,
            unit="s",
            value=streamed.resident.seconds,
            better="lower",
        ),
        Metric(
            id="hidden",
            title=Text(zh="预取藏住的加载", en="Loading hidden by prefetch"),
            provenance=_MEASURED,
            unit="%",
            value=max(0.0, min(100.0, hidden)),
            better="higher",
            source=Text(
                zh="1 − 计算等待的时间 ÷ 加载总时间", en="1 − time that compute waited / total load time"
            ),
        ),
    ]


def break_even(curve: list[tuple[int, float]], load_s: float) -> float | None:
    """Tokens from which on computing a layer takes as long as loading it; None beyond what was measured.

    Between two measured points time is taken as a power of the tokens.
    """
    for (tokens, seconds), (more, longer) in reversed(list(itertools.pairwise(curve))):
        if seconds < load_s <= longer:
            share = math.log(load_s / seconds) / math.log(longer / seconds)
            return float(tokens * (more / tokens) ** share)
    return float(curve[0][0]) if curve[-1][1] >= load_s else None


def crossover_lines(curve: list[tuple[int, float]], load_s: float, even: float | None) -> Lines:
    """Time a layer against the tokens of a pass: loading does not depend on them, computing does."""
    tokens = [point[0] for point in curve]
    return Lines(
        id="crossover",
        title=Text(zh="多少 token 才藏得住加载", en="How many tokens hide the loading"),
        provenance=_MEASURED,
        unit="s",
        x=Axis(title=Text(zh="一遍前向的 token 数", en="tokens of a pass"), unit="token", log=True),
        y=Axis(title=Text(zh="一层的时间", en="time of a layer"), unit="s", log=True),
        series=[
            Series(
                name=Text(zh="从文件加载", en="load from the file"),
                x=array(tokens),
                y=array([load_s] * len(tokens)),
            ),
            Series(
                name=Text(zh="计算（权重常驻）", en="compute (weights resident)"),
                x=array(tokens),
                y=array([point[1] for point in curve]),
            ),
        ],
        marks=[] if even is None else [Mark(x=even, name=Text(zh="持平", en="break-even"))],
        source=Text(
            zh="加载是流式前向里每层的平均；token 少时计算也要把权重读一遍，所以左端是平的",
            en="loading is the mean of the streamed pass; with few tokens computing still reads all weights, "
            "so its left end is flat",
        ),
        wide=True,
    )


def weight_table(setting: Setting, device: Device, room: float) -> Table:
    """The chosen model on the chosen device, by how much of the weights lives in host memory."""
    weights, link = weight_bytes(setting), device.host_bandwidth
    forced = offloaded_bytes(weights, room) / weights
    rows: list[list[Text | float | int | None]] = []
    for share in sorted({0.0, 0.1, 0.25, 0.5, 1.0, round(forced, 3)}):
        moved = share * weights
        resident = weights - moved
        rate = streamed_tokens_per_s(moved, resident, link, device.memory_bandwidth)
        batch = break_even_tokens(matrix_bytes(setting.weights), device.peak("bf16"), link)
        rows.append([100 * share, moved / 2**30, moved / link, rate, None if share == 0 else batch * share])
    return Table(
        id="weights",
        title=Text(
            zh=f"{setting.shape.name} 的权重放在主机内存",
            en=f"Weights of {setting.shape.name} in host memory",
        ),
        provenance=_ESTIMATED,
        columns=[
            Column(title=Text(zh="卸载的权重", en="offloaded"), unit="%"),
            Column(title=Text(zh="每步要传", en="bytes a step"), unit="GiB"),
            Column(title=Text(zh="每步传输", en="transfer a step"), unit="s"),
            Column(
                title=Text(zh="解码上限，批大小 1", en="decode at best, batch 1"),
                unit="token/s",
                help=Text(
                    zh="一步取传输与读显存中较慢者，二者完全重叠",
                    en="a step is the slower of the transfer and of reading device memory, perfectly "
                    "overlapped",
                ),
            ),
            Column(
                title=Text(zh="藏住传输要的 token", en="tokens that hide it"),
                help=Text(
                    zh="每步至少这么多 token，计算（按稠密 BF16 峰值）才与传输一样长",
                    en="so many tokens a step compute (at the dense BF16 peak) as long as the transfer takes",
                ),
            ),
        ],
        rows=rows,
        highlight=next(index for index, row in enumerate(rows) if row[0] == 100 * round(forced, 3)),
        source=Text(
            zh=f"{device.title}：{device.figure('host_bandwidth').source}；标出的一行是装得下所需的最少卸载",
            en=f"{device.title}: {device.figure('host_bandwidth').source}; the marked row is the least "
            "that must move",
        ),
        wide=True,
    )


def kv_table(found: KVTimes) -> Table:
    """Bringing a prompt's KV back against computing it, on this machine's engine."""
    ways = [
        (Text(zh="重算（预填充）", en="compute anew (prefill)"), found.compute_s),
        (Text(zh="从内存取回", en="back from memory"), found.memory_s),
        (Text(zh="从文件取回", en="back from a file"), found.file_s),
    ]
    size = f"{found.nbytes / 2**20:.1f} MiB"
    return _ways_table(
        "kv",
        Text(
            zh=f"本机：{found.tokens} token 的 KV（{size}）", en=f"Here: KV of {found.tokens} tokens ({size})"
        ),
        Provenance.MEASURED,
        ways,
        Text(
            zh="引擎自己的换出与换入；文件先清页缓存",
            en="the engine's own swapping out and in; the file's pages dropped first",
        ),
    )


def device_kv_table(setting: Setting, device: Device) -> Table:
    """The same on the device, from its peak and its bandwidth to the host."""
    flops, size = prefill_flops(setting.shape, setting.context), sequence_bytes(setting)
    ways = [
        (Text(zh="重算（预填充）", en="compute anew (prefill)"), flops / device.peak("bf16")),
        (Text(zh="从主机内存取回", en="back from host memory"), size / device.host_bandwidth),
    ]
    mib = f"{size / 2**20:.0f} MiB"
    return _ways_table(
        "device_kv",
        Text(
            zh=f"{device.title}：{setting.context} token 的 KV（{mib}）",
            en=f"{device.title}: KV of {setting.context} tokens ({mib})",
        ),
        Provenance.ESTIMATED,
        ways,
        Text(
            zh="下界：稠密 BF16 峰值与主机带宽，都按 100% 计",
            en="bounds: the dense BF16 peak and the host bandwidth, each at 100 %",
        ),
    )


def _ways_table(
    name: str, title: Text, provenance: Provenance, ways: list[tuple[Text, float]], source: Text
) -> Table:
    first = ways[0][1]
    return Table(
        id=name,
        title=title,
        provenance=provenance,
        columns=[
            Column(title=Text(zh="做法", en="way")),
            Column(title=Text(zh="时间", en="time"), unit="s"),
            Column(title=Text(zh="比重算快", en="times faster"), unit="×"),
        ],
        rows=[[way, seconds, first / seconds] for way, seconds in ways],
        source=source,
        wide=True,
    )
