"""A GPU kernel's loop over k, software-pipelined: which buffer is filled when, and what waits for what.

One SM works on one tile of C after the other. Each step multiplies a tile of A by one of B, out of one of
``stages`` buffers in shared memory; loads are asked for ahead (``cp.async`` or TMA). Times are of a schedule,
not of a device: latency, and shares of the device's published bandwidth and peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from labs.formulas.gemm import schedule, stage_bytes, stages_needed, step_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

ELEMENT_BYTES = 2


class Chip(NamedTuple):
    """``processors`` (SMs) and the shared memory that a block may take, in bytes; ``device``: its row in
    ``labs.simulator.hardware``."""

    device: str
    processors: int
    shared_bytes: int
    source: str


CHIPS = {
    "a100": Chip(
        "a100-80gb-sxm",
        108,
        163 * 1024,
        "NVIDIA A100 architecture whitepaper; CUDA C++ Programming Guide, compute 8.0",
    ),
    "h100": Chip(
        "h100-sxm",
        132,
        227 * 1024,
        "NVIDIA H100 architecture whitepaper; CUDA C++ Programming Guide, compute 9.0",
    ),
}


@dataclass(frozen=True)
class Pipeline:
    """Tile sizes, buffers, and what a step costs one SM."""

    tile_m: int
    tile_n: int
    tile_k: int
    stages: int
    latency_s: float
    transfer_s: float
    compute_s: float

    @property
    def step_s(self) -> float:
        return step_seconds(self.latency_s, self.transfer_s, self.compute_s, self.stages)

    @property
    def needed(self) -> int:
        return stages_needed(self.latency_s, self.transfer_s, self.compute_s)

    @property
    def shared_bytes(self) -> float:
        return stage_bytes(self.tile_m, self.tile_n, self.tile_k, self.stages, ELEMENT_BYTES)

    def run(self, steps: int) -> Sequence[tuple[float, float, float, float, float]]:
        return schedule(steps, self.latency_s, self.transfer_s, self.compute_s, self.stages)


def pipeline(
    chip: str, tile_m: int, tile_n: int, tile_k: int, stages: int, latency_s: float, hit: float
) -> Pipeline:
    """Of one SM: its share of the bandwidth and of the dense 16-bit peak.

    ``hit`` is the share of loads that L2 serves; they do not use the bandwidth of memory.
    """
    from labs.simulator.hardware import device

    found = CHIPS[chip]
    gpu = device(found.device)
    loaded = stage_bytes(tile_m, tile_n, tile_k, 1, ELEMENT_BYTES) * (1 - hit)
    return Pipeline(
        tile_m,
        tile_n,
        tile_k,
        stages,
        latency_s,
        loaded / (gpu.memory_bandwidth / found.processors),
        2 * tile_m * tile_n * tile_k / (gpu.peak("bf16") / found.processors),
    )
