"""The user's one database: opened, checked, brought to the current schema, backed up, repaired when damaged.

WAL with ``synchronous = full``: a commit returns when its log is on the disk, so neither a killed process nor
a power cut takes back what was reported as saved. (``normal`` survives only the kill.) What is written here
comes at a human pace, and a commit costs well below a millisecond on a solid-state disk.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING

from gui.library.backups import Backups
from gui.library.in_memory import open_in_memory, require_writable, unsaved_notice
from gui.library.repair import open_or_repair
from gui.library.schema import MIGRATIONS, Migration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_IN_USE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class LibraryError(Exception):
    """The user's data cannot be opened or stored as asked; the text is in both languages."""


class NewerSchemaError(LibraryError):
    """The database was written by a newer version of the app, and this one would damage it."""


class Database:
    """An open database. Belongs to the thread that opened it.

    ``on_disk`` is False for one in memory, which ends with the window. ``notice`` is what the user must be
    told, in both languages, or None: a repair is known when ``open`` returns, a failed daily backup once
    ``wait_for_backup`` or ``close`` has returned.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, notice: str | None, on_disk: bool = True
    ) -> None:
        self.path = path
        self.on_disk = on_disk
        self.connection = connection
        self.notice = notice
        self._backup: threading.Thread | None = None

    @classmethod
    def open(cls, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> Database:
        """Open or create the database; LibraryError where that is impossible, NewerSchemaError where unwise.

        Where it cannot be written (read-only, disk full) it is opened in memory with what can be read of it,
        and ``notice`` says that nothing will be saved; one that is in use for long is refused.
        A damaged or lost file is replaced by the newest good backup, and ``notice`` says so. The daily backup
        is made on a thread of its own; the one before a migration is complete before the migration begins.
        """
        try:
            database = cls._opened(path)
            try:
                database._migrate(migrations)
                due = database.on_disk and Backups(path).due()
            except BaseException:
                database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise LibraryError(
                f"无法打开用户数据：{error}\nYour data cannot be opened: {error}\n{path}",
            ) from error
        if due:
            database._backup = threading.Thread(target=database._back_up, name="backup")
            database._backup.start()
        return database

    @classmethod
    def _opened(cls, path: Path) -> Database:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            require_writable(path)
            return cls(path, *open_or_repair(path))
        except (OSError, sqlite3.Error) as error:
            if getattr(error, "sqlite_errorcode", None) in _IN_USE:
                raise
            return cls(path, open_in_memory(path), unsaved_notice(path, error), on_disk=False)

    def close(self) -> None:
        """Wait for a backup under way, and close."""
        self.wait_for_backup()
        self.connection.close()

    def wait_for_backup(self) -> None:
        """Return when no backup is under way."""
        if self._backup is not None:
            self._backup.join()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; when the block has been left, it is on the disk. LibraryError where it cannot be
        (disk full, read-only, locked for long)."""
        try:
            self.connection.execute("begin immediate")
            yield self.connection
            self.connection.execute("commit")
        except sqlite3.Error as error:
            self._roll_back()
            raise LibraryError(
                f"未能保存：{error}（{self.path}）\nThis could not be saved: {error} ({self.path})"
            ) from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # what failed first is what is told
            # A failed commit (disk full) may have rolled back already.
            if self.connection.in_transaction:
                self.connection.execute("rollback")

    def _migrate(self, migrations: Sequence[Migration]) -> None:
        found, known = self._version(), len(migrations)
        if found > known:
            raise NewerSchemaError(
                f"用户数据由更新版本的 InferLab 写入（数据格式 {found}，本版本支持到 {known}），"
                "请升级 InferLab。\n"
                f"Your data was written by a newer InferLab (schema {found}; this version knows {known}): "
                f"please upgrade InferLab.\n{self.path}"
            )
        if 0 < found < known and self.on_disk:
            Backups(self.path).make()
        for version in range(found, known):
            with self.transaction() as connection:
                # Read again under the lock: another window may have migrated meanwhile.
                if self._version() == version:
                    for statement in migrations[version]:
                        connection.execute(statement)
                    connection.execute(f"pragma user_version = {version + 1}")

    def _version(self) -> int:
        return int(self.connection.execute("pragma user_version").fetchone()[0])

    def _back_up(self) -> None:
        try:
            Backups(self.path).make()
        except (OSError, sqlite3.Error) as error:
            text = f"用户数据未能备份：{error}\nYour data could not be backed up: {error}\n{self.path}"
            self.notice = text if self.notice is None else f"{self.notice}\n{text}"
