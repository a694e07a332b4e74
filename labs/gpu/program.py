"""A kernel as text, checked: its launch, its arrays, its statements and the kinds of its variables."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, cast

from labs.gpu.language import (
    ATOMICS,
    BINARY,
    CALLS,
    DIMENSIONS,
    ELEMENT_BYTES,
    PLACES,
    STATEMENTS,
    Kind,
    called,
    kind_of,
    parsed,
    refuse,
    wider,
)

Space = Literal["global", "shared"]
DECLARATIONS: dict[str, Space] = {"global_memory": "global", "shared_memory": "shared"}
MAX_THREADS, MAX_BLOCKS = 1024, 64
MAX_ELEMENTS = {"global": 1 << 20, "shared": 12288}  # 48 KiB of shared memory: what needs no opt-in
_RESERVED = {*DIMENSIONS, *PLACES, *CALLS, *STATEMENTS, *DECLARATIONS, "launch", "range", *ELEMENT_BYTES}


@dataclass(frozen=True)
class ArrayDeclaration:
    """``base``: byte at which it starts, in its own space."""

    name: str
    space: Space
    kind: Kind
    count: int
    base: int
    line: int

    @property
    def element_bytes(self) -> int:
        return ELEMENT_BYTES[self.kind]


@dataclass
class Program:
    """``block`` is (x, y, z) threads. ``constants`` are names that stand for one number."""

    source: str
    grid: int = 1
    block: tuple[int, int, int] = (32, 1, 1)
    arrays: dict[str, ArrayDeclaration] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    body: list[ast.stmt] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=dict)

    @property
    def threads(self) -> int:
        x, y, z = self.block
        return x * y * z

    @property
    def array_kinds(self) -> dict[str, Kind]:
        return {name: array.kind for name, array in self.arrays.items()}

    def of_space(self, space: Space) -> list[ArrayDeclaration]:
        return [array for array in self.arrays.values() if array.space == space]

    @property
    def shared_bytes(self) -> int:
        return max(
            (array.base + array.count * array.element_bytes for array in self.of_space("shared")), default=0
        )


def parse_program(source: str) -> Program:
    """The program, or a LabError that names the line and what is allowed there."""
    program = Program(source)
    tree = parsed(source)
    changed = _changed(tree)
    for statement in tree.body:
        if not _declares(program, statement, changed):
            program.body.append(statement)
    if not program.body:
        refuse(1, "没有语句", "no statements")
    program.kinds |= dict.fromkeys(program.constants, "int")
    _Checker(program).block(program.body)
    return program


def _changed(tree: ast.Module) -> set[str]:
    """Names that are assigned more than once: variables, whatever stands first."""
    targets = Counter(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    return {name for name, times in targets.items() if times > 1}


def _declares(program: Program, statement: ast.stmt, changed: set[str]) -> bool:
    if program.body:  # declarations come first, so that a constant is one
        return False
    if isinstance(statement, ast.Expr) and called(statement.value) == "launch":
        _launch(program, cast("ast.Call", statement.value))
        return True
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return False
    name = statement.targets[0].id
    _check_name(statement, name)
    if called(statement.value) in DECLARATIONS:
        _array(program, name, cast("ast.Call", statement.value))
        return True
    value = None if name in changed else _constant(program, statement.value)
    if value is not None:
        program.constants[name] = value
    return value is not None


def _check_name(node: ast.stmt, name: str) -> None:
    if name in _RESERVED or name.startswith("_"):
        refuse(node, f"名字 {name} 已有含义", f"the name {name} is taken")


def _launch(program: Program, call: ast.Call) -> None:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if call.args or not set(given) <= {"grid", "block"}:
        refuse(call, "写成 launch(grid=4, block=(32, 8))", "write launch(grid=4, block=(32, 8))")
    if "grid" in given:
        program.grid = _positive(program, given["grid"], MAX_BLOCKS)
    if "block" in given:
        sides = given["block"].elts if isinstance(given["block"], ast.Tuple) else [given["block"]]
        if not 1 <= len(sides) <= 3:
            refuse(call, "block 有 1 到 3 维", "a block has 1 to 3 dimensions")
        sizes = [_positive(program, side, MAX_THREADS) for side in sides] + [1, 1]
        program.block = (sizes[0], sizes[1], sizes[2])
    if program.threads > MAX_THREADS:
        refuse(call, f"一个 block 最多 {MAX_THREADS} 个线程", f"a block has {MAX_THREADS} threads at most")


def _array(program: Program, name: str, call: ast.Call) -> None:
    space = DECLARATIONS[called(call) or ""]
    kind = call.args[0].id if call.args and isinstance(call.args[0], ast.Name) else ""
    if len(call.args) != 2 or kind not in ELEMENT_BYTES:
        usage = f"{name} = {space}_memory(float, 1024)"
        refuse(call, f"写成 {usage}；类型：int, float, double", f"write {usage}; kinds: int, float, double")
    count = _positive(program, call.args[1], MAX_ELEMENTS[space])
    # Global arrays are each an allocation of their own; shared ones follow each other, aligned to a bank row.
    base = -(-program.shared_bytes // 128) * 128 if space == "shared" else 0
    program.arrays[name] = ArrayDeclaration(name, space, kind, count, base, call.lineno)
    if program.shared_bytes > 4 * MAX_ELEMENTS["shared"]:
        refuse(call, "静态共享内存最多 48 KiB", "48 KiB of static shared memory at most")


def _constant(program: Program, node: ast.expr) -> int | None:
    """The value of an expression of constants, None where it is anything else."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        return program.constants.get(node.id)
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        left, right = _constant(program, node.left), _constant(program, node.right)
        if left is not None and right is not None:
            return _folded(node, left, right)
    return None


def _folded(node: ast.BinOp, left: int, right: int) -> int | None:
    match BINARY[type(node.op)]:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/" if right > 0 and left >= 0:
            return left // right
        case _:
            return None


def _positive(program: Program, node: ast.expr, most: int) -> int:
    value = _constant(program, node)
    if value is None or not 1 <= value <= most:
        shown = ast.unparse(node)
        refuse(node, f"`{shown}` 应为 1 到 {most} 的整数", f"`{shown}` must be a whole number, 1 to {most}")
    return value


class _Checker:
    """Gives every variable a kind and refuses what the language does not have."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def kind(self, node: ast.expr) -> Kind:
        return kind_of(node, self._program.kinds, self._program.array_kinds)

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            method = getattr(self, f"_{type(statement).__name__.lower()}", None)
            if method is None:
                refuse(
                    statement,
                    "这里只能写赋值、if、while、for … in range、return、pass、"
                    + "、".join(f"{name}()" for name in STATEMENTS),
                    "only assignments, if, while, for ... in range, return, pass and "
                    + ", ".join(f"{name}()" for name in STATEMENTS),
                )
            method(statement)

    def _assign(self, node: ast.Assign) -> None:
        if len(node.targets) != 1:
            refuse(node, "一次赋一个值", "assign one value at a time")
        self._into(node.targets[0], self.kind(node.value))

    def _augassign(self, node: ast.AugAssign) -> None:
        read = ast.copy_location(ast.BinOp(left=_read(node.target), op=node.op, right=node.value), node)
        self._into(node.target, self.kind(read))

    def _into(self, target: ast.expr, kind: Kind) -> None:
        if isinstance(target, ast.Subscript):
            self.kind(_read(target))
        elif isinstance(target, ast.Name):
            self._variable(target, kind)
        else:
            refuse(target, "只能赋给变量或 数组[下标]", "assign to a variable or to array[index]")

    def _variable(self, target: ast.Name, kind: Kind) -> None:
        kinds = self._program.kinds
        if target.id not in kinds:
            _check_name(cast("ast.stmt", target), target.id)
        if target.id in self._program.arrays or target.id in self._program.constants:
            refuse(target, f"{target.id} 不能改", f"{target.id} cannot be changed")
        if wider(kinds.setdefault(target.id, kind), kind) != kinds[target.id]:
            name, known = target.id, kinds[target.id]
            refuse(target, f"{name} 是 {known}，放不下 {kind}", f"{name} is {known} and cannot hold {kind}")

    def _if(self, node: ast.If) -> None:
        self.kind(node.test)
        self.block(node.body)
        self.block(node.orelse)

    def _while(self, node: ast.While) -> None:
        self.kind(node.test)
        self.block(node.body)
        if node.orelse:
            refuse(node, "while 没有 else", "while has no else")

    def _for(self, node: ast.For) -> None:
        if called(node.iter) != "range" or not isinstance(node.target, ast.Name) or node.orelse:
            refuse(node, "写成 for i in range(n):", "write for i in range(n):")
        for bound in range_of(node):
            if self.kind(bound) != "int":
                refuse(node, "range 要整数", "range takes integers")
        self._variable(node.target, "int")
        self.block(node.body)

    def _expr(self, node: ast.Expr) -> None:
        name = called(node.value)
        if name in ATOMICS:
            self.kind(node.value)
        elif name not in STATEMENTS or cast("ast.Call", node.value).args:
            self.block([cast("ast.stmt", ast.copy_location(ast.Delete(targets=[]), node))])

    def _return(self, node: ast.Return) -> None:
        if node.value is not None:
            refuse(node, "内核没有返回值", "a kernel returns nothing")

    def _pass(self, node: ast.Pass) -> None:
        pass


def _read(target: ast.expr) -> ast.expr:
    """The same variable or element, read."""
    if isinstance(target, ast.Name):
        return ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target)
    if isinstance(target, ast.Subscript):
        return ast.copy_location(
            ast.Subscript(value=target.value, slice=target.slice, ctx=ast.Load()), target
        )
    return target


def range_of(node: ast.For) -> tuple[ast.expr, ast.expr, ast.expr]:
    """Start, stop and step, which is a positive constant."""
    bounds = cast("ast.Call", node.iter).args
    if not 1 <= len(bounds) <= 3 or (len(bounds) == 3 and not _is_positive(bounds[2])):
        refuse(
            node, "range 有 1 到 3 个参数，步长是正的常量", "range takes 1 to 3, the step a positive number"
        )
    zero, one = (ast.copy_location(ast.Constant(value), node) for value in (0, 1))
    start = bounds[0] if len(bounds) > 1 else zero
    return start, bounds[0] if len(bounds) == 1 else bounds[1], bounds[2] if len(bounds) == 3 else one


def _is_positive(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value > 0
