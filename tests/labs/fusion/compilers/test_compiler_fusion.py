"""Automatic fusion: what the language refuses, what matches, whether kernels are right, Inductor's record."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.fusion.compilers import inductor_run
from labs.fusion.compilers.fx_chain import graph_module, record_shapes
from labs.fusion.compilers.fx_costs import Costs, dataflow, saving
from labs.fusion.compilers.fx_subjects import CHAINS, PATTERNS
from labs.fusion.compilers.fx_views import marks
from labs.fusion.compilers.inductor_child import compiled_by_inductor
from labs.fusion.compilers.pattern_kernels import kernel, source
from labs.fusion.compilers.pattern_language import LanguageError, parse_chain, parse_patterns
from labs.fusion.compilers.pattern_loops import loops
from labs.fusion.compilers.pattern_matching import EFFORT, Matcher, rewrite
from labs.fusion.compilers.pattern_triton import alone, count, question
from labs.inspection.process import HAS_TRITON
from labs.relative_error import relative_error
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor, fx

    from labs.fusion.compilers.pattern_matching import Match
    from labs.inspection.process import KernelProcess

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
T, C, F = 7, 33, 65  # odd, so that loops end within a vector


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    make = torch.Generator().manual_seed(0)
    shapes = {"x": (T, C), "residual": (T, C), "delta": (T, C), "gate": (T, F), "up": (T, F), "w_norm": (C,)}
    shapes |= {"w_gate": (F, C), "w_up": (F, C), "w_down": (C, F)}
    return {name: torch.randn(shape, generator=make) for name, shape in shapes.items()}


def matched(
    chain: str, patterns: str, tensors: dict[str, Tensor], *, single: bool = False
) -> tuple[fx.GraphModule, list[Match], list[Match]]:
    module = graph_module(parse_chain(chain))
    record_shapes(module, tensors)
    return module, *Matcher(module.graph, single=single).matches(parse_patterns(patterns))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("silu(a) * b", 1),
        ("# fine\nsilu(a) * b -> one\nsilu(a * b -> two", 3),
        ("silu(a) -> alone", 1),
        ("silu(a, b) * a -> two", 1),
        ("sillu(a) * b -> swiglu", 1),
        ("silu(a) * b -> silu", 1),
        ("linear(a, w) * b -> gemm", 1),
        ("\n__import__('os').system('true') * a -> shell", 2),
        ("(lambda: a)() * b -> call", 1),
        ("a.shape * b -> attribute", 1),
    ],
)
def test_a_malformed_pattern_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(LanguageError) as refused:
        parse_patterns(text)
    assert refused.value.line == line and f"line {line}:" in refused.value.text.en


@given(st.text(alphabet="ab()*+-/.,'\"=> \n0e9_x#silu", max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    for parse in (parse_patterns, parse_chain):
        try:
            parse(text)
        except LanguageError as error:
            assert error.line >= 1


def test_operands_of_a_product_match_both_ways_round(tensors: dict[str, Tensor]) -> None:
    for chain in ("y = silu(gate) * up", "y = up * silu(gate)"):
        _, fused, refused = matched(chain, "silu(a) * b -> swiglu", tensors)
        assert [match.nodes for match in fused] == [["silu_0", "y"]] and not refused
        assert fused[0].bound["b"].name == "up"


def test_many_orders_of_operands_do_not_explode(tensors: dict[str, Tensor]) -> None:
    letters = "abcdefghijklmnopqrstuvwxy"
    pattern = " + ".join(f"silu(z) * {one}" for one in letters) + " + silu(z) * (z + z) -> sum_of_products"
    names = {one: tensors["gate"] + place for place, one in enumerate([*letters, "z"])}
    text = " + ".join(f"silu(z) * {one}" for one in letters) + " + silu(z) * (y + z)"
    module = graph_module(parse_chain(f"result = {text}"))
    record_shapes(module, names)
    matcher = Matcher(module.graph)
    assert matcher.matches(parse_patterns(pattern)) == ([], [])
    assert matcher.comparisons < 2 * EFFORT + len(module.graph.nodes)


def test_a_repeated_name_is_the_same_tensor(tensors: dict[str, Tensor]) -> None:
    _, fused, _ = matched("y = silu(gate) * up", "silu(a) * a -> swish", tensors)
    assert not fused
    _, fused, _ = matched("y = silu(gate) * gate", "silu(a) * a -> swish", tensors)
    assert len(fused) == 1


def test_with_one_output_what_is_read_outside_is_not_fused_away(tensors: dict[str, Tensor]) -> None:
    _, fused, refused = matched(CHAINS["norm"], PATTERNS, tensors, single=True)
    assert [match.pattern.name for match in fused] == ["rms_norm"]
    assert [match.pattern.name for match in refused] == ["add_rms_norm"]
    assert refused[0].reason is not None and "h is read by output" in refused[0].reason.en


def test_a_pattern_that_comes_too_late_is_told_from_one_that_does_not_match(
    tensors: dict[str, Tensor],
) -> None:
    module = graph_module(parse_chain(CHAINS["norm"]))
    record_shapes(module, tensors)
    matcher, patterns = Matcher(module.graph), parse_patterns(PATTERNS)
    fused, refused = matcher.matches(patterns)
    assert {pattern.name for pattern in matcher.late} == {"rms_norm"}
    told = [mark.text.en for mark in marks(patterns, fused, refused, matcher.late)]
    assert "no match" in told[0] and "fused: 1" in told[1] and "earlier" in told[2]


def test_what_is_read_outside_is_one_more_output(tensors: dict[str, Tensor]) -> None:
    module, fused, refused = matched(CHAINS["norm"], PATTERNS, tensors)
    assert not refused and [match.pattern.name for match in fused] == ["add_rms_norm"]
    assert [fused[0].bound[name].name for name in fused[0].outputs] == ["y", "h"]
    one = saving(dataflow(module.graph), fused[0])
    assert one.calls == 6 and one.after_bytes == 4 * (4 * T * C + C)  # reads residual, delta, w; writes y, h


CYCLES = {
    "through itself": ("s = silu(gate)\nk = tanh(s)\ny = s * k", "silu(a) * b -> swiglu\n", "k, outside"),
    "through another fusion": (
        "s = silu(gate)\nt = tanh(up)\ny = s * t\nz = t + s",
        "silu(a) * b -> swiglu\ntanh(c) + d -> other\n",
        "a cycle",
    ),
}


@pytest.mark.parametrize("name", CYCLES)
def test_kernels_that_would_wait_for_each_other_are_refused(name: str, tensors: dict[str, Tensor]) -> None:
    chain, patterns, reason = CYCLES[name]
    _, fused, refused = matched(chain, patterns, tensors)
    assert len(fused) == len(patterns.splitlines()) - 1
    assert len(refused) == 1 and refused[0].reason is not None and reason in refused[0].reason.en


def test_the_cost_model_counts_what_is_neither_written_nor_read(tensors: dict[str, Tensor]) -> None:
    module, fused, _ = matched(CHAINS["mlp"], PATTERNS, tensors)
    one = saving(dataflow(module.graph), fused[0])
    assert one.before_bytes == 5 * T * F * 4 and one.after_bytes == 3 * T * F * 4 and one.calls == 1
    assert one.seconds(Costs(bandwidth=1e6, call_s=2.0)) == pytest.approx(2 * T * F * 4 / 1e6 + 2.0)


@needs_compiler
def test_fused_kernels_give_what_the_graph_gives(tensors: dict[str, Tensor]) -> None:
    every = (
        "a = tanh(gate) + sigmoid(up) / 2\nb = relu(a - 0.1) * exp(-a)\nc = sqrt(square(b) + 1)\n"
        "y = c / (sum(square(c)) + mean(up))"
    )
    pattern = (
        "sqrt(square(relu(tanh(g)+sigmoid(u)/2-0.1)*exp(-(tanh(g)+sigmoid(u)/2)))+1) / "
        "(sum(square(sqrt(square(relu(tanh(g)+sigmoid(u)/2-0.1)*exp(-(tanh(g)+sigmoid(u)/2)))+1)))+mean(u))"
        " -> every\n"
    )
    early = "h = residual + delta\nk = relu(h)\nr = mean(h)\ny = h * w_norm - r\nreturn y, k, r"
    pattern += "(x + d) * w - mean(x + d) -> three_outputs\n"
    for chain in (every, early, CHAINS["norm"]):
        module, fused, _ = matched(chain, pattern + PATTERNS, tensors)
        assert len(fused) == 1
        after = rewrite(module, fused, kernel)
        for got, expected in zip(record_shapes(after, tensors), record_shapes(module, tensors), strict=True):
            assert relative_error(got, expected) < 1e-6


def test_without_a_compiler_it_says_so(tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    _, fused, _ = matched(CHAINS["mlp"], PATTERNS, tensors)
    absent = kernel(fused[0])
    assert isinstance(absent, Text) and "g++" in absent.en
    missing = inductor_run.missing()
    assert missing is not None and (not HAS_TRITON or "g++" in missing.en)


def test_shapes_that_no_loop_fits_are_refused_with_the_tensor(tensors: dict[str, Tensor]) -> None:
    odd = {**tensors, "up": tensors["up"][:1]}
    _, fused, refused = matched("y = silu(gate) * up", "silu(a) * b -> swiglu", odd)
    assert not fused and refused[0].reason is not None and "up" in refused[0].reason.en


def test_a_chain_that_cannot_be_computed_says_where(tensors: dict[str, Tensor]) -> None:
    with pytest.raises(LabError, match=r"operator y cannot be computed: The size .* dimension 1$"):
        record_shapes(graph_module(parse_chain("y = x * gate")), tensors)
    with pytest.raises(LabError, match="did you mean 'gate'"):
        record_shapes(graph_module(parse_chain("y = silu(gata) * up")), tensors)


def test_reductions_are_loops_of_their_own(tensors: dict[str, Tensor]) -> None:
    _, fused, _ = matched(CHAINS["norm"], PATTERNS, tensors)
    assert source(fused[0]).count("for (int64_t c") == 2


@pytest.mark.skipif(not HAS_TRITON, reason="no Triton")
def test_the_kernels_own_loads_and_stores_are_what_the_formula_says(
    interpreter: KernelProcess, tensors: dict[str, Tensor]
) -> None:
    chain = "p = silu(gate) * up\nq = p / (sum(exp(tanh(p))) + 0.5)\nreturn q, p"
    pattern = "silu(a) * b / (sum(exp(tanh(silu(a) * b))) + 0.5) -> weighted\n"
    for text in (chain, CHAINS["norm"]):
        module, fused, _ = matched(text, pattern + PATTERNS, tensors)
        laid, expected = loops(fused[0]), saving(dataflow(module.graph), fused[0])
        asked = [*alone(laid), question(fused[0].pattern.name, laid)]
        *apart, whole = interpreter.ask(count, asked=asked)
        assert sum(one.bytes for one in apart) == expected.before_bytes
        assert whole.bytes == expected.after_bytes
        assert max(one.error for one in (*apart, whole)) < 1e-6


@needs_compiler
@pytest.mark.skipif(not HAS_TRITON, reason="the child process has Triton")
def test_inductor_tells_what_it_fused_and_why_not(
    compiler: KernelProcess, tensors: dict[str, Tensor]
) -> None:
    given = {name: tensors[name].numpy() for name in ("residual", "delta", "w_norm")}
    found = compiler.ask(compiled_by_inductor, chain=CHAINS["norm"], tensors=given)
    assert found.error < 1e-6 and 'extern "C"' in found.code
    assert len(found.after) == len(found.before) - sum(one.fused for one in found.decisions) >= 1
    names = {one.name for one in found.operations}
    assert all(set(loop.origins) <= names for loop in found.after)
    assert any(not one.fused and one.reason for one in found.decisions)
    assert found.kernels >= 1 and found.bytes_before >= found.bytes >= 4 * (4 * T * C + C)
