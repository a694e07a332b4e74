"""What every operator is held to: its kernel equals its reference, its counts equal its formulas, and what is
compiled for each target fits there. A new file in ``labs/ops`` is covered without a line here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from labs import measure
from labs.formulas.occupancy import MULTIPROCESSORS
from labs.measure import Timing
from labs.ops import gemm
from labs.ops.checks import compiled_kernels, device_check, interpreted_check
from labs.ops.operator import Case, Operator, operators
from labs.relative_error import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.inspection.compiled import Target
    from labs.inspection.process import KernelProcess

ROOT = Path(__file__).parents[3]
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is for Linux only"
)
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def cases(kind: str) -> pytest.MarkDecorator:
    pairs = [(operator, case) for operator in operators().values() for case in getattr(operator, kind)]
    names = [f"{operator.name}-{case}" for operator, case in pairs]
    return pytest.mark.parametrize(("operator", "case"), pairs, ids=names)


@needs_triton
@cases("odd")
def test_the_kernel_equals_its_reference(operator: Operator, case: Case, interpreter: KernelProcess) -> None:
    """At ragged sizes, with NaN around every input and in every output that is not written."""
    check = interpreter.ask(interpreted_check, name=operator.name, sizes=dict(case.sizes), dtype=case.dtype)
    assert check.passed, check


@needs_triton
@cases("aligned")
def test_counts_equal_the_formulas(operator: Operator, case: Case, interpreter: KernelProcess) -> None:
    check = interpreter.ask(interpreted_check, name=operator.name, sizes=dict(case.sizes), dtype=case.dtype)
    work = operator.work(case)
    assert check.passed, check
    counted = (check.read, check.written, check.matrix_flops, check.vector_flops)
    assert counted == (work.read, work.written, work.matrix_flops, work.vector_flops)
    loaded = work.read if work.loaded is None else work.loaded
    stored = work.written if work.stored is None else work.stored
    assert (check.loaded, check.stored) == (loaded, stored)


@needs_triton
@pytest.mark.parametrize("target", ["sm_80", "sm_90", "gfx942"])
@cases("shipped")
def test_it_compiles_for_gpus_that_are_not_here(
    operator: Operator, case: Case, target: Target, compiler: KernelProcess
) -> None:
    compiled = compiler.ask(
        compiled_kernels, name=operator.name, sizes=dict(case.sizes), dtype=case.dtype, target=target
    )
    assert compiled
    for kernel in compiled:
        assert kernel.fits, f"{kernel.shared_bytes} B of shared memory"
        assert not kernel.spill_bytes
        if target == "sm_80":  # the same instructions, and tiles, on GPUs of smaller multiprocessors
            assert kernel.shared_bytes <= MULTIPROCESSORS["sm_89"].shared_a_block
    if operator.multiplies_matrices and case.dtype != "fp32":
        assert any(kernel.matrix_instructions for kernel in compiled)


@cases("odd")
def test_the_fast_path_equals_the_reference(operator: Operator, case: Case) -> None:
    if operator.fast is None:
        pytest.skip("there is none beside the reference")
    arguments = operator.make(case)
    error = relative_error(operator.fast(**arguments), operator.naive(**arguments))
    assert error <= operator.tolerance[case.dtype]


@needs_cuda
@cases("odd")
def test_on_a_gpu_the_kernel_equals_its_reference(operator: Operator, case: Case) -> None:
    check = device_check(operator.name, case, "cuda")
    assert check.passed, check


@needs_triton
def test_a_configuration_that_a_gpu_has_no_room_for_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from triton.runtime.errors import OutOfResources

    tried = []

    def launch(a: torch.Tensor, b: torch.Tensor, config: gemm.Config) -> None:
        tried.append(config)
        if config.stages > 3:
            raise OutOfResources(128 * 1024, 99 * 1024, "shared memory")

    def timed(call: Callable[[], object], *_: object) -> Timing:
        call()
        return Timing(1 / tried[-1].tile_n, 0.0, 0.0, 1)

    monkeypatch.setattr(gemm, "triton_gemm", launch)
    monkeypatch.setattr(measure, "time_calls", timed)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    fastest = gemm._fastest.__wrapped__(64, 64, 64, torch.float16, False, "cpu")
    assert len(tried) > len(gemm.CONFIGS) and fastest == gemm.HOPPER_CONFIGS[0]


def test_without_triton_all_are_imported_and_a_kernel_says_so() -> None:
    """As on Windows or macOS, where there is no such package."""
    program = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "triton" else real(name, *more)
from labs.inspection.process import KernelProcess
from labs.ops.operator import operators
from labs.spec import LabError
assert all(one.triton is None for one in operators().values()) and "triton" not in sys.modules
try:
    KernelProcess("compile")
except LabError as error:
    print(error.text.en)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "no Triton here" in done.stdout
