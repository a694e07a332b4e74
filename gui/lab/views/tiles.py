"""Which step touches which elements of which tensor: grids in one scale, coloured by the way of touching."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from gui.icons import icon
from gui.lab.number_text import plain
from gui.lab.playback.clock import Follower
from gui.lab.views.caption import Caption
from gui.lab.views.event_text import EventTexts
from gui.lab.views.legend import Entry, Legend
from gui.lab.views.tile_canvas import Element, TileCanvas
from gui.lab.views.tile_layout import LARGEST, WITH_VALUES, Placed, Sized, fitting_scale, laid_out
from gui.lab.views.tile_picture import category_colour, faint, untouched
from gui.lab.views.tile_state import Touches, touched_at, touches_of
from gui.lab.views.view import View, csv_text, pick

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PySide6.QtGui import QResizeEvent

TALLEST = 480
ZOOM, MOST_SCALE = 1.5, 60.0


class TileArea(QScrollArea):
    """As tall as the tensors where all are in sight: then it need not scroll."""

    def __init__(self, view: TilesView) -> None:
        super().__init__()
        self._view = view
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return max(40, math.ceil(self._view.fitting(max(160, width)).height))

    def sizeHint(self) -> QSize:
        width = max(320, self.width())
        return QSize(width, self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        return QSize(160, 40)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        taller = max(event.size().height(), event.oldSize().height()) > TALLEST
        if event.size().width() != event.oldSize().width() or taller:
            self._view.size_changed()


class TilesView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower(self, self.clock_moved)
        self.touches: list[Touches] = []
        self._fitted: dict[tuple[int, int], Placed] = {}  # by width and height: a page asks many times
        self._zoom = 0
        self._shown: int | None = -2
        self.legend = Legend()
        self.canvas = TileCanvas(self)
        self.canvas.zoomed.connect(self.zoom)
        self.area = TileArea(self)
        self.area.setWidget(self.canvas)
        self.caption = Caption()
        self.out_button, self.in_button = self._button("zoom-out", -1), self._button("zoom-in", 1)
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.addWidget(self.legend, 1)
        for button in (self.out_button, self.in_button):
            head.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 6, 0)
        body.setSpacing(4)
        body.addLayout(head)
        body.addWidget(self.area, 1)
        body.addWidget(self.caption)

    def _button(self, name: str, by: int) -> QToolButton:
        button = QToolButton()
        button.setProperty("icon_name", name)
        button.setIconSize(QSize(15, 15))
        button.clicked.connect(lambda: self.zoom(by))
        return button

    def controls(self) -> list[QWidget]:
        return [self.in_button, self.out_button]

    def show_result(self, result: dict[str, Any]) -> None:
        self.touches, self._fitted = touches_of(result), {}
        self.follower.follow(str(result.get("clock") or ""))
        self._shown = self.follower.cursor
        super().show_result(result)

    def clock_moved(self) -> None:
        if self.follower.cursor != self._shown:
            self._shown = self.follower.cursor
            self.canvas.move_clock()
            self._caption()

    def redraw(self) -> None:
        self.legend.show_entries(list(self._entries()), self.theme)
        names = {self.in_button: self.tr("Larger (Ctrl +)"), self.out_button: self.tr("Smaller (Ctrl −)")}
        for button, name in names.items():
            button.setIcon(icon(button.property("icon_name"), self.theme.muted))
            button.setToolTip(name)
            button.setAccessibleName(name)
        self._place()
        self._caption()
        self.area.updateGeometry()  # or the layout keeps the height that other tensors needed
        self.updateGeometry()

    def _entries(self) -> Iterator[Entry]:
        for place, name in enumerate(self.result["categories"]):
            yield Entry(pick(name), self.colour(place), "block")
        if self.follower.clock is not None and self.result["categories"]:
            yield Entry(self.tr("earlier"), faint(self.colour(0), self.theme).name(), "block")
        yield Entry(self.tr("not touched"), untouched(self.theme).name(), "block")
        if any(any(one.margins) for one in self.touches):
            yield Entry(self.tr("outside the tensor"), self.theme.muted, "hatch")

    def colour(self, category: int) -> str:
        return category_colour(category, self.result.get("faults") or [], self.theme)

    # Size

    def sized(self) -> list[Sized]:
        tensors = self.result.get("tensors", [])
        return [
            Sized(one.height, one.width, self.canvas.name_width(tensor))
            for one, tensor in zip(self.touches, tensors, strict=True)
        ]

    def fitting(self, width: int, height: int = TALLEST) -> Placed:
        """The tensors where all are in sight."""
        if (width, height) not in self._fitted:
            sizes = self.sized()
            valued = any(tensor.get("values") is not None for tensor in self.result.get("tensors", []))
            scale = fitting_scale(sizes, width - 2, height, WITH_VALUES if valued else LARGEST)
            self._fitted[width, height] = laid_out(sizes, width - 2, scale)
        return self._fitted[width, height]

    def _place(self) -> None:
        # A page gives no more than TALLEST; a window of its own may.
        width, height = max(160, self.area.width()), max(TALLEST, self.area.height())
        self.canvas.place(width, min(MOST_SCALE, self.fitting(width, height).scale * ZOOM**self._zoom))

    def zoom(self, by: int) -> None:
        """A step closer or away; 0: all in sight again."""
        if by == 0:
            self._zoom = 0
        elif by < 0 or self.canvas.placed.scale < MOST_SCALE:
            self._zoom = max(0, self._zoom + by)
        at = self.canvas.at
        self._place()
        if at is not None:
            centre = self.canvas.box(at).center()
            self.area.ensureVisible(round(centre.x()), round(centre.y()), 200, 150)

    def size_changed(self) -> None:
        if self.result:
            self._place()

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 90)

    # What is told

    def _caption(self) -> None:
        self.caption.say(self.summary(), self.theme.muted)

    def summary(self) -> str:
        """What is touched at the cursor."""
        cursor = self.follower.cursor
        if cursor is None:
            return self.tr("all that is touched")
        counts = touched_at(self.result, cursor)
        names = [pick(name) for name in self.result["categories"]]
        told = [f"{name} {plain(int(count))}" for name, count in zip(names, counts, strict=True) if count]
        now = self.tr("event {number}").format(number=plain(cursor + 1))
        if not told:
            return f"{now} · " + self.tr("touches nothing")
        return f"{now} · " + self.tr("elements: {counts}").format(counts=", ".join(told))

    def element_title(self, element: Element) -> str:
        """``A [3, 5]``, or ``A [0–3, 8–15]`` where a cell is more than an element."""
        down, across = self.canvas.step(element.tensor)
        touches = self.touches[element.tensor]
        rows = _span(element.row, down, touches.margins.top, touches.rows)
        columns = _span(element.column, across, touches.margins.left, touches.columns)
        return f"{pick(self.result['tensors'][element.tensor]['name'])} [{rows}, {columns}]"

    def describe(self, element: Element) -> list[tuple[str, str, str]]:
        """What the hover card says of an element: names, values, colours."""
        theme, touches = self.theme, self.touches[element.tensor]
        tensor, row, column = self.result["tensors"][element.tensor], element.row, element.column
        inside = 0 <= row < touches.rows and 0 <= column < touches.columns
        lines = []
        if not inside:
            lines.append((self.tr("place"), self.tr("outside the tensor"), theme.muted))
        elif tensor.get("values") is not None:
            lines.append((self.tr("value"), plain(float(tensor["values"][row][column])), theme.muted))
        runs = touches.touching(row, column, self.follower.cursor)
        if not len(runs):
            return [*lines, (self.tr("touched"), self.tr("not yet"), theme.muted)]
        event, category = int(touches.runs.event[runs[-1]]), int(touches.runs.category[runs[-1]])
        colour = self.colour(category)
        lines.append((pick(self.result["categories"][category]), self._event_text(event), colour))
        if len(runs) > 1:
            lines.append((self.tr("touched"), self.tr("{count} times").format(count=len(runs)), theme.muted))
        return lines

    def _event_text(self, event: int) -> str:
        number = self.tr("event {number}").format(number=plain(event + 1))
        clock = self.follower.clock
        if clock is None or not 0 <= event < len(clock.times) or not clock.trace:
            return number
        return f"{number}: {EventTexts(clock.trace).text(event)}"

    def to_csv(self) -> str:
        runs = self.result["runs"]
        header = [self.tr("event"), self.tr("tensor"), self.tr("row")]
        header += [self.tr("start"), self.tr("stop"), self.tr("category")]
        names = [pick(tensor["name"]) for tensor in self.result["tensors"]]
        categories = [pick(name) for name in self.result["categories"]]
        rows = zip(
            np.asarray(runs["event"]).tolist(),
            [names[one] for one in np.asarray(runs["tensor"]).tolist()],
            *(np.asarray(runs[name]).tolist() for name in ("row", "start", "stop")),
            [categories[one] for one in np.asarray(runs["category"]).tolist()],
            strict=True,
        )
        return csv_text(header, rows)


def _span(index: int, step: int, margin: int, size: int) -> str:
    """The indices of a cell, those within the tensor."""
    if step == 1:
        return str(index)
    first = (index + margin) // step * step - margin
    return f"{max(0, first)}–{min(size, first + step) - 1}"
