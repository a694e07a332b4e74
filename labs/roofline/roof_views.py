"""Rooflines as results: the roofs as lines, operators as points under them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labs.formulas.roofline import attainable
from labs.results import Axis, Provenance, Scatter, Series, array
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from labs.results import Result
    from labs.roofline.bandwidths import Level
    from labs.roofline.placed import Placed

_LOW, _HIGH = 1 / 16, 1024.0  # FLOPs a byte that are always in sight


def intensity_axis() -> Axis:
    return Axis(title=Text(zh="算术强度", en="arithmetic intensity"), unit="FLOP/B", log=True)


def rate_axis() -> Axis:
    return Axis(title=Text(zh="速率", en="rate"), unit="FLOP/s", log=True)


def roof_line(
    name: Text, peak: float, bandwidth: float, provenance: Provenance, span: tuple[float, float]
) -> Series:
    """The slope up to the ridge, then level."""
    ridge = _within(span, peak / bandwidth)
    x = array(sorted({span[0], ridge, span[1]}))
    y = array([attainable(one, peak, bandwidth) for one in x])
    return Series(name=name, x=x, y=y, provenance=provenance, reference=True)


def roofs(
    slopes: Mapping[Text, float],
    peaks: Mapping[Text, float],
    provenance: Provenance,
    span: tuple[float, float],
) -> Iterator[Series]:
    """A slope for each bandwidth (bytes/s) up to the highest peak (FLOP/s), and each peak from where the
    fastest memory reaches it: no two lie on one another. Or both in the same multiple of these units."""
    highest, fastest = max(peaks.values()), max(slopes.values())
    for name, bandwidth in slopes.items():
        x = array([span[0], _within(span, highest / bandwidth)])
        yield Series(name=name, x=x, y=bandwidth * x, provenance=provenance, reference=True)
    for name, peak in peaks.items():
        x = array([_within(span, peak / fastest), span[1]])
        yield Series(name=name, x=x, y=array([peak, peak]), provenance=provenance, reference=True)


def peak_lines(peaks: Mapping[str, float], unit: str, size: float = 1.0) -> dict[Text, float]:
    """Peaks, named by type and figure in ``unit`` of ``size``; equal ones are one that names both types."""
    names: dict[float, list[str]] = {}
    for name, peak in peaks.items():
        names.setdefault(peak, []).append(name.upper())
    return {same(f"{', '.join(types)} {peak / size:.4g} {unit}"): peak for peak, types in names.items()}


def _within(span: tuple[float, float], intensity: float) -> float:
    return min(max(intensity, span[0]), span[1])


def level_roofs(
    levels: Sequence[Level], peaks: Mapping[str, float], span: tuple[float, float]
) -> Iterator[Series]:
    """The memory levels and the precisions of a machine as measured."""
    slopes = {same(f"{level.name} {level.bandwidth / 1e9:.0f} GB/s"): level.bandwidth for level in levels}
    named = {same(f"{name.upper()} {peak / 1e9:.0f} GFLOP/s"): peak for name, peak in peaks.items()}
    return roofs(slopes, named, Provenance.MEASURED, span)


def point_series(
    groups: Mapping[Text, Sequence[Placed]], provenance: Provenance = Provenance.MEASURED
) -> Iterator[Series]:
    """Measured points, each named with its share of the bound."""
    for name, placed in groups.items():
        shares = ["" if math.isnan(one.share) else f" {one.share:.0%}" for one in placed]
        yield Series(
            name=name,
            x=array([one.demand.intensity for one in placed]),
            y=array([one.rate for one in placed]),
            labels=[
                Text(zh=f"{one.title.zh}{share}", en=f"{one.title.en}{share}")
                for one, share in zip(placed, shares, strict=True)
            ],
            provenance=provenance,
        )


def span_of(intensities: Sequence[float]) -> tuple[float, float]:
    known = [one for one in intensities if one > 0 and math.isfinite(one)]
    return min([_LOW, *(one / 8 for one in known)]), max([_HIGH, *(one * 2 for one in known)])


def roofline(
    series: Sequence[Series],
    *,
    title: Text,
    source: Text,
    provenance: Provenance = Provenance.MEASURED,
    result_id: str = "roofline",
) -> Result:
    return Scatter(
        id=result_id,
        title=title,
        provenance=provenance,
        unit="FLOP/s",
        help=Text(
            zh="横轴：每搬一字节做几次浮点运算。斜线是带宽乘强度，平线是算力峰值，拐点处两者相等。点在斜线"
            "下：访存是"
            "上限；在平线下：计算是上限；离哪条线都远：时间花在别处。",
            en="Across: FLOPs for each byte moved. The slope is bandwidth times intensity, the level part "
            "the "
            "compute peak; they meet at the ridge. A point below the slope is bounded by memory, below the "
            "level part by compute; one far from both spends its time elsewhere.",
        ),
        x=intensity_axis(),
        y=rate_axis(),
        series=list(series),
        source=source,
        wide=True,
    )
