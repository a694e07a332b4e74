"""Counts the FLOPs of every matrix product that torch really dispatches.

torch's own FlopCounterMode would do, but its first use imports torch._dynamo, which takes seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from torch import Tensor

_ATEN = torch.ops.aten
# The operands' place among the arguments; a bias comes before them.
_PLACES = {_ATEN.mm: 0, _ATEN.bmm: 0, _ATEN.addmm: 1, _ATEN.baddbmm: 1}
_WITH_WEIGHTS = (_ATEN.mm, _ATEN.addmm)


class ProductCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """``weights``: FLOPs of products of two matrices; ``batched``: of batches of them, as attention has."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = 0
        self.batched = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if packet in _PLACES:
            flops = _flops(args[_PLACES[packet]], out)
            if packet in _WITH_WEIGHTS:
                self.weights += flops
            else:
                self.batched += flops
        return out


def _flops(left: Tensor, out: Tensor) -> int:
    """Each number of the result is the sum of as many products as the left operand has columns."""
    return 2 * out.numel() * left.shape[-1]
