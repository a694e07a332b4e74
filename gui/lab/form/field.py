"""One parameter in the form: label, help, "changed" mark with a way back, editor, and the reason of a
refusal."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from gui.lab.form.editors import (
    ComboEditor,
    Editor,
    NumberChoiceEditor,
    NumberEditor,
    ParagraphEditor,
    SegmentedEditor,
    SwitchEditor,
    TextEditor,
)
from gui.lab.help_button import HelpButton
from gui.lab.parameter_text import shortened
from gui.language import language_switch

MOST_SEGMENTS = 4


class Field(QWidget):
    """``name`` is the parameter's. ``moved`` repeats the editor's."""

    moved = Signal(str)

    def __init__(self, name: str, schema: dict[str, Any], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self.default = schema["default"]
        self._extra: dict[str, Any] = schema.get("x-inferlab", {})
        self._schema = schema
        if self._extra.get("lines", 1) > 1 or self._extra.get("language"):
            self.setProperty("shape", "wide")
        self._editor: Editor | None = None
        self._value = self.default  # until there is an editor

    @property
    def made(self) -> bool:
        """Whether the field has its widgets yet."""
        return self._editor is not None

    @property
    def editor(self) -> Editor:
        """Made, with the rest of the field, when first asked for: a form shows a part of its fields."""
        if self._editor is None:
            self._editor = editor_for(self._schema)
            self._make(self._editor)
            self._editor.show_value(self._value)
            self.retranslate()
        return self._editor

    def _make(self, editor: Editor) -> None:
        # Each widget has its parent from the start: under a style sheet, one that moves is styled again.
        editor.moved.connect(self._on_moved)
        editor.refused.connect(self.show_error)
        self._label = QLabel(self)
        self._label.setBuddy(editor)
        self._help = HelpButton(self)
        self._reset = QToolButton(self)
        self._reset.setText("↺")
        self._reset.setAutoRaise(True)
        self._reset.setFocusPolicy(
            Qt.FocusPolicy.NoFocus
        )  # the Reset button of the run bar has the keyboard's way
        self._reset.setFixedSize(20, 20)
        self._reset.setProperty("role", "small")
        self._reset.clicked.connect(self.reset)
        policy = self._reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self._reset.setSizePolicy(policy)
        self._error = QLabel(self)
        self._error.setProperty("role", "error")
        self._error.setWordWrap(True)
        self._error.hide()
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 0, 0)
        head.setSpacing(5)
        head.addWidget(self._label)
        head.addWidget(self._help)
        head.addWidget(self._reset)
        head.addStretch(1)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(1)
        body.addLayout(head)
        body.addWidget(editor)
        body.addWidget(self._error)
        body.addStretch(1)

    def minimumSizeHint(self) -> QSize:
        """A grid gives it the columns for its choices in one row, where it has them."""
        least = super().minimumSizeHint()
        if isinstance(self._editor, SegmentedEditor):
            least.setWidth(max(least.width(), self._editor.sizeHint().width()))
        return least

    def value(self) -> Any:
        return self._editor.value() if self._editor is not None else self._value

    @property
    def previews(self) -> bool:
        """Whether dragging is worth a coarse preview."""
        return bool(self._extra.get("preview", True))

    @property
    def modified(self) -> bool:
        return bool(self.value() != self.default)

    def shown_for(self, values: dict[str, Any]) -> bool:
        """Whether the field belongs in the form while the others have ``values``."""
        conditions = self._extra.get("when") or {}
        return all(values.get(name) in allowed for name, allowed in conditions.items())

    def label(self) -> str:
        title = self._extra.get("title")
        return language_switch.pick(title) if title else str(self._schema.get("title", self.name))

    def show_value(self, value: Any) -> None:
        self._value = value
        if self._editor is not None:
            self._editor.show_value(value)
            self.show_error("")
            self._mark()

    def reset(self) -> None:
        self.show_value(self.default)
        self.moved.emit("final")

    def show_error(self, text: str) -> None:
        self.editor.show_error(text)
        self._error.setText(text)
        self._error.setVisible(bool(text))

    def retranslate(self) -> None:
        if not self.made:
            return
        help_text = language_switch.pick(self._extra["help"]) if self._extra.get("help") else ""
        self._label.setText(self.label())
        self._help.set_help(help_text)
        self.editor.describe(self.label(), help_text)
        self.editor.setWhatsThis(help_text)
        self._mark()

    def _on_moved(self, how: str) -> None:
        self.show_error("")
        self._mark()
        self.moved.emit(how)

    def _mark(self) -> None:
        self._reset.setVisible(self.modified)
        default = shortened(self._named_default())
        self._reset.setToolTip(self.tr("Changed. Back to the default, {value}").format(value=default))
        font = self._label.font()
        font.setBold(self.modified)
        self._label.setFont(font)

    def _named_default(self) -> str:
        names = self._extra.get("choices") or {}
        text = names.get(str(self.default))
        return language_switch.pick(text) if text else str(self.default)


def editor_for(schema: dict[str, Any]) -> Editor:
    """The editor for one property of a lab's schema."""
    if "enum" in schema:
        if len(schema["enum"]) <= MOST_SEGMENTS:
            return SegmentedEditor(schema)
        ordered = all(isinstance(value, int | float) for value in schema["enum"])
        return NumberChoiceEditor(schema) if ordered else ComboEditor(schema)
    lines, language = (schema.get("x-inferlab", {}).get(key) for key in ("lines", "language"))
    if schema["type"] == "string" and language:
        from gui.lab.code.code_field import CodeField  # few labs have one

        return CodeField(language, lines or 1)
    if schema["type"] == "string" and (lines or 1) > 1:
        return ParagraphEditor(lines)
    kinds = {"boolean": SwitchEditor, "string": TextEditor}
    if schema["type"] in kinds:
        return kinds[schema["type"]]()
    return NumberEditor(schema)
