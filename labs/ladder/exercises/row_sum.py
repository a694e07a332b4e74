"""The sum of each row of x [rows, columns], a program a row, in tiles: a reduction within a program."""

import torch
import triton
import triton.language as tl


@triton.jit
def row_sum(x_ptr, out_ptr, columns, TILE: tl.constexpr):
    row = tl.program_id(0)
    tile = tl.arange(0, TILE)
    # [[ Add tiles up lane by lane in fp32, then reduce the lanes once, at the end.
    total = tl.zeros((TILE,), tl.float32)
    for first in range(0, columns, TILE):
        inside = first + tile < columns
        total += tl.load(x_ptr + row * columns + first + tile, mask=inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + row, tl.sum(total, 0))
    # ]]


def launch(x, *, tile, warps):
    rows, columns = x.shape
    out = torch.empty(rows, dtype=torch.float32, device=x.device)
    row_sum[(rows,)](x, out, columns, TILE=tile, num_warps=warps)
    return out
