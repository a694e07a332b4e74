"""The native kernels against what they stand for, in every type, at shapes that fit no vector."""

from __future__ import annotations

import copy
import threading
import time
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.engine import native_library
from labs.engine.attention import naive_attention
from labs.engine.fast_path import checked_library, fast_path, native_product
from labs.engine.model_runner import ModelRunner
from labs.engine.native_library import NativeUnavailable, compiled, loaded
from labs.engine.native_matrix import KINDS, naive_product, native_matrix, stored_weight
from labs.engine.native_step import SOURCE
from labs.engine.work import Work
from labs.models.llama import iter_linears
from labs.quantization.threads import threads
from labs.text import Text
from tests.labs.engine.small_models import VARIANTS, VOCAB, poison, small_model

if TYPE_CHECKING:
    import ctypes
    from pathlib import Path

    from labs.engine.precision import KVType, Weights
    from labs.models.llama import Llama

LIBRARY = checked_library()
pytestmark = pytest.mark.skipif(isinstance(LIBRARY, Text), reason=f"no native kernels: {LIBRARY}")


def library() -> ctypes.CDLL:
    assert not isinstance(LIBRARY, Text)
    return LIBRARY


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 9), outputs=st.integers(1, 40), inputs=st.integers(1, 130), seed=st.integers(0, 99)
)
def test_products_equal_the_naive_ones(
    kind: Weights, rows: int, outputs: int, inputs: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, inputs, generator=generator)
    x[:, 0] *= 100  # an outlier, as the model's activations have them
    weight = torch.randn(outputs, inputs, generator=generator)
    expected = naive_product(x, weight, kind)
    largest = x.abs().amax() * weight.abs().amax()
    # An activation on the border of two codes may take either: one step of it, times one weight, in INT4.
    slack = {"fp32": 1e-5, "bf16": 1e-5, "int8": 1e-4, "int4": 1 / 100}[kind]
    assert (native_product(library(), x, weight, kind) - expected).abs().max() <= slack * largest


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_zero_activations_and_zero_weights(kind: Weights) -> None:
    assert not native_product(library(), torch.zeros(2, 40), torch.randn(5, 40), kind).any()
    assert not native_product(library(), torch.randn(2, 40), torch.zeros(5, 40), kind).any()


def test_the_largest_codes_do_not_overflow() -> None:
    """INT4 sums eight products of 15 and 127 pairwise in 16 bits."""
    weight = torch.arange(16.0).repeat(3, 8)
    weight[:, 1:] = 15  # codes 0 and 15, step 1
    x = torch.full((5, 128), 127.0)
    assert torch.equal(native_product(library(), x, weight, "int4"), naive_product(x, weight, "int4"))
    x = -x
    assert torch.equal(native_product(library(), x, weight, "int4"), naive_product(x, weight, "int4"))


@pytest.mark.parametrize("kind", KINDS)
def test_matrices_take_the_bytes_that_they_say(kind: Weights) -> None:
    matrix = native_matrix(torch.randn(32, 64), kind)
    bits = {"fp32": 32, "bf16": 16, "int8": 8, "int4": 5}[kind]  # INT4: 4 and two fp16 figures for 32
    assert matrix.nbytes == 32 * 64 * bits // 8 + (32 * 4 if kind == "int8" else 0)


def low_precision_twin(model: Llama, weights: Weights) -> Llama:
    """The module with the weights that ``weights`` stands for, in fp32."""
    twin = copy.deepcopy(model)
    for _, _, linear in iter_linears(twin):
        linear.weight.copy_(stored_weight(linear.weight, weights))
    head: Weights = "int8" if weights == "int4" else weights
    twin.lm_head.weight = torch.nn.Parameter(stored_weight(model.lm_head.weight, head), requires_grad=False)
    return twin


# INT4 rounds activations to 8 bits in groups of 32, as llama.cpp does; random weights make the most of it.
@pytest.mark.parametrize(("weights", "most"), [("bf16", 1e-5), ("int8", 1e-3), ("int4", 0.05)])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.inference_mode()
def test_weights_change_the_logits_by_their_own_rounding_alone(
    variant: str, weights: Weights, most: float
) -> None:
    model = small_model(variant)
    runner = ModelRunner(model, blocks=8, block_size=8, weights=weights, path="native")
    poison(runner)
    tokens = [(11 * i) % VOCAB for i in range(37)]
    runner.step([Work(tokens[:20], 0, [3, 1, 4, 0, 5], False)])
    rows = [runner.step([Work([tokens[i]], i, [3, 1, 4, 0, 5], True)])[0] for i in range(20, 37)]
    right = low_precision_twin(model, weights)(torch.tensor([tokens]))[0, 20:]
    assert (torch.stack(rows) - right).norm() <= most * right.norm()


@pytest.mark.parametrize("kv", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("seen", [1, 63, 64, 65, 150])
@torch.inference_mode()
def test_long_sequences_are_cut_among_threads_and_merged(kv: KVType, seen: int) -> None:
    """One sequence, several threads: both paths read the same KV and must agree."""
    model = small_model("gqa_3")
    table = list(range(22))[::-1]
    tokens = [(5 * i) % VOCAB for i in range(seen)]
    results = []
    for path in ("native", "torch"):
        runner = ModelRunner(model, blocks=22, block_size=7, kv=kv, path=path)
        poison(runner)
        if seen > 1:
            runner.step([Work(tokens[:-1], 0, table, False)])
        with threads(2):
            results.append(runner.step([Work(tokens[-1:], seen - 1, table, True)]))
    difference = (results[0] - results[1]).norm() / results[1].norm()
    assert difference < {"fp32": 1e-4, "bf16": 5e-3, "int8": 2e-2}[kv]


def test_naive_attention_is_the_modules() -> None:
    from labs.models.llama import causal_attention

    generator = torch.Generator().manual_seed(4)
    q = torch.randn(3, 6, 8, generator=generator)
    k, v = torch.randn(2, 2, 10, 8, generator=generator).unbind()
    expected = causal_attention(q.transpose(0, 1)[None], k[None], v[None])[0].transpose(0, 1)
    torch.testing.assert_close(naive_attention(q, k, v), expected)


def test_threads_may_change_between_steps_and_give_the_same() -> None:
    model = small_model()
    runner = ModelRunner(model, blocks=8, block_size=8, path="native")
    work = Work(list(range(50)), 0, list(range(8)), True)
    results = []
    for count in (1, 2, 1, 2):
        with threads(count):
            results.append(runner.step([work]))
    assert all(torch.allclose(results[0], other, atol=1e-5) for other in results)


def test_the_pool_sleeps_between_steps() -> None:
    before = threading.active_count()
    runner = ModelRunner(small_model(), blocks=2, block_size=8, path="native")
    with threads(2):
        runner.step([Work([1, 2], 0, [0], True)])
        used = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - used < 0.1
    assert threading.active_count() == before  # the pool's threads are not Python's


def test_a_library_is_compiled_once_and_refusals_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = compiled(SOURCE)
    assert compiled(SOURCE) == target
    monkeypatch.setattr(native_library.shutil, "which", lambda name: None)
    with pytest.raises(NativeUnavailable, match=r"no g\+\+"):
        compiled(SOURCE, folder=tmp_path)
    monkeypatch.setattr(native_library, "_CPU_INFO", tmp_path / "missing")
    with pytest.raises(NativeUnavailable, match="AVX2, F16C, FMA"):
        compiled(SOURCE, folder=tmp_path)


def test_a_library_of_any_source_is_made_anew_when_a_header_of_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    headers = tmp_path / "headers"
    headers.mkdir()
    (source := tmp_path / "one.cpp").write_text('#include "two.h"\nextern "C" int answer() { return TWO; }')
    (headers / "two.h").write_text("#define TWO 2")
    before = loaded(source, headers)
    (headers / "two.h").write_text("#define TWO 22")
    after = loaded(source, headers)
    assert not isinstance(before, Text) and not isinstance(after, Text)
    assert (before.answer(), after.answer()) == (2, 22)
    (headers / "two.h").write_text("")
    assert isinstance(refused := loaded(source, headers), Text) and "TWO" in refused.en


def test_without_native_kernels_torch_is_used_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from labs.engine import fast_path as module

    missing = Text(zh="没有 g++", en="there is no g++")
    monkeypatch.setattr(module, "checked_library", lambda: missing)
    found = fast_path.__wrapped__("fp32")
    assert found.path == "torch"
    assert found.text.en == "torch, an operation at a time; there is no g++"
