"""How a match lies in loops over rows and columns, whichever language its kernel is then written in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from labs.text import Text

if TYPE_CHECKING:
    from torch import fx

    from labs.fusion.compilers.pattern_language import Chain, Step
    from labs.fusion.compilers.pattern_matching import Match

Kind = Literal["matrix", "row", "column"]  # [rows, columns], one number a row, one a column


class Extent(NamedTuple):
    rows: int
    columns: int


class Loops(NamedTuple):
    """``kinds`` of every name of the chain; ``outputs`` are the steps that the kernel writes, the chain's own
    result first."""

    chain: Chain
    kinds: dict[str, Kind]
    outputs: tuple[str, ...]
    size: Extent

    @property
    def steps(self) -> dict[str, Step]:
        return {step.name: step for step in self.chain.steps}

    def shape(self, name: str) -> tuple[int, ...]:
        rows, columns = self.size
        return {"matrix": (rows, columns), "row": (rows, 1), "column": (columns,)}[self.kinds[name]]


def loops(match: Match) -> Loops:
    """Only of a match that is not ``unfit``."""
    size = extent(match)
    found = {name: kind(node, size) for name, node in match.bound.items()}
    kinds = {name: one for name, one in found.items() if one is not None}
    return Loops(match.pattern.chain, kinds, tuple(match.outputs), size)


def extent(match: Match) -> Extent:
    """The largest rows and columns among all that the pattern reads and makes."""
    shapes = [node.meta["shape"] for node in match.bound.values()]
    rows = max((shape[0] for shape in shapes if len(shape) == 2), default=1)
    return Extent(rows, max(shape[-1] for shape in shapes if shape))


def kind(node: fx.Node, size: Extent) -> Kind | None:
    """How a tensor lies in the loops; None where it does not."""
    shape = tuple(node.meta["shape"])
    found: dict[tuple[int, ...], Kind] = {(size.columns,): "column", (size.rows, 1): "row"}
    return "matrix" if shape == tuple(size) else found.get(shape)


def unfit(match: Match) -> Text | None:
    """Why there is no loop for the shapes of this match; None where there is one."""
    size = extent(match)
    odd = [node for node in match.bound.values() if kind(node, size) is None]
    odd += [one for one in map(match.bound.get, match.outputs) if one and kind(one, size) == "column"]
    if not odd:
        return None
    name, shape = odd[0].name, list(odd[0].meta["shape"])
    return Text(
        zh=f"{name} 的形状 {shape} 配不上 {size.rows} × {size.columns} 的循环",
        en=f"{name} has the shape {shape}, which does not fit loops over {size.rows} x {size.columns}",
    )
