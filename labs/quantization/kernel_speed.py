"""One linear layer in one mode: checked against the naive product, then timed, beside its roofs."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from labs.caches import last_level_cache_bytes
from labs.formulas.memory import gemm_flops, roofline_seconds
from labs.quantization.linear import kernel_error
from labs.quantization.roofs import gemm_peak, read_bandwidth
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from labs.context import Context
    from labs.measure import Timing
    from labs.quantization.roofs import Compute
    from labs.quantization.speed_modes import LinearShape, Mode

Phase = Literal["decode", "prefill"]
# Enough copies of a weight that the last-level cache holds at most half of them.
_CACHES_FULL = 2
_MOST_COPIES = 512
_BUDGET_S = 0.04


@dataclass(frozen=True)
class Roofs:
    """Bytes/s of reading memory, and FLOP/s by the type that is multiplied, all measured in this run."""

    bandwidth: float
    peaks: dict[Compute, float]

    def peak(self, compute: Compute) -> float:
        """A kernel may also widen its operands and multiply fp32: where that is faster, it is the roof."""
        return max(self.peaks[compute], self.peaks["fp32"])


def measure_roofs(ctx: Context) -> Roofs:
    """A second or two of probing."""
    return Roofs(
        read_bandwidth(ctx),
        {"fp32": gemm_peak(ctx, "fp32"), "bf16": gemm_peak(ctx, "bf16"), "int8": gemm_peak(ctx, "int8")},
    )


@dataclass(frozen=True)
class KernelTime:
    """``timing`` None: not run, or not to be shown, for ``reason``. ``difference`` is the check's."""

    shape: LinearShape
    phase: Phase
    rows: int
    weight_bytes: int
    moved_bytes: int
    bound_s: float
    difference: float | None
    timing: Timing | None
    reason: Text | None = None

    @property
    def flops(self) -> int:
        return gemm_flops(self.rows, self.shape.outputs, self.shape.inputs)

    @property
    def share(self) -> float:
        """Of what the roofs allow, 0 to 1."""
        return self.bound_s / self.timing.median_s if self.timing else math.nan


@torch.inference_mode()
def time_kernel(
    ctx: Context, mode: Mode, shape: LinearShape, phase: Phase, rows: int, roofs: Roofs
) -> KernelTime:
    """Build, check, time. In decode copies of the weight rotate, so that it really comes from memory."""
    try:
        layer = shape.builder(mode)(shape.weight(ctx.model().model), ctx.device)
        x = torch.randn(rows, shape.inputs, generator=ctx.generator()).to(ctx.device, layer.activations)
        difference = kernel_error(layer, x)
    except (LabError, RuntimeError, NotImplementedError, AttributeError) as error:
        return KernelTime(shape, phase, rows, 0, 0, math.nan, None, None, _reason(error))
    moved = layer.weight_bytes + x.nbytes + rows * shape.outputs * x.element_size()
    bound = roofline_seconds(
        gemm_flops(rows, shape.outputs, shape.inputs), moved, roofs.peak(layer.compute), roofs.bandwidth
    )
    facts = (shape, phase, rows, layer.weight_bytes, moved, bound, difference)
    if not difference <= layer.tolerance:
        return KernelTime(*facts, None, _failed(difference, layer.tolerance))
    copies = 1
    if phase == "decode":
        wanted = math.ceil(_CACHES_FULL * last_level_cache_bytes(ctx.device) / layer.weight_bytes)
        copies = min(max(1, wanted), _MOST_COPIES)
    layers = itertools.cycle([layer, *(layer.cloned() for _ in range(copies - 1))])
    return KernelTime(*facts, ctx.measure(lambda: next(layers)(x), budget_s=_BUDGET_S))


def _reason(error: Exception) -> Text:
    if isinstance(error, LabError):
        return error.text
    line = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
    return Text(zh=f"此设备没有这个内核：{line}", en=f"this device has no such kernel: {line}")


def _failed(difference: float, tolerance: float) -> Text:
    return Text(
        zh=f"与朴素实现相差 {difference:.2g}，超过 {tolerance:.2g}：检查未过，不显示速度",
        en=f"off by {difference:.2g} from the naive product, above {tolerance:.2g}: failed its check, "
        "no speed",
    )
