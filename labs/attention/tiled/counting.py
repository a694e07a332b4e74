"""The attention kernels in Triton's interpreter, tiles of any size: every byte that they load and store.

Asked of ``labs.inspection.process``: a process that has the interpreter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from labs.attention.tiled.walk import Order


class Moved(msgspec.Struct, frozen=True):
    """Bytes of one tensor that a kernel asked for and wrote."""

    tensor: str
    loaded: int
    stored: int


class Counted(msgspec.Struct, frozen=True):
    """One call's counts; ``difference`` from the naive result, relative, and what rounding may make of it."""

    tensors: list[Moved]
    matrix_flops: int
    vector_flops: int
    programs: int
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.difference <= self.tolerance

    @property
    def moved(self) -> int:
        return sum(one.loaded + one.stored for one in self.tensors)


NAMES = {"q_ptr": "Q", "k_ptr": "K", "v_ptr": "V", "out_ptr": "O", "most_ptr": "m", "total_ptr": "ℓ"}


def counted(order: Order, length: int, dim: int, rows: int, columns: int, causal: bool) -> Counted:
    """One head of ``length`` tokens in fp16; only within the interpreter."""
    import math

    import torch

    from labs.inspection.interpreted import Recorder
    from labs.ops.flash_attention import Launch, naive_flash_attention, triton_flash_attention
    from labs.ops.flash_attention_v1 import OPERATOR, triton_flash_attention_v1
    from labs.ops.operator import Tensors
    from labs.relative_error import relative_error

    make = Tensors(torch.float16, poisoned=True)
    q, k, v = (make.normal(1, 1, length, dim) for _ in range(3))
    recorder = Recorder()
    with recorder.entered():
        if order == "queries_outer":
            out = triton_flash_attention(q, k, v, causal, launch=Launch(rows, columns, 4, 1))
        else:
            out = triton_flash_attention_v1(q, k, v, causal, rows=rows, tile=columns)
    found = recorder.recording()
    return Counted(
        [
            Moved(NAMES[one.name], one.loaded_bytes, one.stored_bytes)
            for one in found.tensors
            if one.loaded_bytes or one.stored_bytes
        ],
        found.matrix_flops,
        found.vector_flops,
        sum(math.prod(grid) for grid in found.grids),
        relative_error(out, naive_flash_attention(q, k, v, causal)),
        OPERATOR.tolerance["fp16"],
    )
