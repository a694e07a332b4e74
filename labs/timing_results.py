"""A timing as a result: the figure with its spread, how it was taken, and a warning where it is too noisy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.results import Metric, Provenance
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.measure import Timing


def method(timing: Timing) -> Text:
    """How the figure was taken, and why not to conclude from it where that is so."""
    zh = f"预热后 {timing.repeats} 个样本的中位数，20%–80% 分位，{timing.threads} 线程"
    en = f"median of {timing.repeats} samples after warming up, 20th to 80th percentile, "
    en += f"threads: {timing.threads}"
    if timing.cold:
        zh, en = f"{zh}，每次前清空缓存", f"{en}, caches emptied before each"
    how = Text(zh=zh, en=en)
    if timing.noise is None:
        return how
    return Text(
        zh=f"{how.zh}。⚠ 噪声太大，不足以下结论：{timing.noise.zh}",
        en=f"{how.en}. Too noisy to conclude from: {timing.noise.en}",
    )


def time_metric(
    timing: Timing,
    *,
    id: str,
    title: Text,
    help: Text | None = None,
    predicted_s: float | None = None,
    formula: Text | None = None,
) -> Metric:
    """Seconds a call, less being better, with the spread; ``predicted_s`` by ``formula`` beside it."""
    return Metric(
        id=id,
        title=_warned(title, timing),
        provenance=Provenance.MEASURED,
        unit="s",
        value=timing.median_s,
        low=timing.low_s,
        high=timing.high_s,
        predicted=predicted_s,
        formula=formula,
        better="lower",
        help=help,
        source=method(timing),
    )


def noise_warning(timings: Sequence[Timing]) -> Text | None:
    """How many of a run's timings are too noisy, with the reason of the worst; None if none is."""
    noisy = [timing for timing in timings if timing.noise is not None]
    if not noisy:
        return None
    worst = max(noisy, key=lambda timing: timing.spread)
    assert worst.noise is not None
    return Text(
        zh=f"⚠ {len(timings)} 个计时里有 {len(noisy)} 个噪声太大（最差：{worst.noise.zh}）：小于这个幅度的"
        "差别不能下结论，关掉别的程序再测。",
        en=f"Of {len(timings)} timings {len(noisy)} are too noisy (the worst: {worst.noise.en}): conclude "
        "nothing from smaller differences; close other programs and measure again.",
    )


def _warned(title: Text, timing: Timing) -> Text:
    if timing.noise is None:
        return title
    return Text(zh=f"{title.zh}（噪声大）", en=f"{title.en} (noisy)")
