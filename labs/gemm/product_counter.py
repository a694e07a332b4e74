"""Counts the FLOPs of every matrix product that torch really dispatches.

torch's own FlopCounterMode would do, but its first use imports torch._dynamo, which takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from torch import Tensor, nn

_ATEN = torch.ops.aten
# The operands' place among the arguments; a bias comes before them.
_PLACES = {_ATEN.mm: 0, _ATEN.bmm: 0, _ATEN.addmm: 1, _ATEN.baddbmm: 1}


class ProductCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """FLOPs of products ``with_weights``, in which a parameter of ``model`` takes part, and of ``others``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._weights = {_memory(parameter) for parameter in model.parameters()}
        self.with_weights = 0
        self.others = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        place = _PLACES.get(func.overloadpacket)
        if place is not None:
            operands = args[place : place + 2]
            # Each number of the result is the sum of as many products as the left operand has columns.
            flops = 2 * out.numel() * operands[0].shape[-1]
            if any(_memory(one) in self._weights for one in operands):
                self.with_weights += flops
            else:
                self.others += flops
        return out


def _memory(tensor: Tensor) -> int:
    """Where its numbers lie, the same for every view of them."""
    return tensor.untyped_storage().data_ptr()
