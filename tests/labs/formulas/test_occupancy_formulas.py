"""Occupancy against NVIDIA's own calculator, compiled from its header, and against worked examples."""

from __future__ import annotations

import importlib.util
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from labs.formulas.occupancy import (
    MULTIPROCESSORS,
    Multiprocessor,
    bytes_in_flight,
    most_registers,
    registers_a_warp,
    residency,
    shared_taken,
    wave_efficiency,
    waves,
)

# Reads lines: capability, threads, shared and shared a block of the chip; threads, registers, shared of ours.
CALCULATOR = r"""
#include <cstdio>
#include "cuda_occupancy.h"
int main() {
  int major, minor, most; long shared, optin; int threads, registers; long used;
  while (std::scanf("%d %d %d %ld %ld %d %d %ld", &major, &minor, &most, &shared, &optin, &threads,
                    &registers, &used) == 8) {
    cudaOccDeviceProp device = {};
    device.computeMajor = major; device.computeMinor = minor;
    device.maxThreadsPerBlock = 1024; device.maxThreadsPerMultiprocessor = most;
    device.regsPerBlock = device.regsPerMultiprocessor = 65536; device.warpSize = 32;
    device.sharedMemPerBlock = 49152; device.sharedMemPerMultiprocessor = shared;
    device.sharedMemPerBlockOptin = optin; device.reservedSharedMemPerBlock = 1024; device.numSms = 1;
    cudaOccFuncAttributes kernel = {};
    kernel.maxThreadsPerBlock = 1024; kernel.numRegs = registers; kernel.sharedSizeBytes = 0;
    kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN; kernel.maxDynamicSharedSizeBytes = used;
    kernel.numBlockBarriers = 1;
    cudaOccDeviceState state = {};
    state.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
    cudaOccResult result;
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads, used))
      return 1;
    std::printf("%d %d %d %d %d\n", result.activeBlocksPerMultiprocessor, result.blockLimitWarps,
                result.blockLimitBlocks, result.blockLimitRegs, result.blockLimitSharedMem);
  }
}
"""


def header_folder() -> Path | None:
    """Where Triton ships CUDA's headers."""
    found = importlib.util.find_spec("triton")
    folder = Path(found.origin).parent / "backends/nvidia/include" if found and found.origin else None
    return folder if folder is not None and (folder / "cuda_occupancy.h").exists() else None


@pytest.mark.skipif(shutil.which("g++") is None or header_folder() is None, reason="no g++ or CUDA headers")
def test_it_is_what_nvidia_s_calculator_says(tmp_path: Path) -> None:
    (tmp_path / "calculator.cpp").write_text(CALCULATOR)
    command = ["g++", "-w", f"-I{header_folder()}", "-o", "calculator", "calculator.cpp"]
    subprocess.run(command, cwd=tmp_path, check=True)
    draw = random.Random(0)
    cases = []
    for name, chip in MULTIPROCESSORS.items():
        for _ in range(500) if name != "gfx942" else ():
            shared = draw.choice((0, draw.randrange(4096), draw.randrange(240 * 1024)))
            cases.append((name, chip, draw.randint(1, 1024), draw.randint(1, 255), shared))
    lines = "".join(
        f"{name[3:-1]} {name[-1]} {chip.warps * 32} {chip.shared} {chip.shared_a_block} "
        f"{threads} {registers} {shared}\n"
        for name, chip, threads, registers, shared in cases
    )
    done = subprocess.run([tmp_path / "calculator"], input=lines, capture_output=True, text=True, check=True)
    answers = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases) == 3000
    for (name, chip, threads, registers, shared), answer in zip(cases, answers, strict=True):
        ours = residency(chip, threads=threads, registers=registers, shared_bytes=shared)
        assert (ours.blocks, *ours.limits.values()) == answer, (name, threads, registers, shared)


A100, H100, MI300X = (MULTIPROCESSORS[name] for name in ("sm_80", "sm_90", "gfx942"))


def test_a_register_more_may_cost_a_quarter_of_the_warps() -> None:
    before = residency(H100, threads=256, registers=64)
    after = residency(H100, threads=256, registers=65)
    assert (before.blocks, before.occupancy, before.limiters) == (4, 0.5, ["registers"])
    assert (after.blocks, after.occupancy, after.limiters) == (3, 0.375, ["registers"])
    assert registers_a_warp(H100, 65) == 65 * 32 + 224 and registers_a_warp(H100, 64) == 2048


def test_limiters() -> None:
    assert residency(A100, threads=32, registers=16).limiters == ["blocks"]
    assert residency(A100, threads=1024, registers=32).limiters == ["warps", "registers"]
    assert residency(A100, threads=128, registers=32, shared_bytes=48 * 1024).blocks == 3
    assert residency(A100, threads=128, registers=32, shared_bytes=163 * 1024).blocks == 1
    assert residency(A100, threads=128, registers=32, shared_bytes=163 * 1024 + 1).limiters == ["shared"]
    assert residency(A100, threads=1025, registers=32).blocks == 0
    assert shared_taken(A100, 1) == 1024 + 128


def test_amd_s_wavefronts() -> None:
    # 512 registers a lane and SIMD: 128 leave four wavefronts to each of four SIMDs.
    assert residency(MI300X, threads=256, registers=128).warps == 16
    assert residency(MI300X, threads=256, registers=129).warps == 12
    assert residency(MI300X, threads=64, registers=64).blocks == 32
    assert residency(MI300X, threads=128, registers=64).blocks == 16
    assert residency(MI300X, threads=256, registers=64, shared_bytes=32 * 1024 + 1).blocks == 1


@pytest.mark.parametrize("chip", MULTIPROCESSORS.values(), ids=list(MULTIPROCESSORS))
@pytest.mark.parametrize("threads", [32, 96, 256, 1024])
def test_most_registers_is_the_edge(chip: Multiprocessor, threads: int) -> None:
    blocks = max(1, chip.warps * 16 // threads)
    most = most_registers(chip, threads=threads, blocks=blocks)
    assert residency(chip, threads=threads, registers=most).limits["registers"] >= blocks
    if most < chip.registers_a_thread:
        assert residency(chip, threads=threads, registers=most + 1).limits["registers"] < blocks


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="not a kernel"):
        residency(A100, threads=0, registers=1)


def test_waves() -> None:
    assert waves(132, multiprocessors=132, resident=1) == 1
    assert waves(133, multiprocessors=132, resident=1) == 2
    assert wave_efficiency(133, multiprocessors=132, resident=1) == 133 / 264
    assert bytes_in_flight(500e-9, 3.0e12) == pytest.approx(1.5e6)
