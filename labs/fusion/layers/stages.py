"""A block fused step by step: kernels counted, bytes by formula, time measured, the result checked."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from itertools import cycle
from typing import TYPE_CHECKING

import torch

from labs.caches import copies_beyond_cache
from labs.formulas.decoder_block import groups
from labs.formulas.fusion import kernels, moved_bytes, saving_s
from labs.fusion.layers.block import FusibleBlock, weights_of
from labs.models.llama import rotate
from labs.relative_error import relative_error
from labs.roofline.dispatches import dispatches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from labs.context import Context
    from labs.formulas.decoder_block import Step
    from labs.formulas.fusion import Dataflow
    from labs.fusion.layers.block import Inputs, Weights
    from labs.fusion.layers.inputs import Case
    from labs.fusion.layers.kernels import FusedKernels
    from labs.measure import Timing

TOLERANCE: Final = 1e-5  # relative, by norms: fp32 sums of some hundred terms in another order
# Of what an INT8 block adds: a normed number that differs by a rounding may take the neighbouring code.
INT8_TOLERANCE: Final = 2e-3
ROUNDS: Final = 3
_ROTATION_CALLS: Final = 7
_BUDGET_S: Final = 0.15
Stage = tuple["Step | None", frozenset["Step"]]  # what a stage adds, and all that is fused then


@dataclass(frozen=True)
class Costs:
    """What a pass over activations reaches in bytes/s where these lie, and seconds of a call."""

    bandwidth: float
    call_s: float


@dataclass(frozen=True)
class Measured:
    """One stage; ``error`` is against the block that it must equal: of the outputs, or with INT8 of what the
    block adds to the stream; ``loss``, of the same, is what INT8 costs against the model's own block in
    fp32. ``timing`` None: not timed (yet, or wrong)."""

    added: Step | None
    steps: frozenset[Step]
    counted: int
    error: float
    loss: float | None = None
    timing: Timing | None = None

    @property
    def right(self) -> bool:
        return self.error <= (TOLERANCE if self.loss is None else INT8_TOLERANCE)  # False of NaN


@dataclass(frozen=True)
class Predicted:
    """By formula."""

    kernels: int
    bytes: int


def stages(chosen: tuple[Step, ...]) -> list[Stage]:
    """Nothing fused, then one step more at a time."""
    found: list[Stage] = [(None, frozenset())]
    for step in chosen:
        found.append((step, found[-1][1] | {step}))
    return found


def predicted(flow: Dataflow, steps: frozenset[Step]) -> Predicted:
    fused = groups(flow, steps)
    return Predicted(len(kernels(flow, fused)), moved_bytes(flow, fused))


def predicted_saving_s(flow: Dataflow, steps: frozenset[Step], costs: Costs) -> float:
    """Against nothing fused."""
    before, after = predicted(flow, frozenset()), predicted(flow, steps)
    fewer_bytes, fewer_calls = before.bytes - after.bytes, before.kernels - after.kernels
    return saving_s(fewer_bytes, fewer_calls, costs.bandwidth, costs.call_s)


@torch.inference_mode()
def measured_costs(ctx: Context, rows: int, width: int) -> Costs:
    """An addition of two ``[rows, width]``, three streams, the cost of the call taken off; never less than
    a tenth of it, since of tiny tensors a difference of times says nothing. A call: one of the seven of a
    rotation of two numbers, with the views that it needs."""
    pair, angle = torch.ones(2, 1, 2, device=ctx.device), torch.ones(1, 1, device=ctx.device)
    call_s = ctx.measure(lambda: rotate(pair, angle, angle), budget_s=0.1).median_s / _ROTATION_CALLS
    one, other = torch.randn(2, rows, width, device=ctx.device)
    out = torch.empty_like(one)
    whole_s = ctx.measure(lambda: torch.add(one, other, out=out), budget_s=0.1).median_s
    return Costs(3 * one.nbytes / max(whole_s - call_s, 0.1 * whole_s), call_s)


def measured(
    ctx: Context, kernels: FusedKernels, chosen: tuple[Step, ...], layer: int, case: Case, *, int8: bool
) -> Iterator[Measured]:
    """Every stage checked, then those that are right timed, in turns: a machine that slows down meanwhile
    slows them all. Each stage is yielded again with the fastest of its timings so far."""
    model = ctx.model()
    mine = _placed(ctx, model.model.layers[layer], int8)
    found = []
    for added, steps in stages(chosen):
        block = FusibleBlock(model.config, kernels, steps)
        found.append(_checked(kernels, block, added, mine, case))
        yield found[-1]
    weights = cycle(_weights(ctx, layer, mine, int8))
    for _ in range(ROUNDS):
        for place, stage in enumerate(found):
            if stage.right:
                block = FusibleBlock(model.config, kernels, stage.steps)
                found[place] = _faster(stage, _timing(ctx, block, weights, case.inputs))
                yield found[place]


@torch.inference_mode()
def _checked(
    kernels: FusedKernels, block: FusibleBlock, added: Step | None, w: Weights, case: Case
) -> Measured:
    total, delta = block(w, case.inputs)
    counted = _counted(kernels, lambda: block(w, case.inputs))
    out = total + delta
    if w.qkv.scale is None:
        return Measured(added, block.steps, counted, relative_error(out, case.expected))
    # The stream is far longer than what one block adds, and would hide its errors.
    adds, wanted, fp32 = (one - case.entering for one in (out, case.expected, case.fp32))
    return Measured(added, block.steps, counted, relative_error(adds, wanted), relative_error(adds, fp32))


@torch.inference_mode()
def _timing(ctx: Context, block: FusibleBlock, weights: Iterator[Weights], x: Inputs) -> Timing:
    """On the next layer's weights each time: they come from memory, as in a step of the whole model."""
    return ctx.measure(lambda: block(next(weights), x), budget_s=_BUDGET_S)


def _faster(stage: Measured, timing: Timing) -> Measured:
    if stage.timing is not None and stage.timing.median_s <= timing.median_s:
        return stage
    return replace(stage, timing=timing)


def _weights(ctx: Context, layer: int, mine: Weights, int8: bool) -> list[Weights]:
    """Of as many layers, ``layer`` first, as overflow the cache: a step reads each layer's once."""
    blocks: Any = ctx.model().model.layers
    count = min(len(blocks), copies_beyond_cache(mine.nbytes, ctx.device))
    return [mine, *(_placed(ctx, blocks[(layer + n) % len(blocks)], int8) for n in range(1, count))]


def _placed(ctx: Context, block: Any, int8: bool) -> Weights:
    """On the run's device; the worker's own model stays on the host."""
    return weights_of(block if ctx.device == "cpu" else copy.deepcopy(block).to(ctx.device), int8=int8)


def _counted(kernels: FusedKernels, call: Callable[[], object]) -> int:
    """torch's operators by its profiler, and the fused kernels, which it does not see."""
    operators = dispatches(call)
    before = kernels.calls
    call()
    return operators + kernels.calls - before
