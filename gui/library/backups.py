"""Backups of one database file: dated copies in a folder beside it, the newest few kept.

A copy gets its final name only when it is complete and has passed SQLite's check, so every file with such
a name was good when it was written.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 5
INTERVAL = timedelta(days=1)
_STAMP = "%Y%m%dT%H%M%S.%fZ"


class Backups:
    """The backups of the database at ``path``, in ``<name> backups/``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.with_name(f"{path.stem} backups")

    def dated(self) -> list[tuple[datetime, Path]]:
        """Every backup with the time in its name, newest first."""
        name = re.compile(re.escape(self.path.stem) + r"-(\d{8}T\d{6}\.\d{6}Z)" + re.escape(self.path.suffix))
        found = []
        for file in self.folder.iterdir() if self.folder.is_dir() else ():
            if match := name.fullmatch(file.name):
                with contextlib.suppress(ValueError):
                    found.append((datetime.fromisoformat(match[1]), file))
        return sorted(found, reverse=True)

    def due(self) -> bool:
        """Whether no backup is within a day of now; one from the future (a clock set back) does not count."""
        now = datetime.now(UTC)
        return not any(abs(now - made) < INTERVAL for made, _ in self.dated())

    def make(self) -> Path:
        """Copy the database as it stands, checked, and drop the oldest copies. Raises OSError, sqlite3.Error.

        Opens its own connections, so any thread may call it, and writers go on meanwhile.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        final = self.folder / f"{self.path.stem}-{datetime.now(UTC).strftime(_STAMP)}{self.path.suffix}"
        partial = final.with_suffix(".partial")
        try:
            with contextlib.closing(sqlite3.connect(self.path)) as source:
                with contextlib.closing(sqlite3.connect(partial)) as target:
                    source.backup(target)
                    # A single file, that can be copied and checked without leaving a log beside it.
                    target.execute("pragma journal_mode = delete")
            if not is_good(partial):
                raise sqlite3.DatabaseError(f"the copy is damaged: {partial}")
            partial.replace(final)
        finally:
            partial.unlink(missing_ok=True)
        for _, old in self.dated()[KEPT:]:
            old.unlink(missing_ok=True)
        return final

    def newest_good(self) -> tuple[datetime, Path] | None:
        """The newest backup that still passes SQLite's check."""
        return next(((made, file) for made, file in self.dated() if is_good(file)), None)


def is_good(file: Path) -> bool:
    """Whether a file at rest (no log beside it) is a whole SQLite database. Never writes."""
    try:
        uri = f"{file.absolute().as_uri()}?immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            return passes_check(connection)
    except (sqlite3.DatabaseError, UnicodeDecodeError):  # the latter where a message quotes a damaged schema
        return False


def passes_check(connection: sqlite3.Connection) -> bool:
    """SQLite's quick check of every page; 0.3 ms a megabyte where the file is in the disk cache."""
    return bool(connection.execute("pragma quick_check(1)").fetchone() == ("ok",))
