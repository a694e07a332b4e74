"""Draws the figures of notes 3.2.3 from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_scheduling``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labs.formulas.scheduling import mg1_fcfs_wait, mg1_sjf_waits, prediction_tau, supermarket_time
from resources.figures.generate_quantization import BLUE, GREEN, INK, MUTED, ORANGE, RULE, Drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# Nine requests of ten take 0.6 s, one takes 9 s, one at a time.
SERVICE_S = [0.6] * 9 + [9.0]
MEAN_S = sum(SERVICE_S) / len(SERVICE_S)


class Frame(NamedTuple):
    """Axes from (0, 0) at the lower left; values map linearly to pixels."""

    drawing: Drawing
    left: float
    top: float
    width: float
    height: float
    most_x: float
    most_y: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        return (
            self.left + self.width * x / self.most_x,
            self.top + self.height * (1 - min(y, self.most_y) / self.most_y),
        )

    def axes(
        self, xs: Iterable[float], ys: Iterable[float], x_name: dict[str, str], y_name: dict[str, str]
    ) -> None:
        d, bottom = self.drawing, self.top + self.height
        for y in ys:
            _, py = self.at(0, y)
            d.line(self.left, py, self.left + self.width, py, RULE, 1)
            d.text(self.left - 8, py + 4, f"{y:g}", MUTED, 12, "end")
        for x in xs:
            px, _ = self.at(x, 0)
            d.text(px, bottom + 18, f"{x:g}", MUTED, 12)
        d.line(self.left, bottom, self.left + self.width, bottom, INK)
        d.text(self.left + self.width / 2, bottom + 40, x_name, MUTED)
        d.text(self.left - 34, self.top - 14, y_name, MUTED, 13, "start")

    def curve(self, of: Callable[[float], float], xs: Iterable[float], color: str, dash: str = "") -> None:
        points = [(x, of(x)) for x in xs]
        self.drawing.curve([self.at(x, y) for x, y in points if y <= self.most_y], color, dash=dash)


def orders(language: str) -> None:
    """One server; a long request and four short ones that come right after it."""
    d = Drawing(720, 330, language)
    scale, left, tall = 50.0, 120.0, 20.0
    shorts = ("B", "C", "D", "E")
    lanes = {
        "FCFS": [("A", 0, 8), *((name, 8 + place, 1) for place, name in enumerate(shorts))],
        "SJF": [*((name, place, 1) for place, name in enumerate(shorts)), ("A", 4, 8)],
        "MLFQ": [("A", 0, 2), *((name, 2 + place, 1) for place, name in enumerate(shorts)), ("A", 6, 6)],
    }
    says = {
        "FCFS": {"zh": "短的都等长的", "en": "short ones wait for the long"},
        "SJF": {"zh": "要先知道谁短", "en": "must know who is short"},
        "MLFQ": {"zh": "算满时间片就让位", "en": "yields after its quantum"},
    }
    for row, (order, bars) in enumerate(lanes.items()):
        y = 44 + 92 * row
        d.text(16, y + 16, order, INK, 14, "start", bold=True)
        d.text(left, y + 46, says[order], MUTED, 13, "start")
        ends = {}
        for name, start, length in bars:
            color = ORANGE if name == "A" else BLUE
            d.rect(left + scale * start + 1, y, scale * length - 2, tall + 4, color, 0.22, color)
            d.text(left + scale * (start + length / 2), y + 17, name)
            ends[name] = start + length
        mean = sum(ends.values()) / len(ends)
        d.text(
            left + scale * 12 - 2,
            y + 46,
            {"zh": f"平均完成时刻 {mean:g}", "en": f"mean completion {mean:g}"},
            INK,
            13,
            "end",
        )
    d.line(left, 316, left + 12 * scale, 316, INK)
    d.text(16, 320, {"zh": "时间 →", "en": "time →"}, MUTED, 13, "start")
    d.save("scheduling-orders")


def waits(language: str) -> None:
    d = Drawing(720, 370, language)
    frame = Frame(d, 70, 40, 470, 270, 1.0, 25.0)
    frame.axes(
        [0, 0.2, 0.4, 0.6, 0.8, 1.0],
        [0, 5, 10, 15, 20, 25],
        {"zh": "负载 ρ", "en": "load ρ"},
        {"zh": "平均排队时间（s）", "en": "mean wait (s)"},
    )
    xs = [one / 200 for one in range(1, 199)]
    frame.curve(lambda rho: mg1_fcfs_wait(rho / MEAN_S, SERVICE_S), xs, INK)
    frame.curve(lambda rho: mg1_sjf_waits(rho / MEAN_S, SERVICE_S)[-1], xs, ORANGE)
    frame.curve(lambda rho: mg1_sjf_waits(rho / MEAN_S, SERVICE_S)[0], xs, BLUE)
    for y, color, words in (
        (90, INK, {"zh": "FCFS，所有请求", "en": "FCFS, all alike"}),
        (120, ORANGE, {"zh": "SJF，长请求（9 s）", "en": "SJF, long ones (9 s)"}),
        (150, BLUE, {"zh": "SJF，短请求（0.6 s）", "en": "SJF, short ones (0.6 s)"}),
    ):
        d.line(558, y - 4, 580, y - 4, color, 2.4)
        d.text(588, y, words, INK, 12, "start")
    d.save("scheduling-waits")


def two_choices(language: str) -> None:
    d = Drawing(720, 370, language)
    frame = Frame(d, 70, 40, 470, 270, 1.0, 12.0)
    frame.axes(
        [0, 0.2, 0.4, 0.6, 0.8, 1.0],
        [0, 2, 4, 6, 8, 10, 12],
        {"zh": "每台的负载 ρ", "en": "load ρ of each server"},
        {"zh": "平均逗留时间（服务时间的倍数）", "en": "mean time in the system (service times)"},
    )
    xs = [one / 200 for one in range(1, 199)]
    for choices, color in ((1, INK), (2, BLUE), (3, GREEN)):
        frame.curve(lambda rho, choices=choices: supermarket_time(rho, choices), xs, color)  # type: ignore[misc]
    for y, color, words in (
        (90, INK, {"zh": "随机选一台", "en": "one at random"}),
        (120, BLUE, {"zh": "随机两台里选短的", "en": "the shorter of two"}),
        (150, GREEN, {"zh": "随机三台里选短的", "en": "the shortest of three"}),
    ):
        d.line(558, y - 4, 580, y - 4, color, 2.4)
        d.text(588, y, words, INK, 12, "start")
    d.save("scheduling-two-choices")


def tau(language: str) -> None:
    d = Drawing(720, 350, language)
    frame = Frame(d, 70, 40, 470, 250, 3.0, 1.0)
    frame.axes(
        [0, 0.5, 1, 1.5, 2, 2.5, 3],
        [0, 0.25, 0.5, 0.75, 1],
        {"zh": "预测误差 σ（对数标准差）", "en": "error σ of the logarithm"},
        {"zh": "Kendall τ", "en": "Kendall's τ"},
    )
    xs = [one / 50 for one in range(151)]
    for spread, color in ((1.5, GREEN), (0.94, BLUE), (0.4, ORANGE)):
        frame.curve(lambda error, spread=spread: prediction_tau(spread, error), xs, color)  # type: ignore[misc]
    for y, color, words in (
        (90, GREEN, {"zh": "长度很散，s = 1.5", "en": "varied, s = 1.5"}),
        (120, BLUE, {"zh": "s = 0.94", "en": "s = 0.94"}),
        (150, ORANGE, {"zh": "长度相近，s = 0.4", "en": "alike, s = 0.4"}),
    ):
        d.line(558, y - 4, 580, y - 4, color, 2.4)
        d.text(588, y, words, INK, 11, "start")
    d.save("scheduling-tau")


def main() -> None:
    for language in ("zh", "en"):
        orders(language)
        waits(language)
        two_choices(language)
        tau(language)


if __name__ == "__main__":
    main()
