"""``python -m labs`` as a shell sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.labs.worker_client import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    Completed = subprocess.CompletedProcess[str]


def shell(*arguments: str, language: str = "C.UTF-8") -> Completed:
    return subprocess.run(
        [sys.executable, "-m", "labs", *arguments],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": language, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def complaint(done: Completed) -> str:
    """The last line of stderr: the reason."""
    return done.stderr.splitlines()[-1]


def run_json(fake_catalog: Path, *arguments: str) -> dict[str, Any]:
    done = shell("run", *arguments, "--json", "--catalog", str(fake_catalog))
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert isinstance(record, dict)
    return record


def test_list_as_json(fake_catalog: Path) -> None:
    done = shell("list", "--json", "--catalog", str(fake_catalog))
    assert done.returncode == 0
    labs = json.loads(done.stdout)
    good = next(lab for lab in labs if lab["id"] == "model/good")
    assert good == {
        "id": "model/good",
        "title": {"zh": "实验 model/good", "en": "Lab model/good"},
        "sections": ["1.2.1"],
    }
    assert "misspelt.py does not import: SyntaxError" in done.stderr


@pytest.mark.parametrize(
    ("language", "title"), [("C.UTF-8", "Lab model/good"), ("zh_CN.UTF-8", "实验 model/good")]
)
def test_list_for_people_in_the_language_of_the_locale(fake_catalog: Path, language: str, title: str) -> None:
    done = shell("list", "--catalog", str(fake_catalog), language=language)
    assert f"{title}  (1.2.1)" in done.stdout


def test_describe(fake_catalog: Path) -> None:
    done = shell("describe", "model/good", "--catalog", str(fake_catalog))
    assert "--bits  Bits: integer 2 – 8 bit (default 4)" in done.stdout
    assert "--group-size  Group size: 16 | 32 | 64 (default 32)" in done.stdout
    assert "--sweep  Sweep: boolean (default false)" in done.stdout
    assert "wide: Wide. Eight bits." in done.stdout
    described = json.loads(shell("describe", "model/good", "--json", "--catalog", str(fake_catalog)).stdout)
    assert described["schema"]["properties"]["bits"]["minimum"] == 2


def test_a_run_as_json_is_one_object(fake_catalog: Path) -> None:
    record = run_json(fake_catalog, "model/good", "--bits", "6")
    assert set(record) == {"lab", "params", "seed", "environment", "results", "seconds"}
    assert record["lab"] == "model/good"
    assert record["params"] == {"bits": 6, "value": 0.5, "group_size": 32, "mode": "nearest", "sweep": False}
    assert record["environment"]["python"] and record["seconds"] > 0
    # The prediction was replaced by the measurement of the same id.
    assert [result["id"] for result in record["results"]] == ["size", "curve"]
    for result in record["results"]:
        assert result["kind"] and result["title"]["zh"] and result["provenance"] and result["unit"] == "B"
    size, curve = record["results"]
    assert (size["value"], size["predicted"]) == (6.0, 0.75)
    assert curve["series"][0]["y"] == [1.5, None, None]


def test_stray_prints_stay_out_of_the_json(fake_catalog: Path) -> None:
    done = shell("run", "model/printing", "--json", "--catalog", str(fake_catalog))
    assert json.loads(done.stdout)["results"][0]["value"] == 1.0
    for line in ("python print", "C level print", "child print"):
        assert line in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--bits=5"], {"bits": 5}),
        (["--group-size", "64"], {"group_size": 64}),
        (["--group_size=16"], {"group_size": 16}),
        (["--value", "-0.5"], {"value": -0.5}),
        (["--value", "-1e-3"], {"value": -1e-3}),
        (["--sweep"], {"sweep": True}),
        (["--sweep", "--bits", "3"], {"sweep": True, "bits": 3}),
        (["--sweep=no"], {"sweep": False}),
        (["--sweep", "false", "--bits", "3"], {"sweep": False, "bits": 3}),
        (["--bits", "3", "--sweep", "True"], {"sweep": True, "bits": 3}),
        (["--preset", "wide"], {"bits": 8}),
        (["--preset", "wide", "--value", "2"], {"bits": 8, "value": 2.0}),
        (["--preset", "smoke"], {"bits": 3}),
        (["--mode", "stochastic"], {"mode": "stochastic"}),
    ],
)
def test_parameters(fake_catalog: Path, arguments: list[str], expected: dict[str, Any]) -> None:
    params = run_json(fake_catalog, "model/good", *arguments)["params"]
    assert {name: params[name] for name in expected} == expected


def test_seed(fake_catalog: Path) -> None:
    record = run_json(fake_catalog, "model/seeded", "--seed", "41")
    assert record["seed"] == 41 and record["results"][0]["value"] == 41.0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["run", "model/good", "--bits", "9"], "bits = 9 is out of range: allowed 2 – 8 bit; nearest 8"),
        (["run", "model/good", "--bits", "four"], "bits = 'four' must be an integer"),
        (["run", "model/good", "--bits"], "--bits needs a value"),
        (["run", "model/good", "--bit", "4"], "no parameter 'bit'; did you mean 'bits'?"),
        (["run", "model/good", "--mode", "nearst"], "is not one of: nearest, stochastic; nearest: nearest"),
        (["run", "model/good", "--preset", "wid"], "no preset 'wid'; did you mean 'wide'?"),
        (["run", "model/good", "4"], "what is '4'?"),
        (["run", "model/god"], "no lab 'model/god'; did you mean 'model/good'?"),
        (["describe", "model/god"], "no lab 'model/god'; did you mean 'model/good'?"),
        (["run"], "the following arguments are required: ID"),
        (["list", "--jsn"], "unrecognized arguments: --jsn"),
        (["run", "model/good", "--seed", "x"], "argument --seed: invalid int value: 'x'"),
    ],
)
def test_what_cannot_be_asked_exits_with_2_and_one_line(
    fake_catalog: Path, arguments: list[str], reason: str
) -> None:
    done = shell(arguments[0], "--catalog", str(fake_catalog), *arguments[1:])
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1 and reason in done.stderr


def test_an_unknown_command_names_the_known_ones() -> None:
    done = shell("lst")
    assert done.returncode == 2
    assert "'list', 'describe', 'run'" in complaint(done)


def test_a_lab_that_refuses_exits_with_1_and_one_line(fake_catalog: Path) -> None:
    done = shell("run", "model/refusing", "--catalog", str(fake_catalog))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "python -m labs: this device lacks it\n"
    done = shell("run", "model/refusing", "--catalog", str(fake_catalog), language="zh_CN.UTF-8")
    assert done.stderr == "python -m labs: 此设备没有它\n"


def test_a_crash_exits_with_1_shows_the_traceback_and_what_had_come(fake_catalog: Path) -> None:
    done = shell("run", "model/crashing", "--catalog", str(fake_catalog))
    assert done.returncode == 1
    assert "before: 1 B (measured)" in done.stdout
    assert "crashing.py" in done.stderr and "Traceback" in done.stderr
    assert complaint(done) == "python -m labs: RuntimeError: the lab's own bug"


def test_a_run_out_of_memory_says_what_to_do(fake_catalog: Path) -> None:
    done = shell("run", "model/exhausting", "--catalog", str(fake_catalog))
    assert done.returncode == 1
    assert complaint(done).startswith("python -m labs: Out of memory: choose smaller values")


def test_a_lab_that_exits_by_itself_has_failed(fake_catalog: Path) -> None:
    done = shell("run", "model/exiting", "--catalog", str(fake_catalog))
    assert done.returncode == 1
    assert "before: 1 B" in done.stdout
    assert complaint(done) == "python -m labs: RuntimeError: SystemExit: 5"


def test_a_broken_lab_exits_with_1_and_its_traceback(fake_catalog: Path) -> None:
    done = shell("run", "model/missing_import", "--catalog", str(fake_catalog))
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "no_such_module" in complaint(done)


def busy(catalog: Path) -> subprocess.Popen[str]:
    """A run that has shown a result and will not end by itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "labs", "run", "model/printing_then_busy", "--catalog", str(catalog)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    assert process.stderr.readline() == "busy now\n"
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_an_interrupt_exits_with_130(fake_catalog: Path) -> None:
    process = busy(fake_catalog)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "before: 1 B" in out
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform != "linux", reason="the command has a process of its own on Linux only")
@pytest.mark.parametrize(
    ("language", "reason"),
    [
        ("C.UTF-8", "the lab's process crashed (SIGABRT): a native library gave up"),
        ("zh_CN.UTF-8", "实验进程崩溃（SIGABRT）：某个原生库主动中止"),
    ],
)
def test_a_lab_that_aborts_has_failed(fake_catalog: Path, language: str, reason: str) -> None:
    done = shell("run", "model/aborting", "--json", "--catalog", str(fake_catalog), language=language)
    assert (done.returncode, done.stdout) == (1, "")
    assert complaint(done) == f"python -m labs: {reason}"


@pytest.mark.skipif(sys.platform != "linux", reason="the command has a process of its own on Linux only")
@pytest.mark.parametrize(
    ("sent", "status"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_nothing_goes_on_when_it_is_ended(fake_catalog: Path, sent: signal.Signals, status: int) -> None:
    process = busy(fake_catalog)
    process.send_signal(sent)
    process.communicate(timeout=60)  # until nobody holds its streams any more
    assert process.returncode == status


def test_output_for_people(fake_catalog: Path) -> None:
    done = shell("run", "model/good", "--bits", "6", "--catalog", str(fake_catalog))
    assert done.stdout.splitlines() == [
        "size: 6 B (measured)",
        "  predicted: 0.75 B (error +700.0%)",
        "  bits / 8",
        "Curve [B] (estimated)",
        "  s: 3 points, x 1 – 3; y 1.5 – 1.5",
    ]
    assert "\r" not in done.stderr  # no progress where nobody watches


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_progress_on_a_terminal_is_wiped_before_the_results(fake_catalog: Path) -> None:
    import pty

    reader, terminal = pty.openpty()
    command = [sys.executable, "-m", "labs", "run", "model/good", "--catalog", str(fake_catalog)]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=terminal, check=True)
    os.close(terminal)
    written = os.read(reader, 10_000)
    os.close(reader)
    assert written == b"\r\x1b[K 50% half\r\x1b[K"


def test_help_goes_to_stdout() -> None:
    done = shell("--help")
    assert done.returncode == 0 and "describe" in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(fake_catalog: Path) -> None:
    command = f"{sys.executable} -m labs describe model/good --json --catalog {fake_catalog} | true"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", ["['list', '--json']", "['describe', 'model/good', '--json']"])
def test_listing_and_describing_import_neither_torch_nor_qt(fake_catalog: Path, arguments: str) -> None:
    heavy = "('torch', 'triton', 'transformers', 'PySide6', 'gui')"
    program = f"""
import sys
from labs.command_line import main
assert main({arguments} + ['--catalog', {str(fake_catalog)!r}]) == 0
print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert complaint(done) == "[]"
