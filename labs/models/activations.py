"""Real activations: what flows into chosen places of the model while it reads a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labs.models.config import LINEARS
from labs.models.llama import linear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor, nn

    from labs.models.llama import Llama

SITES = ("residual", "attention_input", "mlp_input", "down_proj_input")
# The norm's output is the input of each linear layer that reads it.
_SITE_LINEARS = {"attention_input": "q_proj", "mlp_input": "gate_proj", "down_proj_input": "down_proj"}


@torch.no_grad()
def capture(
    model: Llama, token_ids: Tensor | Sequence[int], wanted: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], Tensor]:
    """``{(layer, site): [B, T, channels]}`` in FP32 on the CPU, from one forward pass over ``token_ids``.

    A site is one of ``SITES`` (``residual`` is the stream that enters the block) or the name of a linear
    layer, whose input is meant. Layers behind the last one wanted are not run. The hooks are removed even if
    the pass fails.
    """
    sites = list(dict.fromkeys(wanted))
    ids = torch.as_tensor(token_ids, device=model.embed_tokens.weight.device)
    found: dict[tuple[int, str], Tensor] = {}
    handles = []
    try:
        for layer, site in sites:
            hook = _keep(found, (layer, site))
            handles.append(_module(model, layer, site).register_forward_pre_hook(hook))
        model.hidden(ids.view(-1, ids.shape[-1]), layers=1 + max((layer for layer, _ in sites), default=-1))
    finally:
        for handle in handles:
            handle.remove()
    return {key: found[key] for key in sites}


def _module(model: Llama, layer: int, site: str) -> nn.Module:
    """The module whose input the site is."""
    if not 0 <= layer < len(model.layers):
        raise ValueError(f"layer {layer}: the model has {len(model.layers)}")
    if site == "residual":
        return model.layers[layer]
    name = _SITE_LINEARS.get(site, site)
    if name not in LINEARS:
        raise ValueError(f"site {site!r}: expected one of {', '.join((*SITES, *LINEARS))}")
    return linear(model, layer, name)


def _keep(
    found: dict[tuple[int, str], Tensor], key: tuple[int, str]
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        # Cloned: a block may write into the tensor that it was given.
        found[key] = inputs[0].detach().to(device="cpu", dtype=torch.float32, copy=True)

    return hook
