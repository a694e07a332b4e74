"""Draws the figures of section 3.1.3 from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_memory_pools``.
"""

from __future__ import annotations

from labs.formulas.allocation import buddy_size, mean_class_waste, sectors_touched, size_class
from labs.formulas.eviction import lru_hit_ratio, most_popular_hit_ratio, zipf_popularity
from resources.figures.generate_quantization import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PINK,
    RULE,
    SKY,
    YELLOW,
    Drawing,
    Words,
)

LANGUAGES = ("zh", "en")


def fragmentation(language: str) -> None:
    """Three sequences in one arena: reserved, after one has gone, in pages."""
    d = Drawing(720, 250, language)
    left, cell, count, high = 120, 18, 32, 34
    rows: tuple[tuple[int, Words, str], ...] = (
        (40, {"zh": "按上限预留", "en": "reserved"}, "reserved"),
        (110, {"zh": "中间的走了", "en": "one has gone"}, "gone"),
        (180, {"zh": "分页", "en": "pages"}, "pages"),
    )
    pieces = ((0, 10, 4, BLUE), (10, 10, 6, ORANGE), (20, 10, 3, GREEN))
    pages = "BBOOGBOB.OGGBO.OB.OG............"
    colours = {"B": BLUE, "O": ORANGE, "G": GREEN}
    for y, title, kind in rows:
        d.text(left - 12, y + 22, title, INK, 13, "end", bold=True)
        for index in range(count):
            d.rect(left + index * cell, y, cell - 1, high, RULE, 0.45)
        if kind == "pages":
            for index, name in enumerate(pages):
                if name in colours:
                    d.rect(left + index * cell, y, cell - 1, high, colours[name])
            continue
        for start, size, used, colour in pieces:
            if kind == "gone" and colour == ORANGE:
                continue
            for index in range(start, start + size):
                full = index < start + used
                d.rect(left + index * cell, y, cell - 1, high, colour, 1 if full else 0.22)
    d.text(left + 7 * cell, 32, {"zh": "内部碎片：占着不用", "en": "internal: held, unused"}, MUTED, 12)
    d.text(
        left + 15 * cell,
        102,
        {"zh": "外部碎片：空 12 格，却放不下一条要 11 格的", "en": "external: 12 free, and no room for 11"},
        MUTED,
        12,
    )
    d.text(
        left + 15 * cell,
        232,
        {
            "zh": "哪一页空就用哪一页；只有每条的最后一页可能没满",
            "en": "any free page will do; only last pages may not be full",
        },
        MUTED,
        12,
    )
    d.save("pool-fragmentation")


def buddy(language: str) -> None:
    """1024 bytes are split for a request of 100, and the twin of a block is one bit away."""
    d = Drawing(720, 300, language)
    left, width, high = 40, 640, 34
    total = 1024
    granted = buddy_size(100, 128)
    level, y = total, 40
    colour = {True: BLUE, False: RULE}
    d.text(
        left, 24, {"zh": "要 100 B，最小块 128 B", "en": "100 B wanted, least block 128 B"}, INK, 13, "start"
    )
    while level >= granted:
        scale = width / total
        d.rect(left, y, level * scale - 2, high, colour[level == granted], 0.9 if level == granted else 0.6)
        name = f"0 … {level}"
        d.text(
            left + level * scale / 2,
            y + 22,
            name if level > granted else "0 … 128",
            "#ffffff" if level == granted else INK,
            12,
        )
        if level > granted:
            half = level // 2
            d.line(left + half * scale, y + high, left + half * scale, y + high + 12, MUTED, 1.2)
        if level < total:
            d.rect(left + level * scale, y, level * scale - 2, high, GREEN, 0.35)
            d.text(
                left + 1.5 * level * scale, y + 22, {"zh": f"空闲 {level}", "en": f"free {level}"}, INK, 12
            )
        level //= 2
        y += 48
    d.text(
        left,
        y + 18,
        {
            "zh": "地址 128、大小 128 的块，伙伴在哪？128 ⊕ 128 = 0：只翻一个比特，不用查找",
            "en": "Where is the twin of address 128, size 128? 128 XOR 128 = 0: one bit, no search",
        },
        INK,
        13,
        "start",
    )
    d.text(
        left,
        y + 42,
        {
            "zh": "两个伙伴都空才合并；挨着却不是伙伴的（128 与 256）永远不合并",
            "en": "Only twins merge: neighbours that are none (128 and 256) never do",
        },
        MUTED,
        12,
        "start",
    )
    d.save("buddy-split")


def classes(language: str) -> None:
    """What each request between 1 and 2 KiB is given, with one class to a doubling and with four."""
    d = Drawing(720, 270, language)
    left, bottom, width, high = 70, 220, 400, 170
    d.line(left, bottom, left + width, bottom, INK)
    d.line(left, bottom, left, bottom - high, INK)
    for size in (1024, 1280, 1536, 1792, 2048):
        x = left + (size - 1024) / 1024 * width
        d.line(x, bottom, x, bottom + 4, INK)
        d.text(x, bottom + 18, f"{size}", MUTED, 12)
        y = bottom - (size - 1024) / 1024 * high
        d.line(left, y, left + width, y, RULE, 1)
        d.text(left - 8, y + 4, f"{size}", MUTED, 12, "end")
    d.text(left + width / 2, bottom + 38, {"zh": "要的字节", "en": "bytes asked for"}, INK, 12)
    for steps, colour in ((1, ORANGE), (4, BLUE)):
        points = []
        for size in range(1025, 2049):
            x = left + (size - 1024) / 1024 * width
            points.append((x, bottom - (size_class(size, 512, steps) - 1024) / 1024 * high))
        d.curve(points, colour)
    d.curve([(left, bottom), (left + width, bottom - high)], MUTED, 1.4, "5 4")
    entries: tuple[tuple[str, Words], ...] = (
        (
            ORANGE,
            {
                "zh": f"伙伴：2 的幂，平均浪费 {100 * mean_class_waste(1):.1f}%",
                "en": f"buddy: wastes {100 * mean_class_waste(1):.1f} %",
            },
        ),
        (
            BLUE,
            {
                "zh": f"四档：平均浪费 {100 * mean_class_waste(4):.1f}%",
                "en": f"four classes: wastes {100 * mean_class_waste(4):.1f} %",
            },
        ),
        (MUTED, {"zh": "要多少给多少：0", "en": "to measure: 0"}),
    )
    for index, (colour, words) in enumerate(entries):
        y = 70 + 26 * index
        d.line(left + width + 20, y - 4, left + width + 44, y - 4, colour, 2.4)
        d.text(left + width + 50, y, words, INK, 12, "start")
    d.text(left + width + 20, 44, {"zh": "给出的字节", "en": "bytes granted"}, INK, 13, "start", bold=True)
    d.save("size-classes")


def caching(language: str) -> None:
    """The way of a request through a caching allocator, and back."""
    d = Drawing(720, 300, language)
    d.box(20, 30, 130, 40, {"zh": "要 3 MiB", "en": "3 MiB wanted"}, BLUE)
    d.arrow(150, 50, 188, 50)
    d.box(190, 30, 150, 40, {"zh": "取整到 512 B", "en": "round to 512 B"}, BLUE)
    d.arrow(340, 50, 378, 50)
    d.box(380, 30, 150, 40, {"zh": "池里有够大的？", "en": "one in the pool?"}, YELLOW)
    d.arrow(530, 50, 568, 50)
    d.text(549, 42, {"zh": "有", "en": "yes"}, MUTED, 12)
    d.box(570, 30, 130, 40, {"zh": "切下，余下的留着", "en": "split, keep rest"}, GREEN)
    d.arrow(455, 70, 455, 108)
    d.text(466, 94, {"zh": "没有", "en": "no"}, MUTED, 12, "start")
    d.box(380, 110, 150, 40, {"zh": "向设备要 20 MiB 段", "en": "segment of 20 MiB"}, ORANGE)
    d.line(530, 130, 635, 130, INK, 1.4)
    d.arrow(635, 130, 635, 72)
    d.text(582, 122, "OK", MUTED, 12)
    d.arrow(455, 150, 455, 188)
    d.text(466, 174, {"zh": "设备也没有", "en": "device is full"}, MUTED, 12, "start")
    d.box(350, 190, 210, 40, {"zh": "退掉全空的段，再试一次", "en": "give back empty segments"}, PINK)
    d.arrow(455, 230, 455, 262)
    d.text(466, 250, {"zh": "仍没有", "en": "still none"}, MUTED, 12, "start")
    d.box(380, 264, 150, 32, "OutOfMemoryError", PINK)
    d.line(560, 210, 600, 210, MUTED, 1.2, "4 3")
    d.line(600, 210, 600, 130, MUTED, 1.2, "4 3")
    d.box(20, 150, 130, 40, {"zh": "释放", "en": "free"}, BLUE)
    d.arrow(150, 170, 188, 170)
    d.box(190, 150, 130, 40, {"zh": "与相邻空块合并", "en": "merge in segment"}, GREEN)
    d.line(255, 150, 255, 100, GREEN, 1.4)
    d.line(255, 100, 420, 100, GREEN, 1.4)
    d.arrow(420, 100, 420, 72, GREEN)
    d.text(262, 92, {"zh": "放回池里，不还给设备", "en": "back to the pool"}, MUTED, 12, "start")
    d.save("caching-allocator")


def sectors(language: str) -> None:
    """A warp reads 128 bytes, aligned and 4 bytes off."""
    d = Drawing(720, 190, language)
    left, scale = 150, 3.2
    for row, (offset, words) in enumerate(
        ((0, {"zh": "从 0 起", "en": "from 0"}), (4, {"zh": "从 4 起", "en": "from 4"}))
    ):
        y = 40 + row * 72
        touched = sectors_touched(offset, 128)
        for sector in range(5):
            hit = sector < touched
            d.rect(
                left + sector * 32 * scale, y, 32 * scale - 2, 30, SKY if hit else RULE, 0.45 if hit else 0.4
            )
            d.text(left + (sector + 0.5) * 32 * scale, y + 44, f"{sector * 32}–{sector * 32 + 31}", MUTED, 11)
        d.rect(left + offset * scale, y + 9, 128 * scale, 12, BLUE)
        d.text(left - 14, y + 20, words, INK, 13, "end", bold=True)
        d.text(
            left + 5 * 32 * scale + 8,
            y + 20,
            {"zh": f"{touched}", "en": f"{touched}"},
            ORANGE if touched > 4 else INK,
            15,
            "start",
            bold=True,
        )
    d.text(
        left,
        24,
        {
            "zh": "一个 warp 读 32 个 float（128 B），碰到几个 32 B 的扇区？",
            "en": "A warp reads 32 floats (128 B): how many sectors of 32 B?",
        },
        INK,
        13,
        "start",
    )
    d.save("sectors-touched")


def hit_ratios(language: str) -> None:
    """LRU by Che's approximation, and the most popular documents kept for ever."""
    d = Drawing(720, 290, language)
    left, bottom, width, high = 70, 230, 430, 190
    documents, size, own = 200, 8, 1
    popularity, sizes = zipf_popularity(documents, 0.9), [size] * documents
    capacities = [2 ** (power / 4) for power in range(16, 45)]
    span = len(capacities) - 1
    for percent in (0, 20, 40, 60, 80):
        y = bottom - percent / 90 * high
        d.line(left, y, left + width, y, RULE, 1)
        d.text(left - 8, y + 4, f"{percent}%", MUTED, 12, "end")
    for index in range(0, span + 1, 4):
        x = left + index / span * width
        d.line(x, bottom, x, bottom + 4, INK)
        d.text(x, bottom + 18, f"{capacities[index]:.0f}", MUTED, 12)
    d.line(left, bottom, left + width, bottom, INK)
    d.text(
        left + width / 2,
        bottom + 40,
        {"zh": "缓存的块数（文档共 1600 块）", "en": "blocks of cache (the documents have 1600)"},
        INK,
        12,
    )
    curves: tuple[tuple[str, Words, object], ...] = (
        (BLUE, {"zh": "LRU（Che 近似）", "en": "LRU (Che)"}, lru_hit_ratio),
        (ORANGE, {"zh": "只留最热的文档", "en": "most popular only"}, most_popular_hit_ratio),
    )
    for row, (colour, words, ratio) in enumerate(curves):
        points = [
            (
                left + index / span * width,
                bottom - ratio(popularity, sizes, own, capacity) / 0.9 * high,  # type: ignore[operator]
            )
            for index, capacity in enumerate(capacities)
        ]
        d.curve(points, colour, 2.2)
        y = 110 + 26 * row
        d.line(left + width + 20, y - 4, left + width + 44, y - 4, colour, 2.4)
        d.text(left + width + 50, y, words, INK, 12, "start")
    ceiling = size / (size + own)
    y = bottom - ceiling / 0.9 * high
    d.line(left, y, left + width, y, MUTED, 1.2, "5 4")
    d.text(
        left + 6,
        y - 6,
        {"zh": f"再大也只有 {100 * ceiling:.0f}%", "en": f"never above {100 * ceiling:.0f} %"},
        MUTED,
        12,
        "start",
    )
    d.text(left + width + 20, 84, {"zh": "命中率", "en": "hit ratio"}, INK, 13, "start", bold=True)
    d.save("hit-ratio-capacity")


def states(language: str) -> None:
    """A block's life: free, owned, shared, cached."""
    d = Drawing(720, 220, language)
    y = 70
    d.box(20, y, 110, 46, {"zh": "空闲", "en": "free"}, MUTED)
    d.box(220, y, 120, 46, {"zh": "独占，计数 1", "en": "owned, count 1"}, BLUE)
    d.box(440, y, 120, 46, {"zh": "共享，计数 n", "en": "shared, count n"}, GREEN)
    d.box(215, 160, 170, 46, {"zh": "留作缓存，计数 0", "en": "kept cached, count 0"}, YELLOW)
    d.arrow(130, y + 14, 218, y + 14)
    d.text(174, y + 6, {"zh": "分配", "en": "allocate"}, MUTED, 12)
    d.arrow(220, y + 34, 132, y + 34)
    d.text(176, y + 52, {"zh": "归零（没写满）", "en": "zero (not full)"}, MUTED, 11)
    d.arrow(340, y + 14, 438, y + 14)
    d.text(389, y + 6, {"zh": "命中、分叉 +1", "en": "hit, fork +1"}, MUTED, 12)
    d.arrow(440, y + 34, 342, y + 34)
    d.text(391, y + 52, {"zh": "离开 −1", "en": "leaves −1"}, MUTED, 12)
    d.arrow(250, y + 46, 250, 158)
    d.text(242, 146, {"zh": "归零（写满）", "en": "zero (full)"}, MUTED, 12, "end")
    d.arrow(310, 160, 310, y + 48)
    d.text(
        318,
        146,
        {"zh": "又命中：0 变 1，移出淘汰队列", "en": "hit again: 0 to 1, off the queue"},
        MUTED,
        12,
        "start",
    )
    d.line(215, 183, 75, 183, INK, 1.4)
    d.arrow(75, 183, 75, y + 48)
    d.text(140, 202, {"zh": "要腾地方：淘汰", "en": "room needed: evict"}, MUTED, 12)
    d.text(
        20,
        30,
        {"zh": "只有计数为 0 的块才能被淘汰", "en": "Only a block with count 0 may be evicted"},
        INK,
        13,
        "start",
        bold=True,
    )
    d.save("block-states")


def main() -> None:
    for language in LANGUAGES:
        for draw in (fragmentation, buddy, classes, caching, sectors, hit_ratios, states):
            draw(language)


if __name__ == "__main__":
    main()
