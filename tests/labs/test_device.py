"""The device that labs compute on, tried before it is believed; and what they do there, on a GPU that is not
there (``tests.labs.fake_cuda``): every tensor must be where the others are."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch

from labs import device as devices
from labs import measure
from labs.context import Context, Session
from labs.device import device, no_kernels, refusal
from labs.environment import environment
from labs.inspection.process import HAS_TRITON
from labs.ladder.exercise import EXERCISES
from labs.memory_budget import free_bytes
from labs.ops.operator import Tensors, operators
from labs.registry import load_catalog
from labs.runner import execute
from labs.spec import parse_params
from tests.labs.fake_cuda import Held, fake_cuda
from tests.labs.worker_client import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

LABS = load_catalog().labs


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What was found out about the device in one test is nothing to the next."""
    yield
    devices._computes.cache_clear()
    devices._refused.cache_clear()


@pytest.fixture
def gpu() -> Iterator[None]:
    devices._computes.cache_clear()
    devices._refused.cache_clear()
    with fake_cuda():
        yield


def test_a_gpu_for_which_torch_has_no_code_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    devices._computes.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)  # then there is no kernel to be found
    assert device() == Context().device == environment()["device"] == "cpu"
    why = no_kernels()
    assert why is not None and "none here" in why.en


def test_a_gpu_that_computes_is_used(gpu: None) -> None:
    assert device() == Context().device == "cuda"
    assert environment()["device_name"] == "GPU"


def test_kernels_that_compute_wrongly_are_not_launched(gpu: None) -> None:
    why = no_kernels()  # here a launch writes nothing
    assert why is not None and ("wrongly" in why.en or "Linux only" in why.en)


def test_a_missing_compiler_is_named() -> None:
    said = refusal(RuntimeError("Failed to find C compiler. Please specify via CC environment variable"))
    assert "gcc" in said.en and "gcc" in said.zh
    assert "shared memory" in refusal(ValueError("out of resource: shared memory\nmore")).en


def test_what_torch_holds_unused_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 70)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 30)
    assert free_bytes("cuda") == 140


def test_the_fake_refuses_what_cuda_refuses(gpu: None) -> None:
    there, here = torch.randn(3, 4, device="cuda"), torch.randn(3, 4)
    assert isinstance(there, Held) and there.device.type == "cuda" and (there @ there.t()).is_cuda
    for wrong in (lambda: there + here, lambda: torch.mm(here, there.t()), lambda: there.numpy()):
        with pytest.raises((RuntimeError, TypeError)):
            wrong()
    assert torch.equal((there + here.to("cuda")).cpu(), there.cpu() + here)


def test_operators_and_exercises_keep_their_tensors_on_the_gpu(gpu: None) -> None:
    """Their inputs are made there, and every way computes there; a launch with a CPU tensor would fail."""
    for operator in operators().values():
        arguments = operator.make(operator.odd[-1], device="cuda", poisoned=True)
        ways = {"naive": operator.naive, "triton": operator.triton}
        for name, way in ways.items():
            if way is not None:
                assert placed(way(**arguments)) == {"cuda"}, f"{operator.name}, {name}"
    for exercise in EXERCISES.values():
        arguments = exercise.inputs(exercise.checked[0], Tensors(device="cuda"))
        assert placed(tuple(arguments.values())) == {"cuda"}, exercise.name
        assert placed(exercise.specification(**arguments)) == {"cuda"}, exercise.name


def placed(found: Any) -> set[str]:
    """The devices of one tensor, or of several among other things."""
    several = found if isinstance(found, tuple) else (found,)
    return {one.device.type for one in several if isinstance(one, torch.Tensor)}


# Those that differ most on a GPU: where inputs are made, moved and read back.
RUNS: dict[str, dict[str, Any]] = {
    "operator/flash_attention": {"mode": "speed", "longest": 256},
    "operator/gemm": {"mode": "strassen", "size": 512, "levels": 1},
    "operator/paged_attention": {"mode": "speed", "context": 256, "batch": 1, "kv": "bf16"},
}


@pytest.mark.parametrize("name", RUNS)
def test_a_lab_keeps_its_tensors_on_the_gpu(name: str, gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    least = {"MIN_SAMPLES": 1, "MAX_SAMPLES": 1, "WARM_UP_CALLS": 1, "WARM_UP_S": 0.0, "SAMPLE_S": 0.0}
    for limit, value in least.items():
        monkeypatch.setattr(measure, limit, value)
    lab = LABS[name]
    results = list(execute(lab, parse_params(lab.params, RUNS[name]), Context(Session())))
    assert any(one.id == "explanation" for one in results)


@pytest.mark.skipif(not HAS_TRITON, reason="Triton is for Linux only")
def test_a_child_that_forks_for_kernels_has_not_touched_the_driver() -> None:
    """CUDA begun before a fork cannot be used behind it."""
    program = """
import torch
def touched(*_): raise SystemExit("the driver was asked before the fork")
for name in ("is_available", "device_count", "_lazy_init"):
    setattr(torch.cuda, name, touched)
import labs.inspection.child, labs.ladder.sandbox, labs.fusion.chains.kernel_runs, labs.ops.checks
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
