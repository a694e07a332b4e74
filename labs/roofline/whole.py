"""The model's whole step, prefill or decode, as a call that can be repeated at the same length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labs.formulas.kv_cache import bytes_per_token
from labs.models.kv_cache import KVCache
from labs.roofline.dispatches import recorded
from labs.roofline.setting import KV_BITS
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from labs.context import Context
    from labs.models.llama import Llama
    from labs.roofline.setting import Setting

_PRODUCTS: Final = ("aten::mm", "aten::addmm", "aten::bmm")


def step_call(ctx: Context, model: Llama, setting: Setting) -> Callable[[], object]:
    """Runs the step and leaves the cache as it was; LabError where its KV does not fit."""
    config = model.config
    token = bytes_per_token(
        layers=config.layers,
        kv_heads=config.kv_heads,
        head_dim=config.head_dim,
        bytes_per_element=KV_BITS / 8,
    )
    ctx.reserve(
        int(setting.batch * setting.context * token),
        Text(zh="整步的 KV 缓存", en="the whole step's KV cache"),
        Text(zh="把批大小或上下文调小。", en="Use a smaller batch or a shorter context."),
    )
    cache = KVCache(config, setting.batch, setting.context, device=ctx.device)
    cache.keys.normal_(), cache.values.normal_()
    ids = torch.randint(config.vocab, (setting.batch, setting.tokens), generator=ctx.generator())
    ids = ids.to(ctx.device)

    def step() -> None:
        cache.length = setting.context - setting.tokens
        model(ids, cache, last_only=True)

    return step


def counted_flops(step: Callable[[], object], device: str) -> int:
    """FLOPs of the matrix products that torch dispatched in a step, by the shapes that its profiler saw.

    Fused attention is not among them: the profiler does not count it.
    """
    with torch.inference_mode():
        found = recorded(step, device, with_flops=True)
    # The profiler's own records: making its tree of events takes several times as long as the step.
    events = found.kineto_results.events()
    return sum(event.flops() for event in events if event.name() in _PRODUCTS)
