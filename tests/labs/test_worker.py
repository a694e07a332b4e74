"""The worker as a window sees it: a real process, real pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from labs.outbox import INITIAL_CREDIT, MOST_WAITING
from tests.labs.worker_client import PATIENCE_S, ROOT, WorkerClient

if TYPE_CHECKING:
    from pathlib import Path


def results(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message["result"] for message in messages if message["type"] == "result"]


def test_says_at_start_what_it_runs_on(worker: WorkerClient) -> None:
    ready = worker.receive()
    assert ready and ready["type"] == "ready"
    environment = ready["environment"]
    assert environment["python"] == sys.version.split()[0]
    assert environment["threads"] == 1
    assert environment["torch"]


def test_describes_good_labs_and_broken_ones(worker: WorkerClient, fake_catalog: Path) -> None:
    worker.send("describe")
    answer = worker.until("labs")[-1]
    ids = [lab["id"] for lab in answer["labs"]]
    assert "model/good" in ids and "model/slow" in ids and ids == sorted(ids)
    good = next(lab for lab in answer["labs"] if lab["id"] == "model/good")
    assert good["source"] == (fake_catalog / "model" / "good.py").read_text(encoding="utf-8")
    assert good["schema"]["properties"]["bits"]["maximum"] == 8
    assert good["smoke"]["bits"] == 3
    broken = {entry["file"].rsplit("/", 1)[-1]: entry["traceback"] for entry in answer["broken"]}
    assert "SyntaxError" in broken["misspelt.py"]
    assert "no_such_module" in broken["missing_import.py"]


def test_a_run_from_start_to_end(worker: WorkerClient) -> None:
    worker.run(7, "model/good", params={"bits": 6})
    messages = worker.until("finished", run=7)
    started = next(message for message in messages if message["type"] == "started")
    assert started["params"] == {
        "bits": 6,
        "value": 0.5,
        "group_size": 32,
        "mode": "nearest",
        "sweep": False,
    }
    assert started["environment"]["device"] in ("cpu", "cuda")
    predicted, measured, curve = results(messages)
    assert predicted["provenance"] == "estimated" and predicted["value"] == 0.75
    assert measured["value"] == 6.0 and measured["predicted"] == 0.75
    assert measured["formula"] == {"zh": "bits / 8", "en": "bits / 8"}
    np.testing.assert_array_equal(curve["series"][0]["y"], [1.5, np.nan, np.inf])
    finished = messages[-1]
    assert finished["status"] == "done" and finished["seconds"] > 0


def test_seed_and_preview_reach_the_lab(worker: WorkerClient) -> None:
    worker.run(1, "model/seeded", seed=41, preview=True)
    seen = {result["id"]: result["value"] for result in results(worker.until("finished"))}
    assert seen == {"seed": 41.0, "preview": 1.0}


def test_prints_go_to_stderr_and_not_into_the_stream(worker: WorkerClient) -> None:
    worker.run(1, "model/printing")
    assert results(worker.until("finished"))[0]["value"] == 1.0
    worker.run(2, "model/good")
    assert worker.result_of(2)["status"] == "done"
    worker.close()
    for line in ("python print", "C level print", "child print"):
        assert line in worker.errors()


def test_a_crashing_lab_is_an_answer_and_the_next_run_works(worker: WorkerClient) -> None:
    worker.run(1, "model/crashing")
    messages = worker.until("failed")
    assert [result["id"] for result in results(messages)] == ["before"]
    failed = messages[-1]
    assert failed["user_error"] is False
    assert failed["text"]["en"] == "RuntimeError: the lab's own bug"
    assert "model/crashing.py" in failed["traceback"]
    worker.run(2, "model/good")
    assert worker.result_of(2)["status"] == "done"


def test_a_worker_whose_gpu_is_lost_ends(worker: WorkerClient) -> None:
    """As torch names it: whatever is asked of the GPU next would fail as well."""
    worker.run(1, "model/faulting")
    assert worker.wait() == 1
    worker.close()
    assert "illegal memory access" in worker.errors()


@pytest.mark.parametrize(
    ("lab", "params", "user_error", "expected"),
    [
        ("model/refusing", {}, True, "this device lacks it"),
        ("model/good", {"bits": 9}, True, "bits = 9 is out of range: allowed 2 – 8 bit; nearest 8"),
        ("model/goodd", {}, True, "did you mean 'model/good'?"),
        ("model/missing_import", {}, False, "does not import: ModuleNotFoundError"),
        ("model/exhausting", {}, False, "Out of memory"),
        ("model/leaving", {}, False, "SystemExit: 3"),
        ("model/interrupting", {}, False, "KeyboardInterrupt"),
        ("model/undecodable", {}, True, r"cannot use caf\udce9.gguf"),
        ("model/verbose", {}, False, "xx … xx"),
        ("model/speechless", {}, False, "Speechless"),
    ],
)
def test_failures_say_whose_fault_they_are(
    worker: WorkerClient, lab: str, params: dict[str, Any], user_error: bool, expected: str
) -> None:
    worker.run(1, lab, params=params)
    failed = worker.result_of(1)
    assert failed["type"] == "failed"
    assert failed["user_error"] is user_error
    assert expected in failed["text"]["en"]
    assert failed["text"]["zh"]
    assert bool(failed["traceback"]) is not user_error
    worker.run(2, "model/good")
    assert worker.result_of(2)["status"] == "done"


def test_stop(worker: WorkerClient) -> None:
    worker.run(1, "model/slow")
    worker.until("result")
    worker.send("stop", run=1)
    assert worker.result_of(1)["status"] == "stopped"


def test_stopping_another_run_changes_nothing(worker: WorkerClient) -> None:
    worker.run(5, "model/slow")
    worker.until("result")
    worker.send("stop", run=4)
    worker.run(6, "model/good")
    assert worker.result_of(5)["status"] == "superseded"


def test_the_newest_request_wins(worker: WorkerClient) -> None:
    worker.run(1, "model/slow")
    worker.until("result")
    for run in range(2, 12):
        worker.run(run, "model/slow", params={"bits": 2 + run % 7})
    worker.run(12, "model/good")
    messages = worker.until("finished", run=12)
    ends = {message["run"]: message["status"] for message in messages if message["type"] == "finished"}
    assert ends == dict.fromkeys(range(1, 12), "superseded") | {12: "done"}
    # Only runs that reached the main thread are told to have started, and each start precedes the next.
    starts = [message["run"] for message in messages if message["type"] == "started"]
    assert starts == sorted(starts) and starts[-1] == 12


def test_a_waiting_run_can_be_stopped_before_it_starts(worker: WorkerClient) -> None:
    worker.run(1, "model/busy")  # it never asks whether it should stop
    worker.until("result")
    worker.run(2, "model/good")
    worker.send("stop", run=2)
    assert worker.result_of(2)["status"] == "stopped"


def test_credit_holds_back_frames_and_the_last_state_arrives(worker: WorkerClient) -> None:
    worker.run(1, "model/flooding")
    messages = worker.until("finished", run=1)
    shown = results(messages)
    # Four on credit; then, at the end, the latest of each of the two ids.
    assert [(result["id"], result["value"]) for result in shown] == [
        ("counter", 0.0),
        ("square", 0.0),
        ("counter", 1.0),
        ("square", 1.0),
        ("counter", 199.0),
        ("square", 199.0**2),
    ]


def test_a_lab_with_ever_new_results_waits_for_credit_and_stops(worker: WorkerClient) -> None:
    worker.run(1, "model/endless")
    last = INITIAL_CREDIT + MOST_WAITING
    messages = []
    while not (messages and messages[-1]["type"] == "progress" and messages[-1]["text"]["en"] == str(last)):
        messages += worker.until("progress")
    worker.send("stop", run=1)
    messages += worker.until("finished", run=1)
    assert messages[-1]["status"] == "stopped"
    assert [result["value"] for result in results(messages)] == [float(count) for count in range(last + 1)]


def test_credit_lets_waiting_frames_through(worker: WorkerClient, fake_catalog: Path) -> None:
    worker.run(1, "model/slow")
    worker.until("result")
    worker.send("credit", run=1, frames=1000)
    worker.send("stop", run=1)
    worker.result_of(1)
    worker.send("credit", run=2, frames=1000)  # for a run that is not there: no effect
    worker.run(2, "model/flooding")
    assert len(results(worker.until("finished", run=2))) == 6
    worker.run(3, "model/flooding")
    worker.until("started", run=3)
    worker.send("credit", run=3, frames=1000)
    shown = results(worker.until("finished", run=3))
    assert shown[-1]["value"] == 199.0**2 and shown[-2]["value"] == 199.0


def test_progress_is_thinned_and_never_follows_the_end(worker: WorkerClient) -> None:
    worker.run(1, "model/flooding")
    messages = worker.until("finished")
    worker.run(2, "model/good")
    messages += worker.until("finished", run=2)
    progress = [message for message in messages if message["type"] == "progress"]
    assert len(progress) < 200
    first_end = next(i for i, message in enumerate(messages) if message["type"] == "finished")
    assert all(message.get("run") != 1 for message in messages[first_end + 1 :])


def test_abort_kills_only_the_worker_and_names_the_signal(worker: WorkerClient) -> None:
    worker.run(1, "model/aborting")
    while worker.receive() is not None:
        pass
    assert worker.wait() == -signal.SIGABRT
    worker.close()
    assert "aborting.py" in worker.errors()  # faulthandler's traceback


def test_the_end_of_stdin_ends_a_busy_worker(worker: WorkerClient) -> None:
    worker.run(1, "model/busy")
    worker.until("result")
    assert worker.process.stdin
    worker.process.stdin.close()
    assert worker.wait() == 0


def test_interrupts_are_for_the_window(worker: WorkerClient) -> None:
    worker.run(1, "model/slow")
    worker.until("result")
    worker.process.send_signal(signal.SIGINT)
    worker.run(2, "model/good")
    assert worker.result_of(2)["status"] == "done"


def test_a_bad_request_is_logged_and_the_next_one_served(worker: WorkerClient) -> None:
    worker.send_body(b"\xc1 not MessagePack")
    assert "cannot be read" in worker.until("log")[-1]["text"]
    worker.send_body(msgspec.msgpack.encode({"type": "dance"}))
    assert "dance" in worker.until("log")[-1]["text"]
    worker.run(1, "model/good")
    assert worker.result_of(1)["status"] == "done"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_no_worker_outlives_its_window(fake_catalog: Path) -> None:
    """The parent is killed while another process still holds the worker's stdin open."""
    parent = f"""
import subprocess, sys, time
from labs import wire
worker = subprocess.Popen([sys.executable, "-m", "labs.worker", "--catalog", {str(fake_catalog)!r}],
                          stdin=int(sys.argv[1]), stdout=subprocess.PIPE)
while wire.decode(wire.read_body(worker.stdout))["type"] != "ready":
    pass
print(worker.pid, flush=True)
time.sleep(3600)
"""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", parent, str(read_end)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        pass_fds=[read_end],
    )
    try:
        assert process.stdout
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
        process.stdout.close()
        deadline = time.monotonic() + PATIENCE_S
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not _alive(pid)
    finally:
        os.close(read_end)
        os.close(write_end)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can ask for it")
def test_what_a_lab_forks_dies_with_the_worker(worker: WorkerClient) -> None:
    """The child of such a lab goes on as a worker of its own, which nobody would ever end."""
    worker.run(1, "model/forking")
    (child,) = [int(result["value"]) for result in results(worker.until("finished"))]
    assert _alive(child)
    worker.process.kill()
    worker.process.wait()
    deadline = time.monotonic() + PATIENCE_S
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux scores processes")
def test_the_worker_is_the_first_to_go_without_memory(worker: WorkerClient) -> None:
    worker.receive()
    with open(f"/proc/{worker.process.pid}/oom_score_adj") as score:
        assert int(score.read()) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="priorities are POSIX's here")
def test_the_worker_leaves_its_window_the_processor(worker: WorkerClient) -> None:
    worker.receive()
    own, others = os.getpriority(os.PRIO_PROCESS, 0), os.getpriority(os.PRIO_PROCESS, worker.process.pid)
    assert others >= min(own + 5, 19)


def test_describing_imports_no_torch(worker: WorkerClient) -> None:
    worker.send("describe")
    worker.until("labs")
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    with open(f"/proc/{worker.process.pid}/maps") as maps:
        assert "libtorch" not in maps.read()
