"""Sets of constants by name, each with where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labs.simulator.cost import IDEAL, Constants
from labs.simulator.kernels import rtx_4090_constants

if TYPE_CHECKING:
    from typing import Final

Calibration = Literal["fitted", "kernels", "ideal"]

# What ``labs.simulator.fit`` finds for the H100 runs of TensorRT-LLM v0.17's performance overview, to four
# digits: a test refits them. On the A100 runs, which it has not seen, the mean error is 9 %.
FITTED: Final = Constants(
    compute=0.6232,
    attention=0.9703,
    bandwidth=0.6135,
    kv_bandwidth=0.8626,
    link=0.6303,
    step_s=2.411e-4,
    sequence_s=8.297e-6,
    collective_s=6.138e-5,
    source="fitted to 43 offline runs of TensorRT-LLM v0.17 on H100 (its perf-overview.md, 258c7540)",
)
FITTED_RESERVED_BYTES: Final = 2.373e9

_AICONFIGURATOR: Final = "AIConfigurator's measured tables (ai-dynamo/aiconfigurator, 095f58a5)"
_KERNELS: Final = {
    "a100-80gb-sxm": Constants(
        compute=0.91,
        attention=0.60,
        bandwidth=0.85,
        kv_bandwidth=0.85,
        source=f"A100's kernels: GEMM 91 %, prefill attention 60 %, decode attention 85 %, {_AICONFIGURATOR}",
    ),
    "h100-sxm": Constants(
        compute=0.80,
        attention=0.68,
        bandwidth=0.95,
        kv_bandwidth=0.95,
        source=f"H100's kernels: GEMM 80 %, prefill attention 68 %, decode attention 95 %, {_AICONFIGURATOR}",
    ),
}


def constants(calibration: Calibration, device: str) -> Constants:
    """A device whose kernels nobody is known to have timed is given the A100's shares."""
    if calibration == "ideal":
        return IDEAL
    if calibration == "fitted":
        return FITTED
    if device == "rtx-4090":
        return rtx_4090_constants()
    return _KERNELS.get(device, _KERNELS["a100-80gb-sxm"])
