"""Opening a database that may be damaged, emptied or lost: set aside, the newest good backup in its place.

Nothing is deleted, and the user is always told. A kill between two steps leaves a state that the next opening
repairs.
"""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gui.library.backups import Backups, passes_check

if TYPE_CHECKING:
    from pathlib import Path

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def open_or_repair(path: Path) -> tuple[sqlite3.Connection, str | None]:
    """A connection to a sound database, and what to tell the user if it had to be repaired.

    Raises OSError or sqlite3.Error where neither is possible (no permission, disk full, locked for long).
    """
    backups = Backups(path)
    # SQLite takes a missing or emptied file for a new database: with backups beside it, it is a loss.
    lost = not path.exists() or path.stat().st_size == 0
    if not (lost and backups.dated()):
        try:
            return _connect(path), None
        except UnicodeDecodeError:
            pass  # SQLite's message quotes the damaged schema
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) not in _DAMAGE:
                raise
    aside = _set_aside(path)
    good = backups.newest_good()
    if good is not None:
        restored = path.with_name(f"{path.name}.restoring")
        shutil.copyfile(good[1], restored)
        restored.replace(path)
    return _connect(path), _notice(path, aside, good[0] if good else None)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        prepare(connection)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        if not passes_check(connection):
            damaged = sqlite3.DatabaseError(f"damaged: {path}")
            damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damaged
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """What every connection to the user's data is set to, wherever that lies.

    SQLite's check looks at pages, not at the text in them: a bad byte costs a character, not every reading.
    """
    connection.text_factory = lambda stored: stored.decode("utf-8", "replace")
    connection.execute("pragma foreign_keys = on")


def _set_aside(path: Path) -> Path | None:
    """Give the file and its log names of their own. A log left behind would be replayed onto the backup."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.stem}-damaged-{stamp}{path.suffix}")
    for tail in ("-wal", "-shm", ""):
        file = path.with_name(path.name + tail)
        if file.exists():
            file.replace(aside.with_name(aside.name + tail))
    return aside if aside.exists() else None


def _notice(path: Path, aside: Path | None, restored: datetime | None) -> str:
    if aside:
        zh = f"用户数据文件已损坏，原文件保留在 {aside}。"
        en = f"The file with your data was damaged; it is kept at {aside}. "
    else:
        zh = f"用户数据文件不见了：{path}。"
        en = f"The file with your data is gone: {path}. "
    if restored is None:
        return f"{zh}没有可用的备份，已从空白开始。\n{en}There is no good backup, so InferLab starts empty."
    when = restored.astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{zh}已恢复 {when} 的备份。\n{en}The backup of {when} has been restored."
