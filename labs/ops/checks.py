"""An operator's kernel against its reference, in Triton's interpreter or on a GPU, its counts, its code.

Meant to be asked of ``labs.inspection.process.KernelProcess``, or called where CUDA is.
"""

from __future__ import annotations

import functools

import msgspec

from labs.inspection.compiled import Compiled, Target, compile_launch
from labs.inspection.interpreted import RecordedTensor, Recorder
from labs.ops.operator import Case, operators, poison_unwritten
from labs.relative_error import relative_error

_OPERATORS = operators()


class Check(msgspec.Struct, frozen=True):
    """``difference`` from naive, relative, by norms; ``tolerance``: what rounding may make of it. The counts
    are the interpreter's (none on a GPU); ``outside``: lanes beyond every tensor."""

    difference: float
    tolerance: float
    matrix_flops: int = 0
    vector_flops: int = 0
    outside: int = 0
    tensors: list[RecordedTensor] = []

    @property
    def read(self) -> int:
        """Distinct bytes that were loaded."""
        return sum(one.distinct_loaded_bytes for one in self.tensors)

    @property
    def written(self) -> int:
        """Distinct bytes that were stored."""
        return sum(one.distinct_stored_bytes for one in self.tensors)

    @property
    def loaded(self) -> int:
        return sum(one.loaded_bytes for one in self.tensors)

    @property
    def stored(self) -> int:
        return sum(one.stored_bytes for one in self.tensors)

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance and not self.outside


def interpreted_check(name: str, sizes: dict[str, int], dtype: str) -> Check:
    """One case, poisoned, with everything that the kernel touches counted."""
    operator, case = _OPERATORS[name], Case(sizes, dtype)  # type: ignore[arg-type]
    assert operator.triton is not None
    poison_unwritten()
    arguments = operator.make(case, poisoned=True)
    recorder = Recorder()
    with recorder.entered():
        found = operator.triton(**arguments)
    gap, counts = relative_error(found, operator.naive(**arguments)), recorder.recording()
    return Check(
        difference=gap,
        tolerance=operator.tolerance[case.dtype],
        matrix_flops=counts.matrix_flops,
        vector_flops=counts.vector_flops,
        outside=counts.outside,
        tensors=counts.tensors,
    )


def device_check(name: str, case: Case, device: str) -> Check:
    """One case on a GPU, poisoned."""
    operator = _OPERATORS[name]
    assert operator.triton is not None
    arguments = operator.make(case, device=device, poisoned=True)
    gap = relative_error(operator.triton(**arguments), operator.naive(**arguments))
    return Check(gap, operator.tolerance[case.dtype])


def compiled_kernels(name: str, sizes: dict[str, int], dtype: str, target: Target) -> list[Compiled]:
    """What one case launches, compiled for a target; without the disassembly."""
    from labs.inspection.launches import launches_of

    operator, case = _OPERATORS[name], Case(sizes, dtype)  # type: ignore[arg-type]
    assert operator.triton is not None
    launches = launches_of(functools.partial(operator.triton, **operator.make(case)))
    return [compile_launch(one, target) for one in launches]
