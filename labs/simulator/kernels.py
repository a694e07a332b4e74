"""Constants from published times of kernels, for a serving engine whose own runs were not looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.simulator.cost import Constants
from labs.simulator.hardware import device
from labs.simulator.model_cost import kv_bytes_per_token, linear_flops_per_token, pair_flops
from labs.simulator.model_shape import active_parameters
from labs.simulator.models import model

if TYPE_CHECKING:
    from typing import Final

# Microseconds on an RTX 4090, Llama-3.1-8B in BF16, vLLM's kernels: casys-kaist/LLMServingSim at 856225aa,
# profiler/perf/RTX4090/meta-llama/Llama-3.1-8B/bf16/tp1, dense.csv, per_sequence.csv and attention.csv (MIT).
_MATRICES: Final = {32: 60.817 + 43.411 + 271.747 + 141.943, 2048: 631.069 + 419.483 + 2896.81 + 1459.55}
_OTHERS: Final = {32: 3.008 + 2 * 2.117 + 2.432, 2048: 168.943 + 2 * 28.485 + 26.228}
_HEAD: Final = 1190.84  # of 32 sequences
_SAMPLER: Final = {1: 25.001, 256: 310.944}  # by sequences
_DECODE: Final = {1024: 181.391, 2048: 325.006}  # 32 sequences, by the context of each
_PREFILL: Final = {2048: 813.484, 4096: 1303.99}  # 2,048 tokens, by the tokens before them


def rtx_4090_constants() -> Constants:
    """Shares of the data sheet's peaks that those kernels reach, and the fixed parts of their times.

    Weights are read in a step of 32 tokens, products computed in one of 2,048, with all that is not a
    product (norms, rotation, activation). KV's and attention's rates are the slopes over context; what
    remains of decode attention is the step's. The host is taken to work while the device does.
    """
    shape, card = model("llama-3.1-8b"), device("rtx-4090")
    layers, peak, bandwidth = shape.layers, card.peak("bf16"), card.memory_bandwidth
    weights = active_parameters(shape) * 2
    reading_us = layers * _MATRICES[32] + _HEAD
    computing_us = layers * (_MATRICES[2048] + _OTHERS[2048])
    context = 32 * (2048 - 1024)
    decode_us = layers * (_DECODE[2048] - _DECODE[1024])
    pairs = 2048 * (4096 - 2048)
    prefill_us = layers * (_PREFILL[4096] - _PREFILL[2048])
    fixed_us = layers * (2 * _DECODE[1024] - _DECODE[2048] + _OTHERS[32])
    return Constants(
        compute=2048 * linear_flops_per_token(shape) / (computing_us * 1e-6) / peak,
        attention=pairs * layers * pair_flops(shape) / (prefill_us * 1e-6) / peak,
        bandwidth=weights / (reading_us * 1e-6) / bandwidth,
        kv_bandwidth=context * kv_bytes_per_token(shape) / (decode_us * 1e-6) / bandwidth,
        step_s=fixed_us * 1e-6,
        sequence_s=(_SAMPLER[256] - _SAMPLER[1]) / 255 * 1e-6,
        source="times of vLLM's kernels on an RTX 4090, published with LLMServingSim (856225aa)",
    )
