"""Weight matrices in the layouts of ``native/products.h``, and the naive product that each must equal.

Shapes: R rows (outputs), C columns (inputs), N rows of activations.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.quantization.config import QuantizerConfig
from labs.quantization.quantizer import quantize_dequantize

if TYPE_CHECKING:
    from torch import Tensor

    from labs.engine.precision import Weights

KINDS: dict[Weights, int] = {"fp32": 0, "bf16": 1, "int8": 2, "int4": 3}
UNIT = 16  # rows that lie interleaved
GROUP = 32  # columns that share a scale
_INT8 = QuantizerConfig(bits=8, granularity="channel", scale_bits=32)
# Scale and minimum in fp16: the grid of GGUF's Q4_1, so that such weights lose nothing.
_INT4 = QuantizerConfig(bits=4, scheme="asymmetric", zero_point="float", group_size=GROUP, scale_bits=16)
_LAST_CODE: dict[Weights, int] = {"int8": 32767, "int4": 127}  # of an activation


class CMatrix(ctypes.Structure):
    """``Matrix`` of ``native/products.h``."""

    _fields_ = (
        ("kind", ctypes.c_int32),
        ("rows", ctypes.c_int32),
        ("columns", ctypes.c_int32),
        ("padding", ctypes.c_int32),
        ("data", ctypes.c_void_p),
        ("steps", ctypes.c_void_p),
    )


@dataclass(frozen=True)
class NativeMatrix:
    """``data`` in the layout of ``kind``; ``steps`` are INT8's, one a row, filled up to whole units."""

    kind: Weights
    rows: int
    columns: int
    data: Tensor
    steps: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes that a product reads."""
        return self.data.nbytes + (0 if self.steps is None else self.steps.nbytes)

    @property
    def struct(self) -> CMatrix:
        """For a call of the library; this object must outlive it."""
        steps = None if self.steps is None else self.steps.data_ptr()
        return CMatrix(KINDS[self.kind], self.rows, self.columns, 0, self.data.data_ptr(), steps)


def native_matrix(weight: Tensor, kind: Weights) -> NativeMatrix:
    """From an fp32 weight ``[R, C]`` on the CPU; in fp32 it is the same memory."""
    rows, columns = weight.shape
    if kind == "fp32":
        return NativeMatrix(kind, rows, columns, weight.float().contiguous())
    if kind == "bf16":
        return NativeMatrix(kind, rows, columns, weight.bfloat16().contiguous())
    if kind == "int8":
        quantized = quantize_dequantize(weight, _INT8)
        steps = F.pad(quantized.scale[:, 0], (0, -rows % UNIT))
        return NativeMatrix(kind, rows, columns, _int8_units(quantized.codes), steps)
    quantized = quantize_dequantize(weight, _INT4)
    figures = torch.stack((quantized.scale, quantized.zero_point)).half()  # [2, R, groups]
    return NativeMatrix(kind, rows, columns, _int4_units(quantized.codes, figures))


def stored_weight(weight: Tensor, kind: Weights) -> Tensor:
    """What a matrix of this kind stands for, ``[R, C]`` in fp32."""
    if kind in ("int8", "int4"):
        return quantize_dequantize(weight, _INT8 if kind == "int8" else _INT4).dequantized()
    return weight.float() if kind == "fp32" else weight.bfloat16().float()


def naive_product(x: Tensor, weight: Tensor, kind: Weights) -> Tensor:
    """``x [N, C]`` times the matrix, ``[N, R]``, in double; activations rounded as the kernel does."""
    if kind in _LAST_CODE:
        columns = x.shape[1]
        grouped = F.pad(x, (0, -columns % GROUP)).unflatten(1, (-1, GROUP))  # type: ignore[no-untyped-call]
        step = grouped.abs().amax(dim=-1, keepdim=True) / _LAST_CODE[kind]
        x = ((grouped / step).nan_to_num().round() * step).flatten(1)[:, :columns]
    return (x.double() @ stored_weight(weight, kind).double().T).float()


def _int8_units(codes: Tensor) -> Tensor:
    """``[R, C]`` to ``[units, groups, 16 pairs, 16 rows, 2]``."""
    split = _filled_up(codes).to(torch.int8)
    units = split.view(len(split) // UNIT, UNIT, -1, GROUP // 2, 2)
    return units.permute(0, 2, 3, 1, 4).contiguous()


def _int4_units(codes: Tensor, figures: Tensor) -> Tensor:
    """Codes ``[R, C]`` and their steps and minima ``[2, R, groups]`` to ``[units, groups, 320 bytes]``."""
    filled = _filled_up(codes).to(torch.uint8)
    count = len(filled) // UNIT
    halves = filled.view(count, UNIT, -1, 2, 4, 4)  # unit, row, group, half, quad, column
    nibbles = halves[:, :, :, 0] | (halves[:, :, :, 1] << 4)
    packed = nibbles.permute(0, 2, 3, 1, 4).flatten(2)  # [units, groups, 256]
    spread = F.pad(figures, (0, 0, 0, -figures.shape[1] % UNIT)).view(2, count, UNIT, -1)
    heads = spread.permute(1, 3, 0, 2).contiguous().view(torch.uint8).flatten(2)  # [units, groups, 64]
    return torch.cat((heads, packed), dim=2)


def _filled_up(codes: Tensor) -> Tensor:
    """With zeros to whole units and groups."""
    rows, columns = codes.shape
    return F.pad(codes, (0, -columns % GROUP, 0, -rows % UNIT))
