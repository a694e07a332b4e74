from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from labs.models.config import ModelConfig, linear_shapes, tensor_shapes
from labs.models.config_file import read_config
from labs.models.location import locate
from labs.spec import LabError

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def write(folder: Path, **changes: Any) -> Path:
    (folder / "config.json").write_text(json.dumps({**MINIMAL, **changes}))
    return folder


@pytest.mark.model
def test_default_model() -> None:
    config = read_config(locate())
    assert config == ModelConfig(
        architecture="llama",
        layers=30,
        hidden=576,
        intermediate=1536,
        heads=9,
        kv_heads=3,
        head_dim=64,
        vocab=49152,
        context=8192,
        rms_norm_eps=config.rms_norm_eps,
        rope_theta=100000.0,
        tied_embeddings=True,
        bos_id=1,
        eos_ids=(2,),
    )
    assert config.rms_norm_eps == pytest.approx(1e-5)
    assert config.parameters == 134_515_008


def test_linear_shapes_follow_grouped_query_attention(tmp_path: Path) -> None:
    shapes = linear_shapes(read_config(write(tmp_path, head_dim=32)))
    assert shapes == {
        "q_proj": (128, 64),
        "k_proj": (64, 64),
        "v_proj": (64, 64),
        "o_proj": (64, 128),
        "gate_proj": (96, 64),
        "up_proj": (96, 64),
        "down_proj": (64, 96),
    }


def test_architecture_decides_biases_norms_and_head(tmp_path: Path) -> None:
    llama = tensor_shapes(read_config(write(tmp_path)))
    qwen2 = tensor_shapes(read_config(write(tmp_path, model_type="qwen2", tie_word_embeddings=True)))
    qwen3 = tensor_shapes(read_config(write(tmp_path, model_type="qwen3")))
    assert qwen2.keys() - llama.keys() == {
        f"layers.{layer}.self_attn.{name}_proj.bias" for layer in (0, 1) for name in "qkv"
    }
    assert llama.keys() - qwen2.keys() == {"lm_head.weight"}
    assert qwen3["layers.1.self_attn.q_norm.weight"] == (128,), (
        "Qwen3's head_dim is 128 unless it says otherwise"
    )


@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_llama3_scaling_keeps_fast_pairs_and_slows_the_slowest(tmp_path: Path, key: str) -> None:
    factors = read_config(write(tmp_path, **{key: LLAMA3, "rope_theta": 500.0})).rope_factors
    assert factors[0] == 1.0
    assert factors[-1] == 8.0
    assert list(factors) == sorted(factors)
    assert any(1.0 < factor < 8.0 for factor in factors)


def test_linear_scaling_slows_every_pair(tmp_path: Path) -> None:
    plain = read_config(write(tmp_path))
    slowed = read_config(write(tmp_path, rope_scaling={"type": "linear", "factor": 4.0}))
    assert slowed.inverse_frequencies == tuple(frequency / 4 for frequency in plain.inverse_frequencies)


@pytest.mark.parametrize(("given", "expected"), [(None, ()), (7, (7,)), ([7, 9], (7, 9))])
def test_end_of_text_ids(tmp_path: Path, given: Any, expected: tuple[int, ...]) -> None:
    assert read_config(write(tmp_path, eos_token_id=given)).eos_ids == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "mixtral"}, "mixtral.*llama, qwen2, qwen3"),
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"num_hidden_layers": None}, "num_hidden_layers"),
        ({"num_attention_heads": 0}, "num_attention_heads = 0"),
        ({"num_hidden_layers": 10**9}, "layers = 1000000000"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3 KV heads"),
        ({"head_dim": 15}, "even number"),
        ({"vocab_size": -1}, "vocab = -1"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "RoPE scaling 'yarn'"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "positive factor"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "positive low_freq_factor"),
        (
            {"rope_scaling": LLAMA3 | {"original_max_position_embeddings": None}},
            "positive original_max_position_embeddings",
        ),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}, "head_dim": 10**12}, "head_dim = 1000000000000"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}, "differ by layer"),
        ({"rope_theta": 0.0}, "rope_theta = 0.0"),
        ({"rope_theta": 0.5}, "rope_theta = 0.5, expected at least 1"),
        ({"head_dim": 0}, "head_dim = 0"),
        ({"num_key_value_heads": 0}, "kv_heads = 0"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types.*sliding_attention"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"quantization_config": {"quant_method": "gptq"}}, "FP32, FP16 or BF16"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(LabError, match=rf"(?s)config\.json.*{reason}"):
        read_config(write(tmp_path, **changes))


@pytest.mark.parametrize(
    "data", [b'{"model_type": "llama"', b'{"model_type": "\xff"}', b'{"a":' * 100_000, b""]
)
def test_broken_json_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(LabError, match=r"config\.json"):
        read_config(tmp_path)


def test_rotary_factors_must_fit_the_head() -> None:
    config = ModelConfig(
        architecture="llama",
        layers=1,
        hidden=8,
        intermediate=8,
        heads=1,
        kv_heads=1,
        head_dim=8,
        vocab=8,
        context=8,
        rms_norm_eps=1e-5,
        rope_theta=1e4,
    )
    with pytest.raises(ValueError, match="3 rotary factors, expected 4"):
        msgspec.structs.replace(config, rope_factors=(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="not all positive"):
        msgspec.structs.replace(config, rope_factors=(1.0, 1.0, 1.0, math.nan))
    with pytest.raises(ValueError, match="rms_norm_eps = inf"):
        msgspec.structs.replace(config, rms_norm_eps=math.inf)
