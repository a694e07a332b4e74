"""What the GEMM lab claims: every rung right at any shape, no speed without it, and the model as it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from labs.context import Context
from labs.formulas.gemm import strassen_error, strassen_flops
from labs.gemm import ladder, model_mode, tile_mode
from labs.gemm.ladder import TOLERANCE, Timed, Way, numpy_ways, off_by, run_ladder, timed
from labs.gemm.loop_nests import record, steps
from labs.gemm.native import Blocks, Kernels, kernels
from labs.gemm.pipeline import CHIPS, pipeline
from labs.gemm.pipeline_mode import record as record_pipeline
from labs.gemm.rungs import RUNGS
from labs.gemm.strassen import Count, strassen
from labs.measure import Timing
from labs.models import llama
from labs.models.config import ModelConfig
from labs.registry import load_catalog
from labs.results import Bars, Lines, Metric, Table
from labs.runner import execute
from labs.text import Text, same

if TYPE_CHECKING:
    from torch import Tensor

    from labs.results import Result

ODD = [(1, 1, 1), (1, 100, 63), (5, 7, 300), (63, 100, 65), (97, 33, 130), (130, 257, 17)]
NONE = Text(zh="没有编译器", en="there is no compiler")


def compiled() -> Kernels:
    found = kernels()
    if not isinstance(found, Kernels):
        pytest.skip(found.en)
    return found


def operands(m: int, n: int, k: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(m + n + k)
    return torch.randn(m, k, generator=generator), torch.randn(k, n, generator=generator)


@pytest.mark.parametrize("rung", range(len(RUNGS)))
def test_every_rung_multiplies_at_odd_shapes_and_writes_nothing_else(rung: int) -> None:
    for m, n, k in ODD:
        a, b = operands(m, n, k)
        guarded = torch.full((m + 2, n), torch.nan)
        out = guarded[1:-1]
        compiled().product(rung, a, b, out, Blocks(tile=32, m=24, n=48, k=40), threads=3)
        assert off_by(out, a @ b, a, b) <= TOLERANCE
        assert guarded[0].isnan().all() and guarded[-1].isnan().all()


def test_a_product_that_is_wrong_shows_no_speed() -> None:
    a, b = operands(16, 16, 16)
    out = torch.empty(16, 16)
    way = Way(same("wrong"), same("wrong"), lambda _rows: out.zero_(), out)
    assert timed(Context(), way, a, b, a @ b).timing is None
    # A number that is not written is NaN, and no NaN is right.
    lazy = Way(same("lazy"), same("lazy"), lambda _rows: None, out)
    assert timed(Context(), lazy, a, b, a @ b).timing is None


def test_slow_rungs_are_timed_on_a_part_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "_PROBE_S", 0.0)
    a, b = operands(64, 16, 16)
    out = torch.empty(64, 16)
    way = Way(
        same("rows"), same("rows"), lambda rows: torch.mm(a[:rows], b, out=out[:rows]), out, least_rows=3
    )
    done = timed(Context(), way, a, b, a @ b)
    assert done.rows == 3 and done.flops == 2 * 3 * 16 * 16 and done.timing is not None


def test_a_slow_rung_is_timed_in_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[Timing] = []

    def quicker(*_: object) -> Timing:
        rounds.append(Timing(median_s=0.001, low_s=0.001, high_s=0.001, repeats=5))
        return rounds[-1]

    monkeypatch.setattr(ladder, "cpu_time", quicker)
    way = Way(same("w"), same("w"), lambda _rows: None, torch.empty(1))
    slow, fast = (Timing(one, one, one, 5) for one in (1.5 * ladder.SLOW_S, 0.5 * ladder.SLOW_S))
    assert ladder.again(Context(), Timed(way, 0.0, 1, 1.0, slow)).timing is slow and not rounds
    assert ladder.again(Context(), Timed(way, 0.0, 1, 1.0, fast)).timing is rounds[0]


def test_of_a_large_product_tiles_compute_some_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled()
    monkeypatch.setattr(tile_mode, "TILES", (16,))
    monkeypatch.setattr(tile_mode, "_MOST_ROWS", 24)
    monkeypatch.setattr(tile_mode, "_BUDGET_S", 0.0)
    peak = SimpleNamespace(peak=1e11, dot=1e9, scalars=1e10, lanes=8, memory_instructions=1e10)
    peak.read = dict.fromkeys((0, 1, 2, 3), 1e10)
    monkeypatch.setattr(tile_mode, "measure_ceilings", lambda *_: peak)
    sweep = tile_mode.Sweep(48, peak)  # type: ignore[arg-type]
    assert sweep.rows == 24 and tile_mode.Sweep(16, peak).rows == 16  # type: ignore[arg-type]
    shown = {one.id: one for one in tile_mode.run_tiles(Context(), size=48)}
    speed = shown["tile_speed"]
    assert isinstance(speed, Lines) and all((series.y > 0).all() for series in speed.series)


def test_without_a_compiler_numpy_and_torch_climb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "kernels", lambda: NONE)
    shown = {one.id: one for one in run_ladder(Context(), m=24, n=24, k=24, tile=8, thread_count=1)}
    rates, told = shown["rates"], shown["explanation"]
    assert isinstance(rates, Bars) and not rates.missing
    assert len(rates.categories) == len(numpy_ways(*operands(2, 2, 2), torch.empty(2, 2))) + 1
    assert "there is no compiler" in told.body.en  # type: ignore[attr-defined]
    monkeypatch.setattr(tile_mode, "kernels", lambda: NONE)
    by_formula = {one.id: one for one in tile_mode.run_tiles(Context(), size=512)}
    assert list(by_formula) == ["tile_traffic", "explanation"]
    assert "there is no compiler" in by_formula["explanation"].body.en  # type: ignore[attr-defined]


def test_the_recorded_loops_multiply() -> None:
    generator = np.random.default_rng(0)
    a, b = (generator.integers(-3, 4, shape).astype(np.float32) for shape in ((9, 14), (14, 11)))
    for order in ("ijk", "ikj", "tiled"):
        done = record(order, a, b, tile=4, cache_lines=8)
        assert (done.product == a @ b).all()
        # Every product of a number of A and one of B, once.
        pairs = [(s.i, j, one) for s in steps(order, 9, 11, 14, 4) for j in s.columns for one in s.depth]
        assert len(pairs) == len(set(pairs)) == 9 * 11 * 14


def test_the_tiles_that_are_replayed_are_those_of_the_compiled_rung() -> None:
    replayed = [
        [s.i, s.columns.start, len(s.columns), s.depth.start, len(s.depth)]
        for s in steps("tiled", 9, 11, 14, 4)
    ]
    assert compiled().tile_steps(9, 11, 14, 4).tolist() == replayed


@pytest.mark.parametrize("levels", [0, 1, 2, 3])
def test_strassen_multiplies_within_highams_bound_and_counts_its_work(levels: int) -> None:
    a, b = (torch.rand(64, 64, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    count = Count()
    out = strassen(a, b, levels, count)
    worst = (out - a.double() @ b.double()).abs().max() / (2.0**-24 * a.abs().max() * b.abs().max())
    assert worst <= strassen_error(64, levels)
    assert count.flops == strassen_flops(64, levels) and count.leaves == 7**levels
    with pytest.raises(ValueError, match="divisible by 8"):
        strassen(a[:60, :60], b[:60, :60], 3)


def test_events_of_a_pipeline_are_in_order_and_of_every_step() -> None:
    found = record_pipeline(pipeline("a100", 128, 128, 32, 3, 600e-9, 0.75))
    times = [event.time_s for event in found.events]
    assert times == sorted(times)
    steps_of_a_tile = {(event.kind, event.step) for event in found.events if event.tile == 1}
    assert len(steps_of_a_tile) == 4 * len(found.times[1])


def test_the_chips_peak_is_all_of_its_processors() -> None:
    from labs.simulator.hardware import device

    for name, chip in CHIPS.items():
        one = pipeline(name, 128, 128, 64, 1, 0.0, 0.0)
        flops = 2 * 128 * 128 * 64 * chip.processors
        assert flops / one.compute_s == pytest.approx(device(chip.device).peak("bf16"))


def run(**values: object) -> dict[str, Result]:
    lab = load_catalog().labs["operator/gemm"]
    return {one.id: one for one in execute(lab, lab.params(**values), Context())}


def test_modes_without_a_clock_agree_with_their_formulas() -> None:
    for mode, identity in (("loops", "misses"), ("pipeline", "step")):
        metric = run(mode=mode)[identity]
        assert isinstance(metric, Metric) and metric.value == pytest.approx(metric.predicted)


TINY = ModelConfig(
    architecture="llama",
    layers=2,
    hidden=64,
    intermediate=96,
    heads=6,
    kv_heads=2,
    head_dim=16,
    vocab=256,
    context=64,
    rms_norm_eps=1e-5,
    rope_theta=1e4,
)


def test_the_models_flops_are_counted_as_predicted_and_its_functions_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What the machine can do is not what is tested.
    monkeypatch.setattr(model_mode, "gemm_peak", lambda *_: 1e11)
    monkeypatch.setattr(model_mode, "read_bandwidth", lambda *_: 1e10)
    ctx, before = Context(), llama.causal_attention
    loaded = SimpleNamespace(model=llama.Llama(TINY).eval(), config=TINY)
    ctx.session.memo(("model", None), lambda: loaded)
    shown = {one.id: one for one in model_mode.run_model(ctx, tokens=16, batch=2)}
    share, table, bars = shown["flop_share"], shown["projections"], shown["shares"]
    assert isinstance(share, Metric) and share.value == pytest.approx(share.predicted)
    assert isinstance(table, Table) and len(table.rows) == 3 * 8
    assert isinstance(bars, Bars)
    assert sum(series.values for series in bars.series) == pytest.approx([100.0] * 3)
    assert llama.causal_attention is before
    assert not any(module._forward_hooks for module in loaded.model.modules())
