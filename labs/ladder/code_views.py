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


def task(exercise: Exercise, hints: int) -> Iterator[Code | Markdown]:
    """What the kernel must compute, and as many hints as were asked for."""
    shown = exercise.hints[:hints]
    zh = [exercise.task.zh, *(f"- 提示 {place}：{one.zh}" for place, one in enumerate(shown, 1))]
    en = [exercise.task.en, *(f"- Hint {place}: {one.en}" for place, one in enumerate(shown, 1))]
    yield Markdown(
        id="task",
        title=Text(zh=f"任务：{exercise.title.zh}", en=f"Task: {exercise.title.en}"),
        provenance=Provenance.REPORTED,
        body=Text(zh="\n\n".join(zh), en="\n\n".join(en)),
        source=Text(zh="本练习", en="this exercise"),
    )
    yield Code(
        id="specification",
        title=Text(zh="规格（PyTorch）", en="Specification (PyTorch)"),
        provenance=Provenance.REPORTED,
        panes=[CodePane(name=same("PyTorch"), language="python", text=exercise.specification_source)],
        source=Text(zh="检查时与它比较", en="what the kernel is checked against"),
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
    found += [part.fault for part in (outcome.played, outcome.built) if part is not None and part.fault]
    return list({(fault.text, fault.line): fault for fault in found}.values())
