"""The sample note, which has every element, and a view of it in the light theme and Chinese."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gui.language import language_switch
from gui.library.notes import Note, find_notes
from gui.reading.formula import FormulaStore
from gui.reading.note_view import NotePage, NoteView
from gui.theme import LIGHT, theme_switch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytestqt.qtbot import QtBot

SAMPLES = Path(__file__).parent / "samples"
TITLES = {
    "1.2.1-05": ("五？", "Five?"),
    "1.2.1-06": ("六？", "Six?"),
    "1.2.1-07": ("七？", "Seven?"),
    "1.2.1-08": ("八？", "Eight?"),
    "1.2.2-04": ("四？", "Four?"),
}


@pytest.fixture
def sample() -> Note:
    return find_notes(SAMPLES / "notes")["1.2.1-07"]


@pytest.fixture(scope="session")
def formulas(tmp_path_factory: pytest.TempPathFactory) -> FormulaStore:
    return FormulaStore(tmp_path_factory.mktemp("formulas"))


@pytest.fixture
def page(sample: Note) -> NotePage:
    return NotePage(
        id="1.2.1-07",
        title_zh="七？",
        title_en="Seven?",
        breadcrumb=[("1", "模型层", "Model layer"), ("1.2.1", "量化基础", "Foundations")],
        note=sample,
        section_notes=[("1.2.1-05", "五？", "Five?")],
        labs=[("model/quantization_granularity", "量化粒度", "Granularity")],
        titles=TITLES,
    )


@pytest.fixture
def switches() -> Iterator[None]:
    """The switches as they were, whatever a test does to them."""
    theme, language = theme_switch.current, language_switch.current
    theme_switch.apply(LIGHT)
    language_switch.apply("zh")
    yield
    theme_switch.apply(theme)
    language_switch.apply(language)


@pytest.fixture
def opened() -> list[str]:
    """The web addresses that the view opened."""
    return []


@pytest.fixture
def view(qtbot: QtBot, tmp_path: Path, page: NotePage, opened: list[str], switches: None) -> NoteView:
    view = NoteView(SAMPLES, SAMPLES / "figures", tmp_path / "cache", open_url=opened.append)
    qtbot.addWidget(view)
    view.resize(900, 700)
    view.show()
    view.show_page(page)
    qtbot.waitExposed(view)
    return view
