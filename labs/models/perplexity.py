"""How well a model predicts a text: perplexity with its uncertainty, and the paired comparison of two runs.

The choice of text moves perplexity more than most quantisers do, so two models are compared on the same
tokens, where the text's own difficulty cancels out of the difference.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from labs.models.llama import Llama

# Logits of 128 tokens at a time: 25 MB for a vocabulary of 49,152, where 512 at once would take 100 MB twice.
_ROWS = 128


@dataclasses.dataclass(frozen=True)
class Perplexity:
    """``token_losses`` are ``-ln p`` of each predicted token, in nats: ``[windows, window - 1]``, CPU."""

    token_losses: Tensor

    @property
    def value(self) -> float:
        """``exp`` of the mean loss."""
        return math.exp(self.loss_mean)

    @property
    def loss_mean(self) -> float:
        return float(self.token_losses.double().mean())

    @property
    def loss_stderr(self) -> float:
        """Standard error of the mean over tokens, taken as independent."""
        return _standard_error(self.token_losses)

    @property
    def window_losses(self) -> list[float]:
        """The mean loss of each window."""
        return [float(loss) for loss in self.token_losses.double().mean(dim=1)]


@dataclasses.dataclass(frozen=True)
class LossDifference:
    """``mean`` is the loss of ``b`` minus that of ``a``, in nats a token; ``ratio`` is PPL(b) / PPL(a)."""

    mean: float
    stderr: float

    @property
    def ratio(self) -> float:
        return math.exp(self.mean)


@torch.inference_mode()
def perplexity(
    model: Llama,
    token_ids: Sequence[int],
    window: int = 512,
    windows: int | None = None,
    on_window: Callable[[int, int, Perplexity], None] | None = None,
) -> Perplexity:
    """Perplexity of the first ``windows`` windows of ``window`` tokens (None: of all that are full).

    Windows do not see each other: each predicts ``window - 1`` tokens from those before them in the window.
    ``on_window(done, windows, so_far)`` is called after each; what it raises ends the run.
    LabError when the text is too short.
    """
    full = len(token_ids) // window
    count = full if windows is None else windows
    if not 1 <= count <= full:
        zh = f"文本有 {len(token_ids)} 个 token，不足 {count} 个窗口 × {window}"
        en = f"the text has {len(token_ids)} tokens, fewer than {count} windows of {window}"
        raise LabError(Text(zh=zh, en=en))
    device = model.embed_tokens.weight.device
    ids = torch.tensor(list(token_ids[: count * window]), device=device).view(count, window)
    losses: list[Tensor] = []
    for row in ids:
        losses.append(_window_losses(model, row))
        if on_window is not None:
            on_window(len(losses), count, Perplexity(torch.stack(losses)))
    return Perplexity(torch.stack(losses))


def paired_difference(a: Perplexity, b: Perplexity) -> LossDifference:
    """How much worse ``b`` predicts than ``a`` on the same tokens, with the standard error of that."""
    if a.token_losses.shape != b.token_losses.shape:
        shapes = f"{list(a.token_losses.shape)}, {list(b.token_losses.shape)}"
        raise ValueError(f"runs over different tokens cannot be paired: {shapes}")
    difference = b.token_losses.double() - a.token_losses.double()
    return LossDifference(float(difference.mean()), _standard_error(difference))


def _window_losses(model: Llama, ids: Tensor) -> Tensor:
    hidden = model.hidden(ids[None, :-1])[0]
    targets = ids[1:]
    losses = [
        F.cross_entropy(model.lm_head(rows).float(), target, reduction="none")
        for rows, target in zip(torch.split(hidden, _ROWS), torch.split(targets, _ROWS), strict=True)
    ]
    return torch.cat(losses).cpu()


def _standard_error(values: Tensor) -> float:
    return float(values.double().std()) / math.sqrt(values.numel())
