"""One real block of the model computed in several ways, to compare what each keeps in memory.

Shapes: T tokens, C width. All ways compute the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from labs.memory.live_storage import watch
from labs.models.llama import Block, causal_attention

if TYPE_CHECKING:
    from torch import Tensor

    from labs.models.llama import Llama


@dataclass(frozen=True)
class BlockInput:
    """A block, what flows into it ``[1, T, C]``, and the rotation of its positions."""

    block: Block
    x: Tensor
    cos: Tensor
    sin: Tensor


@torch.inference_mode()
def block_input(model: Llama, ids: Tensor, layer: int) -> BlockInput:
    """The input of block ``layer`` for the prompt ``ids [1, T]``, computed by the blocks before it."""
    caught: list[tuple[Tensor, ...]] = []
    block = model.layers[layer]
    assert isinstance(block, Block)
    hook = block.register_forward_pre_hook(lambda _module, args: caught.append(args[:3]))
    try:
        model.hidden(ids, layers=layer + 1)
    finally:
        hook.remove()
    # Clones that were made outside inference mode may be saved for a backward pass.
    with torch.inference_mode(False):
        x, cos, sin = (tensor.clone() for tensor in caught[0])
    return BlockInput(block, x, cos, sin)


def out_of_place(given: BlockInput) -> Tensor:
    """As the model's own module does it: every operation returns a new tensor."""
    out: Tensor = given.block(given.x, given.cos, given.sin, None)
    return out


def in_place(given: BlockInput) -> Tensor:
    """The same, written over operands that nothing reads any more, and freed as early as Python can.

    The input is left alone; its sum with attention's output becomes the residual stream that is added to.
    """
    block, cos, sin = given.block, given.cos, given.sin
    attention, mlp = block.self_attn, block.mlp
    x = given.x
    batch, tokens, _ = x.shape
    normed = block.input_layernorm(x)
    q, k, v = (
        projection(normed).view(batch, tokens, -1, attention.head_dim).transpose(1, 2)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    del normed
    q, k = attention.q_norm(q), attention.k_norm(k)
    _rotate_(q, cos, sin)
    _rotate_(k, cos, sin)
    mixed = causal_attention(q, k, v)
    del q, k, v
    x = attention.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, -1)).add_(x)
    del mixed
    normed = block.post_attention_layernorm(x)
    gate = F.silu(mlp.gate_proj(normed), inplace=True)
    gate.mul_(mlp.up_proj(normed))
    del normed
    out: Tensor = x.add_(mlp.down_proj(gate))
    return out


def kept_for_backward(given: BlockInput, checkpointing: bool = False) -> int:
    """Bytes that are still allocated after a forward pass that is to be trained on, its output left out.

    Every parameter needs a gradient, so operations save what the backward pass will read, the block's input
    among it; with activation checkpointing only that input stays, and the rest is computed again.
    """
    parameters = {name: tensor.detach().requires_grad_() for name, tensor in given.block.named_parameters()}

    def forward(x: Tensor) -> Tensor:
        return functional_call(given.block, parameters, (x, given.cos, given.sin, None))  # type: ignore[no-any-return]

    def train() -> Tensor:
        x = given.x.detach().requires_grad_()
        if not checkpointing:
            return forward(x)
        return checkpoint(forward, x, use_reentrant=False, preserve_rng_state=False)  # type: ignore[no-any-return]

    with torch.inference_mode(False), torch.enable_grad():
        record, output = watch(train)
        assert isinstance(output, torch.Tensor)
        return record.live_bytes - output.nbytes + given.x.nbytes


def _rotate_(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """``labs.models.llama.rotate`` over ``x`` itself; one half is copied, as both results need it."""
    a, b = x.chunk(2, dim=-1)
    kept = a.clone()
    a.mul_(cos).addcmul_(b, sin, value=-1)
    b.mul_(cos).addcmul_(kept, sin)
