"""The same program as CUDA C++: what one would write, line for line."""

from __future__ import annotations

import ast
from typing import cast

from labs.gpu.language import (
    ATOMICS,
    AXES,
    BINARY,
    COMPARE,
    DIMENSIONS,
    UNARY,
    Kind,
    called,
    kind_of,
)
from labs.gpu.program import Program, range_of

# How tightly operators of C bind; a call, a name or an element most.
_TIGHT, _UNARY, _CONDITIONAL = 14, 13, 1
_BINDING = {"*": 12, "/": 12, "%": 12, "+": 11, "-": 11, "<<": 10, ">>": 10, "&": 6, "^": 5, "|": 4}
_COMPARING = {"<": 9, "<=": 9, ">": 9, ">=": 9, "==": 8, "!=": 8}
_AND, _OR = 3, 2
# Bit operators bind more loosely than comparisons, which surprises readers: compilers want brackets there.
_BITS = {"&", "^", "|", "<<", ">>"}

_CALLS = {
    "shfl": "__shfl_sync(FULL, {0}, {1})",
    "shfl_up": "__shfl_up_sync(FULL, {0}, {1})",
    "shfl_down": "__shfl_down_sync(FULL, {0}, {1})",
    "shfl_xor": "__shfl_xor_sync(FULL, {0}, {1})",
    "ballot": "(int)__ballot_sync(FULL, {0})",
    "any": "__any_sync(FULL, {0})",
    "all": "__all_sync(FULL, {0})",
    "popc": "__popc({0})",
    "as_int": "(int)({0})",
    "as_float": "(float)({0})",
}
_STATEMENTS = {
    "syncthreads": "__syncthreads();",
    "syncwarp": "__syncwarp();",
    "threadfence": "__threadfence();",
    "grid_sync": "cooperative_groups::this_grid().sync();",
}
_ATOMICS = {"atomic_add": "atomicAdd", "atomic_max": "atomicMax"}


def cuda_source(program: Program, name: str = "kernel") -> tuple[str, list[int]]:
    """The kernel, and for each of its lines the line of the program that it comes from (0: none)."""
    writer = _Writer(program)
    writer.kernel(name)
    return "\n".join(text for text, _ in writer.lines) + "\n", [line for _, line in writer.lines]


def cuda_expression(text: str, block: tuple[int, int], names: list[str]) -> tuple[str, list[str]]:
    """An index expression over integer ``names``, and the lines that declare what it uses."""
    statement = ast.parse(text, mode="eval").body
    program = Program(text, block=(*block, 1), body=[ast.Expr(statement)], kinds=dict.fromkeys(names, "int"))
    writer = _Writer(program)
    writer.registers()
    return writer.expression(statement), [line for line, _ in writer.lines]


def registers_used(program: Program) -> list[tuple[str, str]]:
    """Special registers that the program names, in CUDA's order."""
    named = {
        (node.value.id, node.attr)
        for statement in program.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    if _named(program) & {"lane", "warp"}:
        named |= {
            (register, axis) for register, axis in _THREAD_NUMBER if program.block[AXES.index(axis)] > 1
        }
        named.add(("threadIdx", "x"))
    return [(register, axis) for register in DIMENSIONS for axis in AXES if (register, axis) in named]


_THREAD_NUMBER = [("threadIdx", axis) for axis in AXES] + [("blockDim", "x"), ("blockDim", "y")]


def _named(program: Program) -> set[str]:
    return set().union(*map(_names_in, program.body))


def _written(program: Program) -> set[str]:
    """Arrays that are not only read."""
    found = set()
    for statement in program.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                found.add(cast("ast.Name", node.value).id)
            if isinstance(node, ast.Call) and called(node) in ATOMICS:
                found.add(cast("ast.Name", node.args[0]).id)
    return found


def _declared_in_place(name: str, body: list[ast.stmt]) -> bool:
    """Whether C++ can declare the variable where it is first assigned: not within a branch, or it is the
    counter of loops and nothing else."""
    using = [statement for statement in body if name in _names_in(statement)]
    if all(isinstance(part, ast.For) and _is_named(part.target, name) for part in using):
        return True
    first = using[0]
    return isinstance(first, ast.Assign) and _is_named(first.targets[0], name)


def _names_in(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _is_named(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


class _Writer:
    def __init__(self, program: Program) -> None:
        self.lines: list[tuple[str, int]] = []
        self._program = program
        self._declared = set(program.constants)
        self._indent = 0

    def _line(self, text: str, line: int = 0) -> None:
        self.lines.append(("    " * self._indent + text if text else "", line))

    def kernel(self, name: str) -> None:
        program = self._program
        calls = {
            called(node) for part in program.body for node in ast.walk(part) if isinstance(node, ast.Call)
        }
        if "grid_sync" in calls:
            self._line("#include <cooperative_groups.h>")
        if calls & _CALLS.keys() - {"popc", "as_int", "as_float"}:
            self._line("#define FULL 0xffffffffu  // the mask names all 32 lanes")
        if self.lines:
            self._line("")
        written = _written(program)
        parameters = ", ".join(
            f"{'' if array.name in written else 'const '}{array.kind}* {array.name}"
            for array in program.of_space("global")
        )
        x, y, z = program.block
        self._line(f"// {name}<<<{program.grid}, dim3({x}, {y}, {z})>>>")
        self._line(f'extern "C" __global__ void {name}({parameters}) {{')
        self._indent = 1
        self._prologue()
        self._block(program.body, outermost=True)
        self._indent = 0
        self._line("}")

    def registers(self) -> None:
        """Signed copies of the special registers, for ``threadIdx.x - 1`` of CUDA's own is never negative."""
        if used := registers_used(self._program):
            named = ", ".join(f"{register}_{axis} = {register}.{axis}" for register, axis in used)
            self._line(f"const int {named};  // CUDA's own are unsigned")
        if places := _named(self._program) & {"lane", "warp"}:
            self._places(places)

    def _prologue(self) -> None:
        program = self._program
        self.registers()
        for name, value in program.constants.items():
            self._line(f"const int {name} = {value};")
        for array in program.of_space("shared"):
            self._line(f"__shared__ {array.kind} {array.name}[{array.count}];", array.line)
        for name, kind in program.kinds.items():
            if name not in self._declared and not _declared_in_place(name, program.body):
                self._line(f"{kind} {name} = 0;")
                self._declared.add(name)

    def _places(self, places: set[str]) -> None:
        _, y, z = self._program.block
        number = "threadIdx_x"
        if z > 1:
            number += " + blockDim_x * (threadIdx_y + blockDim_y * threadIdx_z)"
        elif y > 1:
            number += " + blockDim_x * threadIdx_y"
        bracketed = f"({number})" if "+" in number else number
        parts = {"lane": f"lane = {bracketed} % 32", "warp": f"warp = {bracketed} / 32"}
        self._line(f"const int {', '.join(parts[place] for place in sorted(places))};")

    def _block(self, statements: list[ast.stmt], outermost: bool = False) -> None:
        for statement in statements:
            getattr(self, f"_{type(statement).__name__.lower()}")(statement, outermost)

    def _assign(self, node: ast.Assign, outermost: bool) -> None:
        target, value = node.targets[0], self.expression(node.value)
        prefix = ""
        if isinstance(target, ast.Name) and target.id not in self._declared:
            prefix = f"{self._program.kinds[target.id]} "
            self._declared.add(target.id)
        self._line(f"{prefix}{self.expression(target)} = {value};", node.lineno)

    def _augassign(self, node: ast.AugAssign, _: bool) -> None:
        symbol = BINARY[type(node.op)]
        self._line(f"{self.expression(node.target)} {symbol}= {self.expression(node.value)};", node.lineno)

    def _if(self, node: ast.If, _: bool, keyword: str = "if") -> None:
        self._line(f"{keyword} ({self.expression(node.test)}) {{", node.test.lineno)
        self._inner(node.body)
        if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
            self._if(node.orelse[0], False, keyword="} else if")
            return
        if node.orelse:
            self._line("} else {")
            self._inner(node.orelse)
        self._line("}")

    def _while(self, node: ast.While, _: bool) -> None:
        self._line(f"while ({self.expression(node.test)}) {{", node.lineno)
        self._inner(node.body)
        self._line("}")

    def _for(self, node: ast.For, _: bool) -> None:
        start, stop, step = (self.expression(bound) for bound in range_of(node))
        name = cast("ast.Name", node.target).id
        ahead = f"++{name}" if step == "1" else f"{name} += {step}"
        kind = "" if name in self._declared else "int "
        self._line(f"for ({kind}{name} = {start}; {name} < {stop}; {ahead}) {{", node.lineno)
        self._inner(node.body)
        self._line("}")

    def _inner(self, statements: list[ast.stmt]) -> None:
        self._indent += 1
        self._block(statements)
        self._indent -= 1

    def _return(self, node: ast.Return, _: bool) -> None:
        self._line("return;", node.lineno)

    def _pass(self, node: ast.Pass, _: bool) -> None:
        self._line(";", node.lineno)

    def _expr(self, node: ast.Expr, _: bool) -> None:
        text = _STATEMENTS.get(called(node.value) or "") or f"{self.expression(node.value)};"
        self._line(text, node.lineno)

    # -- expressions

    def expression(self, node: ast.expr) -> str:
        return self._bound(node)[0]

    def _kind(self, node: ast.expr) -> Kind:
        return kind_of(node, self._program.kinds, self._program.array_kinds)

    def _within(self, node: ast.expr, least: int) -> str:
        text, binding = self._bound(node)
        return text if binding >= least else f"({text})"

    def _bound(self, node: ast.expr) -> tuple[str, int]:
        """The text of an expression and how tightly its outermost operator binds."""
        match node:
            case ast.Constant():
                number = cast("float", node.value)
                return (f"{number!r}f" if isinstance(number, float) else str(int(number))), _TIGHT
            case ast.Name():
                return node.id, _TIGHT
            case ast.Attribute(value=ast.Name(id=register), attr=axis):
                return f"{register}_{axis}", _TIGHT
            case ast.Subscript(value=ast.Name(id=array), slice=index):
                return f"{array}[{self.expression(index)}]", _TIGHT
            case ast.BinOp():
                return self._binary(node)
            case ast.UnaryOp():
                return UNARY[type(node.op)] + self._within(node.operand, _TIGHT), _UNARY
            case ast.Compare():
                symbol = COMPARE[type(node.ops[0])]
                left, right = (self._within(part, 11) for part in (node.left, node.comparators[0]))
                return f"{left} {symbol} {right}", _COMPARING[symbol]
            case ast.BoolOp():
                symbol, binding = ("&&", _AND) if isinstance(node.op, ast.And) else ("||", _OR)
                # A bracket more where && stands within ||: compilers ask for it.
                return f" {symbol} ".join(self._within(value, 8) for value in node.values), binding
            case ast.IfExp():
                test, body, other = (self._within(part, 2) for part in (node.test, node.body, node.orelse))
                return f"{test} ? {body} : {other}", _CONDITIONAL
            case ast.Call():
                return self._call(node), _TIGHT
        raise AssertionError(f"not checked: {ast.dump(node)}")

    def _binary(self, node: ast.BinOp) -> tuple[str, int]:
        symbol = BINARY[type(node.op)]
        binding = _BINDING[symbol]
        inner = _TIGHT if symbol in _BITS else binding
        left = self._within(node.left, inner)
        return f"{left} {symbol} {self._within(node.right, min(_TIGHT, max(inner, binding + 1)))}", binding

    def _call(self, node: ast.Call) -> str:
        name = cast("str", called(node))
        if name in _ATOMICS:
            array = cast("ast.Name", node.args[0]).id
            index, value = (self.expression(argument) for argument in node.args[1:])
            return f"{_ATOMICS[name]}(&{array}[{index}], {value})"
        arguments = [self.expression(argument) for argument in node.args]
        if name in _CALLS:
            return _CALLS[name].format(*arguments)
        if name in ("min", "max"):
            kind = self._kind(node)
            arguments = [
                text if self._kind(argument) == kind else f"({kind})({text})"
                for text, argument in zip(arguments, node.args, strict=True)
            ]
        return f"{name}({', '.join(arguments)})"
