"""The shape of a decoder: what decides its bytes and FLOPs, with GQA or latent attention, dense or experts.

Symbols: hidden width H, query heads A, KV heads K, head dim D, FFN width F, vocabulary V.
"""

from __future__ import annotations

import functools

import msgspec


class LatentAttention(msgspec.Struct, frozen=True, kw_only=True):
    """Multi-head latent attention (DeepSeek-V2, 2405.04434, section 2.1): K and V come from one latent.

    A head's query and key have ``nope_head_dim`` plain and ``rope_head_dim`` rotary dimensions. Without a
    ``q_rank`` queries are projected directly.
    """

    q_rank: int | None
    kv_rank: int
    nope_head_dim: int
    rope_head_dim: int
    value_head_dim: int


class Experts(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` routed experts of FFN width ``width``, ``chosen`` of them a token, in ``layers`` layers.

    ``shared_width`` is the width of what every token uses besides, 0 without. Other layers have a dense FFN.
    """

    count: int
    chosen: int
    width: int
    layers: int
    shared_width: int = 0
    bias: bool = False  # on the experts and the router
    correction_bias: bool = False  # one number an expert, which only steers the choice


class ModelShape(msgspec.Struct, frozen=True, kw_only=True):
    """A decoder's shape. ``windows`` holds each layer's sliding window in tokens, or None for all of them.

    ``intermediate`` is the dense FFN's width. With ``latent``, ``kv_heads`` and ``head_dim`` mean nothing.
    ``source`` says where the shape is published. ValueError on an impossible shape.
    """

    name: str
    source: str
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    windows: tuple[int | None, ...]
    tied_embeddings: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    attention_sinks: bool = False
    latent: LatentAttention | None = None
    experts: Experts | None = None

    def __post_init__(self) -> None:
        for name in ("hidden", "intermediate", "heads", "kv_heads", "head_dim", "vocab", "context", "layers"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}, expected a positive number")
        if self.latent is None and self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} KV heads evenly")
        if any(window is not None and window < 1 for window in self.windows):
            raise ValueError("a sliding window of less than one token")
        if self.experts and not 0 < self.experts.chosen <= self.experts.count:
            raise ValueError(f"{self.experts.chosen} of {self.experts.count} experts")
        if self.experts and not 0 < self.experts.layers <= self.layers:
            raise ValueError(f"{self.experts.layers} of {self.layers} layers with experts")

    @property
    def layers(self) -> int:
        return len(self.windows)

    @property
    def embedding_parameters(self) -> int:
        """Of the input table, ``[V, H]``; the head has as many, unless it is this table."""
        return self.vocab * self.hidden


@functools.cache
def attention_matrices(shape: ModelShape) -> int:
    """Weights of one layer's attention projections, without biases and norms."""
    if shape.latent is None:
        return shape.hidden * shape.head_dim * 2 * (shape.heads + shape.kv_heads)
    latent, heads = shape.latent, shape.heads
    query_dim = latent.nope_head_dim + latent.rope_head_dim
    if latent.q_rank is None:
        queries = shape.hidden * heads * query_dim
    else:
        queries = latent.q_rank * (shape.hidden + heads * query_dim)
    compress = shape.hidden * (latent.kv_rank + latent.rope_head_dim)
    return queries + compress + kv_expansion(shape) + heads * latent.value_head_dim * shape.hidden


def kv_expansion(shape: ModelShape) -> int:
    """Weights that expand a cached latent to all heads' K and V, in one layer; 0 without latent attention."""
    if shape.latent is None:
        return 0
    latent = shape.latent
    return latent.kv_rank * shape.heads * (latent.nope_head_dim + latent.value_head_dim)


def expert_parameters(shape: ModelShape) -> int:
    """Weights of one routed expert in one layer: gate, up and down, and biases; 0 in a dense model."""
    if shape.experts is None:
        return 0
    bias = 2 * shape.experts.width + shape.hidden if shape.experts.bias else 0
    return 3 * shape.hidden * shape.experts.width + bias


@functools.cache
def parameters(shape: ModelShape) -> int:
    """All weights; a tied embedding counts once. Multi-token prediction layers are not part of it."""
    routed = shape.experts.layers * shape.experts.count if shape.experts else 0
    return shape.embedding_parameters + _parameters_besides(shape) + routed * expert_parameters(shape)


@functools.cache
def active_parameters(shape: ModelShape) -> int:
    """Weights that one token's forward pass reads: ``chosen`` experts a layer, and no table of embeddings.

    Of the input table a token reads one row, so it is left out; the head counts, also where it is that table.
    Published figures differ in this (gpt-oss counts so: model card 2508.10925, table 1).
    """
    head = shape.embedding_parameters if shape.tied_embeddings else 0
    routed = shape.experts.layers * shape.experts.chosen if shape.experts else 0
    return head + _parameters_besides(shape) + routed * expert_parameters(shape)


def _parameters_besides(shape: ModelShape) -> int:
    """All weights but the input table and the routed experts."""
    head = 0 if shape.tied_embeddings else shape.embedding_parameters
    layer = attention_matrices(shape) + _attention_extras(shape) + 2 * shape.hidden
    return head + shape.hidden + shape.layers * layer + _ffn_parameters(shape)


def _attention_extras(shape: ModelShape) -> int:
    """Biases, norms and sinks of one layer's attention."""
    extras = 0
    if shape.latent is not None:
        extras += shape.latent.kv_rank + (shape.latent.q_rank or 0)  # a norm on each latent
    if shape.qkv_bias:
        extras += shape.head_dim * (shape.heads + 2 * shape.kv_heads)
    if shape.output_bias:
        extras += shape.hidden
    if shape.qk_norm:
        extras += 2 * shape.head_dim
    return extras + (shape.heads if shape.attention_sinks else 0)


def _ffn_parameters(shape: ModelShape) -> int:
    """Dense FFNs, routers and shared experts of all layers."""
    dense = 3 * shape.hidden * shape.intermediate
    if shape.mlp_bias:
        dense += 2 * shape.intermediate + shape.hidden
    if shape.experts is None:
        return shape.layers * dense
    experts = shape.experts
    router = experts.count * (shape.hidden + experts.bias + experts.correction_bias)
    sparse = router + 3 * shape.hidden * experts.shared_width
    return (shape.layers - experts.layers) * dense + experts.layers * sparse
