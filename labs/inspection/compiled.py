"""Launches compiled for GPUs that need not be here: every stage of the compiler, and what a block takes.

The launch is specialised as it would be on that GPU (alignment of pointers, divisibility of integers): the
code is what would run there. Registers and spills are read from the machine code: for NVIDIA by
cuobjdump, for AMD from the metadata that LLVM writes into the assembly.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from labs.formulas.occupancy import MULTIPROCESSORS, Residency, residency

if TYPE_CHECKING:
    from labs.inspection.launches import Launch

Target = Literal["sm_80", "sm_89", "sm_90", "sm_100", "sm_120", "gfx942"]
TARGETS: tuple[Target, ...] = ("sm_80", "sm_89", "sm_90", "sm_100", "sm_120", "gfx942")
Stage = Literal["ttir", "ttgir", "llir", "ptx", "sass", "amdgcn"]

# Instructions that multiply matrices, as each target's assembly spells them.
_MATRIX = re.compile(r"mma\.sync|wgmma\.mma_async|tcgen05\.mma|v_mfma_")
_AMD_FIGURES = {"registers": r"\.vgpr_count:\s+(\d+)", "spilled": r"\.vgpr_spill_count:\s+(\d+)"}


# An absolute path in quotes; what it ends with, if that is a Python file.
_PATH = re.compile(r'"/(?:[^"\n]*/)?(?:([^"/\n]+\.py)|[^"/\n]*)"')


class Compiled(msgspec.Struct, frozen=True):
    """One kernel for one target. ``registers`` of a thread, ``spill_bytes`` of local memory of a thread,
    ``shared_bytes`` of a block of ``warps`` warps; ``stages``: the program as each stage of the compiler left
    it."""

    kernel: str
    target: Target
    registers: int
    spill_bytes: int
    shared_bytes: int
    warps: int
    stages: dict[Stage, str]

    @property
    def fits(self) -> bool:
        chip = MULTIPROCESSORS[self.target]
        return self.shared_bytes <= chip.shared_a_block and self.residency.blocks > 0

    @property
    def residency(self) -> Residency:
        """Blocks that a multiprocessor holds at once, and what limits them."""
        chip = MULTIPROCESSORS[self.target]
        threads = self.warps * chip.warp
        return residency(chip, threads=threads, registers=self.registers, shared_bytes=self.shared_bytes)

    @property
    def matrix_instructions(self) -> list[str]:
        """Kinds of matrix instruction in its assembly: ``mma.sync``, ``wgmma.mma_async``, ``v_mfma_``."""
        return sorted(set(_MATRIX.findall(self.stages.get("ptx") or self.stages["amdgcn"])))


def compile_launch(launch: Launch, target: Target, *, stages: bool = False) -> Compiled:
    """Machine code of ``launch`` for ``target``; with ``stages`` the disassembly as well (0.1 s).

    Raises what Triton raises: CompilationError with the line, OutOfResources never (see ``Compiled.fits``).
    """
    kernel = _triton_kernel(launch, target)
    texts: dict[Stage, str] = {
        name: kernel.asm[name] for name in ("ttir", "ttgir", "llir", "ptx", "amdgcn") if name in kernel.asm
    }
    if target == "gfx942":
        found = {name: int(re.findall(p, texts["amdgcn"])[-1]) for name, p in _AMD_FIGURES.items()}
        registers, spilled = found["registers"], 4 * found["spilled"]
    else:
        registers, spilled, sass = _machine_code(kernel.asm["cubin"], stages)
        texts |= {"sass": sass} if stages else {}
    warps, shared = kernel.metadata.num_warps, kernel.metadata.shared
    shown = {stage: _without_folders(text) for stage, text in texts.items()}
    return Compiled(launch.name, target, registers, spilled, shared, warps, shown)


def _without_folders(text: str) -> str:
    """Files by their names: where they lie says nothing of the kernel, and differs from run to run."""
    return _PATH.sub(lambda found: f'"{found[1] or "."}"', text)


def _triton_kernel(launch: Launch, target: Target) -> Any:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, make_backend
    from triton.runtime.jit import create_function_from_signature

    amd = target == "gfx942"
    gpu = GPUTarget("hip", target, 64) if amd else GPUTarget("cuda", int(target.removeprefix("sm_")), 32)
    backend, kernel = make_backend(gpu), launch.kernel
    bind = create_function_from_signature(kernel.signature, kernel.params, backend)
    options = {**launch.options, "debug": False, "instrumentation_mode": ""}
    bound, specialization, _ = bind(*launch.args, **options)
    parsed, signature, constants, attributes = kernel._pack_args(
        backend, options, bound, specialization, None
    )
    source = ASTSource(kernel, signature, constants, attributes)
    return triton.compile(source, target=gpu, options=parsed.__dict__)


def _machine_code(cubin: bytes, disassemble: bool) -> tuple[int, int, str]:
    """Registers of a thread, bytes of its local memory, and the disassembly with the lines of the source."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = _output("cuobjdump", "-res-usage", file.name)
        sass = _output("nvdisasm", "--print-line-info", "--print-code", file.name) if disassemble else ""
    found = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    return found["REG"], found["STACK"] + found["LOCAL"], sass


def _output(tool: str, *arguments: str) -> str:
    """What a tool that comes with Triton prints."""
    import triton

    path = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / tool
    return subprocess.run([str(path), *arguments], capture_output=True, text=True, check=True).stdout
