"""What the traced block shows: lifetimes, how much is kept in which way, and the planned arena, replayed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.liveness import Lifetime, arena_bytes, greedy_offsets, naive_bytes, peak_bytes
from labs.results import (
    FREE,
    Axis,
    Bars,
    BarSeries,
    BlockChanges,
    BlockMap,
    EventKind,
    Markdown,
    Metric,
    Owner,
    Provenance,
    Timeline,
    Trace,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.memory.live_storage import LiveStorages

_MEASURED, _ESTIMATED = Provenance.MEASURED, Provenance.ESTIMATED
CLOCK = "lives"
_CELLS = 384  # of the arena's picture, at most
_LEAST_CELL = 1024
_CATEGORIES = {
    "linear": Text(zh="矩阵乘", en="matrix products"),
    "norm": Text(zh="归一化", en="norms"),
    "attention": Text(zh="注意力", en="attention"),
    "rotate": Text(zh="旋转位置", en="rotation"),
    "other": Text(zh="逐元素与残差", en="elementwise and residual"),
}


@dataclass(frozen=True)
class Traced:
    """One way to compute the block: its record, and the lifetimes of its tensors in bytes."""

    record: LiveStorages
    lifetimes: list[Lifetime]

    @property
    def naive(self) -> float:
        return naive_bytes(self.lifetimes)

    @property
    def peak(self) -> float:
        return peak_bytes(self.lifetimes)


def traced(record: LiveStorages) -> Traced:
    """Lifetimes of a record; what the call returned lives to its end."""
    last = len(record.operations) - 1
    lifetimes = [
        Lifetime(
            f"{index + 1:02d} {_operation(one.operation)} {'×'.join(map(str, one.shape[1:]))}",
            one.birth,
            last if one.death is None else max(one.death, one.birth),
            one.nbytes,
        )
        for index, one in enumerate(record.storages)
    ]
    return Traced(record, lifetimes)


def trace(one: Traced) -> Trace:
    """Births and deaths as events: the clock of the other pictures."""
    events = _events(one)
    times = one.record.times_s
    peak_step = int(
        np.argmax([sum(t.size for t in one.lifetimes if t.birth <= s <= t.death) for s in range(len(times))])
    )
    at = max(index for index, (step, birth, _) in enumerate(events) if birth and step <= peak_step)
    return Trace(
        id=CLOCK,
        title=Text(zh="张量的生与死", en="Tensors are born and die"),
        provenance=_MEASURED,
        times=array([times[step] for step, _, _ in events]),
        kinds=[
            EventKind(
                name=Text(zh="分配", en="allocate"),
                template=Text(zh="{tensor} 分配 {kib:.0f} KiB", en="{tensor} is allocated, {kib:.0f} KiB"),
            ),
            EventKind(
                name=Text(zh="释放", en="free"),
                template=Text(zh="{tensor} 释放 {kib:.0f} KiB", en="{tensor} is freed, {kib:.0f} KiB"),
            ),
        ],
        kind_index=array([0 if birth else 1 for _, birth, _ in events], np.int64),
        columns={
            "tensor": array([index for _, _, index in events], np.int64),
            "kib": array([one.lifetimes[index].size / 1024 for _, _, index in events]),
        },
        names={"tensor": [same(lifetime.name) for lifetime in one.lifetimes]},
        at=at,
        source=Text(
            zh="真实前向，逐算子记录；时间含记录本身的开销",
            en="a real forward pass, operation by operation; times include the recording",
        ),
        wide=True,
    )


def lifetimes_view(one: Traced) -> Timeline:
    """A lane a tensor, from the operation that writes it to the last that reads it."""
    times = [0.0, *one.record.times_s]
    lives, kinds = one.lifetimes, list(_CATEGORIES)
    end = [times[t.death + 1] for t in lives]
    return Timeline(
        id="lifetimes",
        title=Text(zh="一个 block 里每个中间张量的寿命", en="How long each tensor of one block lives"),
        provenance=_MEASURED,
        unit="B",
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        lanes=[same(t.name) for t in lives],
        lane=np.arange(len(lives), dtype=np.int64),
        start=array([times[t.birth + 1] if t.birth + 1 < len(times) else times[-1] for t in lives]),
        end=array([max(stop, times[t.birth + 1]) for stop, t in zip(end, lives, strict=True)]),
        category=array([kinds.index(_kind(t.name)) for t in lives], np.int64),
        categories=list(_CATEGORIES.values()),
        value=array([t.size for t in lives]),
        value_name=Text(zh="大小", en="size"),
        clock=CLOCK,
        source=Text(zh="同一次真实前向", en="the same real forward pass"),
        wide=True,
    )


def arena_view(one: Traced) -> BlockMap:
    """The planned arena: every tensor at its offset while it lives."""
    cell = _LEAST_CELL
    while arena_bytes(one.lifetimes, greedy_offsets(one.lifetimes)) / cell > _CELLS:
        cell *= 2
    # Whole cells, so that no cell belongs to two tensors at once.
    rounded = [Lifetime(t.name, t.birth, t.death, -(-t.size // cell)) for t in one.lifetimes]
    offsets = greedy_offsets(rounded)
    rows: list[tuple[int, int, int]] = []
    for event, (_, birth, index) in enumerate(_events(one)):
        first = int(offsets[index])
        rows += [(event, first + k, index if birth else FREE) for k in range(int(rounded[index].size))]
    table = array(rows, np.int64)
    return BlockMap(
        id="arena",
        title=Text(zh="贪心规划的内存池（arena）", en="The arena that greedy planning makes"),
        provenance=_MEASURED,
        unit="B",
        count=int(arena_bytes(rounded, offsets)),
        block_size=cell,
        owners=[Owner(name=same(t.name)) for t in one.lifetimes],
        changes=BlockChanges(event=table[:, 0], block=table[:, 1], owner=table[:, 2]),
        clock=CLOCK,
        source=Text(
            zh="寿命来自真实前向；偏移由“先大后小、放进最小的空隙”算出",
            en="lifetimes from the real pass; offsets by 'largest first, into the smallest gap'",
        ),
        wide=True,
    )


def ways_bars(plain: Traced, saving: Traced, kept: int, checkpointed: int) -> Bars:
    """How much memory each way takes for one block."""
    rows = [
        (Text(zh="全部留着，互不复用", en="keep all, reuse nothing"), plain.naive, None),
        (Text(zh="训练：为反向传播留下", en="training: kept for backward"), float(kept), None),
        (Text(zh="推理：用完即放的峰值", en="inference: peak, freed after use"), plain.peak, None),
        (
            Text(zh="推理：贪心 arena", en="inference: greedy arena"),
            arena_bytes(plain.lifetimes, greedy_offsets(plain.lifetimes)),
            _ESTIMATED,
        ),
        (Text(zh="推理：原地操作的峰值", en="inference: peak, in place"), saving.peak, None),
        (Text(zh="检查点：为反向传播留下", en="checkpointing: kept for backward"), float(checkpointed), None),
    ]
    return Bars(
        id="ways",
        title=Text(zh="同一个 block，几种活法", en="One block, several ways to live"),
        provenance=_MEASURED,
        unit="B",
        categories=[title for title, _, _ in rows],
        series=[BarSeries(name=Text(zh="字节", en="bytes"), values=array([value for _, value, _ in rows]))],
        y=Axis(title=Text(zh="内存", en="memory"), unit="B"),
        source=Text(
            zh="跟踪真实存储；arena 一行由规划算出",
            en="real storages followed; the arena's row is planned from them",
        ),
        wide=True,
    )


def metrics(plain: Traced, saving: Traced, allocator: int | None) -> list[Metric]:
    """The figures that the notes speak of."""
    arena = arena_bytes(plain.lifetimes, greedy_offsets(plain.lifetimes))
    return [
        Metric(
            id="peak",
            title=Text(zh="用完即放的峰值", en="Peak when freed after use"),
            provenance=_MEASURED,
            unit="B",
            value=plain.peak,
            formula=Text(
                zh="T × (2C + 3F) × 4 B：残差、归一化各 C；silu 后的 gate、up、二者之积各 F",
                en="T × (2C + 3F) × 4 B: residual and norm, C each; gate after silu, up, their product, F "
                "each",
            ),
            better="lower",
            source=Text(
                zh=f"分配器自己的峰值：{_mib(allocator)}", en=f"the allocator's own peak: {_mib(allocator)}"
            ),
        ),
        Metric(
            id="reuse",
            title=Text(zh="复用省下", en="Saved by reuse"),
            provenance=_MEASURED,
            unit="%",
            value=100 * (1 - plain.peak / plain.naive),
            better="higher",
        ),
        Metric(
            id="in_place",
            title=Text(zh="原地操作再省", en="Saved again in place"),
            provenance=_MEASURED,
            unit="%",
            value=100 * (1 - saving.peak / plain.peak),
            better="higher",
        ),
        Metric(
            id="arena_overhead",
            title=Text(zh="arena 比下界多", en="Arena above the lower bound"),
            provenance=_ESTIMATED,
            unit="%",
            value=100 * (arena / plain.peak - 1),
            better="lower",
            source=Text(zh="下界是存活字节的峰值", en="the bound is the peak of live bytes"),
        ),
    ]


def explanation(
    plain: Traced, saving: Traced, kept: int, checkpointed: int, layers: int, difference: float
) -> Markdown:
    """What each comparison means, in this run's figures."""
    arena = arena_bytes(plain.lifetimes, greedy_offsets(plain.lifetimes))
    depth = layers * kept / plain.peak
    zh = (
        f"- 一个 block 先后写出 {len(plain.lifetimes)} 个张量，合计 {_mib(plain.naive)}；但同一时刻活着的最"
        "多只有 "
        f"**{_mib(plain.peak)}**。各层轮流用这一块，所以与层数无关。\n"
        f"- 训练要为反向传播留下每层 {_mib(kept)}，{layers} 层是 {_mib(layers * kept)}，为推理峰值的 "
        f"{depth:.0f} 倍。"
        f"检查点（activation checkpointing）把每层留下的压到 {_mib(checkpointed)}，代价是反向时重算；"
        "推理没有反向，也就没有可省的。\n"
        f"- 原地操作（加到残差上、silu 写回 gate、旋转写回 Q、K）把峰值降到 {_mib(saving.peak)}，"
        f"输出最大只差 {difference:.1e}（舍入次序）。\n"
        f"- 贪心规划把这些张量排进 {_mib(arena)} 的 arena，"
        + ("正好等于下界。" if arena <= plain.peak else f"比下界多 {100 * (arena / plain.peak - 1):.1f}%。")
    )
    en = (
        f"- One block writes {len(plain.lifetimes)} tensors, {_mib(plain.naive)} in all, but no more than "
        f"**{_mib(plain.peak)}** are alive at once. The layers take turns in it: depth does not matter.\n"
        f"- Training keeps {_mib(kept)} a layer for backward, {_mib(layers * kept)} in {layers} layers: "
        f"{depth:.0f} "
        f"times inference's peak. Activation checkpointing keeps {_mib(checkpointed)} a layer and computes "
        "the rest "
        "again; inference has no backward pass, so there is nothing to save.\n"
        f"- In place (added to the residual, silu over gate, rotation over Q and K) the peak is "
        f"{_mib(saving.peak)}, and the output differs by at most {difference:.1e} (order of rounding).\n"
        f"- Greedy planning packs the tensors into an arena of {_mib(arena)}, "
        + (
            "exactly the bound."
            if arena <= plain.peak
            else f"{100 * (arena / plain.peak - 1):.1f} % above the bound."
        )
    )
    return Markdown(
        id="explanation",
        title=Text(zh="你看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh=zh, en=en),
        wide=True,
    )


def _events(one: Traced) -> list[tuple[int, bool, int]]:
    """``(operation, is a birth, tensor)`` in order: what an operation writes, then what it frees.

    What is alive at the end is not freed.
    """
    births = [(t.birth, 0, index) for index, t in enumerate(one.lifetimes)]
    deaths = [
        (t.death, 1, index)
        for index, (t, storage) in enumerate(zip(one.lifetimes, one.record.storages, strict=True))
        if storage.death is not None
    ]
    return [(step, order == 0, index) for step, order, index in sorted(births + deaths)]


def _operation(name: str) -> str:
    """A short name; attention has another kernel, and name, on another device."""
    return "attention" if "attention" in name else {"rms_norm": "norm"}.get(name, name)


def _kind(name: str) -> str:
    operation = name.split()[1]
    if operation in _CATEGORIES:
        return operation
    # Of the rest only rotation works on heads.
    return "rotate" if name.split()[2].count("×") == 2 else "other"


def _mib(size: float | None) -> str:
    return "—" if size is None else f"{size / 2**20:.2f} MiB"
