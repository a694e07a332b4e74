"""One access by a block of threads, its index an expression that the user types."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn

import numpy as np

from labs.formulas.warp_access import LINE_BYTES
from labs.gpu.evaluation import evaluate
from labs.gpu.language import WARP, kind_of, parsed, refuse
from labs.gpu.memory_access import GlobalRequest, SharedRequest, global_request, shared_request
from labs.spec import UsageError
from labs.text import Text

if TYPE_CHECKING:
    from labs.results import Array

Space = Literal["global", "shared"]
MOST_ELEMENTS = 1 << 24
SHARED_BYTES = 227 * 1024  # the largest that a block may have: compute capability 9.0 and 10.0


@dataclass(frozen=True)
class Pattern:
    """``index`` [threads] elements, ``warps`` of 32 of them; ``step`` where lanes are equally far apart."""

    expression: str
    block: tuple[int, int]
    element_bytes: int
    index: Array

    @property
    def warps(self) -> int:
        return len(self.index) // WARP

    @property
    def addresses(self) -> Array:
        """[warps, 32], in bytes."""
        return self.index.reshape(-1, WARP) * self.element_bytes

    @property
    def step(self) -> int | None:
        """Elements from a lane to the next, where that is one number in all warps."""
        steps = np.unique(np.diff(self.index.reshape(-1, WARP), axis=1))
        return int(steps[0]) if len(steps) == 1 else None

    def global_requests(self) -> list[GlobalRequest]:
        return [global_request(warp, self.element_bytes) for warp in self.addresses]

    def shared_requests(self) -> list[SharedRequest]:
        everyone = np.ones(WARP, dtype=bool)
        return [shared_request(warp, everyone, self.element_bytes) for warp in self.addresses]


@dataclass(frozen=True)
class Typed:
    """What the user typed. ``names`` are the sliders that the expression may use."""

    expression: str
    space: Space
    block: tuple[int, int]
    element_bytes: int
    stride: int
    offset: int

    def pattern(self, stride: int | None = None) -> Pattern:
        names = {"stride": self.stride if stride is None else stride, "offset": self.offset}
        return index_pattern(
            self.expression,
            block=self.block,
            element_bytes=self.element_bytes,
            names=names,
            shared=self.space == "shared",
        )


def index_pattern(
    expression: str,
    *,
    block: tuple[int, int],
    element_bytes: int,
    names: dict[str, int],
    shared: bool = False,
) -> Pattern:
    """``expression`` over every thread of the block; ``names`` are numbers it may use besides ``threadIdx``.

    LabError where it is not one of the language, divides by zero or leaves the memory."""
    node = _single(expression)
    if kind_of(node, dict.fromkeys(names, "int"), {}) != "int":
        refuse(node, "下标应为整数", "an index is an integer")
    index = np.asarray(evaluate(node, _Threads(block, names)), dtype=np.int64)
    most = SHARED_BYTES // element_bytes if shared else MOST_ELEMENTS
    if index.min() < 0 or index.max() >= most:
        thread = int(np.flatnonzero((index < 0) | (index >= most))[0])
        refuse(
            node,
            f"线程 {thread} 的下标 {int(index[thread])} 越界；允许 0 到 {most - 1}",
            f"thread {thread} has index {int(index[thread])}, allowed are 0 to {most - 1}",
        )
    return Pattern(expression.strip(), block, element_bytes, index)


def _single(expression: str) -> ast.expr:
    tree = parsed(expression.strip() or "?")
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        refuse(1, "写一个下标表达式，如 threadIdx.x * 2", "write one index expression: threadIdx.x * 2")
    return tree.body[0].value


class _Threads:
    """All threads of one block as lanes of an expression without memory."""

    def __init__(self, block: tuple[int, int], names: dict[str, int]) -> None:
        x, y = block
        thread = np.arange(x * y)
        self.active = np.ones(x * y, dtype=bool)
        self._registers = {"threadIdx.x": thread % x, "threadIdx.y": thread // x}
        self._registers |= {"blockDim.x": np.full_like(thread, x), "blockDim.y": np.full_like(thread, y)}
        self._names = {"lane": thread % WARP, "warp": thread // WARP}
        self._names |= {name: np.full_like(thread, value) for name, value in names.items()}

    def value(self, name: str) -> Array:
        return self._names[name]

    def special(self, register: str, axis: str) -> Array:
        return self._registers.get(f"{register}.{axis}", np.zeros(len(self.active), dtype=np.int64))

    def load(self, node: ast.Subscript, index: Array) -> Array:
        return self._no_memory()

    def atomic(self, node: ast.Call, index: Array, value: Array) -> Array:
        return self._no_memory()

    def exchange(self, node: ast.Call, values: list[Array]) -> Array:
        return self._no_memory()

    def _no_memory(self) -> NoReturn:
        raise UsageError(
            Text(
                zh="下标表达式里不能访存或通信；要写整个内核，请选“内核”",
                en="an index reads no memory and exchanges nothing; for a whole kernel look at “kernel”",
            )
        )


def lines_touched(pattern: Pattern) -> Array:
    """Numbers of the 128-byte lines, ascending."""
    first = pattern.index * pattern.element_bytes
    return np.unique(first // LINE_BYTES)
