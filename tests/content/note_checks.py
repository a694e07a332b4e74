"""What a note must fulfil, as functions that return the list of what is wrong: empty for a good note."""

from __future__ import annotations

import doctest
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

from markdown import Markdown

from gui.reading.figure import find_figure
from gui.reading.formula import typeset
from gui.reading.formula_check import check_formula
from gui.reading.markdown_source import FENCE, SourceBlocks
from labs.spec import LabError, parse_params

if TYPE_CHECKING:
    from pathlib import Path

    from gui.library.notes import Language, Note, NoteText
    from gui.library.outline import Outline
    from labs.registry import Catalog

# Each section's name in Chinese and English; "work" has a second one for conceptual questions.
SECTIONS: dict[str, tuple[str, str]] = {
    "标准答案": ("answer", "zh"),
    "Answer": ("answer", "en"),
    "原理": ("principle", "zh"),
    "How it works": ("principle", "en"),
    "算一算": ("work", "zh"),
    "Work it out": ("work", "en"),
    "对比": ("compare", "zh"),
    "Compare": ("compare", "en"),
    "动手": ("try", "zh"),
    "Try it": ("try", "en"),
    "追问": ("follow-ups", "zh"),
    "Follow-ups": ("follow-ups", "en"),
    "易错点": ("pitfalls", "zh"),
    "Pitfalls": ("pitfalls", "en"),
    "参考": ("references", "zh"),
    "References": ("references", "en"),
}
ORDERS = [
    ["answer", "principle", middle, *hands_on, "follow-ups", "pitfalls", "references"]
    for middle in ("work", "compare")
    for hands_on in ([], ["try"])
]
MOST_ANSWER_CHARACTERS = 220
MOST_ANSWER_WORDS = 140
DESIGN = 3
_HEADING = re.compile(r"^(#{2,6}) +(.+?) *$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
_FOOTNOTE = re.compile(r"\[\^([^\]]+)\]")
# As Markdown has it: elsewhere in a line, a reference may stand before a colon.
_FOOTNOTE_TEXT = re.compile(r"^ {0,3}\[\^([^\]]+)\]:", re.MULTILINE)
_HAN = re.compile(r"[\u3400-\u9fff]")
_CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)


def prose(body: str) -> str:
    """The body without code, where a dollar, a bracket or a hash means nothing."""
    return _CODE_SPAN.sub("", FENCE.sub("", body))


def sections(body: str) -> dict[str, str]:
    """The prose under each ``##`` heading, in order."""
    parts = re.split(r"^## +(.+?) *$", prose(body), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def section_problems(body: str, language: Language, difficulty: int, has_labs: bool) -> list[str]:
    """Names, order, and what each section must hold."""
    parts = sections(body)
    named = [SECTIONS.get(title, ("", "")) for title in parts]
    problems = [f"unknown section {title!r}" for title in parts if title not in SECTIONS]
    problems += [
        f"section {title!r} in the wrong language"
        for title in parts
        if SECTIONS.get(title, ("", language))[1] != language
    ]
    order = [name for name, _language in named]
    if order not in ORDERS:
        problems.append(f"the sections are {order}")
    if has_labs != ("try" in order):
        problems.append("a note has a section to try it exactly when its front matter names labs")
    by_name = {name: text for (name, _language), text in zip(named, parts.values(), strict=True)}
    if "try" in by_name and "(lab:" not in by_name["try"]:
        problems.append("the section to try it links to no lab")
    questions = len(re.findall(r"^(?:[-*] +|\d+\. +)?\*\*", by_name.get("follow-ups", ""), re.MULTILINE))
    if not 2 <= questions <= 4:
        problems.append(f"{questions} follow-ups; two to four are wanted")
    return problems + length_problems(body, by_name.get("answer", ""), language, difficulty)


def length_problems(body: str, answer: str, language: Language, difficulty: int) -> list[str]:
    """The answer's limit, and the whole note's in Chinese."""
    problems = []
    if language == "zh":
        characters = len(_HAN.findall(answer))
        if characters > MOST_ANSWER_CHARACTERS:
            problems.append(f"the answer has {characters} Chinese characters")
        whole = len(_HAN.findall(prose(body)))
        if whole < 600 or (whole > 1500 and difficulty < DESIGN):
            problems.append(f"the note has {whole} Chinese characters; 600 to 1,500 are wanted")
    elif (words := len(re.sub(r"\$[^$]*\$", "x", answer).split())) > MOST_ANSWER_WORDS:
        problems.append(f"the answer has {words} words")
    return problems


def front_problems(text: NoteText, outline: Outline) -> list[str]:
    """Front matter against the outline; raises NoteError where it cannot be read."""
    front = text.front
    node = outline.nodes.get(front.id)
    if node is None or node.kind != "question":
        return [f"{front.id} is not a question of the outline"]
    problems = []
    if front.question != node.title_zh:
        problems.append(f"question {front.question!r} differs from the outline's {node.title_zh!r}")
    return problems + [
        f"related {other!r} is not a question of the outline"
        for other in front.related
        if other not in outline.nodes or outline.nodes[other].kind != "question" or other == front.id
    ]


def twin_problems(note: Note) -> list[str]:
    """Both languages exist and agree in everything that is not prose."""
    missing = {"zh", "en"} - set(note.paths)
    if missing:
        return [f"the {missing.pop()} version is missing"]
    chinese, english = (_skeleton(note.read(language)) for language in ("zh", "en"))
    return [
        f"{name} differ: {chinese[name]} in Chinese, {english[name]} in English"
        for name in chinese
        if chinese[name] != english[name]
    ]


def _skeleton(text: NoteText) -> dict[str, object]:
    """What the twins must have in common."""
    body = text.body
    bare = prose(body)
    names = [SECTIONS.get(title, (title, ""))[0] for title in sections(body)]
    figures = [re.sub(r"(\.en)?\.svg$", "", source) for source in _IMAGE.findall(bare)]
    return {
        "sections": names,
        "heading levels": [len(marks) for marks, _title in _HEADING.findall(bare)],
        "labs": text.front.labs,
        "difficulties": text.front.difficulty,
        "related questions": text.front.related,
        "doctest results": [example.want for example in examples(body)],
        "footnotes": len(_FOOTNOTE_TEXT.findall(bare)),
        "figures": figures,
        "display formulas": sum(display for _tex, display in formulas(body)[0]),
        "links": [target for target in _LINK.findall(bare) if target.startswith(("lab:", "note:"))],
        "tables": len(re.findall(r"^\|? *:?-{3,}", bare, re.MULTILINE)),
    }


def formulas(body: str) -> tuple[list[tuple[str, bool]], str]:
    """The formulas as the renderer finds them, and what it leaves over."""
    source = SourceBlocks(Markdown())
    left = "\n".join(source.run(body.split("\n")))
    return source.formulas, left


def formula_problems(body: str) -> list[str]:
    """Every formula is one that is drawn as meant, and no dollar is left over."""
    found, left = formulas(body)
    problems = []
    for tex, display in found:
        reason = check_formula(tex) or typeset(tex, display).error
        if reason:
            problems.append(f"formula {tex!r}: {reason}")
    if re.search(r"(?<!\\)\$", _CODE_SPAN.sub("", left)):
        problems.append("a dollar sign that opens or closes no formula")
    return problems


def examples(body: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(_session(body))


def _session(body: str) -> str:
    return "\n".join(match["code"] for match in FENCE.finditer(body) if match["language"] == "pycon")


def doctest_problems(body: str, name: str) -> list[str]:
    """The worked numbers: present where the section is, computed by ``labs.formulas``, and right."""
    found = examples(body)
    worked = any(SECTIONS.get(title, ("", ""))[0] == "work" for title in sections(body))
    if not found:
        return ["the worked numbers have no doctest"] if worked else []
    problems = []
    if not any("labs.formulas" in example.source for example in found):
        problems.append("no doctest calls labs.formulas")
    test = doctest.DocTestParser().get_doctest(_session(body), {}, name, None, 0)
    report: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    if result.failed:
        problems.append("".join(report))
    return problems


def link_problems(body: str, catalog: Catalog, outline: Outline) -> list[str]:
    """Links lead to labs with parameters that they accept, to questions, to https, or into the page."""
    problems = []
    for target in _LINK.findall(prose(body)):
        link = urlsplit(target)
        if link.scheme == "lab":
            problems += _lab_problems(link.path, link.query, catalog)
        elif link.scheme == "note":
            if link.path not in outline.nodes or outline.nodes[link.path].kind != "question":
                problems.append(f"{target} is not a question of the outline")
        elif link.scheme != "https" and not target.startswith("#"):
            problems.append(f"{target} is a kind of link that the view refuses")
    return problems


def _lab_problems(lab_id: str, query: str, catalog: Catalog) -> list[str]:
    lab = catalog.labs.get(lab_id)
    if lab is None:
        return [f"lab:{lab_id} is no lab in the catalog"]
    try:
        parse_params(lab.params, dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))))
    except (LabError, ValueError) as error:
        return [f"lab:{lab_id}?{query}: {error}"]
    return []


def figure_problems(body: str, language: Language, content: Path, figures: Path) -> list[str]:
    """Figures lie inside the content; one with words exists in both languages and is free of ``<image>``."""
    problems = []
    for source in _IMAGE.findall(prose(body)):
        path = find_figure(source, content, figures, language)
        if path is None:
            problems.append(f"{source} is not a figure of this repository")
            continue
        words = svg_words(path.read_text(encoding="utf-8"))
        other = (
            path.name.replace(".en.svg", ".svg") if path.name.endswith(".en.svg") else f"{path.stem}.en.svg"
        )
        if (
            any(re.search(r"[A-Za-z\u3400-\u9fff]{2,}", word) for word in words)
            and not (path.parent / other).exists()
        ):
            problems.append(f"{source} has words but no {other}")
        if language == "en" and any(_HAN.search(word) for word in words):
            problems.append(f"{path.name} has Chinese words in the English note")
    return problems


def svg_words(svg: str) -> list[str]:
    """All text of a figure; raises ParseError for broken XML."""
    root = ElementTree.fromstring(svg)
    return ["".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")]


def footnote_problems(body: str) -> list[str]:
    """Every reference has a footnote and every footnote a reference."""
    bare = prose(body)
    written = _FOOTNOTE_TEXT.findall(bare)
    used = set(_FOOTNOTE.findall(_FOOTNOTE_TEXT.sub("", bare)))
    problems = [f"footnote {name!r} is not written" for name in sorted(used - set(written))]
    problems += [f"footnote {name!r} is not referred to" for name in sorted(set(written) - used)]
    return problems + [
        f"footnote {name!r} is written twice" for name in set(written) if written.count(name) > 1
    ]
