"""The schema says all that the fields say, resolves the model's bounds, and agrees with the validation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from labs.schema import json_schema, values
from labs.spec import Field, LabParams, UsageError, parse_params
from labs.text import Text


class Params(LabParams):
    """Not a parameter's text."""

    bits: Annotated[
        int,
        Field(
            zh="位宽", en="Bits", zh_help="每个权重的位数", en_help="Bits a weight", ge=2, le=8, unit="bit"
        ),
    ] = 4
    group_size: Annotated[
        Literal[16, 32],
        Field(
            zh="组大小",
            en="Group size",
            zh_help="每组权重数",
            en_help="Weights a group",
            scale="log2",
            step=1,
            choices={"16": Text(zh="小", en="small"), "32": Text(zh="大", en="large")},
            when={"mode": ["group"]},
            preview=False,
        ),
    ] = 32
    mode: Annotated[
        Literal["tensor", "group"], Field(zh="粒度", en="Granularity", zh_help="粒度", en_help="Granularity")
    ] = "tensor"
    layer: Annotated[
        int, Field(zh="层", en="Layer", zh_help="层", en_help="Layer", ge=0, le="last_layer")
    ] = 3
    ratio: Annotated[float, Field(zh="比例", en="Ratio", zh_help="比例", en_help="Ratio")] = 0.5
    sweep: Annotated[bool, Field(zh="扫描", en="Sweep", zh_help="扫描", en_help="Sweep")] = True


def test_a_number_with_bounds_and_a_unit() -> None:
    assert json_schema(Params)["properties"]["bits"] == {
        "type": "integer",
        "title": "Bits",
        "description": "Bits a weight",
        "default": 4,
        "minimum": 2,
        "maximum": 8,
        "x-inferlab": {
            "title": {"zh": "位宽", "en": "Bits"},
            "help": {"zh": "每个权重的位数", "en": "Bits a weight"},
            "unit": "bit",
            "step": None,
            "scale": "linear",
            "choices": {},
            "when": {},
            "preview": True,
            "lines": 1,
            "language": "",
        },
    }


def test_choices_keep_their_type_and_labels() -> None:
    group_size = json_schema(Params)["properties"]["group_size"]
    assert (group_size["type"], group_size["enum"]) == ("integer", [16, 32])
    extra = group_size["x-inferlab"]
    assert extra["choices"] == {"16": {"zh": "小", "en": "small"}, "32": {"zh": "大", "en": "large"}}
    assert (extra["scale"], extra["step"], extra["when"]) == ("log2", 1, {"mode": ["group"]})
    assert extra["preview"] is False


def test_choices_without_labels_are_labelled_by_themselves() -> None:
    choices = json_schema(Params)["properties"]["mode"]["x-inferlab"]["choices"]
    assert choices == {"tensor": {"zh": "tensor", "en": "tensor"}, "group": {"zh": "group", "en": "group"}}


@pytest.mark.parametrize(("last_layer", "expected"), [(29, {"maximum": 29}), (None, {})])
def test_the_model_bounds_layers(last_layer: int | None, expected: dict[str, int]) -> None:
    layer = json_schema(Params, last_layer)["properties"]["layer"]
    assert {key: value for key, value in layer.items() if key == "maximum"} == expected


def test_the_schema_as_a_whole() -> None:
    schema = json_schema(Params)
    assert schema["type"] == "object" and schema["additionalProperties"] is False
    assert list(schema["properties"]) == ["bits", "group_size", "mode", "layer", "ratio", "sweep"]
    types = [schema["properties"][name]["type"] for name in ("ratio", "sweep", "mode")]
    assert types == ["number", "boolean", "string"]


def test_values_are_complete() -> None:
    assert values(Params(bits=2)) == {
        "bits": 2,
        "group_size": 32,
        "mode": "tensor",
        "layer": 3,
        "ratio": 0.5,
        "sweep": True,
    }


def probes(schema: dict[str, Any]) -> list[tuple[Any, bool]]:
    """Values at and beyond the edges of what a property's schema allows, and whether it allows them."""
    if "enum" in schema:
        return [*((choice, True) for choice in schema["enum"]), ("no such choice", False)]
    found: list[tuple[Any, bool]] = [(schema["default"], True)]
    if "minimum" in schema:
        found += [(schema["minimum"], True), (schema["minimum"] - 1, False)]
    if "maximum" in schema:
        found += [(schema["maximum"], True), (schema["maximum"] + 1, False)]
    return found


@pytest.mark.parametrize("name", Params.__struct_fields__)
def test_the_schema_and_the_validation_agree(name: str) -> None:
    for value, allowed in probes(json_schema(Params)["properties"][name]):
        if allowed:
            assert getattr(parse_params(Params, {name: value}), name) == value
        else:
            with pytest.raises(UsageError):
                parse_params(Params, {name: value})
