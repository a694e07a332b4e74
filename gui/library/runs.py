"""Run records: what was run, with what, where and when, and its results, to reopen without running again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from gui.library.database import LibraryError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from gui.library.database import Database

Status = Literal["done", "stopped", "failed"]

# Unpinned runs are a history, not an archive: these bounds keep the database quick to check and to back up.
UNPINNED_KEPT = 200
UNPINNED_BYTES = 64 * 2**20
RESULTS_LIMIT_BYTES = 16 * 2**20

_COLUMNS = (
    "lab, params, seed, app_version, environment, started, seconds, status, name, pinned, results_bytes"
)
_NEWEST_FIRST = "order by started desc, id desc"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run. ``id`` is 0 until it is saved; ``started`` has a time zone; a pinned run is never pruned.

    ``results`` is the worker's MessagePack as it came; a listing leaves it empty and gives its size.
    """

    lab: str
    params: dict[str, Any]
    seed: int
    app_version: str
    environment: dict[str, Any]
    started: datetime
    seconds: float
    status: Status
    name: str = ""
    pinned: bool = False
    results: bytes = field(default=b"", repr=False)
    results_bytes: int = 0
    id: int = 0


class Runs:
    """Each method that changes something has it on the disk when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, run: RunRecord) -> int:
        """Store the run and return its id. Old unpinned runs beyond the bounds are dropped.

        Raises LibraryError where the results are larger than RESULTS_LIMIT_BYTES.
        """
        if len(run.results) > RESULTS_LIMIT_BYTES:
            size, limit = len(run.results) / 2**20, RESULTS_LIMIT_BYTES // 2**20
            raise LibraryError(
                f"运行结果为 {size:.1f} MiB，超过 {limit} MiB 的上限，未保存。\n"
                f"The results take {size:.1f} MiB, above the limit of {limit} MiB: the run was not saved."
            )
        with self._database.transaction() as connection:
            statement = f"insert into runs ({_COLUMNS}) values (?{', ?' * 10})"
            cursor = connection.execute(statement, _row(run))
            run_id = int(cursor.lastrowid or 0)
            connection.execute("insert into run_results values (?, ?)", (run_id, run.results))
            _prune(connection, run_id)
        return run_id

    def listed(self, lab: str | None = None, limit: int = UNPINNED_KEPT) -> list[RunRecord]:
        """Runs without their results, of one lab or of all, newest first."""
        query = f"select id, {_COLUMNS} from runs where ?1 is null or lab = ?1 {_NEWEST_FIRST} limit ?2"
        return [_record(row) for row in self._database.connection.execute(query, (lab, limit))]

    def load(self, run_id: int) -> RunRecord:
        """A run with its results. Raises KeyError for one that is not (or no longer) there."""
        query = f"select id, {_COLUMNS}, results from runs join run_results on run_id = id where id = ?"
        row = self._database.connection.execute(query, (run_id,)).fetchone()
        if row is None:
            raise KeyError(run_id)
        return _record(row)

    def delete(self, run_id: int) -> None:
        """Remove the run and its results. Raises KeyError for an unknown id."""
        self._change(run_id, "delete from runs where id = ?")

    def rename(self, run_id: int, name: str) -> None:
        """Give the run a name; ``""`` takes it away. Raises KeyError for an unknown id."""
        self._change(run_id, "update runs set name = ? where id = ?", name)

    def pin(self, run_id: int, pinned: bool = True) -> None:
        """Keep the run from being pruned, or no longer. Raises KeyError for an unknown id."""
        self._change(run_id, "update runs set pinned = ? where id = ?", int(pinned))

    def _change(self, run_id: int, statement: str, *values: str | int) -> None:
        with self._database.transaction() as connection:
            if connection.execute(statement, (*values, run_id)).rowcount == 0:
                raise KeyError(run_id)


def _prune(connection: sqlite3.Connection, saved: int) -> None:
    """Drop the oldest unpinned runs beyond the bounds, never the one just saved."""
    rows = connection.execute(f"select id, results_bytes from runs where not pinned {_NEWEST_FIRST}")
    total, doomed = 0, []
    for place, (run_id, size) in enumerate(rows):
        total += size
        if run_id != saved and (place >= UNPINNED_KEPT or total > UNPINNED_BYTES):
            doomed.append((run_id,))
    connection.executemany("delete from runs where id = ?", doomed)


def _row(run: RunRecord) -> tuple[Any, ...]:
    return (
        run.lab,
        json.dumps(run.params, ensure_ascii=False),
        run.seed,
        run.app_version,
        json.dumps(run.environment, ensure_ascii=False),
        run.started.astimezone(UTC).isoformat(timespec="microseconds"),
        run.seconds,
        run.status,
        run.name,
        int(run.pinned),
        len(run.results),
    )


def _record(row: Sequence[Any]) -> RunRecord:
    run_id, lab, params, seed, version, environment, started, seconds, status, name, pinned, size, *blob = row
    return RunRecord(
        id=run_id,
        lab=lab,
        params=json.loads(params),
        seed=seed,
        app_version=version,
        environment=json.loads(environment),
        started=datetime.fromisoformat(started),
        seconds=seconds,
        status=status,
        name=name,
        pinned=bool(pinned),
        results_bytes=size,
        results=blob[0] if blob else b"",
    )
