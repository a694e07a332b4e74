"""The tables of the two labs of speed show all their columns in the panel of a window 1280 pixels wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gui.lab.results_area import ResultsArea
from gui.lab.worker.wire import HEADER, decode
from gui.language import language_switch
from labs.context import Context
from labs.formulas.roofline import Demand
from labs.measure import Timing
from labs.models.config import ModelConfig
from labs.ops.operator import operators
from labs.quantization.kernel_speed import KernelTime, Roofs
from labs.quantization.kernel_speed_views import PHASES, kernel_tables, roof_table
from labs.quantization.speed_modes import MODES, model_shapes
from labs.results import Table
from labs.roofline import model_views, operators_mode
from labs.roofline.devices_mode import Case, run_devices
from labs.roofline.placed import Placed, Roof
from labs.roofline.setting import TITLES, Setting, demands
from labs.simulator.models import model
from labs.wire import frame

if TYPE_CHECKING:
    from collections.abc import Iterator

PANEL = 575  # px: what a window of that width leaves for results
SMOLLM2 = ModelConfig(
    architecture="llama",
    layers=30,
    hidden=576,
    intermediate=1536,
    heads=9,
    kv_heads=3,
    head_dim=64,
    vocab=49152,
    context=8192,
    rms_norm_eps=1e-5,
    rope_theta=1e5,
)
TIMING = Timing(0.100841, 0.021996, 0.200841, 9)  # six digits of microseconds, as on a busy machine
ROOF = Roof(1e11, 1e10, 1e-6)


def speed_tables() -> Iterator[Table]:
    shapes = model_shapes(SMOLLM2)
    kernels = {
        (mode, phase): [
            KernelTime(shape, phase, 1, 2**20, 14_123_456, 0.018318, 0.0012345, TIMING) for shape in shapes
        ]
        for mode in MODES
        for phase in PHASES
    }
    yield roof_table(Roofs(1.0567e10, {"fp32": 3.7944e10, "bf16": 4.25e9, "int8": 4.468e10}))
    yield from kernel_tables(kernels)  # type: ignore[arg-type]


def model_tables() -> Iterator[Table]:
    setting = Setting("prefill", 1, 512)
    parts = [
        Placed(name, TITLES[name], demand._replace(calls=12), ROOF, TIMING, SMOLLM2.layers)
        for name, demand in demands(SMOLLM2, setting).items()
    ]
    yield from model_views.tables(model_views.Found(setting, ROOF, parts=parts, whole=TIMING))


def operator_tables() -> Iterator[Table]:
    found = []
    for operator in operators().values():
        work = operator.work(case := operator.shipped[-1])
        placed = Placed(operator.name, operator.title, Demand(work.flops, work.bytes), ROOF, TIMING)
        found += [operators_mode.Tried(way, case, placed, 0.0012345) for way in ("native", "naive")]
    yield from operators_mode._tables(found)


def device_tables() -> Iterator[Table]:
    case = Case(model("llama-3.1-8b"), "bf16", batch=16, context=8192)
    yield from (one for one in run_devices(Context(), case, "h100-sxm") if isinstance(one, Table))


def views_of(area: ResultsArea, tables: Iterator[Table]) -> Iterator[Any]:
    for table in tables:
        result = decode(frame(table)[HEADER.size :])
        area.show_result(result, {})
        yield area.card(result["id"]).view


@pytest.mark.parametrize("tables", [speed_tables, model_tables, operator_tables, device_tables])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_table_of_the_speed_labs_scrolls_sideways(qtbot: Any, language: str, tables: Any) -> None:
    language_switch.apply(language)
    area = ResultsArea()
    qtbot.addWidget(area)
    area.resize(PANEL, 700)
    area.show()
    area.begin(preview=False)
    views = list(views_of(area, tables()))
    area.end("done")
    assert views
    for view in views:
        qtbot.waitUntil(lambda view=view: view.grid.width() > 500)
        told = [(c, w) for c, w in zip(view._columns, _widths(view), strict=True)]
        assert not view._sideways, (view.result["id"], told, view.grid.width())


def _widths(view: Any) -> list[int]:
    return [view.grid.columnWidth(place) for place in range(view.model.columnCount())]


def test_projections_are_named_in_full(qtbot: Any) -> None:
    area = ResultsArea()
    qtbot.addWidget(area)
    area.resize(PANEL, 700)
    area.show()
    area.begin(preview=False)
    for view in views_of(area, speed_tables()):
        qtbot.waitUntil(lambda view=view: view.grid.width() > 500)
        assert view.model.cut == set()
