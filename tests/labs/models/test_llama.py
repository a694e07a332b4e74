"""Our module against transformers', an independent implementation, on the same weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from labs.models import gguf_checkpoint
from labs.models.config import LINEARS, linear_shapes
from labs.models.generation import generate
from labs.models.kv_cache import KVCache
from labs.models.llama import (
    RMSNorm,
    causal_attention,
    iter_linears,
    linear,
    replace_linear,
    single_query_attention,
)
from labs.models.loading import load_model
from tests.labs.models.small_checkpoints import VOCAB, SmallGGUF, save_folder

if TYPE_CHECKING:
    from pathlib import Path

    from labs.models.llama import Llama
    from labs.models.loading import LoadedModel

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
ARCHITECTURES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"rope_parameters": LLAMA3, "head_dim": 16}),
    ("qwen2", {"tie_word_embeddings": True}),
    ("qwen3", {"head_dim": 16, "num_key_value_heads": 4}),
]


def tokens(count: int, batch: int = 1, vocab: int = VOCAB) -> torch.Tensor:
    return torch.randint(vocab, (batch, count), generator=torch.Generator().manual_seed(11))


@pytest.fixture
def small(tmp_path: Path) -> Llama:
    model = load_model(SmallGGUF().write(tmp_path / "small.gguf")).model
    return model


@pytest.mark.parametrize(("architecture", "changes"), ARCHITECTURES)
@torch.inference_mode()
def test_small_random_models_equal_transformers(
    tmp_path: Path, architecture: str, changes: dict[str, Any]
) -> None:
    reference = save_folder(tmp_path, architecture, **changes)
    ids = tokens(100, batch=2)  # beyond the 64 positions from which llama3 scaling starts to count
    ours, theirs = load_model(tmp_path).model(ids), reference(ids).logits
    assert theirs.std() > 0.1, "logits that are all alike would prove nothing"
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.model
@torch.inference_mode()
def test_default_model_equals_transformers(smollm: LoadedModel) -> None:
    ids = torch.tensor([smollm.tokenizer.encode("A cache keeps what is asked for often; 17 hits, 3 misses.")])
    theirs = transformers_twin(smollm)(ids).logits
    assert (smollm.model(ids) - theirs).abs().max() < 1e-3


def transformers_twin(loaded: LoadedModel) -> Any:
    """LlamaForCausalLM over the very tensors of ``loaded``: no second half gigabyte of weights."""
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    model.model.rotary_emb = LlamaRotaryEmbedding(config)
    weights = loaded.model.state_dict()
    head = weights.pop("lm_head.weight")
    named = {f"model.{name}": tensor for name, tensor in weights.items()} | {"lm_head.weight": head}
    model.load_state_dict(named, assign=True)
    return model.eval()


@pytest.mark.model
@torch.inference_mode()
def test_without_unpermuting_the_model_is_lost(smollm: LoadedModel) -> None:
    """Q and K rows put back into the file's order: every weight is there, and the answer is not."""
    assert "Paris" in answer(smollm)
    permuted = {
        (layer, name): as_in_the_file(module.weight, module.out_features // 64)
        for layer, name, module in iter_linears(smollm.model)
        if name in ("q_proj", "k_proj")
    }
    originals = {key: linear(smollm.model, *key).weight for key in permuted}
    try:
        for key, weight in permuted.items():
            linear(smollm.model, *key).weight = nn.Parameter(weight, requires_grad=False)
        assert "Paris" not in answer(smollm)
    finally:
        for key, original in originals.items():
            linear(smollm.model, *key).weight = original


def answer(loaded: LoadedModel) -> str:
    prompt = loaded.tokenizer.chat([{"role": "user", "content": "What is the capital of France?"}])
    return loaded.tokenizer.decode(list(generate(loaded.model, loaded.tokenizer.encode(prompt), 12)))


def as_in_the_file(weight: torch.Tensor, heads: int) -> torch.Tensor:
    halves = weight.reshape(heads, 2, -1, weight.shape[1])
    interleaved = halves.transpose(1, 2).reshape(weight.shape)
    assert torch.equal(gguf_checkpoint.unpermute(interleaved, heads), weight)
    return interleaved


@torch.inference_mode()
def test_loading_unpermutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = SmallGGUF().write(tmp_path / "small.gguf")
    ids = tokens(20)
    right = load_model(path).model(ids)
    monkeypatch.setattr(gguf_checkpoint, "unpermute", lambda weight, heads: weight)
    assert (load_model(path).model(ids) - right).abs().max() > 0.1


@pytest.mark.parametrize("chunks", [[1] * 9, [8, 1], [4, 4, 1], [5, 1, 3], [9]])
@torch.inference_mode()
def test_cached_steps_equal_one_full_pass(small: Llama, chunks: list[int]) -> None:
    """Decode one by one, prefill then decode, and prefill in chunks."""
    ids = tokens(9, batch=2)
    cache = KVCache(small.config, batch=2, capacity=9)
    steps = [small(part, cache) for part in torch.split(ids, chunks, dim=1)]
    torch.testing.assert_close(torch.cat(steps, dim=1), small(ids), atol=1e-5, rtol=1e-5)
    assert cache.length == 9


@torch.inference_mode()
def test_full_cache_refuses_and_stays_as_it_was(small: Llama) -> None:
    cache = KVCache(small.config, batch=1, capacity=4)
    small(tokens(3), cache)
    with pytest.raises(ValueError, match="4 tokens cannot hold 5"):
        small(tokens(2), cache)
    assert cache.length == 3
    assert cache.nbytes == 2 * 2 * 2 * 4 * 8 * 4  # keys and values, layers, KV heads, tokens, head dim, bytes


@torch.inference_mode()
def test_last_only_and_positions(small: Llama) -> None:
    ids = tokens(6)
    full = small(ids)
    torch.testing.assert_close(small(ids, last_only=True), full[:, -1:])
    torch.testing.assert_close(small(ids, positions=torch.arange(6)), full)
    torch.testing.assert_close(small(ids, positions=torch.arange(6)[None]), full)
    # Attention sees only distances, so a common shift changes nothing and a stretch does.
    torch.testing.assert_close(small(ids, positions=torch.arange(50, 56)), full, atol=1e-4, rtol=1e-4)
    assert (small(ids, positions=torch.arange(0, 18, 3)) - full).abs().max() > 0.01


@torch.inference_mode()
def test_bf16_model_with_fp32_cache_decodes_like_its_own_full_pass(small: Llama) -> None:
    small.bfloat16()
    ids = tokens(9)
    full = small(ids).float()
    cache = KVCache(small.config, batch=1, capacity=9)
    steps = torch.cat([small(part, cache) for part in torch.split(ids, [5, 1, 1, 2], dim=1)], dim=1).float()
    assert (steps - full).norm() < 0.05 * full.norm()


@torch.inference_mode()
def test_hidden_can_stop_early(small: Llama) -> None:
    ids = tokens(5)
    torch.testing.assert_close(small.hidden(ids, layers=2), small.hidden(ids))
    torch.testing.assert_close(small.hidden(ids, layers=0), small.norm(small.embed_tokens(ids)))


def test_rms_norm_is_its_formula() -> None:
    norm = RMSNorm(5, eps=0.1)
    norm.weight.data = torch.tensor([1.0, 2.0, 0.5, -1.0, 3.0])
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    expected = norm.weight * x / (x.pow(2).mean(dim=-1, keepdim=True) + 0.1).sqrt()
    torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize(("new", "seen"), [(7, 7), (3, 10), (1, 10)])
def test_attention_equals_the_written_out_formula(new: int, seen: int) -> None:
    generator = torch.Generator().manual_seed(2)
    q = torch.randn(2, 6, new, 8, generator=generator)
    k, v = torch.randn(2, 2, 3, seen, 8, generator=generator).unbind(1)
    expected = torch.empty_like(q)
    for head in range(6):
        scores = q[:, head] @ k[:, head // 2].transpose(1, 2) / 8**0.5
        future = torch.arange(seen)[None, :] > torch.arange(seen - new, seen)[:, None]
        expected[:, head] = scores.masked_fill(future, -torch.inf).softmax(-1) @ v[:, head // 2]
    torch.testing.assert_close(causal_attention(q, k, v), expected)
    if new == 1:
        torch.testing.assert_close(single_query_attention(q, k, v), expected)


def test_linears_are_plain_in_order_and_exchangeable(small: Llama) -> None:
    found = list(iter_linears(small))
    assert [(layer, name) for layer, name, _ in found] == [
        (layer, name) for layer in (0, 1) for name in LINEARS
    ]
    shapes = linear_shapes(small.config)
    assert all(type(module) is nn.Linear for _, _, module in found)
    assert all((module.out_features, module.in_features) == shapes[name] for _, name, module in found)
    module = nn.Linear(small.config.hidden, small.config.intermediate, bias=False)
    replace_linear(small, 1, "up_proj", module)
    assert linear(small, 1, "up_proj") is module
    assert linear(small, 0, "up_proj") is not module
