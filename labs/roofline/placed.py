"""An operator under the roofs: its bounds, its measured time, and what that says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labs.formulas.roofline import Demand, after_change, bounds, share_of_bound
from labs.text import Text

if TYPE_CHECKING:
    from typing import Final

    from labs.formulas.roofline import Bounds
    from labs.measure import Timing

Verdict = Literal["bandwidth", "compute", "overhead", "below"]

# A measured time so many times the largest of its bounds is not explained by any of them.
FAR: Final = 3.0

VERDICTS: Final[dict[Verdict, Text]] = {
    "bandwidth": Text(zh="访存受限", en="bandwidth-bound"),
    "compute": Text(zh="计算受限", en="compute-bound"),
    "overhead": Text(zh="开销受限", en="overhead-bound"),
    "below": Text(zh="远离所有上限", en="far from every bound"),
}


@dataclass(frozen=True)
class Roof:
    """What bounds an operator: FLOP/s, bytes/s, and seconds of an empty call."""

    peak: float
    bandwidth: float
    call_s: float

    @property
    def ridge(self) -> float:
        """FLOPs a byte from which on the peak is the lower roof."""
        return self.peak / self.bandwidth

    def bounds(self, demand: Demand) -> Bounds:
        return bounds(demand, self.peak, self.bandwidth, self.call_s)


@dataclass(frozen=True)
class Placed:
    """``demand`` and ``timing`` are of one of ``count`` calls a step; ``reason``: why there is no timing."""

    name: str
    title: Text
    demand: Demand
    roof: Roof
    timing: Timing | None = None
    count: int = 1
    reason: Text | None = None

    @property
    def bounds(self) -> Bounds:
        return self.roof.bounds(self.demand)

    @property
    def seconds(self) -> float:
        """Measured; NaN before."""
        return self.timing.median_s if self.timing else float("nan")

    @property
    def rate(self) -> float:
        """FLOP/s achieved."""
        return self.demand.flops / self.seconds

    @property
    def share(self) -> float:
        """Of the largest bound; above 1 where data came from a cache and not from memory."""
        return share_of_bound(self.seconds, self.bounds.least)

    @property
    def verdict(self) -> Verdict:
        """By the bounds alone before it is measured."""
        if self.timing and self.share < 1 / FAR:
            return "below"
        return self.bounds.limit

    def after(self, demand: Demand, roof: Roof | None = None) -> float:
        """Seconds to expect of another demand or under another roof, at the same share of the bound."""
        return after_change(self.seconds, self.bounds, (roof or self.roof).bounds(demand))
