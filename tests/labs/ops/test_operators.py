"""What every operator is held to: its kernel equals its reference, its counts equal its formulas, and what is
compiled for each target fits there. A new file in ``labs/ops`` is covered without a line here."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING

import pytest
import torch

from labs.ops.checks import device_check, interpreted_check
from labs.ops.operator import Case, Operator, difference, operators

if TYPE_CHECKING:
    from labs.inspection.compiled import Target
    from labs.inspection.process import KernelProcess

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
def test_it_compiles_for_gpus_that_are_not_here(operator: Operator, case: Case, target: Target) -> None:
    from labs.inspection.compiled import compile_launch
    from labs.inspection.launches import launches_of

    assert operator.triton is not None
    launches = launches_of(functools.partial(operator.triton, **operator.make(case)))
    compiled = [compile_launch(one, target) for one in launches]
    assert compiled
    for kernel in compiled:
        assert kernel.fits, f"{kernel.shared_bytes} B of shared memory"
        assert not kernel.spill_bytes
    if operator.multiplies_matrices and case.dtype != "fp32":
        assert any(kernel.matrix_instructions for kernel in compiled)


@cases("odd")
def test_the_fast_path_equals_the_reference(operator: Operator, case: Case) -> None:
    if operator.fast is None:
        pytest.skip("there is none beside the reference")
    arguments = operator.make(case)
    assert (
        difference(operator.fast(**arguments), operator.naive(**arguments)) <= operator.tolerance[case.dtype]
    )


@needs_cuda
@cases("odd")
def test_on_a_gpu_the_kernel_equals_its_reference(operator: Operator, case: Case) -> None:
    check = device_check(operator.name, case, "cuda")
    assert check.passed, check
