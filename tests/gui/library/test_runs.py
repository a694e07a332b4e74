"""Run records come back whole, and old ones make room."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gui.library import runs as runs_module
from gui.library.database import Database, LibraryError
from gui.library.runs import RunRecord, Runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
RUN = RunRecord(
    lab="model/quantization_granularity",
    params={"bits": 4, "granularity": "group", "说明": "中文"},
    seed=7,
    app_version="0.1.0",
    environment={"device": "cpu", "threads": 2},
    started=START,
    seconds=1.25,
    status="done",
    results=b"\x93\x00\xff",
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "inferlab.db")
    yield database
    database.close()


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


def test_a_run_comes_back_whole(runs: Runs) -> None:
    run_id = runs.save(RUN)
    assert runs.load(run_id) == replace(RUN, id=run_id, results_bytes=3)


def test_the_start_is_stored_in_utc(runs: Runs) -> None:
    east = START.astimezone(timezone(timedelta(hours=8)))
    loaded = runs.load(runs.save(replace(RUN, started=east)))
    assert loaded.started == START
    assert loaded.started.tzinfo is UTC


def test_listing_by_lab_newest_first_without_results(runs: Runs) -> None:
    for lab, hours in (("a", 0), ("b", 1), ("a", 3), ("a", 2)):
        runs.save(replace(RUN, lab=lab, started=START + timedelta(hours=hours)))
    assert [(run.lab, run.started.hour) for run in runs.listed()] == [
        ("a", 12),
        ("a", 11),
        ("b", 10),
        ("a", 9),
    ]
    assert [run.started.hour for run in runs.listed("a", limit=2)] == [12, 11]
    assert runs.listed("c") == []
    assert {(run.results, run.results_bytes) for run in runs.listed()} == {(b"", 3)}


def test_rename_pin_and_delete(runs: Runs, database: Database) -> None:
    run_id = runs.save(RUN)
    runs.rename(run_id, "基线")
    runs.pin(run_id)
    assert (runs.load(run_id).name, runs.load(run_id).pinned) == ("基线", True)
    runs.rename(run_id, "")
    runs.pin(run_id, pinned=False)
    assert (runs.load(run_id).name, runs.load(run_id).pinned) == ("", False)
    runs.delete(run_id)
    assert database.connection.execute("select count(*) from run_results").fetchone() == (0,)
    assert runs.save(RUN) > run_id, "the id of a deleted run must not come back"


def test_an_unknown_id_is_a_key_error(runs: Runs) -> None:
    for change in (runs.load, runs.delete, runs.pin, lambda run_id: runs.rename(run_id, "x")):
        with pytest.raises(KeyError):
            change(99)


def test_results_above_the_limit_are_refused(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "RESULTS_LIMIT_BYTES", 2**20)
    runs.save(replace(RUN, results=b"x" * 2**20))
    with pytest.raises(LibraryError, match=r"1\.0 MiB, above the limit of 1 MiB"):
        runs.save(replace(RUN, results=b"x" * (2**20 + 1)))
    assert len(runs.listed()) == 1


def test_unpinned_runs_beyond_the_newest_are_dropped(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "UNPINNED_KEPT", 3)
    oldest = runs.save(RUN)
    runs.pin(oldest)
    for hours in range(1, 6):
        runs.save(replace(RUN, started=START + timedelta(hours=hours)))
    assert [run.started.hour - 9 for run in runs.listed()] == [5, 4, 3, 0]
    assert runs.load(oldest).pinned


def test_unpinned_results_beyond_the_bytes_are_dropped(
    runs: Runs, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "UNPINNED_BYTES", 1000)
    for hours in range(5):
        runs.save(replace(RUN, results=b"x" * 400, started=START + timedelta(hours=hours)))
    assert [run.started.hour - 9 for run in runs.listed()] == [4, 3]
    assert database.connection.execute("select sum(length(results)) from run_results").fetchone() == (800,)


def test_the_run_just_saved_is_never_dropped(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "UNPINNED_KEPT", 1)
    runs.save(RUN)
    # As after setting the clock back.
    early = runs.save(replace(RUN, started=START - timedelta(days=1)))
    assert runs.load(early).started < START
    monkeypatch.setattr(runs_module, "UNPINNED_BYTES", 1)
    assert runs.load(runs.save(RUN)).results == RUN.results


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    results=st.binary(max_size=5000),
    seed=st.integers(0, 2**63 - 1),
    params=st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.floats(allow_nan=False)),
    started=st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_any_run_round_trips(
    runs: Runs, results: bytes, seed: int, params: dict[str, object], started: datetime
) -> None:
    run = replace(RUN, results=results, seed=seed, params=params, started=started)
    loaded = runs.load(runs.save(run))
    assert loaded == replace(run, id=loaded.id, results_bytes=len(results))
