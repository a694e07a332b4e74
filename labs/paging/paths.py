"""The ways to compute one decode step's attention: checked against the naive formula, then timed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from labs.device import no_kernels, refusal
from labs.engine.attention import decode_attention
from labs.formulas.paged_attention import gathered_traffic
from labs.ops.native_attention import NativeAttention, native_attention
from labs.ops.paged_attention import naive_paged_attention, parts_for
from labs.relative_error import relative_error
from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing
    from labs.paging.decode_case import Case

# Relative to the naive result. In fp32 only the order of additions differs; a Triton product of bf16 operands
# rounds queries and weights to 8 bits, and so does torch on a GPU.
TOLERANCE = 1e-4
BF16_TOLERANCE = 2e-2
BUDGET_S = 0.05


@dataclass(frozen=True)
class Way:
    """``make`` gives a call for a case, or raises LabError with the reason why it cannot be had here.

    ``gathers``: blocks are copied together first.
    """

    name: str
    title: Text
    make: Callable[[Case], Callable[[int], Tensor]]
    paged: bool
    gathers: bool = False


@dataclass(frozen=True)
class Measured:
    """``timing`` None: not to be had, or not to be shown, for ``reason``. ``difference`` is the check's."""

    way: Way
    block_size: int
    context: int
    needed_bytes: float
    moved_bytes: float
    flops: int
    difference: float | None = None
    tolerance: float = TOLERANCE
    timing: Timing | None = None
    reason: Text | None = None

    @property
    def seconds(self) -> float:
        return self.timing.median_s if self.timing else math.nan

    def share(self, bandwidth: float) -> float:
        """Of the measured bandwidth, counting only bytes that any way must read; NaN without a time."""
        return self.needed_bytes / self.seconds / bandwidth


@torch.inference_mode()
def measure(ctx: Context, way: Way, case: Case, block_size: int, before: Measured | None = None) -> Measured:
    """Check on the first layer, then time through all of them. What passed ``before``, on the same case, need
    not be checked again."""
    traffic = case.shape.traffic(block_size)
    moved = gathered_traffic(traffic) if way.gathers else traffic.moved_bytes
    narrow = case.shape.kv == "bf16" and (way.name == "triton" or case.q.is_cuda)
    tolerance = BF16_TOLERANCE if narrow else TOLERANCE
    facts = (way, block_size, case.shape.context, traffic.moved_bytes, moved, traffic.flops)
    try:
        call = way.make(case)
        difference = before.difference if before else None
        if difference is None:
            difference = off_by(call(0), case)
    except LabError as error:
        return Measured(*facts, tolerance=tolerance, reason=error.text)
    except Exception as error:
        if way.name != "triton":  # whose compiler may refuse a GPU
            raise
        return Measured(*facts, tolerance=tolerance, reason=refusal(error))
    if not difference <= tolerance:
        zh = f"与朴素实现相差 {difference:.2g}，超过 {tolerance:.2g}：检查未过，不显示速度"
        en = f"off by {difference:.2g} from the naive formula, above {tolerance:.2g}: no speed is shown"
        return Measured(*facts, difference, tolerance, reason=Text(zh=zh, en=en))
    layers = itertools.cycle(range(case.layers))
    timing = ctx.measure(lambda: call(next(layers)), budget_s=BUDGET_S)
    return Measured(*facts, difference, tolerance, timing)


def off_by(out: Tensor, case: Case) -> float:
    """Relative difference from the naive formula, on the first layer."""
    store, size = case.store, case.store.block_size
    every = torch.arange(store.blocks * size, device=case.q.device)
    keys, values = store.read(0, every, torch.float32)
    expected = naive_paged_attention(case.q, keys, values, case.tables, case.lengths, size)
    return relative_error(out, expected)


def ways(device: str) -> list[Way]:
    """In place and contiguous by the same kernel, then what plain torch can do."""
    kernel = _triton if device == "cuda" else _native
    name = "triton" if device == "cuda" else "native"
    zh, en = ("Triton 内核", "Triton kernel") if device == "cuda" else ("原生内核", "native kernel")
    return [
        Way(name, Text(zh=f"{zh}：分页，原地读", en=f"{en}: paged, in place"), kernel, paged=True),
        Way(name, Text(zh=f"{zh}：连续", en=f"{en}: contiguous"), kernel, paged=False),
        Way(
            "gather",
            Text(zh="torch：先拼成连续，再算", en="torch: gathered first"),
            _gathered,
            paged=True,
            gathers=True,
        ),
        Way("torch", Text(zh="torch：连续", en="torch: contiguous"), _contiguous, paged=False),
    ]


def _native(case: Case) -> Callable[[int], Tensor]:
    library = native_attention()
    if isinstance(library, Text):
        raise LabError(library)
    attention = NativeAttention(library, torch.get_num_threads())
    return lambda layer: attention.decode(case.q, case.store, layer, case.tables, case.lengths)


def _triton(case: Case) -> Callable[[int], Tensor]:
    if (why := no_kernels()) is not None:
        raise LabError(why)
    if case.shape.kv == "int8":
        zh = "这个 Triton 内核不读 INT8 的 KV"
        raise LabError(Text(zh=zh, en="this Triton kernel does not read INT8 KV"))
    from labs.ops.paged_attention import ROWS, triton_paged_attention

    if (group := case.shape.heads // case.shape.kv_heads) > ROWS:
        zh, en = f"内核里一个 KV 头只有 {ROWS} 行查询", f"the kernel has {ROWS} rows of queries a KV head"
        raise LabError(Text(zh=f"{zh}，这里要 {group} 行", en=f"{en}, here are {group}"))
    q, store = case.q.to(case.store.data.dtype), case.store
    processors = torch.cuda.get_device_properties(q.device).multi_processor_count
    parts = parts_for(case.shape.batch * case.shape.kv_heads, case.shape.context, processors)
    return lambda layer: triton_paged_attention(
        q, store.data[layer, 0], store.data[layer, 1], case.tables, case.lengths, store.block_size, parts
    )


def _gathered(case: Case) -> Callable[[int], Tensor]:
    future = torch.zeros_like(case.slots, dtype=torch.bool)
    return lambda layer: decode_attention(case.q, case.store, layer, case.slots, future)


def _contiguous(case: Case) -> Callable[[int], Tensor]:
    """Two products over views: nothing is copied but what a narrow type needs to be widened."""
    shape, store = case.shape, case.store
    if store.scales is not None:
        zh = "torch 没有直接读 INT8 KV 的乘法"
        raise LabError(Text(zh=zh, en="torch has no product that reads INT8 KV"))
    dims = (shape.kv_heads, shape.batch, -1, shape.head_dim)
    grouped = case.q.view(shape.batch, shape.kv_heads, -1, shape.head_dim).transpose(0, 1)

    def call(layer: int) -> Tensor:
        keys, values = (store.data[layer, part].view(dims)[:, :, : shape.context] for part in (0, 1))
        if case.q.device.type == "cuda":
            per = (keys.transpose(0, 1), values.transpose(0, 1))
            mixed = F.scaled_dot_product_attention(case.q.to(keys.dtype)[:, :, None], *per, enable_gqa=True)
            return mixed.squeeze(2)
        keys, values = keys.float(), values.float()
        weights = (grouped @ keys.transpose(-1, -2) * shape.head_dim**-0.5).softmax(dim=-1)
        out: Tensor = (weights @ values).transpose(0, 1).reshape(case.q.shape)
        return out

    return call
