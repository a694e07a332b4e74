"""What the user leaves behind while reading: marks, places and settings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from gui.library.database import Database


class Place(NamedTuple):
    """Where the user was: an outline node, and how far into its note.

    ``scroll`` is 0 at the top, 2.5 halfway from the second heading to the third.
    """

    node_id: str
    scroll: float = 0.0


class Study:
    """Each method that changes something has it on the disk when it returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark_read(self, node_id: str, read: bool = True) -> None:
        """Set or take back the read mark. Marking again keeps the first time."""
        with self._database.transaction() as connection:
            if read:
                connection.execute(
                    "insert into read_marks values (?, ?) on conflict do nothing",
                    (node_id, datetime.now(UTC).isoformat()),
                )
            else:
                connection.execute("delete from read_marks where node_id = ?", (node_id,))

    def read_marks(self) -> dict[str, datetime]:
        """Every id that is marked as read, with the time (UTC)."""
        rows = self._database.connection.execute("select node_id, read_at from read_marks")
        return {node_id: _time(read_at) for node_id, read_at in rows}

    def remember_place(self, *places: Place) -> None:
        """Make these the last places, in this order, at once. Going where one is already writes nothing."""
        last = self.last_place()
        if all(place == last for place in places):
            return
        with self._database.transaction() as connection:
            connection.executemany(
                "insert or replace into places select ?, ?, coalesce(max(visit), 0) + 1 from places", places
            )

    def last_place(self) -> Place | None:
        """The place remembered last."""
        places = self.recent_places(limit=1)
        return places[0] if places else None

    def recent_places(self, limit: int = 20) -> list[Place]:
        """The nodes visited last, each once, newest first."""
        query = "select node_id, scroll from places order by visit desc limit ?"
        return [Place(*row) for row in self._database.connection.execute(query, (limit,))]

    def scroll_of(self, node_id: str) -> float:
        """Where in the node's note the user was when it was last seen; 0 for one never seen."""
        row = self._database.connection.execute(
            "select scroll from places where node_id = ?", (node_id,)
        ).fetchone()
        return float(row[0]) if row else 0.0

    def get(self, key: str, default: Any = None) -> Any:
        """A setting as JSON returns it (a tuple becomes a list), or ``default`` where it was never set.

        One that was damaged on the disk is as good as never set: it must not keep the app from starting.
        """
        query = "select value from settings where key = ?"
        row = self._database.connection.execute(query, (key,)).fetchone()
        try:
            return json.loads(row[0]) if row else default
        except ValueError:
            return default

    def set(self, key: str, value: Any) -> None:
        """Store a setting; the value is anything that JSON can hold."""
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        with self._database.transaction() as connection:
            connection.execute("insert or replace into settings values (?, ?)", (key, text))

    def forget(self, key: str) -> None:
        """Back to the default."""
        with self._database.transaction() as connection:
            connection.execute("delete from settings where key = ?", (key,))


def _time(text: str) -> datetime:
    """A time that was damaged on the disk does not take its mark with it: the mark is then the oldest."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
