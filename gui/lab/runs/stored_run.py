"""A run as it is stored and exported: the record and its results, decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gui.lab.worker.wire import decode, encode
from gui.library.runs import RunRecord

if TYPE_CHECKING:
    from datetime import datetime

# What a view raises for a result that another version stored, with other fields or of another kind.
UNLIKE = (LookupError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class StoredRun:
    record: RunRecord
    results: list[dict[str, Any]]

    @classmethod
    def of(cls, record: RunRecord) -> StoredRun:
        """FrameError where the stored results cannot be read."""
        return cls(record, decode(record.results) if record.results else [])

    @classmethod
    def new(
        cls,
        lab: str,
        params: dict[str, Any],
        environment: dict[str, Any],
        started: datetime,
        seconds: float,
        results: list[dict[str, Any]],
    ) -> StoredRun:
        record = RunRecord(
            lab=lab,
            params=params,
            seed=0,
            app_version=str(environment.get("app", "")),
            environment=environment,
            started=started,
            seconds=seconds,
            status="done",
            results=encode(results),
        )
        return cls(record, results)


def local_time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
