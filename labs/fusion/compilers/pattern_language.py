"""Chains and patterns as a user writes them: a few lines of arithmetic, read as data and never executed.

A chain is lines of ``name = expression``; a pattern is ``expression -> name of the fused kernel``. Python's
own parser reads both; all but names, numbers, ``+ - * /`` and calls of OPERATORS is refused with its line.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

from labs.spec import UsageError, unknown_name
from labs.text import Text

if TYPE_CHECKING:
    from typing import Final

# How many operands each takes. ``mean`` and ``sum`` are over the last dimension, which stays with length 1.
OPERATORS: Final = {
    **dict.fromkeys(("neg", "exp", "tanh", "sigmoid", "silu", "relu", "sqrt", "rsqrt", "square"), 1),
    **dict.fromkeys(("mean", "sum"), 1),
    **dict.fromkeys(("add", "sub", "mul", "div", "linear"), 2),
}
REDUCTIONS: Final = frozenset({"mean", "sum"})
COMMUTATIVE: Final = frozenset({"add", "mul"})
_INFIX: Final = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}
MAX_LINES, MAX_STEPS, MAX_NUMBER = 40, 64, 1e30


class Step(NamedTuple):
    """``name`` is made by ``operator`` from ``operands``: names of steps or inputs, or numbers. ``line``
    (1-based) of the text, 0 where there is none."""

    name: str
    operator: str
    operands: tuple[str | float, ...]
    line: int = 0


class Chain(NamedTuple):
    """Steps in the order they run; ``inputs`` are the names that no step makes, ``outputs`` those to keep."""

    steps: tuple[Step, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Pattern(NamedTuple):
    """A chain with one output; its inputs stand for any tensor. ``line`` is 1-based in the text."""

    name: str
    chain: Chain
    line: int


class LanguageError(UsageError):
    """``line`` (1-based) of the text is not of the language; the text says so, too."""

    def __init__(self, line: int, text: Text) -> None:
        super().__init__(Text(zh=f"第 {line} 行：{text.zh}", en=f"line {line}: {text.en}"))
        self.line = line


def parse_chain(text: str) -> Chain:
    """``return a, b`` at the end names the results; without it, what no line reads. LanguageError names the
    line."""
    reader = _Reader()
    made: dict[str, str] = {}
    kept: list[str] = []
    for number, line in _lines(text):
        if kept:
            raise LanguageError(number, Text(zh="return 之后还有行", en="there is a line after return"))
        if line.startswith("return "):
            kept = [_made(name.strip(), number, made) for name in line.removeprefix("return ").split(",")]
            continue
        name, equals, expression = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise LanguageError(number, Text(zh="应为 名字 = 表达式", en="expected: name = expression"))
        name = name.strip()
        if name in made or name in reader.inputs:
            raise LanguageError(
                number, Text(zh=f"{name} 已有值，换一个名字", en=f"{name} has a value; take another name")
            )
        made[name] = reader.read(expression, number, made, name)
    if not reader.steps:
        raise LanguageError(1, Text(zh="链里没有算子", en="there is no operator in the chain"))
    read = {operand for step in reader.steps for operand in step.operands}
    outputs = tuple(dict.fromkeys(kept or [name for name in made.values() if name not in read]))
    return Chain(tuple(reader.steps), tuple(reader.inputs), outputs)


def _made(name: str, line: int, made: dict[str, str]) -> str:
    if name not in made:
        raise LanguageError(line, unknown_name("result", "结果", name, list(made)).text)
    return made[name]


def parse_patterns(text: str) -> list[Pattern]:
    """One a line, tried in this order. LanguageError names the line."""
    patterns: list[Pattern] = []
    for number, line in _lines(text):
        expression, arrow, name = line.rpartition("->")
        name = name.strip()
        if not arrow or not name.isidentifier() or name in OPERATORS:
            expected = "silu(a) * b -> swiglu"
            raise LanguageError(
                number,
                Text(
                    zh=f"应为 表达式 -> 新名字，例如 {expected}",
                    en=f"expected: expression -> new name, such as {expected}",
                ),
            )
        reader = _Reader()
        root = reader.read(expression, number, {})
        if len(reader.steps) < 2:
            raise LanguageError(
                number, Text(zh="至少两个算子才谈得上融合", en="fusing takes two operators at least")
            )
        if any(step.operator == "linear" for step in reader.steps):
            raise LanguageError(
                number,
                Text(
                    zh="矩阵乘由库来算，不进这里生成的 kernel",
                    en="a matrix product is the library's: not in a kernel that is generated here",
                ),
            )
        patterns.append(Pattern(name, Chain(tuple(reader.steps), tuple(reader.inputs), (root,)), number))
    return patterns


def _lines(text: str) -> list[tuple[int, str]]:
    """Non-empty lines with their numbers, comments removed."""
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise LanguageError(MAX_LINES + 1, Text(zh=f"最多 {MAX_LINES} 行", en=f"at most {MAX_LINES} lines"))
    bare = [(number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1)]
    return [(number, line) for number, line in bare if line]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER


class _Reader:
    """Collects steps; the same operator on the same operands is one step (so ``x + d`` twice is one node)."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.inputs: list[str] = []
        self._known: dict[tuple[str, tuple[str | float, ...]], str] = {}

    def read(self, expression: str, line: int, made: dict[str, str], name: str = "") -> str:
        """The name of the step that makes the expression; ``name`` where it is a new one."""
        try:
            tree = ast.parse(expression.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            what = getattr(error, "msg", "") or type(error).__name__
            raise LanguageError(line, Text(zh=f"不是表达式：{what}", en=f"no expression: {what}")) from None
        found = self._value(tree, line, made, name)
        if not isinstance(found, str) or found in self.inputs:
            raise LanguageError(line, Text(zh="没有算子", en="there is no operator"))
        return found

    def _value(self, node: ast.expr, line: int, made: dict[str, str], name: str = "") -> str | float:
        if isinstance(node, ast.Constant) and _is_number(node.value):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            return made[node.id] if node.id in made else self._input(node.id)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            if isinstance(node.operand, ast.Constant) and _is_number(node.operand.value):
                return -float(self._value(node.operand, line, made))
            return self._step("neg", [node.operand], line, made, name)
        if isinstance(node, ast.BinOp) and type(node.op) in _INFIX:
            return self._step(_INFIX[type(node.op)], [node.left, node.right], line, made, name)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node.func.id, node.args, line, made, name)
        shown = ast.unparse(node)[:40]
        raise LanguageError(
            line,
            Text(
                zh=f"{shown!r} 不在这个语言里：只有名字、数、+ - * / 和算子",
                en=f"{shown!r} is not of this language: names, numbers, + - * / and operators only",
            ),
        )

    def _call(
        self, operator: str, operands: list[ast.expr], line: int, made: dict[str, str], name: str
    ) -> str:
        if operator not in OPERATORS:
            raise LanguageError(line, unknown_name("operator", "算子", operator, list(OPERATORS)).text)
        if len(operands) != OPERATORS[operator]:
            wanted = OPERATORS[operator]
            raise LanguageError(
                line, Text(zh=f"{operator} 要 {wanted} 个操作数", en=f"{operator} takes {wanted} operands")
            )
        return self._step(operator, operands, line, made, name)

    def _input(self, name: str) -> str:
        if name not in self.inputs:
            self.inputs.append(name)
        return name

    def _step(self, operator: str, nodes: list[ast.expr], line: int, made: dict[str, str], name: str) -> str:
        operands = tuple(self._value(node, line, made) for node in nodes)
        if not any(isinstance(operand, str) for operand in operands):
            raise LanguageError(line, Text(zh=f"{operator} 只有数", en=f"{operator} has numbers only"))
        key = (operator, operands)
        if key not in self._known:
            if len(self.steps) >= MAX_STEPS:
                raise LanguageError(
                    line, Text(zh=f"最多 {MAX_STEPS} 个算子", en=f"at most {MAX_STEPS} operators")
                )
            self._known[key] = name or f"{operator}_{len(self.steps)}"
            self.steps.append(Step(self._known[key], operator, operands, line))
        return self._known[key]
