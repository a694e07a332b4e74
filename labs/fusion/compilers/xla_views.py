"""What XLA made of a chain, as results: texts, its account, its decisions, its passes, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.fusion.compilers.hlo_text import parse, tidy_hlo, tidy_stablehlo
from labs.results import Code, CodePane, Column, Markdown, Metric, Provenance, Table, array
from labs.text import Text, same
from labs.timing_results import noise_warning

if TYPE_CHECKING:
    from typing import Final

    from labs.fusion.compilers.xla_child import Decision, XlaCompiled
    from labs.measure import Timing

_MEASURED: Final = Provenance.MEASURED
_LOG: Final = Text(
    zh="XLA 自己的日志（CPU 的 instruction_fusion）", en="XLA's own log (instruction_fusion for the CPU)"
)


def texts(chain: str, edits: str, found: XlaCompiled | None = None) -> Code:
    """The chain, and what each stage made of its lines, where that is known."""
    pane = CodePane(name=Text(zh="链", en="chain"), language="python", text=chain, edits=edits)
    return Code(
        id="texts",
        title=Text(zh="链与 XLA 的每一步", en="The chain, and XLA's stages of it"),
        provenance=_MEASURED,
        wide=True,
        panes=[pane, *(_stages(found) if found else [])],
    )


def _stages(found: XlaCompiled) -> list[CodePane]:
    stages = [
        (Text(zh="StableHLO（JAX 交出的）", en="StableHLO (from JAX)"), tidy_stablehlo(found.stablehlo)),
        (Text(zh="HLO，优化前", en="HLO before"), tidy_hlo(found.before)),
        (Text(zh="HLO，优化后", en="HLO after"), tidy_hlo(found.after)),
    ]
    return [
        CodePane(name=name, language="hlo", text=text, links=array(links)) for name, (text, links) in stages
    ]


def kernels(found: XlaCompiled, operators: int) -> Metric:
    """What runs, fused."""
    return Metric(
        id="kernels",
        title=Text(zh="融合后的 kernel", en="Kernels, fused"),
        provenance=_MEASURED,
        value=float(parse(found.after).kernels),
        better="lower",
        source=Text(
            zh=f"优化后 HLO 入口里要计算的指令；链有 {operators} 个算子",
            en=f"instructions of the optimised HLO's entry that compute; operators of the chain: {operators}",
        ),
    )


def account(found: XlaCompiled) -> Table:
    """Its cost model's figures before and after: what its passes decide with."""
    before, after = found.cost_before, found.cost_after
    rows: list[list[Text | float | int | None]] = [
        [Text(zh="读写的字节", en="bytes accessed"), before.bytes, after.bytes, same("B")],
        [same("FLOP"), before.flops, after.flops, same("FLOP")],
        [Text(zh="超越函数", en="transcendentals"), before.transcendentals, after.transcendentals, None],
        [Text(zh="参数", en="arguments"), None, found.argument_bytes, same("B")],
        [Text(zh="结果", en="outputs"), None, found.output_bytes, same("B")],
        [Text(zh="临时缓冲区", en="temporary buffers"), None, found.temporary_bytes, same("B")],
    ]
    return Table(
        id="account",
        title=Text(zh="XLA 自己的账", en="XLA's own account"),
        provenance=Provenance.ESTIMATED,
        source=Text(
            zh="cost_analysis()：未优化与优化后的 HLO，逐条指令相加；memory_analysis()："
            "分配给这次编译的缓冲区",
            en="cost_analysis() of the HLO as lowered and as optimised, summed over instructions; "
            "memory_analysis(): buffers as assigned",
        ),
        columns=[
            Column(title=Text(zh="项", en="What")),
            Column(title=Text(zh="融合前", en="Before")),
            Column(title=Text(zh="融合后", en="After")),
            Column(title=Text(zh="单位", en="Unit")),
        ],
        rows=rows,
    )


def decisions(found: XlaCompiled) -> Table:
    """A row a pair, in the order in which they were decided."""
    return Table(
        id="decisions",
        title=Text(zh="它的决定与理由", en="Its decisions and reasons"),
        provenance=_MEASURED,
        source=_LOG,
        wide=True,
        columns=[
            Column(title=Text(zh="结论", en="Verdict")),
            Column(title=Text(zh="理由（日志原文）", en="Reason (as logged)")),
            Column(title=Text(zh="生产者", en="Producer")),
            Column(title=Text(zh="消费者", en="Consumer")),
        ],
        rows=[_decision(one) for one in found.decisions],
    )


def _decision(one: Decision) -> list[Text | float | int | None]:
    verdict = Text(zh="融合", en="fused") if one.fused else Text(zh="不融合", en="not fused")
    shown = [_located(*pair) for pair in zip((one.producer, one.consumer), one.lines, strict=True)]
    return [verdict, same(one.reason), *shown]


def _located(name: str, line: int) -> Text:
    return Text(zh=f"{name}（第 {line} 行）", en=f"{name} (line {line})") if line else same(name)


def passes(found: XlaCompiled) -> Table:
    """The way from one HLO to the other."""
    return Table(
        id="passes",
        title=Text(zh="改动了图的 pass", en="Passes that changed the graph"),
        provenance=_MEASURED,
        source=Text(zh="XLA 在每个 pass 之后写出的模块", en="the module as XLA dumps it behind each pass"),
        wide=True,
        columns=[
            Column(title=Text(zh="流水线", en="Pipeline")),
            Column(title=same("Pass")),
            Column(title=Text(zh="入口的指令", en="Instructions of the entry")),
            Column(title=Text(zh="其中融合", en="fusions among them")),
        ],
        rows=[[same(one.pipeline), same(one.name), one.instructions, one.fusions] for one in found.passes],
    )


def why(found: XlaCompiled, operators: int, inductor: Timing | None, tolerance: float) -> Markdown:
    """What follows from the figures."""
    after = parse(found.after)
    library = sum(one.kind == "kCustom" for one in after.entered)
    fused = sum(one.fused for one in found.decisions)
    ratio = found.cost_before.bytes / max(found.cost_after.bytes, 1.0)
    zh = [
        f"- {operators} 个算子成了 **{after.kernels}** 个 kernel，其中 {library} 个交给库（kCustom，"
        "不是循环）。"
        f"日志里 {fused} 对融合、{len(found.decisions) - fused} 对拒绝。",
        f"- XLA 的代价分析：读写 {found.cost_before.bytes / 1e6:.4g} → {found.cost_after.bytes / 1e6:.4g} MB"
        f"（{ratio:.3g} 倍）。融合前把每个广播也算成一个写回的张量，所以比逐个算子真正搬的还多。",
        f"- 降级加编译 {found.seconds:.2g} s；结果与 torch 相差 {found.error:.1e}（超过 {tolerance:g} "
        "不给速度）。",
    ]
    en = [
        f"- {operators} operators became **{after.kernels}** kernels, {library} of them a library's "
        "(kCustom: no "
        f"loop). Pairs fused in the log: {fused}; refused: {len(found.decisions) - fused}.",
        f"- By XLA's cost analysis {found.cost_before.bytes / 1e6:.4g} → "
        f"{found.cost_after.bytes / 1e6:.4g} MB are "
        f"moved ({ratio:.3g} times less). Before fusing it counts every broadcast as a tensor that is "
        "written, so "
        "more than operators one by one really move.",
        f"- Lowered and compiled in {found.seconds:.2g} s; {found.error:.1e} off torch (beyond "
        f"{tolerance:g} no "
        "speed is shown).",
    ]
    timings = [found.apart, found.compiled, found.eager, *([inductor] if inductor else [])]
    if found.error <= tolerance:
        apart, fast, eager, *other = (_shown(one.median_s) for one in timings)
        zh_other, en_other = (f"，Inductor {other[0]}", f", Inductor {other[0]}") if other else ("", "")
        zh.append(
            f"- JAX 逐个算子 {apart}，XLA 融合后 {fast}；torch 逐个算子 {eager}{zh_other}。都是单线程。"
        )
        en.append(
            f"- JAX operator by operator {apart}, fused by XLA {fast}; torch operator by operator {eager}"
            f"{en_other}. One thread each."
        )
    if warning := noise_warning(timings):
        zh.append(f"- {warning.zh}")
        en.append(f"- {warning.en}")
    return Markdown(
        id="why",
        title=Text(zh="看到了什么，为什么", en="What you see and why"),
        provenance=_MEASURED,
        body=Text(zh="\n".join(zh), en="\n".join(en)),
    )


def _shown(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.4g} µs"
