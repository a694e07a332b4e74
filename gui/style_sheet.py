"""The application's one style sheet. Widgets opt into a role with ``widget.setProperty("role", ...)``."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from PySide6.QtCore import QStandardPaths

from gui.line_art import line_art

if TYPE_CHECKING:
    from gui.theme import Theme

_SHEET = Template("""
QMainWindow, QDialog { background: $chrome; }
QToolTip { background: $raised; color: $ink; border: 1px solid $rule; padding: 5px 7px; }
QMenuBar { background: $chrome; border-bottom: 1px solid $rule; padding: 1px 6px; }
QMenuBar::item { padding: 4px 9px; border-radius: 5px; background: transparent; }
QMenuBar::item:selected { background: $hover; }
QMenu { background: $raised; border: 1px solid $rule; padding: 5px; }
QMenu::item { padding: 5px 26px 5px 12px; border-radius: 5px; }
QMenu::item:selected { background: $selection; color: $ink; }
QMenu::item:disabled { color: $muted; }
QMenu::separator { height: 1px; background: $rule; margin: 5px 4px; }
QSplitter::handle { background: $rule; }
QSplitter::handle:hover { background: $accent; }
QLineEdit, QPlainTextEdit, QTextEdit, QSpinBox, QDoubleSpinBox, QComboBox {
    background: $raised; border: 1px solid $rule; border-radius: 6px; padding: 4px 8px; selection-background-color: $accent;
    selection-color: $accent_ink; min-height: 18px; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus, QComboBox:focus {
    border: 1px solid $accent; }
QLineEdit:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled, QComboBox:disabled { color: $muted; }
QSpinBox::up-button, QSpinBox::down-button, QDoubleSpinBox::up-button, QDoubleSpinBox::down-button { width: 0; border: 0; }
QComboBox::drop-down { border: 0; width: 22px; }
QComboBox::down-arrow { image: url($down); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: $raised; border: 1px solid $rule; selection-background-color: $selection;
    selection-color: $ink; padding: 4px; outline: 0; }
QPushButton { background: $raised; border: 1px solid $rule; border-radius: 6px; padding: 5px 12px; outline: 0; }
QPushButton:hover { background: $hover; }
QPushButton:focus { border-color: $accent; }
QPushButton:pressed, QPushButton:checked { background: $selection; border-color: $accent; }
QPushButton:disabled { color: $muted; background: $chrome; }
QPushButton[role="primary"] { background: $accent; color: $accent_ink; border-color: $accent; font-weight: 600; }
QPushButton[role="primary"]:hover, QPushButton[role="primary"]:focus { border-color: $ink; }
QPushButton[role="primary"]:disabled { background: $rule; color: $muted; border-color: $rule; }
QPushButton[role="chip"] { border-radius: 12px; padding: 3px 11px; min-height: 18px; background: $chrome; }
QPushButton[role="chip"]:hover { background: $hover; }
QPushButton[role="chip"]:checked { background: $selection; border-color: $accent; color: $ink; }
QPushButton[role="link"], QToolButton[role="link"] { border: 0; background: transparent; color: $accent; padding: 2px; }
QPushButton[role="link"]:focus { text-decoration: underline; }
QToolButton { background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 4px; }
QToolButton:hover { background: $hover; }
QToolButton:focus { border-color: $accent; }
QToolButton:pressed, QToolButton:checked { background: $selection; }
QToolButton::menu-indicator { image: none; }
QToolButton[role="small"] { padding: 0; }
QCheckBox { spacing: 7px; }
QCheckBox::indicator { width: 15px; height: 15px; border: 1px solid $muted; border-radius: 4px; background: $raised; }
QCheckBox::indicator:checked { background: $accent; border-color: $accent; image: url($check); }
QCheckBox:focus { color: $accent; }
QSlider { min-height: 22px; }
QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: $rule; }
QSlider::sub-page:horizontal { background: $accent; border-radius: 2px; }
QSlider::sub-page:horizontal:disabled { background: $muted; }
QSlider::handle:horizontal { width: 14px; height: 14px; margin: -6px 0; border-radius: 8px; background: $raised;
    border: 2px solid $accent; }
QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus { background: $accent; }
QProgressBar { background: $rule; border: 0; border-radius: 3px; max-height: 6px; min-height: 6px; text-align: center; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }
QTreeView, QListView, QTableView, QTableWidget { background: $chrome; border: 0; outline: 0; }
QTableView, QTableWidget { background: transparent; gridline-color: $rule; selection-background-color: $selection;
    selection-color: $ink; }
QHeaderView::section { background: $chrome; color: $muted; border: 0; border-bottom: 1px solid $rule; padding: 5px 8px;
    font-weight: 600; }
QTableCornerButton::section { background: $chrome; border: 0; }
QTreeView { show-decoration-selected: 0; }
QTreeView::branch, QTreeView::branch:selected, QTreeView::branch:hover { background: transparent; }
QTreeView::item, QTreeView::item:selected, QTreeView::item:hover { background: transparent; }
QTreeView::branch:has-children:closed { image: url($forward); }
QTreeView::branch:has-children:open { image: url($down); }
QScrollArea { background: transparent; border: 0; }
QAbstractScrollArea::corner { background: transparent; border: 0; }
QScrollArea > QWidget > QWidget { background: transparent; }
QScrollBar:vertical { background: transparent; width: 11px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 11px; margin: 0; }
QScrollBar::handle { background: $rule; border-radius: 4px; margin: 2px; min-height: 28px; min-width: 28px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
QTabWidget::pane { border: 0; }
QTabBar::tab { background: transparent; padding: 6px 12px; border-bottom: 2px solid transparent; color: $muted; }
QTabBar::tab:selected { color: $ink; border-bottom: 2px solid $accent; }
QGroupBox { border: 1px solid $rule; border-radius: 6px; margin-top: 8px; padding-top: 8px; }
QFrame[role="card"] { background: $raised; border: 1px solid $rule; border-radius: 8px; }
QFrame[role="rule"] { background: $rule; border: 0; max-height: 1px; min-height: 1px; }
QFrame[role="pane"], QWidget[role="pane"] { background: $paper; }
QWidget[role="bar"] { background: $chrome; border-bottom: 1px solid $rule; }
QLabel { background: transparent; }
QLabel[role="title"] { font-size: 18px; font-weight: 600; color: $ink; }
QLabel[role="heading"] { font-size: 14px; font-weight: 600; color: $ink; }
QLabel[role="muted"] { color: $muted; }
QLabel[role="error"] { color: $bad; }
QLabel[role="badge"] { border-radius: 7px; padding: 1px 7px; font-size: 11px; }
QFrame[role="notice"] { background: $selection; border: 1px solid $accent; border-radius: 8px; }
""")


def style_sheet(theme: Theme) -> str:
    """The sheet in ``theme``'s colours. Style sheets load images from files only: the few needed are written,
    recoloured, to the cache folder."""
    colours = {name: value for name, value in theme._asdict().items() if name != "series"}
    images = {
        "down": _recoloured("down", theme.muted),
        "forward": _recoloured("forward", theme.muted),
        "check": _recoloured("check", theme.accent_ink),
    }
    return _SHEET.substitute(colours | images)


def _recoloured(name: str, colour: str) -> str:
    folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.CacheLocation)) / "icons"
    path = folder / f"{name}-{colour.lstrip('#')}.svg"
    svg = line_art(name, colour)
    try:
        if not path.exists() or path.read_text(encoding="utf-8") != svg:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(svg, encoding="utf-8")
    except OSError:
        return ""  # a read-only home costs three small images, not the window
    return path.as_posix()
