"""The value of an expression in many lanes at once; memory and warp functions are the machine's."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from labs.gpu.language import ATOMICS, BINARY, COMPARE, UNARY, WARP_WIDE, Kind, called, refuse

if TYPE_CHECKING:
    from labs.results import Array

_ARITHMETIC: dict[str, np.ufunc] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "&": np.bitwise_and,
    "|": np.bitwise_or,
    "^": np.bitwise_xor,
}
_SIGNS: dict[str, np.ufunc] = {"-": np.negative, "+": np.positive, "~": np.invert}
_COMPARING: dict[str, np.ufunc] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
INT_MIN, INT_MAX = -(2**31), 2**31 - 1


class Lanes(Protocol):
    """Who computes: ``active`` says which of the lanes count, the values of the others are never seen."""

    active: Array

    def value(self, name: str) -> Array: ...

    def special(self, register: str, axis: str) -> Array: ...

    def load(self, node: ast.Subscript, index: Array) -> Array: ...

    def atomic(self, node: ast.Call, index: Array, value: Array) -> Array: ...

    def exchange(self, node: ast.Call, values: list[Array]) -> Array: ...


def dtype_of(kind: Kind) -> type:
    """Integers are kept wide, so that an overflow of ``int`` is seen and not made."""
    return {"int": np.int64, "float": np.float32, "double": np.float64}[kind]


def evaluate(node: ast.expr, lanes: Lanes) -> Array:
    """An array with a value a lane: int64, float32 or float64. LabError for a division by zero."""
    match node:
        case ast.Constant():
            kind = np.int64 if isinstance(node.value, int) else np.float32
            return np.full(len(lanes.active), node.value, dtype=kind)
        case ast.Name():
            return lanes.value(node.id)
        case ast.Attribute(value=ast.Name(id=register), attr=axis):
            return lanes.special(register, axis)
        case ast.Subscript():
            return lanes.load(node, evaluate(node.slice, lanes))
        case ast.BinOp():
            return binary(
                node, BINARY[type(node.op)], evaluate(node.left, lanes), evaluate(node.right, lanes), lanes
            )
        case ast.UnaryOp():
            return _unary(UNARY[type(node.op)], evaluate(node.operand, lanes))
        case ast.Compare():
            left, right = evaluate(node.left, lanes), evaluate(node.comparators[0], lanes)
            return _compared(COMPARE[type(node.ops[0])], left, right).astype(np.int64)
        case ast.BoolOp():
            joining = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            parts = [evaluate(value, lanes) != 0 for value in node.values]
            return cast("Array", joining.reduce(parts).astype(np.int64))
        case ast.IfExp():
            return np.where(
                evaluate(node.test, lanes) != 0, evaluate(node.body, lanes), evaluate(node.orelse, lanes)
            )
        case ast.Call():
            return _call(node, lanes)
    raise AssertionError(f"not checked: {ast.dump(node)}")


def binary(node: ast.AST, symbol: str, left: Array, right: Array, lanes: Lanes) -> Array:
    """``left`` and ``right`` under an operator of C."""
    integers = left.dtype == right.dtype == np.int64
    if symbol in "/%" and integers:
        return _divided(node, symbol, left, right, lanes)
    if symbol in ("<<", ">>"):
        if ((right < 0) | (right > 31))[lanes.active].any():
            refuse(node, "移位应为 0 到 31", "shift by 0 to 31")
        shift = np.left_shift if symbol == "<<" else np.right_shift
        return cast("Array", shift(left, np.clip(right, 0, 31)))
    with np.errstate(all="ignore"):
        return cast("Array", _ARITHMETIC[symbol](*_same_kind(left, right)))


def _same_kind(left: Array, right: Array) -> tuple[Array, Array]:
    """C makes a float of an int beside a float; numpy would make a double."""
    if left.dtype == right.dtype:
        return left, right
    wide = np.float64 if np.float64 in (left.dtype, right.dtype) else np.float32
    return left.astype(wide), right.astype(wide)


def _divided(node: ast.AST, symbol: str, left: Array, right: Array, lanes: Lanes) -> Array:
    if (right == 0)[lanes.active].any():
        lane = int(np.flatnonzero((right == 0) & lanes.active)[0])
        refuse(node, f"lane {lane} 除以零", f"lane {lane} divides by zero")
    safe = np.where(right == 0, 1, right)
    quotient = np.abs(left) // np.abs(safe) * np.sign(left) * np.sign(safe)
    return cast("Array", quotient if symbol == "/" else left - quotient * safe)


def _unary(symbol: str, value: Array) -> Array:
    return cast("Array", (value == 0).astype(np.int64) if symbol == "!" else _SIGNS[symbol](value))


def _compared(symbol: str, left: Array, right: Array) -> Array:
    return cast("Array", _COMPARING[symbol](*_same_kind(left, right)))


def _call(node: ast.Call, lanes: Lanes) -> Array:
    name = called(node)
    assert name is not None, "not checked"
    if name in ATOMICS:
        return lanes.atomic(node, evaluate(node.args[1], lanes), evaluate(node.args[2], lanes))
    values = [evaluate(argument, lanes) for argument in node.args]
    if name in WARP_WIDE:
        return lanes.exchange(node, values)
    if name in ("min", "max"):
        return (np.minimum if name == "min" else np.maximum)(*_same_kind(*values))
    if name == "popc":
        return np.array([int(value & 0xFFFFFFFF).bit_count() for value in values[0]], dtype=np.int64)
    if name == "abs":
        return np.abs(values[0])
    with np.errstate(invalid="ignore"):
        return values[0].astype(np.int64 if name == "as_int" else np.float32)
