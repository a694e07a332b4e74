"""What is written, in which order, and what is dropped, whatever the reader's pace."""

from __future__ import annotations

import io
import itertools
import threading
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from labs import wire
from labs.outbox import INITIAL_CREDIT, MOST_WAITING, Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Pipe(io.RawIOBase):
    """A reader that can refuse to read."""

    def __init__(self) -> None:
        self.open_gate = threading.Event()
        self.open_gate.set()
        self.messages: list[dict[str, Any]] = []
        self.arrived = threading.Condition()

    def write(self, frame: Any) -> int:
        self.open_gate.wait(60)
        body = wire.read_body(io.BytesIO(bytes(frame)))
        assert body is not None
        with self.arrived:
            self.messages.append(wire.decode(body))
            self.arrived.notify_all()
        return len(frame)

    def until(self, type: str) -> list[dict[str, Any]]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: any(m["type"] == type for m in self.messages), 60)
            return list(self.messages)


def outbox() -> tuple[Outbox, Pipe]:
    pipe = Pipe()
    return Outbox(pipe), pipe  # type: ignore[arg-type]


def send_results(box: Outbox, count: int, ids: Iterable[str] = "a") -> None:
    for value in range(count):
        for result_id in ids:
            box.result(result_id, {"type": "result", "id": result_id, "value": value})


def shown(messages: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(m["id"], m["value"]) for m in messages if m["type"] == "result"]


def test_without_credit_the_latest_of_each_id_waits_and_goes_out_at_the_end() -> None:
    box, pipe = outbox()
    box.begin(1, {"type": "started"})
    send_results(box, 100, "ab")
    box.finish({"type": "finished"}, deliver=True)
    messages = pipe.until("finished")
    assert messages[0]["type"] == "started" and messages[-1]["type"] == "finished"
    assert shown(messages) == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 99), ("b", 99)]


def test_what_nobody_wants_any_more_is_dropped() -> None:
    box, pipe = outbox()
    box.begin(1, {"type": "started"})
    send_results(box, 100)
    box.finish({"type": "finished"}, deliver=False)
    assert len(shown(pipe.until("finished"))) == INITIAL_CREDIT


def test_granted_credit_sends_what_waits_and_lets_the_next_ones_through() -> None:
    box, pipe = outbox()
    box.begin(1, {"type": "started"})
    send_results(box, INITIAL_CREDIT + 5)
    box.grant(1, 2)
    send_results(box, 2)
    box.send({"type": "log"})
    values = [value for _, value in shown(pipe.until("log"))]
    assert values == [0, 1, 2, 3, 8, 0]


def test_credit_of_another_run_counts_for_nothing() -> None:
    box, pipe = outbox()
    box.begin(2, {"type": "started"})
    box.grant(1, 100)
    send_results(box, 50)
    box.send({"type": "log"})
    assert len(shown(pipe.until("log"))) == INITIAL_CREDIT


def test_each_run_begins_with_fresh_credit() -> None:
    box, pipe = outbox()
    for run in (1, 2):
        box.begin(run, {"type": "started"})
        box.grant(run, 10)
        box.finish({"type": "over"}, deliver=True)
    box.begin(3, {"type": "started"})
    send_results(box, 50)
    box.send({"type": "log"})
    assert len(shown(pipe.until("log"))) == INITIAL_CREDIT


def test_a_slow_reader_holds_nobody_up() -> None:
    box, pipe = outbox()
    pipe.open_gate.clear()
    box.begin(1, {"type": "started"})
    send_results(box, 1000)  # returns although nobody reads
    box.finish({"type": "finished"}, deliver=True)
    pipe.open_gate.set()
    values = [value for _, value in shown(pipe.until("finished"))]
    assert values == [0, 1, 2, 3, 999]


def test_a_message_shows_its_arrays_as_they_were_when_it_was_sent() -> None:
    import numpy as np

    box, pipe = outbox()
    pipe.open_gate.clear()
    box.begin(1, {"type": "started"})
    buffer = np.zeros(3)
    box.result("a", {"type": "result", "data": buffer})
    buffer += 1
    box.finish({"type": "finished"}, deliver=True)
    pipe.open_gate.set()
    result = next(m for m in pipe.until("finished") if m["type"] == "result")
    assert result["data"].tolist() == [0, 0, 0]


def test_only_the_latest_progress_is_told_and_none_after_the_end() -> None:
    box, pipe = outbox()
    pipe.open_gate.clear()
    box.begin(1, {"type": "started"})
    for step in range(1000):
        box.progress({"type": "progress", "step": step})
    pipe.open_gate.set()
    steps = [m["step"] for m in pipe.until("progress") if m["type"] == "progress"]
    assert steps == [999]
    box.progress({"type": "progress", "step": 1000})
    box.finish({"type": "finished"}, deliver=True)
    box.send({"type": "log"})
    assert [m["type"] for m in pipe.until("log")].index("finished") == len(pipe.messages) - 2


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 3 * MOST_WAITING), max_size=400),
    st.lists(st.integers(1, 2 * MOST_WAITING), min_size=1, max_size=20),
)
def test_the_last_of_each_id_arrives_whatever_the_credit(ids: list[int], grants: list[int]) -> None:
    box, pipe = outbox()
    box.begin(1, {"type": "started"})

    def compute() -> None:
        for value, result_id in enumerate(ids):
            box.result(str(result_id), {"type": "result", "id": str(result_id), "value": value})

    lab = in_background(compute)
    for frames in itertools.cycle(grants):
        lab.join(0.001)
        if not lab.is_alive():
            break
        box.grant(1, frames)
    box.finish({"type": "finished"}, deliver=True)
    arrived = shown(pipe.until("finished"))
    assert dict(arrived) == {str(result_id): value for value, result_id in enumerate(ids)}
    for result_id in ids:
        values = [value for name, value in arrived if name == str(result_id)]
        assert values == sorted(values)


def test_ever_new_ids_wait_for_credit_and_old_ones_do_not() -> None:
    box, pipe = outbox()
    box.begin(1, {"type": "started"})
    room = INITIAL_CREDIT + MOST_WAITING
    for value in range(room):
        send_results(box, 1, [str(value)])
    send_results(box, 5, [str(room - 1)])  # takes the place of an older one
    lab = in_background(lambda: send_results(box, 1, ["one more"]))
    lab.join(0.2)
    assert lab.is_alive()
    box.grant(2, 1)  # another run's
    lab.join(0.2)
    assert lab.is_alive()
    box.grant(1, 1)
    lab.join(60)
    assert not lab.is_alive()
    box.finish({"type": "finished"}, deliver=True)
    assert len(shown(pipe.until("finished"))) == room + 1


def test_a_run_that_is_to_end_waits_for_nothing() -> None:
    box, pipe = outbox()
    box.begin(1, {"type": "started"})
    lab = in_background(lambda: send_results(box, 1, [str(name) for name in range(2 * MOST_WAITING)]))
    lab.join(0.2)
    box.end_soon(0)
    assert lab.is_alive()
    box.end_soon(1)
    lab.join(60)
    assert not lab.is_alive()
    box.finish({"type": "finished"}, deliver=True)
    assert len(shown(pipe.until("finished"))) == 2 * MOST_WAITING
    box.begin(2, {"type": "started"})  # the next run has its patience again
    lab = in_background(lambda: send_results(box, 1, [str(name) for name in range(2 * MOST_WAITING)]))
    lab.join(0.2)
    assert lab.is_alive()
    box.end_soon(2)
