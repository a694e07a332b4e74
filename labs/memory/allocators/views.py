"""A replay as pictures on one clock: the arena's cells, bytes, fragmentation, the largest free run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.allocation import MIB
from labs.memory.allocators.contest import TITLES
from labs.memory.allocators.memory_map import NOBODY
from labs.results import (
    Axis,
    BlockChanges,
    BlockMap,
    Column,
    EventKind,
    Lines,
    Metric,
    Owner,
    Provenance,
    Series,
    Table,
    Trace,
    array,
    ints,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.memory.allocators.contest import Name
    from labs.memory.allocators.replay import Replay
    from labs.results import Array

CLOCK = "requests"
SIMULATED = Provenance.SIMULATED
_TIME = Axis(title=Text(zh="时间", en="time"), unit="s")
_KINDS: dict[str, tuple[Text, Text]] = {
    "start": (
        Text(zh="分配", en="allocate"),
        Text(zh="{owner} 分到内存，它需要 {mib:.1f} MiB", en="{owner} gets memory; it needs {mib:.1f} MiB"),
    ),
    "copy": (
        Text(zh="搬家", en="move"),
        Text(
            zh="{owner} 装不下了：换到更大的一段，旧内容复制过去（{mib:.1f} MiB）",
            en="{owner} has outgrown its piece and is copied to a larger one ({mib:.1f} MiB)",
        ),
    ),
    "step": (
        Text(zh="增长", en="grow"),
        Text(zh="{count} 个所有者各自长了一点", en="{count} owners grow a little"),
    ),
    "end": (Text(zh="释放", en="free"), Text(zh="{owner} 结束，内存归还", en="{owner} ends, all is freed")),
    "fail": (
        Text(zh="失败", en="fail"),
        Text(
            zh="{owner} 需要 {mib:.1f} MiB，没有放得下的空位，只好放弃",
            en="{owner} needs {mib:.1f} MiB, no free place will do, and it is given up",
        ),
    ),
}


def trace(run: Replay) -> Trace:
    """Stands where most free bytes could not be had at once."""
    happenings = run.happenings
    kinds = [kind for kind in _KINDS if any(one.kind == kind for one in happenings)]
    number = {owner: place for place, owner in enumerate(sorted(run.owners), start=1)}
    steps = [one.kind == "step" for one in happenings]
    return Trace(
        id=CLOCK,
        title=Text(zh="内存请求", en="Requests for memory"),
        provenance=SIMULATED,
        unit="s",
        wide=True,
        times=array([one.time_s for one in happenings]),
        kinds=[EventKind(name=_KINDS[kind][0], template=_KINDS[kind][1]) for kind in kinds],
        kind_index=ints(kinds.index(one.kind) for one in happenings),
        columns={
            "owner": ints(number.get(one.owner, 0) for one in happenings),
            "mib": array([0 if s else one.size / MIB for one, s in zip(happenings, steps, strict=True)]),
            "count": ints(one.size * s for one, s in zip(happenings, steps, strict=True)),
        },
        names={"owner": [same("–"), *(same(f"#{owner}") for owner in sorted(run.owners))]},
        at=max(0, run.worst().event - 1),
    )


def memory_map(run: Replay, name: Name, unit_bytes: int, unit: str) -> BlockMap:
    """The arena in cells, in order of address."""
    rows, owners = run.map.rows, sorted(run.owners)
    number = {owner: place for place, owner in enumerate(owners)} | {NOBODY: NOBODY}
    cell = run.map.cell_bytes
    title = TITLES[name]
    return BlockMap(
        id="arena",
        title=Text(zh=f"内存地图：{title.zh}", en=f"Memory map: {title.en}"),
        help=Text(
            zh=f"整块内存按地址顺序切成 {cell / MIB:g} MiB 的格子。颜色是占得最多的所有者，填色多少是真正需要"
            "的部分；有颜色而空着的是内部碎片，夹在颜色之间、太短而用不上的空白是外部碎片。",
            en=f"The arena in order of address, in cells of {cell / MIB:g} MiB. The colour is who has "
            "most of "
            "a cell, its fill what is really needed. Coloured and empty is internal fragmentation; gaps "
            "between colours too short to be used are external.",
        ),
        provenance=SIMULATED,
        unit=unit,
        wide=True,
        count=run.map.cells,
        block_size=cell // unit_bytes,
        owners=[Owner(name=same(f"#{owner}")) for owner in owners],
        changes=BlockChanges(
            event=ints(row.event for row in rows),
            block=ints(row.cell for row in rows),
            owner=ints(number[row.owner] for row in rows),
            filled=ints(-(-row.filled // unit_bytes) for row in rows),
        ),
        clock=CLOCK,
    )


def occupancy(run: Replay) -> Lines:
    """Bytes needed, set aside, held; the gaps are waste."""
    lines = [
        (Text(zh="真正需要", en="needed"), [one.stored for one in run.moments]),
        (Text(zh="已划给所有者", en="set aside for owners"), [one.used for one in run.moments]),
    ]
    if any(one.held != one.used for one in run.moments):
        name = Text(zh="分配器握着的", en="held by the allocator")
        lines.append((name, [one.held for one in run.moments]))
    arena = Series(
        name=Text(zh="整块内存", en="the arena"),
        x=_times(run),
        y=array([run.allocator.capacity / MIB] * len(run.moments)),
        reference=True,
    )
    return Lines(
        id="occupancy",
        title=Text(zh="占用", en="Occupancy"),
        help=Text(
            zh="“需要”到“划给”之间是内部碎片；“划给”到“握着”之间是留着待复用的段或 slab。",
            en="From needed to set aside: internal fragmentation. From set aside to held: segments or slabs "
            "kept for reuse.",
        ),
        provenance=SIMULATED,
        unit="MiB",
        x=_TIME,
        y=Axis(title=Text(zh="内存", en="memory"), unit="MiB"),
        series=[*(_in_mib(run, name, values) for name, values in lines), arena],
        markers=False,
        clock=CLOCK,
    )


def free_room(run: Replay) -> Lines:
    """What is free in all, and what one request could get."""
    lines = [
        (Text(zh="空闲合计", en="free in all"), [one.free for one in run.moments]),
        (Text(zh="最大一次能拿到", en="the largest that can be had"), [one.largest for one in run.moments]),
    ]
    return Lines(
        id="free_room",
        title=Text(zh="空闲的内存，与一次能拿到的", en="Free memory, and what one request can get"),
        help=Text(
            zh="两条线分开多远，外部碎片就有多重：空着，却凑不成一段。分页时两线重合。",
            en="The farther apart, the worse the external fragmentation: free, but not in one piece. With "
            "pages the lines coincide.",
        ),
        provenance=SIMULATED,
        unit="MiB",
        x=_TIME,
        y=Axis(title=Text(zh="内存", en="memory"), unit="MiB"),
        series=[_in_mib(run, name, values) for name, values in lines],
        markers=False,
        clock=CLOCK,
    )


def fragmentation(run: Replay) -> Lines:
    """Both kinds as shares, over time."""
    shares = [
        (
            Text(zh="内部：划给却不需要", en="internal: set aside, not needed"),
            [m.internal for m in run.moments],
        ),
        (
            Text(zh="外部：空闲却不成一段", en="external: free, not in one piece"),
            [m.external for m in run.moments],
        ),
    ]
    return Lines(
        id="fragmentation",
        title=Text(zh="碎片随时间", en="Fragmentation over time"),
        help=Text(
            zh="内部 = 1 − 需要 ÷ 划给；外部 = 1 − 最大一次能拿到 ÷ 空闲合计。",
            en="Internal = 1 − needed / set aside; external = 1 − largest that can be had / free in all.",
        ),
        provenance=SIMULATED,
        unit="%",
        x=_TIME,
        y=Axis(title=Text(zh="占比", en="share"), unit="%"),
        series=[Series(name=name, x=_times(run), y=100 * array(values)) for name, values in shares],
        markers=False,
        clock=CLOCK,
    )


def metrics(run: Replay, name: Name) -> list[Metric]:
    """Of the allocator that is shown."""
    title = TITLES[name]
    return [
        Metric(
            id="served",
            title=Text(zh="放得下的请求", en="Found room"),
            provenance=SIMULATED,
            unit="%",
            value=100 * run.served / len(run.owners),
            better="higher",
            help=Text(
                zh=f"{title.zh}：{len(run.owners)} 个里的 {run.served} 个。其余的来时或要长大时没有空位，"
                "被放弃；真实引擎"
                "会让它们排队或被抢占。",
                en=f"With {title.en}: {run.served} of {len(run.owners)}. The others found no room when "
                "they came or had to "
                "grow and were given up; a real engine lets them wait, or preempts.",
            ),
        ),
        Metric(
            id="internal",
            title=Text(zh="内部碎片", en="Internal fragmentation"),
            provenance=SIMULATED,
            unit="%",
            value=100 * run.internal,
            better="lower",
            help=Text(
                zh="划给所有者的字节里不需要的部分，对时间平均。",
                en="Of the bytes set aside for owners, those not needed, averaged over time.",
            ),
        ),
        Metric(
            id="external",
            title=Text(zh="外部碎片", en="External fragmentation"),
            provenance=SIMULATED,
            unit="%",
            value=100 * run.external,
            better="lower",
            help=Text(
                zh="1 − 最大一次能拿到的 ÷ 空闲合计，对时间平均。",
                en="1 − the largest that can be had / free in all, averaged over time.",
            ),
        ),
        Metric(
            id="peak",
            title=Text(zh="最多时握着", en="Held at the peak"),
            provenance=SIMULATED,
            unit="B",
            value=float(run.most_held),
            better="lower",
            help=Text(
                zh=f"同一时刻真正需要的最多是 {run.most_stored / MIB:,.0f} MiB。",
                en=f"Really needed at one time were {run.most_stored / MIB:,.0f} MiB at most.",
            ),
        ),
    ]


def table(runs: dict[Name, tuple[Replay, float]], shown: Name) -> Table:
    """All allocators under the same requests; with each replay the seconds a call."""
    copied = any(run.store.copied for run, _ in runs.values())
    rows: list[list[Text | float | int | None]] = [
        [
            TITLES[name],
            len(run.failed),
            100 * run.internal,
            100 * run.external,
            run.most_held / MIB,
            1e9 * seconds,
            *([run.store.copied / MIB] if copied else []),
        ]
        for name, (run, seconds) in runs.items()
    ]
    return Table(
        id="contest",
        title=Text(zh="同样的请求，六种分配器", en="The same requests, six allocators"),
        provenance=SIMULATED,
        columns=[
            Column(title=Text(zh="分配器", en="allocator")),
            Column(
                title=Text(zh="放弃", en="given up"),
                help=Text(zh="找不到空位的请求数。", en="Requests that found no room."),
            ),
            Column(title=Text(zh="内部碎片", en="internal"), unit="%"),
            Column(title=Text(zh="外部碎片", en="external"), unit="%"),
            Column(title=Text(zh="最多时握着", en="held at peak"), unit="MiB"),
            Column(
                title=Text(zh="每次调用", en="a call"),
                unit="ns",
                provenance=Provenance.MEASURED,
                help=Text(
                    zh="在本机重放同样的调用，取平均。是这份 Python 实现的时间，只宜互相比较。",
                    en="The same calls again on this machine, the mean. The time of this Python code: "
                    "compare only with one another.",
                ),
            ),
            *([_COPIED] if copied else []),
        ],
        rows=rows,
        highlight=list(runs).index(shown) if shown in runs else None,
        wide=True,
    )


_COPIED = Column(
    title=Text(zh="复制", en="copied"),
    unit="MiB",
    help=Text(zh="搬家时复制的字节。", en="Bytes moved to larger pieces."),
)


def _times(run: Replay) -> Array:
    return array([one.time_s for one in run.moments])


def _in_mib(run: Replay, name: Text, values: list[int]) -> Series:
    return Series(name=name, x=_times(run), y=array(values) / MIB)
