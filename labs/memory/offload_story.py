"""What a run of offloading says, in its own figures, and what it means for the device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from labs.formulas.offloading import (
    break_even_tokens,
)
from labs.memory.precision import matrix_bytes
from labs.results import (
    Markdown,
    Provenance,
)
from labs.text import Text

if TYPE_CHECKING:
    from labs.memory.kv_offload import KVTimes
    from labs.memory.ledger import Setting
    from labs.memory.offload_views import Streamed
    from labs.simulator.hardware import Device

_MEASURED = Provenance.MEASURED


def _tokens_text(even: float | None) -> tuple[str, str]:
    if even is None:
        return "量到的 token 数都不够，更多时", "more tokens than were measured"
    return f"约 **{even:.0f}** 个 token 时", f"about **{even:.0f}** tokens"


def explanation(
    streamed: Streamed | None,
    kv: KVTimes | None,
    setting: Setting,
    device: Device,
    even: float | None,
) -> Markdown:
    """What was measured, and what it means for the device."""
    zh, en = [], []
    if streamed is not None:
        load, compute = sum(streamed.serial.load_s), sum(streamed.resident.compute_s)
        tokens_zh, tokens_en = _tokens_text(even)
        bound_zh, bound_en = ("加载", "loading") if load > compute else ("计算", "compute")
        zh.append(
            f"- {streamed.tokens} 个 token 时，加载共 {load:.3f} s，计算共 {compute:.3f} s，瓶颈"
            f"是{bound_zh}。预取把 "
            f"{streamed.serial.seconds:.3f} s 变成 {streamed.prefetched.seconds:.3f} s；它最多藏住两者中较"
            "短的，"
            f"不能让总时间低于较长的。输出与权重常驻时{'完全相同' if streamed.equal else '**不同**'}。"
        )
        en.append(
            f"- With {streamed.tokens} tokens loading takes {load:.3f} s and compute {compute:.3f} s: "
            f"{bound_en} is the "
            f"bound. Prefetching turns {streamed.serial.seconds:.3f} s into "
            f"{streamed.prefetched.seconds:.3f} s; it hides "
            "the shorter of the two at most. The output is "
            f"{'identical to' if streamed.equal else '**not** that of'} "
            "that of resident weights."
        )
        if streamed.prefetched.seconds > streamed.serial.seconds:
            load_average = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
            zh.append(
                f"- **这次预取反而更慢**：读文件也要处理器和内存带宽，把计算从 {compute:.3f} s 拖到 "
                f"{sum(streamed.prefetched.compute_s):.3f} s（平均负载 {load_average:.1f}）。GPU 有独立的"
                "拷贝引擎，不会这样。"
            )
            en.append(
                "- **This time prefetching was slower**: reading a file takes processor and memory too, and "
                f"held compute up from {compute:.3f} s to {sum(streamed.prefetched.compute_s):.3f} s (load "
                f"average {load_average:.1f}). A GPU has a copy engine of its own."
            )
        zh.append(
            f"- 按本次实测，{tokens_zh}计算与加载持平。少于它，每步都在等磁盘；解码每步每"
            "条序列只有一个 "
            "token，所以卸载权重的解码要靠大批量。"
        )
        en.append(
            f"- By these figures {tokens_en} compute as long as a load takes. Below that "
            "every step waits "
            "for the drive; decode has one token a sequence and step, so offloaded weights need large "
            "batches."
        )
    if kv is not None:
        zh.append(
            f"- {kv.tokens} token 的 KV 有 {kv.nbytes / 2**20:.1f} MiB：从内存取回比重算快 "
            f"**{kv.compute_s / kv.memory_s:.0f} 倍**，从文件快 {kv.compute_s / kv.file_s:.0f} 倍；取回后下"
            "一个 token 的 "
            f"logits {'逐位相同' if kv.equal else '**不同**'}。"
        )
        en.append(
            f"- The KV of {kv.tokens} tokens is {kv.nbytes / 2**20:.1f} MiB: back from memory is "
            f"**{kv.compute_s / kv.memory_s:.0f} "
            f"times** as fast as computing it, from a file {kv.compute_s / kv.file_s:.0f} times; the next "
            "token's logits "
            f"are {'bit for bit the same' if kv.equal else '**different**'}."
        )
    tokens = break_even_tokens(matrix_bytes(setting.weights), device.peak("bf16"), device.host_bandwidth)
    zh.append(
        f"- {device.title}：每步至少 {tokens:.0f} 个 token，全部权重从主机内存流过才藏得住（估算，按峰值）。"
        "卸载的是容量，不是速度：装不下、又不急，才值得。"
    )
    en.append(
        f"- {device.title}: all weights streamed from host memory hide behind compute from {tokens:.0f} "
        "tokens a step on "
        "(estimated, at peak). Offloading buys capacity, not speed: it pays where the model does not fit "
        "and nobody waits."
    )
    return Markdown(
        id="explanation",
        title=Text(zh="你看到了什么，为什么", en="What you see, and why"),
        provenance=_MEASURED,
        body=Text(zh="\n".join(zh), en="\n".join(en)),
        wide=True,
    )
