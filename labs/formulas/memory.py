"""Weight bytes, arithmetic intensity and the time that memory or compute allows at best (the roofline).

Shapes: ``C[m, n] = A[m, k] @ B[k, n]`` with ``A`` the activations (``m`` tokens) and ``B`` the weights.
All times are lower bounds and all rates upper bounds: perfect overlap, and nothing else runs.
"""

from __future__ import annotations


def weight_bytes(parameters: float, bits_per_weight: float) -> float:
    """Bytes of the weights alone; scales count only if ``bits_per_weight`` includes them."""
    return parameters * bits_per_weight / 8


def decoder_linear_parameters(layers: int, width: int, kv_width: int, ffn_width: int) -> int:
    """Weights of the linear layers of a Llama-family decoder, embedding and output head not included.

    A layer has Q and O ``[width, width]``, K and V ``[kv_width, width]``, gate, up ``[ffn_width, width]`` and
    down ``[width, ffn_width]``. ``kv_width`` is ``kv_heads * head_dim``.
    """
    return layers * (2 * width * width + 2 * width * kv_width + 3 * width * ffn_width)


def gemm_flops(m: int, n: int, k: int) -> int:
    """One multiply and one add for each of ``m * n * k`` products."""
    return 2 * m * n * k


def gemm_bytes(
    m: int, n: int, k: int, weight_bits: float = 16, activation_bits: float = 16, output_bits: float = 16
) -> float:
    """Bytes that must cross the memory bus once: read ``A`` and ``B``, write ``C``."""
    return (m * k * activation_bits + k * n * weight_bits + m * n * output_bits) / 8


def arithmetic_intensity(
    m: int, n: int, k: int, weight_bits: float = 16, activation_bits: float = 16, output_bits: float = 16
) -> float:
    """FLOPs a byte of a GEMM. With ``m = 1`` (decode, batch 1) it is close to ``16 / weight_bits``."""
    return gemm_flops(m, n, k) / gemm_bytes(m, n, k, weight_bits, activation_bits, output_bits)


def ridge_point(peak_flops: float, bandwidth: float) -> float:
    """FLOPs a byte from which on compute, not memory, is the bound. ``bandwidth`` in bytes/s."""
    return peak_flops / bandwidth


def roofline_seconds(flops: float, moved_bytes: float, peak_flops: float, bandwidth: float) -> float:
    """The slower of computing ``flops`` at ``peak_flops`` and moving ``moved_bytes`` at ``bandwidth``."""
    return max(flops / peak_flops, moved_bytes / bandwidth)


def bandwidth_bound_tokens_per_s(bytes_per_step: float, bandwidth: float, batch: int = 1) -> float:
    """Decode rate if a step does nothing but read ``bytes_per_step``: weights, and KV cache if counted."""
    return batch * bandwidth / bytes_per_step
