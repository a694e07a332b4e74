"""The generated CUDA C++ compiled by nvcc, where it is installed: PTX, registers, shared memory, spills."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.results import Array

_POLL_S = 0.02


@dataclass(frozen=True)
class Compiled:
    """``links``: for each line of ``ptx`` the line (1-based) of the CUDA source, 0 for none. ``registers`` of
    a thread, ``shared_bytes`` of a block, ``spill_bytes`` stored to local memory."""

    target: str
    ptx: str
    links: Array
    registers: int
    shared_bytes: int
    spill_bytes: int


NO_NVCC = Text(
    zh="此处没有 nvcc（CUDA 工具包），没有编译",
    en="there is no nvcc (CUDA toolkit) here: not compiled",
)


def nvcc_path() -> str | None:
    return shutil.which("nvcc")


def compile_cuda(source: str, target: str = "sm_80", check: Callable[[], None] = lambda: None) -> Compiled:
    """LabError where there is no nvcc, or with its first error where it refuses the source.

    ``check`` is called while it works, and may raise.
    """
    nvcc = nvcc_path()
    if nvcc is None:
        raise LabError(NO_NVCC)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kernel.cu").write_text(source)
        # PTX with the source's lines in it, then the assembler, which says what the kernel takes.
        _run(folder, check, nvcc, f"-arch={target}", "-lineinfo", "-ptx", "-o", "kernel.ptx", "kernel.cu")
        ptx = (folder / "kernel.ptx").read_text()
        said = _run(
            folder, check, nvcc, f"-arch={target}", "-cubin", "-Xptxas", "-v", "-o", "k.cubin", "kernel.ptx"
        )
    text, links = _linked(ptx)
    used = re.search(r"Used (\d+) registers", said)
    shared = re.search(r"(\d+) bytes smem", said)
    spills = re.search(r"(\d+) bytes spill stores", said)
    return Compiled(
        target,
        text,
        links,
        int(used[1]) if used else 0,
        int(shared[1]) if shared else 0,
        int(spills[1]) if spills else 0,
    )


def _run(folder: Path, check: Callable[[], None], *command: str) -> str:
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    process = subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=both, text=True)
    try:
        while process.poll() is None:  # it says little, so its pipe does not fill up
            check()
            time.sleep(_POLL_S)
    except BaseException:
        process.kill()  # a compiler that it has started ends by itself, within a second
        raise
    finally:
        said = process.communicate()[0]
    if process.returncode:
        error = next((line for line in said.splitlines() if "error" in line), "nvcc")
        raise LabError(Text(zh=f"nvcc 拒绝：{error[:200]}", en=f"nvcc refuses: {error[:200]}"))
    return said


def _linked(ptx: str) -> tuple[str, Array]:
    """The instructions without what is for debuggers, and the source line of each, from its ``.loc``."""
    kept, links, line = [], [], 0
    for text in ptx.split("//DWARF")[0].splitlines():
        place = re.match(r"\s*\.loc\s+1\s+(\d+)", text)
        if place:
            line = int(place[1])
        elif re.match(r"\s*(//|\.loc|\.file|\.section|\$L__(func|tmp))", text) or not text.strip():
            continue
        else:
            if re.match(r"\s*(\.reg|\.param|\.visible|\.target|\.version|\.address_size|[{})(])", text):
                line = 0
            kept.append(text.replace("\t", "    ", 1).replace("\t", " "))
            links.append(line)
    return "\n".join(kept) + "\n", np.array(links)
