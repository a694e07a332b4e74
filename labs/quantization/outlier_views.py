"""What the outlier lab shows of an activation: its peak, its map, its channels, and the layers beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labs.quantization.reduction import reduce_max
from labs.results import Axis, Heatmap, Lines, Mark, Metric, Provenance, Series, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from labs.quantization.outliers import Peak

_MEASURED = Provenance.MEASURED
WITH = Text(zh="含首个 token", en="with the first token")
WITHOUT = Text(zh="不含首个 token", en="without the first token")


def peak_metrics(peak: Peak, tokens: int, first: int) -> Iterator[Metric]:
    """Which channel is massive, at which token, and how massive."""
    source = Text(
        zh=f"校准文本前 {tokens} 个 token 的真实前向",
        en=f"a real pass over {tokens} tokens of text",
    )
    yield Metric(
        id="channel",
        title=Text(zh="最大的通道（编号）", en="The massive channel (its number)"),
        provenance=_MEASURED,
        value=peak.channel,
        source=source,
    )
    yield Metric(
        id="token",
        title=Text(zh="出现在第几个 token", en="At token number"),
        provenance=_MEASURED,
        value=peak.token + first,
        help=Text(zh="从 0 开始数。", en="Counted from 0."),
        source=source,
    )
    yield Metric(
        id="peak",
        title=Text(zh="最大幅值", en="Largest magnitude"),
        provenance=_MEASURED,
        value=peak.value,
        source=source,
    )
    yield Metric(
        id="ratio",
        title=Text(zh="是中位通道的多少倍", en="Times the median channel"),
        provenance=_MEASURED,
        unit="×",
        value=peak.ratio,
        help=Text(
            zh="先取每个通道的最大幅值，再与它们的中位数相比。",
            en="Each channel's largest magnitude, against the median of these.",
        ),
        source=source,
    )


def token_map(matrix: Tensor, floor: float, **texts: object) -> Heatmap:
    """Tokens down, channels across, on a log scale that starts at ``floor``."""
    cells, row_step, column_step = reduce_max(matrix, 128, 256)
    return Heatmap(
        provenance=_MEASURED,
        values=array(cells.clamp(min=floor), "float32"),
        rows=Axis(title=Text(zh="token", en="token")),
        columns=Axis(title=Text(zh="通道", en="channel")),
        row_step=row_step,
        column_step=column_step,
        reduction="none" if row_step == column_step == 1 else "max",
        log=True,
        wide=True,
        **texts,  # type: ignore[arg-type]
    )


def activation_map(x: Tensor, layer: int, site: Text) -> Heatmap:
    """The activation; outliers are columns (a channel) or cells in the first row (the first token)."""
    magnitude = x.abs()
    return token_map(
        magnitude,
        max(float(magnitude.max()) * 1e-5, 1e-12),
        id="activation",
        title=Text(zh=f"第 {layer} 层{site.zh}的 |x|", en=f"|x| of the {site.en}, layer {layer}"),
        help=Text(
            zh="颜色取对数。亮的竖条是离群通道，最上面一行是首个 token；每格取最大值，离群值不会被平均掉。",
            en="Colours are logarithmic. Bright columns are outlying channels, the top row is the "
            "first token; each cell keeps its maximum, so no outlier is averaged away.",
        ),
        source=Text(zh="真实前向中截取", en="captured in a real forward pass"),
    )


def channel_profile(whole: Tensor, peak: Peak) -> Lines:
    """Each channel's largest magnitude, with and without the first token."""
    magnitude = whole.abs()
    channels = np.arange(whole.shape[1], dtype=np.float64)
    return Lines(
        id="channels",
        title=Text(zh="每个通道的最大幅值", en="Largest magnitude of each channel"),
        provenance=_MEASURED,
        x=Axis(title=Text(zh="通道", en="channel")),
        y=Axis(title=Text(zh="最大 |x|", en="largest |x|"), log=True),
        series=[
            Series(name=WITH, x=channels, y=array(magnitude.amax(dim=0))),
            Series(name=WITHOUT, x=channels, y=array(magnitude[1:].amax(dim=0))),
        ],
        marks=[Mark(x=peak.channel, name=Text(zh=f"通道 {peak.channel}", en=f"channel {peak.channel}"))],
        markers=False,
        source=Text(zh="在 token 上取最大值", en="the maximum over tokens"),
        wide=True,
    )


def layer_curve(layer: int, all_tokens: list[Peak], later: list[Peak]) -> Lines:
    """Where in the model outliers begin and end."""
    layers = array(range(len(all_tokens)))
    return Lines(
        id="layers",
        title=Text(
            zh="各层：最大值是中位通道的多少倍", en="By layer: how many times the median channel the peak is"
        ),
        provenance=_MEASURED,
        unit="×",
        x=Axis(title=Text(zh="层", en="layer")),
        y=Axis(title=Text(zh="最大 ÷ 中位通道", en="peak / median channel"), unit="×", log=True),
        series=[
            Series(name=WITH, x=layers, y=array([peak.ratio for peak in all_tokens])),
            Series(name=WITHOUT, x=layers, y=array([peak.ratio for peak in later])),
        ],
        marks=[Mark(x=layer, name=Text(zh="当前层", en="this layer"))],
        source=Text(zh="一次前向，逐层截取", en="one pass, captured layer by layer"),
        wide=True,
    )
