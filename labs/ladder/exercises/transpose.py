"""out = x.T for x [rows, columns], a square tile a program."""

import torch
import triton
import triton.language as tl


@triton.jit
def transpose(x_ptr, out_ptr, rows, columns, TILE: tl.constexpr):
    row = tl.program_id(0) * TILE + tl.arange(0, TILE)
    column = tl.program_id(1) * TILE + tl.arange(0, TILE)
    inside = (row < rows)[:, None] & (column < columns)[None, :]
    x = tl.load(x_ptr + row[:, None] * columns + column[None, :], mask=inside)
    # [[ Store the tile where its transpose lies: turn it, its indices and its mask.
    turned = (column < columns)[:, None] & (row < rows)[None, :]
    tl.store(out_ptr + column[:, None] * rows + row[None, :], tl.trans(x), mask=turned)
    # ]]


def launch(x, *, tile, warps):
    rows, columns = x.shape
    out = torch.empty((columns, rows), dtype=x.dtype, device=x.device)
    grid = (triton.cdiv(rows, tile), triton.cdiv(columns, tile))
    transpose[grid](x, out, rows, columns, TILE=tile, num_warps=warps)
    return out
