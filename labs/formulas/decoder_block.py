"""A block of a Llama-family decoder as the operators that eager PyTorch runs, and what to fuse of them.

One sequence; T new tokens, the last of S. Norms and rotations are spelled out operator by operator, as a
model written in plain PyTorch does, and attention keeps its scores in memory. ``delta`` is what the block
before adds to the residual: deferred to here, each of the two additions stands right before a norm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from labs.formulas.fusion import Dataflow, Op

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from labs.formulas.decoder_demand import Decoder

Step = Literal["qkv", "gate_up", "norm", "activation", "rope", "attention"]
STEPS: Final[tuple[Step, ...]] = ("qkv", "gate_up", "norm", "activation", "rope", "attention")
HORIZONTAL: Final = frozenset({"qkv", "gate_up"})  # side by side on one input; the others: one after another

_NORM: Final = ("add", "square", "sum", "mean", "eps", "rsqrt", "scale", "weight")
_TURN: Final = ("a_cos", "b_sin", "minus", "b_cos", "a_sin", "plus", "cat")


def block(shape: Decoder, tokens: int, context: int, element_bytes: int = 4) -> Dataflow:
    """The block's operators; ``context == tokens``: a prefill, else a decode of one token over a cache."""
    prefill = context == tokens
    ops = [
        *_norm(1, "residual", "delta"),
        *_projections(prefill),
        *_turned("q", "q.turned"),
        *_turned("k", "k.row" if prefill else "k.turned"),
        *([] if prefill else [_store("k", "k.turned"), _store("v", "v")]),
        *_attention(prefill),
        Op("o", "product", ("mixed", "w.o"), ("attended",)),
        *_norm(2, "total1", "attended"),
        *_mlp(),
    ]
    sizes = _sizes(shape, tokens, context)
    sizes = {name: numbers * element_bytes for name, numbers in sizes.items()}
    return Dataflow(tuple(ops), sizes, frozenset({"total2", "out"}))


def groups(flow: Dataflow, steps: frozenset[Step]) -> list[tuple[str, ...]]:
    """The kernels of several operators that the ``steps`` make of a block."""
    there = {op.name for op in flow.ops}
    members: dict[Step, list[tuple[str, ...]]] = {
        "qkv": [("q", "k", "v")],
        "gate_up": [("gate", "up")],
        "norm": [tuple(f"{name}{number}" for name in _NORM) for number in (1, 2)],
        "activation": [("silu", "times_up")],
        "rope": [(*(f"{of}.{name}" for of in "qk" for name in _TURN), "k.store", "v.store")],
        "attention": [("scores", "scores.scale", "mask", "softmax", "mix")],
    }
    found = [group for step in STEPS if step in steps for group in members[step]]
    return [tuple(name for name in group if name in there) for group in found]


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


def _projections(prefill: bool) -> Iterator[Op]:
    yield Op("q", "product", ("normed1", "w.q"), ("q.a", "q.b"))
    yield Op("k", "product", ("normed1", "w.k"), ("k.a", "k.b"))
    yield Op("v", "product", ("normed1", "w.v"), ("v.row" if prefill else "v",))


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


def _mlp() -> Iterator[Op]:
    yield Op("gate", "product", ("normed2", "w.gate"), ("gate",))
    yield Op("up", "product", ("normed2", "w.up"), ("up",))
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
