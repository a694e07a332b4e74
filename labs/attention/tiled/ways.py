"""The ways to compute a prompt's attention on this machine: checked against the formula, timed, weighed."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.device import no_kernels, refusal
from labs.memory.live_storage import allocator_peak
from labs.ops.flash_attention import (
    fast_flash_attention,
    triton_flash_attention,
    visible,
)
from labs.relative_error import relative_error
from labs.spec import LabError
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing

TOLERANCE = 1e-4  # relative, FP32: only the order of additions differs
BLOCK = 128  # queries and keys at a time of the loop written in torch


@dataclass(frozen=True)
class Way:
    """``short`` heads a column. ``make`` gives the function, or raises LabError with why not."""

    name: str
    title: Text
    short: Text
    make: Callable[[Context], Callable[[Tensor, Tensor, Tensor], Tensor]]


@dataclass(frozen=True)
class Measured:
    """``extra_bytes``: the most that was allocated during a call beside the result. ``timing`` None: not to
    be had, or not to be shown, for ``reason``."""

    length: int
    difference: float | None = None
    timing: Timing | None = None
    extra_bytes: int | None = None
    reason: Text | None = None

    @property
    def seconds(self) -> float:
        return self.timing.median_s if self.timing else math.nan


def eager(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal, three steps, each of which writes a matrix of all scores; the mask is filled in place."""
    group = q.shape[1] // k.shape[1]
    keys, values = (one.repeat_interleave(group, dim=1) for one in (k, v))
    scores = q * q.shape[-1] ** -0.5 @ keys.transpose(-1, -2)
    scores.masked_fill_(~visible(q.shape[2], k.shape[2], device=q.device), float("-inf"))
    mixed: Tensor = scores.softmax(dim=-1) @ values
    return mixed


def looped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """FlashAttention-2's loops in torch: the same memory as a kernel, but every step a call of its own."""
    group, scale = q.shape[1] // k.shape[1], q.shape[-1] ** -0.5
    keys, values = (one.repeat_interleave(group, dim=1) for one in (k, v))
    out, before = torch.empty_like(q), k.shape[2] - q.shape[2]
    for low in range(0, q.shape[2], BLOCK):
        block = q[:, :, low : low + BLOCK] * scale
        rows = block.shape[2]
        most = block.new_full((*block.shape[:3], 1), float("-inf"))
        total, mixed = torch.zeros_like(most), torch.zeros_like(block)
        for start in range(0, low + before + rows, BLOCK):
            scores = block @ keys[:, :, start : start + BLOCK].transpose(-1, -2)
            if start + BLOCK > low + before:
                position = torch.arange(low + before, low + before + rows, device=q.device)[:, None]
                key = torch.arange(start, start + scores.shape[-1], device=q.device)
                scores.masked_fill_(key > position, float("-inf"))
            now = torch.maximum(most, scores.amax(dim=-1, keepdim=True))
            shrink, weights = (most - now).exp(), (scores - now).exp()
            total = total * shrink + weights.sum(dim=-1, keepdim=True)
            mixed = mixed * shrink + weights @ values[:, :, start : start + BLOCK]
            most = now
        out[:, :, low : low + BLOCK] = mixed / total
    return out


def _compiled(ctx: Context) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    if ctx.device == "cpu" and shutil.which("g++") is None:
        raise LabError(Text(zh="没有 g++，Inductor 无法编译", en="Inductor needs g++, which is not here"))
    torch._dynamo.reset()
    return torch.compile(eager, dynamic=False)


def _sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return fast_flash_attention(q, k, v, causal=True)


def _triton(ctx: Context) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    if (why := no_kernels()) is not None:
        raise LabError(why)
    return lambda q, k, v: triton_flash_attention(q, k, v, causal=True)


WAYS = (
    Way(
        "eager",
        Text(zh="朴素（三步，逐步落地）", en="naive, step by step"),
        Text(zh="朴素", en="naive"),
        lambda ctx: eager,
    ),
    Way(
        "looped",
        Text(zh="分块循环，用 torch 写", en="tiled loops in torch"),
        Text(zh="循环", en="loops"),
        lambda ctx: looped,
    ),
    Way(
        "sdpa",
        Text(zh="SDPA（融合的分块内核）", en="SDPA (a fused, tiled kernel)"),
        same("SDPA"),
        lambda ctx: _sdpa,
    ),
    Way("triton", Text(zh="本应用的 Triton 内核", en="this app's Triton kernel"), same("Triton"), _triton),
)
COMPILED = Way(
    "compiled",
    Text(zh="朴素，由 Inductor 编译", en="naive, compiled by Inductor"),
    same("Inductor"),
    _compiled,
)


@torch.inference_mode()
def measure(
    ctx: Context, way: Way, inputs: tuple[Tensor, Tensor, Tensor], expected: Tensor, budget_s: float
) -> Measured:
    """Check against ``expected``, weigh, then time. What failed its check has no time."""
    q, k, v = inputs
    try:
        call = way.make(ctx)
        found = call(q, k, v)
    except LabError as error:
        return Measured(q.shape[2], reason=error.text)
    except Exception as error:
        if ctx.device == "cpu" or way.name not in ("triton", "compiled"):  # a GPU's compiler may refuse
            raise
        return Measured(q.shape[2], reason=refusal(error))
    gap = relative_error(found, expected)
    if not gap <= TOLERANCE:
        zh, en = f"检查未过：相差 {gap:.1e}", f"failed its check: {gap:.1e} off"
        return Measured(q.shape[2], difference=gap, reason=Text(zh=zh, en=en))
    extra = peak_bytes(ctx.device, lambda: call(q, k, v)) - found.nbytes
    del found
    timing = ctx.measure(lambda: call(q, k, v), budget_s=budget_s)
    return Measured(q.shape[2], gap, timing, extra)


def peak_bytes(device: str, call: Callable[[], object]) -> int:
    """The most that torch's allocator of ``device`` handed out during ``call``, beyond what was there."""
    if device != "cuda":
        return allocator_peak(call)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    kept = call()
    torch.cuda.synchronize()
    del kept
    return int(torch.cuda.max_memory_allocated()) - before
