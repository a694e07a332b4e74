"""Which storages torch allocates while a call runs, and when each is given back: the real lifetimes.

A storage is born in the operation that returns it first and dies when the last tensor that refers to it
is gone. Scratch memory inside a kernel is not seen; the allocator's own events (``allocator_peak``) show it.
"""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Storage:
    """``nbytes`` from operation number ``birth`` to ``death`` (None: it is what the call returned)."""

    operation: str
    shape: tuple[int, ...]
    nbytes: int
    birth: int
    death: int | None = None


@dataclass
class LiveStorages:
    """``storages`` in the order of their births. ``times_s[i]`` is when operation ``i`` ended, from the
    start, the watching included."""

    storages: list[Storage] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    live_bytes: int = 0
    peak_bytes: int = 0

    @property
    def allocated_bytes(self) -> int:
        """Of all storages together, as if none were reused."""
        return sum(storage.nbytes for storage in self.storages)


def watch(call: Callable[[], object]) -> tuple[LiveStorages, object]:
    """Run ``call`` and record the storages that its operations allocate; gives the record and its result."""
    mode = _Watcher()
    with mode:
        result = call()
    mode.stop()
    return mode.record, result


def allocator_peak(call: Callable[[], object]) -> int:
    """The most bytes that torch's CPU allocator has handed out during ``call``, beyond those before it."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = call()
    live = peak = 0
    assert profiler.profiler is not None
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    del kept
    return peak


def reachable_bytes(*roots: object) -> int:
    """Bytes of the distinct storages that can be reached from ``roots`` through attributes and containers."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    waiting: list[object] = list(roots)
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            storage = one.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
        elif hasattr(one, "__dict__") and not callable(getattr(one, "mro", None)):
            waiting += vars(one).values()
    return sum(found.values())


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.record = LiveStorages()
        self._known: set[int] = set()
        self._finalizers: list[weakref.finalize[..., Any]] = []
        self._start = time.perf_counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {_key(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        result = function(*args, **(kwargs or {}))
        record = self.record
        record.operations.append(function.overloadpacket.__name__)
        record.times_s.append(time.perf_counter() - self._start)
        for leaf in tree_leaves(result):
            # An output that shares its storage with an input is a view, or was written in place.
            if isinstance(leaf, torch.Tensor) and _key(leaf) not in given and _key(leaf) not in self._known:
                self._born(leaf)
        return result

    def _born(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, record = _key(tensor), self.record
        birth = len(record.operations) - 1
        one = Storage(record.operations[-1], tuple(tensor.shape), storage.nbytes(), birth)
        record.storages.append(one)
        record.live_bytes += one.nbytes
        record.peak_bytes = max(record.peak_bytes, record.live_bytes)
        self._known.add(key)
        self._finalizers.append(weakref.finalize(storage, self._gone, key, one))

    def _gone(self, key: int, one: Storage) -> None:
        self._known.discard(key)
        self.record.live_bytes -= one.nbytes
        one.death = len(self.record.operations) - 1

    def stop(self) -> None:
        """What outlives the call is its result, and no longer of interest."""
        for finalizer in self._finalizers:
            finalizer.detach()


def _key(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
