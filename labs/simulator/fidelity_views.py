"""Predicted against reported, row by row, with the errors: how far the simulator can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from labs.results import Axis as PlotAxis
from labs.results import Column, Lines, Markdown, Metric, Provenance, Series, Table, array
from labs.simulator import online
from labs.simulator.constants import FITTED, FITTED_RESERVED_BYTES
from labs.simulator.cost import IDEAL
from labs.simulator.kernels import rtx_4090_constants
from labs.simulator.offline import read_offline_runs
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.results import Result
    from labs.simulator.offline import OfflineRun

OFFLINE, ONLINE = "trtllm_v0.17_offline.csv", "vllm_0.19_rtx4090_llama31_8b.csv"
_ROOT = Path(__file__).parents[2]
_OFFLINE_SOURCE = Text(
    zh="TensorRT-LLM v0.17 离线吞吐，docs/source/performance/perf-overview.md（258c7540）",
    en="TensorRT-LLM v0.17 offline throughput, docs/source/performance/perf-overview.md (258c7540)",
)
_ONLINE_SOURCE = Text(
    zh="vLLM 0.19 在 RTX 4090 上的实测，casys-kaist/LLMServingSim（5daddb21）",
    en="vLLM 0.19 measured on an RTX 4090, casys-kaist/LLMServingSim (5daddb21)",
)


def folder(path: str) -> Path:
    """A relative path counts from the project's folder."""
    return _ROOT / Path(path).expanduser()


def results(path: str, check: Callable[[float], None]) -> Iterator[Result]:
    """What the files of ``path`` allow; a text that names the files where there are none."""
    offline, online_file = folder(path) / OFFLINE, folder(path) / ONLINE
    if not offline.exists() and not online_file.exists():
        yield _missing(folder(path))
        return
    if online_file.exists():
        yield _online_table(online_file)
    if offline.exists():
        yield from _offline(read_offline_runs(offline), check)


def _missing(where: Path) -> Markdown:
    files = f"`{OFFLINE}`, `{ONLINE}`"
    return Markdown(
        id="missing",
        title=Text(zh="没有实测数据", en="No measurements here"),
        provenance=Provenance.REPORTED,
        source=_OFFLINE_SOURCE,
        body=Text(
            zh=f"`{where}` 里没有 {files}。前者的列是 model、tp、isl、osl、H100、A100（输出 token/s）；"
            "后者的列是 arrival_s、input_tokens、output_tokens、first_token_s、last_token_s（秒）。",
            en=f"`{where}` has no {files}. The former's columns are model, tp, isl, osl, H100, A100 (output "
            "tokens/s); the latter's arrival_s, input_tokens, output_tokens, first_token_s and last_token_s.",
        ),
    )


def _online_table(path: Path) -> Table:
    measured, simulated = online.measured(path), online.simulated(path, rtx_4090_constants())
    rows: list[list[Text | float | int | None]] = []
    for title, one, other in (
        (same("TTFT"), measured.ttft, simulated.ttft),
        (same("TPOT"), measured.tpot, simulated.tpot),
        (Text(zh="端到端延迟", en="end-to-end latency"), measured.end_to_end, simulated.end_to_end),
    ):
        rows.append([title, one, other, 100 * (other / one - 1)])
    return Table(
        id="online",
        title=Text(zh="在线服务：300 个请求", en="Online serving: 300 requests"),
        provenance=Provenance.SIMULATED,
        unit="s",
        help=Text(
            zh="同样的到达和长度，2588 个 16-token 的块。常数来自单独计时的算子，没有用这次运行拟合。",
            en="The same arrivals and lengths, 2,588 blocks of 16. The constants are from kernels timed one "
            "by one; nothing was fitted to this run.",
        ),
        source=_ONLINE_SOURCE,
        columns=[
            Column(title=Text(zh="均值", en="mean")),
            Column(title=Text(zh="实测", en="reported"), unit="s", provenance=Provenance.REPORTED),
            Column(title=Text(zh="模拟", en="predicted"), unit="s"),
            Column(title=Text(zh="误差", en="error"), unit="%"),
        ],
        rows=rows,
    )


def _offline(runs: list[OfflineRun], check: Callable[[float], None]) -> Iterator[Result]:
    predicted: list[float] = []
    for number, run in enumerate(runs):
        check(number / len(runs))
        predicted.append(run.simulate(FITTED, FITTED_RESERVED_BYTES))
        if number % 8 == 7:
            yield _offline_table(runs, predicted)
    yield _offline_table(runs, predicted)
    yield _scatter(runs, predicted)
    for column, seen in (("H100", True), ("A100", False)):
        yield _error(column, seen, runs, predicted)
    slower = sum(run.estimate(IDEAL, 0.0) < run.reported for run in runs)
    yield Metric(
        id="ideal_slower",
        title=Text(zh="比理想还快的实测", en="Measured faster than the ideal"),
        provenance=Provenance.ESTIMATED,
        value=slower,
        unit="",
        source=Text(
            zh=f"不加校准（效率 1，无开销）的估算在 {len(runs)} 行里有几行比实测慢：应为 0",
            en=f"of {len(runs)} rows, those whose estimate without calibration (efficiency 1, no overhead) "
            "is slower than what was measured: should be 0",
        ),
    )


def _offline_table(runs: list[OfflineRun], predicted: list[float]) -> Table:
    rows: list[list[Text | float | int | None]] = []
    for run, one in zip(runs, predicted, strict=False):
        deployment = run.deployment
        rows.append(
            [
                same(f"{deployment.model.name}, {deployment.tensor_parallel} × {run.column}"),
                run.prompt,
                run.answer,
                run.reported,
                one,
                100 * (one / run.reported - 1),
                run.estimate(IDEAL, 0.0),
            ]
        )
    return Table(
        id="offline",
        title=Text(zh="离线吞吐：预测与公布", en="Offline throughput: predicted and reported"),
        provenance=Provenance.SIMULATED,
        unit="token/s",
        help=Text(
            zh="常数只用 H100 的行拟合（FP8 权重与 KV）；A100 的行（FP16）没有见过。",
            en="The constants are fitted to the H100 rows alone (FP8 weights and KV); the A100 rows (FP16) "
            "have not been seen.",
        ),
        source=_OFFLINE_SOURCE,
        columns=[
            Column(title=Text(zh="运行", en="run")),
            Column(title=Text(zh="输入", en="input"), unit="token"),
            Column(title=Text(zh="输出", en="output"), unit="token"),
            Column(title=Text(zh="公布", en="reported"), unit="token/s", provenance=Provenance.REPORTED),
            Column(title=Text(zh="模拟", en="predicted"), unit="token/s"),
            Column(title=Text(zh="误差", en="error"), unit="%"),
            Column(title=Text(zh="理想", en="ideal"), unit="token/s", provenance=Provenance.ESTIMATED),
        ],
        rows=rows,
        wide=True,
    )


def _scatter(runs: list[OfflineRun], predicted: list[float]) -> Lines:
    def of(column: str) -> Series:
        points = sorted(
            (run.reported, one) for run, one in zip(runs, predicted, strict=True) if run.column == column
        )
        return Series(name=same(column), x=array([x for x, _ in points]), y=array([y for _, y in points]))

    reported = [run.reported for run in runs]
    ends = array([min(reported), max(reported)])
    return Lines(
        id="predicted_reported",
        title=Text(zh="预测与公布", en="Predicted and reported"),
        provenance=Provenance.SIMULATED,
        unit="token/s",
        x=PlotAxis(title=Text(zh="公布", en="reported"), unit="token/s", log=True),
        y=PlotAxis(title=Text(zh="模拟", en="predicted"), unit="token/s", log=True),
        series=[
            of("H100"),
            of("A100"),
            Series(name=Text(zh="相等", en="equal"), x=ends, y=ends, reference=True),
        ],
        source=_OFFLINE_SOURCE,
    )


def _error(column: str, seen: bool, runs: list[OfflineRun], predicted: list[float]) -> Metric:
    errors = [
        abs(one / run.reported - 1) for run, one in zip(runs, predicted, strict=True) if run.column == column
    ]
    zh, en = ("拟合用过", "fitted to") if seen else ("没有见过", "not seen")
    return Metric(
        id=f"mape_{column.lower()}",
        title=Text(zh=f"{column} 的平均误差（{zh}）", en=f"Mean error on {column} ({en})"),
        provenance=Provenance.SIMULATED,
        unit="%",
        value=100 * sum(errors) / len(errors) if errors else None,
        better="lower",
        source=_OFFLINE_SOURCE,
    )
