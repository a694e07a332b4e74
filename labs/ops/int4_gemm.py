"""INT4 GEMM (W4A16): packed weights are unpacked and scaled by group in registers, then multiplied as usual.

Shapes: ``x [m, k]``; a weight ``[n, k]`` in groups of ``g`` along k (32, 64 or 128), each with a scale and a
minimum: ``w = q * scale + low``. The last group may be ragged. ``packed [n, G, g / 2]`` uint8, ``G`` groups:
byte j of a group holds its number j in the low nibble and its number ``j + g / 2`` in the high one, so
that a tile of bytes becomes two tiles of weights, each along k, without shuffling. Memory carries 4
bits a weight, and ``2 * 32 / g`` for scale and minimum in fp32 (half of that in fp16); the product runs in
the type of ``x``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from labs.formulas.gemm import tile_count
from labs.formulas.memory import gemm_flops
from labs.ops.gemm import Config
from labs.ops.native_decode import MANY, native_decode
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

_LEVELS = 16


def quantize(weight: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor]:
    """``weight [n, k]`` as ``packed [n, G, g / 2]``, ``scale [n, G]`` and ``low [n, G]`` in its type.

    A ragged last group is filled up with copies of its last number, which widen no range.
    """
    rows, k = weight.shape
    groups = -(-k // group)
    filled = torch.cat([weight, weight[:, -1:].expand(rows, groups * group - k)], dim=1)
    grouped = filled.float().view(rows, groups, group)
    low, high = grouped.amin(dim=2), grouped.amax(dim=2)
    scale = ((high - low) / (_LEVELS - 1)).to(weight.dtype)
    low = low.to(weight.dtype)
    steps = (grouped - low.float()[..., None]) / scale.float().clamp_min(1e-12)[..., None]
    codes = steps.round().clamp(0, _LEVELS - 1).to(torch.uint8)
    packed = codes[..., : group // 2] | codes[..., group // 2 :] << 4
    return packed.contiguous(), scale, low


def unpacked(packed: Tensor, scale: Tensor, low: Tensor, k: int) -> Tensor:
    """The weight ``[n, k]`` in the type of ``scale``."""
    codes = torch.cat([packed & 15, packed >> 4], dim=2).to(scale.dtype)
    return (codes * scale[..., None] + low[..., None]).flatten(1)[:, :k]


def naive_int4_gemm(x: Tensor, packed: Tensor, scale: Tensor, low: Tensor) -> Tensor:
    """Unpacked and multiplied in fp32."""
    return x.float() @ unpacked(packed, scale.float(), low.float(), x.shape[1]).t()


def fast_int4_gemm(x: Tensor, packed: Tensor, scale: Tensor, low: Tensor) -> Tensor:
    """Few rows meet the packed weight itself (``native/decode.cpp``); for many it is unpacked once, and torch
    multiplies. Without native kernels torch does both, and reads more than a dense weight.

    torch's own packed kernel is not used: it wants another layout and activations in bf16, whose rounding the
    tolerance of fp32 does not allow. ``labs.quantization.linear`` has it.
    """
    native, (n, groups, half) = native_decode(), packed.shape
    if isinstance(native, Text):
        return x @ unpacked(packed, scale, low, x.shape[1]).t()
    # A ragged last group meets zeros.
    whole = F.pad(x.float(), (0, 2 * half * groups - x.shape[1])).contiguous()
    figures, m = (scale.float(), low.float()), len(x)
    if m < MANY:
        out = torch.empty(m, n)
        native.int4(whole, packed, *figures, out)
        return out.to(x.dtype)
    dense = torch.empty(n, whole.shape[1])
    native.int4(None, packed, *figures, dense)
    return (whole @ dense.t()).to(x.dtype)


if HAS_TRITON:
    import triton
    import triton.language as tl

    from labs.ops.gemm import grouped_tile

    @triton.jit  # type: ignore[untyped-decorator]
    def int4_gemm_tile(  # type: ignore[no-untyped-def]
        x_ptr,  # [m, k]
        packed_ptr,  # [n, groups, WIDTH / 2] uint8
        scale_ptr,  # [n, groups]
        low_ptr,  # [n, groups]
        out_ptr,  # [m, n]
        m,
        n,
        k,
        groups,
        TILE_M: tl.constexpr,
        TILE_N: tl.constexpr,
        WIDTH: tl.constexpr,  # numbers of a group
        GROUP: tl.constexpr,  # rows of tiles in a group of programs
    ):
        row, column = grouped_tile(tl.program_id(0), m, n, TILE_M, TILE_N, GROUP)
        rows = row * TILE_M + tl.arange(0, TILE_M)
        columns = column * TILE_N + tl.arange(0, TILE_N)
        half = tl.arange(0, WIDTH // 2)
        x_at = x_ptr + rows[:, None].to(tl.int64) * k
        weight_at = packed_ptr + columns[None, :].to(tl.int64) * groups * (WIDTH // 2)
        group_at = columns.to(tl.int64) * groups
        total = tl.zeros((TILE_M, TILE_N), tl.float32)
        for group in range(0, groups):
            first = group * WIDTH + half
            second = first + WIDTH // 2
            real = rows < m
            left = tl.load(x_at + first[None, :], mask=real[:, None] & (first < k)[None, :], other=0.0)
            right = tl.load(x_at + second[None, :], mask=real[:, None] & (second < k)[None, :], other=0.0)
            inside = columns < n
            codes = tl.load(weight_at + group * (WIDTH // 2) + half[:, None], mask=inside[None, :], other=0)
            scale = tl.load(scale_ptr + group_at + group, mask=inside, other=0.0)
            low = tl.load(low_ptr + group_at + group, mask=inside, other=0.0)
            upper = (codes & 15).to(x_ptr.dtype.element_ty) * scale[None, :] + low[None, :]
            lower = (codes >> 4).to(x_ptr.dtype.element_ty) * scale[None, :] + low[None, :]
            total = tl.dot(left, upper, total, input_precision="ieee")
            total = tl.dot(right, lower, total, input_precision="ieee")
        place = out_ptr + rows[:, None].to(tl.int64) * n + columns[None, :]
        tl.store(place, total.to(out_ptr.dtype.element_ty), mask=(rows < m)[:, None] & (columns < n)[None, :])


def triton_int4_gemm(
    x: Tensor, packed: Tensor, scale: Tensor, low: Tensor, config: Config | None = None
) -> Tensor:
    """As ``naive_int4_gemm``, in the type of ``x``; all contiguous, ``scale`` and ``low`` in that type.

    Of the configuration only the tile of C and the pipeline count: a step of k is a group.
    """
    (m, k), (n, groups, half) = x.shape, packed.shape
    config = config or config_for(m, 2 * half)
    out = torch.empty(m, n, dtype=x.dtype, device=x.device)
    int4_gemm_tile[(tile_count(m, n, config.tile_m, config.tile_n),)](
        *(x, packed, scale, low, out, m, n, k, groups),
        TILE_M=config.tile_m,
        TILE_N=config.tile_n,
        WIDTH=2 * half,
        GROUP=config.group,
        num_warps=config.warps,
        num_stages=config.stages,
    )
    return out


def config_for(m: int, group: int) -> Config:
    """Low tiles for decode, where 4 bits pay; unpacked weights take registers, so that others stay small."""
    if m <= 16:
        return Config(16, 64, group)
    return Config(64, 64, group, stages=2) if m <= 64 else Config(64, 128, group, warps=8, stages=2)


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    weight = torch.randn(case["n"], case["k"], generator=make.generator).to(make.dtype)
    names = ("packed", "scale", "low")
    made = dict(zip(names, quantize(weight, case["group"]), strict=True))
    return {"x": make.normal(case["m"], case["k"])} | {name: make.placed(one) for name, one in made.items()}


def work(case: Case) -> Work:
    """Of whole tiles and groups."""
    m, n, k, size = case["m"], case["n"], case["k"], case.element_bytes
    config, groups = config_for(m, case["group"]), -(-k // case["group"])
    across, down = -(-n // config.tile_n), -(-m // config.tile_m)
    weight = n * groups * (case["group"] // 2 + 2 * size)
    return Work(
        read=m * k * size + weight,
        written=m * n * size,
        matrix_flops=gemm_flops(m, n, k),
        vector_flops=2 * n * k * down,
        loaded=m * k * size * across + weight * down,
    )


def _case(m: int, n: int, k: int, group: int, dtype: Any = "fp32") -> Case:
    return Case({"m": m, "n": n, "k": k, "group": group}, dtype)


OPERATOR = Operator(
    name="int4_gemm",
    title=Text(zh="INT4 GEMM（分组反量化）", en="INT4 GEMM (group-dequantising)"),
    inputs=inputs,
    naive=naive_int4_gemm,
    triton=triton_int4_gemm if HAS_TRITON else None,
    fast=fast_int4_gemm,
    native=native_decode,
    work=work,
    odd=(
        _case(1, 63, 100, 32),
        _case(70, 65, 200, 128),
        _case(5, 33, 576, 128, "fp16"),
        _case(17, 40, 130, 64, "fp16"),
    ),
    aligned=(_case(16, 64, 256, 32), _case(64, 64, 256, 128)),
    shipped=(
        _case(8, 1024, 1024, 32, "bf16"),
        _case(512, 1024, 1024, 128, "fp16"),
    ),
    multiplies_matrices=True,
)
