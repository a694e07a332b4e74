"""References to shared blocks over time, on the engine's own clock of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labs.engine.replay import CLOCK
from labs.results import Axis, Lines, Markdown, Provenance, Series, array
from labs.text import Text

if TYPE_CHECKING:
    from labs.memory.shared_prefixes import SharedRun

TITLE = Text(zh="引用计数：每块有几个主人", en="Reference counts: who holds each block")


def help_text(blocks: int) -> Text:
    return Text(
        zh=f"引擎自己的调度器和块管理器（{blocks} 块，每块 512 个 token，LRU）服务前几十个请求。×n 是引用"
        "计数；"
        "灰色斜纹是计数归零、内容还留着的块，要腾地方时才淘汰。",
        en=f"The engine's own scheduler and block manager ({blocks} blocks of 512 tokens, LRU) serve the "
        "first "
        "few dozen requests. ×n is a reference count; hatched grey blocks have none left and keep their "
        "contents until room is needed.",
    )


def counts(run: SharedRun) -> Lines:
    """Blocks in use, references to them, and blocks that wait for another reader."""
    moments = run.counts
    times = array([one.time_s for one in moments])
    lines = [
        (
            Text(zh="引用总数（不共享要占的块）", en="references (blocks without sharing)"),
            [m.references for m in moments],
        ),
        (Text(zh="被引用的块", en="blocks referred to"), [m.owned for m in moments]),
        (Text(zh="计数为 0、留作缓存", en="no reference, kept cached"), [m.cached for m in moments]),
    ]
    return Lines(
        id="references",
        title=Text(zh="引用计数随时间", en="References over time"),
        help=Text(
            zh="前两条线之差就是共享省下的块。",
            en="Between the first two lines lie the blocks that sharing saves.",
        ),
        provenance=Provenance.SIMULATED,
        unit="block",
        x=Axis(title=Text(zh="时间", en="time"), unit="s"),
        y=Axis(title=Text(zh="块", en="blocks"), unit="block"),
        series=[Series(name=name, x=times, y=array(values)) for name, values in lines],
        markers=False,
        clock=CLOCK,
    )


def story(run: SharedRun) -> Markdown:
    top = run.most_shared
    saved = max(one.references - one.owned for one in run.counts)
    text = Text(
        zh=f"{top.time_s:.2f} s 时有一块被 {top.most} 条序列同时引用；此刻 {top.owned} 块上共有 "
        f"{top.references} 个"
        f"引用。共享最多时省下 {saved} 块。计数归零的块并不清空，而是排进淘汰队列；整个过程淘汰了 "
        f"{run.evicted} "
        "块，没有一块在有人引用时被拿走。",
        en=f"At {top.time_s:.2f} s one block is referred to by {top.most} sequences at once, and "
        f"{top.owned} blocks have {top.references} references. At most {saved} blocks were saved by "
        "sharing. A "
        f"block without references is not cleared: it queues to be evicted. {run.evicted} were, and none "
        "while "
        "somebody referred to it.",
    )
    return Markdown(
        id="reference_story",
        title=Text(zh="谁在用，谁能走", en="Who is in use, who may go"),
        provenance=Provenance.SIMULATED,
        body=text,
    )
