"""What the picker offers: search hits as one types, every lab, every command."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from gui.commands import COMMANDS
from gui.language import language_switch
from gui.picker import Picker, PickerItem

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QWidget

    from gui.commands import CommandSet
    from gui.library.lab_index import LabIndex
    from gui.library.library import Library
    from gui.library.search import Hit, SearchIndex


# Whoever has not found it among so many types another word.
HITS = 30
RECENT = 10


class Finder(QObject):
    """``picker.picked`` carries ``("note", id, words)``, ``("lab", id)`` or ``("command", id)``."""

    def __init__(
        self, window: QWidget, library: Library, commands: CommandSet, index: Callable[[], SearchIndex]
    ) -> None:
        """``index`` is asked for at each keystroke of a search."""
        super().__init__(window)
        self.picker = Picker(window)
        self._library = library
        self._commands = commands
        self._labs: LabIndex | None = None
        self._search_index = index

    def search(self) -> None:
        """Titles and notes, as one types; before that, what was read last."""
        self.picker.open(
            self._search_items,
            placeholder=self.tr("Search titles and notes, in Chinese or English"),
            empty=self.tr("Nothing found. Fewer or shorter words find more."),
        )

    def _search_items(self, text: str) -> list[PickerItem]:
        if not text.strip():
            return self._recent()
        named = text.strip().upper()  # as the outline writes its numbers: 1.2.1-07, A-01
        first = [self._place(named)] if named in self._library.outline.nodes else []
        hits = self._search_index().search(text, language_switch.current, HITS)
        return first + [
            PickerItem(
                key=("note", hit.id, text),
                title=hit.title,
                title_ranges=hit.title_ranges,
                right=hit.id,
                later=partial(self._second_line, hit),
            )
            for hit in hits
            if not first or hit.id != named
        ]

    def _recent(self) -> list[PickerItem]:
        places, nodes = self._library.study.recent_places(RECENT), self._library.outline.nodes
        return [self._place(place.node_id) for place in places if place.node_id in nodes]

    def _place(self, node_id: str) -> PickerItem:
        node = self._library.outline.nodes[node_id]
        return PickerItem(
            key=("note", node_id, ""),
            title=node.title(language_switch.current),
            right=node_id,
            later=lambda: (self._where(node_id), []),
        )

    def _second_line(self, hit: Hit) -> tuple[str, list[tuple[int, int]]]:
        return (hit.snippet, hit.snippet_ranges) if hit.snippet else (self._where(hit.id), [])

    def _where(self, node_id: str) -> str:
        node = self._library.outline.nodes[node_id].parent
        return node.title(language_switch.current) if node else " "

    def pick_lab(self, labs: LabIndex) -> None:
        """Every lab, those that failed to load included."""
        self._labs = labs
        self.picker.open(
            self._lab_items,
            placeholder=self.tr("Open a lab"),
            empty=self.tr("No lab has these words in its title."),
        )

    def _lab_items(self, text: str) -> list[PickerItem]:
        labs = self._labs
        assert labs is not None, "the lab list opens through pick_lab"
        words = text.lower().split()
        pick = language_switch.pick
        items = []
        for lab in labs.labs.values():
            hay = f"{lab['id']} {lab['title']['zh']} {lab['title']['en']} {pick(lab['summary'])}".lower()
            if all(word in hay for word in words):
                where = " ".join(lab["sections"])
                items.append(PickerItem(("lab", lab["id"]), pick(lab["title"]), pick(lab["summary"]), where))
        for broken in labs.broken:
            if all(word in broken["file"].lower() for word in words):
                last = broken["traceback"].strip().splitlines()[-1]
                items.append(
                    PickerItem(("lab", broken["file"]), broken["file"], last, self.tr("failed to load"))
                )
        return items

    def pick_command(self) -> None:
        self.picker.open(
            self._command_items, placeholder=self.tr("Type a command"), empty=self.tr("No such command.")
        )

    def _command_items(self, text: str) -> list[PickerItem]:
        words = text.lower().split()
        items = []
        for command, (menu, title, keys) in zip(COMMANDS, self._commands.help_rows(), strict=True):
            hay = f"{menu} {title} {command.title}".lower()
            if self._commands[command.id].isEnabled() and all(word in hay for word in words):
                items.append(PickerItem(("command", command.id), f"{menu} › {title}", right=keys))
        return items
