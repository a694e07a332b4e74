"""Perplexity of the model under a quantiser, against the untouched model on the same tokens."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.models.perplexity import paired_difference, perplexity
from labs.models.texts import load_text
from labs.quantization.whole_model import WeightBuffers, quantized_model
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.context import Context
    from labs.models.llama import Llama
    from labs.models.perplexity import Perplexity
    from labs.quantization.config import QuantizerConfig

EVALUATION_TEXT = "evaluation.en"
WINDOW = 512


@dataclass(frozen=True)
class Comparison:
    """``loss`` is the increase in nats a token, ``stderr`` the standard error of that paired difference."""

    perplexity: float
    loss: float
    stderr: float

    @property
    def low(self) -> float:
        """The perplexity one standard error of the difference below."""
        return self.perplexity * math.exp(-self.stderr)

    @property
    def high(self) -> float:
        return self.perplexity * math.exp(self.stderr)


def baseline(ctx: Context, windows: int) -> Perplexity:
    """The untouched model's, memoised."""
    return ctx.memo(("perplexity", windows), lambda: _measure(ctx, windows, 0.0, 1.0, _BASELINE))


def compare(
    ctx: Context, config: QuantizerConfig, windows: int, buffers: WeightBuffers | None = None
) -> Comparison:
    """The quantised model's perplexity, memoised by everything that it depends on."""
    before = baseline(ctx, windows)
    seed = ctx.seed if config.rounding == "stochastic" else None
    return ctx.memo(
        ("quantised perplexity", config, windows, seed),
        lambda: _compare(ctx, config, windows, before, buffers),
    )


_BASELINE = Text(zh="基线困惑度", en="Baseline perplexity")
_QUANTISING = Text(zh="量化全部线性层", en="Quantising every linear layer")
_QUANTISED = Text(zh="量化后的困惑度", en="Perplexity after quantisation")


def _compare(
    ctx: Context, config: QuantizerConfig, windows: int, before: Perplexity, buffers: WeightBuffers | None
) -> Comparison:
    model = ctx.model().model
    with quantized_model(
        model,
        config,
        buffers=buffers,
        generator=ctx.generator(),
        on_layer=lambda share: ctx.progress(0.1 * share, _QUANTISING),
    ):
        after = _measure(ctx, windows, 0.1, 0.9, _QUANTISED)
    difference = paired_difference(before, after)
    return Comparison(after.value, difference.mean, difference.stderr)


def _measure(ctx: Context, windows: int, start: float, share: float, what: Text) -> Perplexity:
    loaded = ctx.model()
    ids = ctx.memo(("evaluation ids",), lambda: loaded.tokenizer.encode(load_text(EVALUATION_TEXT)))
    ctx.progress(start, what)
    with _stopping_at_layers(loaded.model, ctx):
        return perplexity(
            loaded.model,
            ids,
            window=WINDOW,
            windows=windows,
            on_window=lambda done, total, so_far: ctx.progress(start + share * done / total, what),
        )


@contextlib.contextmanager
def _stopping_at_layers(model: Llama, ctx: Context) -> Iterator[None]:
    """A window takes seconds on a busy machine, and a process that does not stop in two is killed, with all
    that it remembers: so each layer is a point where a run may stop."""
    hooks = [layer.register_forward_pre_hook(lambda *_: ctx.check()) for layer in model.layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
