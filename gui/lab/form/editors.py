"""One editor for each kind of parameter. All speak the same small protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSizePolicy,
    QWidget,
)

from gui.lab.form.number_box import NumberBox
from gui.lab.form.segmented import Segmented
from gui.lab.form.slider import ValueSlider, slider_values
from gui.language import language_switch

if TYPE_CHECKING:
    from PySide6.QtGui import QWheelEvent


class Editor(QWidget):
    """``moved`` says that the value changed: ``drag`` (the slider is held), ``step`` (keys or wheel: more may
    follow) or ``final``. Setting a value from the program tells nobody."""

    moved = Signal(str)
    refused = Signal(str)

    def value(self) -> Any:
        raise NotImplementedError

    def show_value(self, value: Any) -> None:
        raise NotImplementedError

    def show_error(self, text: str) -> None:
        """Why the value was refused, ``""``: it was not. An editor may show where in the value."""

    def describe(self, label: str, help_text: str) -> None:
        """Label and help in the current language, for assistive technology and for choices' names."""
        for widget in self.findChildren(QWidget):
            if widget.focusPolicy() != Qt.FocusPolicy.NoFocus:
                widget.setAccessibleName(label)
                widget.setAccessibleDescription(help_text)


def _row(editor: Editor, *widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout(editor)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(8)
    for widget in widgets:
        row.addWidget(widget)
    return row


class NumberEditor(Editor):
    """A number: a slider and a box where the range is known, else the box alone."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        extra = schema.get("x-inferlab", {})
        integer = schema["type"] == "integer"
        low, high = schema.get("minimum"), schema.get("maximum")
        scale, step = extra.get("scale") or "linear", extra.get("step")
        bounds = {key: value for key, value in (("low", low), ("high", high)) if value is not None}
        self._box = NumberBox(integer=integer, step=step, scale=scale, **bounds)
        self._box.typed.connect(self._on_typed)
        self._box.refused.connect(self.refused)
        self._slider: ValueSlider | None = None
        if low is not None and high is not None:
            self._slider = ValueSlider(slider_values(low, high, integer=integer, scale=scale, step=step))
            self._slider.valueChanged.connect(self._on_slid)
            self._slider.sliderReleased.connect(lambda: self.moved.emit("final"))
            self._box.setFixedWidth(72)
            self._box.setAlignment(Qt.AlignmentFlag.AlignRight)
            row = _row(self, self._slider, self._box)
            row.setStretch(0, 1)
            self.setFocusProxy(self._slider)
        else:
            row = _row(self, self._box)
            self._box.setMaximumWidth(220)
            self.setFocusProxy(self._box)
        if extra.get("unit"):
            unit = QLabel(str(extra["unit"]))
            unit.setProperty("role", "muted")
            row.addWidget(unit)
        if self._slider is None:
            row.addStretch(1)

    def _on_slid(self) -> None:
        assert self._slider is not None
        self._box.show_number(self._slider.number())
        self.moved.emit("drag" if self._slider.isSliderDown() else "step")

    def _on_typed(self, how: str) -> None:
        if self._slider is not None:
            self._slider.show_number(self._box.number())
        self.moved.emit(how)

    def value(self) -> float | int:
        return self._box.number()

    def show_value(self, value: Any) -> None:
        self._box.show_number(value)
        if self._slider is not None:
            self._slider.show_number(value)


class NumberChoiceEditor(Editor):
    """One of several allowed numbers, on a slider that stops at these."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._values = sorted(schema["enum"])
        self._slider = ValueSlider([float(value) for value in self._values])
        self._text = QLabel()
        self._text.setMinimumWidth(44)
        self._text.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._unit = str(schema.get("x-inferlab", {}).get("unit") or "")
        _row(self, self._slider, self._text).setStretch(0, 1)
        self.setFocusProxy(self._slider)
        self._slider.valueChanged.connect(self._on_slid)
        self._slider.sliderReleased.connect(lambda: self.moved.emit("final"))

    def _on_slid(self) -> None:
        self._show_text()
        self.moved.emit("drag" if self._slider.isSliderDown() else "step")

    def _show_text(self) -> None:
        self._text.setText(f"{self.value()} {self._unit}".strip())

    def value(self) -> Any:
        return self._values[self._slider.value()]

    def show_value(self, value: Any) -> None:
        self._slider.show_number(float(value))
        self._show_text()


class SegmentedEditor(Editor):
    """One of up to four choices, all in sight."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._values, self._names = schema["enum"], schema.get("x-inferlab", {}).get("choices") or {}
        self._segments = Segmented(self._values)
        self._segments.chosen.connect(lambda: self.moved.emit("final"))
        _row(self, self._segments)
        self.setFocusProxy(self._segments)

    def value(self) -> Any:
        return self._segments.choice()

    def show_value(self, value: Any) -> None:
        self._segments.set_choice(value)

    def describe(self, label: str, help_text: str) -> None:
        self._segments.set_labels([choice_name(self._names, value) for value in self._values], help_text)
        self._segments.setAccessibleName(label)


class QuietCombo(QComboBox):
    """A combo box that lets the wheel scroll the page unless it has focus."""

    def wheelEvent(self, event: QWheelEvent) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ComboEditor(Editor):
    """One of many choices."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._values, self._names = schema["enum"], schema.get("x-inferlab", {}).get("choices") or {}
        self._combo = QuietCombo()
        self._combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._combo.addItems([str(value) for value in self._values])
        self._combo.currentIndexChanged.connect(lambda: self.moved.emit("final"))
        _row(self, self._combo)
        self.setFocusProxy(self._combo)

    def value(self) -> Any:
        return self._values[self._combo.currentIndex()]

    def show_value(self, value: Any) -> None:
        if value in self._values:
            blocked = self._combo.blockSignals(True)
            self._combo.setCurrentIndex(self._values.index(value))
            self._combo.blockSignals(blocked)

    def describe(self, label: str, help_text: str) -> None:
        super().describe(label, help_text)
        for index, value in enumerate(self._values):
            self._combo.setItemText(index, choice_name(self._names, value))


class SwitchEditor(Editor):
    """On or off."""

    def __init__(self) -> None:
        super().__init__()
        self._box = QCheckBox()
        self._box.toggled.connect(self._on_toggled)
        _row(self, self._box).addStretch(1)
        self.setFocusProxy(self._box)
        self._show_word()

    def _on_toggled(self) -> None:
        self._show_word()
        self.moved.emit("final")

    def _show_word(self) -> None:
        self._box.setText(self.tr("on") if self._box.isChecked() else self.tr("off"))

    def value(self) -> bool:
        return self._box.isChecked()

    def show_value(self, value: Any) -> None:
        blocked = self._box.blockSignals(True)
        self._box.setChecked(bool(value))
        self._box.blockSignals(blocked)
        self._show_word()

    def describe(self, label: str, help_text: str) -> None:
        super().describe(label, help_text)
        self._show_word()


class TextEditor(Editor):
    """Free text."""

    def __init__(self) -> None:
        super().__init__()
        self._line = QLineEdit()
        self._line.textEdited.connect(lambda: self.moved.emit("step"))
        self._line.editingFinished.connect(self._on_finished)
        _row(self, self._line)
        self.setFocusProxy(self._line)

    def _on_finished(self) -> None:
        if self._line.isModified():
            self._line.setModified(False)
            self.moved.emit("final")

    def value(self) -> str:
        return self._line.text()

    def show_value(self, value: Any) -> None:
        self._line.setText(str(value))


class ParagraphEditor(Editor):
    """Free text of several lines. It is told when one leaves it, or with Ctrl+Return: each keystroke would be
    a run."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._text = QPlainTextEdit()
        self._text.setTabChangesFocus(True)
        line = self._text.fontMetrics().lineSpacing()
        self._text.setFixedHeight(lines * line + 20)
        self._text.installEventFilter(self)
        self._told = ""
        _row(self, self._text)
        self.setFocusProxy(self._text)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut:
            self._tell()
        elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
            if enter and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
                self._tell()
                return True
        return False

    def _tell(self) -> None:
        if self.value() != self._told:
            self._told = self.value()
            self.moved.emit("final")

    def value(self) -> str:
        return self._text.toPlainText()

    def show_value(self, value: Any) -> None:
        self._told = str(value)
        if self._told != self.value():
            self._text.setPlainText(self._told)


def choice_name(names: dict[str, Any], value: Any) -> str:
    """The label of a choice in the current language; a choice without one is its own name."""
    text = names.get(str(value))
    return language_switch.pick(text) if text else str(value)
