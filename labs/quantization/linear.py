"""Linear layers that run on low-precision weights for real, each with the naive product it must equal.

Shapes: N output features, K input features, ``x [..., K]`` to ``[..., N]``. A bias is the caller's to add.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labs.quantization.config import QuantizerConfig
from labs.quantization.quantizer import quantize_dequantize
from labs.relative_error import relative_error
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.quantization.roofs import Compute

INT4_GROUP = 32
_INT4 = QuantizerConfig(bits=4, scheme="asymmetric", zero_point="float", group_size=INT4_GROUP, scale_bits=32)


class LowPrecisionLinear(nn.Module):
    """``stored`` are the tensors that a call reads; ``dequantized [N, K]`` is what they stand for, in fp32.

    ``tolerance`` is the largest relative error (Euclidean norm) that rounding of the output can explain.
    """

    activations = torch.float32
    compute: Compute = "fp32"
    tolerance = 1e-5
    stored: tuple[Tensor, ...]

    @property
    def weight_bytes(self) -> int:
        """Bytes that one call must read at least: packed codes, scales, zero points."""
        return sum(tensor.nbytes for tensor in self.stored)

    def dequantized(self) -> Tensor:
        raise NotImplementedError

    def reference(self, x: Tensor) -> Tensor:
        """The same product, naively in fp32 on the CPU."""
        return x.float().cpu() @ self.dequantized().T

    def cloned(self) -> LowPrecisionLinear:
        """The same layer on its own memory, so that several of them do not fit into a cache."""
        raise NotImplementedError


class DenseLinear(LowPrecisionLinear):
    """Plain weights in fp32 or bf16."""

    def __init__(self, weight: Tensor, device: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.activations = dtype
        if dtype == torch.bfloat16:
            self.compute, self.tolerance = "bf16", 5e-3  # bf16 output: half of 2**-7 at worst
        self.stored = (weight.to(device=device, dtype=dtype),)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.activations), self.stored[0])

    def dequantized(self) -> Tensor:
        return self.stored[0].float().cpu()

    def cloned(self) -> DenseLinear:
        return DenseLinear(self.stored[0].clone(), str(self.stored[0].device), self.stored[0].dtype)


class Int8WeightLinear(LowPrecisionLinear):
    """Weight-only INT8, one scale an output channel; activations in bf16."""

    activations = torch.bfloat16
    compute: Compute = "bf16"
    tolerance = 5e-3

    def __init__(self, codes: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.stored = (codes, scale)

    def forward(self, x: Tensor) -> Tensor:
        codes, scale = self.stored
        flat = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
        y: Tensor = torch._weight_int8pack_mm(flat, codes, scale)
        return y.view(*x.shape[:-1], -1)

    def dequantized(self) -> Tensor:
        codes, scale = self.stored
        return codes.float().cpu() * scale.float().cpu()[:, None]

    def cloned(self) -> Int8WeightLinear:
        return Int8WeightLinear(*(tensor.clone() for tensor in self.stored))


class Int4WeightLinear(LowPrecisionLinear):
    """Weight-only INT4 in groups of 32 with bf16 scales and minima; activations in bf16.

    The kernel computes ``(code - 8) * scale + zero``. The fp32 ``weight`` is only referred to, for the check.
    """

    activations = torch.bfloat16
    compute: Compute = "bf16"
    tolerance = 5e-3

    def __init__(self, packed: Tensor, scales_zeros: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.stored = (packed, scales_zeros)
        self._weight = weight

    def forward(self, x: Tensor) -> Tensor:
        packed, scales_zeros = self.stored
        flat = x.reshape(-1, x.shape[-1]).to(torch.bfloat16)
        y: Tensor = torch._weight_int4pack_mm_for_cpu(flat, packed, INT4_GROUP, scales_zeros)
        return y.view(*x.shape[:-1], -1)

    def dequantized(self) -> Tensor:
        codes = quantize_dequantize(self._weight, _INT4).codes
        # [groups, N, 2] to one scale and one zero for each weight, [N, K] each
        figures = self.stored[1].float().transpose(0, 1).repeat_interleave(INT4_GROUP, dim=1)
        return (codes - 8) * figures[..., 0] + figures[..., 1]

    def cloned(self) -> Int4WeightLinear:
        packed, scales_zeros = self.stored
        return Int4WeightLinear(packed.clone(), scales_zeros.clone(), self._weight)


class FbgemmDynamicLinear(LowPrecisionLinear):
    """Dynamic INT8 on CPUs: weights one scale an output channel, activations one scale a call (fbgemm)."""

    compute: Compute = "int8"
    # An activation that falls within float rounding of a code's border may take the neighbouring code.
    tolerance = 2e-3

    def __init__(self, codes: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.stored = (codes, scale)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch announces the end of its eager-mode quantised tensors
            zeros = torch.zeros(len(scale), dtype=torch.long)
            weight = torch._make_per_channel_quantized_tensor(codes, scale.double(), zeros, 0)
            self._packed = torch.ops.quantized.linear_prepack(weight, None)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.quantized.linear_dynamic(x.float(), self._packed, fbgemm_saturates())
        return y

    def dequantized(self) -> Tensor:
        codes, scale = self.stored
        return codes.float() * scale[:, None]

    def reference(self, x: Tensor) -> Tensor:
        """With the activations rounded as fbgemm does: asymmetric, 8 bits, 7 where 8 would saturate."""
        last = 127 if fbgemm_saturates() else 255
        low, high = x.min().clamp(max=0.0), x.max().clamp(min=0.0)
        scale = (high - low).clamp(min=1e-12) / last
        zero_point = (-low / scale).round()
        rounded = ((x / scale).round() + zero_point).clamp(0, last).sub(zero_point) * scale
        return super().reference(rounded)

    def cloned(self) -> FbgemmDynamicLinear:
        return FbgemmDynamicLinear(*(tensor.clone() for tensor in self.stored))


class IntMmDynamicLinear(LowPrecisionLinear):
    """Dynamic INT8 on GPUs: weights one scale an output channel, activations one scale a token."""

    activations = torch.bfloat16
    compute: Compute = "int8"
    tolerance = 5e-3
    _LEAST_ROWS = 17  # cuBLAS refuses fewer

    def __init__(self, codes: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.stored = (codes, scale)

    def forward(self, x: Tensor) -> Tensor:
        codes, scale = self.stored
        flat = x.reshape(-1, x.shape[-1]).float()
        steps = _token_steps(flat)
        quantised = (flat / steps).round().to(torch.int8)
        padded = F.pad(quantised, (0, 0, 0, max(0, self._LEAST_ROWS - len(flat))))
        y: Tensor = torch._int_mm(padded, codes.t())[: len(flat)].float() * steps * scale
        return y.to(x.dtype).view(*x.shape[:-1], -1)

    def dequantized(self) -> Tensor:
        codes, scale = self.stored
        return codes.float().cpu() * scale.float().cpu()[:, None]

    def reference(self, x: Tensor) -> Tensor:
        steps = _token_steps(x.float())
        return super().reference((x.float() / steps).round() * steps)

    def cloned(self) -> IntMmDynamicLinear:
        return IntMmDynamicLinear(*(tensor.clone() for tensor in self.stored))


def dense(dtype: torch.dtype) -> Callable[[Tensor, str], LowPrecisionLinear]:
    """The constructor of plain layers of one type."""
    return lambda weight, device: DenseLinear(weight, device, dtype)


def int8_weight(weight: Tensor, device: str) -> LowPrecisionLinear:
    """From an fp32 weight ``[N, K]`` on the CPU."""
    codes, scale = _int8_rows(weight)
    return Int8WeightLinear(codes.to(device), scale.to(device=device, dtype=torch.bfloat16))


def int4_weight(weight: Tensor, device: str) -> LowPrecisionLinear:
    """From an fp32 weight ``[N, K]`` on the CPU; LabError where torch's packed kernel cannot take it."""
    if device != "cpu":
        raise LabError(
            Text(
                zh=f"torch 的 INT4 打包内核在 {device} 上用另一种布局，这里只接了 CPU 的",
                en=f"torch's packed INT4 kernel has another layout on {device}; only the CPU's is used here",
            )
        )
    rows, columns = weight.shape
    if columns % INT4_GROUP or rows % 16:
        raise LabError(
            Text(
                zh=f"INT4 内核要求列数是 {INT4_GROUP} 的倍数、行数是 16 的倍数，而这里是 {rows}×{columns}",
                en=f"the INT4 kernel wants columns in multiples of {INT4_GROUP} and rows of 16: "
                f"{rows}x{columns}",
            )
        )
    quantized = quantize_dequantize(weight, _INT4)
    zero = quantized.zero_point + 8 * quantized.scale
    scales_zeros = torch.stack((quantized.scale, zero), dim=-1).transpose(0, 1).contiguous().bfloat16()
    return Int4WeightLinear(
        torch._convert_weight_to_int4pack_for_cpu(quantized.codes.int(), 1), scales_zeros, weight
    )


def int8_dynamic(weight: Tensor, device: str) -> LowPrecisionLinear:
    """From an fp32 weight ``[N, K]`` on the CPU."""
    codes, scale = _int8_rows(weight)
    if device == "cpu":
        if torch.backends.quantized.engine not in ("x86", "fbgemm"):
            engine = torch.backends.quantized.engine
            raise LabError(
                Text(
                    zh=f"这里的量化引擎是 {engine}，没有 fbgemm",
                    en=f"the engine here is {engine}, not fbgemm",
                )
            )
        return FbgemmDynamicLinear(codes, scale)
    return IntMmDynamicLinear(codes.to(device), scale.to(device))


@functools.cache
def fbgemm_saturates() -> bool:
    """Whether 8-bit activations overflow fbgemm's 16-bit sums of pairs, as they do on CPUs without VNNI.

    Then the results are wrong by percents, silently; 7 bits are safe. Asked of the kernel itself: twice
    255 * 127 is more than a 16-bit integer holds.
    """
    width = 64
    codes = torch.full((width, width), 127, dtype=torch.int8)
    layer = FbgemmDynamicLinear(codes, torch.full((width,), 1 / 127))
    y = torch.ops.quantized.linear_dynamic(torch.ones(1, width), layer._packed, False)
    return not torch.allclose(y, torch.full_like(y, width), rtol=1e-3)


def kernel_error(layer: LowPrecisionLinear, x: Tensor) -> float:
    """How far the kernel is from its naive reference on ``x``, relative, by norms."""
    return relative_error(layer(x).cpu(), layer.reference(x))


def _int8_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    quantized = quantize_dequantize(weight, QuantizerConfig(bits=8, granularity="channel", scale_bits=32))
    return quantized.codes.to(torch.int8), quantized.scale[:, 0].contiguous()


def _token_steps(flat: Tensor) -> Tensor:
    return flat.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
