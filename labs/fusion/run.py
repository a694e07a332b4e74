"""Layer fusion: a real block's graph, then its stages from nothing fused to all that was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.decoder_block import STEPS, block
from labs.fusion.block_graph import graph
from labs.fusion.stage_views import Found, bars, explanation, metrics, table
from labs.roofline.setting import decoder_of
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.formulas.decoder_block import Step
    from labs.formulas.fusion import Dataflow
    from labs.results import Result


def dataflow(ctx: Context, *, decode: bool, tokens: int) -> Dataflow:
    """Of the model's block, from its config alone: ``tokens`` at once, or the last of them."""
    return block(decoder_of(ctx.model_config()), 1 if decode else tokens, tokens)


def run_layers(
    ctx: Context, *, decode: bool, tokens: int, layer: int, steps: frozenset[Step]
) -> Iterator[Result]:
    """Graph and formulas at once, then kernels, times and errors, stage by stage."""
    flow = dataflow(ctx, decode=decode, tokens=tokens)
    found = Found(flow, tuple(step for step in STEPS if step in steps))
    yield from metrics(found)
    yield graph(flow, steps)
    if not ctx.preview:
        yield from _measure(ctx, found, decode, tokens, layer)


def _measure(ctx: Context, found: Found, decode: bool, tokens: int, layer: int) -> Iterator[Result]:
    from labs.fusion.inputs import block_inputs
    from labs.fusion.kernels import FusedKernels
    from labs.fusion.stages import ROUNDS, measured, measured_costs
    from labs.quantization.threads import threads

    ctx.progress(None, Text(zh="准备融合的 kernel", en="Preparing the fused kernels"))
    kernels = FusedKernels(ctx.device)
    missing = [(step, kernels.missing[step]) for step in found.chosen if step in kernels.missing]
    found.chosen = tuple(step for step in found.chosen if step not in kernels.missing)
    # The fused kernels have one thread: with more for the others the comparison would be one of threads.
    with threads(1):
        inputs, expected = block_inputs(ctx, layer, tokens, decode)
        found.costs = measured_costs(ctx, *inputs.residual.shape)
        for stage in measured(ctx, kernels, found.chosen, layer, inputs, expected):
            found.add(stage)
            ctx.progress(
                found.timed / (ROUNDS * len(found.stages)), Text(zh="逐步融合", en="Fusing step by step")
            )
            yield table(found)
            yield bars(found)
    yield from metrics(found)
    weights = sum(size for name, size in found.flow.sizes.items() if name.startswith("w."))
    yield explanation(found, weights, missing)
