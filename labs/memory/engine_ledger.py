"""The ledger of InferLab's own engine: what it should allocate for the loaded model, to the byte.

It differs from the general ledger where the engine's code does: which tensors are packed how, and which names
keep a tensor alive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.formulas.liveness import peak_bytes
from labs.memory.workspace import engine_lifetimes
from labs.simulator.model_shape import ModelShape, attention_matrices, parameters

if TYPE_CHECKING:
    from labs.engine.precision import KVType, Weights
    from labs.models.config import ModelConfig

# Bits a weight of a matrix, scales included, as ``labs.quantization.linear`` packs it: INT4 has a bf16 scale
# and minimum for each group of 32.
_ENGINE_BITS: dict[Weights, float] = {"fp32": 32, "bf16": 16, "int8": 8, "int4": 4 + 2 * 16 / 32}


def shape_of(config: ModelConfig, name: str) -> ModelShape:
    """The loaded model's shape, as the ledger counts it."""
    return ModelShape(
        name=name,
        source=name,
        hidden=config.hidden,
        intermediate=config.intermediate,
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_dim=config.head_dim,
        vocab=config.vocab,
        context=config.context,
        windows=(None,) * config.layers,
        tied_embeddings=config.tied_embeddings,
        qkv_bias=config.qkv_bias,
        qk_norm=config.qk_norm,
    )


def engine_weight_bytes(shape: ModelShape, weights: Weights) -> float:
    """What ``torch_weights`` keeps: in FP32 a tied head is the embedding, otherwise a matrix of its own.

    The head is INT8 where the layers are INT4.
    """
    matrices = shape.layers * (attention_matrices(shape) + 3 * shape.hidden * shape.intermediate)
    vectors = parameters(shape) - matrices - shape.embedding_parameters
    if not shape.tied_embeddings:
        vectors -= shape.embedding_parameters
    plain = 4 if weights == "fp32" else 2
    bits = _ENGINE_BITS[weights]
    total = matrices * bits / 8 + (vectors + shape.embedding_parameters) * plain
    if weights in ("int8", "int4"):
        rows = shape.vocab
        if weights == "int8":
            rows += shape.layers * _output_rows(shape)
        return total + shape.embedding_parameters + 2 * rows  # the head in INT8; a bf16 scale a row
    shared = shape.tied_embeddings and weights == "fp32"
    return total + (0 if shared else shape.embedding_parameters * plain)


def kv_store_bytes(config: ModelConfig, slots: int, kv: KVType) -> float:
    """All slots of the store, used or not; INT8 has an fp32 scale a token and head."""
    element = {"fp32": 4.0, "bf16": 2.0, "int8": 1 + 4 / config.head_dim}[kv]
    return 2 * config.layers * config.kv_heads * config.head_dim * element * slots


def workspace_bytes(shape: ModelShape, weights: Weights, tokens: int, seen: int, device: str) -> float:
    """The peak by ``engine_lifetimes``; the larger of a layer's and of the logits' is what a step needs."""
    plain = 4 if weights == "fp32" else 2
    widened = 4 // plain if device == "cpu" else 1  # a CPU's attention computes in FP32
    layer = tokens * plain * peak_bytes(engine_lifetimes(shape, seen / tokens, widened))
    # At the head: the residual, the last gate and up, the norm and logits of one row.
    return max(layer, tokens * plain * (2 * shape.hidden + 2 * shape.intermediate) + 4 * shape.vocab)


def _output_rows(shape: ModelShape) -> int:
    """Rows of the fused matrices of one layer, each with a scale in INT8."""
    qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_dim
    return qkv + 2 * shape.hidden + 2 * shape.intermediate
