"""What theory says before a run: a figure of each mode, under the id of the metric that it predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labs.spec import Prediction
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.context import Context


def predictions(params: Any, ctx: Context) -> Iterator[Prediction]:
    """``params`` are the lab's. Nothing for modes whose figures follow from what is measured."""
    make = _MODES.get(params.mode)
    found = make(params, ctx) if make else None
    if found:
        yield found


def _ladder(params: Any, ctx: Context) -> Prediction | None:
    import torch

    available = torch.get_num_threads()
    used = min(params.threads or available, available)
    if used == 1:
        return None
    return Prediction(
        id="thread_gain",
        title=Text(zh="多线程 ÷ 单线程", en="All threads / one"),
        value=used,
        unit="×",
        formula=Text(zh="线程数：算力成倍，缓存各用各的", en="the number of threads: compute scales"),
    )


def _loops(params: Any, ctx: Context) -> Prediction:
    from labs.gemm.loops_mode import FORMULA, expected

    return Prediction(
        id="misses",
        title=Text(zh="缓存未命中（行）", en="Cache misses (lines)"),
        value=expected(params.order, params.small, params.small_tile, params.cache_lines).lines,
        unit="",
        formula=FORMULA,
    )


def _pipeline(params: Any, ctx: Context) -> Prediction:
    from labs.gemm.pipeline import pipeline
    from labs.gemm.pipeline_mode import STEP_FORMULA

    tiles = (params.tile_m, params.tile_n, params.tile_k, params.stages)
    pipe = pipeline(params.chip, *tiles, params.latency_ns * 1e-9, params.l2_hit / 100)
    return Prediction(
        id="step",
        title=Text(zh="稳态里的一步", en="A step in the steady state"),
        value=pipe.step_s,
        unit="s",
        formula=STEP_FORMULA,
    )


def _strassen(params: Any, ctx: Context) -> Prediction:
    from labs.formulas.gemm import strassen_flops
    from labs.gemm.strassen_mode import FLOPS_FORMULA

    size, levels = params.size, params.levels
    return Prediction(
        id="strassen_flops",
        title=Text(zh=f"{size} 阶、{levels} 层的 FLOP", en=f"FLOPs at n = {size}, {levels} levels"),
        value=strassen_flops(size, levels),
        unit="FLOP",
        formula=FLOPS_FORMULA,
    )


def _model(params: Any, ctx: Context) -> Prediction:
    from labs.gemm.model_mode import SHARE_FORMULA, expected_share

    return Prediction(
        id="flop_share",
        title=Text(zh="预填充里 GEMM 占的 FLOP", en="GEMM's share of prefill FLOPs"),
        value=100 * expected_share(ctx.model_config(), params.tokens),
        unit="%",
        formula=SHARE_FORMULA,
    )


_MODES: dict[str, Callable[[Any, Context], Prediction | None]] = {
    "ladder": _ladder,
    "loops": _loops,
    "pipeline": _pipeline,
    "strassen": _strassen,
    "model": _model,
}
