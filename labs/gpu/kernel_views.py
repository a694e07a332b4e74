"""The recording of a kernel as results that play together: steps, lanes, memory, registers, barriers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.warp_access import BANKS, SECTOR_BYTES
from labs.gpu.counts import MEMORY, Counts, barrier_times
from labs.gpu.language import WARP
from labs.results import (
    Axis,
    EventKind,
    Heatmap,
    Provenance,
    Tick,
    TileRuns,
    Tiles,
    TileTensor,
    Timeline,
    Trace,
    array,
    grid_runs,
    runs,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.gpu.program import ArrayDeclaration
    from labs.gpu.races import Race
    from labs.gpu.recording import Recording, Step
    from labs.results import Array

CLOCK = "steps"
SIMULATED = Provenance.SIMULATED
SOURCE = Text(
    zh="warp 逐步执行的模拟，一步算一秒；延迟不在其中",
    en="simulated warp by warp, a step counted as a second; there are no latencies in it",
)
MOST_SHOWN = 4096  # steps that are played: the rest repeats
ACTIONS = ("compute", "branch", "read", "write", "atomic", "exchange", "barrier")
_SAID = {
    "compute": ("计算", "compute", "算", "computes"),
    "branch": ("判断", "branch", "判断条件", "decides"),
    "read": ("读", "read", "读 {array}：{cost}", "reads {array}: {cost}"),
    "write": ("写", "write", "写 {array}：{cost}", "writes {array}: {cost}"),
    "atomic": ("原子", "atomic", "原子操作 {array}：{cost}", "atomic on {array}: {cost}"),
    "exchange": ("shuffle / vote", "shuffle / vote", "warp 内交换", "exchanges within the warp"),
    "barrier": ("屏障", "barrier", "到达屏障", "arrives at a barrier"),
}


def trace(counts: Counts, races: list[Race]) -> Trace:
    """An event a step of a warp; the cursor stands at a race, else at what costs most."""
    steps = counts.steps[:MOST_SHOWN]
    names = list(counts.recording.program.arrays)
    costs = [_cost(counts, place, step) for place, step in enumerate(steps)]
    distinct = list(dict.fromkeys(costs))
    return Trace(
        id=CLOCK,
        title=Text(zh="逐步回放", en="Step by step"),
        provenance=SIMULATED,
        times=array(range(len(steps))),
        steps=True,
        kinds=[_kind(action) for action in ACTIONS],
        kind_index=array([ACTIONS.index(step.action) for step in steps], np.int64),
        columns={
            "block": array([step.block for step in steps], np.int64),
            "warp": array([step.warp for step in steps], np.int64),
            "line": array([step.line for step in steps], np.int64),
            "active": array([step.active.sum() for step in steps], np.int64),
            "array": array([names.index(step.array) if step.array else 0 for step in steps], np.int64),
            "cost": array([distinct.index(cost) for cost in costs], np.int64),
        },
        names={"array": [same(name) for name in names] or [same("-")], "cost": distinct},
        at=_worth_seeing(counts, races),
        source=SOURCE,
        wide=True,
    )


def _worth_seeing(counts: Counts, races: list[Race]) -> int:
    """A race; else the request that wastes most; else a write in which lanes idle; else the first step."""
    steps = counts.steps[:MOST_SHOWN]
    if races:
        return next(place for place, step in enumerate(steps) if step.line == races[0].lines[0])
    unused = counts.sectors - counts.asked / SECTOR_BYTES
    wasted = (np.where(counts.asked > SECTOR_BYTES, unused, 0) + counts.passes - counts.least)[: len(steps)]
    if wasted.max() > 0:
        return int(wasted.argmax())
    idle = (
        place for place, step in enumerate(steps) if step.action == "write" and 1 < step.active.sum() < WARP
    )
    return next(idle, 0)


def _kind(action: str) -> EventKind:
    zh_name, en_name, zh, en = _SAID[action]
    return EventKind(
        name=Text(zh=zh_name, en=en_name),
        template=Text(
            zh=f"第 {{line}} 行，block {{block}} warp {{warp}}，{{active}} 个 lane {zh}",
            en=f"line {{line}}, block {{block}}, warp {{warp}}, {{active}} lanes: {en}",
        ),
    )


def _cost(counts: Counts, place: int, step: Step) -> Text:
    if counts.sectors[place]:
        count = int(counts.sectors[place])
        return Text(zh=f"{count} 个扇区", en=f"{count} sectors")
    if counts.passes[place]:
        count = int(counts.passes[place])
        return Text(zh=f"{count} 拍", en=f"{count} passes")
    return Text(zh="共享内存原子", en="in shared memory") if step.action == "atomic" else same("-")


def lanes(recording: Recording) -> Tiles:
    """A row a warp, a column a lane: who takes part in the step."""
    program = recording.program
    warps = -(-program.threads // WARP)
    rows = [
        (place, step.block * warps + step.warp, start, stop, 0)
        for place, step in enumerate(recording.steps[:MOST_SHOWN])
        for start, stop in runs(np.flatnonzero(step.active))
    ]
    return _tiles(
        "lanes",
        Text(zh="谁在干活：一行一个 warp，一列一个 lane", en="Who works: a row a warp, a column a lane"),
        [
            TileTensor(
                name=Text(zh="warp × lane", en="warps × lanes"), rows=program.grid * warps, columns=WARP
            )
        ],
        [(event, 0, row, start, stop, kind) for event, row, start, stop, kind in rows],
        [Text(zh="活跃", en="active")],
    )


def memory(recording: Recording) -> Tiles:
    """All arrays; a row of a shared one is its words in the 32 banks, of a global one 128 bytes."""
    arrays = list(recording.program.arrays.values())
    tensors = [_tensor(one, recording.memory[one.name]) for one in arrays]
    places = {one.name: place for place, one in enumerate(arrays)}
    rows = []
    for event, step in enumerate(recording.steps[:MOST_SHOWN]):
        if step.action not in MEMORY or step.elements is None:
            continue
        place = places[step.array]
        for row, start, stop in grid_runs(np.unique(step.elements[step.active]), tensors[place].columns):
            rows.append((event, place, row, start, stop, MEMORY.index(step.action)))
    return _tiles(
        "memory",
        Text(
            zh="内存：共享数组一列一个 bank，全局数组一行 128 字节",
            en="Memory: shared arrays by bank, global ones by 128 bytes",
        ),
        tensors,
        rows,
        [Text(zh="读", en="read"), Text(zh="写", en="written"), Text(zh="原子", en="atomic")],
    )


def _tensor(declared: ArrayDeclaration, data: Array) -> TileTensor:
    columns = min(declared.count, BANKS * 4 // declared.element_bytes)
    rows = -(-declared.count // columns)
    cells = np.full(rows * columns, np.nan)
    cells[: declared.count] = data
    name = f"{declared.name} ({declared.space})"
    return TileTensor(name=same(name), rows=rows, columns=columns, values=cells.reshape(rows, columns))


def _tiles(
    name: str,
    title: Text,
    tensors: list[TileTensor],
    rows: list[tuple[int, int, int, int, int, int]],
    categories: list[Text],
) -> Tiles:
    event, tensor, row, start, stop, category = np.array(rows, dtype=np.int64).reshape(-1, 6).T
    return Tiles(
        id=name,
        title=title,
        provenance=SIMULATED,
        tensors=tensors,
        runs=TileRuns(event=event, tensor=tensor, row=row, start=start, stop=stop, category=category),
        categories=categories,
        clock=CLOCK,
        source=SOURCE,
        wide=True,
    )


MOST_ASSIGNMENTS = 24
WIDE_SPREAD = 20  # maximum over median from which colours are logarithmic


def registers(recording: Recording) -> Heatmap | None:
    """What warp 0 of block 0 holds in its variables, an assignment a row; None without exchanges."""
    steps = [step for step in recording.steps if (step.block, step.warp) == (0, 0)]
    if not any(step.action == "exchange" for step in steps):
        return None
    changes = [step for step in steps if step.values is not None and step.into not in _constants(steps)]
    changes = changes[:MOST_ASSIGNMENTS]
    values = np.array([np.where(step.active, array(step.values), np.nan) for step in changes])
    known = values[np.isfinite(values)]
    wide = known.size > 0 and known.min() >= 0 and known.max() > WIDE_SPREAD * np.median(known)
    ticks = [Tick(at=row, name=same(f"{step.line}: {step.into}")) for row, step in enumerate(changes)]
    return Heatmap(
        id="registers",
        title=Text(zh="warp 0 的寄存器，一行一次赋值", en="Registers of warp 0, an assignment a row"),
        provenance=SIMULATED,
        values=values,
        log=bool(wide),
        rows=Axis(title=Text(zh="行号：变量", en="line: variable"), ticks=ticks),
        columns=Axis(title=same("lane")),
        source=SOURCE,
    )


def _constants(steps: list[Step]) -> set[str]:
    """Variables in which all lanes always hold one value: counters, not data."""
    varying = {step.into for step in steps if step.values is not None and len(np.unique(step.values)) > 1}
    return {step.into for step in steps} - varying


def barriers(counts: Counts) -> Timeline | None:
    """Who waits for whom at the barriers of block 0; None where there is none."""
    if not any(step.action == "barrier" for step in counts.steps):
        return None
    stays = barrier_times(counts)
    warps = sorted({stay.warp for stay in stays})
    return Timeline(
        id="barriers",
        title=Text(zh="block 0 的屏障：谁等谁", en="Barriers of block 0: who waits for whom"),
        provenance=SIMULATED,
        x=Axis(title=Text(zh="发射槽", en="issue slots")),
        lanes=[same(f"warp {warp}") for warp in warps],
        lane=array([warps.index(stay.warp) for stay in stays], np.int64),
        start=array([stay.start for stay in stays]),
        end=array([stay.end for stay in stays]),
        category=array([int(stay.waits) for stay in stays], np.int64),
        categories=[Text(zh="在走", en="runs"), Text(zh="等屏障", en="waits at a barrier")],
        help=Text(
            zh="每个 warp 像独占一样走：一步一个槽，共享内存按拍数、全局内存按 128 字节行数算；"
            "不含延迟，所以是次序，不是时间。",
            en="Each warp goes as if alone: a slot for each step, for each pass of shared memory, for each "
            "128-byte line of global memory. Without latencies: an order, not a time.",
        ),
        source=SOURCE,
        wide=True,
    )
