"""The k loop of a GPU kernel on one clock: buffers, loads and Tensor Core; prologue and steady state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.formulas.gemm import tile_intensity
from labs.gemm.pipeline import CHIPS, ELEMENT_BYTES, Pipeline
from labs.results import (
    Axis,
    Column,
    EventKind,
    Lines,
    Mark,
    Markdown,
    Metric,
    Provenance,
    Series,
    Table,
    TileRuns,
    Tiles,
    TileTensor,
    Timeline,
    Trace,
    array,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.results import Result

_SIMULATED, _ESTIMATED = Provenance.SIMULATED, Provenance.ESTIMATED
CLOCK = "pipeline_clock"
STEPS = 8  # of k, a tile of C
C_TILES = 2  # that the SM computes, one after the other
MOST_STAGES = 8
_ASKED, _ARRIVED, _BEGUN, _DONE = range(4)
_CATEGORIES = [
    Text(zh="已请求，在路上", en="asked for, on its way"),
    Text(zh="已到共享内存", en="in shared memory"),
    Text(zh="正在相乘", en="being multiplied"),
    Text(zh="写回", en="written"),
]
_PHASES = [
    Text(zh="等显存", en="latency"),
    Text(zh="传输", en="transfer"),
    Text(zh="到了，等着用", en="there, waiting"),
    Text(zh="相乘", en="multiplied"),
]
SOURCE = Text(
    zh="排程：每个 SM 分得带宽与 16 位稠密峰值的一份（数据表），延迟与 L2 命中率是参数；不是实测",
    en="a schedule: an SM's share of the published bandwidth and dense 16-bit peak, latency and L2 hits as "
    "chosen; not a measurement",
)


class Event(NamedTuple):
    time_s: float
    kind: int
    tile: int
    step: int


@dataclass(frozen=True)
class Recorded:
    """``times`` of each step of each tile of C: asked, sent, arrived, begun, done."""

    pipe: Pipeline
    times: list[list[tuple[float, float, float, float, float]]]
    events: list[Event]

    @property
    def end_s(self) -> float:
        return self.times[-1][-1][4]


def record(pipe: Pipeline) -> Recorded:
    """A tile's prologue begins when the tile before is done: its accumulators are needed."""
    times, start = [], 0.0
    for _ in range(C_TILES):
        one = [tuple(start + t for t in step) for step in pipe.run(STEPS)]
        times.append(one)
        start = one[-1][4]
    events = [
        Event(step[column], kind, tile, index)
        for tile, one in enumerate(times)
        for index, step in enumerate(one)
        for kind, column in ((_ASKED, 0), (_ARRIVED, 2), (_BEGUN, 3), (_DONE, 4))
    ]
    return Recorded(pipe, times, sorted(events))  # type: ignore[arg-type]


def run_pipeline(chip: str, pipe: Pipeline) -> Iterator[Result]:
    """Cheap enough to follow a slider."""
    recorded = record(pipe)
    yield from figures(chip, recorded)
    yield trace(recorded)
    yield tiles(recorded)
    yield timeline(recorded)
    yield by_stages(pipe)
    yield tile_sizes(chip, pipe)
    yield explanation(chip, recorded)


def figures(chip: str, recorded: Recorded) -> Iterator[Metric]:
    pipe, last = recorded.pipe, recorded.times[-1]
    limit = CHIPS[chip].shared_bytes
    yield Metric(
        id="step",
        title=Text(zh="稳态里的一步", en="A step in the steady state"),
        provenance=_SIMULATED,
        unit="s",
        value=_steady(recorded.pipe),
        predicted=pipe.step_s,
        formula=STEP_FORMULA,
        better="lower",
        source=SOURCE,
    )
    busy = STEPS * pipe.compute_s / (last[-1][4] - last[0][0])
    yield Metric(
        id="busy",
        title=Text(zh="Tensor Core 在忙的时间", en="Tensor Core busy"),
        provenance=_SIMULATED,
        unit="%",
        value=100 * busy,
        better="higher",
        help=Text(
            zh=f"一个输出块，k 方向 {STEPS} 步，填流水线的序幕也算在内；k 越长，序幕越不值一提。",
            en=f"Of a tile of C with {STEPS} steps of k, the prologue that fills the pipeline included; "
            "with a longer k it matters less.",
        ),
        source=SOURCE,
    )
    yield Metric(
        id="shared",
        title=Text(zh="占用的共享内存", en="Shared memory taken"),
        provenance=_ESTIMATED,
        unit="B",
        value=pipe.shared_bytes,
        help=Text(
            zh=f"级数 × (tile_m + tile_n) × tile_k × {ELEMENT_BYTES} B；一个线程块至多 {limit // 1024} KiB。",
            en=f"stages × (tile_m + tile_n) × tile_k × {ELEMENT_BYTES} B; a block may have {limit // 1024} "
            "KiB.",
        ),
        source=same(CHIPS[chip].source),
    )
    yield Metric(
        id="needed",
        title=Text(zh="至少要几级", en="Stages needed"),
        provenance=_ESTIMATED,
        value=pipe.needed,
        formula=Text(
            zh="⌈(延迟 + 传输 + 计算) ÷ max(传输, 计算)⌉",
            en="(latency + transfer + compute) / max(transfer, compute)",
        ),
    )


STEP_FORMULA = Text(
    zh="max(计算, 传输, (延迟 + 传输 + 计算) ÷ 级数)",
    en="max(compute, transfer, (latency + transfer + compute) / stages)",
)


def trace(recorded: Recorded) -> Trace:
    events = recorded.events
    names = [
        (
            Text(zh="请求", en="asked"),
            "请求 A、B 的第 {step} 块，放进缓冲 {buffer}",
            "asks for tiles {step} of A and B",
        ),
        (
            Text(zh="到达", en="arrived"),
            "第 {step} 块到了缓冲 {buffer}",
            "tiles {step} are in buffer {buffer}",
        ),
        (Text(zh="相乘", en="multiplied"), "用缓冲 {buffer} 里的第 {step} 块相乘", "multiplies tiles {step}"),
        (Text(zh="用完", en="done"), "第 {step} 块用完，缓冲 {buffer} 空出", "buffer {buffer} is free again"),
    ]
    kinds = [
        EventKind(name=name, template=Text(zh=f"C 块 {{tile}}：{zh}", en=f"tile {{tile}} of C: {en}"))
        for name, zh, en in names
    ]
    steady = next(
        (i for i, event in enumerate(events) if event.kind == _BEGUN and event.step == STEPS // 2), 0
    )
    return Trace(
        id=CLOCK,
        title=Text(zh="流水线逐事件回放", en="The pipeline, event by event"),
        provenance=_SIMULATED,
        times=array([event.time_s for event in events]),
        kinds=kinds,
        kind_index=array([event.kind for event in events], np.int64),
        columns={
            "tile": array([event.tile for event in events], np.int64),
            "step": array([event.step for event in events], np.int64),
            "buffer": array([event.step % recorded.pipe.stages for event in events], np.int64),
        },
        at=steady,
        source=SOURCE,
        wide=True,
    )


def tiles(recorded: Recorded) -> Tiles:
    """A cell is a whole tile: A is ``1 x STEPS`` of them, B ``STEPS x C_TILES``, C ``1 x C_TILES``."""
    rows: list[tuple[int, int, int, int, int]] = []  # event, tensor, row, column, category
    for index, event in enumerate(recorded.events):
        if event.kind != _DONE:
            rows.append((index, 0, 0, event.step, event.kind))
            rows.append((index, 1, event.step, event.tile, event.kind))
        if event.kind == _BEGUN:
            rows.append((index, 2, 0, event.tile, _BEGUN))
        if event.kind == _DONE and event.step == STEPS - 1:
            rows.append((index, 2, 0, event.tile, _DONE))
    event_, tensor, row, column, category = np.array(rows, dtype=np.int64).T
    sizes = ((1, STEPS), (STEPS, C_TILES), (1, C_TILES))
    return Tiles(
        id="pipeline_tiles",
        title=Text(zh="一格是一个 tile", en="A cell is a tile"),
        provenance=_SIMULATED,
        tensors=[
            TileTensor(name=same(name), rows=shape[0], columns=shape[1])
            for name, shape in zip("ABC", sizes, strict=True)
        ],
        runs=TileRuns(
            event=array(event_, np.int64),
            tensor=array(tensor, np.int64),
            row=array(row, np.int64),
            start=array(column, np.int64),
            stop=array(column + 1, np.int64),
            category=array(category, np.int64),
        ),
        categories=_CATEGORIES,
        clock=CLOCK,
        source=SOURCE,
    )


def timeline(recorded: Recorded) -> Timeline:
    """A lane a buffer, and the Tensor Core's."""
    stages, bars = recorded.pipe.stages, []
    for one in recorded.times:
        for step, (asked, sent, arrived, begun, done) in enumerate(one):
            lane = step % stages
            spans = ((asked, sent), (sent, arrived), (arrived, begun), (begun, done))
            bars += [(lane, *span, phase) for phase, span in enumerate(spans) if span[1] > span[0]]
            bars.append((stages, begun, done, 3))
    lane_, start, end, category = zip(*bars, strict=True)
    return Timeline(
        id="pipeline",
        title=Text(zh="缓冲与 Tensor Core", en="Buffers and Tensor Core"),
        provenance=_SIMULATED,
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        lanes=[
            *(Text(zh=f"缓冲 {index}", en=f"buffer {index}") for index in range(stages)),
            same("Tensor Core"),
        ],
        lane=array(lane_, np.int64),
        start=array(start),
        end=array(end),
        category=array(category, np.int64),
        categories=_PHASES,
        clock=CLOCK,
        source=SOURCE,
        wide=True,
    )


def by_stages(pipe: Pipeline) -> Lines:
    """The steady step against the number of buffers, scheduled and by formula."""
    counts = range(1, MOST_STAGES + 1)
    pipes = [replace(pipe, stages=count) for count in counts]
    return Lines(
        id="by_stages",
        title=Text(zh="级数与每步时间", en="Stages and the time of a step"),
        provenance=_SIMULATED,
        unit="s",
        x=Axis(title=Text(zh="级数（缓冲数）", en="stages (buffers)")),
        y=Axis(title=Text(zh="稳态一步", en="a steady step"), unit="s"),
        series=[
            Series(
                name=Text(zh="排程", en="scheduled"),
                x=array(counts),
                y=array([_steady(one) for one in pipes]),
            ),
            Series(
                name=Text(zh="计算", en="compute"),
                x=array(counts),
                y=array([pipe.compute_s] * MOST_STAGES),
                provenance=_ESTIMATED,
                reference=True,
            ),
            Series(
                name=Text(zh="传输", en="transfer"),
                x=array(counts),
                y=array([pipe.transfer_s] * MOST_STAGES),
                provenance=_ESTIMATED,
                reference=True,
            ),
        ],
        marks=[Mark(x=float(pipe.stages), name=Text(zh="当前", en="now"))],
        source=SOURCE,
    )


def _steady(pipe: Pipeline) -> float:
    """Over whole turns of the buffers, after the prologue."""
    turns = 4
    run = pipe.run((turns + 4) * pipe.stages)
    return (run[-1][4] - run[-1 - turns * pipe.stages][4]) / (turns * pipe.stages)


def tile_sizes(chip: str, pipe: Pipeline) -> Table:
    """What larger tiles buy and cost at this depth."""
    rows: list[list[Text | float | int | None]] = []
    for tile in (32, 64, 128, 256):
        scale = (2 * tile * tile) / (2 * pipe.tile_m * pipe.tile_n)
        loads = 2 * tile / (pipe.tile_m + pipe.tile_n)
        one = replace(
            pipe,
            tile_m=tile,
            tile_n=tile,
            transfer_s=pipe.transfer_s * loads,
            compute_s=pipe.compute_s * scale,
        )
        fits = one.shared_bytes <= CHIPS[chip].shared_bytes
        rows.append(
            [
                same(f"{tile} × {tile} × {pipe.tile_k}"),
                tile_intensity(tile, tile, ELEMENT_BYTES),
                one.compute_s / one.step_s * 100,
                one.needed,
                one.shared_bytes / 1024,
                Text(zh="放得下", en="fits") if fits else Text(zh="放不下", en="does not fit"),
            ]
        )
    return Table(
        id="tile_sizes",
        title=Text(zh="块再大一些", en="Other tiles"),
        provenance=_ESTIMATED,
        columns=[
            Column(title=same("tile_m × tile_n × tile_k")),
            Column(title=Text(zh="每字节 FLOP", en="FLOPs a loaded byte")),
            Column(title=Text(zh="稳态里 Tensor Core 在忙", en="busy in the steady state"), unit="%"),
            Column(title=Text(zh="至少几级", en="stages needed")),
            Column(title=Text(zh="共享内存", en="shared memory"), unit="KiB"),
            Column(title=Text(zh=f"上限 {CHIPS[chip].shared_bytes // 1024} KiB", en="limit")),
        ],
        rows=rows,
        source=SOURCE,
        wide=True,
    )


def explanation(chip: str, recorded: Recorded) -> Markdown:
    pipe = recorded.pipe
    bounds = {
        Text(zh="计算", en="compute"): pipe.compute_s,
        Text(zh="传输", en="transfers"): pipe.transfer_s,
        Text(zh="延迟（缓冲太少）", en="latency (too few buffers)"): (
            (pipe.latency_s + pipe.transfer_s + pipe.compute_s) / pipe.stages
        ),
    }
    name, step = max(bounds.items(), key=lambda item: item[1])
    serial = pipe.latency_s + pipe.transfer_s + pipe.compute_s
    warning = _too_large(chip, pipe)
    body = Text(
        zh=f"**瓶颈是{name.zh}。** 一块要等延迟 {pipe.latency_s * 1e9:.0f} ns、传输 "
        f"{pipe.transfer_s * 1e9:.0f} ns、相乘 {pipe.compute_s * 1e9:.0f} ns。没有流水线每步是三者之和 "
        f"{serial * 1e9:.0f} ns；{pipe.stages} 级时是 {step * 1e9:.0f} ns，快 {serial / step:.1f} 倍。至少 "
        f"{pipe.needed} 级，延迟才完全藏住；再多只占共享内存。\n\n**序幕与稳态。** 开头各缓冲一起请求，"
        f"Tensor Core 空等第一块；之后每用完一块就请求 {pipe.stages} 步之后的那块，装载与相乘重叠。"
        f"{warning.zh if warning else ''}",
        en=f"**The bound is {name.en}.** Tiles take {pipe.latency_s * 1e9:.0f} ns of latency, "
        f"{pipe.transfer_s * 1e9:.0f} ns of transfer and {pipe.compute_s * 1e9:.0f} ns of multiplying. "
        f"Without a pipeline a step is the sum, {serial * 1e9:.0f} ns; with {pipe.stages} stages "
        f"{step * 1e9:.0f} ns, {serial / step:.1f} times faster. From {pipe.needed} stages on the latency "
        "is hidden; more take shared memory and nothing else.\n\n**Prologue and steady state.** At first "
        "all buffers are asked for at once and the Tensor Core waits for the first; then each tile that is "
        f"done makes room for the one {pipe.stages} steps ahead, and loads overlap with multiplying. "
        f"{warning.en if warning else ''}",
    )
    return Markdown(
        id="explanation",
        title=Text(zh="看到了什么，为什么", en="What you see, and why"),
        provenance=_SIMULATED,
        body=body,
        wide=True,
    )


def _too_large(chip: str, pipe: Pipeline) -> Text | None:
    needed, limit = pipe.shared_bytes / 1024, CHIPS[chip].shared_bytes / 1024
    if needed <= limit:
        return None
    return Text(
        zh=f"\n\n**注意。** 这个配置要 {needed:.0f} KiB 共享内存，超过 {limit:.0f} KiB，编译会失败。",
        en=f"\n\n**Note.** This takes {needed:.0f} KiB of shared memory, more than {limit:.0f} KiB: it would "
        "not compile.",
    )
