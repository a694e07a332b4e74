"""The Triton kernel compiled for GPUs that need not be here: registers, spills, shared memory, occupancy."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labs.spec import LabError
from labs.text import Text

Target = Literal["sm_80", "sm_89", "sm_90", "sm_100", "sm_120"]
Precision = Literal["bf16", "fp32"]

_KIB = 1024
_THREADS_A_WARP = 32
_REGISTERS = 65536  # of a multiprocessor
_RESERVED_SHARED = 1024  # by the system, for each block of threads, from compute capability 8.0 on


@dataclass(frozen=True)
class Chip:
    """Limits of a compute capability: CUDA C++ Programming Guide, technical specifications per capability."""

    example: str
    shared_a_block: int
    shared: int
    warps: int


CHIPS: dict[Target, Chip] = {
    "sm_80": Chip("A100", 163 * _KIB, 164 * _KIB, 64),
    "sm_89": Chip("L40S, RTX 4090", 99 * _KIB, 100 * _KIB, 48),
    "sm_90": Chip("H100, H200", 227 * _KIB, 228 * _KIB, 64),
    "sm_100": Chip("B200", 227 * _KIB, 228 * _KIB, 64),
    "sm_120": Chip("RTX 5090", 99 * _KIB, 100 * _KIB, 48),
}


@dataclass(frozen=True)
class Resources:
    """``registers`` of a thread, ``shared_bytes`` of a block of ``warps``. ``spill_bytes``: local memory."""

    target: Target
    registers: int
    spill_bytes: int
    shared_bytes: int
    warps: int

    @property
    def fits(self) -> bool:
        return self.shared_bytes <= CHIPS[self.target].shared_a_block

    @property
    def resident(self) -> int:
        """Blocks of threads that a multiprocessor holds at once; roughly, for registers come in lots."""
        chip = CHIPS[self.target]
        by_registers = _REGISTERS // (self.registers * self.warps * _THREADS_A_WARP)
        by_shared = chip.shared // (self.shared_bytes + _RESERVED_SHARED)
        return min(by_registers, by_shared, chip.warps // self.warps)

    @property
    def occupancy(self) -> float:
        """Share of the warps that a multiprocessor can hold."""
        return self.resident * self.warps / CHIPS[self.target].warps


def compile_attention(
    target: Target, precision: Precision, *, head_dim: int, group: int, block_size: int
) -> Resources:
    """``attend_part`` for a GPU of that kind, without one. LabError where Triton is missing."""
    from labs.ops.paged_attention import HAS_TRITON, ROWS, TILE

    if not HAS_TRITON:
        raise LabError(
            Text(zh="此处没有 Triton（只有 Linux 版）", en="no Triton here (it is for Linux only)")
        )
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from labs.ops.paged_attention import attend_part

    names = ("BLOCK", "D", "WIDTH", "GROUP", "ROWS", "TILE")
    constants = (block_size, head_dim, triton.next_power_of_2(head_dim), group, ROWS, TILE)
    pointers: dict[str, str] = dict.fromkeys(("q_ptr", "key_ptr", "value_ptr"), precision)
    pointers |= {"table_ptr": "i32", "length_ptr": "i32"}
    pointers |= {"mixed_ptr": "fp32", "most_ptr": "fp32", "total_ptr": "fp32"}
    signature = {name: f"*{kind}" for name, kind in pointers.items()}
    signature |= {"scale": "fp32", "table_width": "i32", "head_stride": "i32"}
    signature |= dict.fromkeys(names, "constexpr")
    # What the launcher would find out of real tensors: they are aligned, and a head's stride is a multiple.
    aligned = [list(signature).index(name) for name in (*pointers, "head_stride")]
    attrs = {(index,): [["tt.divisibility", 16]] for index in aligned}
    source = ASTSource(attend_part, signature, dict(zip(names, constants, strict=True)), attrs)
    kernel = triton.compile(
        source, target=GPUTarget("cuda", int(target.removeprefix("sm_")), _THREADS_A_WARP)
    )
    registers, spilled = _usage(kernel.asm["cubin"], Path(triton.__file__).parent)
    return Resources(target, registers, spilled, kernel.metadata.shared, kernel.metadata.num_warps)


def _usage(cubin: bytes, triton_folder: Path) -> tuple[int, int]:
    """Registers of a thread and bytes of its local memory, as cuobjdump tells them."""
    tool = triton_folder / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        done = subprocess.run(
            [str(tool), "-res-usage", file.name], capture_output=True, text=True, check=True
        )
    found = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", done.stdout)}
    return found["REG"], found["STACK"] + found["LOCAL"]
