"""A real block fused in every way gives what the model's own does, in as many kernels as its graph has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from labs.context import Context
from labs.formulas.decoder_block import STEPS
from labs.fusion.block import FusibleBlock, Inputs, weights_of
from labs.fusion.inputs import block_inputs
from labs.fusion.kernels import FusedKernels
from labs.fusion.run import dataflow
from labs.fusion.stages import TOLERANCE, _checked, predicted, stages

if TYPE_CHECKING:
    from labs.fusion.stages import Measured

LAYER, TOKENS = 2, 24


@pytest.fixture(scope="module")
def ctx() -> Context:
    return Context()


@pytest.fixture(scope="module", params=[False, True], ids=["prefill", "decode"])
def entering(request: pytest.FixtureRequest, ctx: Context) -> tuple[bool, Inputs, torch.Tensor]:
    return request.param, *block_inputs(ctx, LAYER, TOKENS, request.param)


def _all(ctx: Context, kernels: FusedKernels, x: Inputs, expected: torch.Tensor) -> list[Measured]:
    model, found = ctx.model(), []
    mine = weights_of(model.model.layers[LAYER])
    chosen = tuple(step for step in STEPS if step not in kernels.missing)
    for added, steps in [*stages(chosen), *((step, frozenset({step})) for step in chosen)]:
        block = FusibleBlock(model.config, kernels, steps)
        found.append(_checked(kernels, block, added, mine, x, expected))
    return found


def test_stages_and_single_steps_are_exact_and_counted(
    ctx: Context, entering: tuple[bool, Inputs, torch.Tensor]
) -> None:
    decode, x, expected = entering
    flow = dataflow(ctx, decode=decode, tokens=TOKENS)
    for stage in _all(ctx, FusedKernels("cpu"), x, expected):
        assert stage.error < TOLERANCE, stage.steps
        assert stage.counted == predicted(flow, stage.steps).kernels, stage.steps


def test_a_wrong_block_is_noticed(ctx: Context) -> None:
    x, expected = block_inputs(ctx, LAYER, TOKENS, decode=True)
    bent = x._replace(cosine=x.sine)
    assert not _all(ctx, FusedKernels("cpu"), bent, expected)[0].right


def test_swiglu_far_from_zero() -> None:
    kernels = FusedKernels("cpu")
    if "activation" in kernels.missing:
        pytest.skip(kernels.missing["activation"].en)
    gate, up = torch.linspace(-120, 120, 4001).view(1, -1), torch.ones(1, 4001)
    wanted = torch.nn.functional.silu(gate.double())
    assert torch.allclose(kernels.swiglu(gate, up).double(), wanted, rtol=1e-5, atol=1e-30)
