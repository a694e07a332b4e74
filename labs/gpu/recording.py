"""What a kernel did on the warp machine: every step of every warp, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from labs.gpu.program import Program
    from labs.results import Array

Action = Literal["compute", "branch", "read", "write", "atomic", "exchange", "barrier"]


@dataclass(frozen=True)
class Step:
    """One warp at one place of the program.

    ``active`` [32] lanes; ``elements`` [32] of ``array`` where memory is touched (-1: inactive); ``epoch``
    counts the barriers of the block that came before, ``warp_epoch`` those of the warp; ``values`` [32] are
    what the variable ``into`` holds afterwards.
    """

    block: int
    warp: int
    line: int
    action: Action
    active: Array
    epoch: int
    warp_epoch: int
    array: str = ""
    elements: Array | None = None
    into: str = ""
    values: Array | None = None


@dataclass
class Recording:
    """``memory``: every array's contents at the end; a shared one's are those of the last block."""

    program: Program
    steps: list[Step] = field(default_factory=list)
    memory: dict[str, Array] = field(default_factory=dict)

    def lines(self) -> list[int]:
        """Lines that were executed, ascending."""
        return sorted({step.line for step in self.steps})
