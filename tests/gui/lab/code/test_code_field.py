"""A parameter that is code, in the form and in its larger window."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt

from gui.lab.code.code_field import CodeField
from gui.lab.form.editors import ParagraphEditor
from gui.lab.form.field import editor_for
from gui.lab.form.form import LabForm
from gui.theme import DARK, theme_switch
from tests.gui.lab import kernel_samples as kernels
from tests.gui.lab import samples

CONTROL = Qt.KeyboardModifier.ControlModifier


def schema(**changes: Any) -> dict[str, Any]:
    kernel = samples.field("string", kernels.SOURCE, "内核", "Kernel", lines=8, language="python", **changes)
    return {
        "type": "object",
        "properties": {"kernel": kernel, "bits": samples.schema()["properties"]["bits"]},
    }


@pytest.fixture
def form(qtbot: Any) -> LabForm:
    made = LabForm()
    qtbot.addWidget(made)
    made.set_schema(schema())
    made.resize(700, 500)
    made.show()
    qtbot.waitExposed(made)
    return made


def code_of(form: LabForm) -> CodeField:
    field = form.field("kernel")
    assert field is not None and isinstance(field.editor, CodeField)
    return field.editor


def test_code_has_its_editor_and_prose_its_own(qtbot: Any) -> None:
    code = editor_for(samples.field("string", "", "码", "Code", lines=4, language="ptx"))
    prose = editor_for(samples.field("string", "", "文", "Text", lines=4))
    for editor in (code, prose):
        qtbot.addWidget(editor)
    assert isinstance(code, CodeField) and code.document.language == "ptx"
    assert isinstance(prose, ParagraphEditor)


def test_it_takes_the_whole_row_and_its_lines(form: LabForm) -> None:
    code = code_of(form)
    form.grab()
    assert len(list(code.editor.lines_in_sight())) >= 8
    assert code.width() > 600
    assert code.value() == kernels.SOURCE


def test_control_return_runs_it_and_leaving_does_not(form: LabForm, qtbot: Any) -> None:
    code, seen = code_of(form), []
    form.edited.connect(lambda values, dragging: seen.append((values["kernel"], dragging)))
    code.editor.setFocus()
    qtbot.keyClick(code.editor, Qt.Key.Key_Return, CONTROL)
    assert not seen  # nothing was changed
    qtbot.keyClicks(code.editor, "# x")
    code.editor.clearFocus()
    assert not seen
    assert form.values()["kernel"] == "# x" + kernels.SOURCE  # but whoever asks gets it
    qtbot.keyClick(code.editor, Qt.Key.Key_Return, CONTROL)
    assert seen == [("# x" + kernels.SOURCE, False)]
    field = form.field("kernel")
    assert field is not None and field.modified
    assert field._reset.toolTip() == "Changed. Back to the default, import triton …"


def test_a_reset_can_be_undone(form: LabForm, qtbot: Any) -> None:
    code = code_of(form)
    code.editor.setFocus()
    qtbot.keyClicks(code.editor, "# x")
    form.reset()
    assert code.value() == kernels.SOURCE
    code.editor.undo()
    assert code.value() == "# x" + kernels.SOURCE


def test_a_value_that_comes_from_elsewhere(form: LabForm) -> None:
    form.merge_values({"kernel": "a = 1"})
    assert code_of(form).value() == "a = 1" and not code_of(form).document.modified
    form.merge_values({"kernel": "a = 1\n"})
    assert code_of(form).value() == "a = 1\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("kernel, line 13: no expp", 13),
        ("第 13 行：没有 expp", 13),
        ("SyntaxError (line 99)", 15),
        ("no kernel at all", None),
    ],
)
def test_an_error_shows_its_line(form: LabForm, text: str, line: int | None) -> None:
    code = code_of(form)
    assert form.show_error("kernel", text)
    assert [mark.line for mark in code.document.marks] == ([line] if line else [])
    if line:
        assert line in dict(code.editor.lines_in_sight())
        assert code.document.errors() == {line: [text]}
    form.show_error("kernel", "")
    assert not code.document.marks


def test_the_larger_window_has_the_same_text_and_undo(form: LabForm, qtbot: Any) -> None:
    code = code_of(form)
    qtbot.mouseClick(code.larger, Qt.MouseButton.LeftButton)
    window = code._window
    assert window is not None and window.isVisible() and window.windowTitle() == "Kernel"
    window.editor.setFocus()
    qtbot.keyClicks(window.editor, "# y")
    assert code.value().startswith("# y")
    code.editor.undo()
    assert window.editor.toPlainText() == kernels.SOURCE.removesuffix("\n")
    qtbot.keyClicks(window.editor, "# z")
    with qtbot.waitSignal(form.edited) as edited:
        qtbot.mouseClick(window.run_button, Qt.MouseButton.LeftButton)
    assert edited.args[0]["kernel"].startswith("# z")
    qtbot.keyClick(window.editor, Qt.Key.Key_F, CONTROL)
    assert window.find_bar.isVisible()
    qtbot.mouseClick(window.close_button, Qt.MouseButton.LeftButton)
    assert not window.isVisible()


def test_it_follows_the_theme(form: LabForm) -> None:
    code = code_of(form)
    light = code.grab().toImage()
    theme_switch.current = DARK
    code.restyle(DARK)
    assert code.grab().toImage() != light
