"""Each check finds the fault that it is there for, in an otherwise good note."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gui.library.notes import Language, Note, NoteText
from gui.library.outline_files import load_outline
from labs.registry import load_catalog
from tests.content import note_checks

if TYPE_CHECKING:
    from gui.library.outline import Outline
    from labs.registry import Catalog

ROOT = Path(__file__).resolve().parents[2]
ZH = """## 标准答案

粒度决定多少个数共用一个 $s$。[^a]

## 原理

{filler}

## 算一算

```pycon
>>> from labs.formulas.quantization import level_range
>>> level_range(4, "symmetric")
(-7, 7)
```

## 动手

[实验](lab:model/quantization_granularity?bits=4)

## 追问

**一？** 是。

**二？** 否。

## 易错点

- 没有。

## 参考

[^a]: 某文。
""".replace("{filler}", "量" * 600)
EN = """## Answer

Granularity is how many numbers share one $s$.[^a]

## How it works

Prose.

## Work it out

```pycon
>>> from labs.formulas.quantization import level_range
>>> level_range(4, "symmetric")
(-7, 7)
```

## Try it

[Lab](lab:model/quantization_granularity?bits=4)

## Follow-ups

**One?** Yes.

**Two?** No.

## Pitfalls

- None.

## References

[^a]: A paper.
"""


def head(**changes: str) -> str:
    fields = {
        "id": "1.2.1-07",
        "question": "逐层量化、逐通道量化、分组量化（Group Quantization）的优缺点是什么？",
        "difficulty": "2",
        "labs": "[model/quantization_granularity]",
        "related": "[1.2.1-05]",
    } | changes
    return "---\n" + "".join(f"{name}: {value}\n" for name, value in fields.items()) + "---\n"


def text(source: str, language: Language = "zh") -> NoteText:
    return NoteText("1.2.1-07", Path("07-x.md"), language, language, source)


def note(folder: Path, chinese: str, english: str | None) -> Note:
    paths: dict[Language, Path] = {"zh": folder / "07-x.md"}
    paths["zh"].write_text(chinese, encoding="utf-8")
    if english is not None:
        paths["en"] = folder / "07-x.en.md"
        paths["en"].write_text(english, encoding="utf-8")
    return Note("1.2.1-07", paths)


@pytest.fixture(scope="module")
def outline() -> Outline:
    return load_outline(ROOT / "content")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def test_a_good_note_has_no_problem(tmp_path: Path, outline: Outline, catalog: Catalog) -> None:
    good = note(tmp_path, head() + ZH, head() + EN)
    assert note_checks.twin_problems(good) == []
    for language in good.paths:
        read = good.read(language)
        assert note_checks.front_problems(read, outline) == []
        assert note_checks.section_problems(read.body, language, 2, True) == []
        assert note_checks.formula_problems(read.body) == []
        assert note_checks.doctest_problems(read.body, "good") == []
        assert note_checks.link_problems(read.body, catalog, outline) == []
        assert note_checks.footnote_problems(read.body) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"question": "逐层量化？"}, "differs from the outline"),
        ({"related": "[1.2.1-99]"}, "1.2.1-99"),
        ({"related": "[1.2.1]"}, "'1.2.1' is not a question"),
        ({"related": "[1.2.1-07]"}, "1.2.1-07"),
    ],
)
def test_front_matter(outline: Outline, changes: dict[str, str], said: str) -> None:
    problems = note_checks.front_problems(text(head(**changes) + ZH), outline)
    assert len(problems) == 1
    assert said in problems[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("## 易错点", "## 常见错误", "unknown section"),
        ("## 易错点", "## Pitfalls", "wrong language"),
        ("## 易错点\n\n- 没有。\n\n", "", "the sections are"),
        ("**二？** 否。", "", "1 follow-ups"),
        ("lab:model", "note:model", "links to no lab"),
        ("粒度决定", "粒度" * 120, "the answer has 2"),
        ("量" * 600, "量" * 1600, "the note has 16"),
        ("量" * 600, "量" * 100, "the note has 1"),
    ],
)
def test_sections(old: str, new: str, said: str) -> None:
    problems = note_checks.section_problems(ZH.replace(old, new), "zh", 2, True)
    assert said in "; ".join(problems)


def test_sections_follow_the_labs() -> None:
    assert note_checks.section_problems(ZH, "zh", 2, has_labs=False) != []


def test_english_answers_have_a_limit() -> None:
    long = EN.replace("Granularity is", "word " * 141)
    assert "words" in note_checks.section_problems(long, "en", 2, True)[0]


def test_a_design_question_may_be_longer() -> None:
    assert note_checks.section_problems(ZH.replace("量" * 600, "量" * 1600), "zh", 3, True) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(-7, 7)", "(-8, 7)", "doctest results"),
        ("bits=4", "bits=3", "links"),
        ("## Pitfalls\n\n- None.\n\n", "", "sections"),
        ("[^a]: A paper.", "[^a]: A paper.\n[^b]: Another.", "footnotes"),
        ("Prose.", "![x](figures/levels.svg)", "figures"),
        ("Prose.", "$$x$$", "display formulas"),
        ("Prose.", "| a |\n| --- |\n| b |", "tables"),
        ("difficulty: 2", "difficulty: 3", "difficulties"),
    ],
)
def test_twins(tmp_path: Path, old: str, new: str, said: str) -> None:
    english = (head() + EN).replace(old, new)
    problems = note_checks.twin_problems(note(tmp_path, head() + ZH, english))
    assert any(problem.startswith(said) for problem in problems)


def test_a_twin_must_exist(tmp_path: Path) -> None:
    assert note_checks.twin_problems(note(tmp_path, head() + ZH, None)) == ["the en version is missing"]


@pytest.mark.parametrize(
    "body", [r"$\text{中}$", r"$\nosuchcommand x$", "costs 5$ a piece", r"$\frac{a}{b$", "$$\nx\n"]
)
def test_formulas(body: str) -> None:
    assert len(note_checks.formula_problems(body)) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(-7, 7)", "(-8, 7)", "Got"),
        ("(4, ", "(1, ", "ValueError"),
        (
            "labs.formulas.quantization import level_range",
            "math import sqrt as level_range",
            "no doctest calls",
        ),
        ("```pycon", "```python", "no doctest"),
    ],
)
def test_worked_numbers(old: str, new: str, said: str) -> None:
    assert said in "".join(note_checks.doctest_problems(ZH.replace(old, new), "bad"))


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("lab:model/nothing", "no lab"),
        ("lab:model/quantization_granularity?bits=99", "bits"),
        ("lab:model/quantization_granularity?bitz=4", "bitz"),
        ("note:1.2.1-99", "not a question"),
        ("http://example.org", "refuses"),
        ("javascript:alert(1)", "refuses"),
        ("../secret.md", "refuses"),
    ],
)
def test_links(target: str, said: str, outline: Outline, catalog: Catalog) -> None:
    problems = note_checks.link_problems(f"[x]({target})", catalog, outline)
    assert len(problems) == 1
    assert said in problems[0]


def svg(folder: Path, name: str, words: str) -> None:
    root = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><text>{words}</text></svg>'
    (folder / name).write_text(root, encoding="utf-8")


def test_figures(tmp_path: Path) -> None:
    svg(tmp_path, "words.svg", "缩放")
    svg(tmp_path, "numbers.svg", "-3 s")
    svg(tmp_path, "both.svg", "缩放")
    svg(tmp_path, "both.en.svg", "缩放")

    def problems(source: str, language: Language) -> list[str]:
        return note_checks.figure_problems(f"![x]({source})", language, tmp_path, tmp_path)

    assert problems("figures/numbers.svg", "zh") == []
    assert problems("figures/both.svg", "zh") == []
    assert "words but no words.en.svg" in problems("figures/words.svg", "zh")[0]
    assert "Chinese words" in problems("figures/both.svg", "en")[0]
    assert "not a figure" in problems("figures/none.svg", "zh")[0]
    assert "not a figure" in problems("https://example.org/x.svg", "zh")[0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("x[^a]", "is not written"),
        ("x\n\n[^a]: y", "is not referred to"),
        ("x[^a]\n\n[^a]: y\n[^a]: z", "written twice"),
    ],
)
def test_footnotes(body: str, said: str) -> None:
    assert said in note_checks.footnote_problems(body)[0]


@pytest.mark.parametrize("body", ["so says x[^a]:\n\n- y\n\n[^a]: z", "x[^a]: y\n\n[^a]: z[^b]\n[^b]: w"])
def test_a_reference_may_stand_before_a_colon(body: str) -> None:
    assert note_checks.footnote_problems(body) == []
