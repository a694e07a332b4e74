"""Labs that behave as labs may: well, badly, loudly, slowly, fatally. Written as files, like real ones."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np

from labs.context import Context
from labs.results import Axis, Lines, Metric, Provenance, Result, Series, array
from labs.spec import Field, Lab, LabError, LabParams, Prediction, Preset
from labs.text import Text, same


def described(zh, en, **rest):
    return Field(zh=zh, en=en, zh_help=zh, en_help=en, **rest)


class Params(LabParams):
    bits: Annotated[int, described("位宽", "Bits", ge=2, le=8, unit="bit")] = 4
    value: Annotated[float, described("值", "Value")] = 0.5
    group_size: Annotated[Literal[16, 32, 64], described("组大小", "Group size", when={"sweep": [True]})] = 32
    mode: Annotated[
        Literal["nearest", "stochastic"],
        described("模式", "Mode", choices={"nearest": same("n"), "stochastic": same("s")}),
    ] = "nearest"
    sweep: Annotated[bool, described("扫描", "Sweep")] = False


def metric(id, value, **rest):
    return Metric(id=id, title=same(id), provenance=Provenance.MEASURED, unit="B", value=value, **rest)

"""

TAIL = """

LAB = Lab(
    id="{lab_id}",
    title=Text(zh="实验 {lab_id}", en="Lab {lab_id}"),
    summary=Text(zh="摘要", en="Summary"),
    sections=["1.2.1"],
    params=Params,
    run=run,
    smoke=Params(bits=3),
    presets=[
        Preset(id="wide", title=same("Wide"), story=same("Eight bits."), values={{"bits": 8}}),
        Preset(id="narrow", title=same("Narrow"), story=same("Two bits."), values={{"bits": 2}}),
    ],
    {extra}
)
"""


def write_lab(folder: Path, lab_id: str, body: str, extra: str = "") -> Path:
    """One lab file; ``body`` defines ``run`` (and may override what HEAD defines), ``extra`` adds to LAB."""
    file = folder / f"{lab_id}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(HEAD + textwrap.dedent(body) + TAIL.format(lab_id=lab_id, extra=extra), encoding="utf-8")
    return file


def write_fake_catalog(folder: Path) -> Path:
    write_lab(
        folder,
        "model/good",
        """
        def predict(params, ctx):
            yield Prediction(
                id="size", title=same("size"), value=params.bits / 8, unit="B", formula=same("bits / 8")
            )

        def run(params, ctx):
            ctx.progress(0.5, Text(zh="一半", en="half"))
            yield metric("size", float(params.bits))
            yield Lines(
                id="curve", title=Text(zh="曲线", en="Curve"), provenance=Provenance.ESTIMATED, unit="B",
                x=Axis(title=same("x")), y=Axis(title=same("y"), unit="B"),
                series=[Series(name=same("s"), x=array([1, 2, 3]), y=array([1.5, np.nan, np.inf]))],
            )
        """,
        extra="predict=predict,",
    )
    write_lab(
        folder,
        "model/printing",
        r"""
        def run(params, ctx):
            print("python print", flush=True)
            os.write(1, b"C level print\n")
            os.system("echo child print")
            yield metric("a", 1.0)
        """,
    )
    write_lab(
        folder,
        "model/crashing",
        """
        def run(params, ctx):
            yield metric("before", 1.0)
            raise RuntimeError("the lab's own bug")
        """,
    )
    write_lab(
        folder,
        "model/refusing",
        """
        def run(params, ctx):
            raise LabError(Text(zh="此设备没有它", en="this device lacks it"))
            yield
        """,
    )
    write_lab(
        folder,
        "model/exhausting",
        """
        def run(params, ctx):
            yield metric("before", 1.0)
            raise MemoryError
        """,
    )
    write_lab(
        folder,
        "model/faulting",
        """
        class AcceleratorError(RuntimeError):
            pass

        def run(params, ctx):
            raise AcceleratorError("CUDA error: an illegal memory access was encountered")
            yield
        """,
    )
    write_lab(folder, "model/leaving", "def run(params, ctx):\n    sys.exit(3)\n    yield\n")
    write_lab(folder, "model/interrupting", "def run(params, ctx):\n    raise KeyboardInterrupt\n    yield\n")
    write_lab(
        folder,
        "model/undecodable",
        r"""
        def run(params, ctx):
            raise LabError(same("cannot use caf\udce9.gguf"))
            yield
        """,
    )
    write_lab(
        folder, "model/verbose", "def run(params, ctx):\n    raise ValueError('x' * 10**6)\n    yield\n"
    )
    write_lab(
        folder,
        "model/speechless",
        """
        class Speechless(Exception):
            def __str__(self):
                raise RuntimeError

        def run(params, ctx):
            raise Speechless
            yield
        """,
    )
    write_lab(
        folder,
        "model/forking",
        """
        def run(params, ctx):
            yield metric("child", float(os.fork()))
        """,
    )
    write_lab(folder, "model/aborting", "def run(params, ctx):\n    os.abort()\n    yield\n")
    write_lab(
        folder,
        "model/slow",
        """
        def run(params, ctx):
            yield metric("first", float(params.bits))
            while True:
                time.sleep(0.002)
                ctx.check()
        """,
    )
    write_lab(
        folder,
        "model/endless",
        """
        def run(params, ctx):
            count = 0
            while True:
                ctx.progress(None, same(str(count)))
                yield metric(f"result_{count}", float(count))
                count += 1
        """,
    )
    write_lab(
        folder,
        "model/busy",
        """
        def run(params, ctx):
            yield metric("first", 1.0)
            time.sleep(3600)
        """,
    )
    write_lab(
        folder,
        "model/exiting",
        """
        def run(params, ctx):
            yield metric("before", 1.0)
            raise SystemExit(5)
        """,
    )
    write_lab(
        folder,
        "model/printing_then_busy",
        """
        def run(params, ctx):
            yield metric("before", 1.0)
            print("busy now", flush=True)
            time.sleep(3600)
        """,
    )
    write_lab(
        folder,
        "model/flooding",
        """
        def run(params, ctx):
            for i in range(200):
                ctx.progress(i / 200, same(f"step {i}"))
                yield metric("counter", float(i))
                yield metric("square", float(i * i))
        """,
    )
    write_lab(
        folder,
        "model/seeded",
        """
        def run(params, ctx):
            yield metric("seed", float(ctx.seed))
            yield metric("preview", float(ctx.preview))
        """,
    )
    (folder / "model" / "misspelt.py").write_text("def run(:\n", encoding="utf-8")
    (folder / "model" / "missing_import.py").write_text("import no_such_module\n", encoding="utf-8")
    (folder / "model" / "no_lab.py").write_text("x = 1\n", encoding="utf-8")
    (folder / "model" / "exits.py").write_text("raise SystemExit(1)\n", encoding="utf-8")
    (folder / "model" / "untranslated.py").write_text(
        "from labs.text import Text\nText(zh='', en='only English')\n", encoding="utf-8"
    )
    write_lab(folder, "model/misplaced", "def run(params, ctx):\n    yield\n").rename(
        folder / "model" / "moved.py"
    )
    write_lab(folder, "elsewhere/stray", "def run(params, ctx):\n    yield\n")
    (folder / "model" / "_not_a_lab.py").write_text("raise RuntimeError\n", encoding="utf-8")
    return folder
