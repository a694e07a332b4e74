"""Text as its tokens, a box each, coloured by category or value, appearing as the trace runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout

from gui.lab.number_text import plain, with_unit
from gui.lab.playback.clock import Follower
from gui.lab.views.block_look import mixed, owner_colour, owner_style
from gui.lab.views.colour_scale import ColourBar, ColourScale
from gui.lab.views.legend import Entry, Legend
from gui.lab.views.token_boxes import TokenArea, TokenBoxes
from gui.lab.views.view import View, csv_text, pick

BAR_HEIGHT = 120  # the least in which a scale of values can be read


class TokensView(View):
    shape = "wide"

    def __init__(self) -> None:
        super().__init__()
        self.follower = Follower(self, self.clock_moved)
        self.legend = Legend()
        self.boxes = TokenBoxes(self)
        self.area = TokenArea(self.boxes)
        self.bar = ColourBar()
        self.bar.setMinimumHeight(BAR_HEIGHT)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.area, 1)
        row.addWidget(self.bar)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 6, 0)
        body.setSpacing(6)
        body.addWidget(self.legend)
        body.addLayout(row, 1)
        self.shown: int | None = None

    def show_result(self, result: dict[str, Any]) -> None:
        rows = result["rows"]
        self.tokens = [token for row in rows for token in row["tokens"]]
        self.row_of = np.repeat(np.arange(len(rows)), [len(row["tokens"]) for row in rows])
        self.firsts = np.concatenate([[0], np.cumsum([len(row["tokens"]) for row in rows])]).astype(int)
        self.events = self._column(rows, "event", -1).astype(np.int64)
        self.values = self._column(rows, "value", np.nan)
        self.categories = self._column(rows, "category", -1).astype(np.int64)
        self.follower.follow(str(result.get("clock") or ""))
        self.shown = self.follower.cursor
        super().show_result(result)

    @staticmethod
    def _column(rows: list[dict[str, Any]], name: str, default: float) -> Any:
        parts = [
            np.full(len(row["tokens"]), default) if row.get(name) is None else np.asarray(row[name], float)
            for row in rows
        ]
        return np.concatenate([np.empty(0), *parts])

    def revealed(self) -> Any:
        """Which tokens have appeared."""
        if self.shown is None:
            return np.ones(len(self.tokens), dtype=bool)
        return self.events <= self.shown

    def clock_moved(self) -> None:
        before, self.shown = self.shown, self.follower.cursor
        if before != self.shown:
            self.boxes.update_between(before, self.shown)

    def redraw(self) -> None:
        finite = self.values[np.isfinite(self.values)]
        self.scale: ColourScale | None = None
        if finite.size:
            self.scale = ColourScale(float(finite.min()), float(finite.max()), False, False)
            self.bar.show_scale(self.scale, self.result.get("unit") or "", self.theme)
        self.bar.setVisible(self.scale is not None)
        used = set(np.unique(self.categories).tolist())
        entries = [
            Entry(pick(name), owner_colour(place, self.theme), owner_style(place))
            for place, name in enumerate(self.result.get("categories", []))
            if place in used
        ]
        name = self.result.get("value_name")
        title = pick(name) if name and self.scale is not None else ""
        self.legend.show_entries(entries, self.theme, title)
        self.boxes.refresh()
        self.area.updateGeometry()
        self.updateGeometry()

    def background(self, token: int) -> tuple[QColor, QColor | None]:
        """The box's colour, and that of the line below it, if any."""
        category, value = int(self.categories[token]), float(self.values[token])
        line = QColor(owner_colour(category, self.theme)) if category >= 0 else None
        if self.scale is not None and np.isfinite(value):
            red, green, blue, _ = self.scale.pixels(np.array([value]), self.theme)[0].tolist()
            return QColor(red, green, blue), line
        if category >= 0:
            return mixed(owner_colour(category, self.theme), self.theme.raised, 0.3), line
        return QColor(self.theme.hover), None

    def describe(self, token: int) -> list[tuple[str, str]]:
        """What the hover card says of a token."""
        lines = [(self.tr("text"), repr(self.tokens[token]))]
        category, value, event = int(self.categories[token]), self.values[token], int(self.events[token])
        if category >= 0:
            lines.append((self.tr("category"), pick(self.result["categories"][category])))
        if np.isfinite(value):
            name = self.result.get("value_name")
            told = with_unit(float(value), self.result.get("unit") or "")
            lines.append((pick(name) if name else self.tr("value"), told))
        if event >= 0 and self.follower.cursor is not None:
            lines.append((self.tr("appears at event"), plain(event + 1)))
        return lines

    def token_title(self, token: int) -> str:
        row = int(self.row_of[token])
        number = token - int(self.firsts[row]) + 1
        name = pick(self.result["rows"][row]["name"])
        return self.tr("{row}, token {number}").format(row=name, number=number)

    def to_csv(self) -> str:
        name = self.result.get("value_name")
        header = [self.tr("row"), self.tr("token"), self.tr("event"), self.tr("category")]
        names = [pick(row["name"]) for row in self.result["rows"]]
        categories = [pick(one) for one in self.result.get("categories", [])]
        rows = zip(
            [names[row] for row in self.row_of.tolist()],
            self.tokens,
            self.events.tolist(),
            [categories[one] if one >= 0 else "" for one in self.categories.tolist()],
            ["" if value != value else value for value in self.values.tolist()],
            strict=True,
        )
        return csv_text([*header, pick(name) if name else self.tr("value")], rows)
