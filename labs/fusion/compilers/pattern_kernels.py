"""A matched pattern as one C++ kernel: a loop over rows that writes the result, and what others still read.

What a fusing compiler generates, in small: each reduction is a loop of its own, and values by element are
computed again in each loop that needs them, instead of being stored between the loops.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from typing import TYPE_CHECKING

import torch

from labs.engine.native_library import cache_folder, loaded
from labs.fusion.compilers.pattern_language import REDUCTIONS
from labs.fusion.compilers.pattern_loops import loops
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Final

    from torch import Tensor

    from labs.fusion.compilers.pattern_language import Step
    from labs.fusion.compilers.pattern_loops import Loops
    from labs.fusion.compilers.pattern_matching import Match

_HEAD = """#pragma GCC optimize("fast-math")  // sums in any order, exp in vectors
#include <math.h>
#include <stdint.h>

// e^x to about 2 ulp (the polynomial of Cephes): libm's own is a call an element.
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : (x > 87.0f ? 87.0f : x);
    const float n = __builtin_floorf(x * 1.44269504f + 0.5f);
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const int32_t bits = ((int32_t)n + 127) << 23;
    float power;
    __builtin_memcpy(&power, &bits, sizeof power);
    return p * power;
}

"""
_EXPRESSIONS: Final = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "exp": "exponential({0})",
    "tanh": "1.0f - 2.0f / (exponential(2.0f * {0}) + 1.0f)",
    "sigmoid": "1.0f / (1.0f + exponential(-{0}))",
    "silu": "{0} / (1.0f + exponential(-{0}))",
    "relu": "{0} > 0.0f ? {0} : 0.0f",
    "sqrt": "sqrtf({0})",
    "rsqrt": "1.0f / sqrtf({0})",
    "square": "{0} * {0}",
}


def source(match: Match) -> str:
    """The kernel's C++; tensors are numbered, their names stand in comments."""
    return _Writer(loops(match)).text()


class _Writer:
    def __init__(self, laid: Loops) -> None:
        self._chain, self._kinds, self._steps = laid.chain, laid.kinds, laid.steps
        self._outputs = {name: f"out{place}" for place, name in enumerate(laid.outputs)}
        self._names = {name: f"in{place}" for place, name in enumerate(self._chain.inputs)}
        self._names |= {name: f"v{place}" for place, name in enumerate(self._steps)}

    def text(self) -> str:
        inputs = [f"const float* __restrict {self._names[name]}" for name in self._chain.inputs]
        outputs = [f"float* __restrict {out}" for out in self._outputs.values()]
        parameters = ", ".join([*inputs, *outputs, "int64_t rows", "int64_t columns"])
        head = f'extern "C" void fused({parameters}) {{'
        notes = [f"// {self._names[name]}: {name}" for name in self._chain.inputs]
        lines = ["for (int64_t row = 0; row < rows; ++row) {"]
        for step in self._chain.steps:
            if self._kinds[step.name] == "row":
                lines += [f"    {line}" for line in self._row_value(step)]
        lines += [f"    {line}" for line in self._results()]
        return _HEAD + "\n".join([*notes, head, *(f"    {line}" for line in [*lines, "}"]), "}"]) + "\n"

    def _results(self) -> list[str]:
        """What is one number a row is stored at once, all else in one loop."""
        rows = [name for name in self._outputs if self._kinds[name] == "row"]
        whole = [name for name in self._outputs if self._kinds[name] != "row"]
        lines = [f"{self._outputs[name]}[row] = {self._names[name]};" for name in rows]
        stores = [f"{self._outputs[name]}[row * columns + c] = {self._names[name]};" for name in whole]
        return [*lines, *self._loop(whole, stores)] if whole else lines

    def _row_value(self, step: Step) -> list[str]:
        name, operand = self._names[step.name], step.operands[0]
        if step.operator not in REDUCTIONS:
            return [self._line(step)]
        if not isinstance(operand, str) or self._kinds[operand] == "row":
            return [f"const float {name} = {self._operand(operand)};"]
        loop = self._loop([operand], [f"{name} += {self._operand(operand)};"])
        mean = [f"{name} /= columns;"] if step.operator == "mean" else []
        return [f"float {name} = 0.0f;  // {step.operator}", *loop, *mean]

    def _loop(self, wanted: list[str], last: list[str]) -> list[str]:
        """Over the columns, computing what ``wanted`` needs by element."""
        body = [self._line(self._steps[name]) for name in self._needed(wanted)]
        return ["for (int64_t c = 0; c < columns; ++c) {", *(f"    {line}" for line in [*body, *last]), "}"]

    def _needed(self, wanted: list[str]) -> list[str]:
        needed = set(wanted)
        for step in reversed(self._chain.steps):
            if step.name in needed and self._kinds[step.name] != "row":
                needed |= {one for one in step.operands if isinstance(one, str)}
        return [s.name for s in self._chain.steps if s.name in needed and self._kinds[s.name] != "row"]

    def _line(self, step: Step) -> str:
        value = _EXPRESSIONS[step.operator].format(*map(self._operand, step.operands))
        return f"const float {self._names[step.name]} = {value};  // {step.operator}"

    def _operand(self, operand: str | float) -> str:
        if not isinstance(operand, str):
            return f"{operand!r}f"
        name = self._names[operand]
        if operand in self._steps:
            return name
        places = {"matrix": "row * columns + c", "row": "row", "column": "c"}
        return f"{name}[{places[self._kinds[operand] or 'matrix']}]"


def kernel(match: Match) -> Callable[..., Tensor | tuple[Tensor, ...]] | Text:
    """The compiled kernel as a call on contiguous fp32 tensors of the CPU; or why there is none.

    It returns the match's outputs: a tensor, or a tuple where there are several."""
    library = loaded(_stored(source(match)))
    if isinstance(library, Text):
        return library
    laid = loops(match)
    shapes = [laid.shape(name) for name in laid.outputs]
    pointers = len(laid.chain.inputs) + len(shapes)
    function = library.fused
    function.argtypes = (*[ctypes.c_void_p] * pointers, ctypes.c_int64, ctypes.c_int64)
    function.restype = None

    def call(*tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        made = tuple(torch.empty(shape) for shape in shapes)
        function(*[one.data_ptr() for one in (*tensors, *made)], *laid.size)
        return made if len(made) > 1 else made[0]

    call.__name__ = match.pattern.name
    return call


def _stored(text: str) -> Path:
    """The text as a file of the cache, whose name tells its content."""
    folder = cache_folder() / "patterns"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"fused_{hashlib.sha256(text.encode()).hexdigest()[:16]}.cpp"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.tmp")
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    return path
