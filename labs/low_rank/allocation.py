"""A rank for each layer under a budget: a multiple-choice knapsack, solved greedily over convex hulls.

Each layer has one choice of several: a rank with its cost and its damage, or the full matrix without damage.
Choices that lie above the lower convex hull of (cost, damage) are never worth taking; along the hulls, always
the step that spares most damage for its cost is the best use of a budget, up to the last step (Sinha and
Zoltners, Operations Research 27(3), 1979: the relaxed problem).
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FULL = 0  # the rank of a layer that stays as it was


@dataclass(frozen=True)
class Choice:
    """``rank`` (FULL: not decomposed), what it costs, and the share of the output's energy that is lost."""

    rank: int
    cost: float
    damage: float


def allocate(
    layers: Sequence[Sequence[Choice]], *, budget: float = math.inf, damage: float = 0.0
) -> list[Choice]:
    """A choice of each layer: damage spared until the ``budget`` is spent or the total is ``damage``.

    Starts from each layer's cheapest; a budget below their sum changes nothing.
    """
    hulls = [hull(choices) for choices in layers]
    at = [0] * len(hulls)
    cost, lost = (math.fsum(getattr(one[0], name) for one in hulls) for name in ("cost", "damage"))
    steps = [(-_slope(one, 0), index) for index, one in enumerate(hulls) if len(one) > 1]
    heapq.heapify(steps)
    while steps and lost > damage:
        _, index = heapq.heappop(steps)
        one, place = hulls[index], at[index]
        extra = one[place + 1].cost - one[place].cost
        if cost + extra > budget * (1 + 1e-12):
            continue  # this layer goes no further; a cheaper step of another may still fit
        at[index], cost, lost = place + 1, cost + extra, lost + one[place + 1].damage - one[place].damage
        if at[index] + 1 < len(one):
            heapq.heappush(steps, (-_slope(one, at[index]), index))
    return [one[place] for one, place in zip(hulls, at, strict=True)]


def uniform(layers: Sequence[Sequence[Choice]], budget: float) -> list[Choice]:
    """The largest rank that all layers can have within the budget; the lowest where none fits."""
    by_rank = [{choice.rank: choice for choice in choices} for choices in layers]
    ranks = sorted(set.intersection(*(set(one) for one in by_rank)) - {FULL})
    fitting = [rank for rank in ranks if math.fsum(one[rank].cost for one in by_rank) <= budget * (1 + 1e-12)]
    return [one[fitting[-1] if fitting else ranks[0]] for one in by_rank]


def hull(choices: Sequence[Choice]) -> list[Choice]:
    """The lower convex hull, cheapest first: damage falls, ever more slowly for the cost."""
    kept: list[Choice] = []
    for choice in sorted(choices, key=lambda one: (one.cost, one.damage)):
        if kept and choice.damage >= kept[-1].damage:
            continue
        while len(kept) > 1 and _rate(kept[-2], kept[-1]) <= _rate(kept[-1], choice):
            kept.pop()
        kept.append(choice)
    return kept


def _slope(one: list[Choice], place: int) -> float:
    return _rate(one[place], one[place + 1])


def _rate(cheaper: Choice, dearer: Choice) -> float:
    """Damage spared a unit of cost."""
    spent = dearer.cost - cheaper.cost
    return (cheaper.damage - dearer.damage) / spent if spent > 0 else math.inf
