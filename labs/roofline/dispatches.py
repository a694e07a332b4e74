"""How many operators torch really runs in a call, and their events: by torch's own profiler."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

# What torch.profiler builds on: the latter also imports torch's compiler, which takes seconds.
from torch.autograd.profiler import profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

# Kineto tells of every start and stop on stderr unless it is told not to, before its first use.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

# They look at a tensor's shape, or allocate, and leave its elements alone.
IDLE: Final = frozenset(
    f"aten::{name}"
    for name in (
        *("as_strided", "view", "_unsafe_view", "_reshape_alias", "reshape", "expand", "t", "transpose"),
        *(
            "slice",
            "narrow",
            "split",
            "split_with_sizes",
            "chunk",
            "select",
            "unsqueeze",
            "squeeze",
            "permute",
            "alias",
            "detach",
        ),
        *("to", "_to_copy", "type_as", "result_type", "resolve_conj", "resolve_neg", "lift_fresh"),
        *("empty", "empty_like", "empty_strided", "resize_", "item", "_local_scalar_dense"),
    )
)


def recorded(call: Callable[[], object], device: str, *, with_flops: bool = False) -> Any:
    """The profile of one call, with a GPU's kernels where there is one."""
    gpu = device.startswith("cuda")
    with profile(use_device="cuda" if gpu else None, with_flops=with_flops) as found:
        call()
        if gpu:
            torch.cuda.synchronize()
    return found


def dispatches(call: Callable[[], object], device: str = "cpu") -> int:
    """Operators that do some work in one call: those within an operator count, not the one around them.

    On a GPU its kernels and copies, Triton's too, where the driver lets them be seen.
    """
    call()  # what happens the first time only is not the call's
    events = recorded(call, device).function_events
    if launched := sum(on_gpu(event) for event in events):
        return launched
    return sum(_working(event) for event in events if event.cpu_parent is None)


def on_gpu(event: Any) -> bool:
    """Whether an event is a kernel or a copy on the GPU, and not the shadow of a range of the host's."""
    return event.device_type.name != "CPU" and not event.is_user_annotation


def _working(event: Any) -> int:
    within = sum(_working(child) for child in event.cpu_children)
    return within or int(event.name.startswith("aten::") and event.name not in IDLE)
