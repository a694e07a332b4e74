"""The source beside what the compiler makes of it, with linked lines, faults and wasteful accesses marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.inspection.source_lines import source_lines
from labs.ladder import access
from labs.ladder.sandbox import FILE
from labs.results import Code, CodeMark, CodePane, Markdown, Provenance, line_count
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.inspection.compiled import Compiled, Stage
    from labs.ladder.exercise import Exercise
    from labs.ladder.outcome import Outcome
    from labs.ladder.sandbox import Fault

CLOCK = "run"
_STAGES: dict[Stage, tuple[str, str]] = {
    "ttir": ("TTIR", "ttir"),
    "ttgir": ("TTGIR", "ttgir"),
    "llir": ("LLVM IR", "llvm"),
    "ptx": ("PTX", "ptx"),
    "sass": ("SASS", "sass"),
    "amdgcn": ("AMDGCN", "amdgcn"),
}
_MOST_LINES = 6000  # of one stage: an unrolled kernel may have tens of thousands


def task(exercise: Exercise, hints: int, *, attempted: bool) -> Iterator[Code | Markdown]:
    """What the kernel must compute, as many hints as were asked for, and behind the last the solution: only
    where the reader has ``attempted`` this one, so that hints asked for before do not tell the next."""
    specification = f"```python\n{exercise.specification_source}```"
    shown = list(enumerate(exercise.hints[:hints], 1))
    zh = [exercise.task.zh, specification, *(f"- 提示 {place}：{one.zh}" for place, one in shown)]
    en = [exercise.task.en, specification, *(f"- Hint {place}: {one.en}" for place, one in shown)]
    asked = hints > len(exercise.hints)
    if asked and not attempted:
        zh.append("先改一改骨架、运行一次，答案才在这里展开。想直接看：从“答案”开始。")
        en.append(
            "The solution unfolds here once you have changed the skeleton and run it. To see it at once, "
            "begin with the solution."
        )
    yield Markdown(
        id="task",
        title=Text(zh=f"任务：{exercise.title.zh}", en=f"Task: {exercise.title.en}"),
        help=Text(
            zh="下面的 PyTorch 代码就是规格：检查时与它比较。",
            en="The PyTorch code is the specification that the kernel is checked against.",
        ),
        provenance=Provenance.REPORTED,
        body=Text(zh="\n\n".join(zh), en="\n\n".join(en)),
        source=Text(zh="本练习", en="this exercise"),
        wide=True,
    )
    if asked and attempted:
        yield _solution(exercise)


def _solution(exercise: Exercise) -> Code:
    return Code(
        id="solution",
        title=Text(zh="答案", en="Solution"),
        provenance=Provenance.REPORTED,
        panes=[CodePane(name=same(exercise.name), language="python", text=exercise.solution)],
        source=Text(zh="本练习", en="this exercise"),
        wide=True,
    )


def code(outcome: Outcome) -> Code:
    """The kernel, editable; to its right each stage of the compiler, once there is one."""
    lines = line_count(outcome.source)
    panes = [
        CodePane(
            name=Text(zh="内核（可改，Ctrl+Enter 运行）", en="kernel (edit, run with Ctrl+Enter)"),
            language="python",
            text=outcome.source,
            links=np.arange(1, lines + 1),
            marks=list(_marks(outcome, lines)),
            edits="source",
        )
    ]
    for kernel in outcome.built.kernels if outcome.built else []:
        panes += _stage_panes(
            kernel, lines, several=len(outcome.built.kernels) > 1 if outcome.built else False
        )
    target = outcome.target
    return Code(
        id="code",
        title=Text(zh=f"源码与编译各阶段（{target}）", en=f"Source and stages of the compiler ({target})"),
        help=Text(
            zh="点一行，右边相应的行亮起：TTIR 是 Triton 的语言，TTGIR 加上数据在线程间的布局，然后是 LLVM "
            "IR、PTX 和真正的机器码。",
            en="Choose a line and those that come from it light up: TTIR is Triton's own language, TTGIR "
            "adds how data lies over threads, then LLVM IR, PTX, and the machine's code.",
        ),
        provenance=Provenance.MEASURED,
        panes=panes,
        clock=CLOCK,
        source=Text(zh="Triton 离线编译，不需要 GPU", en="compiled by Triton offline: no GPU is needed"),
        wide=True,
    )


def _stage_panes(kernel: Compiled, lines: int, several: bool) -> Iterator[CodePane]:
    for stage, (name, language) in _STAGES.items():
        text = kernel.stages.get(stage, "")
        if not text:
            continue
        kept = text.splitlines()[:_MOST_LINES]
        text = "\n".join(kept)
        links = np.array(source_lines(stage, text, FILE)[: line_count(text)], dtype=np.int64)
        links[links > lines] = 0
        yield CodePane(
            name=same(f"{kernel.kernel}: {name}" if several else name),
            language=language,
            text=text,
            links=links,
        )


def _marks(outcome: Outcome, lines: int) -> Iterator[CodeMark]:
    """Errors, then accesses that are wasteful or out of bounds."""
    for fault in _faults(outcome):
        yield CodeMark(line=min(max(fault.line, 1), max(lines, 1)), text=same(fault.text), role="error")
    if outcome.played and outcome.played.recording:
        for line in access.by_line(outcome.played.recording):
            if 1 <= line.line <= lines and (mark := _mark(line)):
                yield mark


def _mark(line: access.LineAccess) -> CodeMark | None:
    if line.outside:
        zh = f"{line.outside:,} 个 lane 越界"
        return CodeMark(
            line=line.line, text=Text(zh=zh, en=f"{line.outside:,} lanes out of bounds"), role="error"
        )
    if line.wasteful:
        share = f"{line.efficiency:.0%}"
        zh = f"未合并：搬来的扇区里只有 {share} 的字节要用"
        en = f"uncoalesced: of the sectors moved {share} of the bytes are wanted"
        return CodeMark(line=line.line, text=Text(zh=zh, en=en), role="warning")
    return None


def _faults(outcome: Outcome) -> list[Fault]:
    found = [one.fault for one in outcome.checked if one.fault]
    parts = (outcome.played, outcome.built, outcome.timed)
    found += [part.fault for part in parts if part is not None and part.fault]
    # Interpreter and compiler word the same mistake differently: one a line is enough.
    return list({fault.line: fault for fault in reversed(found)}.values())[::-1]
