"""The outline: a tree of parts, headings, sections, topics and questions, with stable ids, in two languages.

========  ==================================  ======================================================
kind      written in ``outline.md`` as        id
========  ==================================  ======================================================
part      ``## 第一章：…``, ``## 附录：…``    ``1``; the appendix is ``appendix``
heading   ``### 1.2 …``, ``### A. …``         ``1.2``, ``A``
section   ``#### 1.2.1 …``                    ``1.2.1``; the appendix has none
topic     ``**…**``                           ``1.2.1/1``; the appendix has none
question  ``- …``; in the appendix ``**…**``  ``1.2.1-07``, counted across its section; ``A-01``
========  ==================================  ======================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["part", "heading", "section", "topic", "question"]
KINDS: tuple[Kind, ...] = ("part", "heading", "section", "topic", "question")
APPENDIX = "appendix"


class OutlineError(Exception):
    """The outline or its English titles are malformed: where (line 0: the whole file), what, and why."""

    def __init__(self, file: str, line: int, text: str, reason: str) -> None:
        super().__init__(f"{file}, line {line}: {reason}: {text!r}" if line else f"{file}: {reason}")
        self.line = line
        self.text = text
        self.reason = reason


@dataclass(slots=True, eq=False)
class Node:
    """One entry of the tree; equal to nothing but itself, and left alone once it is loaded."""

    id: str
    kind: Kind
    title_zh: str
    line: int
    parent: Node | None = field(default=None, repr=False)
    title_en: str = ""
    children: list[Node] = field(default_factory=list, repr=False)

    def title(self, language: str) -> str:
        """The title in ``"zh"`` or ``"en"``."""
        return self.title_zh if language == "zh" else self.title_en


@dataclass(slots=True)
class Outline:
    """The tree, and every node by its id in the order of the file."""

    parts: list[Node] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)

    @property
    def questions(self) -> list[Node]:
        """All questions, in the order of the file."""
        return [node for node in self.nodes.values() if node.kind == "question"]

    def counts(self) -> dict[Kind, int]:
        """How many nodes there are of each kind."""
        found = dict.fromkeys(KINDS, 0)
        for node in self.nodes.values():
            found[node.kind] += 1
        return found

    def section_of(self, node_id: str) -> Node | None:
        """The section that a section, topic or question belongs to; in the appendix its heading (``A``).

        None for a part or a numbered heading, which hold sections. Raises KeyError for an unknown id.
        """
        node: Node | None = self.nodes[node_id]
        while node is not None and not (node.kind == "section" or is_appendix_heading(node)):
            node = node.parent
        return node


def is_appendix_heading(node: Node) -> bool:
    """Whether the node is one of the appendix's headings, which hold questions directly."""
    return node.kind == "heading" and node.parent is not None and node.parent.id == APPENDIX


def load_outline(content_dir: Path) -> Outline:
    """The outline of ``outline.md`` with the titles of ``outline.en.toml``; raises OutlineError."""
    # Imported here because the parser is built from the nodes above.
    from gui.library.outline_parser import parse_outline

    outline = parse_outline(_read(content_dir / "outline.md"))
    add_english_titles(outline, _read(content_dir / "outline.en.toml"))
    return outline


def add_english_titles(outline: Outline, toml: str) -> None:
    """Fill in ``title_en`` from a table of id to title; every node needs one, no other id may have one."""
    import tomllib  # 10 ms, and a start with a current cache needs none of it

    try:
        titles = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise _title_error(str(error)) from error
    if missing := [node_id for node_id in outline.nodes if node_id not in titles]:
        raise _title_error(f"{len(missing)} ids have no title, the first is {missing[0]!r}")
    if superfluous := [node_id for node_id in titles if node_id not in outline.nodes]:
        raise _title_error(f"{len(superfluous)} ids are not in the outline, the first is {superfluous[0]!r}")
    for node_id, title in titles.items():
        if not isinstance(title, str) or not title.strip():
            raise _title_error(f"the title of {node_id!r} is empty or not a text: {title!r}")
        outline.nodes[node_id].title_en = title


def _title_error(reason: str) -> OutlineError:
    return OutlineError("outline.en.toml", 0, "", reason)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise OutlineError(path.name, 0, "", f"cannot be read: {error.strerror} ({path})") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        wrong = repr(error.object[error.start : error.end])
        raise OutlineError(path.name, line, wrong, "not UTF-8") from error
