"""Previews in flight, waiting and being drawn, over a client that does what the test says."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QObject, Signal

from gui.lab.worker.run_session import RunSession

LAB = "model/number_formats"


class Client(QObject):
    started = Signal(int, object)
    computed = Signal(int)
    upcoming = Signal(int, object)
    result = Signal(int, object)
    progress = Signal(int, object, object)
    finished = Signal(int, str, float)
    failed = Signal(int, object)
    crashed = Signal(str, str)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, Any]] = []

    def run(self, lab: str, params: dict[str, Any], preview: bool) -> int:
        self.asked.append(params)
        return len(self.asked)

    def stop(self) -> None:
        pass


@pytest.fixture
def client(qtbot: Any) -> Client:
    return Client()


@pytest.fixture
def session(client: Client) -> RunSession:
    return RunSession(client, client)  # type: ignore[arg-type]


def shown(session: RunSession) -> list[str]:
    seen: list[str] = []
    session.result.connect(seen.append)
    return seen


def test_the_waiting_preview_is_computed_while_the_last_one_is_drawn(
    client: Client, session: RunSession
) -> None:
    seen = shown(session)
    for bits in (2, 3, 4):
        session.run_preview(LAB, {"bits": bits})
    assert client.asked == [{"bits": 2}]
    client.computed.emit(1)
    assert client.asked == [{"bits": 2}, {"bits": 4}]
    client.result.emit(1, "picture of 2")
    client.finished.emit(1, "done", 0.1)
    client.result.emit(2, "picture of 4")
    assert seen == ["picture of 2", "picture of 4"]


def test_a_value_that_comes_when_the_worker_is_free_does_not_wait_for_the_drawing(
    client: Client, session: RunSession
) -> None:
    session.run_preview(LAB, {"bits": 2})
    client.computed.emit(1)
    session.run_preview(LAB, {"bits": 3})
    assert client.asked == [{"bits": 2}, {"bits": 3}]


def test_no_more_than_one_preview_waits_to_be_drawn(client: Client, session: RunSession) -> None:
    for bits in (2, 3):
        session.run_preview(LAB, {"bits": bits})
    client.computed.emit(1)
    session.run_preview(LAB, {"bits": 4})
    client.computed.emit(2)
    assert len(client.asked) == 2
    client.finished.emit(1, "done", 0.1)
    assert client.asked[2:] == [{"bits": 4}]


def test_an_exact_run_takes_no_more_pictures_of_previews(client: Client, session: RunSession) -> None:
    seen = shown(session)
    for bits in (2, 3):
        session.run_preview(LAB, {"bits": bits})
    client.computed.emit(1)
    session.run_exact(LAB, {"bits": 5})
    client.result.emit(1, "picture of 2")
    client.result.emit(3, "picture of 5")
    assert seen == ["picture of 5"]


def test_the_last_preview_ends(client: Client, session: RunSession) -> None:
    ends: list[str] = []
    session.ended.connect(lambda status, _seconds: ends.append(status))
    for bits in (2, 3):
        session.run_preview(LAB, {"bits": bits})
    for run in (1, 2):
        client.computed.emit(run)
        client.finished.emit(run, "done", 0.1)
    assert ends == ["done"]
    assert not session.running
