"""How many bytes a set of intermediate tensors needs: all at once, by liveness, and in one planned arena.

A tensor is live from the step that writes it to the last step that reads it. Only tensors that are live at
the same step need different places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Lifetime:
    """A tensor of ``size`` (bytes, or elements a token) that is live from step ``birth`` to ``death``, both
    included."""

    name: str
    birth: int
    death: int
    size: float

    def overlaps(self, other: Lifetime) -> bool:
        """Whether there is a step at which both are live."""
        return self.birth <= other.death and other.birth <= self.death


def naive_bytes(lifetimes: Sequence[Lifetime]) -> float:
    """Every tensor has a place of its own: what keeping all of them for a backward pass would take."""
    return sum(one.size for one in lifetimes)


def live_bytes(lifetimes: Sequence[Lifetime]) -> list[float]:
    """Bytes live at each step, from step 0 to the last death."""
    steps = max((one.death for one in lifetimes), default=-1) + 1
    changes = [0.0] * (steps + 1)
    for one in lifetimes:
        changes[one.birth] += one.size
        changes[one.death + 1] -= one.size
    live, total = [], 0.0
    for change in changes[:-1]:
        total += change
        live.append(total)
    return live


def peak_bytes(lifetimes: Sequence[Lifetime]) -> float:
    """The most that is live at one step: no plan can do with less."""
    return max(live_bytes(lifetimes), default=0.0)


def greedy_offsets(lifetimes: Sequence[Lifetime]) -> list[float]:
    """An offset for each tensor in one arena: largest first, each into the smallest gap that it fits.

    Greedy by Size for Offset Calculation (Pisarchyk and Lee, 2001.03288, from TensorFlow Lite): a gap is
    room between tensors already placed that are live at the same time; without one it goes behind them.
    """
    offsets: dict[int, float] = {}
    order = sorted(range(len(lifetimes)), key=lambda i: (-lifetimes[i].size, lifetimes[i].birth))
    for i in order:
        one = lifetimes[i]
        taken = sorted((offsets[j], lifetimes[j].size) for j in offsets if lifetimes[j].overlaps(one))
        offsets[i] = _best_gap(taken, one.size)
    return [offsets[i] for i in range(len(lifetimes))]


def arena_bytes(lifetimes: Sequence[Lifetime], offsets: Sequence[float]) -> float:
    """The arena's size: the highest end of a tensor."""
    return max((at + one.size for at, one in zip(offsets, lifetimes, strict=True)), default=0.0)


def _best_gap(taken: Sequence[tuple[float, float]], size: float) -> float:
    """Where the smallest gap of ``size`` between the ``taken`` (offset, size) starts, else their end."""
    end, best, smallest = 0.0, None, float("inf")
    for offset, length in taken:
        if size <= offset - end < smallest:
            best, smallest = end, offset - end
        end = max(end, offset + length)
    return end if best is None else best


def step_workspace_bytes(tokens: int, hidden: int, ffn: int, bytes_per_element: float) -> float:
    """Least workspace of a step through dense SwiGLU layers with fused kernels: their live peak.

    When gate and up (``2 ffn``) become their product (``ffn``), the residual stream (``hidden``) is alive
    beside them; attention needs less, as its score matrix is never written. Layers take turns in the
    workspace, so their number does not matter.
    """
    return tokens * (hidden + 3 * ffn) * bytes_per_element
