"""Tiled attention of one head, step by step, with every access and every running maximum and sum recorded.

Plain numpy, a line a line of the papers' algorithms: the keys outside (FlashAttention, 2205.14135, algorithm
1) or the queries outside (FlashAttention-2, 2307.08691, algorithm 1). Exponentials are to base e; kernels
take base 2.

Shapes: T queries, S keys, D head dim; the queries are the last T of the S positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

Order = Literal["queries_outer", "keys_outer"]
Matrix = NDArray[np.float32]
Q, K, V, O, SCORES, MAXIMUM, SUM = range(7)  # noqa: E741
LOAD, STORE, ON_CHIP = range(3)
LOAD_QUERIES, LOAD_KEYS, SCORE, RESCALE, MIX, WRITE = range(6)  # what a step does


class Access(NamedTuple):
    """At a step, elements ``[start, stop)`` of a row of a tensor."""

    step: int
    tensor: int
    row: int
    start: int
    stop: int
    kind: int


class Step(NamedTuple):
    """``block`` and ``tile``: first query and first key; ``moved``: numbers that crossed the bus so far."""

    what: int
    block: int
    tile: int
    moved: int


class RowState(NamedTuple):
    """One query after one tile: the tile's own maximum, the running maximum before and after, by what the
    old sum and O were multiplied, the running sum, and O's first number as it stands then."""

    row: int
    tile: int
    here: float
    before: float
    now: float
    factor: float
    total: float
    out: float
    step: int


@dataclass
class Walk:
    """What happened. ``largest`` is the largest piece of the scores that ever existed, in numbers."""

    order: Order
    rows: int
    columns: int
    out: Matrix
    steps: list[Step] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    states: list[RowState] = field(default_factory=list)
    largest: int = 0
    moved: int = 0


def naive(q: Matrix, k: Matrix, v: Matrix, *, causal: bool) -> tuple[Matrix, Matrix]:
    """All scores ``[T, S]`` (-inf where masked) and the result ``[T, D]``, in float64 within."""
    scores = q.astype(np.float64) @ k.astype(np.float64).T / np.sqrt(q.shape[1])
    if causal:
        scores[~_seen(0, len(q), 0, len(k), len(k) - len(q))] = -np.inf
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    out = powers / powers.sum(axis=1, keepdims=True) @ v.astype(np.float64)
    return scores.astype(np.float32), out.astype(np.float32)


def walk(
    order: Order, q: Matrix, k: Matrix, v: Matrix, *, rows: int, columns: int, causal: bool = False
) -> Walk:
    """Tiled attention of ``q [T, D]`` and ``k, v [S, D]``, in float32, all of it recorded."""
    recorder = _Recorder(Walk(order, rows, columns, np.zeros_like(q)), q, k, v, causal)
    (recorder.queries_outer if order == "queries_outer" else recorder.keys_outer)()
    return recorder.walk


@dataclass
class _Recorder:
    walk: Walk
    q: Matrix
    k: Matrix
    v: Matrix
    causal: bool

    def __post_init__(self) -> None:
        self.most = np.full(len(self.q), -np.inf, np.float32)
        self.total = np.zeros(len(self.q), np.float32)
        self.before = len(self.k) - len(self.q)

    def queries_outer(self) -> None:
        """O stays on the chip, unnormalised, until its block has seen every tile."""
        for low in range(0, len(self.q), self.walk.rows):
            block = slice(low, min(low + self.walk.rows, len(self.q)))
            self.step(LOAD_QUERIES, block, slice(0, 0), [(Q, block, LOAD)])
            for tile in self._tiles(block):
                self.step(LOAD_KEYS, block, tile, [(K, tile, LOAD), (V, tile, LOAD)])
                self._update(block, tile, normalised=False)
            self.walk.out[block] /= self.total[block, None]
            self.step(WRITE, block, slice(0, 0), [(O, block, STORE)])

    def keys_outer(self) -> None:
        """O, maximum and sum go to memory and back with every tile; O is normalised each time."""
        for start in range(0, len(self.k), self.walk.columns):
            tile = slice(start, min(start + self.walk.columns, len(self.k)))
            self.step(LOAD_KEYS, slice(0, 0), tile, [(K, tile, LOAD), (V, tile, LOAD)])
            for low in range(0, len(self.q), self.walk.rows):
                block = slice(low, min(low + self.walk.rows, len(self.q)))
                if self.causal and start > block.stop - 1 + self.before:
                    continue
                again = [(one, block, LOAD) for one in (O, MAXIMUM, SUM)] if start else []
                self.step(LOAD_QUERIES, block, tile, [(Q, block, LOAD), *again])
                self._update(block, tile, normalised=True)
                self.step(WRITE, block, tile, [(one, block, STORE) for one in (O, MAXIMUM, SUM)])

    def _tiles(self, block: slice) -> Iterator[slice]:
        end = block.stop + self.before if self.causal else len(self.k)
        for start in range(0, end, self.walk.columns):
            yield slice(start, min(start + self.walk.columns, len(self.k)))

    def _update(self, block: slice, tile: slice, *, normalised: bool) -> None:
        """One pair of a block and a tile: scores, the online softmax, the mix of values."""
        scores = self.q[block] @ self.k[tile].T / np.float32(np.sqrt(self.q.shape[1]))
        if self.causal:
            scores[~_seen(block.start, block.stop, tile.start, tile.stop, self.before)] = -np.inf
        self.walk.largest = max(self.walk.largest, scores.size)
        part = [(SCORES, block, ON_CHIP, tile)]
        self.step(SCORE, block, tile, [(Q, block, ON_CHIP), (K, tile, ON_CHIP), *part])
        here, before = scores.max(axis=1), self.most[block].copy()
        now = np.maximum(before, here)
        factor, weights = np.exp(before - now), np.exp(scores - now[:, None])
        shrunk = self.total[block] * factor
        self.most[block], self.total[block] = now, shrunk + weights.sum(axis=1)
        self.step(RESCALE, block, tile, [*part, (O, block, ON_CHIP)])
        old = shrunk if normalised else factor
        self.walk.out[block] = self.walk.out[block] * old[:, None] + weights @ self.v[tile]
        if normalised:
            self.walk.out[block] /= self.total[block, None]
        self.step(MIX, block, tile, [*part, (V, tile, ON_CHIP), (O, block, ON_CHIP)])
        self._note(block, tile, here, before, now, factor)

    def _note(
        self, block: slice, tile: slice, here: Matrix, before: Matrix, now: Matrix, factor: Matrix
    ) -> None:
        for index, row in enumerate(range(block.start, block.stop)):
            state = RowState(
                row=row,
                tile=tile.start,
                here=float(here[index]),
                before=float(before[index]),
                now=float(now[index]),
                factor=float(factor[index]),
                total=float(self.total[row]),
                out=float(self.walk.out[row, 0]),
                step=len(self.walk.steps) - 1,
            )
            self.walk.states.append(state)

    def step(self, what: int, block: slice, tile: slice, touched: list[tuple[object, ...]]) -> None:
        """Loads and stores are counted: numbers of a row of Q, K, V and O, one each of maximum and sum."""
        number, width = len(self.walk.steps), self.q.shape[1]
        for tensor, part, kind, *columns in touched:
            assert isinstance(part, slice) and isinstance(tensor, int) and isinstance(kind, int)
            for row in range(part.start, part.stop):
                wide = columns[0] if columns else slice(0, 1 if tensor in (MAXIMUM, SUM) else width)
                assert isinstance(wide, slice)
                self.walk.accesses.append(Access(number, tensor, row, wide.start, wide.stop, kind))
                self.walk.moved += wide.stop - wide.start if kind != ON_CHIP else 0
        self.walk.steps.append(Step(what, block.start, tile.start, self.walk.moved))


def _seen(low: int, high: int, start: int, stop: int, before: int) -> NDArray[np.bool_]:
    seen: NDArray[np.bool_] = np.arange(start, stop)[None, :] <= np.arange(low, high)[:, None] + before
    return seen
