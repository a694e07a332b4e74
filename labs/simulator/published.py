"""Constants of cost models from published kernel measurements, for devices that nobody here can time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.simulator.cost import Constants

if TYPE_CHECKING:
    from typing import Final

# Of an A100's peaks: bf16 GEMM (m, n, k >= 4096), prefill attention (head 128, causal), decode attention.
A100_KERNELS: Final = Constants(
    compute=0.91,
    attention=0.60,
    bandwidth=0.85,
    kv_bandwidth=0.85,
    source="AIConfigurator's measured tables for the A100 (ai-dynamo/aiconfigurator 095f58a5); host overhead "
    "left out",
)
