"""How the nodes, groups and edges of a graph are drawn, near and from afar."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen, QPolygonF

from gui.lab.views.block_look import mixed, owner_colour
from gui.lab.views.view import pick

if TYPE_CHECKING:
    from gui.lab.views.graph import GraphView
    from gui.lab.views.graph_layout import Drawing

FONT, SMALL, MOST_TITLE = 12, 10, 15.0
ARROW = 6.0
# Names smaller than this, in px on the screen, are not drawn.
LEAST_NAME = 6.0
LEAST_TITLED = 24.0  # px: a narrower group has no title
NAMED_EDGES = 0.9  # the scale from which edges have their names


class Curve(NamedTuple):
    """Of an edge: from the border of one node to that of the other."""

    path: QPainterPath
    head: QPolygonF
    area: QRectF


@dataclass
class GraphLook:
    """Of one drawing; its curves are kept. ``whole``: names are drawn however small, for a picture."""

    view: GraphView
    drawing: Drawing
    scale: float = 1.0
    whole: bool = False
    at: int | None = None
    _lines: list[QLineF] | None = None
    _curves: dict[int, Curve | None] = field(default_factory=dict)

    def paint(self, painter: QPainter, seen: QRectF) -> None:
        """The part that is ``seen``, with a painter that has the drawing's coordinates."""
        drawing = self.drawing
        for group, group_box in enumerate(drawing.groups):
            if group_box is not None and seen.intersects(QRectF(*group_box)):
                self._paint_group(painter, group, QRectF(*group_box))
        near = self._edges_of(self.at) if self.at is not None else set()
        if self.legible:
            for edge in range(len(drawing.routes)):
                self._paint_edge(painter, edge, seen, strong=False)
        else:
            self._paint_afar(painter)
        for edge in near:
            self._paint_edge(painter, edge, seen, strong=True)
        for node, node_box in enumerate(drawing.nodes):
            if (self.legible or node == self.at) and seen.intersects(QRectF(*node_box)):
                self._paint_node(painter, node, QRectF(*node_box))

    def _paint_afar(self, painter: QPainter) -> None:
        """Edges as lines a pixel thin, and nodes that are not pointed at as plain boxes."""
        theme = self.view.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        if self._lines is None:
            routes = ([QPointF(*point) for point in route] for route in self.drawing.routes)
            self._lines = [QLineF(one, other) for route in routes for one, other in pairwise(route)]
        painter.setPen(QPen(mixed(theme.muted, theme.raised, 0.4), 0))
        painter.drawLines(self._lines)
        for node, box in zip(self.view.result["nodes"], self.drawing.nodes, strict=True):
            painter.fillRect(QRectF(*box), QColor(owner_colour(node["category"], theme)))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    @property
    def legible(self) -> bool:
        return self.whole or self.scale * FONT >= LEAST_NAME

    def _font(self, size: float) -> QFont:
        font = QFont(self.view.font())
        font.setPixelSize(max(1, round(size)))
        return font

    def _paint_group(self, painter: QPainter, group: int, box: QRectF) -> None:
        theme = self.view.theme
        painter.setPen(QPen(QColor(theme.muted), 1))
        painter.setBrush(mixed(theme.muted, theme.raised, 0.1))
        painter.drawRoundedRect(box, 8, 8)
        if box.width() * self.scale < LEAST_TITLED and not self.whole:
            return
        # The title stays readable, as far as there is room for it: all of the box where nodes have no names.
        room = MOST_TITLE if self.legible else min(box.height() * 0.6, 40.0)
        font = self._font(FONT if self.whole else min(FONT / self.scale, room))
        font.setWeight(QFont.Weight.DemiBold)
        metrics, width = QFontMetricsF(font), box.width() - 16
        name = pick(self.view.result["groups"][group])
        painter.setFont(font)
        painter.setPen(QColor(theme.muted))
        line = QRectF(box.left() + 8, box.top() + 4, width, metrics.height())
        text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, width)
        painter.drawText(line, int(Qt.AlignmentFlag.AlignVCenter), text)

    def _paint_edge(self, painter: QPainter, edge: int, seen: QRectF, *, strong: bool) -> None:
        if edge not in self._curves:
            self._curves[edge] = self._curve(edge)
        curve = self._curves[edge]
        if curve is None or not seen.intersects(curve.area):
            return
        theme = self.view.theme
        colour = QColor(theme.accent) if strong else mixed(theme.muted, theme.raised, 0.65)
        painter.setPen(QPen(colour, 1.8 if strong else 1.1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(curve.path)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawPolygon(curve.head)
        name = self.view.result["edges"][edge].get("name")
        if name and (strong or self.scale >= NAMED_EDGES or self.whole):
            self._paint_edge_name(painter, pick(name), curve.path.pointAtPercent(0.5))

    def _paint_edge_name(self, painter: QPainter, name: str, middle: QPointF) -> None:
        font = self._font(SMALL)
        box = QFontMetricsF(font).boundingRect(name).adjusted(-2, -1, 2, 1)
        box.moveCenter(middle)
        ground = QColor(self.view.theme.raised)
        ground.setAlphaF(0.85)
        painter.fillRect(box, ground)
        painter.setFont(font)
        painter.setPen(QColor(self.view.theme.muted))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)

    def _paint_node(self, painter: QPainter, node: int, box: QRectF) -> None:
        theme = self.view.theme
        colour = owner_colour(self.view.result["nodes"][node]["category"], theme)
        chosen = node == self.at
        painter.setPen(QPen(QColor(theme.accent if chosen else colour), 2.2 if chosen else 1.2))
        painter.setBrush(mixed(colour, theme.raised, 0.2) if self.legible else QColor(theme.accent))
        painter.drawRoundedRect(box, 5, 5)
        if self.legible:
            stripe = QRectF(box.left() + 1, box.top() + 4, 4, box.height() - 8)
            painter.fillRect(stripe, QColor(colour))
            self._paint_texts(painter, node, box.adjusted(9, 2, -5, -2))

    def _paint_texts(self, painter: QPainter, node: int, box: QRectF) -> None:
        """The name, and below it the value if there is one."""
        theme, value, font = self.view.theme, self.view.value_text(node), self._font(FONT)
        upper, lower = QRectF(box), QRectF(box)
        if value:
            upper.setBottom(box.center().y() + 1)
            lower.setTop(box.center().y() + 1)
        name = self.view.node_title(node)
        text = QFontMetricsF(font).elidedText(name, Qt.TextElideMode.ElideMiddle, box.width())
        painter.setFont(font)
        painter.setPen(QColor(theme.ink))
        painter.drawText(upper, Qt.AlignmentFlag.AlignCenter, text)
        if value:
            painter.setFont(self._font(SMALL))
            painter.setPen(QColor(theme.muted))
            painter.drawText(lower, Qt.AlignmentFlag.AlignCenter, value)

    def _edges_of(self, node: int) -> set[int]:
        edges = self.view.result["edges"]
        return {place for place, edge in enumerate(edges) if node in (edge["source"], edge["target"])}

    def _curve(self, edge: int) -> Curve | None:
        """None for a loop."""
        drawing, ends = self.drawing, self.view.result["edges"][edge]
        route = drawing.routes[edge]
        if len(route) < 2 or route[0] == route[-1]:
            return None
        one, other = drawing.nodes[ends["source"]], drawing.nodes[ends["target"]]
        axis = 0 if drawing.across else 1
        ahead = QPointF(1, 0) if drawing.across else QPointF(0, 1)
        if route[-1][axis] < route[0][axis]:
            ahead = -ahead
        sizes = (one.width, other.width) if drawing.across else (one.height, other.height)
        start = QPointF(*route[0]) + ahead * (sizes[0] / 2)
        tip = QPointF(*route[-1]) - ahead * (sizes[1] / 2)
        path = QPainterPath(start)
        for before, after in pairwise([start, *(QPointF(x, y) for x, y in route[1:-1]), tip]):
            half = ahead * (QPointF.dotProduct(after - before, ahead) / 2)
            path.cubicTo(before + half, after - half, after)
        back, side = tip - ahead * ARROW, QPointF(ahead.y(), ahead.x()) * (ARROW * 0.55)
        head = QPolygonF([tip, back - side, back + side])
        return Curve(path, head, path.boundingRect().adjusted(-2, -2, 2, 2))
