"""What a kernel typed by the user may say: a small part of Python's syntax with the meaning of CUDA C++.

Text is parsed by ``ast`` and walked, never evaluated. Kinds are ``int``, ``float`` and ``double``; ``/`` and
``//`` of integers both divide as C does, towards zero, and ``%`` takes the sign of the dividend.
"""

from __future__ import annotations

import ast
from typing import Literal, NoReturn

from labs.spec import LabError
from labs.text import Text

Kind = Literal["int", "float", "double"]
ELEMENT_BYTES: dict[Kind, int] = {"int": 4, "float": 4, "double": 8}

WARP = 32
# Special registers, written as in CUDA; ``lane`` and ``warp`` are a thread's place within its block.
DIMENSIONS = ("threadIdx", "blockIdx", "blockDim", "gridDim")
AXES = ("x", "y", "z")
PLACES = ("lane", "warp")

BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "/",
    ast.Mod: "%",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
}
INTEGERS_ONLY = {"%", "<<", ">>", "&", "|", "^"}
COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
UNARY: dict[type[ast.unaryop], str] = {ast.USub: "-", ast.UAdd: "+", ast.Invert: "~", ast.Not: "!"}

# Functions within expressions, and how many arguments they take.
FUNCTIONS = {"min": 2, "max": 2, "abs": 1, "popc": 1, "as_int": 1, "as_float": 1}
SHUFFLES = {"shfl": 2, "shfl_up": 2, "shfl_down": 2, "shfl_xor": 2}
VOTES = {"ballot": 1, "any": 1, "all": 1}
ATOMICS = {"atomic_add": 3, "atomic_max": 3}
WARP_WIDE = SHUFFLES | VOTES
CALLS = FUNCTIONS | WARP_WIDE | ATOMICS
STATEMENTS = ("syncthreads", "syncwarp", "threadfence", "grid_sync")

ALLOWED_IN_EXPRESSIONS = (
    "threadIdx.x/y/z, blockIdx.x, blockDim.x, gridDim.x, lane, warp, + - * / // % << >> & | ^ ~, "
    "< <= == != > >=, and or not, a if c else b, " + ", ".join(f"{name}()" for name in FUNCTIONS)
)


def refuse(node: ast.AST | int, zh: str, en: str) -> NoReturn:
    """LabError that names the line."""
    line = node if isinstance(node, int) else getattr(node, "lineno", 1)
    raise LabError(Text(zh=f"第 {line} 行：{zh}", en=f"line {line}: {en}"))


def parsed(source: str) -> ast.Module:
    """The syntax tree; LabError with the line where the text is none."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        message = getattr(error, "msg", None) or str(error)
        refuse(line, f"语法错误（{message}）", f"syntax error ({message})")


def called(node: ast.expr) -> str | None:
    """The name of a call, None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return None


def kind_of(node: ast.expr, names: dict[str, Kind], arrays: dict[str, Kind]) -> Kind:
    """The kind of an expression. LabError for what the language does not have, naming what it has."""
    return _Kinds(names, arrays).of(node)


class _Kinds:
    def __init__(self, names: dict[str, Kind], arrays: dict[str, Kind]) -> None:
        self._names, self._arrays = names, arrays

    def of(self, node: ast.expr) -> Kind:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            refuse(
                node,
                f"`{ast.unparse(node)}` 不可用；可用：{ALLOWED_IN_EXPRESSIONS}",
                f"`{ast.unparse(node)}` is not allowed; allowed: {ALLOWED_IN_EXPRESSIONS}",
            )
        kind: Kind = method(node)
        return kind

    def _constant(self, node: ast.Constant) -> Kind:
        if isinstance(node.value, bool | int):
            if abs(int(node.value)) >= 2**31:
                refuse(node, f"{node.value} 超出 int", f"{node.value} does not fit an int")
            return "int"
        if isinstance(node.value, float):
            return "float"
        refuse(node, f"常量 {node.value!r} 不是数", f"the constant {node.value!r} is not a number")

    def _name(self, node: ast.Name) -> Kind:
        if node.id in PLACES:
            return "int"
        if node.id in self._arrays:
            refuse(node, f"{node.id} 是数组，要写下标", f"{node.id} is an array: give it an index")
        if node.id not in self._names:
            known = ", ".join([*PLACES, *self._names])
            refuse(
                node,
                f"没有 `{node.id}`；可用的名字：{known}, threadIdx.x …",
                f"there is no `{node.id}`; names: {known}, threadIdx.x ...",
            )
        return self._names[node.id]

    def _attribute(self, node: ast.Attribute) -> Kind:
        if isinstance(node.value, ast.Name) and node.value.id in DIMENSIONS and node.attr in AXES:
            return "int"
        refuse(
            node,
            f"`{ast.unparse(node)}` 不可用；可用：{', '.join(DIMENSIONS)} 的 .x .y .z",
            f"`{ast.unparse(node)}` is not allowed; allowed: .x .y .z of {', '.join(DIMENSIONS)}",
        )

    def _subscript(self, node: ast.Subscript) -> Kind:
        if not isinstance(node.value, ast.Name) or node.value.id not in self._arrays:
            known = ", ".join(self._arrays) or "-"
            refuse(
                node,
                f"`{ast.unparse(node.value)}` 不是已声明的数组；已声明：{known}",
                f"`{ast.unparse(node.value)}` is not a declared array; declared: {known}",
            )
        self.integer(node.slice)
        return self._arrays[node.value.id]

    def integer(self, node: ast.expr) -> None:
        if self.of(node) != "int":
            refuse(node, f"`{ast.unparse(node)}` 应为整数", f"`{ast.unparse(node)}` must be an integer")

    def _binop(self, node: ast.BinOp) -> Kind:
        symbol = BINARY.get(type(node.op))
        if symbol is None:
            refuse(
                node,
                "没有这个运算符；可用：+ - * / // % << >> & | ^",
                "no such operator; there are + - * / // % << >> & | ^",
            )
        if symbol in INTEGERS_ONLY or isinstance(node.op, ast.FloorDiv):
            self.integer(node.left)
            self.integer(node.right)
            return "int"
        return wider(self.of(node.left), self.of(node.right))

    def _unaryop(self, node: ast.UnaryOp) -> Kind:
        if isinstance(node.op, ast.Invert):
            self.integer(node.operand)
        kind = self.of(node.operand)
        return "int" if isinstance(node.op, ast.Not) else kind

    def _compare(self, node: ast.Compare) -> Kind:
        if len(node.ops) != 1 or type(node.ops[0]) not in COMPARE:
            refuse(node, "一次只比较两个数", "compare two numbers at a time")
        self.of(node.left), self.of(node.comparators[0])
        return "int"

    def _boolop(self, node: ast.BoolOp) -> Kind:
        for value in node.values:
            self.of(value)
        self._touches_nothing(node)
        return "int"

    def _ifexp(self, node: ast.IfExp) -> Kind:
        self._touches_nothing(node)
        self.of(node.test)
        return wider(self.of(node.body), self.of(node.orelse))

    def _touches_nothing(self, node: ast.expr) -> None:
        """Both sides are computed by all lanes here, in C++ not always: only what has no effect may stand."""
        for part in ast.walk(node):
            if isinstance(part, ast.Subscript) or (isinstance(part, ast.Call) and called(part) in WARP_WIDE):
                refuse(
                    node,
                    "and/or 与条件表达式里不要访存或通信：先存进变量",
                    "no memory access or warp function within and/or or a conditional: put it in a variable",
                )

    def _call(self, node: ast.Call) -> Kind:
        name = called(node)
        if name not in CALLS or node.keywords:
            refuse(
                node,
                f"没有函数 `{ast.unparse(node.func)}`；可用：{', '.join(CALLS)}",
                f"no function `{ast.unparse(node.func)}`; there are {', '.join(CALLS)}",
            )
        if len(node.args) != CALLS[name]:
            refuse(node, f"{name} 要 {CALLS[name]} 个参数", f"{name} takes {CALLS[name]} arguments")
        return self._known_call(node, name)

    def _known_call(self, node: ast.Call, name: str) -> Kind:
        if name in ATOMICS:
            array = ast.Subscript(value=node.args[0], slice=node.args[1], ctx=ast.Load())
            kind = self.of(ast.copy_location(array, node))
            self.of(node.args[2])
            return kind
        if name in SHUFFLES or name == "popc":
            self.integer(node.args[-1])
        kinds = [self.of(argument) for argument in node.args]
        if name in VOTES or name in ("popc", "as_int"):
            return "int"
        if name == "as_float":
            return "float"
        return kinds[0] if name in SHUFFLES else wider(*kinds)


def wider(*kinds: Kind) -> Kind:
    """As C converts operands: the widest of them."""
    order: tuple[Kind, ...] = ("int", "float", "double")
    return max(kinds, key=order.index)
