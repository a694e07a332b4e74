"""Generating text token by token: one prefill of the prompt, then one decode step a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labs.models.kv_cache import KVCache
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from labs.models.llama import Llama


@torch.inference_mode()
def generate(
    model: Llama,
    prompt_ids: Sequence[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
    stop_ids: Sequence[int] | None = None,
) -> Iterator[int]:
    """Yield up to ``max_new_tokens`` ids, without the stop id that ended them (None: the model's own).

    ``temperature`` 0 takes the likeliest token; above, it samples among the likeliest that reach ``top_p``.
    LabError when prompt and new tokens exceed the model's context.
    """
    config = model.config
    capacity = len(prompt_ids) + max_new_tokens
    if not prompt_ids or capacity > config.context:
        zh = (
            f"提示词 {len(prompt_ids)} 个 token 加新生成的 {max_new_tokens} 个：应为 1 到 {config.context} 个"
        )
        en = f"prompt of {len(prompt_ids)} tokens plus {max_new_tokens} new: allowed 1 to {config.context}"
        raise LabError(Text(zh=zh, en=en))
    stops = set(config.eos_ids if stop_ids is None else stop_ids)
    device = model.embed_tokens.weight.device
    cache = KVCache(config, batch=1, capacity=capacity, device=device)
    tokens = torch.tensor([list(prompt_ids)], device=device)
    for _ in range(max_new_tokens):
        logits = model(tokens, cache, last_only=True)[0, -1].float()
        token = _choose(logits, temperature, top_p, generator)
        if token in stops:
            return
        yield token
        tokens = torch.tensor([[token]], device=device)


def _choose(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator | None) -> int:
    if temperature <= 0:
        return int(logits.argmax())
    probabilities, ids = (logits / temperature).softmax(dim=-1).sort(descending=True)
    # A token stays while those before it have not reached top_p, so the likeliest always stays.
    probabilities[probabilities.cumsum(dim=-1) - probabilities >= top_p] = 0
    return int(ids[torch.multinomial(probabilities, 1, generator=generator)])
