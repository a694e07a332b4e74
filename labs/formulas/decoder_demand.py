"""FLOPs and bytes of each part of a Llama-family decoder's step: what a roofline places under its roofs.

``rows`` tokens are computed at once (batch times new tokens); each sequence has ``context`` tokens when the
step ends. Each part reads its inputs and weights once and writes its output once, as a kernel of its own;
what is fused moves less, what is split up moves more. A multiply, an add, and a function such as ``exp``
count as one FLOP each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labs.formulas.memory import gemm_bytes, gemm_flops
from labs.formulas.prefill import causal_pairs
from labs.formulas.roofline import Demand

if TYPE_CHECKING:
    from typing import Final

PARTS: Final = ("norms", "qkv", "rope", "attention", "o", "residual", "gate_up", "activation", "down", "head")
PRODUCTS: Final = ("qkv", "o", "gate_up", "down", "head")
SMALL: Final = ("norms", "rope", "residual", "activation")  # what compilers fuse into their neighbours


class Decoder(NamedTuple):
    """A decoder's shape, without its number of layers: width C, FFN width F, heads, vocabulary."""

    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int


class Bits(NamedTuple):
    """Bits of a weight (with its share of scales), of an activation, and of a number in the KV cache."""

    weight: float = 16
    activation: float = 16
    kv: float = 16


def linear(rows: int, outputs: int, inputs: int, bits: Bits) -> Demand:
    """A linear layer: ``[rows, inputs]`` by ``[inputs, outputs]``."""
    moved = gemm_bytes(rows, outputs, inputs, bits.weight, bits.activation, bits.activation)
    return Demand(gemm_flops(rows, outputs, inputs), moved)


def elementwise(elements: int, *, reads: int, writes: int, flops: int, bits: float) -> Demand:
    """``flops`` for each of ``elements``, from ``reads`` arrays of that size to ``writes`` of them."""
    return Demand(elements * flops, elements * (reads + writes) * bits / 8)


def attention(shape: Decoder, batch: int, tokens: int, context: int, bits: Bits) -> Demand:
    """One layer's: ``tokens`` queries a sequence, the last of ``context``, causal; scores stay on chip.

    K and V are read once for all heads that share them; queries are read and results written.
    """
    pairs = causal_pairs(context, context - tokens)
    kv = 2 * context * shape.kv_heads * shape.head_dim * bits.kv / 8
    queries = 2 * tokens * shape.heads * shape.head_dim * bits.activation / 8
    return Demand(4 * batch * pairs * shape.heads * shape.head_dim, batch * (kv + queries))


def part_demands(shape: Decoder, batch: int, tokens: int, context: int, bits: Bits) -> dict[str, Demand]:
    """One layer's parts by the names of ``PARTS``, and the head of a whole step, one row a sequence.

    ``norms`` are the layer's two, ``residual`` its two additions.
    """
    rows, width, ffn = batch * tokens, shape.hidden, shape.intermediate
    query, both = shape.heads * shape.head_dim, (shape.heads + shape.kv_heads) * shape.head_dim
    return {
        "norms": elementwise(rows * width, reads=1, writes=1, flops=4, bits=bits.activation).times(2),
        "qkv": linear(rows, both + shape.kv_heads * shape.head_dim, width, bits),
        "rope": elementwise(rows * both, reads=1, writes=1, flops=3, bits=bits.activation),
        "attention": attention(shape, batch, tokens, context, bits),
        "o": linear(rows, width, query, bits),
        "residual": elementwise(rows * width, reads=2, writes=1, flops=1, bits=bits.activation).times(2),
        "gate_up": linear(rows, 2 * ffn, width, bits),
        # exp, add, divide, and two multiplications
        "activation": elementwise(rows * ffn, reads=2, writes=1, flops=5, bits=bits.activation),
        "down": linear(rows, width, ffn, bits),
        "head": linear(batch, shape.vocab, width, bits),
    }


def step_demand(
    shape: Decoder, layers: int, batch: int, tokens: int, context: int, bits: Bits, *, fused: bool = True
) -> Demand:
    """A whole step. ``fused``: norms, rotation, activation and additions move nothing of their own."""
    parts = part_demands(shape, batch, tokens, context, bits)
    counted = [name for name in PARTS if name != "head" and not (fused and name in SMALL)]
    whole = parts["head"]
    for name in counted:
        whole = whole.plus(parts[name].times(layers))
    return whole
