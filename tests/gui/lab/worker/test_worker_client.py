"""The client against a fake worker: results, stops, supersession, crashes, and a fresh worker after each."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

import pytest
from PySide6.QtCore import QProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from gui.lab.worker.client import WorkerClient

LAB = "model/quantization_granularity"


def collect(signal: Any) -> list[tuple[Any, ...]]:
    seen: list[tuple[Any, ...]] = []
    signal.connect(lambda *args: seen.append(args))
    return seen


def test_it_says_ready_and_describes_labs(qtbot: Any, client: WorkerClient) -> None:
    ready = collect(client.ready)
    with qtbot.waitSignal(client.labs) as described:
        client.describe()
    labs, broken = described.args
    assert ready[0][0]["torch"] == "2.13.0"
    assert labs[0]["id"] == LAB
    assert broken[0]["traceback"] == "SyntaxError: no"


def test_a_run_gives_results_and_ends(qtbot: Any, client: WorkerClient) -> None:
    results, started = collect(client.result), collect(client.started)
    with qtbot.waitSignal(client.finished) as end:
        run = client.run(LAB, {"bits": 3})
    assert [result["kind"] for _, result in results] == ["metric", "histogram"]
    assert started[0][1]["params"] == {"bits": 3}
    assert end.args == [run, "done", 0.25]
    assert not client.busy


def test_credit_lets_more_results_through_than_the_first_four(qtbot: Any, client: WorkerClient) -> None:
    results = collect(client.result)
    with qtbot.waitSignal(client.finished):
        client.run(LAB, {"note": "many"})
    assert len(results) == 40


def test_a_frame_of_megabytes_arrives_whole(qtbot: Any, client: WorkerClient) -> None:
    with qtbot.waitSignal(client.result) as got:
        client.run(LAB, {"note": "big"})
    assert got.args[1]["values"].shape == (1000, 1000)


def of_run_1(name: str, value: int = 0) -> dict[str, Any]:
    return {"type": "result", "run": 1, "result": {"id": name, "value": value}}


def test_a_newer_result_takes_the_place_of_one_not_drawn_yet(client: WorkerClient) -> None:
    client._newest = 1
    results = collect(client.result)
    for message in (of_run_1("a"), of_run_1("b"), of_run_1("a", 2)):
        client._enqueue(message)
    client._deliver_all()
    assert [(result["id"], result["value"]) for _, result in results] == [("a", 2), ("b", 0)]


def test_making_room_for_a_result_and_drawing_it_have_a_turn_each(client: WorkerClient) -> None:
    client._newest = 1
    seen: list[str] = []
    client.upcoming.connect(lambda _run, result: (seen.append(f"room for {result['id']}"), time.sleep(0.02)))
    client.result.connect(lambda _run, result: seen.append(result["id"]))
    client._enqueue(of_run_1("a"))
    client._deliver()
    assert seen == ["room for a"]
    client._deliver()
    assert seen == ["room for a", "a"]


def test_stop_is_cooperative(qtbot: Any, client: WorkerClient) -> None:
    with qtbot.waitSignal(client.result):
        client.run(LAB, {"note": "wait"})
    worker = client.process_id
    with qtbot.waitSignal(client.finished) as end:
        client.stop()
    assert end.args[1] == "stopped"
    assert client.process_id == worker


def test_an_ignored_stop_kills_and_a_fresh_worker_takes_over(
    qtbot: Any, make_client: Callable[..., WorkerClient]
) -> None:
    client = make_client(stop_patience_s=0.05)
    with qtbot.waitSignal(client.result):
        client.run(LAB, {"note": "deaf"})
    old = client.process_id
    crashes = collect(client.crashed)
    with qtbot.waitSignal(client.finished) as end:
        client.stop()
    assert end.args[1] == "killed"
    assert client.process_id not in (0, old)
    with pytest.raises(ProcessLookupError):
        os.kill(old, 0)
    with qtbot.waitSignal(client.finished) as end:
        client.run(LAB, {})
    assert end.args[1] == "done"
    assert crashes == []


def test_a_new_run_supersedes_the_old_one(qtbot: Any, client: WorkerClient) -> None:
    ends, results = collect(client.finished), collect(client.result)
    with qtbot.waitSignal(client.result):
        first = client.run(LAB, {"note": "wait", "bits": 2})
    with qtbot.waitSignal(client.finished, check_params_cb=lambda _run, status, _s: status == "done"):
        second = client.run(LAB, {"bits": 8})
    assert [end[:2] for end in ends] == [(first, "superseded"), (second, "done")]
    assert {run for run, _ in results[1:]} == {second}


def test_only_the_newest_of_many_requests_runs(qtbot: Any, client: WorkerClient) -> None:
    ends, started = collect(client.finished), collect(client.started)
    with qtbot.waitSignal(client.finished, check_params_cb=lambda run, _status, _s: run == 6):
        for bits in range(2, 8):
            client.run(LAB, {"bits": bits})
    assert sorted(run for run, _, _ in ends) == [1, 2, 3, 4, 5, 6]
    assert started[-1][1]["params"] == {"bits": 7}


def test_a_deaf_run_cannot_hold_up_the_next_for_ever(
    qtbot: Any, make_client: Callable[..., WorkerClient]
) -> None:
    client = make_client(supersede_patience_s=0.05)
    with qtbot.waitSignal(client.result):
        client.run(LAB, {"note": "deaf"})
    with qtbot.waitSignal(
        client.finished, check_params_cb=lambda run, status, _s: (run, status) == (2, "done")
    ):
        client.run(LAB, {"bits": 5})


def test_results_of_an_older_run_are_dropped(qtbot: Any, client: WorkerClient) -> None:
    results = collect(client.result)
    client.run(LAB, {})
    with qtbot.waitSignal(client.finished, check_params_cb=lambda run, _status, _s: run == 2):
        client.run(LAB, {"note": "stale"})
    assert "of_an_older_run" not in [result["id"] for _, result in results]


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("abort", "SIGABRT"),
        ("out_of_memory", "ran out of memory"),
        ("leave", "exit status 7"),
        ("garbage", "not a result"),
        ("huge_frame", "not a result"),
    ],
)
def test_a_crash_is_told_and_the_next_run_works(
    qtbot: Any, client: WorkerClient, act: str, said: str
) -> None:
    with qtbot.waitSignal(client.crashed) as crash:
        client.run(LAB, {"note": act})
    assert said in crash.args[0]
    assert not client.busy
    with qtbot.waitSignal(client.finished) as end:
        client.run(LAB, {})
    assert end.args[1] == "done"


def test_a_crash_tells_the_end_of_stderr(qtbot: Any, client: WorkerClient) -> None:
    results = collect(client.result)
    with qtbot.waitSignal(client.crashed) as crash:
        client.run(LAB, {"note": "abort"})
    assert "terminate called" in crash.args[1]
    assert len(results) == 1  # what came before the crash was shown


def test_a_worker_that_cannot_start_says_so(qtbot: Any, make_client: Callable[..., WorkerClient]) -> None:
    client = make_client(command=["/no/such/program"])
    with qtbot.waitSignal(client.crashed) as crash:
        client.describe()
    assert "could not be started" in crash.args[0]


def test_another_model_gets_a_fresh_worker_with_its_path(qtbot: Any, client: WorkerClient) -> None:
    with qtbot.waitSignal(client.ready):
        client.describe()
    old = client.process_id
    with qtbot.waitSignal(client.ready):
        client.use_model(Path("/models/other"))
    arguments = Path(f"/proc/{client.process_id}/cmdline").read_bytes().split(b"\0")
    assert client.process_id != old
    assert arguments[-3:-1] == [b"--model", b"/models/other"]


def test_shutdown_leaves_no_process(qtbot: Any, client: WorkerClient) -> None:
    with qtbot.waitSignal(client.ready):
        client.describe()
    worker = client.process_id
    client.shutdown()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_shutdown_waits_for_a_worker_that_is_slow_to_die(
    make_client: Callable[..., WorkerClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine: here the kill itself comes late."""

    def kill_late(process: QProcess) -> None:
        Timer(1.5, os.kill, (process.processId(), signal.SIGKILL)).start()

    client = make_client(command=[sys.executable, "-c", "import time; time.sleep(60)"])
    client.describe()
    worker = client.process_id
    monkeypatch.setattr(QProcess, "kill", kill_late)
    client.shutdown()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
