"""The search index of this content: opened from the cache where it is current, else written there."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from gui.library.notes import NoteError
from gui.library.search import IndexedNote, SearchIndex, content_fingerprint, plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gui.library.notes import Note
    from gui.library.outline import Outline


def open_index(content: Path, cache: Path, outline: Outline, notes: Mapping[str, Note]) -> SearchIndex:
    """The index of ``content``; in memory where the cache cannot be written."""
    path = cache / "search.sqlite"
    fingerprint = content_fingerprint(content)
    try:
        return SearchIndex.open(path, fingerprint) or SearchIndex.build(
            outline, _indexed(notes), path, fingerprint
        )
    except (OSError, sqlite3.Error):
        return SearchIndex.build(outline, _indexed(notes))


def _indexed(notes: Mapping[str, Note]) -> Iterator[IndexedNote]:
    """Every note in every language it has; one that cannot be read says so when it is opened."""
    for note in notes.values():
        for language in note.files:
            try:
                text = note.read(language)
                yield IndexedNote(note.id, language, "", plain_text(text.body))
            except NoteError:
                continue
