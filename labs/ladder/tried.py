"""What this session has compiled of a kernel, run beside run: what a changed tile did to its resources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from labs.ladder import access
from labs.ladder.figures import LIMITS
from labs.results import Column, Provenance, Table
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.inspection.compiled import Compiled
    from labs.ladder.exercise import Setting
    from labs.ladder.outcome import Outcome

Cell = Text | float | int | None
MOST = 8  # the oldest go
_NAMES: dict[Setting, Text] = {
    "tile": same("tile"),
    "tile_m": Text(zh="行", en="rows"),
    "tile_n": Text(zh="列", en="columns"),
    "tile_k": Text(zh="深", en="depth"),
    "warps": Text(zh="线程束", en="warps"),
    "stages": Text(zh="级", en="stages"),
}


@dataclass(frozen=True)
class Try:
    """A kernel as it was compiled, without its stages; ``loads`` of each byte, at the size shown (None: there
    were none)."""

    source: str
    settings: dict[str, int]
    kernel: Compiled
    loads: float | None
    passed: bool

    @property
    def identity(self) -> tuple[object, ...]:
        return self.source, self.kernel.target, *self.settings.items()


@dataclass
class Tries:
    """Of one exercise, each once, in the order in which they were first made; ``current`` was made last."""

    made: list[Try] = field(default_factory=list)
    current: int = 0

    def add(self, one: Try) -> None:
        for place, before in enumerate(self.made):
            if before.identity == one.identity:
                self.made[place], self.current = one, place
                return
        self.made = [*self.made, one][-MOST:]
        self.current = len(self.made) - 1


def tried(ctx: Context, outcome: Outcome) -> Iterator[Table]:
    """Nothing before there is something to compare with."""
    if outcome.built is None or not outcome.built.kernels:
        return
    tries = ctx.memo(("ladder tries", outcome.exercise.name), Tries)
    recording = outcome.played.recording if outcome.played else None
    loads = access.loads_a_byte(recording) if recording else None
    kernel = msgspec.structs.replace(outcome.built.kernels[0], stages={})
    tries.add(Try(outcome.source, outcome.settings, kernel, loads, outcome.passed))
    if len(tries.made) > 1:
        yield _table(outcome, tries)


def _table(outcome: Outcome, tries: Tries) -> Table:
    columns = list(_columns(outcome, tries))
    return Table(
        id="tried",
        title=Text(zh="试过的：改了什么，变了什么", en="What you have tried, and what it changed"),
        help=Text(
            zh=f"这次打开以来编译过的这个内核，最多 {MOST} 次；标出的一行是现在的。没变过的设置不列。",
            en=f"What has been compiled of this kernel since the window opened, {MOST} at most; the marked "
            "row is the present one. Settings that never changed are left out.",
        ),
        provenance=Provenance.MEASURED,
        columns=[column for column, _ in columns],
        rows=[[cells[place] for _, cells in columns] for place in range(len(tries.made))],
        highlight=tries.current,
        source=Text(
            zh="离线编译的机器码；占用率按厂商规则算；读数来自解释器",
            en="machine code, compiled offline; occupancy by the vendor's rules; loads from the interpreter",
        ),
        wide=True,
    )


def _columns(outcome: Outcome, tries: Tries) -> Iterator[tuple[Column, list[Cell]]]:
    """What was changed, then what came of it; a row a try."""
    made = tries.made
    texts = list(dict.fromkeys(one.source for one in made))
    if len(texts) > 1:
        yield (
            Column(title=Text(zh="代码", en="text")),
            [same(f"#{texts.index(one.source) + 1}") for one in made],
        )
    if changed := [
        name for name in outcome.exercise.settings if len({one.settings[name] for one in made}) > 1
    ]:
        names = [_NAMES[name] for name in changed]
        title = Text(zh=" × ".join(name.zh for name in names), en=" × ".join(name.en for name in names))
        values = [same(" × ".join(str(one.settings[name]) for name in changed)) for one in made]
        yield Column(title=title), list(values)
    kernels = [one.kernel for one in made]
    if len({one.target for one in kernels}) > 1:
        yield Column(title=Text(zh="编译给", en="for")), [same(one.target) for one in kernels]
    yield Column(title=Text(zh="寄存器", en="registers")), [one.registers for one in kernels]
    if any(one.spill_bytes for one in kernels):
        yield Column(title=Text(zh="溢出", en="spilled"), unit="B"), [one.spill_bytes for one in kernels]
    yield Column(title=Text(zh="共享内存", en="shared"), unit="B"), [one.shared_bytes for one in kernels]
    title = Text(zh="占用率", en="occupancy")
    shares: list[Cell] = [100 * one.residency.occupancy for one in kernels]
    yield Column(title=title, unit="%", provenance=Provenance.ESTIMATED), shares
    yield Column(title=Text(zh="受限于", en="limited by")), [_limiters(one) for one in kernels]
    yield Column(title=Text(zh="每字节读几次", en="loads a byte")), [one.loads for one in made]
    if not all(one.passed for one in made):
        yield Column(title=Text(zh="判定", en="verdict")), [_verdict(one) for one in made]


def _limiters(kernel: Compiled) -> Text:
    names = [LIMITS[name] for name in kernel.residency.limiters]
    return Text(zh="、".join(name.zh for name in names), en=", ".join(name.en for name in names))


def _verdict(one: Try) -> Text:
    return Text(zh="通过", en="passed") if one.passed else Text(zh="未通过", en="not passed")
