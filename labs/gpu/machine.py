"""Runs a program as a GPU with one block after another would: warps in lockstep, masks where lanes part.

Divergence follows the stack of masks of the classical SIMT machine: both sides of a branch run one after the
other and the lanes meet again behind it (Volta and later may interleave the sides, but issue as many
instructions). Warps of a block take turns at barriers only; ``reverse`` takes them in the other order, which
tells a race from a result.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from labs.gpu.evaluation import INT_MAX, INT_MIN, binary, dtype_of, evaluate
from labs.gpu.language import BINARY, SHUFFLES, WARP, called, refuse
from labs.gpu.program import Program, range_of
from labs.gpu.recording import Action, Recording, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.results import Array

MAX_STEPS = 40_000
# A barrier, "block" or "grid", and its line; ("end", 0): the program's end.
Stop = tuple[str, int]


def fill(program: Program) -> dict[str, Array]:
    """Global arrays as they are at the start: element ``i`` holds ``i`` modulo 1000; 0 where a name says that
    it is written (``out``, ``dst``, ``count`` ...)."""
    return {
        array.name: np.zeros(array.count, dtype_of(array.kind))
        if array.name.startswith(_EMPTY)
        else (np.arange(array.count) % 1000).astype(dtype_of(array.kind))
        for array in program.of_space("global")
    }


_EMPTY = ("out", "dst", "count", "flag", "partial", "hist", "ticket")


def run_program(
    program: Program,
    memory: dict[str, Array] | None = None,
    *,
    reverse: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Recording:
    """Execute every block. LabError for what would be undefined on a GPU, naming line, warp and lane."""
    recording = Recording(program, memory=dict(memory) if memory is not None else fill(program))
    order = range(program.grid - 1, -1, -1) if reverse else range(program.grid)
    blocks = [(number, _Block(recording, number, reverse, check)) for number in order]
    running = [(number, block, block.run()) for number, block in blocks]
    while running:  # once, or once more for each grid_sync()
        waiting = []
        for number, block, steps in running:
            recording.memory |= block.shared
            if next(steps, None) is not None:
                waiting.append((number, block, steps))
        if waiting and len(waiting) != len(running):
            refuse(block.line, "有的 block 没有到 grid_sync()", "some blocks never reach grid_sync()")
        running = waiting
    return recording


class _Block:
    def __init__(self, recording: Recording, number: int, reverse: bool, check: Callable[[], None]) -> None:
        self.recording, self.number, self.check = recording, number, check
        self.program = recording.program
        self.epoch, self.line = 0, 1
        self.shared: dict[str, Array] = {
            # Shared memory starts as garbage: a value that was never written shows.
            array.name: np.full(array.count, -999, dtype_of(array.kind))
            for array in self.program.of_space("shared")
        }
        count = -(-self.program.threads // WARP)
        numbers = range(count - 1, -1, -1) if reverse else range(count)
        self.warps = [_Warp(self, warp) for warp in numbers]

    def run(self) -> Iterator[str]:
        """Yields where the whole block waits for the grid."""
        running = [(warp, warp.run()) for warp in self.warps]
        while running:
            arrived: list[tuple[_Warp, Iterator[Stop]]] = []
            stops: set[Stop] = set()
            for warp, steps in running:
                stop = next(steps, None)
                if stop is not None:
                    arrived.append((warp, steps))
                    stops.add(stop)
                elif warp.alive.any():
                    stops.add(("end", 0))
            if len(stops) > 1:
                self._scattered(stops)
            self.epoch += 1
            if any(kind == "grid" for kind, _ in stops):
                yield "grid"
            running = arrived

    def _scattered(self, stops: set[Stop]) -> None:
        lines = sorted(line for _, line in stops if line)
        where = ", ".join(map(str, lines))
        refuse(
            lines[0],
            f"同一个 block 的 warp 没有停在同一个屏障（第 {where} 行）：死锁或未定义",
            f"warps of a block do not meet at one barrier (line {where}): a deadlock, or undefined",
        )

    def array(self, name: str) -> Array:
        return self.shared[name] if name in self.shared else self.recording.memory[name]


class _Warp:
    """32 lanes of a block, those of a last one that is not full never active."""

    def __init__(self, block: _Block, number: int) -> None:
        self._block, self.number, self._program = block, number, block.program
        thread = number * WARP + np.arange(WARP)
        self.active = thread < self._program.threads
        self.alive = self.active.copy()
        self._epoch = 0
        x, y, _ = self._program.block
        self._places = {"x": thread % x, "y": thread // x % y, "z": thread // (x * y)}
        self._variables: dict[str, Array] = {
            "lane": np.arange(WARP),
            "warp": np.full(WARP, number),
            **{name: np.full(WARP, value) for name, value in self._program.constants.items()},
        }

    def run(self) -> Iterator[Stop]:
        yield from self._statements(self._program.body, self.active)

    # -- what expressions ask of their lanes

    def value(self, name: str) -> Array:
        if name not in self._variables:
            refuse(self._block.line, f"{name} 还没有值", f"{name} has no value yet")
        return self._variables[name]

    def special(self, register: str, axis: str) -> Array:
        if register == "threadIdx":
            return self._places[axis]
        place = "xyz".index(axis)
        value = {
            "blockDim": self._program.block[place],
            "gridDim": self._program.grid if axis == "x" else 1,
            "blockIdx": self._block.number if axis == "x" else 0,
        }[register]
        return np.full(WARP, value)

    def load(self, node: ast.Subscript, index: Array) -> Array:
        name = cast("ast.Name", node.value).id
        return self._access(node, name, index, "read")

    def atomic(self, node: ast.Call, index: Array, value: Array) -> Array:
        """One lane after another, each sees what those before it did."""
        name = cast("ast.Name", node.args[0]).id
        old = self._access(node, name, index, "atomic")
        data = self._block.array(name)
        for lane in np.flatnonzero(self.active):
            old[lane] = data[index[lane]]
            joined = old[lane] + value[lane] if called(node) == "atomic_add" else max(old[lane], value[lane])
            data[index[lane]] = joined
        return old

    def exchange(self, node: ast.Call, values: list[Array]) -> Array:
        """Shuffles and votes with the mask of all 32 lanes: all of them must be there."""
        name = cast("str", called(node))
        if not self.active.all():
            refuse(
                node,
                f"{name} 的掩码是全部 32 个 lane，只到了 {int(self.active.sum())} 个：未定义行为",
                f"{name} names all 32 lanes in its mask, only {int(self.active.sum())} are here: undefined",
            )
        self._note(node, "exchange")
        if name in SHUFFLES:
            return shuffled(name, values[0], values[1])
        return _voted(name, values[0] != 0)

    # -- statements

    def _statements(self, statements: list[ast.stmt], mask: Array) -> Iterator[Stop]:
        for statement in statements:
            mask = mask & self.alive
            if not mask.any():
                return
            self.active = mask
            self._block.line = statement.lineno
            match statement:
                case ast.Assign():
                    self._assign(statement, statement.targets[0], evaluate(statement.value, self))
                case ast.AugAssign():
                    self._augment(statement)
                case ast.If():
                    yield from self._branch(statement, mask)
                case ast.While():
                    yield from self._while(statement, mask)
                case ast.For():
                    yield from self._for(statement, mask)
                case ast.Return():
                    self._note(statement, "branch")
                    self.alive &= ~mask
                case ast.Expr():
                    yield from self._call(statement)

    def _branch(self, node: ast.If, mask: Array) -> Iterator[Stop]:
        taken = self._condition(node.test, mask)
        yield from self._statements(node.body, mask & taken)
        yield from self._statements(node.orelse, mask & ~taken)

    def _while(self, node: ast.While, mask: Array) -> Iterator[Stop]:
        while (mask := mask & self.alive).any():
            mask = mask & self._condition(node.test, mask)
            yield from self._statements(node.body, mask)

    def _for(self, node: ast.For, mask: Array) -> Iterator[Stop]:
        start, stop, step = range_of(node)
        target = cast("ast.Name", node.target)
        self._assign(node, target, evaluate(start, self))
        while (mask := mask & self.alive).any():
            test = ast.copy_location(ast.Compare(_read(target), [ast.Lt()], [stop]), node)
            mask = mask & self._condition(test, mask)
            yield from self._statements(node.body, mask)
            if (mask := mask & self.alive).any():
                self.active = mask
                self._assign(node, target, self.value(target.id) + evaluate(step, self))

    def _condition(self, test: ast.expr, mask: Array) -> Array:
        self.active = mask
        taken = evaluate(test, self) != 0
        self._note(test, "branch")
        return cast("Array", taken)

    def _augment(self, node: ast.AugAssign) -> None:
        target = node.target
        symbol = BINARY[type(node.op)]
        if isinstance(target, ast.Subscript):
            index = evaluate(target.slice, self)
            old = self.load(target, index)
            self._store(target, index, binary(node, symbol, old, evaluate(node.value, self), self))
            return
        assert isinstance(target, ast.Name), "not checked"
        self._assign(
            node, target, binary(node, symbol, self.value(target.id), evaluate(node.value, self), self)
        )

    def _assign(self, node: ast.stmt, target: ast.expr, value: Array) -> None:
        if isinstance(target, ast.Subscript):
            self._store(target, evaluate(target.slice, self), value)
            return
        name = cast("ast.Name", target).id
        kind = self._program.kinds[name]
        if kind == "int":
            self._fits(node, value)
        before = self._variables.get(name, np.zeros(WARP, dtype_of(kind)))
        self._variables[name] = np.where(self.active, value, before).astype(dtype_of(kind))
        self._note(node, "compute", into=name, values=self._variables[name])

    def _store(self, target: ast.Subscript, index: Array, value: Array) -> None:
        name = cast("ast.Name", target.value).id
        self._access(target, name, index, "write")
        # Of lanes that write one element the last wins here; on a GPU, any.
        data = self._block.array(name)
        with np.errstate(invalid="ignore"):
            data[index[self.active]] = value[self.active].astype(data.dtype)

    def _fits(self, node: ast.AST, value: Array) -> None:
        seen = value[self.active]
        if ((seen > INT_MAX) | (seen < INT_MIN)).any():
            refuse(node, "int 溢出", "an int overflows")

    def _access(self, node: ast.AST, name: str, index: Array, action: Action) -> Array:
        data = self._block.array(name)
        outside = ((index < 0) | (index >= len(data))) & self.active
        if outside.any():
            lane = int(np.flatnonzero(outside)[0])
            where = f"{name}[{int(index[lane])}]"
            refuse(
                node,
                f"越界：block {self._block.number} warp {self.number} lane {lane} 访问 {where}，"
                f"只有 {len(data)} 个元素",
                f"out of bounds: block {self._block.number}, warp {self.number}, lane {lane} at {where}, "
                f"which has {len(data)} elements",
            )
        elements = np.where(self.active, index, -1)
        self._note(node, action, array=name, elements=elements)
        return data[np.where(self.active, index, 0)]

    def _call(self, node: ast.Expr) -> Iterator[Stop]:
        name = called(node.value)
        if name in ("syncthreads", "grid_sync"):
            if not (self.active == self.alive).all():
                refuse(
                    node,
                    f"warp {self.number} 只有一部分 lane 到了 {name}()：屏障不能放在分叉里（死锁或未定义）",
                    f"only some lanes of warp {self.number} reach {name}(): a barrier in divergent code "
                    "deadlocks or is undefined",
                )
            self._note(node, "barrier")
            yield ("block" if name == "syncthreads" else "grid", node.lineno)
        elif name == "syncwarp":
            self._note(node, "compute")
            self._epoch += 1
        elif name == "threadfence":
            self._note(node, "compute")
        else:
            evaluate(node.value, self)

    def _note(self, node: ast.AST, action: Action, **more: Any) -> None:
        steps = self._block.recording.steps
        if len(steps) >= MAX_STEPS:
            refuse(
                node,
                f"{MAX_STEPS} 步还没结束：死循环，或在等一个还没轮到的 block",
                f"not done after {MAX_STEPS} steps: an endless loop, or a wait for a block that has not had "
                "its turn",
            )
        if len(steps) % 256 == 0:
            self._block.check()
        line = getattr(node, "lineno", self._block.line)
        active = self.active.copy()
        steps.append(
            Step(
                self._block.number, self.number, line, action, active, self._block.epoch, self._epoch, **more
            )
        )


def _read(target: ast.Name) -> ast.Name:
    return ast.copy_location(ast.Name(id=target.id, ctx=ast.Load()), target)


def shuffled(name: str, value: Array, argument: Array) -> Array:
    """What each of 32 lanes reads: lane + d, lane - d, lane xor m or lane i of ``value``; its own where that
    lane is not in the warp (CUDA C++ Programming Guide, Warp Shuffle Functions, width 32)."""
    lane = np.arange(WARP)
    source = {
        "shfl": argument % WARP,
        "shfl_up": lane - argument,
        "shfl_down": lane + argument,
        "shfl_xor": lane ^ argument,
    }[name]
    source = np.where((source < 0) | (source >= WARP), lane, source)
    return cast("Array", value[source])


def _voted(name: str, votes: Array) -> Array:
    if name == "ballot":
        bits = int(sum(1 << int(lane) for lane in np.flatnonzero(votes)))
        answer = bits - 2**32 if bits > INT_MAX else bits  # as C++ makes an int of it
    else:
        answer = int(votes.any() if name == "any" else votes.all())
    return np.full(WARP, answer)
