"""Real queries, keys and values: those of one head of the model's layer while it reads a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labs.attention.model_pass import causal, extend, mix, scores_of
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

    from labs.attention.tiled.walk import Matrix
    from labs.context import Context


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
        raise LabError(Text(zh=f"这个模型的头编号到 {last} 为止", en=f"the model's heads end at {last}"))
    group = len(q) // len(k)
    return q[head].numpy(), k[head // group].numpy(), v[head // group].numpy(), words


def typed_numbers(text: str) -> tuple[Matrix, Matrix, Matrix, list[str]]:
    """Numbers as the scores of one query: ``q = [[1]]``, the numbers as keys, ``1, 2, 3, ...`` as values.

    LabError unless there are 2 to 32 finite numbers."""
    try:
        numbers = [float(one) for one in text.replace(",", " ").split()]
    except ValueError as error:
        raise LabError(Text(zh=f"不是数：{error}", en=f"not a number: {error}")) from error
    if not 2 <= len(numbers) <= 32 or not all(abs(one) < 1e30 for one in numbers):
        zh, en = "请写 2 到 32 个数，用空格分开", "write 2 to 32 numbers with spaces between them"
        raise LabError(Text(zh=zh, en=en))
    keys = torch.tensor(numbers, dtype=torch.float32).view(-1, 1)
    values = torch.arange(1, len(numbers) + 1, dtype=torch.float32).view(-1, 1)
    return torch.ones(1, 1).numpy(), keys.numpy(), values.numpy(), [f"{one:g}" for one in numbers]
