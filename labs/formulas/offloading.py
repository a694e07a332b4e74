"""What it costs to keep weights or KV outside the device, and from when on the transfer hides behind compute.

Bandwidths are bytes/s between where the data is kept and where it is used: PCIe for host memory, the drive's
for a file. All times are lower bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def serial_seconds(load_s: Sequence[float], compute_s: Sequence[float]) -> float:
    """Each layer is loaded, then computed: nothing overlaps."""
    return sum(load_s) + sum(compute_s)


def prefetched_seconds(load_s: Sequence[float], compute_s: Sequence[float]) -> float:
    """While a layer is computed the next one is loaded into a second buffer.

    The first load is exposed; from then on each step takes the longer of its compute and the next load.
    """
    total = load_s[0] if load_s else 0.0
    for layer, compute in enumerate(compute_s):
        following = load_s[layer + 1] if layer + 1 < len(load_s) else 0.0
        total += max(compute, following)
    return total


def break_even_tokens(bytes_per_weight: float, peak_flops: float, bandwidth: float) -> float:
    """Tokens a pass from which on computing a layer takes as long as loading it.

    A weight is ``2 * tokens`` FLOPs and ``bytes_per_weight`` bytes, whatever the layer's size:
    ``2 T / peak_flops = bytes_per_weight / bandwidth``.
    """
    return bytes_per_weight * peak_flops / (2 * bandwidth)


def streamed_tokens_per_s(
    offloaded_bytes: float, resident_bytes: float, bandwidth: float, memory_bandwidth: float, batch: int = 1
) -> float:
    """Decode at best when ``offloaded_bytes`` cross ``bandwidth`` each step, beside reading device memory.

    Transfer and compute overlap, so a step takes the longer of the transfer and of reading everything once
    from device memory.
    """
    step_s = max(offloaded_bytes / bandwidth, (offloaded_bytes + resident_bytes) / memory_bandwidth)
    return batch / step_s


def offloaded_bytes(needed_bytes: float, room_bytes: float, buffer_bytes: float = 0.0) -> float:
    """What must live outside the device: nothing if all fits, else what does not beside the load buffers."""
    if needed_bytes <= room_bytes:
        return 0.0
    return min(needed_bytes, needed_bytes - room_bytes + buffer_bytes)


def prefetch_depth(load_s: float, compute_s: float, jitter_s: float = 0.0) -> int:
    """Layers to load ahead so that a load that takes ``jitter_s`` longer than usual stalls nothing.

    The load of a layer may take ``depth * compute_s``; one is the least. It helps against jitter only: where
    the usual load is longer than compute, no depth does.
    """
    longest = load_s + jitter_s
    return max(1, -int(-longest // compute_s))


def reload_speedup(flops: float, kv_bytes: float, peak_flops: float, bandwidth: float) -> float:
    """How many times faster loading a prefix's KV is than computing it anew, each at its bound."""
    return (flops / peak_flops) / (kv_bytes / bandwidth)
