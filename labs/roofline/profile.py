"""One step of the real model under torch's profiler: who ran when, and how long, module by module."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch.autograd.profiler import record_function

from labs.roofline.dispatches import IDLE, on_gpu, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from labs.models.llama import Llama

Lane = Literal["layer", "module", "part", "operator", "kernel"]
LANES: Final[tuple[Lane, ...]] = ("layer", "module", "part", "operator", "kernel")
Group = Literal["product", "attention", "elementwise", "copy", "idle", "other", "module"]

_PARTS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_GROUPS: Final[dict[str, Group]] = {
    **dict.fromkeys(("mm", "addmm", "bmm", "linear", "matmul", "_int_mm", "addmv", "mv"), "product"),
    **dict.fromkeys(("softmax", "_softmax", "scaled_dot_product_attention"), "attention"),
    **dict.fromkeys(("copy_", "cat", "clone", "contiguous", "fill_", "zero_", "index_select"), "copy"),
    **dict.fromkeys(("embedding", "arange", "randint"), "other"),
}
# What a GPU's kernel is named after, the first that fits.
_KERNELS: Final[tuple[tuple[Group, tuple[str, ...]], ...]] = (
    ("attention", ("attention", "flash", "fmha", "softmax")),
    ("product", ("gemm", "gemv", "cutlass", "splitk")),
    ("copy", ("memcpy", "memset", "copy", "cat")),
    ("elementwise", ("elementwise", "reduce", "norm")),
)


@dataclass(frozen=True)
class Event:
    """Seconds from the step's start. ``self_s`` is without the operators within; ``layer`` -1: of none."""

    name: str
    lane: Lane
    group: Group
    start_s: float
    end_s: float
    self_s: float


@dataclass(frozen=True)
class Profile:
    """``events`` by start. ``operators`` sums self time by operator, or by kernel ``on_gpu``, where an
    operator's own time is the host's: ``(calls, seconds)``."""

    events: list[Event]
    operators: dict[str, tuple[int, float]]
    step_s: float
    on_gpu: bool = False

    def in_lane(self, lane: Lane) -> list[Event]:
        return [one for one in self.events if one.lane == lane]

    @property
    def working_s(self) -> float:
        """Inside operators that do something."""
        return sum(seconds for name, (_, seconds) in self.operators.items() if name not in IDLE)

    @property
    def idle_s(self) -> float:
        """Inside operators that only make views or allocate."""
        return sum(seconds for name, (_, seconds) in self.operators.items() if name in IDLE)

    @property
    def between_s(self) -> float:
        """Between operators: Python, modules, hooks, and the profiler itself."""
        return max(0.0, self.step_s - self.working_s - self.idle_s)


def profile_step(model: Llama, step: Callable[[], object], device: str, trace: Path | None = None) -> Profile:
    """After one step to warm up. ``trace``: where the profiler's own Chrome trace goes."""
    step()
    with _named(model):
        found = recorded(lambda: _annotated(step), device)
    if trace is not None:
        trace.parent.mkdir(parents=True, exist_ok=True)
        found.export_chrome_trace(str(trace))
    return _read(found.function_events)


def traces_folder() -> Path:
    """Where traces are written: the user's cache, so that no link can name a file to overwrite."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "InferLab" / "traces"


def group_of(name: str) -> Group:
    """What an operator, or a kernel, of this name does."""
    if name in IDLE:
        return "idle"
    short = name.removeprefix("aten::")
    if "attention" in short:
        return "attention"
    if name.startswith("aten::"):
        return _GROUPS.get(short, "elementwise")
    return next((group for group, parts in _KERNELS if any(part in name.lower() for part in parts)), "other")


def _annotated(step: Callable[[], object]) -> None:
    with record_function("step"):
        step()


@contextlib.contextmanager
def _named(model: Llama) -> Iterator[None]:
    """Each module announces itself to the profiler, as long as the block lasts."""
    running: list[Any] = []
    handles: list[Any] = []

    def enter(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            running.append(record_function(name))
            running[-1].__enter__()

        return hook

    def leave(*_: object) -> None:
        running.pop().__exit__(None, None, None)

    try:
        for path, module in model.named_modules():
            if name := _announced(path):
                handles += [
                    module.register_forward_pre_hook(enter(name)),
                    module.register_forward_hook(leave),
                ]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _announced(path: str) -> str:
    """``layers.3`` as ``layer: layer 3``, ``layers.3.self_attn.q_proj`` as ``part: q_proj``; else ""."""
    pieces = path.split(".")
    if pieces[0] != "layers" or len(pieces) == 1:
        return f"module: {path}" if path in ("norm", "lm_head") else ""
    if len(pieces) == 2:
        return f"layer: layer {pieces[1]}"
    if len(pieces) == 3:
        return f"module: {pieces[2]}"
    return f"part: {pieces[3]}" if pieces[3] in _PARTS else ""


def _read(events: Any) -> Profile:
    step = next(one for one in events if one.name == "step" and one.device_type.name == "CPU")
    origin, end_us = step.time_range.start, step.time_range.end
    gpu = any(on_gpu(one) for one in events)
    found: list[Event] = []
    operators: dict[str, tuple[int, float]] = {}
    for one in events:
        start, end = ((at - origin) * 1e-6 for at in (one.time_range.start, one.time_range.end))
        kernel = on_gpu(one)
        shadow = not kernel and one.device_type.name != "CPU"
        if start < 0 or one.name == "step" or shadow:
            continue
        own = end - start if kernel else one.self_cpu_time_total * 1e-6
        lane = _lane(one, kernel)
        if lane is not None:
            named = lane in ("layer", "module", "part")
            name = one.name.partition(": ")[2] if named else _short(one.name) if kernel else one.name
            found.append(Event(name, lane, "module" if named else group_of(one.name), start, end, own))
        if kernel or (not gpu and one.name.startswith("aten::")):
            name = _short(one.name)
            calls, seconds = operators.get(name, (0, 0.0))
            operators[name] = calls + 1, seconds + own
            end_us = max(end_us, one.time_range.end)  # kernels run on when the host is done
    found.sort(key=lambda event: event.start_s)
    return Profile(found, operators, (end_us - origin) * 1e-6, gpu)


def _short(name: str) -> str:
    """A kernel's name without return type, arguments and what it was instantiated with."""
    if name.startswith("aten::"):
        return name
    plain = name.removeprefix("void ").replace("(anonymous namespace)::", "")
    return plain.partition("<")[0].partition("(")[0]


def _lane(event: Any, kernel: bool) -> Lane | None:
    """Where an event is drawn; None: within an operator that is drawn already."""
    if kernel:
        return "kernel"
    kind = event.name.partition(": ")[0]
    if kind in ("layer", "module", "part"):
        return kind  # type: ignore[no-any-return]
    parent = event.cpu_parent
    outermost = parent is None or not parent.name.startswith("aten::")
    return "operator" if outermost and event.name.startswith("aten::") else None
