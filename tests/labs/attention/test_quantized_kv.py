"""Quantised keys and values: read as token by token, the right numbers share a scale, bytes by the
formula."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from labs.attention.model_pass import extend
from labs.attention.prompt import read_prompt
from labs.attention.quantization_views import _price
from labs.attention.quantized_kv import FULL, GROUP, LAYOUTS, KVFormat, quantized, quantized_attention
from tests.labs.attention.test_eviction import ids
from tests.labs.engine.small_models import small_model

if TYPE_CHECKING:
    from torch import Tensor

    from labs.attention.model_pass import Attend
    from labs.attention.prompt import Prompt
    from labs.attention.quantized_kv import Along

PROMPT, NEW, RESIDUAL = 70, 41, 10


def test_a_large_channel_hurts_only_its_own_groups() -> None:
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    x[:, 5] *= 100
    others = torch.arange(64) != 5

    def error(along: Along) -> float:
        return float((quantized(x, 2, along) - x)[:, others].norm() / x[:, others].norm())

    assert error("channel") < error("token") / 2


@pytest.mark.parametrize(("keys", "values"), LAYOUTS)
def test_one_pass_reads_what_decoding_token_by_token_reads(keys: Along, values: Along) -> None:
    model, tokens = small_model(), ids(PROMPT + NEW)
    kv = KVFormat(4, keys, values, RESIDUAL)
    prompt = read_prompt(model, tokens[:, :PROMPT])
    found = extend(model, tokens[:, PROMPT:], PROMPT, quantized_attention(prompt, kv))
    expected = extend(model, tokens[:, PROMPT:], PROMPT, _token_by_token(prompt, kv))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    full = extend(model, tokens[:, PROMPT:], PROMPT, quantized_attention(prompt, FULL))
    assert float((found - full).norm() / full.norm()) > 1e-3


def _token_by_token(prompt: Prompt, kv: KVFormat) -> Attend:
    """At each step everything behind the sealed tokens is in full, and what is sealed was quantised alone."""

    def mixed(x: Tensor, along: Along) -> Tensor:
        sealed = max(0, len(x) - kv.residual)
        if along == "channel":
            sealed = sealed // GROUP * GROUP
        return torch.cat([quantized(x[:sealed], kv.bits, along), x[sealed:]]) if sealed else x

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        group, out = q.shape[1] // k.shape[1], torch.empty_like(q)
        for head in range(q.shape[1]):
            own = head // group
            keys = torch.cat([prompt.keys[layer, 0, own], k[0, own]])
            values = torch.cat([prompt.values[layer, 0, own], v[0, own]])
            for step in range(q.shape[2]):
                seen = PROMPT + step + 1
                weights = q[0, head, step] @ mixed(keys[:seen], kv.keys).T * q.shape[-1] ** -0.5
                out[0, head, step] = weights.softmax(dim=-1) @ mixed(values[:seen], kv.values)
        return out

    return attend


@pytest.mark.parametrize(
    ("kv", "said"),
    [
        (KVFormat(2, "channel", "token", 32), "the latest 32 to 63 stay"),
        (KVFormat(4, "token", "token", 16), "The latest 16 tokens stay"),
        (KVFormat(4, "token", "token", 0), "No token stays"),
    ],
)
def test_the_price_names_what_is_not_quantised(kv: KVFormat, said: str) -> None:
    assert said in _price(kv).en
