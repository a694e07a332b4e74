"""Shapes against the published parameter counts, and against transformers' own modules; refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from labs.models.config_file import read_config
from labs.models.location import locate
from labs.simulator.model_config import FAMILIES, read_shape, shape_from_config
from labs.simulator.model_shape import active_parameters, parameters
from labs.simulator.models import model, model_or_config, models, published_parameters
from labs.spec import LabError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "max_position_embeddings": 256,
}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 40}
LATENT = {"kv_lora_rank": 24, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12}
# A small model of each family, with what is special about it.
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": SMALL | {"model_type": "llama", "attention_bias": True, "mlp_bias": True, "head_dim": 24},
    "mistral": SMALL | {"model_type": "mistral"},
    "mixtral": SMALL | {"model_type": "mixtral", "num_local_experts": 5, "num_experts_per_tok": 2},
    "qwen2": SMALL | {"model_type": "qwen2", "tie_word_embeddings": True},
    "qwen3": SMALL | {"model_type": "qwen3"},
    "qwen3_moe": SMALL | EXPERTS | {"model_type": "qwen3_moe", "num_experts": 6, "mlp_only_layers": [1]},
    "deepseek_v3": SMALL
    | EXPERTS
    | LATENT
    | {
        "model_type": "deepseek_v3",
        "num_key_value_heads": 4,
        "q_lora_rank": 20,
        "n_routed_experts": 8,
        "n_shared_experts": 2,
        "first_k_dense_replace": 2,
        "n_group": 2,
        "topk_group": 1,
    },
    "gpt_oss": SMALL | {"model_type": "gpt_oss", "num_local_experts": 6, "num_experts_per_tok": 2},
}


@pytest.mark.parametrize("name", models())
def test_the_shape_has_the_published_parameters(name: str) -> None:
    assert parameters(model(name)) == published_parameters(name)


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("gpt-oss-20b", "3.61"),  # model card, 2508.10925, table 1
        ("gpt-oss-120b", "5.13"),
        ("mixtral-8x7b", "13"),  # 2401.04088, section 1
        ("deepseek-v3", "37"),  # 2412.19437, abstract
        ("qwen3-30b-a3b", "3"),  # by its name
        ("qwen3-235b-a22b", "22"),
    ],
)
def test_active_parameters_are_the_published_ones(name: str, billions: str) -> None:
    digits = len(billions.partition(".")[2])
    assert f"{active_parameters(model(name)) / 1e9:.{digits}f}" == billions


def test_every_family_has_a_small_model_here() -> None:
    assert set(CONFIGS) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_those_of_transformers(family: str) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    with torch.device("meta"):
        config = transformers.AutoConfig.for_model(**CONFIGS[family])
        module = transformers.AutoModelForCausalLM.from_config(config)
    # Tied weights come once in parameters(). The buffer is a weight of the checkpoint too.
    counted = sum(p.numel() for p in module.parameters())
    counted += sum(b.numel() for n, b in module.named_buffers() if n.endswith("e_score_correction_bias"))
    counted -= sum(p.numel() for n, p in module.named_parameters() if ".mtp" in n or "nextn" in n)
    assert parameters(shape_from_config(CONFIGS[family], "small", "here")) == counted


@pytest.mark.model
def test_the_default_model_is_the_one_of_the_table() -> None:
    config, shape = read_config(locate()), model("smollm2-135m")
    assert config.parameters == parameters(shape)
    ours = (shape.layers, shape.hidden, shape.intermediate, shape.heads, shape.kv_heads, shape.head_dim)
    assert ours == (
        config.layers,
        config.hidden,
        config.intermediate,
        config.heads,
        config.kv_heads,
        config.head_dim,
    )


def windows(**changes: Any) -> tuple[int | None, ...]:
    return shape_from_config(SMALL | {"num_hidden_layers": 4} | changes, "small", "here").windows


def test_windows_follow_the_family() -> None:
    experts = {"num_local_experts": 6, "num_experts_per_tok": 2}
    assert windows(model_type="llama") == (None,) * 4
    assert windows(model_type="mistral") == (4096,) * 4
    assert windows(model_type="mistral", sliding_window=None) == (None,) * 4
    assert windows(model_type="gpt_oss", **experts) == (128, None, 128, None)
    assert windows(model_type="qwen2", sliding_window=64) == (None,) * 4
    sliding = {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 3}
    assert windows(model_type="qwen2", **sliding) == (None, None, None, 64)
    kinds = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    assert windows(model_type="qwen3", layer_types=kinds, **sliding) == (None, 64, 64, None)


def without(family: str, *keys: str) -> dict[str, Any]:
    return {key: value for key, value in CONFIGS[family].items() if key not in keys}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ([], "expected a JSON object"),
        ({}, "model_type = None, supported: llama, mistral"),
        ({"model_type": "mamba"}, "model_type = 'mamba', supported: llama, mistral"),
        (without("llama", "hidden_size"), "missing required field `hidden_size`"),
        (CONFIGS["llama"] | {"vocab_size": "100"}, r"Expected `int`, got `str` - at `\$.vocab_size`"),
        (CONFIGS["llama"] | {"num_hidden_layers": 0}, r"Expected `int` >= 1 - at `\$.num_hidden_layers`"),
        (CONFIGS["llama"] | {"num_hidden_layers": 10**9}, r"<= 1000 - at `\$.num_hidden_layers`"),
        (CONFIGS["qwen3_moe"] | {"decoder_sparse_step": 0}, r">= 1 - at `\$.decoder_sparse_step`"),
        (CONFIGS["mistral"] | {"sliding_window": 0}, r">= 1 - at `\$.sliding_window`"),
        (CONFIGS["llama"] | {"hidden_size": 3, "head_dim": None}, "head_dim = 0, expected a positive number"),
        (CONFIGS["llama"] | {"num_key_value_heads": 3}, "4 heads cannot share 3 KV heads evenly"),
        (without("mixtral", "num_local_experts"), "num_local_experts is missing"),
        (without("qwen3_moe", "moe_intermediate_size"), "moe_intermediate_size is missing"),
        (without("deepseek_v3", "kv_lora_rank"), "kv_lora_rank is missing"),
        (CONFIGS["mixtral"] | {"num_experts_per_tok": 9}, "9 of 5 experts"),
        (CONFIGS["gpt_oss"] | {"layer_types": ["full_attention"]}, "layer_types has 1 entries, expected 3"),
        (
            CONFIGS["gpt_oss"] | {"layer_types": ["full_attention", "linear_attention", "full_attention"]},
            "layer_types has 'linear_attention', supported: sliding_attention, full_attention",
        ),
    ],
)
def test_a_config_that_is_not_understood_is_refused(config: Any, says: str) -> None:
    with pytest.raises(LabError, match=says) as refusal:
        shape_from_config(config, "small", "here/config.json")
    assert "here/config.json" in refusal.value.text.zh


def test_a_config_is_read_from_its_folder_or_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIGS["qwen3"]), encoding="utf-8")
    shape = read_shape(folder)
    assert shape.name == "tiny" and shape.qk_norm
    assert read_shape(folder / "config.json") == msgspec.structs.replace(
        shape, source=str(folder / "config.json")
    )
    assert model_or_config(str(folder)) == shape
    assert model_or_config("llama-3-8b") is model("llama-3-8b")


def test_a_file_that_is_no_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot read"):
        read_shape(tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(LabError, match="cannot read"):
        read_shape(tmp_path)


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'llama-3-8b'"):
        model_or_config("llama-3-8")
