"""A call in Triton's interpreter, with every load, store and dot recorded: which program, line and elements.

Only in a process with ``TRITON_INTERPRET=1`` (see ``process``). An address outside every tensor is recorded,
reads as NaN and is not written: the program goes on, and nothing crashes. An event's ``line`` is the line of
the kernel's file. Counts: bytes of each tensor, all of them and distinct ones; FLOPs of ``tl.dot`` (two for
each product) and of everything else (one for each element of each floating-point operation, as many for a
reduction as it has inputs; comparisons, selections and casts are none).
"""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOAD, STORE, ATOMIC = 0, 1, 2
OUTSIDE = -1  # a tensor that is none
SECTOR = 32  # bytes that the memory of a GPU moves at least
_VECTOR_OPS = (
    *("fadd", "fsub", "fmul", "fdiv", "precise_divf", "frem", "minimumf", "maximumf", "minnumf", "maxnumf"),
    *("cos", "sin", "exp", "exp2", "log", "log2", "sqrt", "precise_sqrt", "rsqrt", "erf"),
)
_Addresses = NDArray[np.uint64]


class RecordedTensor(msgspec.Struct):
    """An argument of a kernel. ``strides`` in elements; ``name`` is the kernel's parameter."""

    name: str
    shape: list[int]
    strides: list[int]
    element_bytes: int
    loaded_bytes: int = 0
    stored_bytes: int = 0
    distinct_loaded_bytes: int = 0
    distinct_stored_bytes: int = 0


class Recording(msgspec.Struct):
    """Accesses in order, an entry each: kernel (an index), program (x, y, z), line, kind, tensor (an index or
    OUTSIDE), and its elements: ``elements[first:first + count]``, offsets from the tensor's first element,
    those of lanes that are masked out not among them. ``sectors`` of 32 bytes that it touches.

    ``truncated``: more accesses than were asked for were made; the counts are of all.
    """

    kernels: list[str]
    grids: list[list[int]]
    tensors: list[RecordedTensor]
    kernel: NDArray[np.int32]
    program: NDArray[np.int32]  # [accesses, 3]
    line: NDArray[np.int32]
    kind: NDArray[np.int8]
    tensor: NDArray[np.int32]
    first: NDArray[np.int64]
    count: NDArray[np.int32]
    sectors: NDArray[np.int32]
    elements: NDArray[np.int64]
    matrix_flops: int
    vector_flops: int
    outside: int  # lanes whose address was in no tensor
    truncated: bool


class Recorder:
    """Records while ``entered``; ``most`` accesses are kept one by one (0: counts only)."""

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._tensors: list[RecordedTensor] = []
        self._places: list[tuple[int, int]] = []  # of each tensor: its addresses, begin and end
        self._known: dict[tuple[int, int, str], int] = {}
        self._live: list[int] = []  # tensors of the kernel that runs
        self._keep: list[Any] = []  # so that no address is used twice
        self._kernels: list[str] = []
        self._grids: list[list[int]] = []
        self._file = ""
        self._rows: list[tuple[int, tuple[int, int, int], int, int, int, int, int]] = []
        self._elements: list[NDArray[np.int64]] = []
        self._seen: dict[tuple[int, int], NDArray[np.bool_]] = {}  # by tensor and kind: which elements were
        self.outside = self._matrix = self._vector = 0  # outside: lanes whose address was in no tensor
        self._truncated = False

    def recording(self) -> Recording:
        for (index, kind), touched in self._seen.items():
            tensor = self._tensors[index]
            distinct = int(np.count_nonzero(touched)) * tensor.element_bytes
            if kind == LOAD:
                tensor.distinct_loaded_bytes = distinct
            else:
                tensor.distinct_stored_bytes = distinct
        nothing: tuple[Any, ...] = ((), np.empty((0, 3)), (), (), (), (), ())
        columns = tuple(zip(*self._rows, strict=True)) or nothing
        kernel, program, line, kind_of, tensor_of, count, sectors = (np.array(c, np.int32) for c in columns)
        first = np.cumsum(count, dtype=np.int64) - count
        elements = np.concatenate(self._elements) if self._elements else np.empty(0, np.int64)
        return Recording(
            *(self._kernels, self._grids, self._tensors, kernel, program, line, kind_of.astype(np.int8)),
            *(tensor_of, first, count, sectors, elements, self._matrix, self._vector),
            *(self.outside, self._truncated),
        )

    def values(self) -> list[NDArray[np.generic]]:
        """What the recording's tensors hold now; where a type has no match in numpy, as fp32."""
        tensors = (tensor.cpu() for tensor in self._keep)
        return [(one.float() if one.dtype.itemsize == 2 else one).numpy().copy() for one in tensors]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The interpreter is one for the process: nothing else may run a kernel meanwhile."""
        from triton.runtime.interpreter import GridExecutor, InterpreterBuilder, ReduceOps

        with ExitStack() as stack:
            for name in _VECTOR_OPS:
                stack.enter_context(_wrapped(InterpreterBuilder, f"create_{name}", self._vector_op))
            stack.enter_context(_wrapped(InterpreterBuilder, "create_fma", self._fma))
            stack.enter_context(_wrapped(InterpreterBuilder, "create_dot", self._dot))
            stack.enter_context(_wrapped(InterpreterBuilder, "create_masked_load", self._load))
            stack.enter_context(_wrapped(InterpreterBuilder, "create_masked_store", self._store))
            stack.enter_context(_wrapped(InterpreterBuilder, "create_atomic_rmw", self._atomic))
            stack.enter_context(_wrapped(ReduceOps, "apply_impl", self._reduce))
            stack.enter_context(_wrapped(GridExecutor, "__call__", self._launch))
            yield

    # What follows stands in for the interpreter's methods; it passes arguments by these names.

    def _launch(self, original, executor, *args, **kwargs):  # type: ignore[no-untyped-def]
        names = {**dict(zip(executor.arg_names, args, strict=False)), **kwargs}
        self._live = [self._register(name, arg) for name, arg in names.items() if hasattr(arg, "data_ptr")]
        grid = executor.grid(names) if callable(executor.grid) else executor.grid
        self._kernels.append(executor.fn.__name__)
        self._grids.append([*grid, *(1,) * (3 - len(grid))])
        self._file = executor.fn.__code__.co_filename
        return original(executor, *args, **kwargs)

    def _register(self, name: str, tensor: Any) -> int:
        begin = tensor.data_ptr()
        last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        end = begin + (last + 1) * tensor.element_size() if tensor.numel() else begin
        index = self._known.setdefault((begin, end, str(tensor.dtype)), len(self._tensors))
        if index == len(self._tensors):
            size = tensor.element_size()
            self._tensors.append(RecordedTensor(name, list(tensor.shape), list(tensor.stride()), size))
            self._places.append((begin, end))
            self._keep.append(tensor)
        return index

    def _load(self, original, builder, ptrs, mask, other, cache_modifier, eviction_policy, is_volatile):  # type: ignore[no-untyped-def]
        inside = self._note(LOAD, ptrs, mask)
        held = type(mask)(mask.data & inside, mask.dtype)
        found = original(builder, ptrs, held, other, cache_modifier, eviction_policy, is_volatile)
        if found.data.dtype.kind == "f":
            found.data[mask.data & ~inside] = np.nan
        return found

    def _store(self, original, builder, ptrs, value, mask, cache_modifier, eviction_policy):  # type: ignore[no-untyped-def]
        held = type(mask)(mask.data & self._note(STORE, ptrs, mask), mask.dtype)
        return original(builder, ptrs, value, held, cache_modifier, eviction_policy)

    def _atomic(self, original, builder, rmwOp, ptr, val, mask, sem, scope):  # type: ignore[no-untyped-def]
        held = type(mask)(mask.data & self._note(ATOMIC, ptr, mask), mask.dtype)
        return original(builder, rmwOp, ptr, val, held, sem, scope)

    def _note(self, kind: int, pointers: Any, mask: Any) -> NDArray[np.bool_]:
        """Books one access; says which lanes have an address within a tensor."""
        from triton.runtime.interpreter import interpreter_builder

        asked = np.broadcast_to(mask.data.astype(bool), pointers.data.shape)
        addresses, program = pointers.data[asked], interpreter_builder.grid_idx
        inside, line = np.zeros(pointers.data.shape, dtype=bool), self._line()
        for index in self._live:
            begin, end = self._places[index]
            held = (addresses >= begin) & (addresses < end)
            if held.any():
                inside |= asked & (pointers.data >= begin) & (pointers.data < end)
                self._book(kind, index, addresses[held], program, line)
                addresses = addresses[~held]
            if not addresses.size:
                return inside
        if addresses.size:
            self.outside += addresses.size
            self._keep_row(kind, OUTSIDE, self._outside_elements(addresses), program, line, 0)
        return inside

    def _book(self, kind: int, index: int, addresses: _Addresses, program: Any, line: int) -> None:
        tensor, begin = self._tensors[index], self._places[index][0]
        elements = ((addresses - np.uint64(begin)) // np.uint64(tensor.element_bytes)).astype(np.int64)
        size = elements.size * tensor.element_bytes
        if kind != STORE:
            tensor.loaded_bytes += size
            self._touched(index, LOAD)[elements] = True
        if kind != LOAD:
            tensor.stored_bytes += size
            self._touched(index, STORE)[elements] = True
        kept = len(self._rows) < self._most
        sectors = len(np.unique(addresses // np.uint64(SECTOR))) if kept else 0
        self._keep_row(kind, index, elements, program, line, sectors)

    def _touched(self, index: int, kind: int) -> NDArray[np.bool_]:
        begin, end = self._places[index]
        span = (end - begin) // self._tensors[index].element_bytes
        if (index, kind) not in self._seen:
            self._seen[index, kind] = np.zeros(span, dtype=bool)
        return self._seen[index, kind]

    def _outside_elements(self, addresses: _Addresses) -> NDArray[np.int64]:
        """Distances in elements from the first tensor's begin: enough to see how far out they are."""
        begin, size = (self._places[self._live[0]][0], self._tensors[self._live[0]].element_bytes)
        return (addresses.astype(np.int64) - begin) // size

    def _keep_row(
        self, kind: int, index: int, elements: NDArray[np.int64], program: Any, line: int, sectors: int
    ) -> None:
        if len(self._rows) >= self._most:
            self._truncated |= self._most > 0
            return
        row = (len(self._kernels) - 1, tuple(program), line, kind, index, elements.size, sectors)
        self._rows.append(row)
        self._elements.append(elements)

    def _line(self) -> int:
        """The line of the kernel's file that is being executed."""
        frame = sys._getframe(3)
        while frame is not None and frame.f_code.co_filename != self._file:
            frame = frame.f_back  # type: ignore[assignment]
        return frame.f_lineno if frame is not None else 0

    def _dot(self, original, builder, a, b, d, input_precision, max_num_imprecise_acc):  # type: ignore[no-untyped-def]
        self._matrix += 2 * d.data.size * a.data.shape[-1]
        if a.dtype.name == "bf16":  # the interpreter would multiply the raw bits
            a, b = (builder.cast_impl(side, _float32()) for side in (a, b))
        return original(builder, a, b, d, input_precision, max_num_imprecise_acc)

    def _vector_op(self, original, *args):  # type: ignore[no-untyped-def]
        found = original(*args)
        if found.data.dtype.kind == "f":
            self._vector += found.data.size
        return found

    def _fma(self, original, *args):  # type: ignore[no-untyped-def]
        self._vector += args[-1].data.size  # and as many again as a vector operation
        return self._vector_op(original, *args)  # type: ignore[no-untyped-call]

    def _reduce(self, original, operation, inputs):  # type: ignore[no-untyped-def]
        before, data = self._vector, inputs[0].handle.data
        found = original(operation, inputs)
        if self._vector == before and data.dtype.kind == "f":
            self._vector += data.size
        return found


def _float32() -> Any:
    import triton.language as tl

    return tl.float32


@contextmanager
def _wrapped(owner: type, name: str, wrapper: Callable[..., Any]) -> Iterator[None]:
    original = owner.__dict__[name]

    def called(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, *args, **kwargs)

    setattr(owner, name, called)
    try:
        yield
    finally:
        setattr(owner, name, original)
