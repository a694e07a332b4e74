"""Seeking equals playing from the start, for any record; the clock's cursor is where its time says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QObject

from gui.lab.playback import replay
from gui.lab.playback.clock import Clock
from gui.lab.playback.player import BY_EVENT
from gui.lab.playback.replay import LastRows
from gui.lab.views.block_state import BlockStates, TableStates

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT, OWNERS, EVENTS = 6, 3, 12


@pytest.fixture(autouse=True, scope="module")
def _short_strides() -> Iterator[None]:
    """Snapshots every few rows, so that short records have many."""
    before, replay.STRIDE = replay.STRIDE, 3
    yield
    replay.STRIDE = before


def rows(*columns: st.SearchStrategy[int]) -> st.SearchStrategy[list[tuple[int, ...]]]:
    """Rows that begin with an ascending event."""
    events = st.integers(-1, EVENTS)
    return st.lists(st.tuples(events, *columns), max_size=40).map(
        lambda made: sorted(made, key=lambda r: r[0])
    )


BLOCK_ROWS = rows(
    st.integers(0, COUNT - 1), st.integers(-2, OWNERS - 1), st.integers(0, 4), st.integers(0, 16)
)
TABLE_ROWS = rows(st.integers(0, OWNERS - 1), st.integers(0, 4), st.integers(-1, COUNT - 1))


def columns(made: list[tuple[int, ...]], *names: str) -> dict[str, Any]:
    table = np.array(made, dtype=np.int64).reshape(-1, len(names))
    return {name: table[:, place] for place, name in enumerate(names)}


@given(BLOCK_ROWS, st.integers(-1, EVENTS) | st.none())
def test_the_last_rows_are_those_of_playing_from_the_start(
    made: list[tuple[int, ...]], event: int | None
) -> None:
    last = [-1] * COUNT
    for number, (at, block, *_) in enumerate(made):
        if event is None or at <= event:
            last[block] = number
    events, keys = [row[0] for row in made], [row[1] for row in made]
    assert LastRows(events, keys, COUNT).at(event).tolist() == last


@given(BLOCK_ROWS, st.integers(-1, EVENTS) | st.none())
def test_seeking_blocks_is_playing_them(made: list[tuple[int, ...]], event: int | None) -> None:
    owner, shared, filled = [-1] * COUNT, [0] * COUNT, [0] * COUNT
    for at, block, *state in made:
        if event is None or at <= event:
            owner[block], shared[block], filled[block] = state
    changes = columns(made, "event", "block", "owner", "shared", "filled")
    blocks = BlockStates({"count": COUNT, "block_size": 16, "changes": changes}).at(event)
    assert (blocks.owner.tolist(), blocks.shared.tolist(), blocks.filled.tolist()) == (owner, shared, filled)


@given(TABLE_ROWS, st.integers(-1, EVENTS) | st.none())
def test_seeking_tables_is_playing_them(made: list[tuple[int, ...]], event: int | None) -> None:
    tables: dict[tuple[int, int], int] = {}
    for at, owner, logical, block in made:
        if event is None or at <= event:
            tables[owner, logical] = block
    held = {place: block for place, block in sorted(tables.items()) if block >= 0}
    entries = TableStates(columns(made, "event", "owner", "logical", "block")).at(event)
    places = zip(entries.owner.tolist(), entries.logical.tolist(), strict=True)
    assert dict(zip(places, entries.block.tolist(), strict=True)) == held
    for block in range(COUNT):
        assert entries.owners_of(block) == sorted({owner for (owner, _), b in held.items() if b == block})


@given(TABLE_ROWS)
def test_the_most_owners_at_once(made: list[tuple[int, ...]]) -> None:
    states = TableStates(columns(made, "event", "owner", "logical", "block"))
    most = max(len(set(states.at(event).owner.tolist())) for event in range(-1, EVENTS + 1))
    assert states.most_owners == most


def test_what_a_lab_leaves_out_has_its_default() -> None:
    changes = columns([(0, 0, 2), (1, 1, -2), (2, 2, -1)], "event", "block", "owner")
    blocks = BlockStates({"count": 4, "block_size": 16, "changes": changes | {"shared": None}}).at(None)
    assert blocks.shared.tolist() == [1, 0, 0, 0]
    assert blocks.filled.tolist() == [16, 16, 0, 0]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30).map(sorted), st.floats(-10, 110))
def test_the_cursor_is_the_last_event_by_its_time(times: list[float], at: float) -> None:
    parent = QObject()
    clock = Clock(parent)
    clock.load(np.array(times), None)
    clock.seek_time(at)
    assert clock.cursor == sum(time <= max(at, times[0]) for time in times) - 1
    assert times[0] <= clock.now_s <= times[-1]
    clock.seek(len(times) + 5)
    assert clock.cursor == len(times) - 1
    clock.seek(-9)
    assert clock.cursor == -1


def make_clock(times: list[float], start: int | None = None) -> tuple[QObject, Clock]:
    parent = QObject()
    clock = Clock(parent)
    clock.load(np.array(times), start)
    return parent, clock


def test_a_trace_that_grows_keeps_the_readers_cursor() -> None:
    _parent, clock = make_clock([0.0, 1.0])
    assert clock.cursor == 1
    clock.load(np.array([0.0, 1.0, 2.0]), None)
    assert clock.cursor == 2  # nobody has moved it: it stays at the end
    clock.seek(0)
    clock.load(np.array([0.0, 1.0, 2.0, 3.0]), None)
    assert clock.cursor == 0
    clock.load(np.array([5.0, 6.0]), 0)  # another run
    assert (clock.cursor, clock.now_s) == (0, 5.0)


def test_playing_maps_the_wall_clock_to_the_traces(qapp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _parent, clock = make_clock([0.0, 1.0, 2.0, 10.0], start=0)
    now = 100.0
    monkeypatch.setattr("gui.lab.playback.player.time.perf_counter", lambda: now)
    player = clock.player
    player.set_speed(2.0)
    player.play()
    now += 0.75
    player._tick()
    assert (clock.now_s, clock.cursor) == (1.5, 1)
    now += 20
    player._tick()
    assert (clock.now_s, clock.cursor, player.playing) == (10.0, 3, False)
    player.play()  # at the end: from the start
    assert clock.cursor == -1
    player.set_speed(BY_EVENT)
    player._tick()
    player._tick()
    assert clock.cursor == 1
    player.pause()
    assert not player.playing


@pytest.mark.parametrize(
    ("span", "speed"), [(10.0, 1.0), (0.1, 0.005), (3600.0, 200.0), (0.0, BY_EVENT), (2.0, 0.1)]
)
def test_the_default_speed_plays_any_trace_in_a_while(qapp: Any, span: float, speed: float) -> None:
    _parent, clock = make_clock([0.0, span])
    assert clock.player.speed == pytest.approx(speed)
    assert any(abs(one - speed) < 1e-12 for one in clock.player.speeds())


def test_faster_and_slower_stop_at_the_ends(qapp: Any) -> None:
    _parent, clock = make_clock([0.0, 10.0])
    player = clock.player
    player.change_speed(+1)
    assert player.speed == 2.0
    player.change_speed(-99)
    assert player.speed == min(speed for speed in player.speeds() if speed > 0)
    player.change_speed(+99)
    assert player.speed == BY_EVENT
