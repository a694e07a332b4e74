"""The same counts line by line, and what is written beside the lines of the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.warp_access import SECTOR_BYTES
from labs.gpu.language import WARP
from labs.results import CodeMark, Column, Provenance, Table
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.gpu.counts import Counts
    from labs.gpu.races import Race

POOR = 0.5  # below this share of wanted bytes a line is marked


@dataclass(frozen=True)
class LineCounts:
    """Sums over all executions of one line by all warps; requests are those of memory."""

    line: int
    executions: int
    active: float
    global_requests: int
    sectors: int
    asked: int
    shared_requests: int
    passes: int
    least: int

    @property
    def efficiency(self) -> float | None:
        return self.asked / (SECTOR_BYTES * self.sectors) if self.sectors else None

    @property
    def conflicts(self) -> int:
        return self.passes - self.least


def by_line(counts: Counts) -> list[LineCounts]:
    """Ascending by line."""
    lines = np.array([step.line for step in counts.steps])
    active = np.array([step.active.sum() for step in counts.steps])
    found = []
    for line in np.unique(lines):
        chosen = lines == line
        found.append(
            LineCounts(
                int(line),
                int(chosen.sum()),
                float(active[chosen].mean()) / WARP,
                int((counts.sectors[chosen] > 0).sum()),
                int(counts.sectors[chosen].sum()),
                int(counts.asked[chosen].sum()),
                int((counts.passes[chosen] > 0).sum()),
                int(counts.passes[chosen].sum()),
                int(counts.least[chosen].sum()),
            )
        )
    return found


def table(counts: Counts) -> Table:
    source = counts.recording.program.source.splitlines()
    rows: list[list[Text | float | int | None]] = [
        [
            one.line,
            same(source[one.line - 1].strip() or "-"),
            one.executions,
            100 * one.active,
            one.sectors / one.global_requests if one.global_requests else None,
            100 * one.efficiency if one.efficiency is not None else None,
            one.passes / one.shared_requests if one.shared_requests else None,
        ]
        for one in by_line(counts)
    ]
    return Table(
        id="lines",
        title=Text(zh="逐行", en="Line by line"),
        provenance=Provenance.SIMULATED,
        columns=[
            Column(title=Text(zh="行", en="line")),
            Column(title=Text(zh="源码", en="source")),
            Column(title=Text(zh="warp 步", en="warp steps"), help=STEP_HELP),
            Column(title=Text(zh="活跃 lane", en="active lanes"), unit="%"),
            Column(title=Text(zh="扇区 / 请求", en="sectors / request")),
            Column(title=Text(zh="要用的字节", en="wanted bytes"), unit="%"),
            Column(title=Text(zh="拍 / 请求", en="passes / request")),
        ],
        rows=rows,
        source=Text(zh="逐地址数", en="counted address by address"),
        wide=True,
    )


STEP_HELP = Text(
    zh="所有 warp 合计：一次赋值、判断、访存或交换算一步。不是机器指令条数。",
    en="Of all warps: an assignment, a decision, a memory access or an exchange is a step. Not machine code.",
)


def marks(counts: Counts, races: list[Race]) -> list[CodeMark]:
    """Beside the source: what is expensive, and what races."""
    found = []
    for one in by_line(counts):
        if one.efficiency is not None and one.efficiency < POOR:
            each = one.sectors / one.global_requests
            found.append(
                CodeMark(
                    line=one.line,
                    role="warning",
                    text=Text(
                        zh=f"每个请求 {each:.3g} 个扇区，搬来的字节只用 {one.efficiency:.1%}",
                        en=f"{each:.3g} sectors a request; {one.efficiency:.1%} of the moved bytes wanted",
                    ),
                )
            )
        if one.conflicts:
            found.append(_conflict_mark(one))
    return found + [race_mark(race) for race in races]


def _conflict_mark(one: LineCounts) -> CodeMark:
    each, least = one.passes / one.shared_requests, one.least / one.shared_requests
    return CodeMark(
        line=one.line,
        role="warning",
        text=Text(
            zh=f"bank 冲突：每个请求 {each:.3g} 拍，本可 {least:.3g} 拍",
            en=f"bank conflicts: {each:.3g} passes a request, {least:.3g} without",
        ),
    )


def race_mark(race: Race) -> CodeMark:
    return CodeMark(line=max(race.lines), role="error", text=race_text(race))


def race_text(race: Race) -> Text:
    zh = {"read": "读", "write": "写", "atomic": "原子操作"}
    (first, second), (a, b) = race.lines, race.threads
    what = f"{race.array}[{race.element}]"
    return Text(
        zh=f"竞争：{what} 线程 {a}（第 {first} 行）{zh[race.actions[0]]}，线程 {b}（第 {second} 行）"
        f"{zh[race.actions[1]]}，中间没有 {race.missing}()",
        en=f"race: {what}: thread {a} (line {first}, {race.actions[0]}) and thread {b} (line {second}, "
        f"{race.actions[1]}) with no {race.missing}() between",
    )
