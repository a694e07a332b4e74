"""A model is quantised for the length of a ``with`` block and comes back untouched, whatever happens."""

import pytest
import torch

from labs.models.config import ModelConfig
from labs.models.llama import Llama, iter_linears
from labs.quantization.config import QuantizerConfig
from labs.quantization.packed_model import packed_model
from labs.quantization.quantizer import quantize_dequantize
from labs.quantization.speed_modes import MODES, model_shapes
from labs.quantization.whole_model import WeightBuffers, quantized_model

CONFIG = ModelConfig(
    architecture="qwen2",
    layers=2,
    hidden=64,
    intermediate=96,
    heads=4,
    kv_heads=2,
    head_dim=16,
    vocab=128,
    context=64,
    rms_norm_eps=1e-5,
    rope_theta=1e4,
    tied_embeddings=True,
    qkv_bias=True,
)
IDS = torch.arange(1, 20)[None]


@pytest.fixture
def model() -> Llama:
    torch.manual_seed(0)
    model = Llama(CONFIG).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(0.1 * torch.randn_like(parameter))
    return model


def weights(model: Llama) -> list[torch.Tensor]:
    return [parameter.clone() for parameter in model.parameters()]


def unchanged(model: Llama, before: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_inside_every_projection_is_quantised_and_nothing_else(model):
    config = QuantizerConfig(4, group_size=32)
    before = {(layer, name): module.weight.clone() for layer, name, module in iter_linears(model)}
    embedding = model.embed_tokens.weight.clone()
    with quantized_model(model, config):
        for layer, name, module in iter_linears(model):
            expected = quantize_dequantize(before[layer, name], config).values
            assert torch.equal(module.weight, expected)
        assert torch.equal(model.embed_tokens.weight, embedding)


@pytest.mark.parametrize("matrix", ["weight", "activation"])
def test_the_model_is_restored_even_if_the_block_fails(model, matrix):
    before, logits = weights(model), model(IDS)
    config = QuantizerConfig(3, granularity="tensor", matrix=matrix)
    with pytest.raises(RuntimeError), quantized_model(model, config):
        assert not torch.allclose(model(IDS), logits, atol=1e-3)
        raise RuntimeError
    assert unchanged(model, before)
    assert torch.equal(model(IDS), logits)


def test_the_model_is_restored_if_quantising_is_stopped(model):
    before = weights(model)

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), quantized_model(model, QuantizerConfig(), on_layer=stop):
        pass
    assert unchanged(model, before)


def test_buffers_serve_one_configuration_after_another(model):
    buffers = WeightBuffers()
    results = []
    for bits in (8, 2, 8):
        with quantized_model(model, QuantizerConfig(bits, granularity="channel"), buffers=buffers):
            results.append(model(IDS))
    assert torch.equal(results[0], results[2])
    assert not torch.equal(results[0], results[1])


@pytest.mark.parametrize("name", MODES)
def test_every_mode_runs_the_whole_model_close_to_fp32(model, name):
    before, logits = weights(model), model(IDS)
    packed, streamed = packed_model(model, MODES[name], "cpu")
    moved = (packed(IDS).float() - logits).norm() / logits.norm()
    assert float(moved) < {"fp32": 1e-6, "bf16": 0.02, "int8": 0.05, "int4": 0.4, "w8a8": 0.1}[name]
    assert unchanged(model, before)
    fp32_bytes = sum(4 * s.outputs * s.inputs * s.count for s in model_shapes(CONFIG))
    assert (streamed == fp32_bytes) == (name == "fp32")
    assert streamed <= fp32_bytes


def test_shapes_cover_every_projection_and_the_head():
    shapes = model_shapes(CONFIG)
    assert sum(shape.count for shape in shapes) == 7 * CONFIG.layers + 1
    assert shapes[-1].is_head
    assert (shapes[-1].outputs, shapes[-1].inputs) == (128, 64)
