"""SVG figures: found inside the content only, recoloured for the theme, chosen for the language."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QSizeF
from PySide6.QtSvg import QSvgRenderer

from gui.theme import LIGHT, Theme

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIGURE_PREFIXES = ("resources/figures/", "figures/")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_VIEW = re.compile(rb'<svg\b[^>]*\bviewBox="\S+ \S+ (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)"')


def find_figure(source: str, content_dir: Path, figures_dir: Path, language: str = "zh") -> Path | None:
    """The file that a note's image names, in ``language`` where a variant ``NAME.en.svg`` exists.

    ``figures/NAME.svg`` lies in ``figures_dir``, any other relative path in ``content_dir``. None for what is
    remote, absolute, climbs with ``..``, leaves its folder through a link, or is no SVG.
    """
    if not source.endswith(".svg") or ":" in source or "\\" in source or source.startswith("/"):
        return None
    if any(part in ("", ".", "..") for part in source.split("/")):
        return None
    root, name = content_dir, source
    for prefix in FIGURE_PREFIXES:
        if source.startswith(prefix):
            root, name = figures_dir, source.removeprefix(prefix)
            break
    root = _resolved(root)
    for candidate in _variants(name, language):
        path = (root / candidate).resolve()
        if path.is_relative_to(root) and path.is_file():
            return path
    return None


@lru_cache(maxsize=8)
def _resolved(folder: Path) -> Path:
    return folder.resolve()


def _variants(name: str, language: str) -> Sequence[str]:
    return (f"{name.removesuffix('.svg')}.en.svg", name) if language == "en" else (name,)


def recoloured(svg: str, theme: Theme) -> str:
    """``svg`` with the light theme's neutral and series colours replaced by ``theme``'s, in one pass."""
    table = theme.figure_colours() | dict(zip(LIGHT.series, theme.series, strict=True))
    for role in ("accent", "good", "warn", "bad", "code", "chrome", "selection", "hover", "muted", "rule"):
        table.setdefault(getattr(LIGHT, role), getattr(theme, role))
    return _COLOUR.sub(lambda match: table.get(match.group(0).lower(), match.group(0)), svg)


class FigureStore:
    """Figures by file and theme, parsed once, read again when the file changes."""

    def __init__(self) -> None:
        self._pictures: dict[tuple[Path, str, int], QSvgRenderer] = {}

    def size(self, path: Path, theme: Theme) -> QSizeF | None:
        """As ``natural_size`` of its picture, read off the file's head: a page is laid out far below what is
        seen of it. None for what ``picture`` refuses; a file that is broken further down shows when drawn.
        """
        try:
            view = _VIEW.search(path.read_bytes())
        except OSError:
            return None
        if view is not None:
            return QSizeF(float(view[1]), float(view[2]))
        picture = self.picture(path, theme)
        return natural_size(picture) if picture else None

    def picture(self, path: Path, theme: Theme) -> QSvgRenderer | None:
        """The figure's vectors; None for a file that is gone, broken, or would load another file."""
        try:
            key = (path, theme.name, path.stat().st_mtime_ns)
            if key not in self._pictures:
                svg = path.read_text(encoding="utf-8")
                if "<image" in svg:
                    return None
                self._pictures[key] = QSvgRenderer(QByteArray(recoloured(svg, theme).encode()))
        except (OSError, UnicodeDecodeError):
            return None
        picture = self._pictures[key]
        return picture if picture.isValid() else None


def natural_size(picture: QSvgRenderer) -> QSizeF:
    """Width and height that the figure was drawn for, from its view box."""
    return picture.viewBoxF().size()
