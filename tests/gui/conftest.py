"""Windows for tests: the real content, the user's data in a folder of the test's own."""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING

import pytest

from gui.app import Options, make_window
from gui.garbage import collect_due
from gui.language import language_switch
from gui.theme import LIGHT, theme_switch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytestqt.qtbot import QtBot

    from gui.window import MainWindow

HANGS_MS = 30_000


@pytest.fixture(scope="package", autouse=True)
def _garbage_of_the_gui_thread() -> Iterator[None]:
    """As in the application: no other thread may destroy Qt objects."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    yield
    collect_due()


@pytest.fixture
def qtbot(qtbot: QtBot) -> QtBot:
    """Waits longer than pytest-qt's 5 s, which a machine with other work may take: a time says that something
    hangs, and nothing else."""
    for wait in ("waitSignal", "waitSignals", "waitUntil", "waitCallback"):
        setattr(qtbot, wait, partial(getattr(qtbot, wait), timeout=HANGS_MS))
    return qtbot


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path) -> Iterator[MainWindow]:
    """The main window, shown, English and light, with a worker that has described its labs."""
    made, database = make_window(Options(data=tmp_path, theme="light", language="en"))
    with qtbot.waitSignal(made.client.labs):
        made.resize(1280, 800)
        made.show()
    yield made
    made.close()
    made.deleteLater()
    database.close()
    theme_switch.apply(LIGHT)
    language_switch.apply("en")
