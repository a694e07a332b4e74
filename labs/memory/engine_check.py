"""The ledger's predictions against what the engine really allocates for the loaded model."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from labs.allocator import return_freed_memory
from labs.engine.batch import flat_batch
from labs.engine.kv_store import KVStore
from labs.engine.torch_path import TorchPath
from labs.engine.weights import torch_weights
from labs.engine.work import Work
from labs.formulas.kv_cache import blocks_for
from labs.memory.engine_ledger import engine_weight_bytes, kv_store_bytes, shape_of, workspace_bytes
from labs.memory.live_storage import allocator_peak, reachable_bytes, watch
from labs.simulator.model_shape import parameters
from labs.text import Text

if TYPE_CHECKING:
    from labs.context import Context
    from labs.engine.precision import KVType, Weights
    from labs.engine.weights import ModelWeights

_STATUS = Path("/proc/self/statm")
_PAGE = 4096


@dataclass(frozen=True)
class Checked:
    """Bytes predicted and measured. ``resident`` is what was allocated for weights and KV beside the loaded
    model's own tensors, and how much larger the process became; None where the system does not say."""

    weights: tuple[float, float]
    kv: tuple[float, float]
    workspace: tuple[float, float]
    allocator: float | None
    resident: tuple[float, float] | None


@torch.inference_mode()
def check(
    ctx: Context, weights: Weights, kv: KVType, sequences: int, context: int, chunk: int, block_size: int
) -> Checked:
    """Build the engine's weights and KV store, compute one prefill chunk, and measure each."""
    loaded = ctx.model()
    config = loaded.config
    shape = shape_of(config, loaded.name)
    blocks = sequences * blocks_for(context, block_size)
    predicted_kv = kv_store_bytes(config, blocks * block_size, kv)
    ctx.reserve(
        int(predicted_kv) + 4 * parameters(shape),
        Text(zh="引擎的权重与 KV 缓存", en="the engine's weights and KV cache"),
        Text(zh="减小批大小或上下文", en="Use a smaller batch or context"),
    )
    before = _resident()
    packed = torch_weights(loaded.model, weights, ctx.device)
    measured_weights = _read_bytes(packed)
    del packed
    path = TorchPath(loaded.model, weights, ctx.device, context)
    ctx.check()
    store = KVStore(config, blocks, block_size, kv, ctx.device)
    store.data.fill_(0)  # so that the pages are really there
    after = _resident()
    own = reachable_bytes(loaded.model)
    fresh = float(reachable_bytes(loaded.model, path, store) - own)
    known = before is not None and after is not None and ctx.device == "cpu"
    resident = (fresh, float((after or 0) - (before or 0))) if known else None
    ctx.check()
    batch = flat_batch([_chunk(context, chunk, block_size)], block_size, ctx.device)

    def step() -> object:
        return path.forward(batch, store)

    record, _ = watch(step)
    tokens = min(chunk, context)
    return Checked(
        weights=(engine_weight_bytes(shape, weights), float(measured_weights)),
        kv=(predicted_kv, float(reachable_bytes(store))),
        workspace=(workspace_bytes(shape, weights, tokens, tokens, ctx.device), float(record.peak_bytes)),
        allocator=float(allocator_peak(step)) if ctx.device == "cpu" else _cuda_peak(step),
        resident=resident,
    )


def _read_bytes(packed: ModelWeights) -> int:
    """Of what a step reads; INT4 layers also refer to the FP32 weights that they are checked by."""
    products, vectors = [packed.head], [packed.embedding, packed.norm]
    for layer in packed.layers:
        products += [layer.qkv, layer.o, layer.gate_up, layer.down]
        vectors += [layer.attention_norm, layer.mlp_norm]
        optional = (layer.qkv_bias, layer.q_norm, layer.k_norm)
        vectors += [vector for vector in optional if vector is not None]
    return reachable_bytes([product.stored for product in products], vectors)


def _chunk(context: int, chunk: int, block_size: int) -> Work:
    """One sequence's first chunk; which tokens they are changes no size."""
    tokens = min(chunk, context)
    return Work(list(range(1, tokens + 1)), 0, list(range(blocks_for(context, block_size))), True)


def _resident() -> int | None:
    """Bytes of this process that are in memory and in use; None where the system does not say."""
    gc.collect()
    return_freed_memory()
    try:
        return int(_STATUS.read_text().split()[1]) * _PAGE
    except OSError:
        return None


def _cuda_peak(step: object) -> float:
    assert callable(step)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    return float(torch.cuda.max_memory_allocated() - before)
