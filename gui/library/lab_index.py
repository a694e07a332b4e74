"""Which labs belong to which outline node, from the descriptions that the worker sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gui.library.outline import Node, Outline

Description = Mapping[str, Any]


class LabIndex:
    """Descriptions by id, and what failed to load (``file``, ``traceback``)."""

    def __init__(
        self, outline: Outline, labs: Sequence[Description], broken: Sequence[Mapping[str, str]]
    ) -> None:
        self._outline = outline
        self.labs = {lab["id"]: lab for lab in labs}
        self.titles = {lab["id"]: (lab["title"]["zh"], lab["title"]["en"]) for lab in labs}
        self.broken = broken

    def broken_entry(self, lab_id: str) -> dict[str, str]:
        """Why a lab that was asked for is not among ``labs``."""
        for entry in self.broken:
            if lab_id in (entry["file"], entry.get("id")):
                return dict(entry)
        known = ", ".join(self.labs)
        return {"file": lab_id, "traceback": f"There is no lab {lab_id!r}. Known labs: {known}"}

    def questions(self) -> set[str]:
        """Ids of the questions that have a lab."""
        nodes = [node for node in self._outline.nodes.values() if node.kind == "question"]
        return {node.id for node in nodes if any(self._covers(lab, node) for lab in self.labs.values())}

    def of_question(self, node: Node) -> list[Description]:
        """The labs of a question: those that name it, then the others of its section."""
        section = self._outline.section_of(node.id)
        near = [lab for lab in self.labs.values() if section and section.id in lab["sections"]]
        own = [lab for lab in self.labs.values() if node.id in lab["questions"]]
        return own + [lab for lab in near if lab not in own]

    def under(self, node: Node) -> list[Description]:
        """The labs of everything below a part, heading, section or topic."""
        if node.kind == "topic":
            ids = {child.id for child in node.children}
            return [lab for lab in self.labs.values() if ids & set(lab["questions"])]
        below = _section_ids(node)
        return [lab for lab in self.labs.values() if below & set(lab["sections"])]

    def _covers(self, lab: Description, node: Node) -> bool:
        if node.id in lab["questions"]:
            return True
        section = self._outline.section_of(node.id)
        return not lab["questions"] and section is not None and section.id in lab["sections"]


def _section_ids(node: Node) -> set[str]:
    found = {node.id}
    for child in node.children:
        found |= _section_ids(child)
    return found
