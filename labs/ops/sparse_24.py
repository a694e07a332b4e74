"""2:4 sparse GEMM: half of the values and 2 bits for each are loaded, unfolded in registers, and multiplied.

Shapes: ``x [m, k]``; a weight ``[n, k]`` of which every four neighbours along k hold two values at most:
``values [n, k / 2]`` in the type of ``x`` and ``meta [n, k / 8]`` uint8, each byte two groups of four, the
earlier in the low nibble; a nibble holds the places (0 to 3) of the first value and, above it, of the second.
k is divisible by 8. Triton has no sparse matrix instruction: the kernel saves bytes, which is what decode
waits for, and not FLOPs. The instruction itself (``mma.sp``) is reached through ``semi_structured``, on CUDA.
On the CPU ``native/decode.cpp`` does as the Triton kernel does, where there is a compiler and AVX2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.gemm import tile_count
from labs.formulas.memory import gemm_flops
from labs.formulas.sparsity import two_four_bytes
from labs.ops.gemm import Config
from labs.ops.native_decode import MANY, native_decode
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

GROUP, KEPT = 4, 2
_STEP_GROUPS = 8  # a byte of metadata describes eight places


def two_four_mask(scores: Tensor) -> Tensor:
    """The two largest of every four along the last dimension, as booleans; of equals, the earlier."""
    groups = scores.reshape(*scores.shape[:-1], -1, GROUP)
    order = groups.argsort(dim=-1, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(
        -1, order, torch.arange(GROUP, device=scores.device).expand_as(order)
    )
    return (ranks < KEPT).flatten(-2)


def compress(weight: Tensor) -> tuple[Tensor, Tensor]:
    """``weight [n, k]`` as ``values [n, k / 2]`` and ``meta [n, k / 8]``.

    ValueError where k is not divisible by 8, or a group of four holds three values or more.
    """
    n, k = weight.shape
    if k % _STEP_GROUPS:
        raise ValueError(f"k = {k}: expected a multiple of {_STEP_GROUPS}")
    groups = weight.view(n, k // GROUP, GROUP)
    used = groups != 0
    if int(used.sum(dim=2).max()) > KEPT:
        raise ValueError("a group of four holds more than two values: the weight is not 2:4")
    # Values first, then zeros, each in order; then the two kept in ascending order of their places.
    places = (~used).to(torch.int8).argsort(dim=2, stable=True)[..., :KEPT].sort(dim=2).values
    values = groups.gather(2, places).flatten(1)
    nibbles = (places[..., 0] | places[..., 1] << 2).to(torch.uint8)
    return values.contiguous(), (nibbles[:, 0::2] | nibbles[:, 1::2] << 4).contiguous()


def unfolded(values: Tensor, meta: Tensor) -> Tensor:
    """The weight ``[n, k]`` again, zeros included."""
    n, k = values.shape[0], 2 * values.shape[1]
    nibbles = torch.stack([meta & 15, meta >> 4], dim=2).flatten(1).long()
    places = torch.stack([nibbles & 3, nibbles >> 2], dim=2)
    dense = torch.zeros(n, k // GROUP, GROUP, dtype=values.dtype, device=values.device)
    return dense.scatter_(2, places, values.view(n, k // GROUP, KEPT)).view(n, k)


def semi_structured(weight: Tensor) -> Tensor:
    """torch's own 2:4 tensor, whose products use sparse Tensor Cores: CUDA, fp16, bf16 or int8 only."""
    found: Tensor = torch.sparse.to_sparse_semi_structured(weight)
    return found


def naive_sparse_24(x: Tensor, values: Tensor, meta: Tensor) -> Tensor:
    """Unfolded and multiplied in fp32."""
    return x.float() @ unfolded(values.float(), meta).t()


def fast_sparse_24(x: Tensor, values: Tensor, meta: Tensor) -> Tensor:
    """Few rows meet the compressed weight itself; for many it is unfolded once, and torch multiplies.

    Without native kernels torch does both, and reads more than a dense weight.
    """
    native, n = native_decode(), len(values)
    if isinstance(native, Text):
        return x @ unfolded(values, meta).t()
    full, m = x.float().contiguous(), len(x)
    if m < MANY:
        out = torch.empty(m, n)
        native.two_four(full, values, meta, out)
        return out.to(x.dtype)
    dense = torch.empty(n, x.shape[1])
    native.two_four(None, values, meta, dense)
    return (full @ dense.t()).to(x.dtype)


if HAS_TRITON:
    import triton
    import triton.language as tl

    from labs.ops.gemm import grouped_tile

    @triton.jit  # type: ignore[untyped-decorator]
    def sparse_24_tile(  # type: ignore[no-untyped-def]
        x_ptr,  # [m, k]
        value_ptr,  # [n, k / 2]
        meta_ptr,  # [n, k / 8] uint8
        out_ptr,  # [m, n]
        m,
        n,
        k,
        TILE_M: tl.constexpr,
        TILE_N: tl.constexpr,
        TILE_K: tl.constexpr,
        GROUP: tl.constexpr,  # rows of tiles in a group of programs
    ):
        row, column = grouped_tile(tl.program_id(0), m, n, TILE_M, TILE_N, GROUP)
        rows, columns = row * TILE_M + tl.arange(0, TILE_M), column * TILE_N + tl.arange(0, TILE_N)
        depth, half, eighth = tl.arange(0, TILE_K), tl.arange(0, TILE_K // 2), tl.arange(0, TILE_K // 8)
        x_at = x_ptr + rows[:, None].to(tl.int64) * k
        value_at = value_ptr + columns[:, None].to(tl.int64) * (k // 2)
        meta_at = meta_ptr + columns[:, None].to(tl.int64) * (k // 8)
        total = tl.zeros((TILE_M, TILE_N), tl.float32)
        for first in range(0, k, TILE_K):
            x_inside = (rows < m)[:, None] & (first + depth < k)[None, :]
            x = tl.load(x_at + first + depth[None, :], mask=x_inside, other=0.0)
            value_inside = (columns < n)[:, None] & (first // 2 + half < k // 2)[None, :]
            values = tl.load(value_at + first // 2 + half[None, :], mask=value_inside, other=0.0)
            meta_inside = (columns < n)[:, None] & (first // 8 + eighth < k // 8)[None, :]
            meta = tl.load(meta_at + first // 8 + eighth[None, :], mask=meta_inside, other=0)
            nibbles = tl.reshape(tl.join(meta & 15, meta >> 4), (TILE_N, TILE_K // 4))
            one, two = tl.split(tl.reshape(values, (TILE_N, TILE_K // 4, 2)))
            one_place, two_place = nibbles & 3, nibbles >> 2
            # A group's four places, each the first value, the second, or nothing.
            at0 = tl.where(one_place == 0, one, 0.0)
            at1 = tl.where(one_place == 1, one, tl.where(two_place == 1, two, 0.0))
            at2 = tl.where(one_place == 2, one, tl.where(two_place == 2, two, 0.0))
            at3 = tl.where(two_place == 3, two, 0.0)
            # Joined last is the fastest dimension: (0, 2) and (1, 3) lie as 0, 1, 2, 3.
            weight = tl.reshape(tl.join(tl.join(at0, at2), tl.join(at1, at3)), (TILE_N, TILE_K))
            total = tl.dot(x, tl.trans(weight.to(x.dtype)), total, input_precision="ieee")
        place = out_ptr + rows[:, None].to(tl.int64) * n + columns[None, :]
        tl.store(place, total.to(out_ptr.dtype.element_ty), mask=(rows < m)[:, None] & (columns < n)[None, :])


def triton_sparse_24(x: Tensor, values: Tensor, meta: Tensor, config: Config | None = None) -> Tensor:
    """As ``naive_sparse_24``, in the type of ``x``; all contiguous."""
    (m, k), n = x.shape, values.shape[0]
    config = config or config_for(m)
    out = torch.empty(m, n, dtype=x.dtype, device=x.device)
    sparse_24_tile[(tile_count(m, n, config.tile_m, config.tile_n),)](
        *(x, values, meta, out, m, n, k),
        TILE_M=config.tile_m,
        TILE_N=config.tile_n,
        TILE_K=config.tile_k,
        GROUP=config.group,
        num_warps=config.warps,
        num_stages=config.stages,
    )
    return out


def config_for(m: int) -> Config:
    """Low tiles for decode, where fewer bytes pay; unfolding takes registers, so that others stay small."""
    return Config(16, 64, 64) if m <= 16 else Config(64, 64, 64, stages=2)


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    weight = torch.randn(case["n"], case["k"], generator=make.generator)
    values, meta = compress((weight * two_four_mask(weight.abs())).to(make.dtype))
    return {"x": make.normal(case["m"], case["k"]), "values": make.placed(values), "meta": make.placed(meta)}


def work(case: Case) -> Work:
    """Of whole tiles. The matrix FLOPs are the dense ones: the zeros are multiplied as well."""
    m, n, k, size = case["m"], case["n"], case["k"], case.element_bytes
    config, weight = config_for(m), int(two_four_bytes(n, k, size))
    across, down = -(-n // config.tile_n), -(-m // config.tile_m)
    return Work(
        read=m * k * size + weight,
        written=m * n * size,
        matrix_flops=gemm_flops(m, n, k),
        loaded=m * k * size * across + weight * down,
    )


def _case(m: int, n: int, k: int, dtype: Any = "fp32") -> Case:
    return Case({"m": m, "n": n, "k": k}, dtype)


OPERATOR = Operator(
    name="sparse_24",
    title=Text(zh="2:4 稀疏 GEMM（压缩读取）", en="2:4 sparse GEMM (compressed loads)"),
    inputs=inputs,
    naive=naive_sparse_24,
    triton=triton_sparse_24 if HAS_TRITON else None,
    fast=fast_sparse_24,
    native=native_decode,
    work=work,
    odd=(
        _case(1, 63, 104),
        _case(7, 65, 104, "bf16"),
        _case(6, 33, 64, "fp16"),
        _case(70, 65, 136, "fp16"),
    ),
    aligned=(_case(16, 64, 128), _case(64, 128, 64)),
    shipped=(_case(8, 1024, 1024, "bf16"), _case(512, 1024, 1024, "fp16")),
    multiplies_matrices=True,
)
