"""The operators: on a GPU beside their targets, on a CPU the fast path beside the naive one.

A target is a ratio within one run: of cuBLAS, of the bandwidth that a copy reaches here, of the data sheet's
peak. Where there is no GPU its figures are not there and a line says so; a kernel that differs from its
reference is a crash, not a speed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from labs.caches import rotate
from labs.measure import time_calls
from labs.ops.gemm import tuned_gemm
from labs.ops.operator import Case, Operator, operators
from labs.relative_error import relative_error
from tests.benchmarks.figures import Figure, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Triton's documentation, tutorial "Fused Attention", batch 4, 32 heads of 64, forward, not causal, 16,384
# tokens: 166.6 TFLOP/s in FP16. The page does not name its GPU; an A100 (312) is assumed.
PUBLISHED_ATTENTION = 166.6 / 312
PEAK_FP16 = {(8, 0): 312e12, (9, 0): 989.4e12}  # data sheets of A100 and H100 SXM, dense
GEMM = Case({"m": 4096, "n": 4096, "k": 4096}, "fp16")
ROWS = {
    "softmax": Case({"rows": 8192, "columns": 4096}, "fp16"),
    "rms_norm": Case({"rows": 8192, "columns": 4096, "residual": 1}, "fp16"),
}
BUDGET_S = 0.5
MOST_FLOPS = 5e9  # on a CPU


def run() -> Iterator[Figure]:
    if torch.cuda.is_available():
        yield from on_gpu()
    else:
        yield Figure("operators.gpu", "GPU targets did not run: no CUDA device here", 0, "targets")
    yield from on_cpu()


def on_gpu() -> Iterator[Figure]:
    bandwidth = copy_bandwidth()
    yield Figure("operators.copy", "bandwidth of a copy", bandwidth / 1e9, "GB/s")
    gemm = operators()["gemm"]
    ours, cublas = seconds(gemm, GEMM, tuned_gemm), seconds(gemm, GEMM, gemm.fast)
    yield Figure("operators.gemm", "GEMM, time of cuBLAS's", ours / cublas, "x", 1 / 0.9)
    for name, case in ROWS.items():
        yield by_bandwidth(operators()[name], case, bandwidth, 0.85)
    paged = {"sequences": 64, "longest": 4096, "heads": 32, "kv_heads": 8, "head_dim": 128}
    case = Case(paged | {"block": 16, "parts": 4}, "fp16")
    try:
        yield by_bandwidth(operators()["paged_attention"], case, bandwidth, 0.8)
    except torch.OutOfMemoryError:
        yield Figure(
            "operators.paged_attention", "paged_attention did not run: a GPU too small", 0, "targets"
        )
    peak = PEAK_FP16.get(torch.cuda.get_device_capability())
    if peak is not None:
        yield attention(peak)


def attention(peak: float) -> Figure:
    sizes = {"batch": 4, "heads": 32, "kv_heads": 32, "queries": 16384, "keys": 16384, "dim": 64}
    case = Case(sizes | {"causal": 0, "window": 0}, "fp16")
    operator = operators()["flash_attention"]
    took = seconds(operator, case, operator.triton, check=False)  # naive would need 64 GiB for the scores
    share = 4 * 4 * 32 * 16384**2 * 64 / took / peak
    remark = f"{share:.1%} of the peak; published {PUBLISHED_ATTENTION:.1%}"
    what = "attention, time of Triton's published share of the peak"
    return Figure("operators.attention", what, PUBLISHED_ATTENTION / share, "x", 1.0, remark)


def by_bandwidth(operator: Operator, case: Case, bandwidth: float, least: float) -> Figure:
    took, bound = seconds(operator, case, operator.triton), operator.work(case).bytes / bandwidth
    what = f"{operator.name}, time of its bytes at the copy's bandwidth"
    return Figure(f"operators.{operator.name}", what, took / bound, "x", 1 / least, f"{case}")


def on_cpu() -> Iterator[Figure]:
    """Both on the same operands, in the caches where they fit: how long each takes beside the other."""
    for operator in operators().values():
        if operator.fast is not None:
            case = cpu_case(operator)
            naive, fast = (seconds(operator, case, way, "cpu") for way in (operator.naive, operator.fast))
            remark = f"{case}: {short(fast * 1e3)} ms, naive {short(naive * 1e3)} ms"
            name, what = f"operators.cpu.{operator.name}", f"{operator.name}, naive's time of the fast path's"
            yield Figure(name, what, naive / fast, "x", None, remark)


def cpu_case(operator: Operator) -> Case:
    """A size that is shipped and that a small machine computes in a moment, in fp32; else a small one."""
    wanted = (Case(case.sizes) for case in operator.shipped)
    fitting = (case for case in wanted if operator.work(case).flops < MOST_FLOPS)
    return next(fitting, operator.odd[0])


def seconds(
    operator: Operator,
    case: Case,
    call: Callable[..., object] | None,
    device: str = "cuda",
    check: bool = True,
) -> float:
    """Median of one call, once it has passed against the reference; on a GPU operands are in no cache."""
    assert call is not None
    if check:
        gap = _gap(operator, case, call, device)
        assert gap <= operator.tolerance[case.dtype], f"{operator.name} is off by {gap:.1e}"
    if device == "cpu":
        operands = operator.make(case)
        return time_calls(lambda: call(**operands), device, BUDGET_S).median_s
    hand_out = rotate(lambda: operator.make(case, device=device), operator.work(case).read, device)
    return time_calls(lambda: call(**hand_out()), device, BUDGET_S).median_s


def _gap(operator: Operator, case: Case, call: Callable[..., object], device: str) -> float:
    """A function of its own: what it made is gone before operands are made to take turns."""
    arguments = operator.make(case, device=device)
    return relative_error(call(**arguments), operator.naive(**arguments))


def copy_bandwidth() -> float:
    """Bytes read and written a second by the device's own copy."""
    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / time_calls(lambda: target.copy_(source), "cuda", BUDGET_S).median_s
