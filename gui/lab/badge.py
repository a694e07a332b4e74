"""The badge that says where a figure comes from: colour and word, and on hover the device, source and
spread."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.language import language_switch
from gui.theme import Theme, theme_switch

translate = QCoreApplication.translate

PROVENANCES = ("measured", "simulated", "estimated", "reported")


def provenance_word(provenance: str) -> str:
    words = {
        "measured": translate("Provenance", "measured"),
        "simulated": translate("Provenance", "simulated"),
        "estimated": translate("Provenance", "estimated"),
        "reported": translate("Provenance", "reported"),
    }
    return words[provenance]


def provenance_meaning(provenance: str) -> str:
    meanings = {
        "measured": translate("Provenance", "Measured on this device in this run."),
        "simulated": translate("Provenance", "Computed by an event simulator."),
        "estimated": translate("Provenance", "Computed by a formula."),
        "reported": translate("Provenance", "Reported by the source cited."),
    }
    return meanings[provenance]


def badge_tooltip(provenance: str, result: dict[str, Any], environment: dict[str, Any]) -> str:
    """What the badge tells on hover: the meaning, the device of a measurement, the source, the spread."""
    lines = [provenance_meaning(provenance)]
    device = device_text(environment)
    if provenance == "measured" and device:
        lines.append(translate("Provenance", "Device: {device}").format(device=device))
    if result.get("source"):
        lines.append(
            translate("Provenance", "Source: {source}").format(source=language_switch.pick(result["source"]))
        )
    if provenance == "measured" and result.get("low") is not None and not result.get("source"):
        lines.append(translate("Provenance", "Spread: 20th to 80th percentile."))
    return "\n".join(lines)


def device_text(environment: dict[str, Any]) -> str:
    """The environment in a few words: GPU and CPU (what is compiled C++ runs there all the same), threads,
    torch."""
    named = [environment[key] for key in ("device_name", "cpu") if environment.get(key)]
    device = " + ".join(map(str, named)) or environment.get("device")
    parts = [str(device)] if device else []
    if environment.get("threads"):
        parts.append(translate("Provenance", "{count} threads").format(count=environment["threads"]))
    if environment.get("torch"):
        parts.append(f"torch {environment['torch']}")
    return " · ".join(parts)


class Badge(QWidget):
    """A small pill: a dot and a word in the provenance's colour."""

    def __init__(self, provenance: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._provenance = provenance
        self._figure = ""
        self._theme = theme_switch.current
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._retranslate()

    @property
    def provenance(self) -> str:
        return self._provenance

    def set_provenance(self, provenance: str, figure: str = "") -> None:
        """``figure`` follows the word: ``estimated 20.2 dB``."""
        self._provenance, self._figure = provenance, figure
        self._retranslate()
        self.updateGeometry()
        self.update()

    def restyle(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def _retranslate(self) -> None:
        self.setAccessibleName(self._text())

    def _text(self) -> str:
        return f"{provenance_word(self._provenance)} {self._figure}".strip()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.LanguageChange:
            self._retranslate()
            self.updateGeometry()
            self.update()
        super().changeEvent(event)

    def sizeHint(self) -> QSize:
        metrics = QFontMetricsF(badge_font(self.font()))
        width = metrics.horizontalAdvance(self._text()) + 24
        return QSize(round(width), round(metrics.height()) + 4)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        font = badge_font(self.font())
        paint_badge(painter, QRectF(self.rect()), self._provenance, self._theme, font, self._text())
        painter.end()


def badge_font(base: QFont) -> QFont:
    font = QFont(base)
    font.setPixelSize(11)
    font.setWeight(QFont.Weight.Medium)
    return font


def paint_badge(
    painter: QPainter, rect: QRectF, provenance: str, theme: Theme, font: QFont, text: str = ""
) -> None:
    colour = QColor(getattr(theme, provenance))
    tint = QColor(colour)
    tint.setAlphaF(0.18 if theme.dark else 0.10)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(tint)
    painter.drawRoundedRect(rect, rect.height() / 2, rect.height() / 2)
    painter.setBrush(colour)
    painter.drawEllipse(QRectF(rect.left() + 7, rect.center().y() - 2.5, 5, 5))
    painter.setFont(font)
    painter.setPen(colour)
    box = rect.adjusted(16, 0, -4, 0)
    painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), text or provenance_word(provenance))
    painter.restore()
