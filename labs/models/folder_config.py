"""The config of a folder of safetensors, from its ``config.json``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from labs.models.config import ModelConfig
from labs.models.errors import unusable
from labs.models.json_file import read_json

if TYPE_CHECKING:
    from pathlib import Path

    from labs.spec import LabError

T = TypeVar("T")

_ARCHITECTURES = ("llama", "qwen2", "qwen3")


class _Rope(msgspec.Struct):
    """``rope_scaling``, and since transformers 5 ``rope_parameters``, which also holds theta."""

    rope_theta: float | None = None
    rope_type: str | None = None
    type: str | None = None  # the older spelling of rope_type
    factor: float | None = None
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    original_max_position_embeddings: int | None = None
    # A model whose layers differ holds one set of these under each kind of layer.
    full_attention: dict[str, Any] | None = None
    sliding_attention: dict[str, Any] | None = None


class _ConfigJson(msgspec.Struct):
    """The keys that matter, with the defaults that transformers gives them when they are absent."""

    model_type: str
    num_hidden_layers: int
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    vocab_size: int
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float | None = None
    rope_scaling: _Rope | None = None
    rope_parameters: _Rope | None = None
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    use_sliding_window: bool = False
    layer_types: list[str] | None = None
    hidden_act: str = "silu"
    partial_rotary_factor: float = 1.0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    quantization_config: dict[str, Any] | None = None


def read_folder_config(folder: Path) -> ModelConfig:
    """LabError names ``config.json`` and the key that is missing, wrong or not supported."""
    path = folder / "config.json"
    raw = read_json(path, _ConfigJson)
    _refuse_unsupported(path, raw)
    try:
        return _build(path, raw)
    except ValueError as error:
        raise unusable(path, zh=f"模型尺寸不合理：{error}", en=f"impossible shape: {error}") from error


def _build(path: Path, raw: _ConfigJson) -> ModelConfig:
    rope = _rope(raw)
    if raw.num_attention_heads < 1:
        raise ValueError(f"num_attention_heads = {raw.num_attention_heads}")
    # Qwen3's default is a constant, the others' follows from the width.
    default_head_dim = 128 if raw.model_type == "qwen3" else raw.hidden_size // raw.num_attention_heads
    eos = raw.eos_token_id
    config = ModelConfig(
        architecture=raw.model_type,  # type: ignore[arg-type]  # _refuse_unsupported has checked it
        layers=raw.num_hidden_layers,
        hidden=raw.hidden_size,
        intermediate=raw.intermediate_size,
        heads=raw.num_attention_heads,
        kv_heads=_first(raw.num_key_value_heads, raw.num_attention_heads),
        head_dim=_first(raw.head_dim, default_head_dim),
        vocab=raw.vocab_size,
        context=raw.max_position_embeddings,
        rms_norm_eps=raw.rms_norm_eps,
        rope_theta=_first(rope.rope_theta, raw.rope_theta, 10000.0),
        tied_embeddings=raw.tie_word_embeddings,
        qkv_bias=raw.model_type == "qwen2",
        qk_norm=raw.model_type == "qwen3",
        bos_id=raw.bos_token_id,
        eos_ids=() if eos is None else (eos,) if isinstance(eos, int) else tuple(eos),
    )
    # Last, because a head of impossible size would have impossibly many factors.
    return msgspec.structs.replace(config, rope_factors=_rope_factors(path, rope, config))


def _first(*values: T | None) -> T:
    """The first that is given; zero is a value, which ``ModelConfig`` refuses where it is none."""
    return next(value for value in values if value is not None)


def _rope(raw: _ConfigJson) -> _Rope:
    return _first(raw.rope_parameters, raw.rope_scaling, _Rope())


def _rope_factors(path: Path, rope: _Rope, config: ModelConfig) -> tuple[float, ...]:
    kind = rope.rope_type or rope.type or "default"
    if kind == "default":
        return ()
    if kind not in ("linear", "llama3"):
        raise _unsupported(path, f"RoPE scaling {kind!r}")
    factor = _positive(path, rope, kind, "factor")
    if kind == "linear":
        return (factor,) * (config.head_dim // 2)
    low = _positive(path, rope, kind, "low_freq_factor")
    high = _positive(path, rope, kind, "high_freq_factor")
    trained = _positive(path, rope, kind, "original_max_position_embeddings")
    # How far each pair turns within the pre-training's context.
    radians = (trained * frequency for frequency in config.inverse_frequencies)
    return tuple(_llama3_factor(factor, low, high, angle / (2 * math.pi)) for angle in radians)


def _positive(path: Path, rope: _Rope, kind: str, name: str) -> float:
    value: float | None = getattr(rope, name)
    if value is None or value <= 0:
        zh = f"RoPE 缩放 {kind!r} 需要正的 {name}"
        raise unusable(path, zh=zh, en=f"RoPE scaling {kind!r} needs a positive {name}")
    return float(value)


def _llama3_factor(factor: float, low: float, high: float, turns: float) -> float:
    """Llama 3.1's rule. A pair that turns often (``high``) within the pre-training's context keeps its
    frequency, one that hardly turns (``low``) is slowed down by ``factor``, and in between the frequency is
    interpolated."""
    if turns >= high:
        return 1.0
    if turns <= low:
        return factor
    kept = (turns - low) / (high - low)
    return 1 / (kept + (1 - kept) / factor)


def _refuse_unsupported(path: Path, raw: _ConfigJson) -> None:
    if raw.model_type not in _ARCHITECTURES:
        listed = ", ".join(_ARCHITECTURES)
        zh = f"model_type 为 {raw.model_type!r}；支持 {listed}"
        raise unusable(path, zh=zh, en=f"model_type {raw.model_type!r}; expected one of {listed}")
    if raw.quantization_config is not None:
        zh = "这是量化后的检查点；应为 FP32、FP16 或 BF16 权重"
        raise unusable(path, zh=zh, en="a quantised checkpoint; expected FP32, FP16 or BF16 weights")
    for present, feature in (
        (raw.attention_bias, "attention_bias"),
        (raw.mlp_bias, "mlp_bias"),
        (raw.use_sliding_window, "use_sliding_window"),
        (bool(set(raw.layer_types or ()) - {"full_attention"}), f"layer_types {raw.layer_types}"),
        (_differs_by_layer(_rope(raw)), "rope_parameters that differ by layer"),
        (raw.hidden_act != "silu", f"hidden_act {raw.hidden_act!r}"),
        (raw.partial_rotary_factor != 1.0, f"partial_rotary_factor {raw.partial_rotary_factor:g}"),
    ):
        if present:
            raise _unsupported(path, feature)


def _differs_by_layer(rope: _Rope) -> bool:
    return rope.full_attention is not None or rope.sliding_attention is not None


def _unsupported(path: Path, feature: str) -> LabError:
    return unusable(path, zh=f"尚不支持：{feature}", en=f"not supported: {feature}")
