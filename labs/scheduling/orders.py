"""The policies that are compared: their names, and how each is made from the lab's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from labs.engine.policies import (
    EarliestDeadlineFirst,
    FairShare,
    FirstComeFirstServed,
    MultiLevelFeedback,
    PriorityWithAgeing,
    ShortestFirst,
)
from labs.scheduling.slo_first import AttainableFirst
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.engine.policies import Policy

Order = Literal["fcfs", "sjf", "priority", "mlfq", "fair", "edf", "slo"]
ORDERS: tuple[Order, ...] = ("fcfs", "sjf", "priority", "mlfq", "fair", "edf", "slo")

TITLES: dict[Order, Text] = {
    "fcfs": same("FCFS"),
    "sjf": same("SJF"),
    "priority": Text(zh="优先级", en="priority"),
    "mlfq": same("MLFQ"),
    "fair": Text(zh="公平份额", en="fair share"),
    "edf": same("EDF"),
    "slo": Text(zh="SLO 优先", en="SLO first"),
}
EXPLAINED: dict[Order, Text] = {
    "fcfs": Text(zh="先到先服务。", en="First come, first served."),
    "sjf": Text(
        zh="最短作业优先：预测还要多久，短的先；提示词一起算，每 token 只折合二百分之一步。"
        "一旦开始就不打断。",
        en="Shortest job first, by predicted time: a prompt's tokens are computed together and count 1/200 "
        "of "
        "a step each. Nobody is interrupted.",
    ),
    "priority": Text(
        zh="急的先；等得够久也会升级（老化），所以谁都不会饿死。",
        en="The urgent ones first; waiting long enough counts as urgency (ageing), so nobody starves.",
    ),
    "mlfq": Text(
        zh="多级反馈队列：不预测长度，算满一级的时间片就降级，低级的可被抢占。",
        en="Multi-level feedback queue: predicts nothing; who has used up a level's quantum sinks, and "
        "those on lower levels can be preempted.",
    ),
    "fair": Text(
        zh="得到服务最少的用户先（虚拟 token 计数，VTC）。",
        en="The user who was served least goes first (virtual token counter, VTC).",
    ),
    "edf": Text(
        zh="首 token 期限最近的先，哪怕已经过期。",
        en="The nearest deadline of a first token first, even if it has passed.",
    ),
    "slo": Text(
        zh="期限最近的先，但已经过期、救不回来的排到最后。",
        en="The nearest deadline first, but those that have missed theirs come last.",
    ),
}


@dataclass(frozen=True)
class Knobs:
    """``ageing_s`` of waiting make up for urgency; ``quantum`` tokens are the first level's."""

    ageing_s: float = 30.0
    quantum: int = 64


def make_policy(order: Order, knobs: Knobs) -> Policy:
    match order:
        case "fcfs":
            return FirstComeFirstServed()
        case "sjf":
            return ShortestFirst()
        case "priority":
            return PriorityWithAgeing(knobs.ageing_s)
        case "mlfq":
            return MultiLevelFeedback(knobs.quantum, boost_s=knobs.ageing_s)
        case "fair":
            return FairShare()
        case "edf":
            return EarliestDeadlineFirst()
        case "slo":
            return AttainableFirst()
