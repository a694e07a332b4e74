"""Tails of latencies, drawn so that one request in a thousand is still seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.results import Axis, Lines, Mark, Provenance, Series, array
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labs.results import Array

_POINTS = 160


def tails(runs: Iterable[tuple[Text, Array]], objective_s: float) -> Lines:
    """TTFT in s, named."""
    return Lines(
        id="tails",
        title=Text(zh="TTFT 的尾部：比 x 还慢的有几成", en="The tail of TTFT: share slower than x"),
        help=Text(
            zh="互补分布，双对数。曲线往右拖得越远，尾部越长；中位数在 50%，p99 在 1%。",
            en="The complementary distribution, both axes logarithmic: the further right a curve reaches, "
            "the "
            "longer its tail. The median is where it crosses 50%, p99 at 1%.",
        ),
        provenance=Provenance.SIMULATED,
        unit="%",
        x=Axis(title=same("TTFT"), unit="s", log=True),
        y=Axis(title=Text(zh="更慢的请求", en="slower requests"), unit="%", log=True),
        series=[_survival(name, values) for name, values in runs],
        marks=[Mark(x=objective_s, name=Text(zh="急件期限", en="urgent objective"))],
        markers=False,
    )


def _survival(name: Text, values: Array) -> Series:
    """At most so many points, evenly spaced on a logarithmic axis of the share that is slower."""
    ordered, count = np.sort(values), len(values)
    slower = np.unique(np.geomspace(1, count, _POINTS).round().astype(int))[::-1]
    return Series(name=name, x=array(ordered[count - slower]), y=array(100 * slower / count))
