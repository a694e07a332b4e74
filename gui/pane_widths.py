"""How wide the reader likes outline and lab, kept from one start to the next; the note has the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PySide6.QtWidgets import QSplitter

    from gui.library.study import Study

SETTING = "pane_widths"
OUTLINE = 300
OUTLINE_BESIDE_LAB = 250
# More for the lab than for the note.
LAB_SHARE = 0.6


class PaneWidths:
    """The splitter's panes are outline, note and, once there is one, the lab. Widths are in pixels."""

    def __init__(self, splitter: QSplitter, study: Study) -> None:
        self._splitter = splitter
        self._study = study
        self._kept: dict[str, int] = study.get(SETTING, {})

    def set_without_lab(self, width: int) -> None:
        """For a window of this width."""
        outline = self._kept.get("outline", OUTLINE)
        self._splitter.setSizes([outline, width - outline])

    def make_room_for_lab(self, outline: int | None = None) -> None:
        """As the reader left it; at first a slimmer outline and the larger share of the rest. A pane that is
        hidden leaves its room to the note, and where that is hidden too, to the lab."""
        width = self._splitter.width()
        outline, lab = outline or self._kept.get("outline", OUTLINE), self._kept.get("lab")
        if lab is None:
            outline = min(outline, max(OUTLINE_BESIDE_LAB, width // 6))
            lab = round((width - outline) * LAB_SHARE)
        if self._hidden(0):
            outline = 0
        if self._hidden(1):
            lab = width - outline
        self._splitter.setSizes([outline, max(0, width - outline - lab), lab])

    def _hidden(self, pane: int) -> bool:
        widget = self._splitter.widget(pane)
        return widget is None or widget.isHidden()

    def keep(self) -> None:
        """Remember the panes as they are; one that is hidden keeps the width that it had."""
        outline, note, *lab = self._splitter.sizes()
        if outline:
            self._kept["outline"] = outline
        if note and lab and lab[0]:
            self._kept["lab"] = lab[0]
        self._study.set(SETTING, self._kept)
