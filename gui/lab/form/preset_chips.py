"""A lab's presets as chips; the story of the chosen one stands under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from gui.lab.help_button import wrapped
from gui.lab.layouts.flow import Flow
from gui.language import language_switch

if TYPE_CHECKING:
    from PySide6.QtGui import QResizeEvent


class Chip(QPushButton):
    """A checkable pill; a title longer than the row is cut, and whole in the tooltip's first line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setProperty("role", "chip")
        self._title = ""

    @property
    def title(self) -> str:
        return self._title

    def show_title(self, title: str, story: str) -> None:
        self._title = title
        self.setText(title)
        self.setToolTip(wrapped(f"{title}\n{story}"))
        self.setAccessibleName(title)
        self.setAccessibleDescription(story)
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        extra = super().sizeHint().width() - self.fontMetrics().horizontalAdvance(self.text())
        return QSize(self.fontMetrics().horizontalAdvance(self._title) + extra, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(60, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        metrics, cut = self.fontMetrics(), self.sizeHint().width() - event.size().width()
        room = metrics.horizontalAdvance(self._title) - cut
        elided = metrics.elidedText(self._title, Qt.TextElideMode.ElideRight, room)
        self.setText(elided if cut > 0 else self._title)


class PresetChips(QWidget):
    chosen = Signal(object)  # the preset's values

    def __init__(self) -> None:
        super().__init__()
        self._presets: list[dict[str, Any]] = []
        self._chips: list[Chip] = []
        self._row = QWidget()
        self._flow = Flow(gap=6)
        self._row.setLayout(self._flow)
        self._story = QLabel()
        self._story.setWordWrap(True)
        self._story.setProperty("role", "muted")
        self._story.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(6)
        body.addWidget(self._row)
        body.addWidget(self._story)

    def show_presets(self, presets: list[dict[str, Any]]) -> None:
        for chip in self._chips:
            self._flow.removeWidget(chip)
            chip.hide()
            chip.deleteLater()
        self._presets = presets
        self._chips = []
        for preset in presets:
            chip = Chip(self._row)
            chip.clicked.connect(lambda _on=False, preset=preset: self._choose(preset))
            chip.hide()
            self._flow.addWidget(chip)
            self._chips.append(chip)
        self.setVisible(bool(presets))
        self._story.hide()
        with self._flow.arranged_once():
            self.retranslate()
            for chip in self._chips:
                chip.show()

    def _choose(self, preset: dict[str, Any]) -> None:
        self.chosen.emit(dict(preset["values"]))

    def show_match(self, changed: dict[str, Any], defaults: dict[str, Any]) -> None:
        """Mark the preset that the form's values are, if they are one. ``changed`` is what differs from
        defaults."""
        story = ""
        for preset, chip in zip(self._presets, self._chips, strict=True):
            apart = {name: value for name, value in preset["values"].items() if defaults.get(name) != value}
            match = apart == changed and not story
            chip.setChecked(match)
            if match:
                story = language_switch.pick(preset["story"])
        self._story.setText(story)
        self._story.setVisible(bool(story))

    def retranslate(self) -> None:
        for preset, chip in zip(self._presets, self._chips, strict=True):
            chip.show_title(language_switch.pick(preset["title"]), language_switch.pick(preset["story"]))
            if chip.isChecked():
                self._story.setText(language_switch.pick(preset["story"]))
