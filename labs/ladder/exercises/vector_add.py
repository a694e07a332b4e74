"""out = x + y, one tile of a vector a program."""

import torch
import triton
import triton.language as tl


@triton.jit
def add(x_ptr, y_ptr, out_ptr, size, TILE: tl.constexpr):
    # [[ Which elements are this program's? The last tile may reach beyond the end: mask it.
    at = tl.program_id(0) * TILE + tl.arange(0, TILE)
    inside = at < size
    # ]]
    # [[ Load both, add, store.
    x = tl.load(x_ptr + at, mask=inside)
    y = tl.load(y_ptr + at, mask=inside)
    tl.store(out_ptr + at, x + y, mask=inside)
    # ]]


def launch(x, y, *, tile, warps):
    out = torch.empty_like(x)
    add[(triton.cdiv(x.numel(), tile),)](x, y, out, x.numel(), TILE=tile, num_warps=warps)
    return out
