"""Real queries, keys and values: those of one head of the model's layer while it reads a text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from labs.attention.model_pass import causal, extend, mix, scores_of
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

    from labs.attention.tiled.walk import Matrix
    from labs.context import Context

_SEPARATORS = str.maketrans(",，、;；", "     ")
_LARGEST = 1e30


class _Reached(Exception):
    """The layer has been reached: what follows need not be computed."""


def layer_heads(ctx: Context, text: str, layer: int, tokens: int) -> tuple[Tensor, Tensor, Tensor, list[str]]:
    """``q [H, T, D]``, ``k, v [K, T, D]`` of ``layer``, rotated, and the tokens as text; at most ``tokens``.

    LabError where the text has fewer than two tokens.
    """
    loaded = ctx.model()
    ids = loaded.tokenizer.encode(text)[:tokens]
    if len(ids) < 2:
        raise LabError(Text(zh="文本至少要有两个 token", en="the text needs two tokens at least"))
    found: list[Tensor] = []
    mask = causal(len(ids), 0)

    def attend(index: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if index == layer:
            found.extend(one[0].clone() for one in (q, k, v))
            raise _Reached
        return mix(scores_of(q, k).masked_fill(~mask, float("-inf")).softmax(dim=-1), v)

    try:
        extend(loaded.model, torch.tensor([ids]), 0, attend)
    except _Reached:
        pass
    words = [loaded.tokenizer.decode([one]) for one in ids]
    return found[0], found[1], found[2], words


def one_head(
    ctx: Context, text: str, layer: int, head: int, tokens: int
) -> tuple[Matrix, Matrix, Matrix, list[str]]:
    """Query head ``head`` with the KV head that it reads, as ``[T, D]`` arrays. LabError beyond the last."""
    q, k, v, words = ctx.memo(
        ("layer heads", text, layer, tokens), lambda: layer_heads(ctx, text, layer, tokens)
    )
    if head >= len(q):
        last = len(q) - 1
        zh = f"头（head）= {head}：这个模型的头是 0 到 {last}"
        raise LabError(Text(zh=zh, en=f"head = {head}: this model has heads 0 to {last}"))
    group = len(q) // len(k)
    return q[head].numpy(), k[head // group].numpy(), v[head // group].numpy(), words


def typed_numbers(text: str) -> tuple[Matrix, Matrix, Matrix, list[str]]:
    """Numbers as the scores of one query: ``q = [[1]]``, the numbers as keys, ``1, 2, 3, ...`` as values.

    LabError unless there are 2 to 32 finite numbers."""
    words = text.translate(_SEPARATORS).split()
    numbers = [_number(word) for word in words]
    if not 2 <= len(numbers) <= 32:
        zh = f"分数（numbers）有 {len(numbers)} 个数，要 2 到 32 个，用空格或逗号分开"
        en = f"numbers has {len(numbers)}; it takes 2 to 32, with spaces or commas between them"
        raise LabError(Text(zh=zh, en=en))
    keys = torch.tensor(numbers, dtype=torch.float32).view(-1, 1)
    values = torch.arange(1, len(numbers) + 1, dtype=torch.float32).view(-1, 1)
    return torch.ones(1, 1).numpy(), keys.numpy(), values.numpy(), [f"{one:g}" for one in numbers]


def _number(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if abs(number) < _LARGEST:
        return number
    zh = f"分数（numbers）里的 {word!r} 不是绝对值小于 {_LARGEST:.0e} 的数"
    raise LabError(Text(zh=zh, en=f"{word!r} in numbers is no number of less than {_LARGEST:.0e} either way"))
