"""Physical blocks in a grid, coloured by who holds them, and the owners' block tables below."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtWidgets import QVBoxLayout

from gui.lab.number_text import plain
from gui.lab.playback.clock import Follower
from gui.lab.views.block_grid import BlockGrid
from gui.lab.views.block_look import CACHED, FREE, owner_colour, owner_style
from gui.lab.views.block_state import Blocks, BlockStates, TableEntries, TableStates, counts
from gui.lab.views.block_tables import BlockTables
from gui.lab.views.legend import Entry, Legend
from gui.lab.views.view import View, csv_text, pick

MOST_OWNERS_NAMED = 12


class BlockMapView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower(self, self.clock_moved)
        self.legend = Legend()
        self.grid = BlockGrid(self)
        self.tables = BlockTables(self)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 6, 0)
        body.setSpacing(6)
        for widget in (self.legend, self.grid, self.tables):
            body.addWidget(widget)
        body.addStretch(1)
        self._shown: int | None = -2
        self._table_states: TableStates | None = None

    def show_result(self, result: dict[str, Any]) -> None:
        self.states = BlockStates(result)
        tables = result.get("tables")
        self._table_states = TableStates(tables) if tables is not None else None
        self.follower.follow(str(result.get("clock") or ""))
        self._seek()
        super().show_result(result)

    def clock_moved(self) -> None:
        if self.follower.cursor != self._shown:
            self._seek()
            self.grid.update_blocks()
            self.grid.tell()
            self.tables.update()

    @property
    def most_owners(self) -> int:
        """Who have block tables at once, at most."""
        return self._table_states.most_owners if self._table_states is not None else 0

    def _seek(self) -> None:
        self._shown = self.follower.cursor
        self.blocks: Blocks = self.states.at(self._shown)
        self.entries: TableEntries | None = (
            self._table_states.at(self._shown) if self._table_states is not None else None
        )

    def redraw(self) -> None:
        self.legend.show_entries(self._entries(), self.theme)
        self.grid.refresh()
        self.tables.refresh()
        self.updateGeometry()

    def _entries(self) -> list[Entry]:
        theme, owners = self.theme, self.result["owners"]
        entries = [Entry(self.tr("free"), theme.rule, "block")]
        if (np.asarray(self.result["changes"]["owner"]) == CACHED).any():
            entries.append(Entry(self.tr("cached"), theme.muted, "hatch"))
        shared = self.result["changes"].get("shared")
        if shared is not None and (np.asarray(shared) > 1).any():
            entries.append(Entry(self.tr("shared"), theme.ink, "ring"))
        if len(owners) <= MOST_OWNERS_NAMED:
            entries += [
                Entry(pick(owner["name"]), owner_colour(place, theme), owner_style(place))
                for place, owner in enumerate(owners)
            ]
        else:
            name = self.tr("{count} owners; their colours repeat").format(count=len(owners))
            entries.append(Entry(name, owner_colour(0, theme), "block"))
        return entries

    def owner_names(self, block: int) -> list[str]:
        """Who holds a block: all whose tables have it, where there are tables."""
        owner = int(self.blocks.owner[block])
        owners = self.entries.owners_of(block) if self.entries is not None else []
        if not owners and owner >= 0:
            owners = [owner]
        return [pick(self.result["owners"][one]["name"]) for one in owners]

    def describe(self, block: int) -> list[tuple[str, str]]:
        """What the hover card says of a block."""
        owner, names = int(self.blocks.owner[block]), self.owner_names(block)
        free = {FREE: self.tr("free"), CACHED: self.tr("cached, nobody holds it")}
        lines = [(self.tr("holder"), ", ".join(names) or free.get(owner, ""))]
        if owner != FREE and self.states.tracks_tokens:
            filled = f"{int(self.blocks.filled[block])} / {self.result['block_size']}"
            lines.append((self.result.get("unit") or self.tr("tokens"), filled))
        if owner >= 0:
            lines.append((self.tr("references"), str(int(self.blocks.shared[block]))))
        return lines

    def block_title(self, block: int) -> str:
        """In a named row its place there, counted from 1."""
        names = self.result.get("row_names")
        if not names:
            return self.tr("block {number}").format(number=block)
        row, place = divmod(block, int(self.result["count"]) // len(names))
        return f"{pick(names[row])} · {place + 1}"

    def caption(self) -> str:
        """How the blocks are used at the cursor."""
        used, cached, free, shared = counts(self.blocks)
        parts = [self.tr("{count} in use").format(count=plain(used))]
        if cached:
            parts.append(self.tr("{count} cached").format(count=plain(cached)))
        parts.append(self.tr("{count} free").format(count=plain(free)))
        if shared:
            parts.append(self.tr("{count} shared").format(count=plain(shared)))
        if used and self.states.tracks_tokens:
            filled = int(self.blocks.filled[self.blocks.owner >= 0].sum())
            share = filled / (used * int(self.result["block_size"]))
            parts.append(self.tr("used blocks {share} full").format(share=f"{share:.0%}"))
        return " · ".join(parts)

    def to_csv(self) -> str:
        changes = self.result["changes"]
        header = [self.tr("event"), self.tr("block"), self.tr("owner"), self.tr("references")]
        owner = np.asarray(changes["owner"]).tolist()
        shared = changes.get("shared")
        filled = changes.get("filled")
        names = {FREE: "free", CACHED: "cached"}
        names |= {place: pick(one["name"]) for place, one in enumerate(self.result["owners"])}
        blank = [""] * len(owner)
        rows = zip(
            np.asarray(changes["event"]).tolist(),
            np.asarray(changes["block"]).tolist(),
            [names[one] for one in owner],
            blank if shared is None else np.asarray(shared).tolist(),
            blank if filled is None else np.asarray(filled).tolist(),
            strict=True,
        )
        return csv_text([*header, self.result.get("unit") or self.tr("tokens")], rows)
