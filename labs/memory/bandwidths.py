"""How fast this machine moves the bytes that offloading moves: memory to memory, and a file to memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.text import Text

if TYPE_CHECKING:
    from labs.context import Context
    from labs.memory.streaming import BlockFile

_COPY_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Bandwidths:
    """Bytes/s delivered. ``copy``: host memory to the device, from one array to another where they are one.
    ``cold``: the file after its pages were dropped, None where that cannot be asked. ``warm``: from the page
    cache."""

    copy: float
    cold: float | None
    warm: float


def measure_bandwidths(ctx: Context, file: BlockFile) -> Bandwidths:
    cold = _read(file) if file.drop_cache() else None
    return Bandwidths(copy_bandwidth(ctx), cold, max(_read(file) for _ in range(2)))


def copy_bandwidth(ctx: Context) -> float:
    """Bytes/s from host memory to the device, pinned where it is a GPU; measured once a worker."""
    return ctx.memo(("copy bandwidth", ctx.device), lambda: _copy(ctx))


def _copy(ctx: Context) -> float:
    ctx.reserve(2 * _COPY_BYTES, Text(zh="复制测试的缓冲区", en="the buffers that copying is measured on"))
    cuda = ctx.device == "cuda"
    source = torch.ones(_COPY_BYTES // 4, pin_memory=cuda)
    target = torch.zeros(_COPY_BYTES // 4, device=ctx.device)
    return _COPY_BYTES / ctx.measure(lambda: target.copy_(source, non_blocking=True), budget_s=0.3).median_s


def _read(file: BlockFile) -> float:
    start = time.perf_counter()
    for layer in range(file.layers):
        file.load(layer)
    return file.layers * file.layer_bytes / (time.perf_counter() - start)
