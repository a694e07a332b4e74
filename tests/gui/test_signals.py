"""PySide6 6.12.0 on Python 3.11 lost references to None and True and aborted after thousands of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


class Source(QObject):
    fired = Signal(object, bool)


def test_fifty_thousand_signals(qtbot: QtBot) -> None:
    source = Source()
    seen = [0]

    def count(value: object, flag: bool) -> None:
        seen[0] += value is None and flag

    source.fired.connect(count)
    for _ in range(50_000):
        source.fired.emit(None, True)
    assert seen == [50_000]
