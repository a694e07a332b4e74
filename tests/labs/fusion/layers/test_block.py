"""A real block fused in every way gives what the model's own does, in as many kernels as its graph has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from labs.context import Context
from labs.formulas.decoder_block import INT8_STEPS, STEPS
from labs.fusion.layers.block import FusibleBlock, weights_of
from labs.fusion.layers.inputs import Case, block_case
from labs.fusion.layers.int8 import Codes, quantised, quantised_projection, scaled
from labs.fusion.layers.kernels import FusedKernels, fused_kernels
from labs.fusion.layers.native_kernels import NativeKernels
from labs.fusion.layers.run import Setting
from labs.fusion.layers.stages import INT8_TOLERANCE, TOLERANCE, _checked, predicted, stages

if TYPE_CHECKING:
    from labs.formulas.decoder_block import Step
    from labs.fusion.layers.stages import Measured

LAYER, TOKENS = 2, 24
both_phases = pytest.mark.parametrize("decode", [False, True], ids=["prefill", "decode"])


@pytest.fixture(scope="module")
def ctx() -> Context:
    return Context()


def _all(ctx: Context, kernels: FusedKernels, case: Case, steps: tuple[Step, ...]) -> list[Measured]:
    """Stage by stage, and every step by itself."""
    model, found = ctx.model(), []
    mine = weights_of(model.model.layers[LAYER], int8="quantise" in steps)
    chosen = tuple(step for step in steps if step not in kernels.missing)
    for added, fused in [*stages(chosen), *((step, frozenset({step})) for step in chosen)]:
        block = FusibleBlock(model.config, kernels, fused)
        found.append(_checked(kernels, block, added, mine, case))
    return found


@both_phases
@pytest.mark.parametrize("int8", [False, True], ids=["fp32", "int8"])
def test_stages_and_single_steps_are_exact_and_counted(ctx: Context, decode: bool, int8: bool) -> None:
    case = block_case(ctx, LAYER, TOKENS, decode, int8=int8)
    flow = Setting(decode, TOKENS, LAYER, int8, frozenset()).flow(ctx)
    for stage in _all(ctx, fused_kernels("cpu"), case, INT8_STEPS if int8 else STEPS):
        assert stage.error < (INT8_TOLERANCE if int8 else TOLERANCE), stage.steps
        assert stage.counted == predicted(flow, stage.steps).kernels, stage.steps


def test_a_wrong_block_is_noticed(ctx: Context) -> None:
    case = block_case(ctx, LAYER, TOKENS, decode=True)
    bent = case.inputs._replace(cosine=case.inputs.sine)
    wrong = Case(bent, case.expected, case.fp32)
    assert not _all(ctx, fused_kernels("cpu"), wrong, STEPS)[0].right


def test_int8_that_does_not_round_is_noticed(ctx: Context) -> None:
    """The block's own output in fp32 is close, and yet not what the INT8 block must give."""
    case = block_case(ctx, LAYER, TOKENS, decode=False, int8=True)
    first = _all(ctx, fused_kernels("cpu"), Case(case.inputs, case.fp32, case.fp32), INT8_STEPS)[0]
    assert not first.right
    assert first.loss is not None and 3 * INT8_TOLERANCE < first.loss < 0.1


def _native(step: Step) -> NativeKernels:
    kernels = NativeKernels()
    if step in kernels.missing:
        pytest.skip(kernels.missing[step].en)
    return kernels


def test_swiglu_far_from_zero() -> None:
    gate, up = torch.linspace(-120, 120, 4001).view(1, -1), torch.ones(1, 4001)
    wanted = torch.nn.functional.silu(gate.double())
    found = _native("activation").swiglu(gate, up)
    assert torch.allclose(found.double(), wanted, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize(("rows", "columns", "depth"), [(1, 7, 100), (5, 3, 32), (9, 6, 65)])
def test_integer_products_are_exact_at_the_edges(rows: int, columns: int, depth: int) -> None:
    """Every code at its largest, where sixteen bits would overflow first; and ragged tiles."""
    make = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 2, (rows, depth), generator=make, dtype=torch.int8) * 127
    codes[torch.rand(rows, depth, generator=make) < 0.5] *= -1
    weight = quantised_projection(torch.randn(columns, depth, generator=make))
    weight.weight[0] = 127
    given = Codes(codes, torch.rand(rows, 1, generator=make))
    kernels, exact = _native("scales"), (codes.int() @ weight.weight.int().t())
    assert torch.equal(kernels.int8_sums(codes, weight.weight), exact)
    found = kernels.int8_product(given, weight)
    assert torch.allclose(found, scaled(exact, given, weight), rtol=1e-6, atol=0)


def test_a_row_of_zeros_has_codes_of_zero() -> None:
    rows = torch.zeros(2, 64)
    _, codes = _native("quantise").add_norm_quantise(rows, rows, torch.ones(64), 1e-5)
    assert not codes.numbers.any()
    assert torch.equal(codes.scale, quantised(rows).scale)
