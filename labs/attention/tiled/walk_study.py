"""One walk with naive's scores and result beside it: what the views of the walk show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.formulas.flash_attention import Shape, three_kernels
from labs.relative_error import relative_error
from labs.text import Text

if TYPE_CHECKING:
    from labs.attention.tiled.walk import Matrix, Order, RowState, Walk

ORDERS: dict[Order, Text] = {
    "queries_outer": Text(zh="v2：外层是 Q", en="v2: queries outside"),
    "keys_outer": Text(zh="v1：外层是 K、V", en="v1: keys outside"),
}
METHOD = Text(
    zh="numpy 逐行照论文算法 1 执行，每次读写都记录",
    en="numpy, algorithm 1 of the papers line by line, recorded",
)


@dataclass(frozen=True)
class Study:
    """One run: the walk, and naive's scores and result beside it. ``followed`` is the query shown."""

    found: Walk
    q: Matrix
    k: Matrix
    v: Matrix
    words: list[str]
    scores: Matrix
    expected: Matrix
    causal: bool
    followed: int

    @property
    def difference(self) -> float:
        return relative_error(torch.from_numpy(self.found.out), torch.from_numpy(self.expected))

    @property
    def states(self) -> list[RowState]:
        return [state for state in self.found.states if state.row == self.followed]

    @property
    def naive_moved(self) -> int:
        """Numbers that three kernels move."""
        shape = Shape(1, 1, 1, len(self.q), len(self.k), self.q.shape[1])
        return three_kernels(shape, 1).moved
