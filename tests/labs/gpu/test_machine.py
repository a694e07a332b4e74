"""The warp machine against numpy, against the same kernels compiled and run, and in what it refuses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import labs.gpu
from labs.formulas.warp_access import interleaved_reduction_share, sequential_reduction_share, shuffle_steps
from labs.gpu.cuda_source import cuda_source
from labs.gpu.library import KERNELS
from labs.gpu.machine import fill, run_program, shuffled
from labs.gpu.native_run import TOLERANCE, cpu_source, largest_difference, run_natively
from labs.gpu.nvcc import compile_cuda, nvcc_path
from labs.gpu.program import parse_program
from labs.gpu.races import races
from labs.spec import LabError
from tests.labs.fake_cuda import Held, fake_cuda

if TYPE_CHECKING:
    from labs.gpu.recording import Recording

EXPECTED_TO_FAIL = {"missing_barrier"}
each_kernel = pytest.mark.parametrize("name", KERNELS)


def ran(source: str, *, reverse: bool = False) -> Recording:
    return run_program(parse_program(source), reverse=reverse)


@each_kernel
@pytest.mark.parametrize("reverse", [False, True])
def test_kernels_compute_what_they_should_in_any_order_of_warps(name: str, reverse: bool) -> None:
    recording = ran(KERNELS[name].source, reverse=reverse)
    expected = KERNELS[name].expected(fill(recording.program))
    right = all(np.allclose(recording.memory[array], values) for array, values in expected.items())
    assert right == (name not in EXPECTED_TO_FAIL or reverse)


@each_kernel
def test_only_the_kernel_without_its_barrier_races(name: str) -> None:
    found = races(ran(KERNELS[name].source))
    assert bool(found) == (name in EXPECTED_TO_FAIL)


def test_the_race_names_its_line_and_threads() -> None:
    source = KERNELS["missing_barrier"].source
    (race,) = races(ran(source))
    assert source.splitlines()[race.lines[0] - 1].strip() == "s[t] += s[t + d]"
    assert race.threads[0] // 32 != race.threads[1] // 32 and race.missing == "syncthreads"


def test_lanes_of_a_warp_need_syncwarp() -> None:
    lines = [
        "s = shared_memory(int, 64)",
        "s[lane] = lane",
        "syncwarp()",
        "v = s[lane ^ 1]",
        "s[lane + 32] = v",
    ]
    assert not races(ran("\n".join(lines)))
    (race,) = races(ran("\n".join(line for line in lines if line != "syncwarp()")))
    assert race.missing == "syncwarp"


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_the_generated_cuda_runs_and_agrees(tmp_path: Path) -> None:
    """All kernels in one file under the stub of CUDA, a thread of the system for each of theirs."""
    stub = Path(labs.gpu.__file__).parent / "native" / "cuda_on_threads.h"
    parts = []
    for name, kernel in KERNELS.items():
        if name == "grid_sync":
            continue
        program = parse_program(kernel.source)
        text = cpu_source(program, cuda_source(program)[0]).replace('#include "cuda_on_threads.h"', "")
        text = text.replace("kernel(", f"{name}_kernel(").replace("void run(", f"void {name}(")
        parts.append(text.replace("#define FULL", "#undef FULL\n#define FULL"))
    (tmp_path / "all.cpp").write_text(f'#include "{stub}"\n' + "\n".join(parts))
    flags = ["-std=c++20", "-O0", "-Wall", "-Werror=return-type", "-fPIC", "-shared", "-pthread"]
    subprocess.run(["g++", *flags, "-o", "all.so", "all.cpp"], cwd=tmp_path, check=True)
    import ctypes

    library = ctypes.CDLL(str(tmp_path / "all.so"))
    for name, kernel in KERNELS.items():
        if name == "grid_sync" or name in EXPECTED_TO_FAIL:
            continue
        program = parse_program(kernel.source)
        kinds = {"int": np.int32, "float": np.float32, "double": np.float64}
        memory = {key: data.astype(kinds[program.arrays[key].kind]) for key, data in fill(program).items()}
        getattr(library, name)(*(ctypes.c_void_p(data.ctypes.data) for data in memory.values()))
        outputs = {key: memory[key] for key in kernel.expected(fill(program))}
        assert largest_difference(run_program(program).memory, outputs) <= TOLERANCE, name


def test_on_a_gpu_the_source_needs_no_toolkit(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch names the headers of a CUDA toolkit to NVRTC, and fails where there is none."""
    from torch.utils import cpp_extension

    program = parse_program(KERNELS["transpose_padded"].source)
    expected = run_program(program).memory

    def compiled(source: str, name: str) -> object:
        assert cpp_extension.include_paths("cuda") and f" {name}(" in source

        def launch(grid: tuple[int, int, int], block: tuple[int, int, int], args: list[Held]) -> None:
            assert (grid, block) == ((program.grid, 1, 1), program.block)
            for held, data in zip(args, expected.values(), strict=False):
                held.copy_(torch.from_numpy(data).view(held.shape))

        return launch

    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    monkeypatch.setattr(torch.cuda, "_compile_kernel", compiled)
    with fake_cuda():
        ran = run_natively(program, "cuda")
    assert ran.reason is None and ran.where.en == "GPU"
    assert largest_difference(expected, ran.memory) <= TOLERANCE
    assert cpp_extension.CUDA_HOME is None


def test_what_nvrtc_refuses_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> None:
        raise RuntimeError("Kernel compilation failed:\nsm_999")

    monkeypatch.setattr(torch.cuda, "_compile_kernel", refusing)
    ran = run_natively(parse_program(KERNELS["transpose_padded"].source), "cuda")
    assert ran.reason is not None and "Kernel compilation failed" in ran.reason.en


def test_a_kernel_with_a_barrier_of_the_grid_is_not_run() -> None:
    assert run_natively(parse_program(KERNELS["grid_sync"].source)).reason is not None


@pytest.mark.skipif(nvcc_path() is None, reason="no nvcc")
def test_nvcc_takes_the_generated_source() -> None:
    program = parse_program(KERNELS["transpose_padded"].source)
    source, _ = cuda_source(program)
    compiled = compile_cuda(source)
    assert compiled.shared_bytes == program.shared_bytes == 4 * 32 * 33
    assert compiled.registers > 0 and compiled.spill_bytes == 0
    loads = [
        line
        for line, text in zip(compiled.links, compiled.ptx.splitlines(), strict=True)
        if "ld.global" in text
    ]
    lines = source.splitlines()
    assert loads and all("src[" in lines[line - 1] for line in loads)


def test_the_source_is_linked_line_for_line() -> None:
    program = parse_program(KERNELS["reduce_shuffle"].source)
    text, links = cuda_source(program)
    given, made = program.source.splitlines(), text.splitlines()
    assert len(links) == len(made)
    line = next(i for i, one in enumerate(made) if "__shfl_down_sync" in one)
    assert given[links[line] - 1].strip() == "v += shfl_down(v, d)"


NUMBERS = st.integers(-50, 50)
LEAVES = st.one_of(NUMBERS.map(str), st.sampled_from(["threadIdx.x", "lane", "a", "b"]))
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+ - * & | ^ < <= == !=".split()), inner).map(
            lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
        ),
        inner.map(lambda one: f"-({one})"),
        inner.map(lambda one: f"~({one})"),
        st.tuples(inner, inner).map(lambda two: f"min({two[0]}, {two[1]})"),
        st.tuples(inner, inner, inner).map(lambda three: f"({three[0]}) if ({three[1]}) else ({three[2]})"),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, NUMBERS, NUMBERS)
def test_expressions_are_pythons_where_the_languages_agree(expression: str, a: int, b: int) -> None:
    source = f"out = global_memory(int, 32)\na = {a}\nb = {b}\nout[lane] = {expression}\n"
    if "-" in str(a) + str(b):
        source = source.replace(f"a = {a}", f"a = 0 - {-a}").replace(f"b = {b}", f"b = 0 - {-b}")
    try:
        found = ran(source).memory["out"]
    except LabError as error:
        assert "must be an integer" not in error.text.en
        return
    for lane in range(32):
        names = {"a": a, "b": b, "lane": lane, "min": min}
        value = eval(expression.replace("threadIdx.x", "lane"), {"__builtins__": {}}, names)
        assert found[lane] == int(value)


@pytest.mark.parametrize(
    ("a", "b", "quotient", "rest"), [(7, 2, 3, 1), (-7, 2, -3, -1), (7, -2, -3, 1), (-7, -2, 3, -1)]
)
def test_division_is_c_s(a: int, b: int, quotient: int, rest: int) -> None:
    source = (
        f"out = global_memory(int, 2)\nif lane == 0:\n    out[0] = ({a}) / ({b})\n    out[1] = ({a}) % ({b})"
    )
    assert list(ran(source).memory["out"]) == [quotient, rest]


@given(st.lists(st.integers(-1000, 1000), min_size=32, max_size=32), st.integers(0, 31))
def test_shuffles(values: list[int], by: int) -> None:
    data, argument = np.array(values), np.full(32, by)
    for lane in range(32):
        assert shuffled("shfl_down", data, argument)[lane] == values[lane + by if lane + by < 32 else lane]
        assert shuffled("shfl_up", data, argument)[lane] == values[lane - by if lane >= by else lane]
        assert shuffled("shfl_xor", data, argument)[lane] == values[lane ^ by]
        assert shuffled("shfl", data, argument)[lane] == values[by]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import os", "only assignments"),
        ("x = __import__('os')", "no function"),
        ("x = (1).__class__", "is not allowed"),
        ("x = [1, 2]", "is not allowed"),
        ("x = lane +", "syntax error"),
        ("x = y", "there is no `y`"),
        ("x = threadIdx.w", ".x .y .z of threadIdx"),
        ("launch(grid=65)\nx = lane", "1 to 64"),
        ("launch(block=(1024, 2))\nx = lane", "1024 threads at most"),
        ("s = shared_memory(half, 4)\nx = lane", "kinds: int, float, double"),
        ("s = shared_memory(float, 4)\ns[lane] = 1.0", "out of bounds: block 0, warp 0, lane 4 at s[4]"),
        ("x = lane / (lane - 3)", "lane 3 divides by zero"),
        ("x = 1 << 20\nx = x * x\ny = x", "an int overflows"),
        ("if lane < 3:\n    syncthreads()", "only some lanes"),
        ("if lane < 3:\n    v = shfl(lane, 0)", "only 3 are here"),
        ("launch(block=64)\nif warp == 0:\n    syncthreads()", "do not meet at one barrier"),
        ("x = 0\nwhile x == 0:\n    x = 0", "an endless loop"),
        ("x = 1\nx = 2.0", "x is int and cannot hold float"),
        ("x = 2.0 % 3", "must be an integer"),
        ("flag = global_memory(int, 1)\nx = lane < 3 and flag[0]", "put it in a variable"),
    ],
)
def test_what_is_undefined_or_unknown_is_refused_with_its_line(source: str, says: str) -> None:
    with pytest.raises(LabError) as caught:
        ran(source)
    assert says in caught.value.text.en and caught.value.text.en.startswith("line ")


def additions_share(name: str) -> float:
    """Mean share of active lanes in the additions of a reduction."""
    recording = ran(KERNELS[name].source)
    lines = KERNELS[name].source.splitlines()
    steps = [step for step in recording.steps if "s[t] +=" in lines[step.line - 1] and step.action == "write"]
    return float(np.mean([step.active.mean() for step in steps]))


def test_reductions_diverge_as_the_formulas_say() -> None:
    assert additions_share("reduce_interleaved") == pytest.approx(interleaved_reduction_share(256))
    assert additions_share("reduce_sequential") == pytest.approx(sequential_reduction_share(256))


def test_a_warp_sums_in_five_shuffles() -> None:
    summing = "v = src[lane]\nd = 16\nwhile d > 0:\n    v += shfl_down(v, d)\n    d = d / 2"
    recording = ran(f"src = global_memory(int, 32)\n{summing}")
    assert sum(step.action == "exchange" for step in recording.steps) == shuffle_steps()
    sums = [step.values for step in recording.steps if step.into == "v"]
    assert sums[-1] is not None and sums[-1][0] == sum(range(32))


@pytest.mark.skipif(nvcc_path() is None, reason="no nvcc")
def test_nvcc_can_be_stopped_and_says_what_it_refuses() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compile_cuda("__global__ void kernel() {}\n", check=stop)
    with pytest.raises(LabError) as caught:
        compile_cuda("__global__ void kernel() { nonsense; }\n")
    assert "nonsense" in caught.value.text.en
