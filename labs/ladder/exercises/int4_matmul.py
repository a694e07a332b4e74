"""a @ w for a [M, K] and w [K, N] in INT4: two weights a byte, a scale and a minimum for each group of K.

packed [K / 2, N] uint8: row i holds weight 2i in its low nibble and 2i + 1 in its high one.
scale, minimum [K / GROUP, N]: a weight is code * scale + minimum.
"""

import torch
import triton
import triton.language as tl

GROUP = 32


@triton.jit
def int4_matmul(
    a_ptr, packed_ptr, scale_ptr, minimum_ptr, out_ptr, M, N, K,
    TILE_M: tl.constexpr, TILE_N: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * TILE_M + tl.arange(0, TILE_M)
    column = tl.program_id(1) * TILE_N + tl.arange(0, TILE_N)
    depth = tl.arange(0, GROUP)
    total = tl.zeros((TILE_M, TILE_N), tl.float32)
    for group in range(0, K // GROUP):
        k = group * GROUP + depth
        a = tl.load(a_ptr + row[:, None] * K + k[None, :], mask=(row < M)[:, None], other=0.0)
        inside = (column < N)[None, :]
        # [[ Load the bytes and take the nibble: low for even k, high for odd.
        byte = tl.load(packed_ptr + (k // 2)[:, None] * N + column[None, :], mask=inside, other=0).to(
            tl.int32
        )
        code = (byte >> (k % 2 * 4)[:, None]) & 15
        # ]]
        # [[ Dequantise with the group's scale and minimum, in the type of a.
        scale = tl.load(scale_ptr + group * N + column, mask=column < N, other=0.0)
        minimum = tl.load(minimum_ptr + group * N + column, mask=column < N, other=0.0)
        w = code.to(tl.float32) * scale[None, :] + minimum[None, :]
        total = tl.dot(a, w.to(a.dtype), total, input_precision="ieee")
        # ]]
    out = out_ptr + row[:, None] * N + column[None, :]
    tl.store(out, total.to(out_ptr.dtype.element_ty), mask=(row < M)[:, None] & (column < N)[None, :])


def launch(a, packed, scale, minimum, *, tile_m, tile_n, warps, stages):
    (M, K), N = a.shape, packed.shape[1]
    out = torch.empty((M, N), dtype=a.dtype, device=a.device)
    grid = (triton.cdiv(M, tile_m), triton.cdiv(N, tile_n))
    tiles = {"TILE_M": tile_m, "TILE_N": tile_n, "GROUP": GROUP}
    int4_matmul[grid](
        a, packed, scale, minimum, out, M, N, K, **tiles, num_warps=warps, num_stages=stages
    )  # fmt: skip
    return out
