"""One result of each kind as the worker sends it, realistic and awkward."""

from __future__ import annotations

from typing import Any

import numpy as np

Result = dict[str, Any]


def both(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def metric(name: str = "sqnr", **changes: Any) -> Result:
    result: Result = {
        "kind": "metric",
        "id": name,
        "title": both("信噪比 SQNR", "SQNR"),
        "provenance": "measured",
        "unit": "dB",
        "value": 19.83,
        "low": None,
        "high": None,
        "predicted": 20.2,
        "formula": both("6.02 b + 10.8 − 峰均比", "6.02 b + 10.8 − crest factor"),
        "better": "higher",
        "help": both("信号功率与量化噪声功率之比。", "Power of the signal over the power of the noise."),
        "source": both("按权重逐元素计算", "over all elements of the weight"),
        "wide": False,
    }
    return result | changes


def table(**changes: Any) -> Result:
    names = ["FP32", "BF16", "INT8 g128", "INT4 g128", "INT4 g32"]
    rows: list[list[Any]] = [
        [both(name, name), 32.0 / 2**index, 538_000_000 / 2**index, 30.45 + index**2 * 0.9]
        for index, name in enumerate(names)
    ]
    rows[2][3] = None
    result: Result = {
        "kind": "table",
        "id": "sizes",
        "title": both("各格式的大小与困惑度", "Size and perplexity by format"),
        "provenance": "measured",
        "unit": "",
        "columns": [
            {"title": both("格式", "Format"), "unit": "", "provenance": None, "help": None},
            {"title": both("位宽", "Bits"), "unit": "bit", "provenance": None, "help": None},
            {
                "title": both("大小", "Size"),
                "unit": "B",
                "provenance": "estimated",
                "help": both("含尺度", "With scales"),
            },
            {"title": both("困惑度", "Perplexity"), "unit": "", "provenance": None, "help": None},
        ],
        "rows": rows,
        "highlight": 3,
    }
    return result | changes


def series(name: str, x: Any, y: Any, **changes: Any) -> Result:
    plain: Result = {
        "name": both(name, name),
        "x": np.asarray(x, dtype=np.float64),
        "y": np.asarray(y, dtype=np.float64),
        "low": None,
        "high": None,
        "provenance": None,
        "labels": None,
        "reference": False,
    }
    return plain | changes


def lines(**changes: Any) -> Result:
    groups = np.array([16, 32, 64, 128, 256.0])
    result: Result = {
        "kind": "lines",
        "id": "sweep",
        "title": both("困惑度与分组大小", "Perplexity against group size"),
        "provenance": "measured",
        "unit": "",
        "help": both("越低越好。", "Lower is better."),
        "x": {"title": both("分组大小", "Group size"), "unit": "", "log": True},
        "y": {"title": both("困惑度", "Perplexity"), "unit": "", "log": False},
        "series": [
            series("INT4", groups, [31.0, 30.5, 35.2, 39.0, 44.1], low=groups * 0 + 30, high=groups * 0 + 45),
            series("INT3", groups, [38.0, 44.0, 71.0, np.nan, 180.0]),
            series("INT4 (6.02 dB/bit)", groups, [30.0, 31.0, 33.0, 36.0, 41.0], provenance="estimated"),
            series("FP32", [16, 256], [30.45, 30.45], reference=True),
        ],
        "marks": [{"x": 128.0, "name": both("当前", "now")}],
        "markers": True,
    }
    return result | changes


def scatter(**changes: Any) -> Result:
    intensity = np.array([0.25, 1, 4, 16, 64.0])
    result: Result = {
        "kind": "scatter",
        "id": "roofline",
        "title": both("屋顶线", "Roofline"),
        "provenance": "measured",
        "unit": "FLOP/s",
        "x": {"title": both("算术强度", "Arithmetic intensity"), "unit": "FLOP/B", "log": True},
        "y": {"title": both("速率", "Rate"), "unit": "FLOP/s", "log": True},
        "series": [
            series(
                "bound", [0.1, 4.5, 200], [4.4e9, 1.97e11, 1.97e11], reference=True, provenance="estimated"
            ),
            series(
                "fp32",
                intensity,
                intensity * 3.1e10 / (1 + intensity / 5),
                labels=[both(t, t) for t in ("q_proj", "k_proj", "o_proj", "up", "down")],
            ),
        ],
    }
    return result | changes


def bars(**changes: Any) -> Result:
    result: Result = {
        "kind": "bars",
        "id": "speed",
        "title": both("解码一步的时间", "Time of one decode step"),
        "provenance": "measured",
        "unit": "s",
        "categories": [
            both("FP32", "FP32"),
            both("BF16", "BF16"),
            both("INT8 仅权重", "INT8 weight-only"),
            both("INT4 仅权重", "INT4 weight-only"),
            both("FP8 E4M3", "FP8 E4M3"),
        ],
        "series": [
            {
                "name": both("实测", "measured"),
                "values": np.array([2.75e-3, 1.61e-3, 0.47e-3, 0.46e-3, np.nan]),
                "low": np.array([2.6e-3, 1.55e-3, 0.45e-3, 0.44e-3, np.nan]),
                "high": np.array([3.1e-3, 1.8e-3, 0.52e-3, 0.5e-3, np.nan]),
                "provenance": None,
            },
            {
                "name": both("带宽下限", "bandwidth bound"),
                "values": np.array([1.52e-3, 0.76e-3, 0.38e-3, 0.2e-3, np.nan]),
                "low": None,
                "high": None,
                "provenance": "estimated",
            },
        ],
        "y": {"title": both("时间", "Time"), "unit": "s", "log": False},
        "missing": {4: both("此 CPU 没有 FP8 矩阵乘", "this CPU has no FP8 matrix product")},
    }
    return result | changes


def histogram(**changes: Any) -> Result:
    rng = np.random.default_rng(1)
    counts, edges = np.histogram(rng.normal(0, 0.12, 50_000), bins=90, range=(-0.6, 0.6))
    result: Result = {
        "kind": "histogram",
        "id": "weights",
        "title": both("权重分布与可表示的值", "Weights and the values that can be stored"),
        "provenance": "measured",
        "unit": "",
        "x": {"title": both("权重", "Weight"), "unit": "", "log": False},
        "series": [
            {"name": both("down_proj", "down_proj"), "edges": edges, "counts": counts.astype(np.float64)}
        ],
        "levels": np.linspace(-0.52, 0.52, 15),
        "levels_name": both("INT4 级别", "INT4 levels"),
        "marks": [{"x": 0.45, "name": both("裁剪", "clip")}],
        "log_counts": False,
    }
    return result | changes


def heatmap(name: str = "error_map", rows: int = 96, columns: int = 180, **changes: Any) -> Result:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 1e-3, (rows, columns))
    values[:, columns // 3] *= 8
    result: Result = {
        "kind": "heatmap",
        "id": name,
        "title": both("误差图", "Error map"),
        "provenance": "measured",
        "unit": "",
        "values": values.astype(np.float32),
        "rows": {"title": both("输出通道", "Output channel"), "unit": "", "log": False},
        "columns": {"title": both("输入通道", "Input channel"), "unit": "", "log": False},
        "row_step": 6.0,
        "column_step": 8.53,
        "reduction": "max",
        "diverging": True,
        "log": False,
        "scale_group": "",
    }
    return result | changes


def bit_row(name: str, *fields: tuple[str, str], value: float = 0.1, flips: bool = True) -> Result:
    bits = sum(len(run) for _, run in fields)
    return {
        "name": both(name, name),
        "fields": [{"role": role, "bits": run} for role, run in fields],
        "value": value,
        "error": abs(value - 0.1),
        "note": None,
        "flips": [value * (index + 2) for index in range(bits)] if flips else [],
    }


def bits(**changes: Any) -> Result:
    rows = [
        bit_row("FP32", ("sign", "0"), ("exponent", "01111011"), ("mantissa", "10011001100110011001101")),
        bit_row(
            "BF16", ("sign", "0"), ("exponent", "01111011"), ("mantissa", "1001101"), value=0.10009765625
        ),
        bit_row("FP16", ("sign", "0"), ("exponent", "01011"), ("mantissa", "1001100110"), value=0.0999755859),
        bit_row("FP8 E4M3", ("sign", "0"), ("exponent", "0011"), ("mantissa", "101"), value=0.1015625),
        bit_row("INT8", ("integer", "00001101"), value=0.1023622),
        bit_row("NF4", ("code", "1000"), value=0.0795803, flips=False),
        bit_row(
            "MXFP4",
            ("scale", "01111100"),
            ("sign", "0"),
            ("exponent", "01"),
            ("mantissa", "1"),
            value=0.09375,
        ),
    ]
    rows[6]["note"] = both("32 个值共用一个 E8M0 尺度。", "32 values share one E8M0 scale.")
    result: Result = {
        "kind": "bits",
        "id": "bits",
        "title": both("0.1 在各格式中的位", "The bits of 0.1 in each format"),
        "provenance": "estimated",
        "unit": "",
        "rows": rows,
        "edits": "value",
        "highlight": 1,
    }
    return result | changes


def markdown(**changes: Any) -> Result:
    result: Result = {
        "kind": "markdown",
        "id": "reading",
        "title": both("看什么", "What to see"),
        "provenance": "measured",
        "unit": "",
        "body": both(
            "每 **32** 个权重一组、用浮点最小值时误差为零：那正是 `Q4_1` 自己的网格。"
            "见 [分组量化](note:1.2.1-07)，或改用 [整数零点](lab:model/x?zero_point=integer)。",
            "With groups of **32** and a float minimum the error is zero: that is the grid of `Q4_1` itself. "
            "See [group quantisation](note:1.2.1-07), or [integer zeros](lab:model/x?zero_point=integer).",
        ),
    }
    return result | changes


def everything() -> list[Result]:
    return [
        metric(),
        metric(
            "ppl",
            title=both("困惑度", "Perplexity"),
            unit="",
            value=38.97,
            low=38.1,
            high=39.9,
            predicted=None,
        ),
        metric("memory", title=both("内存", "Memory"), unit="B", value=497_664.0, predicted=497_664.0),
        metric(
            "time",
            title=both("一步时间", "Step time"),
            unit="s",
            value=0.00161,
            predicted=None,
            provenance="simulated",
        ),
        markdown(),
        histogram(),
        heatmap(),
        lines(),
        bars(),
        scatter(),
        bits(),
        table(),
    ]


def field(kind: str, default: Any, zh: str, en: str, **changes: Any) -> Result:
    """A property of a lab's schema; keys that JSON Schema knows go into it, the rest into ``x-inferlab``."""
    standard = {key: changes.pop(key) for key in ("minimum", "maximum", "enum") if key in changes}
    extra: Result = {
        "title": both(zh, en),
        "help": both(f"{zh}的说明。", f"What {en.lower()} does, in a sentence or two."),
        "unit": "",
        "step": None,
        "scale": "linear",
        "choices": {},
        "when": {},
        "preview": True,
        "lines": 1,
    }
    return {"type": kind, "default": default, "title": en, **standard, "x-inferlab": extra | changes}


def schema() -> Result:
    names = {"tensor": ("整个张量", "tensor"), "channel": ("逐通道", "channel"), "group": ("分组", "group")}
    choices = {key: both(*value) for key, value in names.items()}
    properties = {
        "bits": field("integer", 4, "位宽", "Bits", minimum=2, maximum=8, unit="bit"),
        "granularity": field(
            "string", "group", "粒度", "Granularity", enum=["tensor", "channel", "group"], choices=choices
        ),
        "group_size": field(
            "integer",
            128,
            "分组大小",
            "Group size",
            enum=[16, 32, 64, 128, 256],
            scale="log2",
            when={"granularity": ["group"]},
        ),
        "module": field(
            "string",
            "down_proj",
            "模块",
            "Module",
            enum=["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"],
        ),
        "layer": field("integer", 11, "层", "Layer", minimum=0, maximum=29, preview=False),
        "percentile": field(
            "number", 99.9, "百分位", "Percentile", minimum=90, maximum=100, step=0.1, unit="%"
        ),
        "value": field("number", 0.1, "数值", "Value"),
        "rate": field("number", 1e-3, "速率", "Rate", minimum=1e-6, maximum=1.0, scale="log"),
        "perplexity": field("boolean", True, "困惑度", "Perplexity"),
        "note": field("string", "hello", "备注", "Note"),
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def description(**changes: Any) -> Result:
    plain: Result = {
        "id": "model/quantization_granularity",
        "title": both("量化粒度", "Quantisation granularity"),
        "summary": both(
            "拖动位宽与分组，看真实权重的误差、内存与困惑度怎样变化。",
            "Drag bits and groups, and see error, memory and perplexity of real weights move.",
        ),
        "sections": ["1.2.1"],
        "questions": ["1.2.1-07"],
        "schema": schema(),
        "presets": [
            {
                "id": "int8",
                "title": both("INT8 逐通道", "INT8 per channel"),
                "story": both("几乎无损：先看它。", "Almost lossless: see this first."),
                "values": {"bits": 8, "granularity": "channel"},
            },
            {
                "id": "int4",
                "title": both("INT4 整个张量", "INT4 per tensor"),
                "story": both("一个离群值毁掉所有人的精度。", "One outlier costs everybody their precision."),
                "values": {"bits": 4, "granularity": "tensor"},
            },
            {
                "id": "g32",
                "title": both("INT4 分组 32：无损", "INT4 group 32: lossless"),
                "story": both("正是模型自己的网格。", "The model's own grid."),
                "values": {"group_size": 32},
            },
        ],
        "source_path": "labs/catalog/model/quantization_granularity.py",
        "source": '"""Granularity."""\n\nBITS = 4  # default\n\n\ndef run(params, ctx):\n    yield "x"\n',
        "needs_model": True,
        "model_missing": None,
    }
    return plain | changes


ENVIRONMENT = {
    "app": "0.1.0",
    "cpu": "AMD EPYC",
    "threads": 2,
    "torch": "2.13.0",
    "device": "cpu",
    "device_name": None,
}
