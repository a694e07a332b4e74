"""The run bar: what it says of a run, and that it says nothing of none."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtWidgets import QWidget

from gui.lab.run_bar import RunBar
from gui.language import language_switch
from gui.style_sheet import style_sheet
from gui.theme import LIGHT


def test_stopping_is_said_of_a_run_alone(qtbot: Any) -> None:
    bar = RunBar()
    qtbot.addWidget(bar)
    bar.show_ended("done", 1.0)
    bar.show_stopping()
    assert bar.status == "Done in 1.00 s"
    bar.show_running()
    bar.show_stopping()
    assert bar.status.startswith("Stopping…")
    assert not bar.stop_button.isEnabled()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_run_and_stop_are_whole_in_the_narrowest_panel(qtbot: Any, language: Any) -> None:
    language_switch.apply(language)
    panel = QWidget()
    qtbot.addWidget(panel)
    panel.setStyleSheet(style_sheet(LIGHT))
    bar = RunBar()
    bar.setParent(panel)
    panel.show()
    bar.resize(380, 48)  # in a parent: as a window it would take what it asks for
    bar.show_ended("done", 13.5)
    for button in (bar.run_button, bar.stop_button, bar.reset_button, bar.export_button):
        assert button.width() >= button.sizeHint().width()
    assert bar.width() == 380
