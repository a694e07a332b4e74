"""Every note of the repository fulfils what notes promise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gui.library.notes import Language, Note, find_notes, stray_files
from gui.library.outline_files import load_outline
from labs.registry import Catalog, load_catalog
from tests.content import note_checks

if TYPE_CHECKING:
    from gui.library.outline import Outline

ROOT = Path(__file__).resolve().parents[2]
CONTENT, FIGURES = ROOT / "content", ROOT / "resources" / "figures"
NOTES = find_notes(CONTENT / "notes")
VERSIONS = [(note, language) for note in NOTES.values() for language in note.paths]
each_version = pytest.mark.parametrize(
    ("note", "language"), VERSIONS, ids=[f"{note.id}.{language}" for note, language in VERSIONS]
)


@pytest.fixture(scope="module")
def outline() -> Outline:
    return load_outline(CONTENT)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def test_there_are_notes() -> None:
    assert len(NOTES) >= 9


def test_every_file_is_a_note() -> None:
    assert stray_files(CONTENT / "notes") == []


@pytest.mark.parametrize("note", NOTES.values(), ids=list(NOTES))
def test_twins_agree(note: Note) -> None:
    assert note_checks.twin_problems(note) == []


@each_version
def test_front_matter(note: Note, language: Language, outline: Outline, catalog: Catalog) -> None:
    text = note.read(language)
    assert note_checks.front_problems(text, outline) == []
    assert [lab for lab in text.front.labs if lab not in catalog.labs] == []


@each_version
def test_sections(note: Note, language: Language) -> None:
    text = note.read(language)
    front = text.front
    assert note_checks.section_problems(text.body, language, front.difficulty, bool(front.labs)) == []


@each_version
def test_formulas(note: Note, language: Language) -> None:
    assert note_checks.formula_problems(note.read(language).body) == []


@each_version
def test_worked_numbers(note: Note, language: Language) -> None:
    assert note_checks.doctest_problems(note.read(language).body, f"{note.id}.{language}") == []


@each_version
def test_links(note: Note, language: Language, outline: Outline, catalog: Catalog) -> None:
    assert note_checks.link_problems(note.read(language).body, catalog, outline) == []


@each_version
def test_figures(note: Note, language: Language) -> None:
    assert note_checks.figure_problems(note.read(language).body, language, CONTENT, FIGURES) == []


@each_version
def test_footnotes(note: Note, language: Language) -> None:
    assert note_checks.footnote_problems(note.read(language).body) == []
