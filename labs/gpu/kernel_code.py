"""The program, its CUDA C++ and PTX side by side, what nvcc says of it, and whether it computes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.occupancy import MULTIPROCESSORS, residency
from labs.gpu.cuda_source import cuda_source
from labs.gpu.kernel_tables import marks
from labs.gpu.native_run import largest_difference, run_natively
from labs.gpu.nvcc import NO_NVCC
from labs.results import Code, CodePane, Column, Metric, Provenance, Table, array
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.context import Context
    from labs.gpu.counts import Counts
    from labs.gpu.nvcc import Compiled
    from labs.gpu.program import Program
    from labs.gpu.races import Race
    from labs.gpu.recording import Recording
    from labs.results import Result

CLOCK = "steps"
RACING = Text(
    zh="有竞争的程序不在本机运行：它的下标可能是任何数",
    en="a text of your own that races is not run: its indices could be anything",
)


def code(counts: Counts, races: list[Race], compiled: Compiled | None) -> Code:
    """Line highlights follow the replay; the first pane can be edited and run."""
    program = counts.recording.program
    text, links = cuda_source(program)
    panes = [
        CodePane(
            name=Text(zh="程序（可改）", en="program (to edit)"),
            language="python",
            text=program.source,
            marks=marks(counts, races),
            edits="source",
        ),
        CodePane(name=same("CUDA C++"), language="cpp", text=text, links=array(links, np.int64)),
    ]
    if compiled is not None:
        through = np.array([0, *links])[compiled.links]
        name = same(f"PTX ({compiled.target})")
        panes.append(CodePane(name=name, language="ptx", text=compiled.ptx, links=array(through, np.int64)))
    return Code(
        id="code",
        title=Text(zh="同一个内核", en="The same kernel"),
        provenance=Provenance.SIMULATED,
        panes=panes,
        clock=CLOCK,
        wide=True,
    )


def compiled_table(program: Program, compiled: Compiled | None, error: Text | None) -> Result:
    """Registers and occupancy as compiled, or why there are none."""
    rows: list[list[Text | float | int | None]] = []
    if compiled is not None:
        held = residency(
            MULTIPROCESSORS[compiled.target],
            threads=program.threads,
            registers=compiled.registers,
            shared_bytes=compiled.shared_bytes,
        )
        rows.append(
            [
                same(compiled.target),
                compiled.registers,
                compiled.shared_bytes,
                compiled.spill_bytes,
                held.blocks,
                100 * held.occupancy,
            ]
        )
    return Table(
        id="nvcc",
        title=Text(zh="nvcc 编译的结果", en="As nvcc compiles it")
        if compiled
        else Text(zh="没有编译", en="Not compiled"),
        provenance=Provenance.MEASURED,
        columns=[
            Column(title=Text(zh="目标", en="target")),
            Column(title=Text(zh="寄存器 / 线程", en="registers / thread")),
            Column(title=Text(zh="共享内存", en="shared memory"), unit="B"),
            Column(title=Text(zh="溢出", en="spilled"), unit="B"),
            Column(title=Text(zh="驻留 block", en="resident blocks")),
            Column(title=Text(zh="占用率", en="occupancy"), unit="%", provenance=Provenance.ESTIMATED),
        ],
        rows=rows,
        source=error or (NO_NVCC if compiled is None else Text(zh="nvcc -Xptxas -v", en="nvcc -Xptxas -v")),
    )


def native_check(ctx: Context, recording: Recording, outputs: list[str], racing: bool) -> Metric:
    """How far the simulation is from the generated CUDA C++ that really ran."""
    value, source = None, RACING
    if not racing:
        ran = run_natively(recording.program, ctx.device)
        source = ran.reason or ran.where
        found = {name: data for name, data in ran.memory.items() if name in outputs}
        value = largest_difference(recording.memory, found) if ran.reason is None else None
    return Metric(
        id="native",
        title=Text(zh="与真正运行的 CUDA C++ 之差", en="Off the CUDA C++ that really ran"),
        provenance=Provenance.MEASURED,
        value=value,
        better="lower",
        help=Text(
            zh="生成的 CUDA C++ 有 GPU 就在 GPU 上跑，否则用 g++ 编译，每个 CUDA 线程一个系统线程。"
            "相对误差；有竞争的程序两边都可能错，而且错得不一样。",
            en="The generated CUDA C++ runs on a GPU where there is one, else compiled by g++ with a thread "
            "of the system for each of its threads. Relative; what races may be wrong in both, and "
            "differently.",
        ),
        source=source,
    )
