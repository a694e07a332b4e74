"""The form that a schema makes, driven by mouse and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLineEdit,
    QMainWindow,
    QPlainTextEdit,
    QRadioButton,
    QSlider,
    QWidget,
)

from gui.lab.form.form import FIELDS_A_TURN, LabForm
from gui.lab.form.number_box import NumberBox
from gui.lab.form.slider import slider_values
from gui.language import language_switch
from tests.gui.lab import samples

if TYPE_CHECKING:
    from collections.abc import Callable


def fill(qtbot: Any, form: LabForm, schema: dict[str, Any]) -> None:
    with qtbot.waitSignal(form.filled):
        form.set_schema(schema)


@pytest.fixture
def form(qtbot: Any) -> LabForm:
    form = LabForm()
    qtbot.addWidget(form)
    fill(qtbot, form, samples.schema())
    form.resize(560, 600)
    form.show()
    qtbot.waitExposed(form)
    return form


def part(form: LabForm, name: str, kind: type[QWidget]) -> Any:
    field = form.field(name)
    assert field is not None
    return field.findChild(kind)


def edits(form: LabForm) -> list[tuple[dict[str, Any], bool]]:
    seen: list[tuple[dict[str, Any], bool]] = []
    form.edited.connect(lambda values, dragging: seen.append((values, dragging)))
    return seen


def test_a_long_form_is_made_in_turns_and_has_all_values_at_once(qtbot: Any) -> None:
    form = LabForm()
    qtbot.addWidget(form)
    form.show()
    names = [f"p{number}" for number in range(4 * FIELDS_A_TURN + 1)]
    bits = samples.schema()["properties"]["bits"]
    with qtbot.waitSignal(form.filled):
        form.set_schema({"properties": dict.fromkeys(names, bits)})
        form.set_values({names[-1]: 3})
        assert [name for name in names if form.field(name).made] == names[:FIELDS_A_TURN]
        assert form.values() == dict.fromkeys(names, bits["default"]) | {names[-1]: 3}
    assert all(form.field(name).isVisible() for name in names)
    assert form.field(names[-1]).editor.value() == 3


def test_another_lab_stops_the_making_of_a_form(qtbot: Any) -> None:
    form = LabForm()
    qtbot.addWidget(form)
    bits = samples.schema()["properties"]["bits"]
    form.set_schema({"properties": {f"p{number}": bits for number in range(3 * FIELDS_A_TURN)}})
    fill(qtbot, form, {"properties": {"other": bits}})
    qtbot.wait(20)
    assert list(form.values()) == ["other"] and form.field("other").made


def test_each_kind_of_parameter_gets_its_editor(form: LabForm) -> None:
    assert part(form, "bits", QSlider).maximum() == 6
    assert len(form.field("granularity").findChildren(QRadioButton)) == 3
    assert part(form, "group_size", QSlider).maximum() == 4
    assert part(form, "module", QComboBox).count() == 5
    assert part(form, "value", QSlider) is None
    assert part(form, "perplexity", QCheckBox).isChecked()
    assert part(form, "note", QLineEdit).text() == "hello"


def test_a_text_of_several_lines_is_told_when_one_leaves_it(qtbot: Any, form: LabForm) -> None:
    schema = samples.schema()
    schema["properties"]["note"]["x-inferlab"]["lines"] = 3
    fill(qtbot, form, schema)
    seen, text = edits(form), part(form, "note", QPlainTextEdit)
    assert text.toPlainText() == "hello" and form.field("note").property("shape") == "wide"
    text.setFocus()
    qtbot.keyClicks(text, "one")
    qtbot.keyClick(text, Qt.Key.Key_Return)
    qtbot.keyClicks(text, "two ")
    assert seen == [], "a keystroke is no run"
    qtbot.keyClick(text, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert [(values["note"], dragging) for values, dragging in seen] == [("one\ntwo hello", False)]
    qtbot.keyClick(text, Qt.Key.Key_Tab)
    assert not text.hasFocus() and len(seen) == 1, "left unchanged"
    form.reset()
    assert text.toPlainText() == "hello"


def test_values_start_at_the_defaults(form: LabForm) -> None:
    defaults = {name: prop["default"] for name, prop in samples.schema()["properties"].items()}
    assert form.values() == defaults
    assert form.changed_values() == {}


def test_dragging_previews_and_release_is_exact(qtbot: Any, form: LabForm) -> None:
    seen, slider = edits(form), part(form, "bits", QSlider)
    slider.setSliderDown(True)
    slider.setValue(0)
    slider.setValue(1)
    assert [(values["bits"], dragging) for values, dragging in seen] == [(2, True), (3, True)]
    slider.setSliderDown(False)
    assert (seen[-1][0]["bits"], seen[-1][1]) == (3, False)
    assert len(seen) == 3


def test_a_field_not_worth_a_preview_speaks_on_release_only(form: LabForm) -> None:
    seen, slider = edits(form), part(form, "layer", QSlider)
    slider.setSliderDown(True)
    slider.setValue(3)
    assert seen == []
    slider.setSliderDown(False)
    assert [(values["layer"], dragging) for values, dragging in seen] == [(3, False)]


def test_keys_preview_and_a_pause_is_exact(qtbot: Any, form: LabForm) -> None:
    seen, slider = edits(form), part(form, "bits", QSlider)
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    assert [dragging for _, dragging in seen] == [True]
    qtbot.keyClick(slider, Qt.Key.Key_Left)
    with qtbot.waitSignal(form.edited) as settled:
        pass
    assert settled.args[0]["bits"] == 2
    assert settled.args[1] is False


def test_typing_a_number_and_return_is_exact(qtbot: Any, form: LabForm) -> None:
    box = part(form, "value", QLineEdit)
    box.selectAll()
    qtbot.keyClicks(box, "1e-40")
    with qtbot.waitSignal(form.edited) as settled:
        qtbot.keyClick(box, Qt.Key.Key_Return)
    assert settled.args[0]["value"] == 1e-40
    assert settled.args[1] is False


@pytest.mark.parametrize(
    ("typed", "number"),
    [("70,000", 70000.0), ("1\u2009234\u2009567.5", 1234567.5), ("−0.5", -0.5), ("1e-45", 1e-45)]
    + [(text, None) for text in ("0,1", "1,5", "1,23,456", "0x10", "inf")],
)
def test_a_comma_groups_digits_and_is_never_taken_for_a_point(
    qtbot: Any, typed: str, number: float | None
) -> None:
    box = NumberBox(integer=False)
    qtbot.addWidget(box)
    box.show_number(3.0)
    box.setFocus()
    box.selectAll()
    reasons: list[str] = []
    box.refused.connect(reasons.append)
    box.insert(typed)
    box.textEdited.emit(typed)
    assert box.number() == (3.0 if number is None else number)
    assert bool(reasons[-1]) == (number is None)


@pytest.mark.parametrize(("typed", "said"), [("12", "2 to 8"), ("3.5", "nearest 4"), ("x", "not a number")])
def test_a_bad_number_is_refused_beside_the_field(qtbot: Any, form: LabForm, typed: str, said: str) -> None:
    seen, box = edits(form), part(form, "bits", QLineEdit)
    box.selectAll()
    qtbot.keyClicks(box, typed)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    errors = [
        label for label in form.field("bits").findChildren(QWidget) if label.property("role") == "error"
    ]
    assert said in errors[0].text()
    assert errors[0].isVisible()
    assert all(values["bits"] != 12 for values, _ in seen)
    qtbot.keyClick(box, Qt.Key.Key_Escape)
    assert box.text() == str(form.values()["bits"])
    assert not errors[0].isVisible()


def test_arrows_step_a_free_number_in_its_second_digit(qtbot: Any, form: LabForm) -> None:
    box = part(form, "value", QLineEdit)
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert form.values()["value"] == pytest.approx(0.11)


def test_when_hides_and_shows(qtbot: Any, form: LabForm) -> None:
    assert form.field("group_size").isVisible()
    tensor = form.field("granularity").findChildren(QRadioButton)[0]
    qtbot.mouseClick(tensor, Qt.MouseButton.LeftButton)
    assert form.values()["granularity"] == "tensor"
    assert not form.field("group_size").isVisible()
    assert form.values()["group_size"] == 128


def test_a_field_out_of_sight_is_made_when_it_is_wanted_and_has_its_value(qtbot: Any) -> None:
    form = LabForm()
    qtbot.addWidget(form)
    schema = samples.description()["schema"]
    schema["properties"]["granularity"]["default"] = "tensor"
    fill(qtbot, form, schema)
    form.show()
    hidden = form.field("group_size")
    assert not hidden.made and form.values()["group_size"] == 128
    form.set_values({"group_size": 64})
    assert not hidden.made and form.changed_values() == {"group_size": 64}
    form.merge_values({"granularity": "group"})
    assert hidden.made and hidden.isVisible() and hidden.editor.value() == form.values()["group_size"] == 64
    form.field("granularity").editor.setFocus()
    for _ in range(6):
        qtbot.keyClick(form.focusWidget(), Qt.Key.Key_Tab)
        if hidden.isAncestorOf(form.focusWidget()):
            break
    assert hidden.isAncestorOf(form.focusWidget())
    following = list(form.values())[list(form.values()).index("group_size") + 1]
    for _ in range(3):
        qtbot.keyClick(form.focusWidget(), Qt.Key.Key_Tab)
        if not hidden.isAncestorOf(form.focusWidget()):
            break
    assert form.field(following).isAncestorOf(form.focusWidget())


def test_choices_and_switches_are_exact_at_once(qtbot: Any, form: LabForm) -> None:
    seen = edits(form)
    part(form, "module", QComboBox).setCurrentIndex(0)
    qtbot.mouseClick(part(form, "perplexity", QCheckBox), Qt.MouseButton.LeftButton, pos=QPoint(6, 8))
    assert [dragging for _, dragging in seen] == [False, False]
    assert form.changed_values() == {"module": "q_proj", "perplexity": False}


def test_set_values_tells_nobody_and_reset_does(qtbot: Any, form: LabForm) -> None:
    seen = edits(form)
    form.set_values({"bits": 2, "note": "x"})
    assert form.changed_values() == {"bits": 2, "note": "x"}
    assert seen == []
    form.reset()
    assert form.changed_values() == {}
    assert [dragging for _, dragging in seen] == [False]


def test_a_changed_field_is_marked_and_has_a_way_back(qtbot: Any, form: LabForm) -> None:
    form.set_values({"bits": 2})
    field = form.field("bits")
    assert field.modified
    with qtbot.waitSignal(form.edited):
        field.reset()
    assert form.changed_values() == {}


def test_labels_and_choices_follow_the_language(qtbot: Any, form: LabForm) -> None:
    assert form.field("granularity").findChildren(QRadioButton)[1].text() == "channel"
    language_switch.apply("zh")
    form.retranslate()
    assert form.field("bits").label() == "位宽"
    assert form.field("granularity").findChildren(QRadioButton)[1].text() == "逐通道"
    assert part(form, "bits", QSlider).accessibleName() == "位宽"
    assert part(form, "bits", QSlider).accessibleDescription() == "位宽的说明。"


def test_the_keyboard_reaches_every_field_in_order(qtbot: Any, form: LabForm) -> None:
    reached: list[str] = []
    form.field("bits").editor.setFocus()
    for _ in range(40):
        at = form.focusWidget()
        owner = next(name for name in form.values() if form.field(name).isAncestorOf(at))
        if owner not in reached:
            reached.append(owner)
        qtbot.keyClick(at, Qt.Key.Key_Tab)
    assert reached == list(form.values())


def test_a_form_that_goes_takes_nothing_of_its_window_with_it(qtbot: Any) -> None:
    window, form = QMainWindow(), LabForm()
    qtbot.addWidget(window)
    menu = window.menuBar().addMenu("File")  # made by Qt: PySide takes it for alive as long as its parents
    window.setCentralWidget(form)
    schema = samples.description()["schema"]
    schema["properties"]["granularity"]["default"] = "tensor"
    fill(qtbot, form, schema)
    window.show()
    form.merge_values({"granularity": "group"})  # makes a field late, which orders the keyboard's way
    gone: list[bool] = []
    form.field("bits").destroyed.connect(lambda: gone.append(True))
    form.set_schema({})
    qtbot.waitUntil(lambda: bool(gone))
    assert menu.title() == "File"


@pytest.mark.parametrize(
    ("made", "some"),
    [
        (lambda: slider_values(16, 256, integer=True, scale="log2"), [16, 32, 64, 128, 256]),
        (lambda: slider_values(2, 8, integer=True), [2, 3, 4, 5, 6, 7, 8]),
        (lambda: slider_values(99.0, 99.3, integer=False, step=0.1), [99.0, 99.1, 99.2, 99.3]),
        (lambda: slider_values(0, 10, integer=True, step=4), [0, 4, 8, 10]),
        (lambda: slider_values(5, 5, integer=True), [5]),
        (lambda: slider_values(1, 9, integer=True, scale="log"), [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_slider_stops(made: Callable[[], list[float]], some: list[float]) -> None:
    assert made() == some


def test_a_logarithmic_slider_spends_half_its_way_on_each_half_of_the_decades() -> None:
    values = slider_values(1e-6, 1.0, integer=False, scale="log")
    assert values[0] == 1e-6
    assert values[-1] == 1.0
    assert values[len(values) // 2] == pytest.approx(1e-3, rel=0.05)
