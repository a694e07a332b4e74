"""A database where nothing can be written: a copy of what is there, in memory, until the window closes."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from gui.library.backups import passes_check
from gui.library.repair import prepare


def require_writable(path: Path) -> None:
    """Raises PermissionError where the database at ``path`` or its folder cannot be written: SQLite finds out
    at the first save."""
    for place in (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))


def open_in_memory(path: Path) -> sqlite3.Connection:
    """A connection to what the database at ``path`` holds, as far as it can be read; it is left as it is."""
    with contextlib.suppress(OSError, sqlite3.Error, UnicodeDecodeError), TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        for tail in ("", "-wal"):  # what was saved last may be in the log alone
            file = path.with_name(path.name + tail)
            if file.exists():
                shutil.copyfile(file, copy.with_name(copy.name + tail))
        connection = _empty()
        with contextlib.closing(sqlite3.connect(copy)) as source:
            source.backup(connection)
        if passes_check(connection):
            return connection
    return _empty()


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    prepare(connection)
    return connection


def unsaved_notice(path: Path, error: Exception) -> str:
    """Why nothing will be saved, and where, in both languages."""
    return (
        f"无法写入用户数据：{error}。本次的标记、位置、设置和运行记录不会保存。\n"
        f"Your data cannot be written: {error}. Marks, places, settings and runs of this session will not be "
        f"saved.\n{path.parent}"
    )
