"""What each kernel must compute, as torch code; from which inputs; and what it has to move and multiply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas import operators as count
from labs.formulas.prefill import causal_pairs
from labs.ops.operator import Work
from labs.ops.rms_norm import EPSILON

if TYPE_CHECKING:
    from torch import Tensor

    from labs.ops.operator import Case, Tensors

INT4_GROUP = 32  # of exercises/int4_matmul.py
BLOCK = 16  # of exercises/paged_attention.py


def vector_add(x: Tensor, y: Tensor) -> Tensor:
    return x.float() + y.float()


def row_sum(x: Tensor) -> Tensor:
    return x.float().sum(dim=1)


def transpose(x: Tensor) -> Tensor:
    return x.T


def softmax(x: Tensor) -> Tensor:
    return x.float().softmax(dim=1)


def rms_norm(x: Tensor, weight: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    total = x.float() + residual.float()
    factor = (total.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt()
    return total * factor * weight.float(), total


def matmul(a: Tensor, b: Tensor) -> Tensor:
    return a.float() @ b.float()


def int4_matmul(a: Tensor, packed: Tensor, scale: Tensor, minimum: Tensor) -> Tensor:
    codes = torch.stack([packed & 15, packed >> 4], dim=1).flatten(0, 1).float()
    group = len(codes) // len(scale)
    w = codes * scale.repeat_interleave(group, 0) + minimum.repeat_interleave(group, 0)
    return a.float() @ w.to(a.dtype).float()


def flash_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q.float() @ k.float().transpose(1, 2) / q.shape[-1] ** 0.5
    seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
    weights: Tensor = scores.masked_fill(~seen, -torch.inf).softmax(dim=-1)
    return weights @ v.float()


def paged_attention(q: Tensor, keys: Tensor, values: Tensor, table: Tensor, length: Tensor) -> Tensor:
    out = torch.empty(q.shape, dtype=torch.float32, device=q.device)
    for sequence, positions in enumerate(torch.arange(int(n), device=q.device) for n in length):
        slots = table[sequence, positions // BLOCK].long() * BLOCK + positions % BLOCK
        scores = q[sequence].float() @ keys[slots].float().T / q.shape[-1] ** 0.5
        out[sequence] = scores.softmax(dim=1) @ values[slots].float()
    return out


def matrix_inputs(case: Case, make: Tensors) -> dict[str, Any]:
    return {"x": make.normal(case["rows"], case["columns"])}


def vectors_inputs(case: Case, make: Tensors) -> dict[str, Any]:
    return {"x": make.normal(case["size"]), "y": make.normal(case["size"])}


def norm_inputs(case: Case, make: Tensors) -> dict[str, Any]:
    shape = (case["rows"], case["columns"])
    return {"x": make.normal(*shape), "weight": make.normal(shape[1]), "residual": make.normal(*shape)}


def product_inputs(case: Case, make: Tensors) -> dict[str, Any]:
    return {"a": make.normal(case["m"], case["k"]), "b": make.normal(case["k"], case["n"])}


def int4_product_inputs(case: Case, make: Tensors) -> dict[str, Any]:
    m, n, k = case["m"], case["n"], case["k"]
    groups = k // INT4_GROUP
    return {
        "a": make.normal(m, k),
        "packed": make.integers(0, 256, k // 2, n, dtype=torch.uint8),
        "scale": make.normal(groups, n, scale=0.1),
        "minimum": make.normal(groups, n),
    }


def heads_inputs(case: Case, make: Tensors) -> dict[str, Any]:
    shape = (case["heads"], case["length"], case["d"])
    return {name: make.normal(*shape) for name in "qkv"}


def paged_inputs(case: Case, make: Tensors) -> dict[str, Any]:
    """Lengths from 1 to ``longest``; every block somewhere else in the pool, what nobody wrote NaN."""
    sequences, longest, d = case["sequences"], case["longest"], case["d"]
    lengths = torch.linspace(1, longest, sequences).int()
    width = -(-longest // BLOCK)
    table = torch.randperm(sequences * width, generator=make.generator)[: sequences * width]
    table = table.view(sequences, width).int()
    written = torch.zeros(sequences * width * BLOCK, dtype=torch.bool)
    for row, length in zip(table.long(), lengths.tolist(), strict=True):
        positions = torch.arange(length)
        written[row[positions // BLOCK] * BLOCK + positions % BLOCK] = True
    keys, values = (make.normal(len(written), d) for _ in range(2))
    for part in (keys, values):
        part[~written] = torch.nan
    q = make.normal(sequences, case["heads"], d)
    return {
        "q": q,
        "keys": keys,
        "values": values,
        "table": make.placed(table),
        "length": make.placed(lengths),
    }


def vector_work(case: Case) -> Work:
    size = case["size"] * case.element_bytes
    return Work(2 * size, size, vector_flops=case["size"])


def sum_work(case: Case) -> Work:
    size = case["rows"] * case["columns"]
    return Work(size * case.element_bytes, 4 * case["rows"], vector_flops=size)


def transpose_work(case: Case) -> Work:
    size = case["rows"] * case["columns"] * case.element_bytes
    return Work(size, size)


def softmax_work(case: Case) -> Work:
    rows, columns = case["rows"], case["columns"]
    read, written = count.softmax_bytes(rows, columns, case.element_bytes)
    return Work(read, written, vector_flops=count.softmax_flops(rows, columns))


def norm_work(case: Case) -> Work:
    rows, columns = case["rows"], case["columns"]
    read, written = count.rms_norm_bytes(rows, columns, case.element_bytes, residual=True)
    return Work(read, written, vector_flops=count.rms_norm_flops(rows, columns, residual=True))


def product_work(case: Case) -> Work:
    m, n, k = case["m"], case["n"], case["k"]
    read, written = count.matmul_bytes(m, n, k, case.element_bytes)
    return Work(int(read), int(written), matrix_flops=2 * m * n * k)


def int4_work(case: Case) -> Work:
    m, n, k = case["m"], case["n"], case["k"]
    weights = count.int4_weight_bytes(k, n, INT4_GROUP, case.element_bytes)
    read = int(m * k * case.element_bytes + weights)
    return Work(read, m * n * case.element_bytes, matrix_flops=2 * m * n * k, vector_flops=2 * k * n)


def flash_work(case: Case) -> Work:
    heads, length, d = case["heads"], case["length"], case["d"]
    size = heads * length * d * case.element_bytes
    return Work(3 * size, size, matrix_flops=4 * heads * causal_pairs(length) * d)


def paged_work(case: Case) -> Work:
    sequences, longest, d, heads = case["sequences"], case["longest"], case["d"], case["heads"]
    lengths = torch.linspace(1, longest, sequences).int().tolist()
    query = sequences * heads * d * case.element_bytes
    table = 4 * sum(-(-length // BLOCK) for length in lengths) + 4 * sequences
    read = 2 * sum(lengths) * d * case.element_bytes + query + table
    return Work(read, query, matrix_flops=4 * sum(lengths) * heads * d)
