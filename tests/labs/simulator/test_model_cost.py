"""FLOPs and bytes against counts by hand, against torch's own FLOP counter, and against brute force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.simulator.model_config import shape_from_config
from labs.simulator.model_cost import (
    decode_flops,
    kv_bytes,
    kv_bytes_per_token,
    linear_flops_per_token,
    pair_flops,
    prefill_flops,
    streamed_parameters,
    window_groups,
)
from labs.simulator.model_shape import active_parameters, parameters
from labs.simulator.models import model, models
from tests.labs.simulator.test_models import CONFIGS


@pytest.mark.parametrize(
    ("name", "bytes_in_bf16"),
    [
        ("llama-2-7b", 512 * 1024),
        ("llama-3-8b", 128 * 1024),
        ("llama-3-70b", 320 * 1024),
        ("qwen3-235b-a22b", 2 * 94 * 4 * 128 * 2),
        ("deepseek-v3", 70_272),
        ("smollm2-135m", 2 * 30 * 3 * 64 * 2),
    ],
)
def test_kv_bytes_per_token(name: str, bytes_in_bf16: int) -> None:
    assert kv_bytes_per_token(model(name), 2) == bytes_in_bf16


def test_half_of_gpt_oss_keeps_128_tokens() -> None:
    shape = model("gpt-oss-20b")
    assert window_groups(shape) == ((128, 12), (None, 12))
    layer = 2 * 8 * 64 * 2
    assert kv_bytes(shape, 100) == 24 * 100 * layer == 100 * kv_bytes_per_token(shape)
    assert kv_bytes(shape, 10_000) == 12 * layer * (10_000 + 128)


def test_mistral_keeps_4096_tokens_in_every_layer() -> None:
    assert kv_bytes(model("mistral-7b"), 100_000) == kv_bytes(model("mistral-7b"), 4096)


@pytest.mark.parametrize("name", models())
@pytest.mark.parametrize("tokens", [1, 100, 5000])
def test_kv_bytes_layer_by_layer(name: str, tokens: int) -> None:
    shape = model(name)
    layers = (min(tokens, window or tokens) * kv_bytes_per_token(shape, 1, 1) for window in shape.windows)
    assert kv_bytes(shape, tokens, 1) == sum(layers)


def test_a_dense_token_costs_two_flops_a_weight() -> None:
    shape = model("llama-3-8b")
    matrices = 8_030_261_248 - 2 * 128_256 * 4096 - 65 * 4096
    assert linear_flops_per_token(shape) == 2 * matrices
    # One more key: 32 layers, 32 heads, a dot product and a weighted sum of 128.
    assert decode_flops(shape, 1001) - decode_flops(shape, 1000) == 32 * 32 * 128 * 4


def test_experts_cost_what_a_token_uses() -> None:
    shape = model("mixtral-8x7b")
    used = 3 * 4096 * 14_336 * 2 + 8 * 4096
    attention = 2 * 4096 * 4096 + 2 * 4096 * 1024
    assert linear_flops_per_token(shape) == 2 * 32 * (used + attention)


def test_absorbed_latent_attention_by_hand() -> None:
    shape = model("deepseek-v3")
    assert pair_flops(shape) == 2 * 128 * (192 + 128)
    assert pair_flops(shape, absorbed=True) == 2 * 128 * (576 + 512)


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "deepseek_v3"])
@pytest.mark.parametrize("tokens", [1, 7, 33])
def test_prefill_flops_are_those_that_torch_counts(family: str, tokens: int) -> None:
    """Eager attention computes all pairs, masked or not: ours are filled up to the square."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from torch.utils.flop_counter import FlopCounterMode

    dense = {"first_k_dense_replace": 3} if family == "deepseek_v3" else {}
    raw = CONFIGS[family] | dense
    shape = shape_from_config(raw, "small", "here")
    config = transformers.AutoConfig.for_model(**raw, attn_implementation="eager")
    module = transformers.AutoModelForCausalLM.from_config(config)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.zeros(1, tokens, dtype=torch.long), logits_to_keep=1)
    masked = tokens * tokens - tokens * (tokens + 1) // 2
    ours = prefill_flops(shape, tokens) + shape.layers * masked * pair_flops(shape)
    assert counter.get_total_flops() == ours


@given(
    name=st.sampled_from(["llama-3-8b", "gpt-oss-20b", "mistral-7b", "qwen3-30b-a3b"]),
    tokens=st.integers(1, 9000),
    share=st.floats(0, 1),
)
def test_chunks_add_up_to_the_prompt(name: str, tokens: int, share: float) -> None:
    shape, cut = model(name), int(share * (tokens - 1))
    chunks = prefill_flops(shape, cut, sampled=0) + prefill_flops(shape, tokens, cached=cut)
    assert chunks == prefill_flops(shape, tokens)


@given(name=st.sampled_from(["llama-3-8b", "gpt-oss-20b", "mistral-7b"]), tokens=st.integers(1, 9000))
def test_decoding_is_prefill_of_one_token(name: str, tokens: int) -> None:
    shape = model(name)
    assert decode_flops(shape, tokens) == prefill_flops(shape, tokens, cached=tokens - 1)


def test_latent_chunks_expand_their_past_again() -> None:
    shape = model("deepseek-v3")
    chunks = prefill_flops(shape, 1000, sampled=0) + prefill_flops(shape, 2000, cached=1000)
    expansion = 2 * 61 * 512 * 128 * (128 + 128) * 1000
    assert chunks - prefill_flops(shape, 2000) == expansion


def test_a_dense_model_reads_the_same_at_any_batch() -> None:
    shape = model("llama-3-8b")
    assert streamed_parameters(shape, 1) == streamed_parameters(shape, 512) == active_parameters(shape)


@pytest.mark.parametrize("name", ["mixtral-8x7b", "qwen3-235b-a22b", "deepseek-v3", "gpt-oss-120b"])
def test_experts_are_read_as_they_come_into_use(name: str) -> None:
    shape = model(name)
    assert streamed_parameters(shape, 1) == pytest.approx(active_parameters(shape))
    read = [streamed_parameters(shape, tokens) for tokens in (1, 2, 8, 64, 10_000)]
    assert read == sorted(read)
    assert read[-1] == pytest.approx(parameters(shape) - shape.embedding_parameters)
