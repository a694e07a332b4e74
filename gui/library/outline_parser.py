"""Reading ``outline.md``. Marks are stored by id, so a malformed outline is refused, not guessed at.

Prose may stand before the first part and after a ``---``; everything else must be a node of the tree.
"""

from __future__ import annotations

import re

from gui.library.outline import APPENDIX, Kind, Node, Outline, OutlineError, is_appendix_heading

_PART = re.compile(r"(?:第([一二三四五六七八九])章|附录)：(.*)")
_HEADING = re.compile(r"(?:(\d+)\.(\d+)|([A-Z])\.)(?: +(.*))?")
_SECTION = re.compile(r"(\d+\.\d+)\.(\d+)(?: +(.*))?")
_BOLD = re.compile(r"\*\*(.*)\*\*")
_BOLD_LINK = re.compile(r"\[\*\*(.*)\*\*\](\(.*\))")
# The text may hold no brackets; the address may hold balanced parentheses, as in ``LLM.int8().md``.
_LINK = re.compile(r"\[([^\[\]]*)\]\([^\s()]+(?:\([^\s()]*\)[^\s()]*)*\)")
_CHAPTERS = "一二三四五六七八九"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def parse_outline(text: str) -> Outline:
    """The tree with Chinese titles only; raises OutlineError with the line and the reason."""
    return _Parser().parse(text)


class _Parser:
    def __init__(self) -> None:
        self.outline = Outline()
        self.path: list[Node] = []  # from the part to the node that the next line may extend; empty in prose
        self.number = 0
        self.line = ""

    def parse(self, text: str) -> Outline:
        lines = text.split("\n")
        for self.number, line in enumerate(lines, 1):
            self.line = line.rstrip()
            if self.line:
                self._read()
        if not self.outline.parts:
            raise self._error("there is no part")
        for node in self.outline.nodes.values():
            if node.kind != "question" and not node.children:
                self.number, self.line = node.line, lines[node.line - 1]
                raise self._error(f"this {node.kind} is empty")
        return self.outline

    def _read(self) -> None:
        line = self.line
        if line.startswith("#"):
            self._read_heading()
        elif line == "---":
            self.path = []
        elif line == "-" or line.startswith("- "):
            self._add_question(line[2:], self._open("topic", "a question outside a topic"))
        elif self.path and self.path[0].id == APPENDIX:
            self._add_question(self._unbold(), self._open("heading", "a question outside a heading"))
        elif match := _BOLD.fullmatch(line):
            section = self._open("section", "a topic outside a section")
            self._add("topic", f"{section.id}/{len(section.children) + 1}", match[1], section)
        elif self.path:
            raise self._error("neither a heading, a topic nor a question")

    def _read_heading(self) -> None:
        hashes, _, title = self.line.partition(" ")
        title = title.strip()
        if hashes == "#":
            if self.outline.nodes:
                raise self._error("a second document title")
        elif hashes == "##":
            self._add_part(title)
        elif hashes == "###":
            self._add_heading(title, self._open("part", "a heading outside a part"))
        elif hashes == "####":
            self._add_section(title, self._open("heading", "a heading level is skipped, ### is missing"))
        else:
            raise self._error("not a heading of level 1 to 4")

    def _add_part(self, title: str) -> None:
        match = _PART.fullmatch(title)
        if match is None:
            if self.outline.parts or not title:
                raise self._error("a part begins with 第一章： or 附录：")
            return  # a subtitle of the document
        if APPENDIX in self.outline.nodes:
            raise self._error("a part after the appendix")
        chapter, name = match.groups()
        node_id = str(_CHAPTERS.index(chapter) + 1) if chapter else APPENDIX
        if chapter:
            self._follow(node_id, str(len(self.outline.parts) + 1))
        self._add("part", node_id, name, None)

    def _add_heading(self, title: str, part: Node) -> None:
        match = _HEADING.fullmatch(title)
        if match is None:
            raise self._error("a heading begins with a number such as 1.2, or in the appendix with A.")
        chapter, order, letter, name = match.groups()
        if (chapter or APPENDIX) != part.id:
            raise self._error(f"the number does not match its part, {part.id}")
        place = len(part.children)
        node_id = letter or f"{chapter}.{order}"
        self._follow(node_id, _LETTERS[place : place + 1] if letter else f"{chapter}.{place + 1}")
        self._add("heading", node_id, name, part)

    def _add_section(self, title: str, heading: Node) -> None:
        match = _SECTION.fullmatch(title)
        if is_appendix_heading(heading):
            raise self._error("the appendix has no sections")
        if match is None:
            raise self._error("a section begins with a number such as 1.2.1")
        parent, order, name = match.groups()
        if parent != heading.id:
            raise self._error(f"the number does not match its heading, {heading.id}")
        self._follow(f"{parent}.{order}", f"{parent}.{len(heading.children) + 1}")
        self._add("section", f"{parent}.{order}", name, heading)

    def _add_question(self, text: str, parent: Node) -> None:
        topics = [parent] if parent.kind == "heading" else self.path[2].children
        siblings = [question for topic in topics for question in topic.children]
        owner = parent if parent.kind == "heading" else self.path[2]
        question = self._add("question", f"{owner.id}-{len(siblings) + 1:02d}", text, parent)
        if twin := next((node for node in siblings if node.title_zh == question.title_zh), None):
            raise self._error(f"the same question as on line {twin.line}")

    def _add(self, kind: Kind, node_id: str, title: str | None, parent: Node | None) -> Node:
        node = Node(node_id, kind, self._plain(title or ""), self.number, parent)
        self.outline.nodes[node_id] = node
        (parent.children if parent else self.outline.parts).append(node)
        if kind != "question":
            self.path = [*(self.path[: self.path.index(parent) + 1] if parent else []), node]
        return node

    def _open(self, kind: Kind, reason: str) -> Node:
        """The open node of this kind; refuses the line where there is none."""
        for node in self.path:
            if node.kind == kind:
                return node
        raise self._error(reason)

    def _follow(self, node_id: str, expected: str) -> None:
        if node_id in self.outline.nodes:
            raise self._error(f"duplicate number, first used on line {self.outline.nodes[node_id].line}")
        if node_id != expected:
            raise self._error(f"out of order, {expected} is expected here")

    def _unbold(self) -> str:
        """The text of a bold question, whose link stands around the bold."""
        if match := _BOLD_LINK.fullmatch(self.line):
            return f"[{match[1]}]{match[2]}"
        if match := _BOLD.fullmatch(self.line):
            return match[1]
        raise self._error("a question of the appendix is bold, or a link whose text is bold")

    def _plain(self, text: str) -> str:
        """The title without its link; refuses what would show as stray markup."""
        if match := _LINK.fullmatch(text.strip()):
            text = match[1]
        if "[" in text or "]" in text:
            raise self._error("broken link syntax")
        if "**" in text:
            raise self._error("stray ** in a title")
        if not text.strip():
            raise self._error("empty title")
        return text.strip()

    def _error(self, reason: str) -> OutlineError:
        return OutlineError("outline.md", self.number, self.line, reason)
