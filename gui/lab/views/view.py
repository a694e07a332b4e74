"""What every view of a result can do: show one, take another theme or language, and give its figures away."""

from __future__ import annotations

import contextlib
import csv
import io
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPoint, QRect, Signal
from PySide6.QtGui import QPainter, QPixmap, QRegion
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QWidget

from gui.lab.views.plain_strokes import plain_strokes
from gui.lab.views.svg_fonts import with_fallbacks
from gui.language import language_switch
from gui.theme import Theme, theme_switch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gui.lab.badge import Badge
    from gui.lab.layouts.grid import Shape

WHOLE = QWidget.RenderFlag.DrawWindowBackground | QWidget.RenderFlag.DrawChildren
# Without the window's own background, which is that of the theme in force: a view may be drawn in the other.
PLAIN = QWidget.RenderFlag.DrawChildren


class View(QWidget):
    """``show_result`` updates in place. A view draws with ``self.theme``, so that an export can draw in
    another."""

    param_edited = Signal(str, object)  # parameter, value
    link_activated = Signal(str)
    shape: Shape = "normal"
    corner: Badge | None = None  # a place of its own for the provenance's badge, where the view has one

    def __init__(self) -> None:
        super().__init__()
        self.theme: Theme = theme_switch.current
        self.result: dict[str, Any] = {}

    def show_result(self, result: dict[str, Any]) -> None:
        self.result = result
        self.setAccessibleName(pick(result["title"]))
        self.redraw()

    def restyle(self, theme: Theme) -> None:
        self.theme = theme
        if self.result:
            self.redraw()

    def retranslate(self) -> None:
        if self.result:
            self.setAccessibleName(pick(self.result["title"]))
            self.redraw()

    def redraw(self) -> None:
        raise NotImplementedError

    def to_csv(self) -> str:
        """The result's figures in full precision, a header line first."""
        raise NotImplementedError

    def settle(self) -> None:
        """Make now what is still being made, a slice at a time: a picture is wanted."""

    def other_formats(self) -> dict[str, Callable[[], str]]:
        """Texts that this kind is also saved as, by the suffix of their files."""
        return {}

    def controls(self) -> list[QWidget]:
        """What is pressed: not for a picture."""
        return []

    def to_svg(self) -> bytes:
        with hidden(self.controls()):
            return render_svg(self, pick(self.result["title"]), PLAIN)

    def to_png(self, scale: float = 2.0) -> bytes:
        with hidden(self.controls()):
            return render_png(self, scale, PLAIN)


@contextlib.contextmanager
def hidden(widgets: list[QWidget]) -> Iterator[None]:
    """Out of sight, their places kept."""
    shown = [widget for widget in widgets if not widget.isHidden()]
    for widget in shown:
        policy = widget.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        widget.setSizePolicy(policy)
        widget.hide()
    yield
    for widget in shown:
        widget.show()


def render_svg(widget: QWidget, title: str, flags: QWidget.RenderFlag = WHOLE) -> bytes:
    """``widget`` as it is drawn now. pyqtgraph's own SVG exporter fails; Qt's generator does not."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    generator = QSvgGenerator()
    generator.setOutputDevice(buffer)
    generator.setSize(widget.size())
    generator.setViewBox(QRect(0, 0, widget.width(), widget.height()))
    generator.setResolution(96)
    generator.setTitle(title)
    painter = QPainter(generator)
    widget.render(painter, QPoint(0, 0), QRegion(), flags)
    painter.end()
    return with_fallbacks(plain_strokes(bytes(buffer.data().data()).decode())).encode()


def render_png(widget: QWidget, scale: float, flags: QWidget.RenderFlag = WHOLE) -> bytes:
    pixmap = QPixmap(widget.size() * scale)
    pixmap.setDevicePixelRatio(scale)
    pixmap.fill(theme_switch.current.raised)
    widget.render(pixmap, QPoint(0, 0), QRegion(), flags)
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    pixmap.save(buffer, "PNG")
    return bytes(data.data())


def pick(text: Any) -> str:
    """The current language's side of a bilingual text; other values as they are."""
    return language_switch.pick(text) if isinstance(text, dict) else str(text)


def with_unit_title(title: Any, unit: str) -> str:
    """``Latency (ms)``: an axis or column title with its unit."""
    return f"{pick(title)} ({unit})" if unit else pick(title)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
