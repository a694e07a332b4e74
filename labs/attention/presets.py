"""The stories that the KV compression lab tells, as named values."""

from __future__ import annotations

from labs.spec import Preset
from labs.text import Text

PRESETS = [
    Preset(
        id="heavy_hitters",
        title=Text(zh="H2O 留下了谁", en="Whom H2O keeps"),
        story=Text(
            zh="只留两成。先猜：困惑度涨多少？埋下的数字还答得出吗？看每层每头各留下了哪些词。",
            en="A fifth is kept. Guess first: how much does perplexity rise, and is the planted number "
            "still told? See which words each layer and head keeps.",
        ),
        values={"policy": "h2o", "share": 0.2},
    ),
    Preset(
        id="sinks",
        title=Text(zh="四个汇点值多少", en="What four sinks are worth"),
        story=Text(
            zh="滑动窗口留一半；StreamingLLM 用同样的预算，其中 4 个给开头。先猜：损失差几倍？",
            en="A window of one half; StreamingLLM has the same budget and gives 4 of it to the start. "
            "Guess by how many times the losses differ.",
        ),
        values={"policy": "window", "share": 0.5},
    ),
    Preset(
        id="stream",
        title=Text(zh="流过训练长度之后", en="Beyond the trained length"),
        story=Text(
            zh="StreamingLLM 在缓存里重新数位置。先猜：流到训练长度的 8 倍，仍按原文数位置会多错多少？缓存"
            "里数呢？",
            en="StreamingLLM counts positions within its cache. Guess first: 8 times the trained length "
            "on, what do original positions cost, and those in the cache?",
        ),
        values={"policy": "streaming", "share": 0.2, "sweep": False},
    ),
    Preset(
        id="question_first",
        title=Text(zh="先看到问题再丢", en="Knowing the question"),
        story=Text(
            zh="SnapKV 让末尾的查询投票，问题就在末尾。先猜：留两成，事实找回几成？",
            en="SnapKV lets the last queries vote, and the question is last. Guess how much of the facts a "
            "fifth of the cache still tells.",
        ),
        values={"policy": "snapkv", "share": 0.2},
    ),
    Preset(
        id="question_later",
        title=Text(zh="压缩完才来问题", en="The question comes later"),
        story=Text(
            zh="同样的 SnapKV，问题在压缩之后。先猜：困惑度会告诉你出了什么事吗？",
            en="The same SnapKV, asked after the cut. Guess first: would perplexity tell you what happened?",
        ),
        values={"policy": "snapkv", "share": 0.2, "asked": "after"},
    ),
    Preset(
        id="kivi",
        title=Text(zh="两位的 KV（KIVI）", en="KV in two bits (KIVI)"),
        story=Text(
            zh="K 逐通道、V 逐 token。先看两张热力图，猜哪个方向对 K 更好，再看八种组合的损失。",
            en="K per channel, V per token. Look at both maps, guess which way suits K, then see the loss "
            "of all combinations.",
        ),
        values={"mode": "quantise"},
    ),
    Preset(
        id="int4_per_token",
        title=Text(zh="四位，随便怎么分组", en="Four bits, either way"),
        story=Text(
            zh="四位、都逐 token，不留最近的 token。先猜：方向还要紧吗？",
            en="Four bits, per token, and none in full. Guess first: does the direction still matter?",
        ),
        values={"mode": "quantise", "bits": 4, "keys": "token", "residual": 0},
    ),
    Preset(
        id="gqa",
        title=Text(zh="GQA 的内核", en="A kernel for GQA"),
        story=Text(
            zh="8 个查询头、2 个 KV 头。先猜：一步快几倍？不懂分组的内核读多少？先复制 KV 头再算呢？",
            en="8 query heads on 2 KV heads. Guess how much faster a step is, how much a kernel without "
            "groups reads, and what repeating the KV heads first costs.",
        ),
        values={"mode": "heads"},
    ),
    Preset(
        id="mqa",
        title=Text(zh="MQA：只有一份 KV", en="MQA: one KV head"),
        story=Text(
            zh="字节是 MHA 的 1/8。先猜：时间也是吗？看占带宽的比例掉没掉。",
            en="An eighth of the bytes of MHA. Is it an eighth of the time? See whether the share of the "
            "bandwidth falls.",
        ),
        values={"mode": "heads", "kv_heads": 1},
    ),
]
