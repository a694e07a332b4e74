"""SpMM: a sparse matrix in CSR or BSR times a dense one, a row (of blocks) and a tile of columns a program.

Shapes: ``x [k, m]`` dense; the sparse matrix ``[n, k]`` in blocks of ``b x b``: ``values [B, b, b]`` row by
row, ``columns [B]`` (of blocks) and ``starts [n / b + 1]`` int32, where each row of blocks begins; ``out
[n, m]``. With b = 1 this is CSR: a chunk of nonzeros gathers that many rows of x, which are scaled and summed
in fp32. With b of 16 or more it is BSR: a block is a tile for ``tl.dot``, and the index is paid once a block.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.sparsity import spmm_flops
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 16  # nonzeros of a CSR row at a time
TILE = 32  # columns of x
_INDEX_BYTES = 4


def compress(weight: Tensor, block: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """``weight [n, k]`` as ``values``, ``columns`` and ``starts``; blocks that hold any value are kept whole.

    ValueError where ``block`` does not divide both sides.
    """
    n, k = weight.shape
    if n % block or k % block:
        raise ValueError(f"a matrix of {n} x {k} has no whole blocks of {block}")
    blocks = weight.view(n // block, block, k // block, block).transpose(1, 2)
    kept = (blocks != 0).flatten(2).any(dim=2)
    counts = kept.sum(dim=1)
    starts = torch.zeros(n // block + 1, dtype=torch.int32, device=weight.device)
    starts[1:] = counts.cumsum(0)
    return blocks[kept].contiguous(), kept.nonzero()[:, 1].to(torch.int32), starts


def expanded(values: Tensor, columns: Tensor, starts: Tensor, k: int) -> Tensor:
    """The matrix ``[n, k]`` again, zeros included."""
    block, rows = values.shape[1], len(starts) - 1
    dense = torch.zeros(rows, k // block, block, block, dtype=values.dtype, device=values.device)
    owners = torch.repeat_interleave(torch.arange(rows, device=values.device), starts.diff().long())
    dense[owners, columns.long()] = values
    return dense.transpose(1, 2).reshape(rows * block, k)


def naive_spmm(x: Tensor, values: Tensor, columns: Tensor, starts: Tensor) -> Tensor:
    """Expanded and multiplied in fp32."""
    return expanded(values.float(), columns, starts, x.shape[0]) @ x.float()


def fast_spmm(x: Tensor, values: Tensor, columns: Tensor, starts: Tensor) -> Tensor:
    """torch's CSR product in fp32; of blocks too, for its BSR product needs a build with MKL."""
    if values.shape[1] > 1:
        return expanded(values, columns, starts, x.shape[0]) @ x
    rows = len(starts) - 1
    return csr_tensor(values, columns, starts, (rows, x.shape[0])) @ x.float()


def csr_tensor(values: Tensor, columns: Tensor, starts: Tensor, shape: tuple[int, int]) -> Tensor:
    """torch's own CSR tensor (its interface is a beta, which it says once a process), in fp32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        values = values.flatten().float()
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def csr_row(  # type: ignore[no-untyped-def]
        x_ptr,  # [k, m]
        value_ptr,  # [nonzeros]
        column_ptr,  # [nonzeros]
        start_ptr,  # [n + 1]
        out_ptr,  # [n, m]
        m,
        CHUNK: tl.constexpr,
        TILE: tl.constexpr,
    ):
        row = tl.program_id(0)
        across = tl.program_id(1) * TILE + tl.arange(0, TILE)
        begin, end = tl.load(start_ptr + row), tl.load(start_ptr + row + 1)
        total = tl.zeros((TILE,), tl.float32)
        for first in range(begin, end, CHUNK):
            at = first + tl.arange(0, CHUNK)
            columns = tl.load(column_ptr + at, mask=at < end, other=0).to(tl.int64)
            values = tl.load(value_ptr + at, mask=at < end, other=0.0).to(tl.float32)
            inside = (at < end)[:, None] & (across < m)[None, :]
            x = tl.load(x_ptr + columns[:, None] * m + across[None, :], mask=inside, other=0.0).to(tl.float32)
            total += tl.sum(values[:, None] * x, 0)
        place = out_ptr + row.to(tl.int64) * m + across
        tl.store(place, total.to(out_ptr.dtype.element_ty), mask=across < m)

    @triton.jit  # type: ignore[untyped-decorator]
    def bsr_row(  # type: ignore[no-untyped-def]
        x_ptr,  # [k, m]
        value_ptr,  # [blocks, BLOCK, BLOCK]
        column_ptr,  # [blocks]
        start_ptr,  # [n / BLOCK + 1]
        out_ptr,  # [n, m]
        m,
        BLOCK: tl.constexpr,
        TILE: tl.constexpr,
    ):
        row, side = tl.program_id(0), tl.arange(0, BLOCK)
        across = tl.program_id(1) * TILE + tl.arange(0, TILE)
        begin, end = tl.load(start_ptr + row), tl.load(start_ptr + row + 1)
        inside = tl.broadcast_to((across < m)[None, :], (BLOCK, TILE))
        total = tl.zeros((BLOCK, TILE), tl.float32)
        for at in range(begin, end):
            column = tl.load(column_ptr + at).to(tl.int64)
            block_at = value_ptr + tl.cast(at, tl.int64) * BLOCK * BLOCK
            values = tl.load(block_at + side[:, None] * BLOCK + side[None, :])
            x_at = x_ptr + (column * BLOCK + side[:, None]) * m + across[None, :]
            total = tl.dot(values, tl.load(x_at, mask=inside, other=0.0), total, input_precision="ieee")
        place = out_ptr + (row * BLOCK + side[:, None]).to(tl.int64) * m + across[None, :]
        tl.store(place, total.to(out_ptr.dtype.element_ty), mask=inside)


def triton_spmm(x: Tensor, values: Tensor, columns: Tensor, starts: Tensor) -> Tensor:
    """As ``naive_spmm``, in the type of ``x``; all contiguous. Blocks of 1, or powers of two from 16 on."""
    rows, block, m = len(starts) - 1, values.shape[1], x.shape[1]
    out = torch.empty(rows * block, m, dtype=x.dtype, device=x.device)
    grid, arguments = (rows, triton.cdiv(m, TILE)), (x, values, columns, starts, out, m)
    if block == 1:
        csr_row[grid](*arguments, CHUNK=CHUNK, TILE=TILE, num_warps=1)
    else:
        bsr_row[grid](*arguments, BLOCK=block, TILE=TILE, num_warps=4)
    return out


def pattern(case: Case) -> Tensor:
    """Which blocks are kept, ``[n / b, k / b]``: ``kept`` in each row, shifted from row to row; where
    ``ragged``, as many on average, at random, with an empty row."""
    rows, columns = case["n"] // case["block"], case["k"] // case["block"]
    if case["ragged"]:
        mask = torch.rand(rows, columns, generator=torch.Generator().manual_seed(7)) < case["kept"] / columns
        mask[0] = False
        return mask
    stride = columns // case["kept"]
    return (torch.arange(columns)[None, :] - torch.arange(rows)[:, None]) % stride == 0


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    block = case["block"]
    mask = pattern(case).repeat_interleave(block, 0).repeat_interleave(block, 1)
    # Away from zero: a value that rounds to zero would not be stored.
    weight = torch.rand(mask.shape, generator=make.generator) + 0.5
    values, columns, starts = compress((weight * mask).to(make.dtype), block)
    names = {"values": values, "columns": columns, "starts": starts}
    return {"x": make.normal(case["k"], case["m"])} | {name: make.placed(one) for name, one in names.items()}


def work(case: Case) -> Work:
    """Of rows of whole chunks and whole tiles of columns."""
    mask, block, m, size = pattern(case), case["block"], case["m"], case.element_bytes
    blocks, rows, used = int(mask.sum()), mask.shape[0], int(mask.any(dim=0).sum())
    nonzeros, tiles = blocks * block * block, -(-m // TILE)
    stored = nonzeros * size + blocks * _INDEX_BYTES
    flops = spmm_flops(nonzeros, m)
    chunks = int((-(-mask.sum(dim=1) // CHUNK)).sum())
    return Work(
        read=used * block * m * size + stored + (rows + 1) * _INDEX_BYTES,
        written=case["n"] * m * size,
        matrix_flops=flops if block > 1 else 0,
        # The last sum of a chunk is that with the chunks before.
        vector_flops=flops + chunks * m if block == 1 else 0,
        loaded=blocks * block * m * size + tiles * (stored + 2 * rows * _INDEX_BYTES),
    )


def _case(n: int, k: int, m: int, kept: int, block: int, dtype: Any = "fp32", ragged: int = 0) -> Case:
    return Case({"n": n, "k": k, "m": m, "kept": kept, "block": block, "ragged": ragged}, dtype)


OPERATOR = Operator(
    name="spmm",
    title=Text(zh="SpMM（CSR 与 BSR）", en="SpMM (CSR and BSR)"),
    inputs=inputs,
    naive=naive_spmm,
    triton=triton_spmm if HAS_TRITON else None,
    fast=fast_spmm,
    work=work,
    odd=(_case(37, 100, 5, 20, 1, ragged=1), _case(64, 96, 33, 2, 16, "fp16", ragged=1)),
    aligned=(_case(16, 64, 32, 16, 1), _case(64, 128, 64, 4, 16)),
    shipped=(_case(1024, 1024, 64, 128, 1, "fp16"), _case(1024, 1024, 64, 16, 32, "fp16")),
    multiplies_matrices=False,
)
