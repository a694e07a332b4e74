"""What an operator asks of a machine, and which of its limits is in the way: the roofline.

An operator asks for FLOPs and for bytes that cross a memory bus at least once. A machine gives a peak and a
bandwidth. Williams, Waterman, Patterson: Roofline (CACM 52(4), 2009), figure 1; several bandwidths, one a
memory level: Yang et al., Hierarchical Roofline Analysis (2009.02449), section II.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Limit = Literal["bandwidth", "compute", "overhead"]


class Demand(NamedTuple):
    """FLOPs (a multiply and an add are two), and bytes of which each crosses the bus once, in ``calls``
    calls of the framework or launches of kernels. Demands of what runs one after another add up."""

    flops: float
    moved_bytes: float
    calls: int = 1

    @property
    def intensity(self) -> float:
        """FLOPs a byte."""
        return self.flops / self.moved_bytes

    def plus(self, other: Demand) -> Demand:
        return Demand(
            self.flops + other.flops, self.moved_bytes + other.moved_bytes, self.calls + other.calls
        )

    def times(self, count: float) -> Demand:
        return Demand(self.flops * count, self.moved_bytes * count, round(self.calls * count))


class Bounds(NamedTuple):
    """Seconds that an operator takes at least, by each limit; ``overhead`` is what its calls cost empty."""

    bandwidth: float
    compute: float
    overhead: float

    @property
    def least(self) -> float:
        """The largest of the three: overlapping perfectly, none can be beaten."""
        return max(self)

    @property
    def limit(self) -> Limit:
        """The one that is in the way."""
        if self.overhead > max(self.bandwidth, self.compute):
            return "overhead"
        return "bandwidth" if self.bandwidth >= self.compute else "compute"


def attainable(intensity: float, peak: float, bandwidth: float) -> float:
    """FLOP/s under the roof at an intensity: ``min(peak, bandwidth * intensity)``."""
    return min(peak, bandwidth * intensity)


def bounds(demand: Demand, peak: float, bandwidth: float, call_s: float = 0.0) -> Bounds:
    """Lower bounds by ``bandwidth`` in bytes/s, ``peak`` in FLOP/s and ``call_s`` of an empty call."""
    return Bounds(demand.moved_bytes / bandwidth, demand.flops / peak, demand.calls * call_s)


def share_of_bound(seconds: float, least: float) -> float:
    """How near the bound a measured time comes: 1 at the bound, 0.1 when ten times slower."""
    return least / seconds


def after_change(seconds: float, before: Bounds, after: Bounds) -> float:
    """Seconds to expect when the bounds change and the share of the bound that is reached stays the same.

    So halving the bytes of what is not bound by bandwidth buys nothing, and beyond the next bound no more.
    """
    return seconds * after.least / before.least
