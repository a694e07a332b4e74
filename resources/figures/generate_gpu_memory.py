"""Draws the figures of section 2.4.1, what is counted in them from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_gpu_memory``.
"""

from __future__ import annotations

from labs.formulas.occupancy import MULTIPROCESSORS, residency
from labs.formulas.warp_access import strided_efficiency, strided_sectors
from resources.figures.generate_quantization import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PINK,
    RULE,
    SKY,
    Drawing,
    Words,
)

LANGUAGES = ("zh", "en")
KIB = 1024


def hierarchy(language: str) -> None:
    """What each level is, who shares it, and how much of it an H100 has."""
    d = Drawing(720, 330, language)
    chip = MULTIPROCESSORS["sm_90"]
    registers, shared = 4 * chip.registers // KIB, chip.shared // KIB
    levels: tuple[tuple[Words, Words, Words, str], ...] = (
        (
            {"zh": "寄存器", "en": "registers"},
            {"zh": "每个线程自己的", "en": "each thread's own"},
            {"zh": f"每 SM {registers} KiB", "en": f"{registers} KiB an SM"},
            GREEN,
        ),
        (
            {"zh": "共享内存 / L1", "en": "shared memory / L1"},
            {"zh": "一个 block 共用，程序自己管", "en": "a block's, managed by the program"},
            {"zh": f"每 SM 最多 {shared} KiB 作共享内存", "en": f"up to {shared} KiB an SM as shared"},
            BLUE,
        ),
        (
            {"zh": "L2 缓存", "en": "L2 cache"},
            {"zh": "所有 SM 共用，硬件管", "en": "all SMs', managed by hardware"},
            {"zh": "全芯片 50 MB", "en": "50 MB on the chip"},
            SKY,
        ),
        (
            {"zh": "显存（HBM）：全局、局部、常量", "en": "HBM: global, local, constant"},
            {"zh": "所有线程可见", "en": "visible to all threads"},
            {"zh": "80 GB，3.35 TB/s", "en": "80 GB, 3.35 TB/s"},
            ORANGE,
        ),
    )
    for place, (name, who, size, color) in enumerate(levels):
        y, inset = 40 + place * 66, 94 - place * 30
        d.rect(inset, y, 420 - 2 * inset + 120, 50, color, 0.18, color)
        d.text(270, y + 21, name, INK, 14, bold=True)
        d.text(270, y + 40, who, MUTED, 12)
        d.text(700, y + 30, size, INK, 13, "end")
        if place:
            d.arrow(270, y - 15, 270, y - 1, MUTED)
    d.text(700, 24, "H100 SXM", MUTED, 12, "end")
    d.text(
        12,
        318,
        {"zh": "越往下越大、越慢、越多人共用", "en": "downwards: larger, slower, shared by more"},
        MUTED,
        12,
        "start",
    )
    d.save("gpu-memory-hierarchy")


def coalescing(language: str) -> None:
    """Which sectors of 32 bytes a warp's 32 reads of 4 bytes touch."""
    d = Drawing(720, 330, language)
    cell, left = 9.2, 118
    cases: tuple[tuple[Words, int, int], ...] = (
        ({"zh": "连续", "en": "contiguous"}, 1, 0),
        ({"zh": "错开 1 个", "en": "shifted by 1"}, 1, 1),
        ({"zh": "步长 2", "en": "stride 2"}, 2, 0),
        ({"zh": "步长 8", "en": "stride 8"}, 8, 0),
    )
    shown = 64  # words of memory in sight
    for place, (name, stride, offset) in enumerate(cases):
        y = 52 + place * 62
        d.text(12, y + 15, name, INK, 14, "start")
        wanted = {offset + stride * lane for lane in range(32)}
        moved = {word // 8 for word in wanted}
        for sector in range(shown // 8):
            x = left + sector * 8 * cell
            for word in range(8):
                index = sector * 8 + word
                used = index in wanted
                color = BLUE if used else ORANGE if sector in moved else RULE
                d.rect(x + word * cell, y, cell - 1.2, 22, color, 0.9 if used else 0.35, "none")
            d.line(x, y - 5, x, y + 27, MUTED, 0.8)
        sectors = strided_sectors(stride, 4, offset=offset)
        share = strided_efficiency(stride, 4, offset=offset)
        text = {"zh": f"{sectors} 个扇区，{share:.1%}", "en": f"{sectors} sectors, {share:.1%}"}
        d.text(left + 64 * cell, y + 44, text, INK, 13, "end")
        if stride == 8:
            d.text(left, y + 44, {"zh": "右边还有 24 个扇区", "en": "24 sectors more"}, MUTED, 12, "start")
    for x, color, opacity, words in (
        (left, BLUE, 0.9, {"zh": "要的 4 字节", "en": "4 bytes wanted"}),
        (left + 150, ORANGE, 0.35, {"zh": "同一扇区里白搬的", "en": "moved, not wanted"}),
        (left + 330, RULE, 0.35, {"zh": "没有搬", "en": "not moved"}),
    ):
        d.rect(x, 16, 12, 12, color, opacity)
        d.text(x + 18, 27, words, MUTED, 12, "start")
    d.save("gpu-coalescing")


def banks(language: str) -> None:
    """A column of a tile in shared memory, drawn with 8 banks: pitch 8, pitch 9, swizzled."""
    d = Drawing(720, 300, language)
    size, count = 24, 8
    layouts: tuple[tuple[Words, Words], ...] = (
        ({"zh": "行距 8：一列同一个 bank", "en": "pitch 8: one bank"}, {"zh": "8 拍", "en": "8 passes"}),
        ({"zh": "行距 9：垫一个字", "en": "pitch 9: a word of padding"}, {"zh": "1 拍", "en": "1 pass"}),
        ({"zh": "swizzle：列 ^ 行", "en": "swizzle: column ^ row"}, {"zh": "1 拍", "en": "1 pass"}),
    )
    for place, (title, passes) in enumerate(layouts):
        left, top, column = 20 + place * 236, 66, 2
        d.text(left + 96, 26, title, INK, 13, bold=True)
        for bank in range(count):
            d.text(left + bank * size + 12, 56, str(bank), MUTED, 11)
        wanted = set()
        for row in range(count):
            word = row * 9 + column if place == 1 else row * 8 + (column ^ row if place == 2 else column)
            wanted.add((word // count, word % count))
        for row in range(9 if place == 1 else count):
            for bank in range(count):
                used = (row, bank) in wanted
                padding = place == 1 and (row * count + bank) % 9 == 8
                color = (ORANGE if place == 0 else GREEN) if used else PINK if padding else RULE
                opacity = 0.85 if used else 0.5 if padding else 0.55
                d.rect(left + bank * size, top + row * 20, size - 2, 18, color, opacity)
        d.text(left + 96, 278, passes, INK, 14, bold=True)
    d.text(20, 44, {"zh": "bank", "en": "bank"}, MUTED, 11, "start")
    d.save("gpu-banks")


def divergence(language: str) -> None:
    """Issue slots of two warps in an if with two sides of two instructions."""
    d = Drawing(720, 270, language)
    titles: tuple[Words, ...] = (
        {"zh": "按 lane 分：每个 warp 两边都走", "en": "by lane: every warp takes both sides"},
        {"zh": "按 warp 分：各走一边", "en": "by warp: each takes one side"},
    )
    for place, title in enumerate(titles):
        left = 20 + place * 356
        d.text(left, 28, title, INK, 14, "start", bold=True)
        for warp in range(2):
            y = 50 + warp * 96
            d.text(left, y + 14, f"warp {warp}", MUTED, 12, "start")
            slots = ("a", "a", "b", "b") if place == 0 else (("a", "a") if warp == 0 else ("b", "b"))
            for slot, side in enumerate(slots):
                for lane in range(16):
                    works = place == 1 or (lane % 2 == 0) == (side == "a")
                    color = (BLUE if side == "a" else ORANGE) if works else RULE
                    d.rect(left + 56 + lane * 17, y + slot * 18, 15, 15, color, 0.8 if works else 0.3)
        text = (
            {"zh": "4 次发射，一半 lane 空着：50%", "en": "4 issues, half of the lanes idle: 50%"},
            {"zh": "2 次发射，没有空着的：100%", "en": "2 issues, none idle: 100%"},
        )[place]
        d.text(left, 254, text, INK, 13, "start")
    d.save("gpu-divergence")


def occupancy(language: str) -> None:
    """Occupancy of an H100 against registers a thread, for two block sizes."""
    d = Drawing(720, 330, language)
    left, right, top, bottom = 60, 560, 40, 270
    chip = MULTIPROCESSORS["sm_90"]

    def at(count: float, share: float) -> tuple[float, float]:
        return left + (count - 16) / (255 - 16) * (right - left), bottom - share * (bottom - top)

    for percent in (0, 25, 50, 75, 100):
        _, y = at(16, percent / 100)
        d.line(left, y, right, y, RULE, 1)
        d.text(left - 8, y + 4, str(percent), MUTED, 12, "end")
    for count in (32, 64, 96, 128, 168, 255):
        d.text(at(count, 0)[0], bottom + 18, str(count), MUTED, 12)
    d.text((left + right) / 2, bottom + 42, {"zh": "寄存器 / 线程", "en": "registers a thread"})
    d.text(left - 30, 22, "%", INK, 13, "start")
    curves: tuple[tuple[int, str, float, Words], ...] = (
        (128, BLUE, 2.4, {"zh": "128 线程 / block", "en": "128 threads a block"}),
        (512, ORANGE, 2.0, {"zh": "512 线程 / block", "en": "512 threads a block"}),
    )
    for place, (threads, color, width, words) in enumerate(curves):
        points = []
        for count in range(16, 256):
            share = residency(chip, threads=threads, registers=count).occupancy
            points += [at(count - 0.5, share), at(count + 0.5, share)]
        d.curve(points, color, width)
        d.line(578, 80 + place * 26, 600, 80 + place * 26, color, width)
        d.text(606, 84 + place * 26, words, MUTED, 11, "start")
    for place, words in enumerate(
        ({"zh": "H100（sm_90）", "en": "H100 (sm_90)"}, {"zh": "不用共享内存", "en": "no shared memory"})
    ):
        d.text(578, 140 + place * 18, words, MUTED, 11, "start")
    d.save("gpu-occupancy")


def shuffles(language: str) -> None:
    """A sum over 8 lanes by shfl_down: what each lane holds after each step."""
    d = Drawing(720, 270, language)
    lanes, left, width = 8, 96, 72
    held: list[set[int] | None] = [{lane} for lane in range(lanes)]
    d.text(12, 40, {"zh": "开始", "en": "start"}, MUTED, 12, "start")
    for step, distance in enumerate((0, 4, 2, 1)):
        y = 22 + step * 66
        if distance:
            d.text(12, y + 18, f"shfl_down {distance}", MUTED, 12, "start")
            before = list(held)
            for lane in range(lanes):
                source = lane + distance
                mine, other = before[lane], before[source] if source < lanes else None
                useful = lane < distance
                held[lane] = mine | other if useful and mine and other else None
                if useful:
                    x = left + lane * width + 26
                    d.line(x + distance * width, y - 34, x + 8, y - 2, ORANGE, 1.4)
                    d.line(x, y - 34, x, y - 2, MUTED, 1.2)
        for lane in range(lanes):
            numbers = held[lane]
            x = left + lane * width
            color = RULE if numbers is None else GREEN if len(numbers) == lanes else BLUE
            d.rect(x, y, 56, 30, color, 0.2 if numbers else 0.12, color)
            count = len(numbers) if numbers else 0
            text = {"zh": f"{count} 个数", "en": f"sum of {count}"} if count > 1 else {"zh": "1", "en": "1"}
            if numbers:
                d.text(x + 28, y + 20, text if count > 1 else f"a{lane}", INK, 12)
    d.save("gpu-shuffle-tree")


def main() -> None:
    for language in LANGUAGES:
        hierarchy(language)
        coalescing(language)
        banks(language)
        divergence(language)
        occupancy(language)
        shuffles(language)


if __name__ == "__main__":
    main()
