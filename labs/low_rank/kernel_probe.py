"""What is asked of a kernel process about the fused kernel: a recorded run, and its code by rank."""

from __future__ import annotations

import functools

import msgspec
import torch

from labs.inspection.compiled import Compiled, Target, compile_launch
from labs.inspection.interpreted import RecordedTensor, Recorder
from labs.inspection.launches import launches_of
from labs.ladder.sandbox import Played
from labs.ops.low_rank_gemm import OPERATOR, fused_low_rank_gemm, naive_low_rank_gemm, split_low_rank_gemm
from labs.ops.operator import Case
from labs.relative_error import relative_error

_WAYS = {"fused": fused_low_rank_gemm, "split": split_low_rank_gemm}


class Counted(msgspec.Struct, frozen=True):
    """One way on one size: launches, its difference from naive, and what it touched."""

    launches: int
    difference: float
    outside: int
    matrix_flops: int
    tensors: list[RecordedTensor]

    @property
    def loaded(self) -> int:
        return sum(one.loaded_bytes for one in self.tensors)

    @property
    def stored(self) -> int:
        return sum(one.stored_bytes for one in self.tensors)

    @property
    def memory(self) -> int:
        """Bytes that must cross memory: each that is loaded once, and all stores."""
        return sum(one.distinct_loaded_bytes + one.distinct_stored_bytes for one in self.tensors)


def counted(way: str, sizes: dict[str, int]) -> Counted:
    """In the interpreter, fp32."""
    arguments = OPERATOR.make(Case(sizes, "fp32"))
    recorder = Recorder()
    with recorder.entered():
        found = _WAYS[way](**arguments)
    gap, counts = relative_error(found, naive_low_rank_gemm(**arguments)), recorder.recording()
    return Counted(len(counts.kernels), gap, counts.outside, counts.matrix_flops, counts.tensors)


def played(sizes: dict[str, int], most: int) -> Played:
    """The fused kernel, access by access."""
    recorder = Recorder(most)
    arguments = OPERATOR.make(Case(sizes, "fp32"))
    with recorder.entered():
        fused_low_rank_gemm(**arguments)
    return Played(recorder.recording(), recorder.values())


def compiled(sizes: dict[str, int], target: Target) -> Compiled:
    """The fused kernel whatever the rank, in bf16."""
    arguments = {name: torch.empty_like(one) for name, one in OPERATOR.make(Case(sizes, "bf16")).items()}
    return compile_launch(launches_of(functools.partial(fused_low_rank_gemm, **arguments))[0], target)
