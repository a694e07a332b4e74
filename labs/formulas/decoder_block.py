"""A block of a Llama-family decoder as the operators that eager PyTorch runs, and what to fuse of them.

One sequence; T new tokens, the last of S. Norms and rotations are spelled out operator by operator, as a
model written in plain PyTorch does, and attention keeps its scores in memory. ``delta`` is what the block
before adds to the residual: deferred to here, each of the two additions stands right before a norm.

With ``int8`` the products that follow a norm are W8A8: the norm's output is rounded to codes with a scale a
token, integers are multiplied, and the sums are scaled by token and by output channel; spelled out as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labs.formulas.fusion import Dataflow, Op

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from labs.formulas.decoder_demand import Decoder

Step = Literal["qkv", "gate_up", "norm", "quantise", "scales", "activation", "rope", "attention"]
STEPS: Final[tuple[Step, ...]] = ("qkv", "gate_up", "norm", "activation", "rope", "attention")
INT8_STEPS: Final[tuple[Step, ...]] = (*STEPS[:3], "quantise", "scales", *STEPS[3:])
HORIZONTAL: Final = frozenset({"qkv", "gate_up"})  # side by side on one input; the others: one after another

_NORM: Final = ("add", "square", "sum", "mean", "eps", "rsqrt", "scale", "weight")
_QUANTISE: Final = ("abs", "most", "least", "per_code", "divide", "round", "codes")
_SCALING: Final = ("", ".float", ".rows", ".columns")  # an integer product, and what makes numbers of it
_TURN: Final = ("a_cos", "b_sin", "minus", "b_cos", "a_sin", "plus", "cat")


def block(
    shape: Decoder, tokens: int, context: int, element_bytes: int = 4, *, int8: bool = False
) -> Dataflow:
    """The block's operators; ``context == tokens``: a prefill, else a decode of one token over a cache."""
    prefill = context == tokens
    ops = [
        *_norm(1, "residual", "delta"),
        *(_quantised(1) if int8 else ()),
        *_projections(prefill, int8),
        *_turned("q", "q.turned"),
        *_turned("k", "k.row" if prefill else "k.turned"),
        *([] if prefill else [_store("k", "k.turned"), _store("v", "v")]),
        *_attention(prefill),
        Op("o", "product", ("mixed", "w.o"), ("attended",)),
        *_norm(2, "total1", "attended"),
        *(_quantised(2) if int8 else ()),
        *_mlp(int8),
    ]
    sizes = {name: count * element_bytes for name, count in _sizes(shape, tokens, context).items()}
    sizes |= _int8_sizes(shape, tokens, element_bytes) if int8 else {}
    return Dataflow(tuple(ops), sizes, frozenset({"total2", "out"}))


def groups(flow: Dataflow, steps: frozenset[Step]) -> list[tuple[str, ...]]:
    """The kernels of several operators that the ``steps`` make of a block. "quantise" is the norm's kernel
    carried on, so it contains "norm"; "scales" is the end of each integer product, whether joined or not."""
    there = {op.name for op in flow.ops}
    whole = (*_NORM, *_QUANTISE) if "quantise" in steps else _NORM
    members: dict[Step, list[tuple[str, ...]]] = {
        "norm": [tuple(f"{name}{number}" for name in whole) for number in (1, 2)],
        "activation": [("silu", "times_up")],
        "rope": [(*(f"{of}.{name}" for of in "qk" for name in _TURN), "k.store", "v.store")],
        "attention": [("scores", "scores.scale", "mask", "softmax", "mix")],
    }
    chosen = steps | ({"norm"} if "quantise" in steps else set())
    found = _products(("q", "k", "v"), "qkv" in steps, "scales" in steps)
    found += _products(("gate", "up"), "gate_up" in steps, "scales" in steps)
    found += [group for step, kernels in members.items() if step in chosen for group in kernels]
    present = [tuple(name for name in group if name in there) for group in found]
    return [group for group in present if len(group) > 1]


def _products(parts: tuple[str, ...], joined: bool, scaled: bool) -> list[tuple[str, ...]]:
    """Side by side, each operator over all ``parts``; one after another, each part with its scaling."""
    each = [tuple(f"{part}{stage}" for stage in _SCALING) for part in parts]
    if scaled:
        return [sum(each, ())] if joined else each
    return list(zip(*each, strict=True)) if joined else []


def _norm(number: int, residual: str, delta: str) -> Iterator[Op]:
    total, end = f"total{number}", f"normed{number}"
    made = [f"{name}{number}" for name in ("squares", "row.sum", "row.mean", "row.eps", "row.factor")]
    yield Op(f"add{number}", "elementwise", (residual, delta), (total,))
    yield Op(f"square{number}", "elementwise", (total,), (made[0],))
    yield Op(f"sum{number}", "reduction", (made[0],), (made[1],))
    for name, source, target in zip(("mean", "eps", "rsqrt"), made[1:], made[2:], strict=False):
        yield Op(f"{name}{number}", "elementwise", (source,), (target,))
    yield Op(f"scale{number}", "elementwise", (total, made[4]), (f"scaled{number}",))
    yield Op(f"weight{number}", "elementwise", (f"scaled{number}", f"w.norm{number}"), (end,))


def _quantised(number: int) -> Iterator[Op]:
    """Seven operators from the normed rows to their codes and scales."""
    normed, scale = f"normed{number}", f"row.scale{number}"
    made = [f"{name}{number}" for name in ("magnitude", "row.most", "row.least", "in_codes", "rounded")]
    yield Op(f"abs{number}", "elementwise", (normed,), (made[0],))
    yield Op(f"most{number}", "reduction", (made[0],), (made[1],))
    yield Op(f"least{number}", "elementwise", (made[1],), (made[2],))
    yield Op(f"per_code{number}", "elementwise", (made[2],), (scale,))
    yield Op(f"divide{number}", "elementwise", (normed, scale), (made[3],))
    yield Op(f"round{number}", "elementwise", (made[3],), (made[4],))
    yield Op(f"codes{number}", "elementwise", (made[4],), (f"codes{number}",))


def _product(of: str, number: int, out: tuple[str, ...], int8: bool) -> Iterator[Op]:
    """Of what norm ``number`` gives and one weight."""
    if not int8:
        yield Op(of, "product", (f"normed{number}", f"w.{of}"), out)
        return
    yield Op(of, "product", (f"codes{number}", f"w.{of}"), (f"{of}.sums",))
    yield Op(f"{of}.float", "elementwise", (f"{of}.sums",), (f"{of}.floats",))
    yield Op(f"{of}.rows", "elementwise", (f"{of}.floats", f"row.scale{number}"), (f"{of}.by_row",))
    yield Op(f"{of}.columns", "elementwise", (f"{of}.by_row", f"w.scale.{of}"), out)


def _projections(prefill: bool, int8: bool) -> Iterator[Op]:
    yield from _product("q", 1, ("q.a", "q.b"), int8)
    yield from _product("k", 1, ("k.a", "k.b"), int8)
    yield from _product("v", 1, ("v.row" if prefill else "v",), int8)


def _turned(of: str, out: str) -> Iterator[Op]:
    def step(name: str, *reads: str, out: str = "") -> Op:
        return Op(f"{of}.{name}", "elementwise", reads, (out or f"{of}.{name}",))

    yield step("a_cos", f"{of}.a", "cos")
    yield step("b_sin", f"{of}.b", "sin")
    yield step("minus", f"{of}.a_cos", f"{of}.b_sin")
    yield step("b_cos", f"{of}.b", "cos")
    yield step("a_sin", f"{of}.a", "sin")
    yield step("plus", f"{of}.b_cos", f"{of}.a_sin")
    yield step("cat", f"{of}.minus", f"{of}.plus", out=out)


def _store(of: str, source: str) -> Op:
    return Op(f"{of}.store", "copy", (source,), (f"{of}.row",))


def _attention(prefill: bool) -> Iterator[Op]:
    """The cache holds all tokens but the new ones, whose K and V are ``row``."""
    masked = ("masked",) if prefill else ("scaled",)
    yield Op("scores", "product", ("q.turned", "k.cache", "k.row"), ("raw",))
    yield Op("scores.scale", "elementwise", ("raw",), ("scaled",))
    if prefill:
        yield Op("mask", "elementwise", ("scaled", "causal"), masked)
    yield Op("softmax", "reduction", masked, ("weights",))
    yield Op("mix", "product", ("weights", "v.cache", "v.row"), ("by_head" if prefill else "mixed",))
    if prefill:
        yield Op("heads", "copy", ("by_head",), ("mixed",))


def _mlp(int8: bool) -> Iterator[Op]:
    yield from _product("gate", 2, ("gate",), int8)
    yield from _product("up", 2, ("up",), int8)
    yield Op("silu", "elementwise", ("gate",), ("activated",))
    yield Op("times_up", "elementwise", ("activated", "up"), ("inner",))
    yield Op("down", "product", ("inner", "w.down"), ("out",))


def _sizes(shape: Decoder, tokens: int, context: int) -> dict[str, int]:
    """Numbers in each tensor."""
    width, ffn, half = shape.hidden, shape.intermediate, shape.head_dim // 2
    query, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    found = dict.fromkeys(("residual", "delta", "attended", "out"), tokens * width)
    for number in (1, 2):
        rows = dict.fromkeys(("sum", "mean", "eps", "factor"), tokens)
        found |= {f"row.{name}{number}": size for name, size in rows.items()}
        found |= dict.fromkeys(
            (f"{name}{number}" for name in ("total", "squares", "scaled", "normed")), tokens * width
        )
        found[f"w.norm{number}"] = width
    for of, size in (("q", query), ("k", kv)):
        halves = ("a", "b", "a_cos", "b_sin", "minus", "b_cos", "a_sin", "plus")
        found |= dict.fromkeys((f"{of}.{name}" for name in halves), tokens * size // 2)
    found |= dict.fromkeys(("q.turned", "by_head", "mixed"), tokens * query)
    found |= dict.fromkeys(("k.turned", "k.row", "v", "v.row"), tokens * kv)
    found |= dict.fromkeys(("k.cache", "v.cache"), (context - tokens) * kv)
    found |= dict.fromkeys(("cos", "sin"), tokens * half) | {"causal": tokens * context}
    found |= dict.fromkeys(("raw", "scaled", "masked", "weights"), shape.heads * tokens * context)
    found |= dict.fromkeys(("gate", "up", "activated", "inner"), tokens * ffn)
    found |= {"w.q": width * query, "w.k": width * kv, "w.v": width * kv, "w.o": query * width}
    return found | dict.fromkeys(("w.gate", "w.up", "w.down"), width * ffn)


def _int8_sizes(shape: Decoder, tokens: int, element_bytes: int) -> dict[str, int]:
    """Bytes of what W8A8 adds, and of the weights that it makes smaller: codes of one byte, sums of four."""
    width = shape.hidden
    found: dict[str, int] = {}
    for number in (1, 2):
        wide = (f"{name}{number}" for name in ("magnitude", "in_codes", "rounded"))
        found |= dict.fromkeys(wide, tokens * width * element_bytes)
        found |= {f"row.{name}{number}": tokens * element_bytes for name in ("most", "least")}
        found |= {f"row.scale{number}": tokens * 4, f"codes{number}": tokens * width}
    query, kv, ffn = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim, shape.intermediate
    for of, columns in (("q", query), ("k", kv), ("v", kv), ("gate", ffn), ("up", ffn)):
        found |= {f"w.{of}": width * columns, f"w.scale.{of}": 4 * columns}
        found |= {f"{of}.sums": 4 * tokens * columns}
        found |= {f"{of}.{name}": tokens * columns * element_bytes for name in ("floats", "by_row")}
    return found
