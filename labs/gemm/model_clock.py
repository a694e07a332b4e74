"""Where the model's time goes: linear layers, attention, norms, and the rest, timed inside the real forward.

Hooks read a clock before and after each module; attention and the rotation are functions and are wrapped. A
clock reading costs about a microsecond, which the rest pays.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from labs.models import llama
from labs.models.kv_cache import KVCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.models.loading import LoadedModel

Kind = Literal["linear", "head", "attention", "norm", "rest"]
KINDS: tuple[Kind, ...] = ("linear", "head", "attention", "norm", "rest")
_FUNCTIONS = ("causal_attention", "single_query_attention")
# A projection by its module's name: what shares a shape is timed together.
_HEAD = "lm_head"


@dataclass
class Spent:
    """Seconds of one forward: by kind, and of each projection by name, with how often it ran."""

    total_s: float = 0.0
    kinds: dict[Kind, float] = field(default_factory=lambda: defaultdict(float))
    linears: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def share(self, kind: Kind) -> float:
        return self.kinds[kind] / self.total_s


class _Clock:
    """``seconds`` on the host, or on the device where the model is there."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")

    def now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def forward_spent(loaded: LoadedModel, batch: int, tokens: int, context: int) -> Spent:
    """One forward of ``tokens`` new ones a sequence behind ``context`` cached ones."""
    model, config = loaded.model, loaded.config
    device = next(model.parameters()).device
    cache = KVCache(config, batch, context + tokens, device=device)
    cache.keys.normal_()
    cache.values.normal_()
    ids = torch.arange(batch * tokens, device=device).view(batch, tokens) % config.vocab
    spent, clock = Spent(), _Clock(device.type)
    with torch.inference_mode(), _timed(model, spent, clock):
        cache.length = context
        start = clock.now()
        model(ids, cache, last_only=True)
        spent.total_s = clock.now() - start
    spent.kinds["rest"] = spent.total_s - sum(spent.kinds.values())
    return spent


@contextlib.contextmanager
def _timed(model: llama.Llama, spent: Spent, clock: _Clock) -> Iterator[None]:
    """Hooks and wrappers, taken away again whatever happens."""
    hooks = [hook for name, module in model.named_modules() for hook in _hooked(name, module, spent, clock)]
    originals = {name: getattr(llama, name) for name in _FUNCTIONS}
    try:
        for name, function in originals.items():
            setattr(llama, name, _wrapped(function, spent, clock))
        yield
    finally:
        for name, function in originals.items():
            setattr(llama, name, function)
        for hook in hooks:
            hook.remove()


def _hooked(name: str, module: nn.Module, spent: Spent, clock: _Clock) -> list[Any]:
    if not isinstance(module, nn.Linear | llama.RMSNorm):
        return []
    short = name.rpartition(".")[2]
    kind: Kind = "norm" if isinstance(module, llama.RMSNorm) else "head" if short == _HEAD else "linear"
    begun = [0.0]

    def before(*_: object) -> None:
        begun[0] = clock.now()

    def after(*_: object) -> None:
        seconds = clock.now() - begun[0]
        spent.kinds[kind] += seconds
        if kind != "norm":
            spent.linears[short] += seconds
            spent.calls[short] += 1

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def _wrapped(function: Callable[..., Any], spent: Spent, clock: _Clock) -> Callable[..., Any]:
    def timed(*args: Any) -> Any:
        start = clock.now()
        out = function(*args)
        spent.kinds["attention"] += clock.now() - start
        return out

    return timed
