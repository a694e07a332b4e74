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
from typing import Literal

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
