"""A prompt's KV kept in host memory or a file and brought back, against computing it anew: on the engine."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.engine.kv_store import HostBlocks
from labs.engine.model_runner import ModelRunner
from labs.engine.work import Work
from labs.formulas.kv_cache import blocks_for
from labs.memory.streaming import read_into

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from labs.context import Context

BLOCK = 16


@dataclass(frozen=True)
class KVTimes:
    """Seconds for ``tokens`` of KV, ``nbytes`` in all: computing it, bringing it back from memory, and from a
    file whose pages were dropped. ``equal``: what came back gives the next token the same logits."""

    tokens: int
    nbytes: int
    compute_s: float
    memory_s: float
    file_s: float
    equal: bool


@torch.inference_mode()
def measure_kv(ctx: Context, prompt: Sequence[int]) -> KVTimes:
    """One prompt of at least two tokens through the engine's own save and restore."""
    loaded, tokens = ctx.model(), len(prompt)
    blocks = blocks_for(tokens, BLOCK)
    runner = ModelRunner(loaded.model, blocks=2 * blocks, block_size=BLOCK, device=ctx.device)
    first, second = list(range(blocks)), list(range(blocks, 2 * blocks))
    runner.step([Work(list(prompt), 0, first, False)])
    compute_s = _seconds(ctx, lambda: runner.step([Work(list(prompt), 0, first, False)]))
    saved = runner.save_blocks(first)
    memory_s = _seconds(ctx, lambda: runner.restore_blocks(saved, second))
    before = runner.step([Work([prompt[-1]], tokens - 1, first, True)])
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(_bytes(saved.data))
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        data = torch.empty_like(saved.data)
        read_into(file, _bytes(data))
        runner.restore_blocks(HostBlocks(data, None), second)
        file_s = time.perf_counter() - start
    after = runner.step([Work([prompt[-1]], tokens - 1, second, True)])
    return KVTimes(tokens, saved.nbytes, compute_s, memory_s, file_s, bool(torch.equal(before, after)))


def _seconds(ctx: Context, call: object) -> float:
    assert callable(call)
    return ctx.measure(call, budget_s=0.1).median_s


def _bytes(data: Tensor) -> memoryview:
    """The memory of a contiguous CPU tensor."""
    return memoryview(data.numpy().data).cast("B")
