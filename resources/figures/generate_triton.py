"""Draws the figures of section 2.4.2, what is counted in them from labs.formulas, one SVG a language.

Run from the repository's root: ``python -m resources.figures.generate_triton``.
"""

from __future__ import annotations

from labs.formulas.gemm import stage_bytes
from labs.formulas.occupancy import MULTIPROCESSORS, residency
from resources.figures.generate_quantization import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    RULE,
    SKY,
    Drawing,
    Words,
)

LANGUAGES = ("zh", "en")
KIB = 1024
STAGES: tuple[tuple[str, Words, str], ...] = (
    (
        "Python",
        {
            "zh": "算法、tile 大小、num_warps、num_stages：你定",
            "en": "algorithm, tile sizes, num_warps, num_stages: yours",
        },
        ORANGE,
    ),
    (
        "TTIR",
        {
            "zh": "对 tile 的运算：tt.load、tt.dot、tt.reduce；与 GPU 无关",
            "en": "operations on tiles: tt.load, tt.dot, tt.reduce; no GPU yet",
        },
        BLUE,
    ),
    (
        "TTGIR",
        {
            "zh": "线程布局、合并访存、流水线、共享内存与 swizzle、矩阵指令",
            "en": "layouts, coalescing, pipelining, shared memory, matrix units",
        },
        BLUE,
    ),
    (
        "LLVM IR",
        {"zh": "每个线程的标量代码，地址与屏障", "en": "scalar code of a thread, addresses and barriers"},
        SKY,
    ),
    (
        "PTX → SASS",
        {
            "zh": "ptxas：寄存器分配、溢出、指令调度（AMD：LLVM）",
            "en": "ptxas: registers, spills, scheduling (AMD: LLVM)",
        },
        GREEN,
    ),
)


def program_and_thread(language: str) -> None:
    """What one writes for: in CUDA a thread and its element, in Triton a program and its tile."""
    d = Drawing(720, 300, language)
    cell, rows, columns = 15, 8, 16
    sides: tuple[tuple[int, Words, Words, bool], ...] = (
        (
            40,
            {"zh": "CUDA：写一个线程", "en": "CUDA: write one thread"},
            {"zh": "线程之间的分工、同步、共享内存自己写", "en": "sharing, barriers, shared memory: by hand"},
            False,
        ),
        (
            420,
            {"zh": "Triton：写一个程序", "en": "Triton: write one program"},
            {"zh": "tile 内怎样分给线程，编译器定", "en": "how threads share the tile: the compiler"},
            True,
        ),
    )
    for left, title, below, tiled in sides:
        d.text(left + columns * cell / 2, 30, title, INK, 14, bold=True)
        for row in range(rows):
            for column in range(columns):
                mine = (row < 4 and column < 8) if tiled else (row, column) == (1, 2)
                block = row < 4 and column < 8
                color = ORANGE if mine else SKY if block else RULE
                x, y = left + column * cell, 48 + row * cell
                d.rect(x, y, cell - 1.5, cell - 1.5, color, 0.85 if mine else 0.45, "none")
        d.text(left + columns * cell / 2, 48 + rows * cell + 26, below, MUTED, 12)
    code: tuple[tuple[int, str, str], ...] = (
        (40, "i = blockIdx.x * blockDim.x + threadIdx.x;", "if (i < n) y[i] = x[i] + 1.f;"),
        (
            420,
            "i = tl.program_id(0)*TILE + tl.arange(0, TILE)",
            "tl.store(y+i, tl.load(x+i, i < n) + 1, i < n)",
        ),
    )
    for left, first, second in code:
        middle = left + columns * cell / 2
        d.text(middle, 226, first, INK, 12)
        d.text(middle, 246, second, INK, 12)
    legend: tuple[tuple[Words, str], ...] = (
        ({"zh": "写代码时想的单位", "en": "what the code speaks of"}, ORANGE),
        ({"zh": "一个线程块", "en": "a thread block"}, SKY),
    )
    for place, (words, color) in enumerate(legend):
        x = 200 + place * 200
        d.rect(x, 272, 12, 12, color, 0.8, "none")
        d.text(x + 18, 283, words, MUTED, 12, "start")
    d.save("triton-program")


def stages(language: str) -> None:
    """Each stage of the compiler, and what is settled there."""
    d = Drawing(720, 330, language)
    for place, (name, words, color) in enumerate(STAGES):
        y = 16 + place * 62
        d.rect(20, y, 130, 42, color, 0.18, color)
        d.text(85, y + 26, name, INK, 14, bold=True)
        d.text(172, y + 26, words, INK, 13, "start")
        if place:
            d.arrow(85, y - 19, 85, y - 1, MUTED)
    d.save("triton-stages")


def grouped(language: str) -> None:
    """Nine programs at a time on a product of 9 x 9 tiles: by rows, and in groups of three rows."""
    d = Drawing(720, 330, language)
    cell, count = 17, 9
    for place, grouping in enumerate((1, 3)):
        left, top = 60 + place * 350, 74
        done = {(i % grouping, i // grouping) for i in range(count)}
        rows, columns = {row for row, _ in done}, {column for _, column in done}
        loads = count * (len(rows) + len(columns))
        title: Words = (
            {"zh": f"按行：读 {loads} 块", "en": f"by rows: {loads} tiles loaded"}
            if grouping == 1
            else {"zh": f"分组（3 行一组）：读 {loads} 块", "en": f"groups of 3 rows: {loads} tiles loaded"}
        )
        d.text(left + 130, 28, title, INK, 14, bold=True)
        for row in range(count):
            for column in range(count):
                x, y = left + column * cell, top + row * cell
                mine = (row, column) in done
                d.rect(x, y, cell - 1.5, cell - 1.5, ORANGE if mine else RULE, 0.85 if mine else 0.45, "none")
        for index in range(count):
            read_a, read_b = index in rows, index in columns
            d.rect(
                left - 26,
                top + index * cell,
                16,
                cell - 1.5,
                BLUE if read_a else RULE,
                0.85 if read_a else 0.45,
                "none",
            )
            d.rect(
                left + index * cell,
                top - 26,
                cell - 1.5,
                16,
                GREEN if read_b else RULE,
                0.85 if read_b else 0.45,
                "none",
            )
        d.text(left - 18, top + count * cell + 16, "A", BLUE, 12, bold=True)
        d.text(left + count * cell + 14, top - 13, "B", GREEN, 12, bold=True)
    d.text(
        360,
        266,
        {
            "zh": "橙：同时在算的 9 个程序。每条 A 的行、B 的列各 9 块；",
            "en": "Orange: the nine programs at work. A strip of A or B has nine tiles;",
        },
        MUTED,
        12,
    )
    d.text(
        360,
        286,
        {
            "zh": "它们之间共用的，L2 只需从显存取一次。",
            "en": "what the programs share comes from memory once, through L2.",
        },
        MUTED,
        12,
    )
    d.save("triton-grouped")


def shared_memory(language: str) -> None:
    """Stages of a pipeline against shared memory and resident blocks: tiles 128 x 128 x 64, fp16, H100."""
    d = Drawing(720, 300, language)
    chip = MULTIPROCESSORS["sm_90"]
    left, base, most, height = 90, 230, 270, 190
    for place, count in enumerate(range(1, 9)):
        size = stage_bytes(128, 128, 64, count)
        blocks = residency(chip, threads=256, registers=112, shared_bytes=int(size)).blocks
        x, tall = left + place * 74, size / KIB / most * height
        d.rect(x, base - tall, 52, tall, BLUE if blocks else ORANGE, 0.8, "none")
        d.text(x + 26, base - tall - 8, f"{size / KIB:.0f} KiB", INK, 12)
        d.text(x + 26, base + 20, str(count), INK, 13)
        d.text(x + 26, base + 42, str(blocks), MUTED, 13)
    limit = chip.shared_a_block / KIB
    y = base - limit / most * height
    d.line(left - 10, y, 690, y, ORANGE, 1.4)
    d.text(
        left - 6,
        y - 8,
        {"zh": f"一个线程块最多 {limit:.0f} KiB", "en": f"at most {limit:.0f} KiB a block"},
        ORANGE,
        12,
        "start",
    )
    d.text(left - 14, base + 20, {"zh": "级数", "en": "stages"}, MUTED, 12, "end")
    d.text(left - 14, base + 42, {"zh": "每 SM 几块", "en": "blocks / SM"}, MUTED, 12, "end")
    d.text(
        360,
        292,
        {
            "zh": "tile 128×128×64，fp16，256 线程 × 112 寄存器，H100",
            "en": "tiles 128 x 128 x 64, fp16, 256 threads of 112 registers, H100",
        },
        MUTED,
        12,
    )
    d.save("triton-shared-memory")


def main() -> None:
    for language in LANGUAGES:
        for draw in (program_and_thread, stages, grouped, shared_memory):
            draw(language)


if __name__ == "__main__":
    main()
