"""Full-text search over outline titles and notes, as one types, in Chinese and English at once.

SQLite's own tokenizers do not find Chinese words, so Chinese is indexed as overlapping pairs of characters:
量化粒度 as 量化 化粒 粒度 度, the last one alone, so that each single one is found as a prefix. A page is an
outline node (or a note that the outline does not have), with its titles and notes in both languages.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from gui.library import compounds, matching
from gui.library.backups import passes_check
from gui.library.outline_filter import filter_outline, folded_title
from gui.library.plain_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator
    from pathlib import Path

    from gui.library.matching import Range, Run
    from gui.library.outline import Outline

__all__ = ["Hit", "IndexedNote", "SearchIndex", "content_fingerprint", "filter_outline", "plain_text"]

# Raise it whenever what is stored, or how it is folded, changes.
FORMAT = 2
_COLUMNS = "title_zh, title_en, body_zh, body_en"
_SCHEMA = (
    # A cache: whatever breaks off while it is written is written again.
    "pragma journal_mode = off",
    "pragma synchronous = off",
    "begin",
    "create table about (format integer, fingerprint text)",
    f"create table pages (page integer primary key, id text, {_COLUMNS}, folded_zh, folded_en)",
    f"""create virtual table words using fts5 (
        {_COLUMNS}, content = '', prefix = '1 2 3', tokenize = 'unicode61 remove_diacritics 0'
    )""",
)
_SEARCH = """
    select page, id, title_zh, title_en, score
    from pages join (
        select rowid, bm25(words, ?, ?, ?, ?) as score
        from words where words match ? order by score, rowid limit ?
    ) as found on page = found.rowid
    order by score, page"""
# One language at a time: most pages show why they were found in the reader's own.
_BODY_OF = {
    language: f"select body_{language}, folded_{language} from pages where page = ?"
    for language in ("zh", "en")
}
# How much a word counts in: the title, the body, in the user's language and in the other.
_TITLE, _OTHER_TITLE, _BODY, _OTHER_BODY = 12.0, 4.0, 1.0, 0.5
# A Chinese character says about as much as three letters and is twice as wide.
_SNIPPET_LENGTH = {"zh": 80, "en": 160}


class IndexedNote(NamedTuple):
    """A note as it is indexed; ``body_plain`` is what ``plain_text`` made of its Markdown."""

    id: str
    language: str
    title: str
    body_plain: str


_Row = tuple[int, str, str, str, float]


@dataclass(frozen=True)
class Hit:
    """One page found. Ranges are (start, end) in characters of the text beside them; a low score is good.

    Its snippet is cut when it is first asked for: a reader sees a third of the hits, typing waits for all.
    """

    id: str
    title: str
    title_ranges: list[Range]
    score: float
    cut: Callable[[], tuple[str, list[Range]]] = field(repr=False, compare=False)

    @cached_property
    def _excerpt(self) -> tuple[str, list[Range]]:
        return self.cut()

    @property
    def snippet(self) -> str:
        return self._excerpt[0]

    @property
    def snippet_ranges(self) -> list[Range]:
        return self._excerpt[1]


class SearchIndex:
    """In memory or in a cache file. Any thread may build, open or search it; one at a time gets in."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def build(
        cls, outline: Outline, notes: Iterable[IndexedNote], path: Path | None = None, fingerprint: str = ""
    ) -> SearchIndex:
        """Index everything, in memory or in a file at ``path`` that ``open`` knows by its ``fingerprint``.

        Raises OSError or sqlite3.Error where the file cannot be written.
        """
        if path is None:
            return cls(_written(":memory:", outline, notes, fingerprint))
        path.parent.mkdir(parents=True, exist_ok=True)
        building = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            _written(str(building), outline, notes, fingerprint).close()
            building.replace(path)
        finally:
            building.unlink(missing_ok=True)
        return cls(sqlite3.connect(path, check_same_thread=False))

    @classmethod
    def open(cls, path: Path, fingerprint: str) -> SearchIndex | None:
        """The index in the file, or None where there is none, or one of other content, or a damaged one."""
        if not path.exists():
            return None
        connection = sqlite3.connect(path, check_same_thread=False)
        try:
            about = connection.execute("select format, fingerprint from about").fetchone()
            if about == (FORMAT, fingerprint) and passes_check(connection):
                return cls(connection)
        except sqlite3.DatabaseError:
            pass
        connection.close()
        return None

    def search(self, query: str, language: str, limit: int = 50) -> list[Hit]:
        """Pages with every word of the query, best first. Takes any text; one without words finds nothing."""
        wanted = matching.terms(query)
        if not wanted:
            return []
        weights = (_TITLE, _OTHER_TITLE, _BODY, _OTHER_BODY)
        if language == "en":
            weights = (_OTHER_TITLE, _TITLE, _OTHER_BODY, _BODY)
        in_one = compounds.in_one(wanted)
        with self._lock:
            rows = self._connection.execute(_SEARCH, (*weights, _match(wanted, in_one), limit)).fetchall()
        return [self._hit(row, wanted, in_one, language) for row in rows]

    def _hit(self, row: _Row, wanted: list[str], in_one: list[str], language: str) -> Hit:
        page, page_id, *titles, score = row
        title = titles[language == "en"]
        title_ranges = matching.ranges(folded_title(title), wanted, in_one)

        def side(of: str) -> _Side:
            with self._lock:
                body, folded = self._connection.execute(_BODY_OF[of], (page,)).fetchone()
            return _Side(titles[of == "en"], body, folded, _SNIPPET_LENGTH[of])

        def cut() -> tuple[str, list[Range]]:
            return _snippet(side, wanted, in_one, language, bool(title_ranges))

        return Hit(page_id, title, title_ranges, score, cut)

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()


def content_fingerprint(content_dir: Path) -> str:
    """Changes when the outline, its titles or any note is added, removed, renamed or written."""
    digest = hashlib.sha256()
    files = [
        content_dir / "outline.md",
        content_dir / "outline.en.toml",
        *sorted((content_dir / "notes").rglob("*.md")),
    ]
    for file in files:
        with contextlib.suppress(OSError):
            stat = file.stat()
            digest.update(f"{file.relative_to(content_dir)}\0{stat.st_mtime_ns}\0{stat.st_size}\0".encode())
    return digest.hexdigest()


def _written(
    database: str, outline: Outline, notes: Iterable[IndexedNote], fingerprint: str
) -> sqlite3.Connection:
    connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
    try:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("insert into about values (?, ?)", (FORMAT, fingerprint))
        pages = list(_pages(outline, notes))
        cut = [[matching.runs(text) for text in page[1:]] for page in pages]
        known = compounds.vocabulary(runs for page_runs in cut for runs in page_runs)
        for rowid, (page, page_runs) in enumerate(zip(pages, cut, strict=True), 1):
            folded = (matching.fold(body) for body in page[3:])
            connection.execute("insert into pages values (?, ?, ?, ?, ?, ?, ?, ?)", (rowid, *page, *folded))
            tokens = (_tokens(runs, known) for runs in page_runs)
            connection.execute(
                f"insert into words (rowid, {_COLUMNS}) values (?, ?, ?, ?, ?)", (rowid, *tokens)
            )
        # Merge the segments that the insertions left behind: a search then reads one.
        connection.execute("insert into words (words) values ('optimize')")
        connection.execute("commit")
    except BaseException:
        connection.close()
        raise
    return connection


def _pages(outline: Outline, notes: Iterable[IndexedNote]) -> Iterator[tuple[str, str, str, str, str]]:
    """``(id, title_zh, title_en, body_zh, body_en)``, in the order of the outline, other notes last."""
    found = {(note.id, note.language): note for note in notes}
    for node_id in dict.fromkeys((*outline.nodes, *(note_id for note_id, _ in found))):
        node = outline.nodes.get(node_id)
        zh, en = found.get((node_id, "zh")), found.get((node_id, "en"))
        title_zh = node.title_zh if node else zh.title if zh else ""
        title_en = node.title_en if node else en.title if en else ""
        yield (
            node_id,
            title_zh or title_en,
            title_en or title_zh,
            zh.body_plain if zh else "",
            en.body_plain if en else "",
        )


def _tokens(runs: list[Run], known: Container[str]) -> str:
    """The text as the tokenizer is to see it: words, in one too where they may be, pairs of Chinese
    characters."""
    tokens: list[str] = []
    for run in runs:
        if run.chinese:
            tokens.extend(run.text[place : place + 2] for place in range(len(run.text)))
        else:
            tokens.append(run.text)
    return " ".join([*tokens, *compounds.hyphenated(runs), *compounds.spaced(runs, known)])


def _match(wanted: list[str], in_one: list[str]) -> str:
    """The query in FTS5's language. Terms hold letters and digits only, so no quoting can be broken."""
    phrases = []
    # What is found by the first of two in one is found by its own beginning.
    for term, one in zip(wanted, ["", *in_one], strict=True):
        if matching.is_chinese(term) and len(term) > 1:
            phrases.append(f'"{" ".join(term[place : place + 2] for place in range(len(term) - 1))}"')
        else:
            phrases.append(f'("{term}" * OR "{one}" *)' if one else f'"{term}" *')
    return " AND ".join(phrases)


class _Side(NamedTuple):
    """A page in one language."""

    title: str
    body: str
    folded: str
    length: int


def _snippet(
    side_of: Callable[[str], _Side],
    wanted: list[str],
    in_one: list[str],
    language: str,
    found_in_title: bool,
) -> tuple[str, list[Range]]:
    """Why the page was found, rather in the user's language; else how it begins."""
    shown = side_of(language)
    if not (found := matching.ranges(shown.folded, wanted, in_one)):
        other = side_of("zh" if language == "en" else "en")
        sides = [other]
        if not found_in_title:
            sides.append(other._replace(body=other.title, folded=folded_title(other.title)))
        for side in sides:
            if found := matching.ranges(side.folded, wanted, in_one):
                shown = side
                break
        else:
            shown = shown if shown.body else other
    return matching.snippet(shown.body, shown.folded, found, shown.length)
