"""Notes on disk: found by file name alone, opened one at a time, with the other language as a fallback.

``content/notes/1.2.1/07-quantization-granularity.md`` is the Chinese note of question ``1.2.1-07``; its
English twin ends in ``.en.md``. Listing reads no file: starting with hundreds of notes costs milliseconds.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Language = Literal["zh", "en"]
OTHER: dict[Language, Language] = {"zh": "en", "en": "zh"}
FENCE = "---"
DIFFICULTIES = (1, 2, 3)
_FILE = re.compile(r"(?P<order>\d\d)-[a-z0-9][a-z0-9.-]*?(?P<twin>\.en)?\.md")
_FIELDS: dict[str, type] = {
    "id": str,
    "question": str,
    "difficulty": int,
    "labs": list,
    "related": list,
}
_REQUIRED = ("id", "question", "difficulty")


class NoteError(Exception):
    """A note that cannot be shown as written: which file, which line (0: the whole file), and why."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        where = f"{path.name}, line {line}" if line else path.name
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason


class FrontMatter(NamedTuple):
    """The head of a note. ``labs`` are lab ids, ``related`` question ids."""

    id: str
    question: str
    difficulty: int
    labs: tuple[str, ...] = ()
    related: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoteText:
    """One file of a note, read. ``wanted`` differs from ``language`` when the twin is missing."""

    note_id: str
    path: Path
    language: Language
    wanted: Language
    source: str

    @property
    def is_fallback(self) -> bool:
        return self.language != self.wanted

    @cached_property
    def body_line(self) -> int:
        """The line of the file, from 1, on which the body starts."""
        return self._split[0].count("\n") + 1

    @property
    def body(self) -> str:
        """The Markdown below the front matter; raises NoteError where that is not closed."""
        return self._split[1]

    @cached_property
    def front(self) -> FrontMatter:
        """The front matter, parsed when first asked for; raises NoteError with the line and the reason."""
        return _parse_front(self.path, self._split[0], self.note_id)

    @cached_property
    def _split(self) -> tuple[str, str]:
        if not self.source.startswith(FENCE + "\n"):
            raise NoteError(self.path, 1, f"a note starts with {FENCE!r} and its front matter")
        end = self.source.find(f"\n{FENCE}\n", len(FENCE))
        if end < 0:
            raise NoteError(self.path, 1, f"the front matter is not closed by a line {FENCE!r}")
        cut = end + len(FENCE) + 2
        return self.source[:cut], self.source[cut:]


class Note(NamedTuple):
    """A note's files, by language; at least one exists."""

    id: str
    files: Mapping[Language, str | Path]

    @property
    def paths(self) -> dict[Language, Path]:
        """Made when asked for: a start lists a thousand files and opens one."""
        return {language: Path(file) for language, file in self.files.items()}

    def read(self, language: Language) -> NoteText:
        """The note in ``language``, else in the other one; raises NoteError if the file cannot be read."""
        have = language if language in self.files else OTHER[language]
        path = Path(self.files[have])
        try:
            source = path.read_text(encoding="utf-8")
        except OSError as error:
            raise NoteError(path, 0, f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise NoteError(path, line, "is not UTF-8") from error
        return NoteText(self.id, path, have, language, source)


def find_notes(notes_dir: Path) -> dict[str, Note]:
    """Every note below ``notes_dir`` by question id, in the order of the ids. Reads names only."""
    found: dict[str, Note] = {}
    for section, folder, names in _markdown_files(notes_dir):
        files: dict[str, dict[Language, str | Path]] = {}
        for name in names:
            if match := _FILE.fullmatch(name):
                language: Language = "en" if match["twin"] else "zh"
                files.setdefault(match["order"], {})[language] = folder + name
        for order, by_language in files.items():
            note_id = f"{section}-{order}"
            found[note_id] = Note(note_id, by_language)
    return found


def stray_files(notes_dir: Path) -> list[Path]:
    """Markdown files not named ``NN-slug.md`` or ``NN-slug.en.md``: no question would ever show them."""
    return [
        Path(folder, name)
        for _section, folder, names in _markdown_files(notes_dir)
        for name in names
        if not _FILE.fullmatch(name)
    ]


def _markdown_files(notes_dir: Path) -> Iterator[tuple[str, str, list[str]]]:
    """(section, its folder with a separator at the end, names), sorted; a scan needs no stat per file."""
    if not notes_dir.is_dir():
        return
    with os.scandir(notes_dir) as sections:
        folders = sorted((entry.name for entry in sections if entry.is_dir()), key=_natural)
    for section in folders:
        with os.scandir(notes_dir / section) as files:
            names = sorted(entry.name for entry in files if entry.name.endswith(".md"))
        yield section, f"{notes_dir / section}{os.sep}", names


def _natural(section: str) -> list[tuple[int, int, str]]:
    """``1.10.1`` after ``1.2.1``; the appendix's letters after the numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in section.split(".")]


def _parse_front(path: Path, head: str, note_id: str) -> FrontMatter:
    # 20 ms, and a note that is not opened needs none of it.
    import yaml

    lines = head.splitlines()
    try:
        loaded = yaml.load("\n".join(lines[1:-1]), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise NoteError(path, line, f"the front matter is not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise NoteError(path, 1, f"the front matter is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise NoteError(path, 1, "the front matter is not a table of fields")
    values = {str(name): value for name, value in loaded.items()}
    reason = _front_problem(values, note_id)
    if reason:
        field, why = reason
        raise NoteError(path, _line_of(field, lines), why)
    lists = {name: tuple(values.get(name, ())) for name in ("labs", "related")}
    return FrontMatter(values["id"], values["question"], values["difficulty"], **lists)


def _front_problem(values: dict[str, Any], note_id: str) -> tuple[str, str] | None:
    """(field, reason) of the first thing wrong."""
    for name, value in values.items():
        if name not in _FIELDS:
            return name, f"unknown field {name!r}; known: {', '.join(_FIELDS)}"
        if not isinstance(value, _FIELDS[name]) or isinstance(value, bool):
            return name, f"{name} must be a {_FIELDS[name].__name__}, not {value!r}"
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            return name, f"{name} must list texts, not {value!r}"
    for name in _REQUIRED:
        if not values.get(name):
            return name, f"the field {name!r} is missing or empty"
    if values["difficulty"] not in DIFFICULTIES:
        allowed = "1 (recall), 2 (explain) or 3 (design)"
        return "difficulty", f"difficulty must be {allowed}, not {values['difficulty']}"
    if values["id"] != note_id:
        return "id", f"id {values['id']!r} differs from the file's place, which is {note_id!r}"
    return None


def _line_of(field: str, lines: list[str]) -> int:
    return next((number for number, line in enumerate(lines, 1) if line.startswith(f"{field}:")), 1)
