"""out = a @ b for a [M, K] and b [K, N]: a tile of the result a program, accumulated over tiles of K."""

import torch
import triton
import triton.language as tl


@triton.jit
def matmul(a_ptr, b_ptr, out_ptr, M, N, K, TILE_M: tl.constexpr, TILE_N: tl.constexpr, TILE_K: tl.constexpr):
    row = tl.program_id(0) * TILE_M + tl.arange(0, TILE_M)
    column = tl.program_id(1) * TILE_N + tl.arange(0, TILE_N)
    depth = tl.arange(0, TILE_K)
    total = tl.zeros((TILE_M, TILE_N), tl.float32)
    for first in range(0, K, TILE_K):
        # [[ Load a tile of a and one of b; beyond M, N or K they must be zeros.
        k = first + depth
        a = tl.load(
            a_ptr + row[:, None] * K + k[None, :], mask=(row < M)[:, None] & (k < K)[None, :], other=0.0
        )
        b = tl.load(
            b_ptr + k[:, None] * N + column[None, :], mask=(k < K)[:, None] & (column < N)[None, :], other=0.0
        )
        # ]]
        # [[ Multiply and accumulate.
        total = tl.dot(a, b, total, input_precision="ieee")
        # ]]
    inside = (row < M)[:, None] & (column < N)[None, :]
    tl.store(out_ptr + row[:, None] * N + column[None, :], total.to(out_ptr.dtype.element_ty), mask=inside)


def launch(a, b, *, tile_m, tile_n, tile_k, warps, stages):
    (M, K), N = a.shape, b.shape[1]
    out = torch.empty((M, N), dtype=a.dtype, device=a.device)
    grid = (triton.cdiv(M, tile_m), triton.cdiv(N, tile_n))
    tiles = {"TILE_M": tile_m, "TILE_N": tile_n, "TILE_K": tile_k}
    matmul[grid](a, b, out, M, N, K, **tiles, num_warps=warps, num_stages=stages)
    return out
