"""A GPU that is not there: tensors that say ``cuda`` and compute on the CPU, and refuse what CUDA refuses.

Within ``fake_cuda()`` torch finds one device. A tensor placed there holds a CPU tensor: it cannot be read by
numpy or by a pointer, nor mixed with CPU tensors of one dimension or more; a CPU generator cannot fill it.
Triton's launches check that every tensor is on the GPU, and write nothing.
"""

from __future__ import annotations

import contextlib
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch._dynamo  # now: it would not find itself on a machine that is half replaced
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from labs.inspection.process import HAS_TRITON

if TYPE_CHECKING:
    from collections.abc import Iterator

CUDA = torch.device("cuda", 0)
# What reads a number: torch would switch to the device first.
_READ = {"tolist", "item", "__float__", "__int__", "__bool__", "__index__", "__contains__"}
# Between devices by design, and indices that may lie on the host.
_ACROSS = {
    "aten::copy_",
    "aten::_to_copy",
    "aten::to",
    "aten::index.Tensor",
    "aten::index_put_",
    "aten::_copy_from",
}


class Held(torch.Tensor):
    """A tensor on the GPU that is not there."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Held:
        strided = inner.layout == torch.strided
        with torch.inference_mode(False):  # or it could be no view of a tensor made outside
            made = torch.Tensor._make_wrapper_subclass(
                cls,
                inner.shape,
                strides=inner.stride() if strided else None,
                storage_offset=inner.storage_offset() if strided else 0,
                dtype=inner.dtype,
                layout=inner.layout,
                device=CUDA,
            )
        made.inner = inner
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Held({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class _Indexed(TorchFunctionMode):
    """``cuda`` is ``cuda:0``: torch would ask the driver which one is meant."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.__name__ == "cuda" and args and isinstance(args[0], torch.Tensor):
            return args[0].to(CUDA)
        if func is torch.tensor and (kwargs or {}).get("device") is not None:
            return torch.tensor(args[0], dtype=kwargs.get("dtype")).to(kwargs["device"])
        held = args and isinstance(args[0], Held)
        if held and func.__name__ in _READ:
            return func(args[0].inner, *args[1:])
        if held and func.__name__ == "data_ptr":
            raise RuntimeError("the host asks for a pointer into the GPU's memory")
        named = {key: one for key, one in (kwargs or {}).items() if key != "pin_memory"}
        try:
            return func(*tree_map(_indexed, args), **tree_map(_indexed, named))
        except RuntimeError as error:
            if not held or "not linked" not in str(error):
                raise
        # It wanted to switch to the device first, as what is not generated does: indexing, copying, ~.
        found = func(*tree_map(_bare, args), **tree_map(_bare, named))
        return args[0] if found is args[0].inner else Held(found) if found is not None else None


def _bare(one: Any) -> Any:
    return one.inner if isinstance(one, Held) else one


def _host(one: Any) -> Any:
    return torch.device("cpu") if isinstance(one, torch.device) else one


def _indexed(one: Any) -> Any:
    named = isinstance(one, str) and one == "cuda"
    return CUDA if named or (isinstance(one, torch.device) and one.type == "cuda") else one


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func._schema.name
    if name == "aten::_fused_sdp_choice":
        return 0  # plain matrix products
    if name == "aten::_has_compatible_shallow_copy_type":
        return False
    flat = list(tree_flatten((args, kwargs))[0])
    tensors = [one for one in flat if isinstance(one, torch.Tensor)]
    there = any(isinstance(one, Held) for one in tensors)
    target = there
    if places := [one for one in flat if isinstance(one, torch.device)]:
        target = places[0].type == "cuda"
        args, kwargs = tree_map(_host, args), tree_map(_host, kwargs)
    across = name in _ACROSS or f"{name}.{func._overloadname}" in _ACROSS
    if name in ("aten::index", "aten::index_put_", "aten::copy_"):
        target = isinstance(tensors[0], Held)
        if not target and name != "aten::copy_" and there:
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor")
    elif there and not across:
        for one in tensors:
            if not isinstance(one, Held) and one.dim():
                raise RuntimeError(f"Expected all tensors to be on the same device: {name}")
    for one in flat:
        if isinstance(one, torch._C.Generator) and _on_gpu(one) != target:
            raise RuntimeError(
                f"Expected a '{'cuda' if target else 'cpu'}' device type for generator: {name}"
            )
    found = func(*tree_map(_bare, args), **tree_map(_bare, kwargs))
    if name == "aten::to" and places and target != there:
        found = found.clone()  # else it could be the very tensor that was to be moved
    if not target:
        return found
    known = {id(one.inner): one for one in tensors if isinstance(one, Held)}

    def held(one: Any) -> Any:
        if not isinstance(one, torch.Tensor) or isinstance(one, Held):
            return one
        return known[id(one)] if id(one) in known else Held(one)

    return tree_map(held, found)


_GENERATORS: list[torch.Generator] = []  # those of the GPU


class Generator(torch.Generator):
    """Of the host or of the GPU."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        made = super().__new__(cls, "cpu")
        if torch.device(device).type == "cuda":
            _GENERATORS.append(made)
        return made


def _on_gpu(generator: Any) -> bool:
    return any(one._cdata == generator._cdata for one in _GENERATORS)


class Event:
    """Of the host's clock: everything is computed when it is launched."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.at = 0.0

    def record(self, stream: Any = None) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, other: Event) -> float:
        return 1e3 * (other.at - self.at)


@contextlib.contextmanager
def fake_cuda() -> Iterator[None]:
    """One GPU, of compute capability 8.9, as long as the block lasts."""
    facts = SimpleNamespace(
        name="GPU", L2_cache_size=1 << 20, multi_processor_count=24, major=8, minor=9, total_memory=8 << 30
    )
    replaced: dict[str, Any] = {
        "is_available": True,
        "is_initialized": True,
        "device_count": 1,
        "current_device": 0,
        "get_device_name": "GPU",
        "get_device_capability": (8, 9),
        "get_device_properties": facts,
        "mem_get_info": (8 << 30, 8 << 30),
        "memory_allocated": 0,
        "memory_reserved": 0,
        "max_memory_allocated": 0,
        **dict.fromkeys(("_lazy_init", "synchronize", "reset_peak_memory_stats", "empty_cache")),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in replaced.items():
            patch.setattr(torch.cuda, name, lambda *_, value=value: value)
        patch.setattr(torch.cuda, "Event", Event)
        patch.setattr(torch, "Generator", Generator)
        # A module's parameters become other objects: one that holds a tensor here cannot hold one there.
        patch.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True)
        if HAS_TRITON:
            from triton.runtime.jit import JITFunction

            patch.setattr(JITFunction, "run", _launch)
        with _Indexed(), _Mode():
            yield


def _launch(kernel: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
    for one in (*args, *options.values()):
        assert isinstance(one, Held) or not isinstance(one, torch.Tensor), (
            f"{kernel.fn.__name__}: {one.device}"
        )
