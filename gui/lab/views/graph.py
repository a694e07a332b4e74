"""A computation as a graph in layers: nodes by category, groups as boxes, laid out while the window lives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QFont, QFontMetricsF
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from gui.icons import icon
from gui.lab.number_text import with_unit
from gui.lab.views.block_look import owner_colour
from gui.lab.views.graph_canvas import ZOOM, GraphCanvas
from gui.lab.views.graph_layout import Box, Drawing, Shape, drawn
from gui.lab.views.graph_look import FONT, SMALL
from gui.lab.views.graph_overview import GraphOverview
from gui.lab.views.legend import Entry, Legend
from gui.lab.views.view import View, csv_text, pick

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# A graph of so many nodes is laid out at once; a larger one a slice of time a turn of the event loop.
AT_ONCE = 60
# One of so many is laid out from above and from the left, and shown as it fits better.
BOTH_WAYS = 150
SLICE_S = 0.008
WIDEST, NARROWEST = 190.0, 44.0
LOW, HIGH = 26.0, 38.0  # a node without and with a value


class GraphView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self._layout: Generator[None, None, list[Drawing]] | None = None
        self._drawn_shape: Shape | None = None
        self._same = False  # the graph that is being laid out was on show before
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._go_on)
        self.legend = Legend()
        self.canvas = GraphCanvas(self)
        self.overviews = [GraphOverview(self, across=across) for across in (False, True)]
        for overview in self.overviews:
            self.canvas.moved.connect(overview.check)
        self.out_button = self._button("zoom-out", lambda: self.canvas.zoom(1 / ZOOM))
        self.in_button = self._button("zoom-in", lambda: self.canvas.zoom(ZOOM))
        self.fit_button = self._button("expand", self.canvas.fit)
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(2)
        head.addWidget(self.legend, 1)
        for button in self._buttons():
            head.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.canvas, 0, 0)
        grid.addWidget(self.overviews[0], 0, 1)
        grid.addWidget(self.overviews[1], 1, 0)
        grid.setRowStretch(0, 1)
        grid.setColumnStretch(0, 1)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 6, 0)
        body.setSpacing(4)
        body.addLayout(head)
        body.addLayout(grid, 1)

    def _button(self, name: str, slot: Callable[[], None]) -> QToolButton:
        button = QToolButton()
        button.setProperty("icon_name", name)
        button.setIconSize(QSize(15, 15))
        button.clicked.connect(slot)
        return button

    def _buttons(self) -> list[QToolButton]:
        return [self.out_button, self.in_button, self.fit_button]

    def controls(self) -> list[QWidget]:
        return [*self._buttons(), *self.overviews]

    def redraw(self) -> None:
        used = {node["category"] for node in self.result["nodes"]}
        entries = [
            Entry(pick(name), owner_colour(place, self.theme), "block")
            for place, name in enumerate(self.result["categories"])
            if place in used
        ]
        self.legend.show_entries(entries, self.theme)
        names = {
            self.in_button: self.tr("Larger (Ctrl +)"),
            self.out_button: self.tr("Smaller (Ctrl −)"),
            self.fit_button: self.tr("All in sight (Ctrl 0)"),
        }
        for button, name in names.items():
            button.setIcon(icon(button.property("icon_name"), self.theme.muted))
            button.setToolTip(name)
            button.setAccessibleName(name)
        for overview in self.overviews:
            overview.refresh()
        self._lay_out()

    # Layout

    def _lay_out(self) -> None:
        shape = self._shape()
        if shape == self._drawn_shape:
            self.canvas.show_drawings(self.canvas.drawings, same=True)
            return
        # Names may have changed with the language: that is the same graph.
        before = self._drawn_shape
        self._same = before is not None and (before.edges, before.groups) == (shape.edges, shape.groups)
        self._drawn_shape = shape
        self._layout = _both_ways(shape) if len(shape.sizes) <= BOTH_WAYS else _one_way(shape)
        if len(shape.sizes) <= AT_ONCE or self._same:
            self.settle()
        else:
            self.canvas.show_drawings([], same=False)
            self._timer.start(0)

    def _shape(self) -> Shape:
        nodes, edges = self.result["nodes"], self.result["edges"]
        font = self.font()
        font.setPixelSize(FONT)
        font.setWeight(QFont.Weight.DemiBold)
        metrics = QFontMetricsF(font)
        return Shape(
            sizes=[self._size(node) for node in range(len(nodes))],
            edges=[(edge["source"], edge["target"]) for edge in edges],
            groups=[int(node.get("group", -1)) for node in nodes],
            titles=[
                min(WIDEST, metrics.horizontalAdvance(pick(name))) for name in self.result.get("groups") or []
            ],
        )

    def _size(self, node: int) -> tuple[float, float]:
        font = QFont(self.font())
        font.setPixelSize(FONT)
        width = QFontMetricsF(font).horizontalAdvance(pick(self.result["nodes"][node]["name"])) + 18
        value = self.value_text(node)
        if value:
            font.setPixelSize(SMALL)
            width = max(width, QFontMetricsF(font).horizontalAdvance(value) + 18)
        return max(NARROWEST, min(WIDEST, width)), HIGH if value else LOW

    def _go_on(self) -> None:
        end = time.perf_counter() + SLICE_S
        while self._layout is not None and time.perf_counter() < end:
            self._step()

    def _step(self) -> None:
        assert self._layout is not None
        try:
            next(self._layout)
        except StopIteration as done:
            self._layout = None
            self._timer.stop()
            self.canvas.show_drawings(done.value, same=self._same)

    def settle(self) -> None:
        while self._layout is not None:
            self._step()

    # What is told

    def value_text(self, node: int) -> str:
        value = self.result["nodes"][node].get("value")
        return "" if value is None else with_unit(float(value), self.result.get("unit") or "")

    def node_title(self, node: int) -> str:
        return pick(self.result["nodes"][node]["name"])

    def describe(self, node: int) -> list[tuple[str, str]]:
        """What the hover card says of a node."""
        shown, result = self.result["nodes"][node], self.result
        lines = [(self.tr("kind"), pick(result["categories"][shown["category"]]))]
        if shown.get("group", -1) >= 0:
            lines.append((self.tr("in"), pick(result["groups"][shown["group"]])))
        if shown.get("value") is not None:
            name = result.get("value_name")
            lines.append((pick(name) if name else self.tr("value"), self.value_text(node)))
        if shown.get("detail"):
            lines.append((self.tr("about"), pick(shown["detail"])))
        edges = result["edges"]
        needs = [self.node_title(edge["source"]) for edge in edges if edge["target"] == node]
        needed = [self.node_title(edge["target"]) for edge in edges if edge["source"] == node]
        if needs:
            lines.append((self.tr("needs"), _few(needs)))
        if needed:
            lines.append((self.tr("needed by"), _few(needed)))
        return lines

    def neighbours(self, node: int, way: str, drawing: Drawing) -> int | None:
        """The node next to one: along edges, or within its layer."""
        boxes = drawing.nodes
        if drawing.across:
            boxes = [Box(box.top, box.left, box.height, box.width) for box in boxes]
        here = boxes[node].left + boxes[node].width / 2

        def distance(other: int) -> float:
            return abs(boxes[other].left + boxes[other].width / 2 - here)

        edges = self.result["edges"]
        if drawing.across:
            way = {"right": "down", "left": "up", "down": "right", "up": "left"}[way]
        if way == "down":
            found = [edge["target"] for edge in edges if edge["source"] == node]
        elif way == "up":
            found = [edge["source"] for edge in edges if edge["target"] == node]
        else:
            left, top = boxes[node].left, boxes[node].top
            bottom, sign = top + boxes[node].height, 1 if way == "right" else -1
            layer = [n for n, box in enumerate(boxes) if box.top < bottom and box.top + box.height > top]
            found = [other for other in layer if (boxes[other].left - left) * sign > 0]
        found = [other for other in found if other != node]
        return min(found, key=distance) if found else None

    # Export

    def to_svg(self) -> bytes:
        """All of the graph, whatever is in sight: in an SVG one can zoom."""
        self.settle()
        with self.canvas.showing_all():
            return super().to_svg()

    def to_png(self, scale: float = 2.0) -> bytes:
        """The part in sight."""
        self.settle()
        return super().to_png(scale)

    def to_csv(self) -> str:
        """Nodes first, then edges."""
        names = [pick(node["name"]) for node in self.result["nodes"]]
        groups = [pick(name) for name in self.result.get("groups") or []]
        value = self.result.get("value_name")
        header = [self.tr("row"), self.tr("name"), self.tr("from"), self.tr("to")]
        header += [self.tr("kind"), self.tr("group")]
        rows: list[list[Any]] = []
        for place, node in enumerate(self.result["nodes"]):
            category = pick(self.result["categories"][node["category"]])
            group = groups[node["group"]] if node.get("group", -1) >= 0 else ""
            told = "" if node.get("value") is None else node["value"]
            rows.append([self.tr("node"), names[place], "", "", category, group, told])
        for edge in self.result["edges"]:
            name = pick(edge["name"]) if edge.get("name") else ""
            ends = [names[edge["source"]], names[edge["target"]]]
            rows.append([self.tr("edge"), name, *ends, "", "", ""])
        return csv_text([*header, pick(value) if value else self.tr("value")], rows)


def _both_ways(shape: Shape) -> Generator[None, None, list[Drawing]]:
    """From above and from the left: which fits better is seen when there is a width."""
    down = yield from drawn(shape)
    across = yield from drawn(shape._replace(across=True))
    return [down, across]


def _one_way(shape: Shape) -> Generator[None, None, list[Drawing]]:
    return [(yield from drawn(shape))]


def _few(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" … ({len(names)})" if len(names) > 6 else "")
