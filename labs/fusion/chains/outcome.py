"""What one run of the kernel fusion lab has found so far, for three cuts: apart, as chosen, all in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labs.formulas.fusion import Dataflow, crossing, moved_bytes
from labs.formulas.roofline import Demand, bounds
from labs.fusion.chains.catalogue import CHAINS
from labs.fusion.chains.elementwise_chains import Chain, ChainName, groups, named
from labs.fusion.chains.product_chain import ProductChain
from labs.ladder.roof import DEVICES
from labs.ops.operator import DTYPES, Dtype
from labs.simulator.hardware import Device, device
from labs.text import Text

if TYPE_CHECKING:
    from labs.fusion.chains.kernel_runs import Counted
    from labs.inspection.compiled import Compiled, Target
    from labs.measure import Timing

COUNTED_ROWS = 8  # in the interpreter: bytes grow with the rows, programs take time
_COUNTED_COLUMNS = 576  # at most, of a product: its weights grow with the square
CUTS = ("apart", "chosen", "one")
CUT_NAMES = {
    "apart": Text(zh="每步一个内核", en="a kernel a step"),
    "chosen": Text(zh="所选的切分", en="the cut chosen"),
    "one": Text(zh="全部融合", en="all in one"),
}


@dataclass(frozen=True)
class Setting:
    """``joins[i]``: step ``i + 1`` belongs to the kernel of step ``i``. ``launch_s`` of each kernel."""

    name: ChainName
    joins: tuple[bool, ...]
    tokens: int
    columns: int
    dtype: Dtype
    warps: int
    target: Target
    launch_s: float

    @property
    def chain(self) -> Chain:
        return CHAINS[self.name]

    @property
    def device(self) -> Device:
        return device(DEVICES[self.target])

    def groups(self, cut: str) -> list[list[int]]:
        """Kernels as places of their steps."""
        steps = len(self.chain.steps)
        joins = {"apart": (False,) * steps, "chosen": self.joins, "one": (True,) * steps}[cut]
        return groups(steps, joins)

    @property
    def multiplies(self) -> bool:
        return isinstance(self.chain, ProductChain)

    @property
    def counted_columns(self) -> int:
        return min(self.columns, _COUNTED_COLUMNS) if self.multiplies else self.columns

    @property
    def counted_size(self) -> Text:
        """What is interpreted, as it is told."""
        if not self.multiplies:
            return Text(zh=f"{COUNTED_ROWS} 行", en=f"{COUNTED_ROWS} rows")
        columns = self.counted_columns
        return Text(zh=f"{COUNTED_ROWS} 行、{columns} 列", en=f"{COUNTED_ROWS} rows, {columns} columns")

    def flow(self, rows: int, columns: int = 0) -> Dataflow:
        return self.chain.flow(rows, columns or self.columns, DTYPES[self.dtype].itemsize)

    def moved(self, cut: str, rows: int) -> int:
        """Bytes that cross the bus, by the formula."""
        return moved_bytes(self.flow(rows), named(self.chain, self.groups(cut)))

    def counted_moved(self, cut: str) -> int:
        """The same of what is interpreted."""
        flow = self.flow(COUNTED_ROWS, self.counted_columns)
        return moved_bytes(flow, named(self.chain, self.groups(cut)))

    def product_s(self, kernel: list[int], rows: int) -> float:
        """A kernel of a product's chain at the device's roofs, given by its steps; turning is no work."""
        flops = self.chain.matrix_flops(kernel, rows, self.columns)
        moved = sum(crossing(self.flow(rows), *named(self.chain, [kernel])))
        peak = self.device.peak("fp32" if self.dtype == "fp32" else "bf16")
        return bounds(Demand(flops, moved), peak, self.device.memory_bandwidth).least


@dataclass
class Outcome:
    """By cut; what has not come yet is missing. ``eager`` and ``fused``: torch on this machine, in fp32."""

    setting: Setting
    counted: dict[str, Counted] = field(default_factory=dict)
    built: dict[str, list[Compiled]] = field(default_factory=dict)
    native: dict[str, Timing] = field(default_factory=dict)  # the kernels, on a GPU that is here
    eager: Timing | None = None
    fused: Timing | None = None

    def kernel_bytes(self, cut: str) -> list[tuple[int, int]]:
        """Read and written by each kernel at the size that is timed."""
        setting = self.setting
        flow = setting.flow(setting.tokens)
        return [crossing(flow, kernel) for kernel in named(setting.chain, setting.groups(cut))]

    def traffic_s(self, cut: str) -> float:
        """Each kernel at the device's roof, one after the other, without launches. Needs ``counted``."""
        chip, scale = self.setting.device, self.setting.tokens / COUNTED_ROWS
        if self.setting.multiplies:
            return sum(self.setting.product_s(one, self.setting.tokens) for one in self.setting.groups(cut))
        kernels = zip(self.kernel_bytes(cut), self.counted[cut].kernels, strict=True)
        demands = [Demand(one.flops * scale, sum(moved)) for moved, one in kernels]
        return sum(bounds(one, chip.peak("fp32"), chip.memory_bandwidth).least for one in demands)

    def launches_s(self, cut: str) -> float:
        return len(self.setting.groups(cut)) * self.setting.launch_s

    def seconds(self, cut: str) -> float:
        """Expected on the target: at its roof, and a launch for every kernel."""
        return self.traffic_s(cut) + self.launches_s(cut)

    @property
    def passed(self) -> bool:
        return bool(self.counted) and all(one.passed for one in self.counted.values())
