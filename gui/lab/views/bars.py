"""Grouped bars with whiskers and the figure at each bar's end; what has no figure says why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PySide6.QtCore import QCoreApplication, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QVBoxLayout, QWidget

from gui.lab.number_text import split, unit_scale, with_unit
from gui.lab.views.legend import Entry, Legend
from gui.lab.views.view import View, csv_text, pick, with_unit_title

translate = QCoreApplication.translate

# Beyond this many bars they stand upright and thin, without a figure at each.
MOST_HORIZONTAL = 80
AXIS = 34
BAR = 14


class BarsView(View):
    def __init__(self) -> None:
        super().__init__()
        self.legend = Legend()
        self.picture = BarsPicture(self)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(4)
        body.addWidget(self.legend)
        body.addWidget(self.picture, 1)

    def sizeHint(self) -> QSize:
        return QSize(380, self.legend.height() + 4 + self.picture.sizeHint().height())

    def redraw(self) -> None:
        series = self.result["series"]
        entries = []
        for index, one in enumerate(series):
            own = one.get("provenance")
            differs = own if own and own != self.result["provenance"] else None
            colour = self.theme.series[index % len(self.theme.series)]
            entries.append(Entry(pick(one["name"]), colour, "block", differs))
        self.legend.show_entries(
            entries if len(series) > 1 or (entries and entries[0].provenance) else [], self.theme
        )
        self.legend.setVisible(bool(self.legend.maximumHeight()))
        self.picture.show_bars(self.result)
        self.updateGeometry()

    def to_csv(self) -> str:
        y = self.result["y"]
        value = with_unit_title(y["title"], y.get("unit") or "")
        missing = {int(index): text for index, text in (self.result.get("missing") or {}).items()}
        header = [
            self.tr("category"),
            self.tr("series"),
            value,
            "low",
            "high",
            "provenance",
            self.tr("missing"),
        ]
        rows = []
        for one in self.result["series"]:
            source = one.get("provenance") or self.result["provenance"]
            low, high = one.get("low"), one.get("high")
            for index, category in enumerate(self.result["categories"]):
                bounds = ["" if side is None else side[index] for side in (low, high)]
                reason = pick(missing[index]) if index in missing else ""
                row = [pick(category), pick(one["name"]), one["values"][index], *bounds, source, reason]
                rows.append(row)
        return csv_text(header, rows)


class BarsPicture(QWidget):
    """Drawn by hand: labels, whiskers, figures and reasons line up, which plot axes do not give."""

    def __init__(self, view: BarsView) -> None:
        super().__init__()
        self._view = view
        self._result: dict[str, Any] = {}
        self._hits: list[tuple[QRectF, str]] = []
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def show_bars(self, result: dict[str, Any]) -> None:
        self._result = result
        self._values = [np.asarray(one["values"], dtype=np.float64) for one in result["series"]]
        self._missing = {int(index): pick(text) for index, text in (result.get("missing") or {}).items()}
        self._log = bool(result["y"].get("log"))
        self._unit = result["y"].get("unit") or ""
        self._extent = self._data_extent()
        self.updateGeometry()
        self.update()

    @property
    def horizontal(self) -> bool:
        return len(self._result["categories"]) * max(1, len(self._values)) <= MOST_HORIZONTAL

    def _data_extent(self) -> tuple[float, float]:
        arrays = [*self._values]
        for one in self._result["series"]:
            arrays += [
                np.asarray(one[side], dtype=np.float64)
                for side in ("low", "high")
                if one.get(side) is not None
            ]
        every = np.concatenate(arrays) if arrays else np.empty(0)
        every = every[np.isfinite(every)]
        if self._log:
            every = every[every > 0]
            if not every.size:
                return 0.0, 1.0
            low, high = math.floor(np.log10(every.min()) - 0.05), float(np.log10(every.max()))
            return low, max(high, low + 0.5)
        if not every.size:
            return 0.0, 1.0
        low, high = min(0.0, float(every.min())), max(0.0, float(every.max()))
        return (low, high) if high > low else (0.0, 1.0)

    def sizeHint(self) -> QSize:
        if not self._result:
            return QSize(380, 100)
        if not self.horizontal:
            return QSize(380, 240)
        return QSize(380, len(self._result["categories"]) * self._group_height() + AXIS)

    def _group_height(self) -> int:
        return max(26, len(self._values) * BAR + 10)

    def _fraction(self, value: float) -> float:
        low, high = self._extent
        if self._log:
            value = math.log10(value) if value > 0 else low
        return min(1.0, max(0.0, (value - low) / (high - low)))

    def _font(self, size: int) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(size)
        return font

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._result:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._hits = []
        if not self._result["categories"] or not self._values:
            painter.setPen(QColor(self._view.theme.muted))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, translate("BarsView", "no data"))
        elif self.horizontal:
            self._paint_horizontal(painter)
        else:
            self._paint_vertical(painter)
        painter.end()

    def _paint_horizontal(self, painter: QPainter) -> None:
        names = [pick(category) for category in self._result["categories"]]
        metrics = QFontMetricsF(self._font(12))
        left = min(self.width() * 0.38, max(metrics.horizontalAdvance(name) for name in names) + 12)
        figure = max(metrics.horizontalAdvance(text) for text in self._figures()) + 14
        plot = QRectF(left, 0, max(40.0, self.width() - left - figure), self.height() - AXIS)
        self._paint_value_axis(painter, plot)
        group = min(plot.height() / len(names), self._group_height() * 1.4)
        for index, name in enumerate(names):
            top = plot.top() + index * group
            painter.setFont(self._font(12))
            painter.setPen(QColor(self._view.theme.ink))
            box = QRectF(0, top, left - 10, group)
            shown = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, box.width())
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), shown)
            self._paint_group(painter, index, name, QRectF(plot.left(), top, plot.width(), group))

    def _figures(self) -> list[str]:
        texts = [with_unit(float(value), self._unit, 3) for values in self._values for value in values]
        return texts or [""]

    def _paint_group(self, painter: QPainter, index: int, name: str, box: QRectF) -> None:
        theme = self._view.theme
        height = min(BAR * 1.6, (box.height() - 8) / len(self._values))
        top = box.center().y() - height * len(self._values) / 2
        zero = box.left() + box.width() * (0.0 if self._log else self._fraction(0.0))
        if all(not math.isfinite(values[index]) for values in self._values):
            reason = self._missing.get(index, translate("BarsView", "no figure"))
            self._paint_reason(
                painter, QRectF(zero + 6, box.top(), self.width() - zero - 6, box.height()), reason
            )
            return
        for place, values in enumerate(self._values):
            value = float(values[index])
            row = QRectF(box.left(), top + place * height, box.width(), height)
            if not math.isfinite(value):
                continue
            end = box.left() + box.width() * self._fraction(value)
            bar = QRectF(min(zero, end), row.top() + 1, max(1.0, abs(end - zero)), row.height() - 2)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.series[place % len(theme.series)]))
            painter.drawRoundedRect(bar, 2, 2)
            whisker_end = self._paint_whisker(painter, place, index, box, row.center().y())
            painter.setFont(self._font(12))
            painter.setPen(QColor(theme.ink))
            text = with_unit(value, self._unit, 3)
            at = QRectF(max(end, zero, whisker_end) + 6, row.top(), 200, row.height())
            painter.drawText(at, int(Qt.AlignmentFlag.AlignVCenter), text)
            series = pick(self._result["series"][place]["name"])
            self._hits.append((row, self._tip(name, series, place, index)))

    def _paint_reason(self, painter: QPainter, box: QRectF, reason: str) -> None:
        font = self._font(12)
        font.setItalic(True)
        painter.setFont(font)
        painter.setPen(QColor(self._view.theme.muted))
        shown = QFontMetricsF(font).elidedText(reason, Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), shown)
        self._hits.append((box, reason))

    def _paint_whisker(self, painter: QPainter, place: int, index: int, box: QRectF, y: float) -> float:
        """Draw the spread; where it ends on the right."""
        one = self._result["series"][place]
        if one.get("low") is None or one.get("high") is None:
            return 0.0
        low, high = float(one["low"][index]), float(one["high"][index])
        if not (math.isfinite(low) and math.isfinite(high)):
            return 0.0
        ends = [box.left() + box.width() * self._fraction(side) for side in (low, high)]
        painter.setPen(QPen(QColor(self._view.theme.ink), 1))
        painter.drawLine(QPointF(ends[0], y), QPointF(ends[1], y))
        for end in ends:
            painter.drawLine(QPointF(end, y - 3), QPointF(end, y + 3))
        return ends[1]

    def _tip(self, name: str, series: str, place: int, index: int) -> str:
        one = self._result["series"][place]
        lines = [f"{name} · {series}: {with_unit(float(one['values'][index]), self._unit, 5)}"]
        if one.get("low") is not None and one.get("high") is not None:
            low, high = (with_unit(float(one[side][index]), self._unit) for side in ("low", "high"))
            lines.append(f"{low} – {high}")
        return "\n".join(lines)

    def _paint_value_axis(self, painter: QPainter, plot: QRectF) -> None:
        theme = self._view.theme
        painter.setFont(self._font(11))
        factor, unit = self._prefix()
        for value in self._ticks(plot.width() / 80):
            x = plot.left() + plot.width() * self._fraction(value)
            painter.setPen(QPen(QColor(theme.rule), 1))
            painter.drawLine(QPointF(x, plot.top()), QPointF(x, plot.bottom()))
            painter.setPen(QColor(theme.muted))
            text = with_unit(value, self._unit, 3) if self._log else f"{value / factor:g}".replace("-", "−")
            painter.drawText(QRectF(x - 40, plot.bottom() + 2, 80, 15), Qt.AlignmentFlag.AlignHCenter, text)
        title = with_unit_title(self._result["y"]["title"], "" if self._log else unit)
        painter.setFont(self._font(12))
        painter.drawText(
            QRectF(plot.left(), plot.bottom() + 16, plot.width(), 18), Qt.AlignmentFlag.AlignHCenter, title
        )

    def _prefix(self) -> tuple[float, str]:
        return unit_scale(max(abs(self._extent[0]), abs(self._extent[1])), self._unit)

    def _ticks(self, most: float) -> list[float]:
        low, high = self._extent
        if self._log:
            stride = max(1, math.ceil((high - low) / max(1.0, most)))
            return [10.0**power for power in range(math.ceil(low), math.floor(high) + 1, stride)]
        factor, _ = self._prefix()
        low, high = low / factor, high / factor
        raw = (high - low) / max(1.0, most)
        base = 10.0 ** math.floor(math.log10(raw))
        step = next(base * multiple for multiple in (1, 2, 5, 10) if base * multiple >= raw)
        return [
            k * step * factor for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
        ]

    def _paint_vertical(self, painter: QPainter) -> None:
        theme = self._view.theme
        factor, unit = self._prefix()
        plot = QRectF(52, 20, self.width() - 60, self.height() - 44)
        painter.setFont(self._font(12))
        painter.setPen(QColor(theme.muted))
        painter.drawText(
            QPointF(0, 12), with_unit_title(self._result["y"]["title"], "" if self._log else unit)
        )
        painter.setFont(self._font(11))
        for value in self._ticks(plot.height() / 40):
            y = plot.bottom() - plot.height() * self._fraction(value)
            painter.setPen(QPen(QColor(theme.rule), 1))
            painter.drawLine(QPointF(plot.left(), y), QPointF(plot.right(), y))
            painter.setPen(QColor(theme.muted))
            text = " ".join(split(value, self._unit, 3)) if self._log else f"{value / factor:g}"
            align = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            painter.drawText(QRectF(0, y - 8, plot.left() - 6, 16), align, text)
        self._paint_columns(painter, plot)

    def _paint_columns(self, painter: QPainter, plot: QRectF) -> None:
        theme = self._view.theme
        names = self._result["categories"]
        group = plot.width() / len(names)
        width = max(0.5, group * 0.84 / len(self._values))
        zero = plot.bottom() - plot.height() * (0.0 if self._log else self._fraction(0.0))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, width > 3)
        for place, values in enumerate(self._values):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(theme.series[place % len(theme.series)]))
            series = pick(self._result["series"][place]["name"])
            for index, value in enumerate(values):
                if not math.isfinite(value):
                    continue
                y = plot.bottom() - plot.height() * self._fraction(float(value))
                x = plot.left() + index * group + group * 0.08 + place * width
                painter.drawRect(QRectF(x, min(y, zero), width, max(1.0, abs(zero - y))))
                column = QRectF(x, plot.top(), width, plot.height())
                self._hits.append((column, self._tip(pick(names[index]), series, place, index)))
        self._paint_column_names(painter, plot, group)

    def _paint_column_names(self, painter: QPainter, plot: QRectF, group: float) -> None:
        names = [pick(name) for name in self._result["categories"]]
        metrics = QFontMetricsF(self._font(11))
        widest = max(metrics.horizontalAdvance(name) for name in names[:: max(1, len(names) // 50)]) + 10
        stride = max(1, math.ceil(widest / group))
        painter.setPen(QColor(self._view.theme.muted))
        for index in range(0, len(names), stride):
            middle = plot.left() + (index + 0.5) * group
            box = QRectF(middle - widest / 2, plot.bottom() + 4, widest, 16)
            painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, names[index])

    def mouseMoveEvent(self, event: Any) -> None:
        at = event.position()
        tip = next((text for box, text in self._hits if box.contains(at)), "")
        if tip:
            QToolTip.showText(event.globalPosition().toPoint(), tip, self)
        else:
            QToolTip.hideText()
