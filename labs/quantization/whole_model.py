"""Every linear layer of a model quantised alike for the length of a ``with`` block, and always restored."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from labs.models.llama import iter_linears
from labs.quantization.quantizer import round_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Generator, Tensor, nn

    from labs.models.llama import Llama
    from labs.quantization.config import QuantizerConfig


class WeightBuffers:
    """Memory for one quantised copy of the linear weights, kept from one point of a sweep to the next:
    touching fresh pages costs more than quantising into warm ones."""

    def __init__(self) -> None:
        self._buffers: dict[int, Tensor] = {}

    def like(self, index: int, weight: Tensor) -> Tensor:
        """A contiguous buffer for the ``index``-th layer with the shape of ``weight``."""
        if index not in self._buffers:
            self._buffers[index] = torch.empty_like(weight, memory_format=torch.contiguous_format)
        return self._buffers[index]


@contextlib.contextmanager
def quantized_model(
    model: Llama,
    config: QuantizerConfig,
    *,
    buffers: WeightBuffers | None = None,
    generator: Generator | None = None,
    on_layer: Callable[[float], None] = lambda share: None,
) -> Iterator[None]:
    """The projections' weights, or their inputs, pass through the quantiser; embedding and head do not.

    An activation is quantised when it arrives, with the scales of the very tokens in that pass (dynamic
    quantisation). ``on_layer`` gets the share of weights done and may raise: the model is still restored.
    """
    if config.matrix == "weight":
        with _weights(model, config, buffers or WeightBuffers(), generator, on_layer):
            yield
    else:
        with _activations(model, config, generator):
            yield


@contextlib.contextmanager
def _weights(
    model: Llama,
    config: QuantizerConfig,
    buffers: WeightBuffers,
    generator: Generator | None,
    on_layer: Callable[[float], None],
) -> Iterator[None]:
    linears = [module for _, _, module in iter_linears(model)]
    originals = [module.weight.data for module in linears]
    try:
        for index, (module, original) in enumerate(zip(linears, originals, strict=True)):
            out = buffers.like(index, original)
            module.weight.data = round_matrix(original.contiguous(), config, out, generator)
            on_layer((index + 1) / len(linears))
        yield
    finally:
        for module, original in zip(linears, originals, strict=True):
            module.weight.data = original


@contextlib.contextmanager
def _activations(model: Llama, config: QuantizerConfig, generator: Generator | None) -> Iterator[None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        x = inputs[0]
        flat = x.reshape(-1, x.shape[-1]).contiguous()
        return (round_matrix(flat, config, torch.empty_like(flat), generator).view(x.shape),)

    handles = []
    try:
        for _, _, module in iter_linears(model):
            handles.append(module.register_forward_pre_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()
