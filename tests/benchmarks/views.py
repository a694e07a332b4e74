"""Large results: ten thousand blocks and bars, tiles of a hundred thousand runs, each under the cursor of a
hundred thousand events; code of thousands of lines; a graph of five hundred nodes.

The views stand in a results area as in the window, all in sight. A frame lasts from the change to the end of
the paint that shows it; at 16.7 ms there are 60 frames a second.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtWidgets import QApplication

from gui.app import make_application
from gui.lab.results_area import ResultsArea
from gui.lab.views.graph_layout import Shape, drawn
from gui.theme import LIGHT, theme_switch
from tests.benchmarks.event_loop import PaintClock, spin
from tests.benchmarks.figures import Figure, median, p95, short
from tests.gui.lab.samples import both

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

EVENTS, BLOCKS, BARS = 100_000, 10_000, 10_000
OWNERS, LANES, SPAN_S = 200, 32, 120.0
FRAMES, WIDTH = 200, 1000
TENSORS, SIDE, CODE_LINES, NODES = 3, 4096, 6000, 500
FRAME_MS, SCRUB_MS, GRAPH_MS = 1000 / 60, 16.0, 150.0
DONE = object()


def run() -> Iterator[Figure]:
    make_application(["inferlab"])
    theme_switch.apply(LIGHT)
    rng = np.random.default_rng(0)
    trace, blocks, bars = _trace(rng), _blocks(rng), _bars(rng)
    yield _figure("blocks", f"a frame of {BLOCKS:,} blocks while playing", [trace, blocks], _play)
    yield _figure("bars", f"a frame of {BARS:,} bars while panning", [trace, bars], _pan)
    yield _figure("zoom", f"a frame of {BARS:,} bars while zooming", [trace, bars], _zoom)
    results = [trace, blocks, bars]
    what = f"cursor of {EVENTS:,} events, blocks and bars linked"
    yield _figure("scrub", f"{what}: dragged from end to end", results, _scrub, SCRUB_MS)
    yield _figure("seek", f"{what}: set anywhere", results, _seek, SCRUB_MS)
    what = f"cursor of {EVENTS:,} events over tiles of {TENSORS} tensors of {SIDE:,} x {SIDE:,}"
    tiles = [trace, _tiles(rng)]
    yield _figure("tiles_scrub", f"{what}: dragged from end to end", tiles, _scrub, SCRUB_MS)
    yield _figure("tiles_seek", f"{what}: set anywhere", tiles, _seek, SCRUB_MS)
    what = f"a frame of {CODE_LINES:,} lines of PTX beside as many of SASS"
    yield _figure("code_scroll", f"{what} while scrolling", [_code()], _scroll)
    yield _figure("code_link", f"{what} while lines are pointed at", [_code()], _point)
    what = f"a frame of a graph of {NODES} nodes"
    graph = [_graph_result(rng)]
    yield _figure("graph_pan", f"{what} while panning", graph, _pan_graph)
    yield _figure("graph_whole", f"{what}, all in sight, while nodes are pointed at", graph, _point_at_nodes)
    yield from _graph_layout()


def _figure(
    name: str,
    what: str,
    results: Sequence[dict[str, Any]],
    moves: Callable[[ResultsArea], list[Callable[[], object]]],
    budget: float = FRAME_MS,
) -> Figure:
    area = _shown(results)
    paint = PaintClock(area)
    acts = moves(area)
    for act in acts[:5]:
        paint.ms(act)
    paint.cpu_ms.clear()
    times = [paint.ms(act) for act in acts[5:]]
    figure = p95(f"views.{name}", what, times, budget, paint.cpu_ms)
    area.hide()
    area.deleteLater()
    rate = f"{short(1000 / median(times))} frames a second at the median"
    return Figure(**{**vars(figure), "remark": f"{rate}; {figure.remark}"})


def _shown(results: Sequence[dict[str, Any]]) -> ResultsArea:
    area = ResultsArea()
    area.resize(WIDTH, 1400)
    area.show()
    area.begin(preview=False)
    for result in results:
        area.show_result(result, {})
    area.end("done")
    spin(100)
    layout = area.layout()
    assert layout is not None
    area.resize(WIDTH, layout.heightForWidth(WIDTH))
    area.clocks.clock("trace").seek(0)
    spin(300)
    for card in area.cards():
        card.view.settle()
    QApplication.processEvents()
    return area


def _play(area: ResultsArea) -> list[Callable[[], object]]:
    """As a player does that goes through the trace in twenty seconds."""
    clock, step = area.clocks.clock("trace"), SPAN_S / (20 * 60)
    return [lambda at=frame * step: clock.seek_time(at) for frame in range(1, FRAMES)]


def _scrub(area: ResultsArea) -> list[Callable[[], object]]:
    clock = area.clocks.clock("trace")
    return [lambda at=at: clock.seek_time(at) for at in np.linspace(0.1, SPAN_S, FRAMES)]


def _seek(area: ResultsArea) -> list[Callable[[], object]]:
    clock, rng = area.clocks.clock("trace"), np.random.default_rng(1)
    return [lambda event=event: clock.seek(event) for event in rng.permutation(EVENTS)[:FRAMES].tolist()]


def _pan(area: ResultsArea) -> list[Callable[[], object]]:
    """All bars are in sight at first, and a share of them leaves with each frame."""
    box = area.card("timeline").view.plot.vb
    width = SPAN_S * 0.98
    lefts = np.concatenate([np.linspace(-1, 3, FRAMES // 2), np.linspace(3, -1, FRAMES // 2)])
    return [lambda left=left: box.setXRange(left, left + width, padding=0) for left in lefts]


def _zoom(area: ResultsArea) -> list[Callable[[], object]]:
    box, middle = area.card("timeline").view.plot.vb, SPAN_S / 2
    halves = np.geomspace(SPAN_S / 2, SPAN_S / 100, FRAMES)
    return [lambda half=half: box.setXRange(middle - half, middle + half, padding=0) for half in halves]


def _scroll(area: ResultsArea) -> list[Callable[[], object]]:
    """Each time to lines that were not in sight yet."""
    bar = area.card("code").view.panes[0].editor.verticalScrollBar()
    return [lambda at=at: bar.setValue(int(at)) for at in np.linspace(10, CODE_LINES - 100, FRAMES)]


def _point(area: ResultsArea) -> list[Callable[[], object]]:
    """Linked lines come into sight in the other pane."""
    view = area.card("code").view
    return [lambda at=at: view.point(0, int(at)) for at in np.linspace(1, CODE_LINES, FRAMES)]


def _pan_graph(area: ResultsArea) -> list[Callable[[], object]]:
    canvas = area.card("graph").view.canvas
    drawing = canvas.drawing
    ys = np.linspace(0, drawing.height, FRAMES)
    return [lambda y=y: canvas.move_to(drawing.width / 2, y) for y in ys]


def _point_at_nodes(area: ResultsArea) -> list[Callable[[], object]]:
    canvas = area.card("graph").view.canvas
    canvas.fit()
    return [lambda node=node: canvas.point(node) for node in range(FRAMES)]


def _graph_result(rng: np.random.Generator) -> dict[str, Any]:
    shape = _graph(rng)
    nodes = [
        {"name": both(f"op_{place}", f"op_{place}"), "category": place % 4, "group": group, "value": 1e-6}
        for place, group in enumerate(shape.groups)
    ]
    return _result(
        "graph",
        nodes=nodes,
        edges=[{"source": source, "target": target, "name": None} for source, target in shape.edges],
        categories=[both(f"c{one}", f"c{one}") for one in range(4)],
        groups=[both(f"fused {one}", f"fused {one}") for one in range(len(shape.titles))],
    )


def _graph_layout() -> Iterator[Figure]:
    """What a window spends in slices of 8 ms; and the longest that it cannot divide."""
    rng = np.random.default_rng(2)
    totals: list[float] = []
    slices: list[float] = []
    cpu_ms: list[float] = []
    for _ in range(10):
        steps, longest, start, cpu = drawn(_graph(rng)), 0.0, time.perf_counter(), time.thread_time()
        while True:
            before = time.perf_counter()
            if next(steps, DONE) is DONE:
                break
            longest = max(longest, time.perf_counter() - before)
        totals.append(1000 * (time.perf_counter() - start))
        cpu_ms.append(1000 * (time.thread_time() - cpu))
        slices.append(1000 * longest)
    yield p95("views.graph", f"layout of a graph of {NODES} nodes in groups", totals, GRAPH_MS, cpu_ms)
    yield p95("views.graph_slice", "the longest step of it", slices, FRAME_MS)


def _graph(rng: np.random.Generator) -> Shape:
    """Like that of a model's layers: mostly chains, with edges that skip a few nodes."""
    edges = [(max(0, node - 1 - int(rng.integers(3))), node) for node in range(1, NODES)]
    edges += [(int(rng.integers(max(0, node - 12), node)), node) for node in range(1, NODES, 3)]
    groups = [node // 7 if rng.random() < 0.8 else -1 for node in range(NODES)]
    return Shape([(90.0, 38.0)] * NODES, edges, groups, [60.0] * (NODES // 7 + 1))


def _result(kind: str, **fields: Any) -> dict[str, Any]:
    title = both(kind, kind)
    return {"kind": kind, "id": kind, "title": title, "provenance": "simulated", "unit": ""} | fields


def _trace(rng: np.random.Generator) -> dict[str, Any]:
    texts = [both(f"{what} {{block}}", f"{what} {{block}}") for what in ("take", "free")]
    return _result(
        "trace",
        times=np.sort(rng.uniform(0, SPAN_S, EVENTS)),
        kinds=[{"name": text, "template": text} for text in texts],
        kind_index=rng.integers(0, 2, EVENTS),
        columns={"block": rng.integers(0, BLOCKS, EVENTS)},
    )


def _blocks(rng: np.random.Generator) -> dict[str, Any]:
    owner = rng.integers(-2, OWNERS, EVENTS)
    changes = {
        "event": np.arange(EVENTS),
        "block": rng.integers(0, BLOCKS, EVENTS),
        "owner": owner,
        "shared": np.where(owner >= 0, rng.integers(1, 4, EVENTS), 0),
        "filled": rng.integers(1, 17, EVENTS),
    }
    owners = [{"name": both(f"#{one}", f"#{one}")} for one in range(OWNERS)]
    return _result(
        "block_map", count=BLOCKS, block_size=16, owners=owners, changes=changes, tables=None, clock="trace"
    )


def _tiles(rng: np.random.Generator) -> dict[str, Any]:
    start = rng.integers(0, SIDE - 128, EVENTS)
    runs = {
        "event": np.arange(EVENTS),
        "tensor": rng.integers(0, TENSORS, EVENTS),
        "row": rng.integers(0, SIDE, EVENTS),
        "start": start,
        "stop": start + rng.integers(1, 129, EVENTS),
        "category": rng.integers(0, 3, EVENTS),
    }
    tensors = [
        {"name": both(f"T{one}", f"T{one}"), "rows": SIDE, "columns": SIDE, "values": None}
        for one in range(TENSORS)
    ]
    categories = [both(f"c{one}", f"c{one}") for one in range(3)]
    return _result("tiles", tensors=tensors, runs=runs, categories=categories, faults=[2], clock="trace")


def _code() -> dict[str, Any]:
    lines = np.arange(CODE_LINES)
    texts = {
        "ptx": "\n".join(f"\tfma.rn.f32 \t%f{n}, %f{n + 1}, 0f3FB8AA3B, %f{n + 2};  // {n}" for n in lines),
        "sass": "\n".join(f"/*{16 * n:04x}*/ FFMA R{n % 255}, R4, c[0x0][0x{n:x}], RZ ;" for n in lines),
    }
    panes = [
        {"name": both(kind, kind), "language": kind, "text": text, "links": None, "marks": [], "edits": ""}
        for kind, text in texts.items()
    ]
    panes[1]["links"] = lines[::-1] + 1
    return _result("code", panes=panes, clock="")


def _bars(rng: np.random.Generator) -> dict[str, Any]:
    start = rng.uniform(0, SPAN_S - 1, BARS)
    return _result(
        "timeline",
        x={"title": both("t", "t"), "unit": "s"},
        lanes=[both(f"lane {lane}", f"lane {lane}") for lane in range(LANES)],
        lane=rng.integers(0, LANES, BARS),
        start=start,
        end=start + rng.uniform(0.01, 0.9, BARS),
        category=rng.integers(0, 5, BARS),
        categories=[both(f"c{one}", f"c{one}") for one in range(5)],
        clock="trace",
    )
