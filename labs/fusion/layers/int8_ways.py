"""Ways to one INT8 product of the block, gate and up together, timed beside the same product in fp32."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

import torch

from labs.fusion.layers.block import weights_of
from labs.fusion.layers.int8 import quantised, scaled
from labs.quantization.linear import int8_dynamic, kernel_error
from labs.relative_error import relative_error
from labs.results import Axis, Bars, BarSeries, Provenance, array
from labs.spec import LabError
from labs.text import Text, same
from labs.timing_results import method

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.fusion.layers.inputs import Case
    from labs.fusion.layers.int8 import Codes, Projection
    from labs.fusion.layers.kernels import FusedKernels

_BUDGET_S = 0.1
_TOLERANCE = 1e-5  # sums of integers, scaled in fp32
Way = tuple[Text, "Callable[[], Tensor]"]


@torch.inference_mode()
def int8_ways(ctx: Context, kernels: FusedKernels, layer: int, case: Case) -> Bars:
    """On what enters the block, normed. A way whose numbers are wrong has no time."""
    block: Any = ctx.model().model.layers[layer]
    if ctx.device != "cpu":  # where the worker's model does not live
        block = copy.deepcopy(block).to(ctx.device)
    fp32, projection = (weights_of(block, int8=int8).gate_up for int8 in (False, True))
    x: Tensor = block.input_layernorm(case.entering)
    codes = quantised(x)
    exact = scaled(codes.numbers.double() @ projection.weight.double().t(), codes, projection)
    ways = [one for one in _ways(kernels, projection, codes) if relative_error(one[1](), exact) <= _TOLERANCE]
    ways = [(same("FP32"), lambda: x @ fp32.weight.t()), *ways, *_dynamic(fp32.weight, x)]
    timings = [ctx.measure(call, budget_s=_BUDGET_S) for _, call in ways]
    return Bars(
        id="int8",
        title=Text(zh="gate 与 up 的一次乘法：几种 INT8", en="Gate and up as one product: ways to INT8"),
        provenance=Provenance.MEASURED,
        unit="s",
        source=method(timings[0]),
        help=Text(
            zh="没有 VNNI 的 CPU 上，torch._int_mm 没有快的内核；fbgemm 有，但它自己量化激活，"
            "一次调用只有一个缩放。GPU 上 _int_mm 是 cuBLAS。",
            en="Without VNNI torch._int_mm has no fast kernel on a CPU; fbgemm has one, but quantises the "
            "activations itself, with a single scale a call. On a GPU _int_mm is cuBLAS.",
        ),
        categories=[name for name, _ in ways],
        series=[
            BarSeries(
                name=Text(zh="实测", en="measured"),
                values=array([one.median_s for one in timings]),
                low=array([one.low_s for one in timings]),
                high=array([one.high_s for one in timings]),
            )
        ],
        y=Axis(title=Text(zh="时间", en="time"), unit="s", log=True),
    )


def _ways(kernels: FusedKernels, projection: Projection, codes: Codes) -> Iterator[Way]:
    """Of the same codes."""
    numbers, weight = codes.numbers, projection.weight
    if not numbers.is_cuda or len(numbers) > 16:  # cuBLAS refuses fewer
        yield same("torch._int_mm"), lambda: scaled(torch._int_mm(numbers, weight.t()), codes, projection)
    if "scales" not in kernels.missing:
        name = Text(zh="本实验的融合核", en="the fused kernel here")
        yield name, lambda: kernels.int8_product(codes, projection)


def _dynamic(weight: Tensor, x: Tensor) -> Iterator[Way]:
    """torch's for CPUs, which quantises the activations itself; checked against its own rounding."""
    if x.is_cuda:
        return
    with contextlib.suppress(LabError):  # not every build of torch has it
        layer = int8_dynamic(weight, "cpu")
        if kernel_error(layer, x) <= layer.tolerance:
            yield same("fbgemm"), lambda: layer(x)
