"""Where the memory of one device goes: weights, KV, workspace, logits, runtime, and what blocks lose.

All bytes are of one device of ``tensor_parallel``, which cut every layer between them (Megatron-LM,
1909.08053).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from labs.formulas.kv_cache import cached_tokens, expected_last_block_waste
from labs.memory.precision import KVType, WeightType, kv_element_bytes, matrix_bytes, plain_bytes
from labs.memory.workspace import workspace_elements
from labs.simulator.model_cost import kv_bytes_per_token, window_groups
from labs.simulator.model_shape import ModelShape, attention_matrices, expert_parameters, parameters
from labs.spec import LabError
from labs.text import Text

Part = Literal["embeddings", "attention", "ffn", "kv", "fragmentation", "workspace", "logits", "runtime"]
PARTS: tuple[Part, ...] = (
    "embeddings",
    "attention",
    "ffn",
    "kv",
    "fragmentation",
    "workspace",
    "logits",
    "runtime",
)
LOGIT_BYTES = 4  # sampled in fp32


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """``batch`` sequences of ``context`` tokens; a step computes at most ``chunk`` tokens and at least one of
    each sequence. With ``free_window`` a layer with a sliding window gives back what left it."""

    shape: ModelShape
    weights: WeightType = "bf16"
    kv: KVType = "bf16"
    batch: int = 1
    context: int = 4096
    chunk: int = 2048
    block_size: int = 16
    tensor_parallel: int = 1
    free_window: bool = True
    runtime_bytes: float = 0.0

    def __post_init__(self) -> None:
        heads, devices = self.shape.heads, self.tensor_parallel
        if heads % devices:
            zh = f"{heads} 个注意力头不能均分到 {devices} 个设备"
            raise LabError(Text(zh=zh, en=f"{heads} heads cannot be divided evenly among {devices} devices"))


def ledger(setting: Setting) -> dict[Part, float]:
    """Bytes of each part. Workspace and logits are not needed at once: ``logits`` is what exceeds it."""
    workspace, logits = workspace_bytes(setting), logits_bytes(setting)
    return {
        **weight_parts(setting),
        "kv": setting.batch * sequence_bytes(setting),
        "fragmentation": setting.batch * last_block_bytes(setting),
        "workspace": workspace,
        "logits": max(0.0, logits - workspace),
        "runtime": setting.runtime_bytes,
    }


def total_bytes(setting: Setting) -> float:
    return sum(ledger(setting).values())


def weight_parts(setting: Setting) -> dict[Part, float]:
    """Weights by what they are for. Embedding, head and norms keep 16 bits (32 in FP32), the layers' matrices
    have the chosen type; norms and biases are counted with the embeddings."""
    shape, matrix = setting.shape, matrix_bytes(setting.weights)
    attention = shape.layers * attention_matrices(shape)
    ffn = ffn_matrices(shape)
    plain = parameters(shape) - attention - ffn
    devices = setting.tensor_parallel
    return {
        "embeddings": plain * plain_bytes(setting.weights) / devices,
        "attention": attention * matrix / devices,
        "ffn": ffn * matrix / devices,
    }


def weight_bytes(setting: Setting) -> float:
    return sum(weight_parts(setting).values())


def ffn_matrices(shape: ModelShape) -> int:
    """Weights of all FFNs and experts, shared ones included, routers and biases not."""
    dense = 3 * shape.hidden * shape.intermediate
    if shape.experts is None:
        return shape.layers * dense
    experts = shape.experts
    sparse = experts.count * expert_parameters(shape) + 3 * shape.hidden * experts.shared_width
    return (shape.layers - experts.layers) * dense + experts.layers * sparse


def kv_copies(setting: Setting) -> float:
    """How often the devices together store a token: a latent everywhere, a KV head at least once."""
    if setting.shape.latent is not None:
        return float(setting.tensor_parallel)
    return max(1.0, setting.tensor_parallel / setting.shape.kv_heads)


def token_bytes(setting: Setting, layers: int | None = None) -> float:
    """Bytes that a token takes on one device, in all layers or in so many of them."""
    shape = setting.shape
    vector = shape.head_dim if shape.latent is None else shape.latent.kv_rank + shape.latent.rope_head_dim
    element = kv_element_bytes(setting.kv, vector)
    return kv_bytes_per_token(shape, element, layers) * kv_copies(setting) / setting.tensor_parallel


def sequence_bytes(setting: Setting) -> float:
    """KV of one sequence, without the empty slots of its last block."""
    return sum(
        _kept(setting, window) * token_bytes(setting, layers)
        for window, layers in window_groups(setting.shape)
    )


def last_block_bytes(setting: Setting) -> float:
    """Empty slots of one sequence's last block, as many as are expected of lengths that end anywhere."""
    return expected_last_block_waste(setting.block_size) * token_bytes(setting)


def workspace_bytes(setting: Setting) -> float:
    """Intermediates of one layer for all tokens of a step; the layers take turns in the same memory."""
    elements = workspace_elements(setting.shape, setting.tensor_parallel)
    return step_tokens(setting) * elements * plain_bytes(setting.weights)


def logits_bytes(setting: Setting) -> float:
    """Hidden states of the step, and one row of fp32 logits a sequence (beside their 16-bit form, if any)."""
    plain, shape = plain_bytes(setting.weights), setting.shape
    row = shape.vocab * (LOGIT_BYTES + (0 if plain == LOGIT_BYTES else plain))
    return step_tokens(setting) * shape.hidden * plain + setting.batch * row


def step_tokens(setting: Setting) -> int:
    """Tokens of the largest step: a full chunk, or one of each sequence where these are more."""
    return max(min(setting.chunk, setting.batch * setting.context), setting.batch)


def _kept(setting: Setting, window: int | None) -> int:
    return cached_tokens(setting.context, window if setting.free_window else None)
