"""The form and the results: side by side where there is room, else one above the other."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QSizePolicy, QSplitter, QVBoxLayout, QWidget

SIDE_BY_SIDE = 900
FORM_WIDTH = 320
# Stacked, the form takes what it needs up to this share: the results must stay in sight while one drags.
FORM_SHARE = 0.42


class Panes(QSplitter):
    """Each side scrolls by itself, so a slider and what it changes are seen together."""

    def __init__(self, controls: list[QWidget], results: list[QWidget]) -> None:
        super().__init__()
        self.controls = _scrolled(controls)
        self.setChildrenCollapsible(False)
        self.setHandleWidth(1)
        self.addWidget(self.controls)
        self.addWidget(_scrolled(results))
        self.setStretchFactor(1, 1)

    def fit(self, width: int, has_form: bool) -> None:
        """Arrange for a panel of this width."""
        self.controls.setVisible(has_form)
        if width >= SIDE_BY_SIDE:
            self.setOrientation(Qt.Orientation.Horizontal)
            self.setSizes([FORM_WIDTH, max(1, width - FORM_WIDTH)])
            return
        self.setOrientation(Qt.Orientation.Vertical)
        content = self.controls.widget()
        assert content is not None
        tall = content.hasHeightForWidth()
        needed = content.heightForWidth(width) if tall else content.sizeHint().height()
        room = max(1, self.height())
        top = min(needed + 2, int(room * FORM_SHARE))
        self.setSizes([top, room - top])


def _scrolled(widgets: list[QWidget]) -> QScrollArea:
    content = QWidget()
    column = QVBoxLayout(content)
    column.setContentsMargins(16, 12, 16, 16)
    column.setSpacing(12)
    for widget in widgets:
        column.addWidget(widget)
    column.addStretch(1)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(content)
    return area
