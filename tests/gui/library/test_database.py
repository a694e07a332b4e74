"""The user's database: nothing reported as saved is lost, whatever happens to the process or the file."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gui.library import backups as backups_module
from gui.library.backups import KEPT, Backups, is_good
from gui.library.database import Database, LibraryError, NewerSchemaError
from gui.library.schema import MIGRATIONS
from gui.library.study import Place, Study

ROOT = Path(__file__).resolve().parents[3]
ADD_TABLE = ("create table notes (text text)", "insert into notes values ('moved')")


def opened(path: Path, **options: object) -> contextlib.closing[Database]:
    return contextlib.closing(Database.open(path, **options))  # type: ignore[arg-type]


def fill(path: Path, marks: int = 1) -> None:
    with opened(path) as database:
        for index in range(marks):
            Study(database).mark_read(f"1.2.1-{index:02d}")


def marks(path: Path) -> set[str]:
    with opened(path) as database:
        return set(Study(database).read_marks())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "inferlab.db"


def test_a_new_database_is_at_the_current_schema_durable_and_unremarkable(path: Path) -> None:
    with opened(path) as database:
        assert database.notice is None
        settings = [
            database.connection.execute(f"pragma {name}").fetchone()[0]
            for name in ("user_version", "journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == [len(MIGRATIONS), "wal", 2, 1]


def test_a_failed_transaction_changes_nothing(path: Path) -> None:
    with opened(path) as database:
        with pytest.raises(ZeroDivisionError), database.transaction() as connection:
            connection.execute("insert into settings values ('a', '1')")
            raise ZeroDivisionError
        assert Study(database).get("a") is None
        Study(database).set("a", 2)
        assert Study(database).get("a") == 2


def test_a_full_disk_is_told_and_what_was_saved_stays(path: Path) -> None:
    with opened(path) as database:
        study, full = Study(database), "pragma max_page_count = {}"
        study.set("a", 1)
        (pages,) = database.connection.execute("pragma page_count").fetchone()
        database.connection.execute(full.format(pages))
        with pytest.raises(LibraryError, match=r"未能保存.*full(?s:.)*could not be saved: .*full"):
            study.set("a", "x" * 100_000)
        assert study.get("a") == 1
        database.connection.execute(full.format(2**30))
        study.set("a", 2)
        assert study.get("a") == 2


def test_opening_twice_at_once_works(path: Path) -> None:
    with opened(path) as first, opened(path) as second:
        Study(first).set("theme", "dark")
        Study(second).set("zoom", 1.25)
        assert Study(second).get("theme") == "dark"
        assert Study(first).get("zoom") == 1.25


@pytest.mark.parametrize("death", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_kill_right_after_the_save_loses_nothing(path: Path, death: str) -> None:
    script = f"""
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from gui.library.database import Database
from gui.library.runs import RunRecord, Runs
from gui.library.study import Place, Study

database = Database.open(Path(sys.argv[1]))
study, runs = Study(database), Runs(database)
for index in range(50):
    study.mark_read(f"1.2.1-{{index:02d}}")
study.remember_place(Place("1.2.1-07", 0.5))
study.set("theme", "dark")
run = RunRecord(lab="model/number_formats", params={{}}, seed=1, app_version="0", environment={{}},
                started=datetime.now(UTC), seconds=1.0, status="done", results=b"r" * 300_000)
print("saved", runs.save(run), flush=True)
{death}
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.stdout == "saved 1\n", done.stderr
    assert done.returncode == (3 if "exit" in death else -signal.SIGKILL)
    with opened(path) as database:
        assert database.notice is None
        study = Study(database)
        assert len(study.read_marks()) == 50
        assert study.last_place() == Place("1.2.1-07", 0.5)
        assert study.get("theme") == "dark"
        assert database.connection.execute("select length(results) from run_results").fetchone()[0] == 300_000


def test_a_kill_in_the_middle_of_writing_loses_only_what_was_not_reported(path: Path) -> None:
    script = """
import sys
from pathlib import Path
from gui.library.database import Database
from gui.library.study import Study

study = Study(Database.open(Path(sys.argv[1])))
for index in range(1_000_000):
    study.set("count", index)
    print(index, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        reported = [int(process.stdout.readline()) for _ in range(200)]
        process.kill()
        reported += [int(line) for line in process.stdout.read().split(b"\n")[:-1]]
    with opened(path) as database:
        assert database.notice is None
        # One more may have been committed than could be reported.
        assert Study(database).get("count") in (reported[-1], reported[-1] + 1)


def test_migrations_keep_the_data_and_are_preceded_by_a_backup(path: Path) -> None:
    fill(path, marks=3)
    before = len(Backups(path).dated())
    migrations = (*MIGRATIONS, ADD_TABLE, ("alter table notes add column size integer",))
    with opened(path, migrations=migrations) as database:
        assert len(Study(database).read_marks()) == 3
        assert database.connection.execute("select text, size from notes").fetchall() == [("moved", None)]
        assert database.connection.execute("pragma user_version").fetchone() == (len(MIGRATIONS) + 2,)
    dated = Backups(path).dated()
    assert len(dated) == before + 1
    with contextlib.closing(sqlite3.connect(dated[0][1])) as copy:
        assert copy.execute("pragma user_version").fetchone() == (len(MIGRATIONS),)
        assert copy.execute("select count(*) from read_marks").fetchone() == (3,)


def test_a_migration_that_fails_leaves_the_old_schema(path: Path) -> None:
    fill(path)
    broken = (*MIGRATIONS, ("create table half (x)", "insert into nowhere values (1)"))
    with pytest.raises(LibraryError, match="nowhere"):
        Database.open(path, migrations=broken)
    with opened(path) as database:
        assert database.connection.execute("pragma user_version").fetchone() == (len(MIGRATIONS),)
        assert database.connection.execute(
            "select count(*) from sqlite_master where name = 'half'"
        ).fetchone() == (0,)
    assert marks(path) == {"1.2.1-00"}


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    with opened(path, migrations=(*MIGRATIONS, ADD_TABLE)) as database:
        Study(database).mark_read("1.2.1-00")
    with pytest.raises(
        NewerSchemaError, match=rf"schema {len(MIGRATIONS) + 1}; this version knows {len(MIGRATIONS)}"
    ):
        Database.open(path)
    with opened(path, migrations=(*MIGRATIONS, ADD_TABLE)) as database:
        assert database.notice is None
        assert set(Study(database).read_marks()) == {"1.2.1-00"}


def test_the_daily_backup_is_made_once_a_day_and_five_are_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime.now(UTC)

    class Clock(datetime):
        days = 0.0

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return start + timedelta(days=cls.days)

    monkeypatch.setattr(backups_module, "datetime", Clock)
    counts = []
    for Clock.days in (0, 0.5, 1.1, 2.2, 3.3, 4.4, 5.5, 5.6):
        fill(path)
        counts.append(len(Backups(path).dated()))
    assert counts == [1, 1, 2, 3, 4, 5, KEPT, KEPT]
    newest, oldest = Backups(path).dated()[0], Backups(path).dated()[-1]
    assert newest[0] == start + timedelta(days=5.5)
    assert oldest[0] == start + timedelta(days=1.1)
    assert all(is_good(file) for _, file in Backups(path).dated())


def test_a_backup_from_the_future_does_not_stop_backups(path: Path) -> None:
    fill(path)
    [(_, file)] = Backups(path).dated()
    file.rename(file.with_name("inferlab-29990101T000000.000000Z.db"))
    fill(path)
    fill(path)
    assert len(Backups(path).dated()) == 2


def test_a_backup_that_fails_is_told_and_the_app_goes_on(path: Path) -> None:
    path.parent.mkdir(parents=True)
    Backups(path).folder.write_text("a file where the folder should be")
    database = Database.open(path)
    Study(database).mark_read("1.2.1-01")
    database.close()
    assert database.notice is not None
    assert "could not be backed up" in database.notice
    assert "未能备份" in database.notice


def damage_header(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 500)


def damage_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_schema(path: Path) -> None:
    """With bytes that SQLite quotes in its message, which then is no text."""
    data = path.read_bytes()
    assert b"scroll real not null" in data
    path.write_bytes(data.replace(b"scroll real not null", b"scroll real not nu\xf5l"))


@pytest.mark.parametrize("damage", [damage_header, damage_pages, damage_schema, truncate, empty])
def test_a_damaged_file_is_set_aside_and_the_newest_backup_restored(path: Path, damage: object) -> None:
    fill(path, marks=5)
    Backups(path).make()
    fill(path, marks=6)
    damage(path)  # type: ignore[operator]
    ruins = path.read_bytes()
    with opened(path) as database:
        assert len(Study(database).read_marks()) == 5
        assert database.notice is not None
        [aside] = path.parent.glob("inferlab-damaged-*.db")
        assert aside.read_bytes() == ruins
        assert str(aside) in database.notice
        assert "已恢复" in database.notice
        assert "has been restored" in database.notice
        Study(database).mark_read("2.1.1-01")
    with opened(path) as database:
        assert database.notice is None
        assert len(Study(database).read_marks()) == 6


def test_a_damaged_backup_is_passed_over(path: Path) -> None:
    fill(path, marks=2)
    good = Backups(path).make()
    fill(path, marks=3)
    damage_pages(Backups(path).make())
    damage_schema(Backups(path).make())
    damage_header(path)
    assert marks(path) == {"1.2.1-00", "1.2.1-01"}
    assert is_good(good)


def test_without_any_good_backup_it_starts_empty_and_says_so(path: Path) -> None:
    fill(path)
    for _, file in Backups(path).dated():
        file.unlink()
    damage_header(path)
    with opened(path) as database:
        assert Study(database).read_marks() == {}
        assert database.notice is not None
        assert "no good backup" in database.notice
        assert len(list(path.parent.glob("inferlab-damaged-*.db"))) == 1


def test_a_lost_file_is_restored_without_replaying_the_log_left_behind(path: Path) -> None:
    fill(path, marks=4)
    Backups(path).make()
    database = Database.open(path)
    Study(database).mark_read("9.9.9-99")
    log = path.with_name("inferlab.db-wal").read_bytes()
    database.close()
    path.unlink()
    path.with_name("inferlab.db-wal").write_bytes(log)
    with opened(path) as restored:
        assert len(Study(restored).read_marks()) == 4
        assert restored.notice is not None
        assert "is gone" in restored.notice
        assert "不见了" in restored.notice


def test_a_database_in_use_is_never_taken_for_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path)
    real = sqlite3.connect
    monkeypatch.setattr(
        "gui.library.repair.sqlite3.connect",
        lambda file, **options: real(file, timeout=0.05, isolation_level=None),
    )
    with contextlib.closing(real(path, isolation_level=None)) as other:
        other.execute("pragma locking_mode = exclusive")
        other.execute("begin exclusive")
        other.execute("insert into settings values ('a', '1')")
        with pytest.raises(LibraryError, match="locked"):
            Database.open(path)
        other.execute("rollback")
    assert list(path.parent.glob("*damaged*")) == []
    assert marks(path) == {"1.2.1-00"}


@pytest.mark.parametrize("place", ["file/inferlab.db", "."])
def test_where_no_database_can_be_the_app_works_and_says_that_nothing_will_be_saved(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("")
    with opened(tmp_path / place) as database:
        assert database.notice is not None
        assert "不会保存" in database.notice and "will not be saved" in database.notice
        assert str((tmp_path / place).parent) in database.notice
        Study(database).mark_read("1.2.1-01")
        assert set(Study(database).read_marks()) == {"1.2.1-01"}
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_read_only_database_is_shown_with_its_latest_saves_and_left_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path, marks=2)
    writer = Database.open(path)
    writer.wait_for_backup()
    Study(writer).mark_read("9.9.9-99")  # in the log alone
    before = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    monkeypatch.setattr("gui.library.in_memory.os.access", lambda _place, _mode: False)
    with opened(path) as database:
        assert database.notice is not None
        study = Study(database)
        assert set(study.read_marks()) == {"1.2.1-00", "1.2.1-01", "9.9.9-99"}
        study.mark_read("1.2.1-05")
        assert "1.2.1-05" in study.read_marks()
    assert {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()} == before
    writer.close()


def test_a_database_that_can_be_neither_written_nor_read_starts_empty(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path)
    path.write_bytes(b"no database" * 1000)
    monkeypatch.setattr("gui.library.in_memory.os.access", lambda _place, _mode: False)
    with opened(path) as database:
        assert Study(database).read_marks() == {}
        Study(database).set("theme", "dark")
