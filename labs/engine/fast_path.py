"""Which way a step is computed fastest on a device, for each type of weights, or why there is no fast one."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from labs.engine.native_matrix import KINDS, naive_product, native_matrix
from labs.engine.native_step import native_step
from labs.quantization.speed_modes import MODES
from labs.relative_error import relative_error
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from labs.engine.precision import Weights

Path = Literal["native", "torch"]

_CHECKED_SHAPE = (5, 37, 110)  # rows of activations, rows and columns of the matrix; odd on purpose
# An activation that lies between two codes within rounding may take either of them.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class FastPath:
    """``path`` None: nothing here is fast for this type. ``text`` is the reason, for the reader."""

    path: Path | None
    text: Text


@functools.cache
def fast_path(weights: Weights, device: str = "cpu") -> FastPath:
    """Asked of the kernels themselves: the native ones are checked, torch's are called once."""
    if device == "cpu":
        library = checked_library()
        if not isinstance(library, Text):
            instructions = library.inferlab_instructions().decode()
            zh = f"原生内核（{instructions}）：一步只有一次调用"
            return FastPath("native", Text(zh=zh, en=f"native kernels ({instructions}): one call a step"))
        found = _torch_path(weights, device)
        text = Text(zh=f"{found.text.zh}；{library.zh}", en=f"{found.text.en}; {library.en}")
        return FastPath(found.path, text)
    return _torch_path(weights, device)


@functools.cache
def checked_library() -> ctypes.CDLL | Text:
    """The native kernels if each product of theirs equals its naive reference; else why they are not used."""
    library = native_step()
    if isinstance(library, Text):
        return library
    rows, outputs, inputs = _CHECKED_SHAPE
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, inputs, generator=generator)
    weight = torch.randn(outputs, inputs, generator=generator)
    for kind in KINDS:
        expected = naive_product(x, weight, kind)
        difference = relative_error(native_product(library, x, weight, kind), expected)
        if not difference < _TOLERANCE:
            zh = f"原生内核的 {kind} 乘积与朴素实现相差 {difference:.2g}，检查未过"
            en = f"the native {kind} product is off by {difference:.2g} from the naive one: failed its check"
            return Text(zh=zh, en=en)
    return library


def native_product(
    library: ctypes.CDLL, x: torch.Tensor, weight: torch.Tensor, kind: Weights
) -> torch.Tensor:
    """``x [N, C]`` times ``weight [R, C]`` of this kind by the native kernel, ``[N, R]``."""
    matrix = native_matrix(weight, kind)
    x = x.contiguous()
    y = torch.empty(len(x), len(weight))
    library.inferlab_product(ctypes.byref(matrix.struct), x.data_ptr(), len(x), y.data_ptr())
    return y


def _torch_path(weights: Weights, device: str) -> FastPath:
    if device == "cpu" and weights == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return FastPath(
            None,
            Text(
                zh="这个 CPU 没有 BF16 指令：torch 的 BF16 乘积比 FP32 还慢",
                en="this CPU has no BF16 instructions: torch's BF16 products are slower than FP32",
            ),
        )
    try:
        layer = MODES[weights].build(torch.ones(64, 64), device)
        layer(torch.ones(1, 64, device=device))
    except LabError as error:
        return FastPath(None, error.text)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        line = f"{error}".strip().split("\n")[0][:160] or type(error).__name__
        return FastPath(
            None, Text(zh=f"此设备没有这个内核：{line}", en=f"this device has no such kernel: {line}")
        )
    return FastPath("torch", Text(zh="逐个算子调用 torch", en="torch, an operation at a time"))
