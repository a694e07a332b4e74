"""Finding and opening notes: names, front matter, the other language, and what is said of a broken file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gui.library.notes import Note, NoteError, find_notes, stray_files

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """---
id: 1.2.1-07
question: 问？
difficulty: 2
labs: [model/number_formats]
related: [1.2.1-05]
---

## 标准答案
"""


def write(folder: Path, section: str, name: str, source: str = GOOD) -> Path:
    path = folder / section / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    return path


def error_of(path: Path) -> NoteError:
    with pytest.raises(NoteError) as caught:
        _ = Note("1.2.1-07", {"zh": path}).read("zh").front
    return caught.value


def test_notes_are_found_by_name_in_natural_order(tmp_path: Path) -> None:
    for section, name in (
        ("1.10.1", "01-a.md"),
        ("1.2.1", "07-b.en.md"),
        ("1.2.1", "07-b.md"),
        ("A", "01-c.md"),
    ):
        write(tmp_path, section, name, "unread")
    notes = find_notes(tmp_path)
    assert list(notes) == ["1.2.1-07", "1.10.1-01", "A-01"]
    assert set(notes["1.2.1-07"].paths) == {"zh", "en"}
    assert set(notes["A-01"].paths) == {"zh"}


def test_a_folder_that_is_missing_has_no_notes(tmp_path: Path) -> None:
    assert find_notes(tmp_path / "none") == {}


def test_stray_files_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path, "1.2.1", "07-b.md")
    stray = write(tmp_path, "1.2.1", "7-b.md")
    assert stray_files(tmp_path) == [stray]
    assert list(find_notes(tmp_path)) == ["1.2.1-07"]


def test_a_note_is_read(tmp_path: Path) -> None:
    text = Note("1.2.1-07", {"zh": write(tmp_path, "1.2.1", "07-b.md")}).read("zh")
    assert text.front.question == "问？"
    assert text.front.labs == ("model/number_formats",)
    assert text.body == "\n## 标准答案\n"
    assert GOOD.splitlines()[text.body_line - 1] == ""
    assert not text.is_fallback


def test_the_other_language_stands_in(tmp_path: Path) -> None:
    text = Note("1.2.1-07", {"zh": write(tmp_path, "1.2.1", "07-b.md")}).read("en")
    assert (text.language, text.wanted, text.is_fallback) == ("zh", "en", True)


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("---\nid", "id", 1, "starts with"),
        ("\n---\n\n", "\n\n", 1, "not closed"),
        ("difficulty: 2", "difficulty: [2", 5, "not YAML"),
        ("difficulty: 2", "difficulty: 4", 4, "not 4"),
        ("difficulty: 2", "difficulty: two", 4, "must be a int"),
        ("difficulty: 2", "difficulty: true", 4, "must be a int"),
        ("difficulty: 2\n", "", 1, "'difficulty' is missing"),
        ("question: 问？", "question: ''", 3, "'question' is missing or empty"),
        ("id: 1.2.1-07", "id: 1.2.1-08", 2, "differs from the file's place"),
        ("labs: [", "lab: [", 5, "unknown field 'lab'"),
        ("labs: [model/number_formats]", "labs: [1]", 5, "must list texts"),
        ("labs: [model/number_formats]", "labs: model/number_formats", 5, "must be a list"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    error = error_of(write(tmp_path, "1.2.1", "07-b.md", GOOD.replace(old, new, 1)))
    assert reason in error.reason
    assert error.line == line
    assert str(error).startswith("07-b.md, line")


def test_an_unreadable_file_is_an_error_with_its_reason(tmp_path: Path) -> None:
    path = write(tmp_path, "1.2.1", "07-b.md")
    path.write_bytes(GOOD.encode() + b"\n\xff\xfe")
    assert "UTF-8" in error_of(path).reason
    path.unlink()
    assert "No such file" in error_of(path).reason
