"""The child that runs kernels: values, errors and crashes come back; Stop ends it; it begins anew."""

from __future__ import annotations

import importlib.util
import os
import time
from typing import TYPE_CHECKING

import pytest

from labs.inspection.process import KernelError, KernelProcess
from labs.ladder import sandbox

if TYPE_CHECKING:
    from labs.ladder.sandbox import Checked

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is for Linux only")

COPY = """
import os, time
import torch, triton
import triton.language as tl


@triton.jit
def copy(x_ptr, y_ptr, out_ptr, size, TILE: tl.constexpr):
    at = tl.program_id(0) * TILE + tl.arange(0, TILE)
    x = tl.load(x_ptr + at{load})
    tl.store(out_ptr + at, x, mask=at < size)


def launch(x, y, *, tile, warps):
    {first}
    out = torch.empty_like(x)
    copy[(triton.cdiv(x.numel(), tile),)](x, y, out, x.numel(), TILE=tile)
    return out
"""
SETTINGS = {"tile": 64, "warps": 4}


def text(load: str = ", mask=at < size", first: str = "pass") -> str:
    return COPY.format(load=load, first=first)


def line_of(source: str, part: str) -> int:
    return next(number for number, line in enumerate(source.splitlines(), 1) if part in line)


@pytest.fixture
def process(interpreter: KernelProcess) -> KernelProcess:
    return interpreter


def checked(process: KernelProcess, source: str) -> list[Checked]:
    return process.ask(sandbox.check, name="vector_add", source=source, settings=SETTINGS)


def test_a_wrong_result_is_no_pass(process: KernelProcess) -> None:
    (first,) = checked(process, text())
    assert not first.passed and first.fault is None and first.difference > first.tolerance


def test_reads_beyond_a_tensor_are_found_and_crash_nothing(process: KernelProcess) -> None:
    (first,) = checked(process, text(load=""))
    assert first.outside == 63 and not first.passed


def test_an_error_names_its_line(process: KernelProcess) -> None:
    source = text(load=" + undefined")
    (first,) = checked(process, source)
    assert first.fault is not None and "undefined" in first.fault.text
    assert first.fault.line == line_of(source, "undefined")
    broken = source.replace("def launch", "def launch(")
    (second,) = checked(process, broken)
    assert second.fault is not None and second.fault.line == line_of(broken, "def launch")


def test_a_text_without_launch_says_so(process: KernelProcess) -> None:
    (first,) = checked(process, "x = 1")
    assert first.fault is not None and "launch" in first.fault.text


def test_a_crash_takes_only_its_fork(process: KernelProcess) -> None:
    with pytest.raises(KernelError, match="SIGABRT"):
        checked(process, text(first="os.abort()"))
    assert len(checked(process, text())) == 1


def test_what_kernels_print_does_not_disturb_the_conversation(process: KernelProcess) -> None:
    checked(process, text(first="print('hello')"))
    assert process.printed.startswith("hello")


def test_what_a_request_starts_may_not_run_for_ever(process: KernelProcess) -> None:
    ask = "import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', "
    limits = '"import resource; print(resource.getrlimit(resource.RLIMIT_CPU))"'
    checked(process, text(first=f"{ask}{limits}], text=True))"))
    assert process.printed.startswith("(600, 600)")


def test_stop_ends_an_endless_kernel_and_the_next_question_works() -> None:
    class Stopped(Exception):
        pass

    process, begun = KernelProcess("interpret"), time.monotonic()

    def check() -> None:
        if time.monotonic() > begun + 0.2:
            raise Stopped

    with pytest.raises(Stopped):
        process.ask(
            sandbox.check, check, name="vector_add", source=text(first="while True: pass"), settings=SETTINGS
        )
    assert process._process is None
    process.close()


def test_no_child_outlives_who_holds_it() -> None:
    process = KernelProcess("compile")
    process._running()
    assert process._process is not None
    pid = process._process.pid
    del process
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
