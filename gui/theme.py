"""Colours of the light and the dark theme: one table for palette, style sheet, plots, notes and figures."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication


class Theme(NamedTuple):
    """Hex colours by role. ``ink`` is text, ``paper`` where one reads, ``chrome`` what surrounds it."""

    name: str
    ink: str
    muted: str
    rule: str
    paper: str
    chrome: str
    raised: str  # cards, inputs, menus
    accent: str
    accent_ink: str  # text on the accent
    selection: str
    hover: str
    code: str  # background of code
    good: str
    warn: str
    bad: str
    mark: str  # search hits
    # Okabe and Ito (2008): distinguishable with every common colour blindness; lightened for the dark theme.
    series: tuple[str, ...]
    # Badge colours by provenance.
    measured: str
    simulated: str
    estimated: str
    reported: str

    @property
    def dark(self) -> bool:
        return self.name == "dark"

    def figure_colours(self) -> dict[str, str]:
        """What the neutral colours of a shipped SVG figure become."""
        return {"#1f2328": self.ink, "#57606a": self.muted, "#d0d7de": self.rule, "#ffffff": self.paper}


LIGHT = Theme(
    name="light",
    ink="#1f2328",
    muted="#59636e",
    rule="#d8dee4",
    paper="#ffffff",
    chrome="#f6f8fa",
    raised="#ffffff",
    accent="#0b62b0",
    accent_ink="#ffffff",
    selection="#d6e8fa",
    hover="#eaeef2",
    code="#f3f5f7",
    good="#0a7d55",
    warn="#8a5a00",
    bad="#b3261e",
    mark="#ffe9a8",
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6f6f6f"),
    measured="#0a7d55",
    simulated="#7a4fb5",
    estimated="#0b62b0",
    reported="#8a5a00",
)
DARK = Theme(
    name="dark",
    ink="#e6e9ee",
    muted="#9aa4b0",
    rule="#353b44",
    paper="#16191e",
    chrome="#1d2127",
    raised="#23282f",
    accent="#58a6ff",
    accent_ink="#0b1016",
    selection="#1f3f63",
    hover="#2b313a",
    code="#20252c",
    good="#4cc38a",
    warn="#e0b050",
    bad="#ff7b72",
    mark="#5c4a12",
    series=("#4aa8e8", "#ff8a3d", "#2fc79a", "#e29bc4", "#f0b93a", "#8fd0f5", "#a8a8a8"),
    measured="#4cc38a",
    simulated="#b794f6",
    estimated="#58a6ff",
    reported="#e0b050",
)


class ThemeSwitch(QObject):
    """The theme in force. Widgets that draw for themselves restyle on ``changed``."""

    changed = Signal(object)  # Theme

    def __init__(self) -> None:
        super().__init__()
        self.current = LIGHT

    def apply(self, theme: Theme) -> None:
        """Restyle the application."""
        self.begin(theme)
        self.finish()
        self.changed.emit(theme)

    def begin(self, theme: Theme) -> None:
        """The colours only. A palette of our own: setColorScheme is a no-op on most Linux.

        A window that is built between this and ``finish`` costs less: under a style sheet each widget is
        styled again whenever it or a parent of it moves into a layout.
        """
        self.current = theme
        app = QApplication.instance()
        if isinstance(app, QApplication):
            app.setPalette(_palette(theme))

    def finish(self) -> None:
        """The style sheet of the theme in force."""
        app = QApplication.instance()
        if isinstance(app, QApplication):
            from gui.style_sheet import style_sheet

            app.setStyleSheet(style_sheet(self.current))


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    colours = {
        role.Window: theme.chrome,
        role.WindowText: theme.ink,
        role.Base: theme.paper,
        role.AlternateBase: theme.chrome,
        role.Text: theme.ink,
        role.Button: theme.raised,
        role.ButtonText: theme.ink,
        role.BrightText: theme.bad,
        role.Highlight: theme.accent,
        role.HighlightedText: theme.accent_ink,
        role.Link: theme.accent,
        role.LinkVisited: theme.accent,
        role.ToolTipBase: theme.raised,
        role.ToolTipText: theme.ink,
        role.PlaceholderText: theme.muted,
        role.Mid: theme.rule,
        role.Midlight: theme.rule,
        role.Dark: theme.rule,
        role.Shadow: theme.rule,
        role.Light: theme.raised,
    }
    for which, colour in colours.items():
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(theme.muted))
    return palette


theme_switch = ThemeSwitch()
