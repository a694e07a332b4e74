"""How many warps a multiprocessor holds of a kernel at once, and what keeps it from holding more.

The rules are those of NVIDIA's own calculator, ``cuda_occupancy.h``: the tests compile the one that Triton
ships (3.7.1: of CUDA 13.1; CUDA 13.0's answers the same) and compare with it. The limits are "Technical
Specifications per Compute Capability" of the CUDA Programming Guide, as NVIDIA's libcu++ holds them in
``cuda::arch_traits``. AMD's CDNA 3 follows the same arithmetic with a wavefront of 64 lanes, four SIMDs and
other lots: LLVM, ``AMDGPUBaseInfo.cpp`` (``IsaInfo``) and "User Guide for AMDGPU Backend",
GRANULATED_WORKITEM_VGPR_COUNT and GRANULATED_LDS_SIZE. Its scalar registers are left out: up to 100 of them
hold back no kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_KIB = 1024

Limiter = Literal["warps", "blocks", "registers", "shared"]


@dataclass(frozen=True)
class Multiprocessor:
    """What one streaming multiprocessor (AMD: compute unit) has for the blocks that live on it.

    ``warp`` threads a warp (AMD: wavefront), ``partitions`` schedulers with a register file each (AMD:
    SIMDs), ``registers`` of 32 bits in all of them, given to warps in lots of ``register_lot``; ``shared``
    bytes at most for all blocks and ``shared_a_block`` for one, in lots of ``shared_lot``, ``reserved`` of
    each block's for the system.
    """

    example: str
    warps: int
    blocks: int
    shared: int
    shared_a_block: int
    warp: int = 32
    partitions: int = 4
    threads_a_block: int = 1024
    registers: int = 65536
    registers_a_thread: int = 255
    register_lot: int = 256
    shared_lot: int = 128
    reserved: int = _KIB
    blocks_of_one_warp: int | None = None  # where they are allowed more of than other blocks


MULTIPROCESSORS = {
    "sm_80": Multiprocessor("A100", 64, 32, 164 * _KIB, 163 * _KIB),
    "sm_86": Multiprocessor("A10, RTX 3090", 48, 16, 100 * _KIB, 99 * _KIB),
    "sm_89": Multiprocessor("L40S, RTX 4090", 48, 24, 100 * _KIB, 99 * _KIB),
    "sm_90": Multiprocessor("H100, H200", 64, 32, 228 * _KIB, 227 * _KIB),
    "sm_100": Multiprocessor("B200", 64, 32, 228 * _KIB, 227 * _KIB),
    "sm_120": Multiprocessor("RTX 5090", 48, 24, 100 * _KIB, 99 * _KIB),
    "gfx942": Multiprocessor(
        "MI300X",
        warps=32,
        blocks=16,  # those of several wavefronts need a barrier each
        shared=64 * _KIB,
        shared_a_block=64 * _KIB,
        warp=64,
        registers=131072,
        registers_a_thread=512,
        register_lot=512,
        shared_lot=512,
        reserved=0,
        blocks_of_one_warp=32,
    ),
}


@dataclass(frozen=True)
class Residency:
    """``limits``: blocks that each resource alone would allow. ``occupancy``: share of the warps, 0 to 1."""

    blocks: int
    warps: int
    occupancy: float
    limits: dict[Limiter, int]

    @property
    def limiters(self) -> list[Limiter]:
        """The resources that end first: more of any other would not help."""
        return [name for name, blocks in self.limits.items() if blocks == self.blocks]


def residency(chip: Multiprocessor, *, threads: int, registers: int, shared_bytes: int = 0) -> Residency:
    """Blocks of ``threads`` threads with ``registers`` each and ``shared_bytes`` (static and dynamic, without
    the system's share) that ``chip`` holds at once; 0 where a single one does not fit.

    ValueError for a block without threads or registers."""
    if threads < 1 or registers < 1 or shared_bytes < 0:
        raise ValueError(f"{threads} threads, {registers} registers, {shared_bytes} B: not a kernel")
    warps = warps_a_block(chip, threads)
    limits: dict[Limiter, int] = {
        "warps": chip.warps // warps if threads <= chip.threads_a_block else 0,
        "blocks": chip.blocks_of_one_warp or chip.blocks if warps == 1 else chip.blocks,
        "registers": _blocks_by_registers(chip, warps, registers),
        "shared": _blocks_by_shared(chip, shared_bytes),
    }
    blocks = min(limits.values())
    return Residency(blocks, blocks * warps, blocks * warps / chip.warps, limits)


def warps_a_block(chip: Multiprocessor, threads: int) -> int:
    """A last warp that is not full takes as much room as a full one."""
    return -(-threads // chip.warp)


def registers_a_warp(chip: Multiprocessor, registers: int) -> int:
    """Registers that a warp takes: its threads' together, rounded up to whole lots."""
    return _round_up(registers * chip.warp, chip.register_lot)


def _blocks_by_registers(chip: Multiprocessor, warps: int, registers: int) -> int:
    taken = registers_a_warp(chip, registers)
    # The hardware checks a launch as if warps came in multiples of the partitions.
    if registers > chip.registers_a_thread or taken * _round_up(warps, chip.partitions) > chip.registers:
        return 0
    return chip.registers // chip.partitions // taken * chip.partitions // warps


def shared_taken(chip: Multiprocessor, shared_bytes: int) -> int:
    """Bytes of shared memory that a block takes, with the system's share."""
    return _round_up(shared_bytes + chip.reserved, chip.shared_lot)


def _blocks_by_shared(chip: Multiprocessor, shared_bytes: int) -> int:
    if shared_bytes > chip.shared_a_block:
        return 0
    taken = shared_taken(chip, shared_bytes)
    # A kernel that takes none is not held back by it.
    return chip.shared // taken if taken else chip.warps


def most_registers(chip: Multiprocessor, *, threads: int, blocks: int) -> int:
    """Registers that a thread may have so that ``blocks`` blocks of ``threads`` still fit; 0: never."""
    fitting = (
        count
        for count in range(chip.registers_a_thread, 0, -1)
        if _blocks_by_registers(chip, warps_a_block(chip, threads), count) >= blocks
    )
    return next(fitting, 0)


def waves(blocks: int, *, multiprocessors: int, resident: int) -> int:
    """Rounds in which a grid of equal blocks runs, ``resident`` of them on each multiprocessor at once."""
    return -(-blocks // (multiprocessors * resident))


def wave_efficiency(blocks: int, *, multiprocessors: int, resident: int) -> float:
    """Share of the places that hold a block, over all rounds: what the last, ragged round leaves."""
    places = multiprocessors * resident
    return blocks / (waves(blocks, multiprocessors=multiprocessors, resident=resident) * places)


def bytes_in_flight(latency_s: float, bandwidth: float) -> float:
    """Little's law: bytes that must be under way at any moment to keep ``bandwidth`` (B/s) busy."""
    return latency_s * bandwidth


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
