"""Parameters refuse what they must: with the value, the allowed, the nearest, in both languages."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import pytest

from labs.spec import (
    Field,
    Lab,
    LabError,
    LabParams,
    Preset,
    UsageError,
    check_declaration,
    check_layers,
    fields_of,
    parse_params,
)
from labs.text import Text, same


def described(zh: str, en: str, **rest: Any) -> Field:
    return Field(zh=zh, en=en, zh_help=zh, en_help=en, **rest)


class Params(LabParams):
    bits: Annotated[int, described("位宽", "Bits", ge=2, le=8, unit="bit")] = 4
    value: Annotated[float, described("值", "Value")] = 0.5
    scale: Annotated[float, described("缩放", "Scale", ge=0.0)] = 1.0
    loss: Annotated[float, described("损失", "Loss", le=0.0)] = -1.0
    group_size: Annotated[Literal[16, 32, 64, 128], described("组大小", "Group size")] = 32
    mode: Annotated[Literal["nearest", "stochastic"], described("模式", "Mode")] = "nearest"
    sweep: Annotated[bool, described("扫描", "Sweep")] = False
    prompt: Annotated[str, described("提示", "Prompt")] = "Hello"
    layer: Annotated[int, described("层", "Layer", ge=0, le="last_layer")] = 0


@pytest.mark.parametrize(
    ("given", "en", "zh"),
    [
        (
            {"bits": 9},
            "bits = 9 is out of range: allowed 2 – 8 bit; nearest 8",
            "位宽（bits）= 9 超出范围；允许 2 – 8 bit，最接近的是 8",
        ),
        (
            {"bits": 1},
            "bits = 1 is out of range: allowed 2 – 8 bit; nearest 2",
            "位宽（bits）= 1 超出范围；允许 2 – 8 bit，最接近的是 2",
        ),
        (
            {"scale": -1},
            "scale = -1 is out of range: allowed at least 0; nearest 0",
            "缩放（scale）= -1 超出范围；允许 不小于 0，最接近的是 0",
        ),
        (
            {"loss": 0.5},
            "loss = 0.5 is out of range: allowed at most 0; nearest 0",
            "损失（loss）= 0.5 超出范围；允许 不大于 0，最接近的是 0",
        ),
        ({"bits": 4.5}, "bits = 4.5 must be an integer", "位宽（bits）= 4.5 应为整数"),
        ({"bits": "four"}, "bits = 'four' must be an integer", "位宽（bits）= 'four' 应为整数"),
        ({"bits": True}, "bits = True must be an integer", "位宽（bits）= True 应为整数"),
        ({"bits": None}, "bits = None must be an integer", "位宽（bits）= None 应为整数"),
        ({"value": math.nan}, "value = nan must be a finite number", "值（value）= nan 应为有限的数"),
        ({"value": "inf"}, "value = inf must be a finite number", "值（value）= inf 应为有限的数"),
        ({"value": [1]}, "value = [1] must be a finite number", "值（value）= [1] 应为有限的数"),
        (
            {"group_size": 100},
            "group_size = 100 is not one of: 16, 32, 64, 128; nearest: 128",
            "组大小（group_size）= 100 不可用；可选：16, 32, 64, 128；最接近：128",
        ),
        (
            {"group_size": None},
            "group_size = None is not one of: 16, 32, 64, 128",
            "组大小（group_size）= None 不可用；可选：16, 32, 64, 128",
        ),
        (
            {"mode": "nearst"},
            "mode = 'nearst' is not one of: nearest, stochastic; nearest: nearest",
            "模式（mode）= 'nearst' 不可用；可选：nearest, stochastic；最接近：nearest",
        ),
        (
            {"mode": "zzz"},
            "mode = 'zzz' is not one of: nearest, stochastic",
            "模式（mode）= 'zzz' 不可用；可选：nearest, stochastic",
        ),
        ({"sweep": "maybe"}, "sweep = 'maybe' must be a bool", "扫描（sweep）= 'maybe' 应为 bool 类型"),
        ({"sweep": 1}, "sweep = 1 must be a bool", "扫描（sweep）= 1 应为 bool 类型"),
        ({"prompt": 5}, "prompt = 5 must be a str", "提示（prompt）= 5 应为 str 类型"),
    ],
)
def test_refusals(given: dict[str, Any], en: str, zh: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_params(Params, given)
    assert refusal.value.text == Text(zh=zh, en=en)


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError) as refusal:
        parse_params(Params, {"group_sise": 32})
    assert refusal.value.text.en.startswith(
        "no parameter 'group_sise'; did you mean 'group_size'? Known: bits,"
    )
    assert refusal.value.text.zh.startswith("没有名为 'group_sise' 的参数；是否指 'group_size'？可用：bits,")


def test_an_unknown_parameter_near_to_none_lists_them() -> None:
    with pytest.raises(UsageError) as refusal:
        parse_params(Params, {"zzz": 1})
    assert refusal.value.text.en.startswith("no parameter 'zzz'. Known: bits, value")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"bits": "6"}, 6),
        ({"bits": 6.0}, 6),
        ({"value": "-1e-3"}, -1e-3),
        ({"value": 2}, 2.0),
        ({"group_size": "64"}, 64),
        ({"sweep": "True"}, True),
        ({"sweep": "0"}, False),
        ({"mode": "stochastic"}, "stochastic"),
    ],
)
def test_conversions_that_lose_nothing(given: dict[str, Any], expected: object) -> None:
    [name] = given
    value = getattr(parse_params(Params, given), name)
    assert value == expected and type(value) is type(expected)


def test_a_large_integer_in_a_string_keeps_its_last_digit() -> None:
    class Big(LabParams):
        count: Annotated[int, described("数", "Count")] = 0

    params = parse_params(Big, {"count": "9007199254740993"})
    assert params == Big(count=9007199254740993)


def test_the_last_layer_bounds_a_field() -> None:
    check_layers(Params(layer=29), lambda: 29)
    with pytest.raises(UsageError, match="layer = 30 is out of range: allowed 0 – 29; nearest 29"):
        check_layers(Params(layer=30), lambda: 29)


def test_the_last_layer_is_not_asked_for_where_no_field_needs_it() -> None:
    class NoLayers(LabParams):
        bits: Annotated[int, described("位宽", "Bits")] = 4

    check_layers(NoLayers(), lambda: pytest.fail("asked for the model"))


def test_every_field_needs_its_description() -> None:
    class Bare(LabParams):
        bits: int = 4

    with pytest.raises(TypeError, match=r"bits: annotate it with labs\.spec\.Field"):
        fields_of(Bare)


class WrongLabels(LabParams):
    mode: Annotated[Literal["x", "y"], described("a", "A", choices={"x": same("x")})] = "x"


class WrongCondition(LabParams):
    mode: Annotated[Literal["x", "y"], described("a", "A", when={"other": [1]})] = "x"


class NumberAsCode(LabParams):
    bits: Annotated[int, described("a", "A", language="python")] = 1


class UnknownLanguage(LabParams):
    kernel: Annotated[str, described("a", "A", language="fortran")] = ""


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        (WrongLabels, "choices label"),
        (WrongCondition, "no such field"),
        (NumberAsCode, "code is a str"),
        (UnknownLanguage, "'fortran'; code is a str in one of"),
    ],
)
def test_fields_that_contradict_themselves(params: type[LabParams], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_declaration(params)


def test_a_condition_on_an_impossible_value_is_refused() -> None:
    class Wrong(LabParams):
        mode: Annotated[Literal["x", "y"], described("a", "A")] = "x"
        bits: Annotated[int, described("b", "B", when={"mode": ["z"]})] = 4

    with pytest.raises(UsageError, match="mode = 'z' is not one of"):
        check_declaration(Wrong)


def test_a_field_may_not_take_the_name_of_a_command_line_option() -> None:
    class Wrong(LabParams):
        seed: Annotated[int, described("s", "S")] = 0

    with pytest.raises(ValueError, match="seed: the command line has an option of this name"):
        check_declaration(Wrong)


def lab(**changes: Any) -> Lab:
    preset = Preset(id="wide", title=same("Wide"), story=same("Eight bits."), values={"bits": 8})
    fields = {
        "id": "model/example",
        "title": same("Example"),
        "summary": same("Example"),
        "sections": ["1.2.1"],
        "params": Params,
        "run": lambda params, ctx: iter(()),
        "smoke": Params(bits=2),
        "presets": [preset],
    }
    return Lab(**{**fields, **changes})


def test_presets() -> None:
    example = lab()
    assert example.preset("wide") == Params(bits=8)
    assert example.preset("smoke") == Params(bits=2)
    assert example.preset("default") == Params()
    with pytest.raises(UsageError, match="no preset 'wied'; did you mean 'wide'"):
        example.preset("wied")


@pytest.mark.parametrize(
    ("presets", "error", "complaint"),
    [
        ([("a", {}), ("a", {})], ValueError, "preset ids are not unique"),
        ([("smoke", {})], ValueError, "has the preset 'smoke' already"),
        ([("a", {"bits": 9})], LabError, "bits = 9 is out of range"),
        ([("a", {"bist": 4})], TypeError, "bist"),
    ],
)
def test_bad_presets_are_found_when_the_lab_is_defined(
    presets: list[tuple[str, dict[str, Any]]], error: type[Exception], complaint: str
) -> None:
    made = [Preset(id=i, title=same("t"), story=same("s"), values=values) for i, values in presets]
    with pytest.raises(error, match=complaint):
        lab(presets=made)


@pytest.mark.parametrize(("zh", "en"), [("", "text"), ("文", " ")])
def test_a_text_needs_both_languages(zh: str, en: str) -> None:
    with pytest.raises(ValueError, match="both languages"):
        Text(zh=zh, en=en)
