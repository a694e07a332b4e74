"""The intermediate tensors of one layer with their lifetimes: what a step's activations need at their peak.

Sizes are elements a token of the step, on one of ``tensor_parallel`` devices. The residual stream is whole on
every device, what lies between two projections is cut.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from labs.formulas.liveness import Lifetime, peak_bytes

if TYPE_CHECKING:
    from labs.simulator.model_shape import ModelShape


@functools.cache
def layer_lifetimes(shape: ModelShape, tensor_parallel: int = 1) -> tuple[Lifetime, ...]:
    """One layer with fused kernels (rotation in place, attention without a score matrix, one kernel for the
    activation), each tensor freed after its last use. The layer's widest FFN is taken.

    Steps: 0 norm, 1 QKV, 2 attention, 3 output projection, 4 norm, 5 gate and up, 6 activation, 7 down.
    """
    inner, out = _attention_widths(shape)
    ffn, copies = _ffn_width(shape)
    hidden = shape.hidden
    return (
        Lifetime("residual", 0, 7, hidden),
        Lifetime("norm 1", 0, 1, hidden),
        Lifetime("qkv", 1, 2, inner / tensor_parallel),
        Lifetime("attention", 2, 3, out / tensor_parallel),
        Lifetime("o", 3, 4, hidden),  # added to the residual as the next norm reads both
        Lifetime("norm 2", 4, 5, hidden),
        Lifetime("gate_up", 5, 6, 2 * ffn / tensor_parallel),
        Lifetime("activation", 6, 7, ffn / tensor_parallel),
        Lifetime("down", 7, 7, copies * hidden),
    )


def workspace_elements(shape: ModelShape, tensor_parallel: int = 1) -> float:
    """Elements a token that a layer needs at its peak; the layers follow each other in the same memory."""
    return peak_bytes(layer_lifetimes(shape, tensor_parallel))


@functools.cache
def engine_lifetimes(shape: ModelShape, gathered: float = 1.0, widened: int = 1) -> tuple[Lifetime, ...]:
    """A dense GQA layer as ``labs.engine.torch_path`` computes it, in plain torch operations.

    Rotation makes new tensors; a chunk's keys and values are gathered from their blocks (``gathered`` slots a
    token of the step) and, like the queries, ``widened`` where attention computes in a wider type; a Python
    name holds its tensor until it is assigned again, so the norm before attention lives until the next norm.
    """
    hidden, ffn = shape.hidden, shape.intermediate
    q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    return (
        Lifetime("cos, sin", 0, 15, shape.head_dim),
        Lifetime("residual", 0, 9, hidden),
        Lifetime("norm 1", 1, 10, hidden),
        Lifetime("qkv", 2, 7, q + 2 * kv),
        Lifetime("rotated k", 3, 4, 2 * kv),
        Lifetime("rotated q", 5, 7, q),
        Lifetime("halves of q", 5, 5, q),
        Lifetime("gathered kv", 6, 7, 2 * kv * gathered * widened),
        Lifetime("wide q", 7, 7, q * widened if widened > 1 else 0),
        Lifetime("attention", 7, 8, q * widened),
        Lifetime("o", 8, 9, hidden),
        Lifetime("residual 2", 9, 15, hidden),
        Lifetime("norm 2", 10, 15, hidden),
        Lifetime("gate_up", 11, 12, 2 * ffn),
        Lifetime("activation", 12, 13, ffn),
        Lifetime("down", 13, 14, hidden),
        Lifetime("residual 3", 14, 15, hidden),
    )


def _attention_widths(shape: ModelShape) -> tuple[float, float]:
    """What attention reads and writes a token: Q, K, V of all heads, and their mix."""
    if shape.latent is None:
        q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        return q + 2 * kv, q
    latent = shape.latent
    query = latent.nope_head_dim + latent.rope_head_dim
    # Prefill expands the latent to K and V of all heads (DeepSeek-V2, 2405.04434, section 2.1.2).
    heads = shape.heads * (query + query + latent.value_head_dim)
    return heads, shape.heads * latent.value_head_dim


def _ffn_width(shape: ModelShape) -> tuple[float, int]:
    """Elements a token between gate and down, and how many outputs there are before they are summed."""
    if shape.experts is None:
        return shape.intermediate, 1
    experts = shape.experts
    sparse = experts.chosen * experts.width + experts.shared_width
    dense = shape.intermediate if experts.layers < shape.layers else 0
    return max(sparse, dense), experts.chosen
