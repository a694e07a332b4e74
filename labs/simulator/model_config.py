"""A model's shape from a Hugging Face ``config.json``, for the families whose bytes and FLOPs we count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from labs.simulator.model_shape import Experts, LatentAttention, ModelShape
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "deepseek_v3", "gpt_oss")

_Size = Annotated[int, msgspec.Meta(ge=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
# Several times the deepest published model; a damaged file can claim any number.
_Layers = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class _Config(msgspec.Struct, kw_only=True):
    """The keys that matter; None where absent, as what that means depends on the family."""

    model_type: str
    hidden_size: _Size
    num_hidden_layers: _Layers
    num_attention_heads: _Size
    vocab_size: _Size
    intermediate_size: _Size
    max_position_embeddings: _Size = 2048
    num_key_value_heads: _Size | None = None
    head_dim: _Size | None = None
    tie_word_embeddings: bool = False
    attention_bias: bool | None = None
    mlp_bias: bool = False
    sliding_window: _Size | msgspec.UnsetType | None = msgspec.UNSET
    use_sliding_window: bool = False
    max_window_layers: _Count = 28
    layer_types: list[str] | None = None
    # Experts
    num_local_experts: _Size | None = None
    num_experts: _Size | None = None
    n_routed_experts: _Size | None = None
    num_experts_per_tok: _Size | None = None
    moe_intermediate_size: _Size | None = None
    n_shared_experts: _Count = 0
    first_k_dense_replace: _Count = 0
    moe_layer_freq: _Size = 1
    decoder_sparse_step: _Size = 1
    mlp_only_layers: list[int] = []
    # Latent attention
    q_lora_rank: _Size | None = None
    kv_lora_rank: _Size | None = None
    qk_nope_head_dim: _Size | None = None
    qk_rope_head_dim: _Size | None = None
    v_head_dim: _Size | None = None


class _Unusable(Exception):
    """A key that is missing or has a value that we do not count right."""

    def __init__(self, key: str, text: Text) -> None:
        super().__init__(key)
        self.key, self.text = key, text


def read_shape(path: Path) -> ModelShape:
    """The shape that a ``config.json``, or the folder that holds one, describes.

    LabError names the file, and the key that is missing, wrong or not supported.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        config = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise LabError(Text(zh=f"无法读取 {file}：{error}", en=f"cannot read {file}: {error}")) from error
    return shape_from_config(config, name=file.parent.name or file.stem, source=str(file))


def shape_from_config(config: Any, name: str, source: str) -> ModelShape:
    """The shape of a decoded ``config.json``. LabError as for ``read_shape``."""
    try:
        _check_family(config)
        return _build(msgspec.convert(config, _Config), name, source)
    except _Unusable as error:
        zh, en = f"{source}：{error.key} {error.text.zh}", f"{source}: {error.key} {error.text.en}"
        raise LabError(Text(zh=zh, en=en)) from error
    except (msgspec.ValidationError, ValueError) as error:
        raise LabError(Text(zh=f"{source}：内容不合要求：{error}", en=f"{source}: {error}")) from error


def _check_family(config: Any) -> None:
    if not isinstance(config, dict):
        raise msgspec.ValidationError("expected a JSON object")
    family = config.get("model_type")
    if family not in FAMILIES:
        listed = ", ".join(FAMILIES)
        raise _Unusable(
            "model_type",
            Text(zh=f"= {family!r}，支持：{listed}", en=f"= {family!r}, supported: {listed}"),
        )


def _build(config: _Config, name: str, source: str) -> ModelShape:
    family = config.model_type
    gpt_oss = family == "gpt_oss"
    # What transformers takes where the key is absent.
    bias = gpt_oss if config.attention_bias is None else config.attention_bias
    return ModelShape(
        name=name,
        source=source,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads or config.num_attention_heads,
        head_dim=_head_dim(config),
        vocab=config.vocab_size,
        context=config.max_position_embeddings,
        windows=_windows(config),
        tied_embeddings=config.tie_word_embeddings,
        qkv_bias=bias or family == "qwen2",
        output_bias=bias,
        mlp_bias=config.mlp_bias,
        qk_norm=family in ("qwen3", "qwen3_moe"),
        attention_sinks=gpt_oss,
        latent=_latent(config) if family == "deepseek_v3" else None,
        experts=_experts(config),
    )


def _head_dim(config: _Config) -> int:
    if config.head_dim is not None:
        return config.head_dim
    if config.model_type in ("qwen3", "gpt_oss"):
        return {"qwen3": 128, "gpt_oss": 64}[config.model_type]
    return config.hidden_size // config.num_attention_heads


def _windows(config: _Config) -> tuple[int | None, ...]:
    """Each layer's sliding window, by ``layer_types`` where they are given, else by the family's rule."""
    window, layers = _window(config), config.num_hidden_layers
    if window is None:
        return (None,) * layers
    if config.layer_types is not None:
        return _listed_windows(config.layer_types, window, layers)
    if config.model_type == "gpt_oss":
        return tuple(None if layer % 2 else window for layer in range(layers))
    first = config.max_window_layers if config.model_type in ("qwen2", "qwen3") else 0
    return tuple(window if layer >= first else None for layer in range(layers))


def _listed_windows(kinds: list[str], window: int, layers: int) -> tuple[int | None, ...]:
    known = {"sliding_attention": window, "full_attention": None}
    if len(kinds) != layers:
        text = Text(
            zh=f"有 {len(kinds)} 项，应为 {layers}", en=f"has {len(kinds)} entries, expected {layers}"
        )
        raise _Unusable("layer_types", text)
    for kind in kinds:
        if kind not in known:
            text = Text(
                zh=f"含 {kind!r}，支持：{', '.join(known)}", en=f"has {kind!r}, supported: {', '.join(known)}"
            )
            raise _Unusable("layer_types", text)
    return tuple(known[kind] for kind in kinds)


def _window(config: _Config) -> int | None:
    if config.model_type in ("qwen2", "qwen3", "qwen3_moe") and not config.use_sliding_window:
        return None
    if config.sliding_window is not msgspec.UNSET:
        return config.sliding_window
    return {"mistral": 4096, "qwen2": 4096, "qwen3": 4096, "qwen3_moe": 4096, "gpt_oss": 128}.get(
        config.model_type
    )


def _latent(config: _Config) -> LatentAttention:
    return LatentAttention(
        q_rank=config.q_lora_rank,
        kv_rank=_needed(config, "kv_lora_rank"),
        nope_head_dim=_needed(config, "qk_nope_head_dim"),
        rope_head_dim=_needed(config, "qk_rope_head_dim"),
        value_head_dim=_needed(config, "v_head_dim"),
    )


_EXPERT_COUNT = {
    "mixtral": "num_local_experts",
    "gpt_oss": "num_local_experts",
    "qwen3_moe": "num_experts",
    "deepseek_v3": "n_routed_experts",
}


def _experts(config: _Config) -> Experts | None:
    family = config.model_type
    if family not in _EXPERT_COUNT:
        return None
    # Mixtral and gpt-oss call an expert's width by the dense FFN's name.
    own_width = family in ("qwen3_moe", "deepseek_v3")
    width = _needed(config, "moe_intermediate_size" if own_width else "intermediate_size")
    layers = sum(_is_sparse(config, layer) for layer in range(config.num_hidden_layers))
    if layers == 0:
        return None
    return Experts(
        count=_needed(config, _EXPERT_COUNT[family]),
        chosen=_needed(config, "num_experts_per_tok"),
        width=width,
        layers=layers,
        shared_width=config.n_shared_experts * width if family == "deepseek_v3" else 0,
        bias=family == "gpt_oss",
        correction_bias=family == "deepseek_v3",
    )


def _is_sparse(config: _Config, layer: int) -> bool:
    if config.model_type == "deepseek_v3":
        return layer >= config.first_k_dense_replace and layer % config.moe_layer_freq == 0
    if config.model_type == "qwen3_moe":
        return layer not in config.mlp_only_layers and (layer + 1) % config.decoder_sparse_step == 0
    return True


def _needed(config: _Config, key: str) -> int:
    value = getattr(config, key)
    if value is None:
        raise _Unusable(key, Text(zh="缺失", en="is missing"))
    assert isinstance(value, int)
    return value
