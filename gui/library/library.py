"""What the window reads and remembers, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gui.library.notes import Note
    from gui.library.outline import Outline
    from gui.library.runs import Runs
    from gui.library.study import Study


@dataclass
class Library:
    """Made by ``gui.app``. ``notice`` is what the user must be told at start."""

    content: Path
    figures: Path
    cache: Path
    outline: Outline
    notes: dict[str, Note]
    study: Study
    runs: Runs
    notice: str | None = None
