"""XLA on a chain, through JAX, in a child process: graph before and after, reasons, account, times.

Everything is XLA's own word: the text that JAX lowers to, the module behind each pass that changed it, the
log of the pass that fuses, its cost and memory analyses. One thread, like torch beside it. JAX is imported
here only, for its threads would not survive a fork.
"""

from __future__ import annotations

import inspect
import os
import re
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from labs.fusion.compilers.hlo_text import CHAIN_FILE, chain_lines, parse
from labs.measure import Timing, time_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    import numpy as np

    from labs.fusion.compilers.pattern_language import Chain, Step

_NAME: Final = "chain"
_FUSED: Final = re.compile(r"\] Fusing %([\w.\-]+) = .* into %([\w.\-]+) = ")
_REFUSED: Final = re.compile(r"\] Not fusing %([\w.\-]+) = .*\| into \|%([\w.\-]+) = .*\| as (.*)$")
_WHY: Final = re.compile(r"cpu_instruction_fusion\.cc:\d+\] (Fusing: .*|Fusion OK: .*)$")
_PASS: Final = re.compile(r"\.\d{4}\.(.+?)\.after_(.+?)(?:\.before_.+)?\.txt$")


class Decision(msgspec.Struct, frozen=True):
    """A producer fused into its consumer, or not, with XLA's ``reason``. ``lines`` of the chain that they
    come from (0: none)."""

    producer: str
    consumer: str
    fused: bool
    reason: str
    lines: tuple[int, int]


class Pass(msgspec.Struct, frozen=True):
    """A pass that changed the module: how many instructions the entry then has, and how many are fusions."""

    pipeline: str
    name: str
    instructions: int
    fusions: int


class Account(msgspec.Struct, frozen=True):
    """XLA's cost analysis: estimates that its passes work with."""

    flops: float
    transcendentals: float
    bytes: float


class XlaCompiled(msgspec.Struct, frozen=True):
    """``stablehlo`` with locations, ``before`` and ``after`` as HLO with tables of frames. ``seconds`` to
    lower and compile, ``error`` against torch, relative, by norms. ``apart``: every operator of the chain
    compiled by itself. Bytes of arguments, outputs and temporary buffers by XLA's memory analysis."""

    version: str
    stablehlo: str
    before: str
    after: str
    passes: list[Pass]
    decisions: list[Decision]
    cost_before: Account
    cost_after: Account
    argument_bytes: int
    output_bytes: int
    temporary_bytes: int
    seconds: float
    error: float
    apart: Timing
    compiled: Timing
    eager: Timing


def compiled_by_xla(
    chain: str, tensors: dict[str, np.ndarray[Any, Any]], budget_s: float = 0.5
) -> XlaCompiled:
    """Lower, compile, run and time ``chain`` on ``tensors``, timing each for ``budget_s``."""
    from labs.fusion.compilers.pattern_language import parse_chain

    wanted = parse_chain(chain)
    with tempfile.TemporaryDirectory() as folder:
        _configure(folder)
        import jax

        jax.config.update("jax_cpu_enable_async_dispatch", False)  # on the calling thread, as torch does
        given = [jax.numpy.asarray(tensors[name]) for name in wanted.inputs]
        operators, log = _operators(), Path(folder) / "log"
        program = _program(wanted, operators)
        jitted = jax.jit(program)  # its calls are C++ all the way, those of what it compiled ahead are not
        apart = _program(wanted, {name: jax.jit(one) for name, one in operators.items()})
        with _logged(log):
            start = time.perf_counter()
            lowered = jitted.lower(*given)
            built = lowered.compile()
            seconds = time.perf_counter() - start
        dumped = next(Path(folder).glob(f"*.jit_{_NAME}.before_optimizations.txt"))
        memory = built.memory_analysis()
        error, eager = _torch(wanted, tensors, built(*given), budget_s)
        return XlaCompiled(
            version=jax.__version__,
            stablehlo=lowered.as_text(debug_info=True),
            before=dumped.read_text(),
            after=built.as_text(),
            passes=_passes(Path(folder)),
            decisions=_decisions(log.read_text(), _lines(Path(folder))),
            cost_before=_account(lowered.cost_analysis()),
            cost_after=_account(built.cost_analysis()),
            argument_bytes=memory.argument_size_in_bytes,
            output_bytes=memory.output_size_in_bytes,
            temporary_bytes=memory.temp_size_in_bytes,
            seconds=seconds,
            error=error,
            apart=_timed(apart, given, budget_s),
            compiled=_timed(jitted, given, budget_s),
            eager=eager,
        )


def _configure(folder: str) -> None:
    """Before JAX is imported. This process serves one request and ends: nothing is put back."""
    # Refusals are logged only if fusions are also to be drawn.
    which = f"hlo_module_re=jit_{_NAME}"
    flags = (which, "hlo_as_text", "hlo_pass_re=.*", "fusion_visualization", f"to={folder}")
    os.environ["XLA_FLAGS"] = " ".join(f"--xla_dump_{flag}" for flag in flags)
    os.environ["JAX_PLATFORMS"], os.environ["NPROC"] = "cpu", "1"  # NPROC: the threads of XLA's pool
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
    os.environ["TF_CPP_VMODULE"] = "instruction_fusion=2,cpu_instruction_fusion=2"


def _operators() -> dict[str, Callable[..., Any]]:
    """jax's own functions by the language's names: none is ours, so that the chain is the innermost frame."""
    import jax
    from jax import lax, numpy

    return {
        **{"add": numpy.add, "sub": numpy.subtract, "mul": numpy.multiply, "div": numpy.divide},
        **{"neg": lax.neg, "exp": lax.exp, "tanh": lax.tanh, "sqrt": lax.sqrt, "rsqrt": lax.rsqrt},
        **{"square": lax.square, "sigmoid": lax.logistic, "silu": jax.nn.silu, "relu": jax.nn.relu},
        "mean": partial(numpy.mean, axis=-1, keepdims=True),
        "sum": partial(numpy.sum, axis=-1, keepdims=True),
        "linear": partial(lax.dot_general, dimension_numbers=(((1,), (1,)), ((), ()))),
    }


def _program(chain: Chain, operators: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    def call(*inputs: Any) -> tuple[Any, ...]:
        values = dict(zip(chain.inputs, inputs, strict=True))
        for step, code in zip(chain.steps, codes, strict=True):
            operands = [values[one] if isinstance(one, str) else one for one in step.operands]
            values[step.name] = eval(code, {"operator": operators[step.operator], "operands": operands})
        return tuple(values[name] for name in chain.outputs)

    codes = [_at_its_line(step) for step in chain.steps]
    call.__name__ = _NAME
    named = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in chain.inputs]
    call.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    return call


def _at_its_line(step: Step) -> Any:
    """A call whose frame says that it is at the step's line of the chain: XLA remembers frames."""
    return compile("\n" * (step.line - 1) + "operator(*operands)", CHAIN_FILE, "eval")


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What XLA writes to stderr meanwhile goes to the file."""
    kept = os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _passes(folder: Path) -> list[Pass]:
    found, last = [], ""
    for path in sorted(folder.glob(f"*.jit_{_NAME}.*.after_*.txt")):
        text, named = path.read_text(), _PASS.search(path.name)
        if named and named[2] != "pipeline-start" and text != last:
            entry = parse(text).entered
            fusions = sum(one.opcode == "fusion" for one in entry)
            found.append(Pass(named[1].replace("_", " "), named[2], len(entry), fusions))
        last = text
    return found


def _lines(folder: Path) -> dict[str, int]:
    """The chain's line of each instruction that was in the module behind some pass."""
    found: dict[str, int] = {}
    for path in sorted(folder.glob(f"*.jit_{_NAME}.*.after_*.txt")):
        found |= chain_lines(path.read_text())
    return found


def _decisions(log: str, lines: dict[str, int]) -> list[Decision]:
    """In the order they were made; the same pair refused again and again is one."""
    found: dict[Decision, None] = {}
    why = ""
    for line in log.splitlines():
        if told := _WHY.search(line):
            why = told[1]
        elif pair := _FUSED.search(line) or _REFUSED.search(line):
            one, other, *reason = pair.groups()
            places = lines.get(one, 0), lines.get(other, 0)
            found[Decision(one, other, not reason, reason[0] if reason else why, places)] = None
    return list(found)


def _account(analysis: dict[str, float]) -> Account:
    return Account(*(float(analysis.get(key, 0.0)) for key in ("flops", "transcendentals", "bytes accessed")))


def _torch(
    chain: Chain, tensors: dict[str, np.ndarray[Any, Any]], got: tuple[Any, ...], budget_s: float
) -> tuple[float, Timing]:
    """How far XLA's results are from torch's, and torch's time, operator by operator."""
    import numpy as np
    import torch

    from labs.fusion.compilers.fx_chain import graph_module
    from labs.relative_error import relative_error

    module = graph_module(chain)
    inputs = [torch.from_numpy(tensors[name].copy()) for name in chain.inputs]
    with torch.no_grad():
        expected = module(*inputs)
        results = (torch.from_numpy(np.array(one)) for one in got)
        error = relative_error(results, expected)
        return error, time_calls(lambda: module(*inputs), budget_s=budget_s)


def _timed(call: Callable[..., Any], given: list[Any], budget_s: float) -> Timing:
    """Until the results are there: JAX hands out promises."""
    import jax

    return time_calls(lambda: jax.block_until_ready(call(*given)), budget_s=budget_s)
