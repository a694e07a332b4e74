"""XLA's texts read: HLO as instructions; HLO and StableHLO without what tools need, and each line's origin.

Enough of HLO's syntax for what ``jax`` prints: a computation is a block, an instruction a line
``name = shape opcode(operands), attributes``. A source line is found by the tables of stack frames at the
head of an HLO module, in StableHLO by ``loc(...)``.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

CHAIN_FILE: Final = "<chain>"  # what the lines of the user's chain say their file is
_BYTES: Final = {"pred": 1, "s8": 1, "bf16": 2, "f16": 2, "f32": 4, "s32": 4, "f64": 8, "s64": 8}
_NO_KERNEL: Final = frozenset({"parameter", "constant", "tuple", "get-tuple-element", "bitcast"})
_HEAD: Final = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
_INSTRUCTION: Final = re.compile(
    r"^\s+(ROOT )?%?([\w.\-]+) = (\(.*?\)|[\w\[\],{}]+) ([\w\-]+)\((.*?)\)(?:, (.*))?$"
)
_TABLE_ROW: Final = re.compile(r"^(\d+) (?:\"(.*)\"|\{(.*)\})$")
_METADATA: Final = re.compile(r", metadata=\{(.*?)\}")
_LOC: Final = re.compile(r" loc\((#loc\d*|unknown|\".*?\")\)")


class Instruction(NamedTuple):
    """``operands`` by name; of a parameter, its number, of a constant its value. ``calls``: a computation.
    ``part``: which of a tuple it takes."""

    name: str
    opcode: str
    shape: str
    operands: list[str]
    calls: str
    kind: str
    root: bool
    part: int

    @property
    def bytes(self) -> int:
        found = re.match(r"(\w+)\[([\d,]*)\]", self.shape)
        if found is None or found[1] not in _BYTES:
            return 0
        return _BYTES[found[1]] * math.prod(int(one) for one in found[2].split(",") if one)


class HloModule(NamedTuple):
    """``entry`` is the computation that runs."""

    computations: dict[str, list[Instruction]]
    entry: str

    @property
    def entered(self) -> list[Instruction]:
        return self.computations[self.entry]

    @property
    def kernels(self) -> int:
        """Instructions of the entry that compute something when it runs."""
        return sum(one.opcode not in _NO_KERNEL for one in self.entered)


def parse(text: str) -> HloModule:
    """HLO as printed. ValueError where nothing runs."""
    computations: dict[str, list[Instruction]] = {}
    entry, block = "", None
    for line in text.splitlines():
        if block is None and (head := _HEAD.match(line)) and not line.startswith("HloModule"):
            block = computations.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif line == "}":
            block = None
        elif block is not None and (found := _INSTRUCTION.match(line)):
            block.append(_instruction(found))
    if entry not in computations:
        raise ValueError("HLO without an entry computation")
    return HloModule(computations, entry)


def _instruction(found: re.Match[str]) -> Instruction:
    root, name, shape, opcode, listed, rest = found.groups()
    calls = re.search(r"(?:calls|to_apply)=%?([\w.\-]+)", rest or "")
    kind = re.search(r"kind=(\w+)", rest or "")
    index = re.search(r"index=(\d+)", rest or "")
    operands = [one.strip().split(" ")[-1].lstrip("%") for one in _operands(listed)]
    named = calls[1] if calls and opcode in ("fusion", "call") else ""
    part = int(index[1]) if index else 0
    return Instruction(name, opcode, shape, operands, named, kind[1] if kind else "", bool(root), part)


def _operands(listed: str) -> list[str]:
    return re.split(r", (?![^\[{]*[\]}])", listed) if listed else []


def tidy_hlo(text: str) -> tuple[str, list[int]]:
    """HLO without tables and metadata, and the chain's line of each line (0: none)."""
    tables = _tables(text)
    body = text[text.index("\n") + 1 :]
    lines: list[str] = []
    links: list[int] = []
    for line in body.splitlines():
        frame = re.search(r"stack_frame_id=(\d+)", line)
        if line in tables or _TABLE_ROW.match(line):
            continue
        if not line and (not lines or not lines[-1]):
            continue
        links.append(_chain_line(tables, frame[1]) if frame else 0)
        lines.append(_METADATA.sub("", line))
    while lines and not lines[-1]:
        lines.pop()
        links.pop()
    return "\n".join(lines) + "\n", links


def chain_lines(text: str) -> dict[str, int]:
    """The chain's line of every instruction of an HLO module that has one."""
    tables = _tables(text)
    named = re.findall(r"^\s+(?:ROOT )?%([\w.\-]+) = .*stack_frame_id=(\d+)", text, re.MULTILINE)
    found = {name: _chain_line(tables, frame) for name, frame in named}
    return {name: line for name, line in found.items() if line}


def _tables(text: str) -> dict[str, dict[str, str]]:
    """FileNames, FunctionNames, FileLocations and StackFrames, by number."""
    tables: dict[str, dict[str, str]] = {}
    rows: dict[str, str] = {}
    for line in text.splitlines():
        if re.match(r"^(File|Function|Stack)\w+$", line):
            rows = tables.setdefault(line, {})
        elif found := _TABLE_ROW.match(line):
            rows[found[1]] = found[2] or found[3]
    return tables


def _chain_line(tables: dict[str, dict[str, str]], frame: str) -> int:
    """The innermost frame alone: the operators of a chain are jax's own functions."""
    location = re.search(r"file_location_id=(\d+)", tables.get("StackFrames", {}).get(frame, ""))
    if location is None:
        return 0
    row = tables["FileLocations"].get(location[1], "")
    found = re.search(r"file_name_id=(\d+).* line=(\d+)", row)
    return int(found[2]) if found and tables["FileNames"].get(found[1]) == CHAIN_FILE else 0


def tidy_stablehlo(text: str) -> tuple[str, list[int]]:
    """StableHLO without locations, and the chain's line of each line; a function's body without its own has
    that of the call it was made for."""
    known = dict(re.findall(r"^(#loc\d*) = (.*)$", text, re.MULTILINE))
    lines, links, around = [], [], 0
    for line in reversed(text.splitlines()):
        if line.startswith("#loc"):
            continue
        found = re.search(r" loc\((#loc\d*)\)$", line)
        own = _located(known, found[1]) if found else 0
        if line.startswith("  }"):
            around, own = own, 0
        plain = _LOC.sub("", line)
        lines.append(plain)
        links.append(own or (around if plain.startswith("    ") else 0))
    return "\n".join(reversed(lines)) + "\n", links[::-1]


def _located(known: dict[str, str], name: str) -> int:
    text = known.get(name, "")
    if found := re.search(rf'"{CHAIN_FILE}":(\d+):', text):
        return int(found[1])
    return next((line for one in re.findall(r"#loc\d+", text) if (line := _located(known, one))), 0)
