"""The quantised mode: keys and values in few bits, along channels or along tokens, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from labs.attention import quantization_views as views
from labs.attention.evaluation import Score, all_caches, cache_of, evaluate, prompts_of
from labs.attention.quantized_kv import FULL, LAYOUTS, KVFormat, quantized_attention
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.attention.evaluation import Prompts
    from labs.context import Context
    from labs.results import Result


@dataclass
class Study:
    """``chosen`` is the format asked for; ``scores`` what each tried one costs."""

    chosen: KVFormat
    tokens: int
    layer: int
    kv_head: int
    prompts: Prompts
    scores: dict[KVFormat, Score] = field(default_factory=dict)


def run_quantization(
    ctx: Context,
    *,
    chosen: KVFormat,
    tokens: int,
    count: int,
    layer: int,
    kv_head: int,
    sweep: bool,
) -> Iterator[Result]:
    """Keys and values as they are, then the chosen format, then, with ``sweep``, all layouts at 4 and 2
    bits."""
    loaded = ctx.model()
    if kv_head >= loaded.config.kv_heads:
        last = loaded.config.kv_heads - 1
        zh, en = f"模型的 KV 头编号到 {last} 为止", f"the model's KV heads end at {last}"
        raise LabError(Text(zh=zh, en=en))
    study = Study(chosen, tokens, layer, kv_head, prompts_of(ctx, count, tokens))
    ctx.progress(0.0, Text(zh="读第一条提示词", en="reading the first prompt"))
    one = cache_of(ctx, count, tokens, 0)
    keys, values = (part[layer, 0, kv_head] for part in (one.keys, one.values))
    yield from views.magnitudes(study, keys, values)
    yield views.error_bars(study, keys, values)
    if ctx.preview:
        return
    cache = all_caches(ctx, count, tokens, 0.3)
    formats = [FULL, chosen]
    if sweep:
        formats.append(KVFormat(8, "token", "token", chosen.residual))
        formats += [KVFormat(bits, *layout, chosen.residual) for bits in (2, 4) for layout in LAYOUTS]
    formats = list(dict.fromkeys(formats))
    for index, kv in enumerate(formats):
        ctx.progress(0.3 + 0.7 * index / len(formats), Text(zh=f"评测 {kv.name}", en=f"scoring {kv.name}"))
        study.scores[kv] = ctx.memo(
            ("quantised", kv, tokens, count),
            partial(evaluate, ctx, study.prompts, cache, None, partial(quantized_attention, kv=kv)),
        )
        if kv != FULL:
            yield from views.metrics(study)
            yield views.loss_bars(study)
    yield views.memory_metric(study, loaded.config)
    yield views.table(study, loaded.config)
    yield views.explanation(study)
