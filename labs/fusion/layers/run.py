"""Layer fusion: a real block's graph, then its stages from nothing fused to all that was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from labs.formulas.decoder_block import INT8_STEPS, STEPS, block
from labs.fusion.layers.block_graph import graph
from labs.fusion.layers.stage_views import Found, bars, metrics, table
from labs.inspection.process import HAS_TRITON, kernel_process
from labs.roofline.setting import decoder_of
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.formulas.decoder_block import Step
    from labs.formulas.fusion import Dataflow
    from labs.results import Result


@dataclass(frozen=True)
class Setting:
    """``tokens`` of the sequence, of which a decode computes the last. ``int8``: products after a norm."""

    decode: bool
    tokens: int
    layer: int
    int8: bool
    wanted: frozenset[Step]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Those that this block can have, in the order in which they are added."""
        return tuple(step for step in (INT8_STEPS if self.int8 else STEPS) if step in self.wanted)

    def flow(self, ctx: Context, tokens: int = 0) -> Dataflow:
        """Of the model's block, from its config alone; at ``tokens`` instead where they are given."""
        context = tokens or self.tokens
        shape = decoder_of(ctx.model_config())
        return block(shape, 1 if self.decode else context, context, int8=self.int8)


def run_layers(ctx: Context, setting: Setting) -> Iterator[Result]:
    """Graph and formulas at once, then kernels, times and errors, stage by stage; at last the bytes."""
    _refuse_what_is_not_llama(ctx)
    flow = setting.flow(ctx)
    found = Found(flow, setting.steps, int8=setting.int8)
    yield from metrics(found)
    yield graph(flow, frozenset(setting.steps))
    if not ctx.preview:
        yield from _measure(ctx, found, setting)


def _refuse_what_is_not_llama(ctx: Context) -> None:
    config = ctx.model_config()
    if config.qkv_bias or config.qk_norm:
        raise LabError(
            Text(
                zh="这里的层是 Llama 的，没有偏置，Q、K 也不归一化；这个模型有，请换一个",
                en="the block here is Llama's, without biases or norms of Q and K, which this model has: "
                "choose another",
            )
        )


def _measure(ctx: Context, found: Found, setting: Setting) -> Iterator[Result]:
    from labs.fusion.layers.inputs import block_case
    from labs.fusion.layers.int8_ways import int8_ways
    from labs.fusion.layers.kernels import fused_kernels
    from labs.fusion.layers.stage_story import explanation
    from labs.fusion.layers.stages import ROUNDS, measured, measured_costs
    from labs.quantization.threads import threads

    ctx.progress(None, Text(zh="准备融合的 kernel", en="Preparing the fused kernels"))
    kernels = fused_kernels(ctx.device)
    missing = [(step, kernels.missing[step]) for step in found.chosen if step in kernels.missing]
    found.chosen = tuple(step for step in found.chosen if step not in kernels.missing)
    # The fused kernels have one thread: with more for the others the comparison would be one of threads.
    with threads(1):
        case = block_case(ctx, setting.layer, setting.tokens, setting.decode, int8=setting.int8)
        found.costs = measured_costs(ctx, *case.inputs.residual.shape)
        for stage in measured(ctx, kernels, found.chosen, setting.layer, case, int8=setting.int8):
            found.add(stage)
            ctx.progress(
                found.timed / (ROUNDS * len(found.stages)), Text(zh="逐步融合", en="Fusing step by step")
            )
            yield table(found)
            yield bars(found)
        if setting.int8:
            yield int8_ways(ctx, kernels, setting.layer, case)
    yield from metrics(found)
    yield explanation(found, missing)
    yield from _counted(ctx, setting)


def _counted(ctx: Context, setting: Setting) -> Iterator[Result]:
    """In the interpreter, at a small size; nothing where no step has a kernel of its own."""
    if not (HAS_TRITON and set(setting.steps) - {"qkv", "gate_up"}):
        return
    from labs.fusion.layers.counted_kernels import CONTEXT, count_block
    from labs.fusion.layers.counted_views import counted_table

    context = min(setting.tokens, CONTEXT)
    tokens = 1 if setting.decode else context
    ctx.progress(None, Text(zh="在 Triton 解释器里数字节", en="Counting bytes in Triton's interpreter"))
    counted = kernel_process(ctx, "interpret").ask(
        count_block,
        ctx.check,
        config=msgspec.to_builtins(ctx.model_config()),
        tokens=tokens,
        context=context,
        int8=setting.int8,
        steps=list(setting.steps),
    )
    yield counted_table(setting.flow(ctx, context), counted, setting.steps, tokens, context)
