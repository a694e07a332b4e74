from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from labs.models.activations import SITES, capture
from labs.models.config import LINEARS
from labs.models.llama import Block, replace_linear
from labs.models.loading import load_model
from labs.models.texts import load_text
from tests.labs.models.small_checkpoints import SmallGGUF

if TYPE_CHECKING:
    from pathlib import Path

    from labs.models.llama import Llama
    from labs.models.loading import LoadedModel

IDS = [3, 14, 15, 92]


@pytest.fixture
def small(tmp_path: Path) -> Llama:
    return load_model(SmallGGUF().write(tmp_path / "small.gguf")).model


def hooks(model: Llama) -> int:
    return sum(len(module._forward_pre_hooks) for module in model.modules())


@pytest.mark.model
def test_the_massive_channel_of_the_default_model(smollm: LoadedModel) -> None:
    """What the outlier lab shows: one residual channel, at the first token, from layer 12 on."""
    ids = smollm.tokenizer.encode(load_text("calibration.en"))[:64]
    found = capture(smollm.model, ids, [(11, "residual"), (12, "residual"), (11, "down_proj_input")])
    before, after = (found[layer, "residual"][0].abs() for layer in (11, 12))
    token, channel = divmod(int(after.argmax()), after.shape[1])
    assert (token, channel) == (0, 507)
    assert after.max() > 20_000
    assert after.max() > 20 * before.max(), "layer 11 makes it"
    assert found[11, "down_proj_input"].abs().max() > 2_000


@torch.no_grad()
def test_sites_are_what_they_say(small: Llama) -> None:
    wanted = [(layer, site) for layer in (0, 1) for site in (*SITES, *LINEARS)]
    found = capture(small, IDS, wanted)
    assert list(found) == wanted
    residual = small.embed_tokens(torch.tensor([IDS]))
    for layer, block in enumerate(small.layers):
        assert isinstance(block, Block)
        torch.testing.assert_close(found[layer, "residual"], residual)
        torch.testing.assert_close(found[layer, "attention_input"], block.input_layernorm(residual))
        middle = residual + block.self_attn.o_proj(found[layer, "o_proj"])
        torch.testing.assert_close(found[layer, "mlp_input"], block.post_attention_layernorm(middle))
        gate, up = block.mlp.gate_proj(found[layer, "gate_proj"]), block.mlp.up_proj(found[layer, "up_proj"])
        torch.testing.assert_close(found[layer, "down_proj_input"], nn.functional.silu(gate) * up)
        residual = middle + block.mlp.down_proj(found[layer, "down_proj"])
    torch.testing.assert_close(small.norm(residual), small.hidden(torch.tensor([IDS])))


def test_batches_keep_their_shape_and_values_are_fp32(small: Llama) -> None:
    small.bfloat16()
    found = capture(small, torch.tensor([IDS, IDS[::-1]]), [(1, "down_proj")])[1, "down_proj"]
    assert found.shape == (2, 4, small.config.intermediate)
    assert found.dtype == torch.float32


def test_later_layers_are_not_run(small: Llama) -> None:
    replace_linear(small, 1, "q_proj", Failing())
    wanted = [(0, "residual"), (0, "down_proj")]
    assert list(capture(small, IDS, wanted)) == wanted


def test_hooks_are_removed_even_when_the_pass_fails(small: Llama) -> None:
    capture(small, IDS, [(0, "residual"), (1, "up_proj")])
    assert hooks(small) == 0
    replace_linear(small, 1, "q_proj", Failing())
    with pytest.raises(RuntimeError, match="as intended"):
        capture(small, IDS, [(0, "residual"), (1, "up_proj")])
    assert hooks(small) == 0


@pytest.mark.parametrize(
    ("wanted", "reason"), [((2, "residual"), "the model has 2"), ((0, "soul"), "expected one of residual")]
)
def test_unknown_places_are_refused_before_anything_runs(
    small: Llama, wanted: tuple[int, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        capture(small, IDS, [(0, "residual"), wanted])
    assert hooks(small) == 0


class Failing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("as intended")
