"""CONTRIBUTING.md is followed to the letter: its lab is run, its note is written and checked."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gui.library.notes import Language, Note, NoteError, find_notes, stray_files
from gui.library.outline_files import load_outline
from labs.context import Context
from labs.registry import load_catalog
from labs.results import Metric, Provenance
from labs.runner import execute
from tests.content import note_checks

if TYPE_CHECKING:
    from gui.library.outline import Outline
    from labs.registry import Catalog

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NOTE_RECIPE = GUIDE.split("\n## Add a note\n")[1].split("\n## ")[0]


def test_the_lab_of_the_guide_works_as_written(tmp_path: Path) -> None:
    place = re.search(r"`labs/catalog/(hardware/\w+)\.py`:", GUIDE)
    source = re.search(r"```python\n(.*?)```", GUIDE, re.S)
    assert place and source
    file = tmp_path / f"{place[1]}.py"
    file.parent.mkdir()
    file.write_text(source[1], encoding="utf-8")
    catalog = load_catalog(tmp_path)
    assert not catalog.broken
    lab = catalog.find(place[1])
    results = {result.id: result for result in execute(lab, lab.smoke, Context())}
    traffic = results["traffic"]
    assert isinstance(traffic, Metric)
    assert traffic.provenance is Provenance.MEASURED
    assert traffic.value == traffic.predicted == 2 * 2 * 2**20
    assert results["bandwidth"].unit == "B/s"


@pytest.fixture(scope="module")
def outline() -> Outline:
    return load_outline(ROOT / "content")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def paths() -> tuple[str, str]:
    """The two files of step 2, below the repository."""
    chinese = re.search(r"`(content/notes/\S+/)(\S+\.md)`", NOTE_RECIPE)
    english = re.search(r"`([^/`]+\.en\.md)`", NOTE_RECIPE)
    assert chinese and english
    return chinese[1] + chinese[2], chinese[1] + english[1]


def limits() -> tuple[int, int, int]:
    """Most characters and words of an answer, and fewest characters of a note, as step 3 gives them."""
    answer = re.search(r"at most (\d+) Chinese characters or (\d+) English words", NOTE_RECIPE)
    whole = re.search(r"(\d+) to [\d,]+ Chinese characters in all", NOTE_RECIPE)
    assert answer and whole
    return int(answer[1]), int(answer[2]), int(whole[1])


def section_titles(left_out: str) -> list[tuple[str, str]]:
    """The sections of step 3 in both languages, without one of the two that it leaves to choose from."""
    step = re.search(r"^3\. .*$", NOTE_RECIPE, re.M)
    assert step
    titles = re.findall(r"([\u3400-\u9fff]+) / ([A-Z][A-Za-z -]*?)(?= \(|,|\.| or )", step[0])
    return [(zh, en) for zh, en in titles if en != left_out]


def texts(lab: str) -> dict[str, tuple[str, str]]:
    """What each section holds, by its English title; the answer and the note are as long as allowed."""
    characters, words, fewest = limits()
    worked = "```pycon\n>>> from labs.formulas.memory import weight_bytes\n>>> weight_bytes(8, 4)\n4.0\n```"
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |"
    return {
        "Answer": ("答" * characters, "word " * words),
        "How it works": ("理" * (fewest - characters) + "[^a]", "Prose.[^a]"),
        "Work it out": (worked, worked),
        "Compare": (table, table),
        "Try it": (f"[实验](lab:{lab})", f"[The lab](lab:{lab})"),
        "Follow-ups": ("**一？** 是。\n\n**二？** 否。", "**One?** Yes.\n\n**Two?** No."),
        "Pitfalls": ("- 没有。", "- None."),
        "References": ("[^a]: 某文。", "[^a]: A paper."),
    }


def write_note(root: Path, left_out: str = "Compare") -> Note:
    """The note of the recipe in a copy of the content: its files, its front matter, its sections."""
    shutil.copytree(ROOT / "content", root / "content", ignore=shutil.ignore_patterns("notes"))
    front = re.search(r"```yaml\n(.*?)```", NOTE_RECIPE, re.S)
    lab = re.search(r"^labs: \[([\w/]+)", NOTE_RECIPE, re.M)
    assert front and lab
    written = texts(lab[1])
    for language, path in enumerate(paths()):
        parts = [
            f"## {title[language]}\n\n{written[title[1]][language]}" for title in section_titles(left_out)
        ]
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{front[1]}\n" + "\n\n".join(parts) + "\n", encoding="utf-8")
    (note,) = find_notes(root / "content/notes").values()
    return note


def problems(note: Note, outline: Outline, catalog: Catalog, content: Path) -> list[str]:
    """All that the checks of the notes find in both versions."""
    found = note_checks.twin_problems(note)
    languages: tuple[Language, Language] = ("zh", "en")
    for language in languages:
        text = note.read(language)
        front, body = text.front, text.body
        found += note_checks.front_problems(text, outline)
        found += [f"no lab {lab}" for lab in front.labs if lab not in catalog.labs]
        found += note_checks.section_problems(body, language, front.difficulty, bool(front.labs))
        found += note_checks.formula_problems(body) + note_checks.footnote_problems(body)
        found += note_checks.doctest_problems(body, f"{note.id}.{language}")
        found += note_checks.link_problems(body, catalog, outline)
        found += note_checks.figure_problems(body, language, content, ROOT / "resources" / "figures")
    return found


@pytest.mark.parametrize("left_out", ["Compare", "Work it out"])
def test_the_note_of_the_guide_works_as_written(
    tmp_path: Path, outline: Outline, catalog: Catalog, left_out: str
) -> None:
    note = write_note(tmp_path, left_out)
    first = re.search(r"section and place, `([^`]+)`", NOTE_RECIPE)
    assert first
    assert note.id == first[1]
    assert stray_files(tmp_path / "content" / "notes") == []
    assert problems(note, outline, catalog, tmp_path / "content") == []


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("？", "", "differs from the outline's"),
        ("related: [", "related: [9.9.9-01, ", "is not a question of the outline"),
        ("labs: [", "labs: [model/absent, ", "no lab model/absent"),
        ("## 标准答案\n\n", "## 标准答案\n\n长", "the answer has 221 Chinese characters"),
        ("理" * 200, "", "600 to 1,500 are wanted"),
        ("## 原理", "## 原因", "unknown section"),
        ("(lab:", "(lab:absent/", "is no lab in the catalog"),
        ("4.0", "4.1", "Expected"),
        ("**二？**", "二", "1 follow-ups"),
    ],
)
def test_a_wrong_note_of_the_guide_is_refused(
    tmp_path: Path, outline: Outline, catalog: Catalog, old: str, new: str, reason: str
) -> None:
    note = write_note(tmp_path)
    file = note.paths["zh"]
    source = file.read_text(encoding="utf-8")
    assert old in source
    file.write_text(source.replace(old, new, 1), encoding="utf-8")
    assert reason in "\n".join(problems(note, outline, catalog, tmp_path / "content"))


def test_front_matter_without_its_fence_is_refused(tmp_path: Path) -> None:
    note = write_note(tmp_path)
    file = note.paths["zh"]
    file.write_text(file.read_text(encoding="utf-8").removeprefix("---\n"), encoding="utf-8")
    with pytest.raises(NoteError, match="starts with '---'"):
        note.read("zh").front  # noqa: B018 (reading it is the check)
