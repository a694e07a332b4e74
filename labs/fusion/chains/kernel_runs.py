"""A cut chain in the processes that run kernels: checked and counted in the interpreter, or compiled.

Both functions are asked through ``labs.inspection.process``; each kernel is recorded by itself, because a
tensor that two kernels load crosses the bus twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from labs.fusion.chains.catalogue import CHAINS
from labs.fusion.chains.kernel_source import kernels, text
from labs.fusion.chains.product_chain import ProductChain
from labs.fusion.chains.product_source import launch_product
from labs.inspection.compiled import Compiled, Target  # noqa: TC001 - read from annotations when asked
from labs.inspection.text_module import text_module
from labs.measure import Timing

if TYPE_CHECKING:
    from types import ModuleType

    from torch import Tensor

    from labs.fusion.chains.elementwise_chains import Chain, ChainName, Kernel
    from labs.ops.operator import Dtype


_FILE = "fused_kernels.py"
TOLERANCE: dict[Dtype, float] = {"fp32": 1e-5, "fp16": 2e-3}


class KernelCount(msgspec.Struct, frozen=True):
    """Bytes of one kernel: each once (``read``, ``written``), and all its loads (``loaded``)."""

    name: str
    read: int
    written: int
    loaded: int
    flops: int


class Counted(msgspec.Struct, frozen=True):
    """``gap``: relative difference of the outputs from torch in fp32, by norms. ``outside``: lanes that
    touched what is no tensor."""

    kernels: list[KernelCount]
    gap: float
    tolerance: float
    outside: int

    @property
    def passed(self) -> bool:
        return self.gap <= self.tolerance and not self.outside

    @property
    def bytes(self) -> int:
        return self.read + self.written

    @property
    def read(self) -> int:
        return sum(one.read for one in self.kernels)

    @property
    def written(self) -> int:
        return sum(one.written for one in self.kernels)


class Timed(msgspec.Struct, frozen=True):
    """A cut on the device that is here; ``timing`` of all its kernels, None where the outputs are wrong."""

    gap: float
    timing: Timing | None


def count(name: ChainName, groups: list[list[int]], rows: int, columns: int, dtype: Dtype) -> Counted:
    """In the interpreter, on inputs between margins of NaN."""
    from labs.relative_error import relative_error

    chain = CHAINS[name]
    given = inputs(chain, rows, columns, dtype, poisoned=True)
    held, counted, outside = dict(given), [], 0
    parts = kernels(chain, groups)
    with text_module(text(parts), _FILE) as made:
        for part in parts:
            one, beyond = _counted(chain, made, part, held, rows, columns)
            counted.append(one)
            outside += beyond
    found = tuple(held[one] for one in chain.outputs)
    wanted = chain.fused(**{one: tensor.float() for one, tensor in given.items()})
    return Counted(counted, relative_error(found, wanted), TOLERANCE[dtype], outside)


def time(
    name: ChainName,
    groups: list[list[int]],
    rows: int,
    columns: int,
    dtype: Dtype,
    warps: int,
    device: str = "cuda",
) -> Timed:
    """Natively on ``device``: checked there, then timed; outputs are allocated once, before."""
    from labs.measure import time_calls
    from labs.relative_error import relative_error

    chain, parts = CHAINS[name], kernels(CHAINS[name], groups)
    given = inputs(chain, rows, columns, dtype, device=device)
    held = dict(given)
    for part in parts:
        _allocate(chain, part, held, rows, columns)
    with text_module(text(parts), _FILE) as made:

        def launch() -> None:
            for part in parts:
                _run(chain, made, part, held, rows, columns, num_warps=warps)

        launch()
        wanted = chain.fused(**{one: tensor.float() for one, tensor in given.items()})
        gap = relative_error(tuple(held[one] for one in chain.outputs), wanted)
        return Timed(gap, time_calls(launch, device) if gap <= TOLERANCE[dtype] else None)


def build(
    name: ChainName,
    groups: list[list[int]],
    columns: int,
    dtype: Dtype,
    warps: int,
    target: Target,
    rows: int = 16,
) -> list[Compiled]:
    """Machine code of every kernel for ``target``, without its texts. ``rows``: those for which a product's
    tile is chosen."""
    from labs.inspection.compiled import compile_launch
    from labs.inspection.launches import launches_of

    chain = CHAINS[name]
    held = inputs(chain, rows, columns, dtype, blank=True)
    parts = kernels(chain, groups)
    with text_module(text(parts), _FILE) as made:

        def launch() -> None:
            for part in parts:
                _launch(chain, made, part, held, rows, columns, num_warps=warps)

        built = [compile_launch(one, target) for one in launches_of(launch)]
    return [msgspec.structs.replace(one, stages={}) for one in built]


def inputs(
    chain: Chain,
    rows: int,
    columns: int,
    dtype: Dtype,
    *,
    poisoned: bool = False,
    blank: bool = False,
    device: str = "cpu",
) -> dict[str, Tensor]:
    """The chain's inputs by name, normally distributed."""
    from labs.ops.operator import DTYPES, Tensors

    return chain.given(Tensors(DTYPES[dtype], device, poisoned=poisoned, blank=blank), rows, columns)


def _counted(
    chain: Chain, made: ModuleType, part: Kernel, held: dict[str, Tensor], rows: int, columns: int
) -> tuple[KernelCount, int]:
    from labs.inspection.interpreted import Recorder

    recorder = Recorder()
    with recorder.entered():
        _launch(chain, made, part, held, rows, columns)
    recording = recorder.recording()
    read = sum(one.distinct_loaded_bytes for one in recording.tensors)
    written = sum(one.distinct_stored_bytes for one in recording.tensors)
    loaded = sum(one.loaded_bytes for one in recording.tensors)
    return KernelCount(part.name, read, written, loaded, recording.vector_flops), recording.outside


def _launch(
    chain: Chain,
    made: ModuleType,
    part: Kernel,
    held: dict[str, Tensor],
    rows: int,
    columns: int,
    **options: int,
) -> None:
    """Launch one kernel; what it makes is put into ``held``."""
    _allocate(chain, part, held, rows, columns)
    _run(chain, made, part, held, rows, columns, **options)


def _allocate(chain: Chain, part: Kernel, held: dict[str, Tensor], rows: int, columns: int) -> None:
    """NaN for what the kernel makes: what it does not write shows."""
    import torch

    like = held[chain.inputs[0]]
    for name in part.stores:
        kind = torch.float32 if name in chain.in_fp32 else like.dtype
        size = chain.size(name, rows, columns)
        held[name] = torch.full(size, torch.nan, dtype=kind, device=like.device)


def _run(
    chain: Chain,
    made: ModuleType,
    part: Kernel,
    held: dict[str, Tensor],
    rows: int,
    columns: int,
    **options: int,
) -> None:
    import triton

    tensors = [held[name] for name in (*part.loads, *part.stores)]
    kernel = getattr(made, part.name)
    if isinstance(chain, ProductChain):
        launch_product(kernel, part, tensors, rows, columns, **options)
    else:
        kernel[(rows,)](*tensors, columns, WIDTH=triton.next_power_of_2(columns), **options)
