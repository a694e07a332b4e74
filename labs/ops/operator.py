"""What an operator is: a naive reference, a Triton kernel, a fast path on the CPU, and its bytes and FLOPs.

One file an operator, which ends in ``OPERATOR = Operator(...)``; nothing else is edited to add one. All its
functions take the same named arguments, which ``inputs`` makes; ``tests/labs/ops/test_operators.py`` holds
every operator to the same checks, and the labs find them here.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

from labs.inspection.process import HAS_TRITON as HAS_TRITON

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from labs.text import Text

Dtype = Literal["fp32", "fp16", "bf16"]
DTYPES: dict[Dtype, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_MARGIN = 64  # elements of NaN before and behind a poisoned tensor


@dataclass(frozen=True)
class Work:
    """What an operator must do at one size, in bytes and FLOPs.

    ``read`` and ``written``: each byte once, however often it is loaded. ``loaded`` and ``stored`` count the
    kernel's own loads and stores, tiles that are loaded again included (as much, unless given).
    ``matrix_flops`` are products and sums of ``tl.dot``, ``vector_flops`` all other operations on floats,
    counted as ``labs.inspection.interpreted`` does.
    """

    read: int
    written: int
    matrix_flops: int = 0
    vector_flops: int = 0
    loaded: int | None = None
    stored: int | None = None

    @property
    def bytes(self) -> int:
        return self.read + self.written

    @property
    def flops(self) -> int:
        return self.matrix_flops + self.vector_flops

    @property
    def intensity(self) -> float:
        """FLOP/B"""
        return self.flops / self.bytes


@dataclass(frozen=True)
class Case:
    """One size of an operator: its dimensions by name, and whatever else ``inputs`` reads (``causal=1``)."""

    sizes: Mapping[str, int]
    dtype: Dtype = "fp32"

    def __getitem__(self, name: str) -> int:
        return self.sizes[name]

    @property
    def element_bytes(self) -> int:
        return DTYPES[self.dtype].itemsize

    def __str__(self) -> str:
        return "-".join([*(f"{name}{size}" for name, size in self.sizes.items()), self.dtype])


@dataclass
class Tensors:
    """Makes an operator's inputs. ``poisoned`` puts NaN before and behind each: what is read there shows.

    ``blank`` leaves them unwritten, at no cost: enough to see what would be launched.
    """

    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    seed: int = 0
    poisoned: bool = False
    blank: bool = False
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)

    def normal(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Normally distributed, in ``dtype``."""
        if self.blank:
            return torch.empty(shape, dtype=self.dtype, device=self.device)
        return self.placed(scale * torch.randn(shape, generator=self.generator).to(self.dtype))

    def integers(self, low: int, high: int, *shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
        """Uniform from ``low`` up to, not including, ``high``."""
        if self.blank:
            return torch.empty(shape, dtype=dtype, device=self.device)
        return self.placed(torch.randint(low, high, shape, generator=self.generator).to(dtype))

    def placed(self, tensor: Tensor) -> Tensor:
        """On the device and, where poisoned, between margins (NaN; the least value of an integer type)."""
        if not self.poisoned:
            return tensor.to(self.device)
        poison = torch.nan if tensor.is_floating_point() else torch.iinfo(tensor.dtype).min
        held = torch.full((tensor.numel() + 2 * _MARGIN,), poison, dtype=tensor.dtype, device=self.device)
        view = held[_MARGIN : _MARGIN + tensor.numel()].view(tensor.shape)
        view.copy_(tensor)
        return view


def poison_unwritten(poisoned: bool = True) -> None:
    """Let ``torch.empty`` give NaN in this process: what a kernel leaves unwritten shows."""
    # torch.use_deterministic_algorithms would import Inductor first.
    torch._C._set_deterministic_algorithms(poisoned, warn_only=True)


class Inputs(Protocol):
    def __call__(self, case: Case, make: Tensors) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Operator:
    """``naive``, ``triton`` and ``fast`` take what ``inputs`` makes, by name, and give a tensor or several.

    ``naive`` computes in fp32 as the definition is written. ``triton`` launches the kernels (None where there
    is no Triton). ``fast`` is the way that is worth measuring on a CPU, None: there is none beside naive.
    ``native``: the compiled kernels of ``fast``, or the Text why there are none here and torch does it alone;
    None: it is torch everywhere.
    ``odd``: sizes at which tiles are ragged; ``aligned``: sizes at which the interpreter's counts equal
    ``work`` exactly; ``shipped``: sizes that are compiled for every target, in the types that are served.
    ``tolerance``: relative difference from naive, by norms, that rounding may make in each type.
    """

    name: str
    title: Text
    inputs: Inputs
    naive: Callable[..., Any]
    triton: Callable[..., Any] | None
    work: Callable[[Case], Work]
    odd: tuple[Case, ...]
    aligned: tuple[Case, ...]
    shipped: tuple[Case, ...]
    fast: Callable[..., Any] | None = None
    native: Callable[[], Any] | None = None
    multiplies_matrices: bool = False
    tolerance: Mapping[Dtype, float] = field(
        default_factory=lambda: {"fp32": 1e-5, "fp16": 2e-3, "bf16": 1.6e-2}
    )

    def make(
        self, case: Case, *, device: str = "cpu", seed: int = 0, poisoned: bool = False
    ) -> dict[str, Any]:
        """Inputs of one size, ready to be passed by name."""
        return self.inputs(case, Tensors(DTYPES[case.dtype], device, seed, poisoned))


@cache
def operators() -> dict[str, Operator]:
    """All of this package, by name, in alphabetical order."""
    import labs.ops

    names = sorted(module.name for module in pkgutil.iter_modules(labs.ops.__path__))
    modules = (importlib.import_module(f"labs.ops.{name}") for name in names)
    found = [module.OPERATOR for module in modules if hasattr(module, "OPERATOR")]
    return {operator.name: operator for operator in found}
