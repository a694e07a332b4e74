"""The attention kernel with tiles of one size, compiled for a GPU that need not be here.

Asked of ``labs.inspection.process``: a process that has the compiler.
"""

from __future__ import annotations

import msgspec

from labs.inspection.compiled import Compiled, Target, compile_launch

KEYS = 4096


class Built(msgspec.Struct, frozen=True):
    """``compiled`` without its stages, and the ``instructions`` that multiply matrices in it; or ``error``:
    why the compiler refused."""

    compiled: Compiled | None = None
    instructions: list[str] = []
    error: str = ""


def built(target: Target, dim: int, rows: int, columns: int, warps: int, stages: int) -> Built:
    """``attend_rows`` in fp16, causal, specialised as for one head of 4,096 tokens."""
    import torch

    from labs.inspection.launches import launches_of
    from labs.ops.flash_attention import Launch, triton_flash_attention

    q, k, v = (torch.empty(1, 1, KEYS, dim, dtype=torch.float16) for _ in range(3))
    launch = Launch(rows, columns, warps, stages)
    (recorded,) = launches_of(lambda: triton_flash_attention(q, k, v, causal=True, launch=launch))
    try:
        found = compile_launch(recorded, target)
    except Exception as error:  # whatever the compiler says is the answer
        return Built(error=f"{type(error).__name__}: {error}"[:200])
    return Built(msgspec.structs.replace(found, stages={}), found.matrix_instructions)
