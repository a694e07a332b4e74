"""What a call of torch code would launch on a GPU: each kernel with its arguments, recorded, not run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from triton.runtime.jit import JITFunction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Launch:
    """``kernel[grid](*args, **options)``; ``options`` holds named arguments, num_warps and num_stages."""

    kernel: JITFunction[Any]
    args: tuple[Any, ...]
    options: dict[str, Any]
    grid: tuple[int, ...]

    @property
    def name(self) -> str:
        return str(self.kernel.fn.__name__)


def launches_of(call: Callable[[], object]) -> list[Launch]:
    """What ``call`` launches, in order. Its tensors may be on the CPU: nothing runs, no output is written."""
    with _recorded() as launches:
        call()
    return launches


@contextmanager
def _recorded() -> Iterator[list[Launch]]:
    launches: list[Launch] = []
    run = JITFunction.run

    def note(self, *args, grid, warmup, **options):  # type: ignore[no-untyped-def]
        named = dict(zip(self.arg_names, args, strict=False)) | options
        launches.append(Launch(self, args, options, tuple(grid(named) if callable(grid) else grid)))

    JITFunction.run = note
    try:
        yield launches
    finally:
        JITFunction.run = run
