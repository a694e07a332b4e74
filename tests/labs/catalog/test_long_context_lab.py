"""The bill of a long context: figures that follow from the model's and the device's published numbers."""

from __future__ import annotations

import pytest

from labs.distributed.long_need import Need, attention_flops, crossover_tokens, linear_flops
from labs.distributed.long_views import MODELS
from labs.registry import load_catalog
from labs.simulator.hardware import device
from labs.simulator.models import model
from labs.spec import fields_of

LAB = load_catalog().labs["operator/long_context"]


def need(name: str, tokens: int = 2**20, bits: int = 16) -> Need:
    return Need(model(name), device("h100-sxm"), tokens, bits)


def test_a_million_tokens_of_llama_8b() -> None:
    llama = need("llama-3.1-8b")
    assert llama.kv == 2**20 * 2 * 32 * 8 * 128 * 2
    assert llama.devices == 2
    assert need("llama-3.1-8b", bits=4).kv == llama.kv / 4


@pytest.mark.parametrize("name", ["llama-3.1-8b", "gpt-oss-120b", "deepseek-v3"])
def test_the_parts_cost_the_same_where_they_cross(name: str) -> None:
    tokens = crossover_tokens(model(name))
    assert tokens is not None
    ratio = attention_flops(model(name), int(tokens)) / linear_flops(model(name), int(tokens))
    assert ratio == pytest.approx(1, abs=1e-3)


def test_a_window_in_all_layers_never_crosses() -> None:
    assert crossover_tokens(model("mistral-7b")) is None


def test_the_form_offers_the_models_of_the_table() -> None:
    choices = fields_of(LAB.params)["shape"][1].choices
    assert choices is not None and tuple(choices) == MODELS
