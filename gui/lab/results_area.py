"""The results of a lab as cards: renewed in place, dimmed while they are not of the current parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QWidget

from gui.lab.card import Card
from gui.lab.layouts.grid import Grid
from gui.lab.playback.clock import Clocks
from gui.lab.runs.stored_run import UNLIKE

if TYPE_CHECKING:
    from gui.theme import Theme

# A run that answers within this time never dims anything: a flicker at every slider step would tire the eye.
DIM_AFTER_MS = 180


class ResultsArea(QWidget):
    """Between ``begin`` and ``end`` a run's results arrive; what an earlier run showed stays until it is
    renewed."""

    param_edited = Signal(str, object)
    link_activated = Signal(str)
    saved = Signal(str)
    unreadable = Signal(object)  # title, in both languages, of a stored result that cannot be shown

    def __init__(self) -> None:
        super().__init__()
        self.clocks = Clocks(self)
        self._cards: dict[str, Card] = {}
        self._prepared: tuple[str, Card] | None = None  # a result's id, and what will show it
        self._renewed: list[str] = []
        self._cursor = 0
        self._preview = False
        self._grid = Grid(compact_width=205, normal_width=345, uniform=True)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self.setLayout(self._grid)
        self._dim = QTimer(self)
        self._dim.setSingleShot(True)
        self._dim.setInterval(DIM_AFTER_MS)
        self._dim.timeout.connect(self._mark_waiting)
        self._stored: list[tuple[dict[str, Any], dict[str, Any]]] = []  # results to show, and environments
        self._turn = QTimer(self, singleShot=True, interval=0)
        self._turn.timeout.connect(self._show_next_stored)

    @property
    def empty(self) -> bool:
        return not self._cards

    def card(self, result_id: str) -> Card:
        return self._cards[result_id]

    def results(self) -> list[dict[str, Any]]:
        """What the latest run yielded, in its order."""
        return [self._cards[result_id].result for result_id in self._renewed]

    def cards(self) -> list[Card]:
        return list(self._cards.values())

    def show_stored(self, results: list[dict[str, Any]], environment: dict[str, Any]) -> None:
        """Show a stored run's results alone: the first at once, each further one in a turn of the event loop
        of its own. What else begins meanwhile supersedes those that wait. What another version stored in
        another form is left out and told: ``unreadable``."""
        self.clear()
        self.begin(preview=False)
        self._stored = [(result, environment) for result in results]
        self._show_next_stored()

    def _show_next_stored(self) -> None:
        if self._stored:
            self._try_stored(*self._stored.pop(0))
        if self._stored:
            self._turn.start()
        else:
            self.end("done")

    def _try_stored(self, result: dict[str, Any], environment: dict[str, Any]) -> None:
        try:
            self.show_result(result, environment)
        except UNLIKE:
            name = result.get("id", "")
            if name in self._cards:
                self._remove(name)
            self.unreadable.emit(result.get("title", name))

    def begin(self, preview: bool) -> None:
        self._drop_stored()
        if self._renewed or not self._dim.isActive():
            self._dim.start()
        self._renewed, self._cursor, self._preview = [], 0, preview

    def prepare(self, result: dict[str, Any]) -> None:
        """Make the card and the view of a result that ``show_result`` is about to show for the first time."""
        if result["id"] not in self._cards:
            self._drop_prepared()
            self._prepared = (result["id"], self._new_card())
            self._prepared[1].prepare(result["kind"])

    def _drop_stored(self) -> None:
        self._stored = []
        self._turn.stop()

    def _drop_prepared(self) -> None:
        """The result that it was made for did not come: its run was superseded."""
        if self._prepared is not None:
            self._prepared[1].deleteLater()
            self._prepared = None

    def show_result(self, result: dict[str, Any], environment: dict[str, Any]) -> None:
        name = result["id"]
        known = name in self._cards
        with self._grid.arranged_once():
            card = self._cards.get(name) or self._take_card(name)
            if known and name not in self._renewed:
                self._move_behind(card)
            card.show_result(result, environment)
            card.mark("preview" if self._preview else "")
        if not known:
            self._show_in_place(card)
        if name not in self._renewed:
            self._renewed.append(name)
        # Only forwards: a figure predicted first and measured later must not draw new cards up to it.
        self._cursor = max(self._cursor, self._grid.indexOf(card) + 1)
        if result["kind"] == "heatmap" and result.get("scale_group"):
            self._share_scale(result["scale_group"])

    def _show_in_place(self, card: Card) -> None:
        """It has its place before it is shown, and what is in it is laid out in its width once."""
        self._grid.activate()
        card.show()
        self._grid.activate()  # what follows from the width, a table's head, may want another height

    def _new_card(self) -> Card:
        card = Card(self)
        card.hide()
        policy = card.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        card.setSizePolicy(policy)
        card.param_edited.connect(self.param_edited)
        card.link_activated.connect(self.link_activated)
        card.saved.connect(self.saved)
        return card

    def _take_card(self, name: str) -> Card:
        """The card prepared for this result, or a new one; not on show yet."""
        if self._prepared is not None and self._prepared[0] == name:
            card, self._prepared = self._prepared[1], None
        else:
            card = self._new_card()
        self._cards[name] = card
        self._grid.insert(self._cursor, card)
        return card

    def _move_behind(self, card: Card) -> None:
        """Where another mode had it before cards that have come by now: results stand in this run's order."""
        if self._grid.indexOf(card) < self._cursor:
            self._grid.removeWidget(card)
            self._cursor -= 1
            self._grid.insert(self._cursor, card)

    def _share_scale(self, group: str) -> None:
        views = [card.view for card in self._cards.values() if card.result.get("kind") == "heatmap"]
        views = [view for view in views if view.scale_group == group]
        ranges = [found for found in (view.value_range() for view in views) if found is not None]
        if ranges:
            low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
            for view in views:
                view.share_range(low, high)

    def end(self, status: str) -> None:
        """``done`` drops what the exact run no longer yields; any other end leaves it, marked as earlier."""
        self._dim.stop()
        for name, card in list(self._cards.items()):
            if name in self._renewed:
                card.mark("preview" if self._preview else "")
            elif status == "done" and not self._preview:
                self._remove(name)
            else:
                card.mark("stale")

    def _mark_waiting(self) -> None:
        for name, card in self._cards.items():
            if name not in self._renewed:
                card.mark("updating")

    def _remove(self, name: str) -> None:
        card = self._cards.pop(name)
        self._grid.removeWidget(card)
        card.hide()
        if card.result.get("kind") == "trace":
            self.clocks.drop(name)
        card.deleteLater()

    def clear(self) -> None:
        self._dim.stop()
        self._drop_stored()
        self._drop_prepared()
        self._renewed, self._cursor = [], 0
        self.clocks.clear()
        for name in list(self._cards):
            self._remove(name)

    def restyle(self, theme: Theme) -> None:
        for card in self._cards.values():
            card.restyle(theme)

    def relanguage(self) -> None:
        for card in self._cards.values():
            card.relanguage()
        self._grid.invalidate()
