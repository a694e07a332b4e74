"""The run bar: what it says of a run, and that it says nothing of none."""

from __future__ import annotations

from typing import Any

from gui.lab.run_bar import RunBar


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
