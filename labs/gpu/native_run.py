"""The generated CUDA C++ run for real: on a GPU where there is one, else on this processor's threads."""

from __future__ import annotations

import contextlib
import ctypes
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labs.engine.native_library import NativeUnavailable, cache_folder, compiled
from labs.gpu.cuda_source import cuda_source
from labs.gpu.machine import fill
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.gpu.program import Program
    from labs.results import Array

_HEADERS = Path(__file__).parent / "native"
_STORED = {"int": np.int32, "float": np.float32, "double": np.float64}
TOLERANCE = 1e-5


@dataclass(frozen=True)
class NativeRun:
    """``where`` it ran, and what every global array held afterwards; ``reason`` why it did not run."""

    where: Text
    memory: dict[str, Array]
    reason: Text | None = None


def run_natively(program: Program, device: str = "cpu") -> NativeRun:
    """On ``cuda`` compiled by NVRTC through torch; on the CPU by g++, a thread of the system for each."""
    source, _ = cuda_source(program)
    arrays = {
        array.name: fill(program)[array.name].astype(_STORED[array.kind])
        for array in program.of_space("global")
    }
    if "grid_sync" in program.source:
        return NativeRun(
            same(device),
            {},
            Text(
                zh="全网格屏障要协作启动，这里不运行",
                en="a barrier of the grid needs a cooperative launch: not run here",
            ),
        )
    if device == "cuda":
        return _on_gpu(program, source, arrays)
    try:
        library = ctypes.CDLL(str(_compiled(program, source)))
    except NativeUnavailable as error:
        return NativeRun(same("CPU"), {}, error.text)
    library.run(*(ctypes.c_void_p(data.ctypes.data) for data in arrays.values()))
    where = Text(
        zh="本机 CPU，每个 CUDA 线程一个系统线程",
        en="this CPU, an operating system's thread for each CUDA thread",
    )
    return NativeRun(where, arrays)


def _on_gpu(program: Program, source: str, arrays: dict[str, Array]) -> NativeRun:
    import torch

    try:
        with _headers_named():
            kernel = torch.cuda._compile_kernel(source, "kernel")
    except (OSError, RuntimeError) as error:  # no NVRTC, or one that is older than the GPU
        said = str(error).strip().splitlines()[0][:160]
        return NativeRun(same("CUDA"), {}, Text(zh=f"NVRTC 拒绝：{said}", en=f"NVRTC refuses: {said}"))
    tensors = [torch.from_numpy(data).cuda() for data in arrays.values()]
    kernel(grid=(program.grid, 1, 1), block=program.block, args=tensors)
    torch.cuda.synchronize()
    found = {name: tensor.cpu().numpy() for name, tensor in zip(arrays, tensors, strict=True)}
    return NativeRun(same(torch.cuda.get_device_name()), found)


@contextlib.contextmanager
def _headers_named() -> Iterator[None]:
    """torch refuses to name CUDA's headers to NVRTC where there is no toolkit; the source includes none."""
    from torch.utils import cpp_extension

    before = cpp_extension.CUDA_HOME
    cpp_extension.CUDA_HOME = before or str(_HEADERS)
    try:
        yield
    finally:
        cpp_extension.CUDA_HOME = before


def cpu_source(program: Program, source: str) -> str:
    """A C++ file with the kernel and ``run``, which takes its arrays."""
    parameters = ", ".join(f"{array.kind}* {array.name}" for array in program.of_space("global"))
    names = ", ".join(array.name for array in program.of_space("global"))
    x, y, z = program.block
    return (
        f'#include "cuda_on_threads.h"\n{source}\n'
        f'extern "C" void run({parameters}) {{\n'
        f"    launch([=] {{ kernel({names}); }}, {program.grid}, {x}, {y}, {z});\n}}\n"
    )


def _compiled(program: Program, source: str) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cuda_kernel.cpp"
        file.write_text(cpu_source(program, source))
        return compiled(file, _HEADERS, folder=cache_folder() / "cuda")


def largest_difference(simulated: dict[str, Array], ran: dict[str, Array]) -> float:
    """Over all elements of all arrays, relative to each array's largest value."""
    worst = 0.0
    for name, data in ran.items():
        scale = float(np.abs(simulated[name]).max()) or 1.0
        worst = max(worst, float(np.abs(simulated[name] - data.astype(np.float64)).max()) / scale)
    return worst
