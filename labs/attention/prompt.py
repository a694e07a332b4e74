"""A prompt read in full: its keys and values, and the attention statistics that eviction policies go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.attention.model_pass import causal, extend, mix, scores_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from labs.models.llama import Llama

OBSERVED = 8  # last queries whose attention is kept: SnapKV's observation window; a question of this lab


@dataclass(frozen=True)
class Prompt:
    """Of B prompts of P tokens each. ``keys``, ``values``: ``[layers, B, K, P, D]``, keys rotated.

    ``mass [layers, B, K, P]``: attention that a position got from all queries of its group so far (what H2O
    adds up). ``recent [layers, B, K, W, P]``: that of the last W queries alone.
    """

    keys: Tensor
    values: Tensor
    mass: Tensor
    recent: Tensor

    @property
    def tokens(self) -> int:
        return self.keys.shape[3]


def read_prompt(
    model: Llama,
    token_ids: Tensor,
    before: Prompt | None = None,
    check: Callable[[], None] = lambda: None,
) -> Prompt:
    """Prefill of ``token_ids [B, C]`` behind ``before``, with full attention; ``check`` as in ``extend``."""
    start = before.tokens if before else 0
    mask = causal(token_ids.shape[1], start, token_ids.device)
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        keys, values = joined(before, layer, k, v)
        weights = scores_of(q, keys).masked_fill(~mask, float("-inf")).softmax(dim=-1)
        shared = weights.sum(dim=2)  # over the queries of a group: they keep or lose a key together
        mass, recent = shared.sum(dim=2), shared[:, :, -OBSERVED:]
        if before:
            mass = mass + F.pad(before.mass[layer], (0, k.shape[2]))
            recent = torch.cat([F.pad(before.recent[layer], (0, k.shape[2])), recent], dim=2)[
                :, :, -OBSERVED:
            ]
        found.append((keys, values, mass, recent))
        return mix(weights, values)

    extend(model, token_ids, start, attend, check)
    return Prompt(*(torch.stack(parts) for parts in zip(*found, strict=True)))


def joined(before: Prompt | None, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values ``[B, K, S, D]`` of the prompt and of the new tokens."""
    if before is None:
        return k, v
    return torch.cat([before.keys[layer], k], dim=2), torch.cat([before.values[layer], v], dim=2)


def stacked(prompts: list[Prompt]) -> Prompt:
    """Prompts of equal length as one batch."""
    return Prompt(
        *(
            torch.cat([getattr(one, name) for one in prompts], dim=1)
            for name in ("keys", "values", "mass", "recent")
        )
    )
