"""Marks, places and settings come back as they were left."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gui.library.database import Database
from gui.library.study import Place, Study

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    database = Database.open(tmp_path / "inferlab.db")
    yield Study(database)
    database.close()


def test_read_marks(study: Study) -> None:
    before = datetime.now(UTC)
    study.mark_read("1.2.1-07")
    first = study.read_marks()["1.2.1-07"]
    study.mark_read("1.2.1-07")
    study.mark_read("A-01")
    assert set(study.read_marks()) == {"1.2.1-07", "A-01"}
    assert study.read_marks()["1.2.1-07"] == first >= before
    study.mark_read("1.2.1-07", read=False)
    study.mark_read("never-marked", read=False)
    assert set(study.read_marks()) == {"A-01"}


def test_places_are_kept_newest_first_each_node_once(study: Study) -> None:
    assert study.last_place() is None
    assert study.recent_places() == []
    for place in (Place("a", 0.1), Place("b"), Place("c"), Place("a", 2.9)):
        study.remember_place(place)
    assert study.last_place() == Place("a", 2.9)
    assert study.recent_places() == [Place("a", 2.9), Place("c"), Place("b")]
    assert study.recent_places(limit=2) == [Place("a", 2.9), Place("c")]
    assert (study.scroll_of("a"), study.scroll_of("unseen")) == (2.9, 0.0)


def test_settings(study: Study) -> None:
    assert study.get("theme") is None
    assert study.get("theme", "light") == "light"
    study.set("theme", "dark")
    study.set("theme", None)
    assert study.get("theme", "light") is None
    study.forget("theme")
    assert study.get("theme", "light") == "light"


def test_a_value_that_json_cannot_hold_is_refused_and_changes_nothing(study: Study) -> None:
    study.set("zoom", 1.5)
    with pytest.raises(TypeError):
        study.set("zoom", {1, 2})
    with pytest.raises(ValueError, match="JSON"):
        study.set("zoom", float("nan"))
    assert study.get("zoom") == 1.5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(key=st.text(max_size=20), value=JSON)
def test_every_json_value_round_trips(study: Study, key: str, value: Any) -> None:
    study.set(key, value)
    assert study.get(key) == value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(visits=st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 1)), min_size=1, max_size=20))
def test_recent_places_are_the_visits_reversed_without_repeats(
    study: Study, visits: list[tuple[str, float]]
) -> None:
    for node_id, scroll in visits:
        study.remember_place(Place(node_id, scroll))
    expected: dict[str, float] = {}
    for node_id, scroll in reversed(visits):
        expected.setdefault(node_id, scroll)
    assert study.recent_places(limit=len(expected)) == [Place(*pair) for pair in expected.items()]


@pytest.mark.parametrize("damaged", [b"", b"1.", b'"da\xf2k"x', b"\xff\xfe", b"{"])
def test_a_damaged_setting_is_one_never_set(study: Study, damaged: bytes) -> None:
    study.set("zoom", 1.5)
    with study._database.transaction() as connection:
        connection.execute("update settings set value = cast(? as text)", (damaged,))
    assert study.get("zoom", 1.0) == 1.0
    study.set("zoom", 2.0)
    assert study.get("zoom", 1.0) == 2.0


@pytest.mark.parametrize("damaged", [b"", b"2026-13-01", b"\xff026-01-01"])
def test_a_damaged_time_costs_no_mark(study: Study, damaged: bytes) -> None:
    study.mark_read("1.2.1-07")
    study.mark_read("1.2.1-08")
    with study._database.transaction() as connection:
        connection.execute(
            "update read_marks set read_at = cast(? as text) where node_id = '1.2.1-07'", (damaged,)
        )
    marks = study.read_marks()
    assert set(marks) == {"1.2.1-07", "1.2.1-08"}
    assert marks["1.2.1-07"] < marks["1.2.1-08"]
