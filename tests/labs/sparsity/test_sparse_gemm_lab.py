"""What the lab claims: bytes as predicted, products right or without speed, crossings where they are, and the
model left as it was."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from labs.context import Context
from labs.models.llama import Llama, linear
from labs.sparsity import activation_mode, crossover_mode, shapes_mode
from labs.sparsity.crossover_mode import Curves
from labs.sparsity.formats import NAMES, encode
from labs.sparsity.patterns import mask_of
from labs.sparsity.quantized_mode import stored_bits, width_of
from labs.text import same
from tests.labs.gemm.test_gemm_lab import TINY


def weight(n: int, k: int) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(n * k))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_every_format_is_as_large_as_its_formula(dtype: torch.dtype) -> None:
    dense = weight(48, 64).to(dtype)
    halved = dense * mask_of(dense.abs(), "two_four", 0.5)
    for kind in NAMES:
        found = encode(halved, kind, 16)
        assert found is not None and found.allocated == found.predicted
    assert encode(dense, "two_four", 16) is None


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_packed_bits_are_those_of_the_formula(bits: int) -> None:
    halved = weight(32, 128) * mask_of(weight(32, 128).abs(), "two_four", 0.5)
    assert stored_bits(halved, bits) == pytest.approx(width_of("two_four", bits))


def test_a_crossing_is_where_times_are_equal() -> None:
    curves = Curves(1, 16, {"csr32": {0.5: 0.8, 0.9: 4.0}, "bsr": {0.5: 2.0, 0.9: 9.0}})
    # Times over dense are 1.25 and 0.25: one quarter of the way down. BSR is faster wherever measured.
    assert curves.crossing("csr32") == pytest.approx(0.6)
    assert curves.crossing("bsr") is None and curves.crossing("torch_csr") is None


def test_a_wrong_product_shows_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    dense, x = weight(16, 32), weight(32, 1)
    monkeypatch.setattr(crossover_mode, "_ways", lambda *_: {"csr32": lambda: torch.zeros(16, 1)})
    curves = Curves(1, 16)
    crossover_mode._measure(Context(), curves, dense, x, 0.7, SimpleNamespace(block=16, source="cache"))
    assert math.isnan(curves.found["csr32"][0.7]) and curves.wrong and not curves.timings


def test_shapes_that_lose_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = shapes_mode.Shapes(shapes_mode.shapes_of(TINY))
    assert sum(len(one.modules) for one in shapes.every) == 7
    for one in shapes.every:
        shapes.found |= {(one, 1): (3.0, 2.0), (one, 8): (1.0, 1.0), (one, 64): (1.0, 2.0)}
    assert shapes.block_speed(1) == pytest.approx(1.5)
    verdicts = [row[-1].en for row in shapes_mode.table(shapes).rows]  # type: ignore[union-attr]
    assert verdicts == ["won", "even", "lost"] * len(shapes.every)
    told = shapes_mode.explanation(shapes).body.en
    assert f"64: {len(shapes.every)}/{len(shapes.every)}" in told and "0.50 times" in told
    monkeypatch.setattr(shapes_mode, "native_decode", lambda: same("there is no compiler"))
    assert "there is no compiler" in shapes_mode.explanation(shapes).body.en


def test_a_wrong_product_of_a_shape_shows_no_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes_mode, "fast_sparse_24", lambda x, values, meta: torch.zeros(len(x), 16))
    shape, pruned = shapes_mode.Shape(("q_proj",), 16, 32), weight(16, 32)
    pruned = pruned * mask_of(pruned.abs(), "two_four", 0.5)
    shapes = shapes_mode.Shapes([shape])
    shapes_mode._measure(Context(), shapes, shape, pruned, SimpleNamespace(source="cache"))
    assert math.isnan(shapes.speed(shape, 1)) and not shapes.timings
    assert shapes_mode.block_metric(shapes).value is None


def test_dropping_leaves_the_model_as_it_was() -> None:
    model = Llama(TINY).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(1))
    ids = torch.arange(8)[None]
    with torch.no_grad():
        before = model(ids)
        with activation_mode.thresholded(model, [math.inf] * TINY.layers):
            cut = model(ids)
        assert torch.equal(model(ids), before) and not torch.allclose(cut, before)
    assert not any(linear(model, layer, "down_proj")._forward_pre_hooks for layer in range(TINY.layers))


def test_a_threshold_drops_the_share_that_was_asked_for() -> None:
    x = weight(20, 50)
    kept = activation_mode.dropped(x, activation_mode.threshold_of(x, 0.3))
    assert int((kept == 0).sum()) == 300
    shares = activation_mode.unions(x, 0.3)
    assert shares[0] == pytest.approx(0.7) and shares == sorted(shares)
