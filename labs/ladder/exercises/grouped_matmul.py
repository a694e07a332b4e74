"""a @ b again, with programs in an order that reads less: GROUP rows of tiles share the columns they read."""

import torch
import triton
import triton.language as tl

GROUP = 4


@triton.jit
def grouped_matmul(
    a_ptr, b_ptr, out_ptr, M, N, K,
    TILE_M: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    tiles_m, tiles_n = tl.cdiv(M, TILE_M), tl.cdiv(N, TILE_N)
    # [[ Number the tiles so that a band of GROUP rows of tiles is finished before the next begins.
    band = program // (GROUP * tiles_n)
    rows = min(tiles_m - band * GROUP, GROUP)  # the last band may be thinner
    tile_m = band * GROUP + program % (GROUP * tiles_n) % rows
    tile_n = program % (GROUP * tiles_n) // rows
    # ]]
    row = tile_m * TILE_M + tl.arange(0, TILE_M)
    column = tile_n * TILE_N + tl.arange(0, TILE_N)
    depth = tl.arange(0, TILE_K)
    total = tl.zeros((TILE_M, TILE_N), tl.float32)
    for first in range(0, K, TILE_K):
        k = first + depth
        a = tl.load(
            a_ptr + row[:, None] * K + k[None, :], mask=(row < M)[:, None] & (k < K)[None, :], other=0.0
        )
        b = tl.load(
            b_ptr + k[:, None] * N + column[None, :], mask=(k < K)[:, None] & (column < N)[None, :], other=0.0
        )
        total = tl.dot(a, b, total, input_precision="ieee")
    inside = (row < M)[:, None] & (column < N)[None, :]
    tl.store(out_ptr + row[:, None] * N + column[None, :], total.to(out_ptr.dtype.element_ty), mask=inside)


def launch(a, b, *, tile_m, tile_n, tile_k, warps, stages):
    (M, K), N = a.shape, b.shape[1]
    out = torch.empty((M, N), dtype=a.dtype, device=a.device)
    grid = (triton.cdiv(M, tile_m) * triton.cdiv(N, tile_n),)
    tiles = {"TILE_M": tile_m, "TILE_N": tile_n, "TILE_K": tile_k, "GROUP": GROUP}
    grouped_matmul[grid](a, b, out, M, N, K, **tiles, num_warps=warps, num_stages=stages)
    return out
