"""The config of a Llama-architecture GGUF file, from the key-values of its header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from labs.models.config import ModelConfig
from labs.models.errors import unusable

if TYPE_CHECKING:
    from labs.models.gguf_header import GGUFHeader
    from labs.spec import LabError

ROPE_FACTORS_TENSOR = "rope_freqs.weight"


def gguf_config(header: GGUFHeader) -> ModelConfig:
    """LabError names the key that is missing, or the feature that ``labs.models.llama`` lacks."""
    architecture = header.values.get("general.architecture")
    if architecture != "llama":
        zh = f"架构为 {architecture}；GGUF 文件应为 llama 架构（Qwen 请使用 safetensors 文件夹）"
        en = f"architecture {architecture}; a GGUF must be of architecture llama (for Qwen: safetensors)"
        raise unusable(header.path, zh=zh, en=en)
    _refuse_unsupported(header)
    try:
        return _build(header)
    except ValueError as error:
        raise unusable(header.path, zh=f"模型尺寸不合理：{error}", en=f"impossible shape: {error}") from error


def _build(header: GGUFHeader) -> ModelConfig:
    hidden, heads = _integer(header, "llama.embedding_length"), _integer(header, "llama.attention.head_count")
    if heads < 1:
        raise ValueError(f"heads = {heads}")
    head_dim = _integer(header, "llama.attention.key_length", hidden // heads)
    if _integer(header, "llama.rope.dimension_count", head_dim) != head_dim:
        raise _unsupported(header, "partial rotary embedding")
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise unusable(
            header.path, zh="缺少张量 token_embd.weight", en="the tensor token_embd.weight is missing"
        )
    bos, eos = (header.values.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos"))
    config = ModelConfig(
        architecture="llama",
        layers=_integer(header, "llama.block_count"),
        hidden=hidden,
        intermediate=_integer(header, "llama.feed_forward_length"),
        heads=heads,
        kv_heads=_integer(header, "llama.attention.head_count_kv", heads),
        head_dim=head_dim,
        vocab=embedding.shape[0],
        context=_integer(header, "llama.context_length"),
        rms_norm_eps=_number(header, "llama.attention.layer_norm_rms_epsilon"),
        rope_theta=_number(header, "llama.rope.freq_base", 10000.0),
        tied_embeddings="output.weight" not in header.tensors,
        bos_id=bos if isinstance(bos, int) else None,
        eos_ids=(eos,) if isinstance(eos, int) else (),
    )
    # Last, because a head of impossible size would have impossibly many factors.
    return msgspec.structs.replace(config, rope_factors=_rope_factors(header, head_dim))


def _rope_factors(header: GGUFHeader, head_dim: int) -> tuple[float, ...]:
    if ROPE_FACTORS_TENSOR in header.tensors:
        return header.floats(ROPE_FACTORS_TENSOR)
    scaling = header.values.get("llama.rope.scaling.type", "none")
    if scaling == "linear":
        return (_number(header, "llama.rope.scaling.factor"),) * (head_dim // 2)
    if scaling != "none":
        raise _unsupported(header, f"RoPE scaling {scaling!r}")
    return ()


def _refuse_unsupported(header: GGUFHeader) -> None:
    if header.values.get("llama.expert_count", 0):
        raise _unsupported(header, "mixture of experts")
    if header.values.get("llama.rope.scale_linear", 1.0) != 1.0:
        raise _unsupported(header, "llama.rope.scale_linear")  # what scaling.type was called in 2023
    parts = header.values.get("split.count", 1)
    if parts != 1:
        zh = f"这只是分成 {parts} 份的模型的其中一份；请先用 llama-gguf-split --merge 合并"
        en = f"one of {parts} parts of a model; merge them first: llama-gguf-split --merge"
        raise unusable(header.path, zh=zh, en=en)


def _unsupported(header: GGUFHeader, feature: str) -> LabError:
    return unusable(header.path, zh=f"尚不支持：{feature}", en=f"not supported: {feature}")


def _integer(header: GGUFHeader, key: str, default: int | None = None) -> int:
    value = _scalar(header, key, default)
    if not isinstance(value, int):
        raise unusable(
            header.path, zh=f"{key} 应为整数，实为 {value!r}", en=f"{key} = {value!r}, expected an integer"
        )
    return value


def _number(header: GGUFHeader, key: str, default: float | None = None) -> float:
    value = _scalar(header, key, default)
    if not isinstance(value, int | float):
        raise unusable(
            header.path, zh=f"{key} 应为数值，实为 {value!r}", en=f"{key} = {value!r}, expected a number"
        )
    return float(value)


def _scalar(header: GGUFHeader, key: str, default: Any) -> Any:
    value = header.values.get(key, default)
    if value is None:
        raise unusable(header.path, zh=f"文件头缺少 {key}", en=f"its header has no {key}")
    return value
