"""The five ways to run a linear layer that are compared, and the shapes that the model gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from labs.models.config import linear_shapes
from labs.models.llama import linear
from labs.quantization.linear import dense, int4_weight, int8_dynamic, int8_weight
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from labs.models.config import ModelConfig
    from labs.models.llama import Llama
    from labs.quantization.linear import LowPrecisionLinear

    Builder = Callable[[Tensor, str], LowPrecisionLinear]


@dataclass(frozen=True)
class Mode:
    """``build`` packs a projection, ``build_head`` the output head: INT4 would hurt it, so it gets INT8."""

    title: Text
    build: Builder
    build_head: Builder
    activations: torch.dtype


MODES: dict[str, Mode] = {
    "fp32": Mode(same("FP32"), dense(torch.float32), dense(torch.float32), torch.float32),
    "bf16": Mode(same("BF16"), dense(torch.bfloat16), dense(torch.bfloat16), torch.bfloat16),
    "int8": Mode(Text(zh="INT8 仅权重", en="INT8 weights"), int8_weight, int8_weight, torch.bfloat16),
    "int4": Mode(Text(zh="INT4 仅权重", en="INT4 weights"), int4_weight, int8_weight, torch.bfloat16),
    "w8a8": Mode(Text(zh="INT8 动态", en="INT8 dynamic"), int8_dynamic, int8_dynamic, torch.float32),
}


@dataclass(frozen=True)
class LinearShape:
    """``count`` layers of the model have this shape; ``modules`` are their names, or ``lm_head``."""

    modules: tuple[str, ...]
    outputs: int
    inputs: int
    count: int

    @property
    def title(self) -> Text:
        return same(f"{', '.join(self.modules)} [{self.outputs}×{self.inputs}]")

    @property
    def is_head(self) -> bool:
        return self.modules == ("lm_head",)

    def builder(self, mode: Mode) -> Builder:
        return mode.build_head if self.is_head else mode.build

    def weight(self, model: Llama) -> Tensor:
        """A real weight of this shape, fp32 on the CPU."""
        if self.is_head:
            return model.lm_head.weight.detach()
        return linear(model, len(model.layers) // 2, self.modules[0]).weight.detach()


def model_shapes(config: ModelConfig) -> list[LinearShape]:
    """The distinct shapes in forward order, the head last."""
    modules: dict[tuple[int, int], list[str]] = {}
    for name, shape in linear_shapes(config).items():
        modules.setdefault(shape, []).append(name)
    found = [
        LinearShape(tuple(names), *shape, len(names) * config.layers) for shape, names in modules.items()
    ]
    return [*found, LinearShape(("lm_head",), config.vocab, config.hidden, 1)]
