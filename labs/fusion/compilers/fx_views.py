"""The pattern matcher's run as results: texts, graphs, fusions and refusals, figures, and what follows."""

from __future__ import annotations

from operator import getitem
from typing import TYPE_CHECKING, NamedTuple

from labs.fusion.compilers import pattern_kernels, pattern_triton
from labs.fusion.compilers.fx_chain import OPERATOR_OF
from labs.fusion.compilers.pattern_language import REDUCTIONS, LanguageError, parse_chain
from labs.fusion.compilers.pattern_loops import loops
from labs.results import (
    Code,
    CodeMark,
    CodePane,
    Column,
    Graph,
    GraphEdge,
    GraphNode,
    Markdown,
    Provenance,
    Table,
)
from labs.text import Text, same

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Final, Literal

    from torch import fx

    from labs.fusion.compilers.fx_costs import Costs, Saving
    from labs.fusion.compilers.pattern_language import Chain, Pattern
    from labs.fusion.compilers.pattern_matching import Match
    from labs.results import Result

KINDS: Final = [
    Text(zh="输入", en="input"),
    Text(zh="矩阵乘", en="matrix product"),
    Text(zh="归约", en="reduction"),
    Text(zh="逐元素", en="elementwise"),
    Text(zh="融合的 kernel", en="fused kernel"),
    Text(zh="结果", en="result"),
    Text(zh="它的一个输出", en="one of its outputs"),
]
_TEXTS: Final = Text(
    zh="链、模式、改写后的图、生成的 kernel", en="Chain, patterns, rewritten graph, generated kernels"
)
FORMULA: Final = Text(
    zh="省下的字节 ÷ 带宽 + 省下的调用 × 每次调用（labs.formulas.fusion）",
    en="bytes spared / bandwidth + calls spared × a call (labs.formulas.fusion)",
)
_BYTES: Final = Text(
    zh="每个 kernel 读它要的、写别人要的，各一次（labs.formulas.fusion）",
    en="each kernel reads what it needs and writes what others need, once (labs.formulas.fusion)",
)


class Written(NamedTuple):
    """What the user wrote; ``edits`` is the parameter that the chain is, or empty."""

    chain: str
    patterns: str
    edits: str


def kind_of(node: fx.Node) -> int:
    """Index into KINDS."""
    if node.op in ("placeholder", "output"):
        return 0 if node.op == "placeholder" else 5
    operator = OPERATOR_OF.get(node.target)
    if operator is None:
        return 6 if node.target is getitem else 4
    return 1 if operator == "linear" else 2 if operator in REDUCTIONS else 3


def graph(fx_graph: fx.Graph, id: str, title: Text, matches: list[Match]) -> Graph:
    """The FX graph; each match a box."""
    place = {node: index for index, node in enumerate(fx_graph.nodes)}
    box = {name: index for index, match in enumerate(matches) for name in match.nodes}
    nodes = [
        GraphNode(
            name=same(_name(node)),
            category=kind_of(node),
            group=box.get(node.name, -1),
            detail=same(f"{node.op} {_target(node)} {list(node.meta.get('shape', ()))}"),
            value=float(node.meta["bytes"]) if "bytes" in node.meta else None,
        )
        for node in fx_graph.nodes
    ]
    edges = [
        GraphEdge(source=place[a], target=place[node])
        for node in fx_graph.nodes
        for a in node.all_input_nodes
    ]
    return Graph(
        id=id,
        title=title,
        provenance=Provenance.MEASURED,
        unit="B",
        source=Text(
            zh="torch.fx 的图；字节取自一次真实的执行", en="torch.fx's graph; bytes as one real run made them"
        ),
        nodes=nodes,
        edges=edges,
        categories=KINDS,
        groups=[same(match.pattern.name) for match in matches],
        value_name=Text(zh="结果的大小", en="size of its result"),
    )


def _name(node: fx.Node) -> str:
    operator = OPERATOR_OF.get(node.target, "")
    return node.name if not operator or node.name.startswith(operator) else f"{node.name}: {operator}"


def _target(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))


def read_chain(text: str, edits: str) -> Generator[Result, None, Chain]:
    """The chain that was written; of one that is refused, the text with its line marked, and the error."""
    try:
        return parse_chain(text)
    except LanguageError as error:
        yield broken("chain", text, error, edits)
        raise


def broken(name: str, text: str, error: LanguageError, edits: str) -> Code:
    """The text that was refused, its line marked."""
    line = min(error.line, max(1, len(text.splitlines())))
    mark = CodeMark(line=line, text=error.text, role="error")
    pane = CodePane(name=same(name), language="python", text=text, marks=[mark], edits=edits)
    return Code(
        id="texts",
        title=_TEXTS,
        provenance=Provenance.MEASURED,
        panes=[pane],
        wide=True,
    )


def texts(written: Written, marks: list[CodeMark], after: str, fused: list[Match]) -> Code:
    """All texts of the run side by side."""
    cpp = "\n".join(f"// {match.pattern.name}\n{pattern_kernels.source(match)}" for match in fused)
    triton = "\n".join(pattern_triton.source(match.pattern.name, loops(match)) for match in fused)
    patterns, chain = Text(zh="模式", en="patterns"), Text(zh="链", en="chain")
    rewritten = Text(zh="改写后的图（FX）", en="rewritten graph (FX)")
    generated, gpu = (
        Text(zh="生成的 C++", en="generated C++"),
        Text(zh="生成的 Triton", en="generated Triton"),
    )
    return Code(
        id="texts",
        title=_TEXTS,
        provenance=Provenance.MEASURED,
        wide=True,
        panes=[
            CodePane(name=patterns, language="python", text=written.patterns, marks=marks, edits="patterns"),
            CodePane(name=chain, language="python", text=written.chain, edits=written.edits),
            CodePane(name=rewritten, language="python", text=after),
            CodePane(name=generated, language="cpp", text=cpp or "// -\n"),
            CodePane(name=gpu, language="python", text=triton or "# -\n"),
        ],
    )


def marks(
    patterns: list[Pattern], fused: list[Match], refused: list[Match], late: list[Pattern]
) -> list[CodeMark]:
    """What became of each pattern, at its line; ``late`` ones found their operators fused already."""
    found = []
    for pattern in patterns:
        hits = sum(match.pattern is pattern for match in fused)
        reason = next((one.reason for one in refused if one.pattern is pattern and one.reason), None)
        if hits:
            mark = Text(zh=f"匹配并融合 {hits} 处", en=f"matched and fused: {hits}")
        elif pattern in late and not reason:
            mark = Text(zh="它的算子已被前面的模式融合", en="an earlier pattern has fused its operators")
        else:
            mark = reason or Text(zh="没有匹配", en="no match")
        role: Literal["good", "warning", "note"] = "good" if hits else "warning" if reason else "note"
        found.append(CodeMark(line=pattern.line, text=mark, role=role))
    return found


def fusions(fused: list[Match], refused: list[Match], savings: list[Saving], costs: Costs) -> Table:
    """A row a match: what it spares by the cost model, or why it was refused."""
    rows: list[list[Text | float | int | None]] = [
        [
            same(match.pattern.name),
            Text(zh="已融合", en="fused"),
            one.calls,
            one.before_bytes,
            one.after_bytes,
            one.seconds(costs),
            same(", ".join(match.bound[name].name for name in match.outputs)),
            same(" → ".join(match.nodes)),
        ]
        for match, one in zip(fused, savings, strict=True)
    ]
    rows += [
        [same(match.pattern.name), match.reason, None, None, None, None, None, same(" → ".join(match.nodes))]
        for match in refused
    ]
    return Table(
        id="fusions",
        title=Text(zh="每处匹配：代价模型怎么说", en="Each match, and what the cost model says"),
        provenance=Provenance.ESTIMATED,
        source=FORMULA,
        wide=True,
        columns=[
            Column(title=Text(zh="模式", en="Pattern")),
            Column(title=Text(zh="结论", en="Verdict")),
            Column(title=Text(zh="省下的调用", en="Calls spared")),
            Column(title=Text(zh="原来读写", en="Moved before"), unit="B", help=_BYTES),
            Column(title=Text(zh="融合后读写", en="Moved after"), unit="B", help=_BYTES),
            Column(title=Text(zh="预计省下", en="Predicted saving"), unit="s", help=FORMULA),
            Column(title=Text(zh="写出", en="Writes")),
            Column(title=Text(zh="算子", en="Operators")),
        ],
        rows=rows,
    )


def unavailable(id: str, title: Text, reason: Text) -> Result:
    """A view that says why there is nothing in it."""
    return Markdown(id=id, title=title, provenance=Provenance.MEASURED, body=reason)
