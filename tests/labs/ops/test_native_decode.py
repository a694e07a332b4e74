"""The C++ products of 2:4 and INT4 weights: right at any number of rows and threads, nothing else written;
without them the operators' fast paths are torch's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from labs.ops import int4_gemm, sparse_24
from labs.ops.native_decode import MANY, NativeDecode, native_decode
from labs.ops.operator import Case
from labs.quantization.threads import threads
from labs.relative_error import relative_error
from labs.text import same

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def compiled() -> NativeDecode:
    found = native_decode()
    if not isinstance(found, NativeDecode):
        pytest.skip(found.en)
    return found


def guarded(rows: int, columns: int, write: Callable[[Tensor], None]) -> Tensor:
    """What ``write`` puts into a tensor of NaN, once nothing around it has changed."""
    held = torch.full((rows + 2, columns), torch.nan)
    write(held[1:-1])
    assert held[0].isnan().all() and held[-1].isnan().all()
    return held[1:-1]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("m", [1, 3, 4, 9])
@pytest.mark.parametrize("n", [1, 6, 37])
def test_few_rows_are_right_and_nothing_else_is_written(n: int, m: int, count: int) -> None:
    with threads(count):
        native = compiled()
        for dtype in ("fp32", "fp16", "bf16"):
            halved = sparse_24.OPERATOR.make(Case({"m": m, "n": n, "k": 72}, dtype))
            x, values, meta = (halved[name] for name in ("x", "values", "meta"))
            out = guarded(m, n, lambda out: native.two_four(x.float(), values, meta, out))  # noqa: B023
            assert relative_error(out, sparse_24.naive_sparse_24(x, values, meta)) < 1e-5
        packed = int4_gemm.OPERATOR.make(Case({"m": m, "n": n, "k": 192, "group": 64}))
        out = guarded(m, n, lambda out: native.int4(**packed, out=out))
        assert relative_error(out, int4_gemm.naive_int4_gemm(**packed)) < 1e-5


def test_a_weight_that_is_unfolded_is_the_weight() -> None:
    halved = sparse_24.OPERATOR.make(Case({"m": 1, "n": 37, "k": 72}))
    values, meta = halved["values"], halved["meta"]
    out = guarded(37, 72, lambda out: compiled().two_four(None, values, meta, out))
    assert torch.equal(out, sparse_24.unfolded(values, meta))
    packed = int4_gemm.OPERATOR.make(Case({"m": 1, "n": 37, "k": 100, "group": 32}))
    weight = {name: packed[name] for name in ("packed", "scale", "low")}
    out = guarded(37, 128, lambda out: compiled().int4(None, **weight, out=out))
    assert torch.allclose(out[:, :100], int4_gemm.unpacked(**weight, k=100), rtol=0, atol=1e-6)


@pytest.mark.parametrize("operator", [sparse_24, int4_gemm])
def test_without_native_kernels_torch_computes_the_same(
    operator: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = operator.OPERATOR  # type: ignore[attr-defined]
    monkeypatch.setattr(operator, "native_decode", lambda: same("no compiler"))
    for m in (1, MANY):
        case = Case({"m": m, "n": 24, "k": 64, "group": 32})
        arguments = found.make(case)
        assert relative_error(found.fast(**arguments), found.naive(**arguments)) <= found.tolerance["fp32"]
