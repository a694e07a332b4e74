"""JSON Schema of a lab's parameters: all that a form needs to know, so that none has to guess."""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from labs.spec import Field, Lab, LabParams, fields_of
from labs.text import Text, same

if TYPE_CHECKING:
    from pathlib import Path

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}


def json_schema(params: type[LabParams], last_layer: int | None = None) -> dict[str, Any]:
    """The schema; ``last_layer`` resolves bounds that the model sets; they are left out where it is None.

    What a form needs beyond the standard stands under ``x-inferlab``: both languages, unit, step, scale,
    labels of choices, and the condition under which the field is shown.
    """
    defaults = msgspec.to_builtins(params())
    properties = {
        name: _property(kind, field, defaults[name], last_layer)
        for name, (kind, field) in fields_of(params).items()
    }
    return {"$schema": DIALECT, "type": "object", "properties": properties, "additionalProperties": False}


def values(params: LabParams) -> dict[str, Any]:
    """The parameters as plain values, complete."""
    return {name: getattr(params, name) for name in params.__struct_fields__}


def describe(lab: Lab, file: Path, last_layer: int | None, model_missing: Text | None) -> dict[str, Any]:
    """What the window shows of the lab in ``file`` before it runs; the last two are ``model_bounds``."""
    return {
        "id": lab.id,
        "title": _text(lab.title),
        "summary": _text(lab.summary),
        "sections": lab.sections,
        "questions": lab.questions,
        "schema": json_schema(lab.params, last_layer),
        "presets": [msgspec.to_builtins(preset) for preset in lab.presets],
        "smoke": values(lab.smoke),
        "source_path": str(file),
        "source": file.read_text(encoding="utf-8"),
        "needs_model": lab.needs_model,
        "model_missing": _text(model_missing) if model_missing and lab.needs_model else None,
    }


def _property(kind: Any, field: Field, default: Any, last_layer: int | None) -> dict[str, Any]:
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    maximum = last_layer if field.le == "last_layer" else field.le
    return {
        "type": _TYPES[type(choices[0])] if choices else _TYPES[kind],
        "title": field.en,
        "description": field.en_help,
        "default": default,
        **({"minimum": field.ge} if field.ge is not None else {}),
        **({"maximum": maximum} if maximum is not None else {}),
        **({"enum": list(choices)} if choices else {}),
        "x-inferlab": {
            "title": {"zh": field.zh, "en": field.en},
            "help": {"zh": field.zh_help, "en": field.en_help},
            "unit": field.unit,
            "step": field.step,
            "scale": field.scale,
            "choices": {str(choice): _text(_label(field, choice)) for choice in choices},
            "when": field.when or {},
            "preview": field.preview,
            "lines": field.lines,
            "language": field.language,
        },
    }


def _label(field: Field, choice: Any) -> Text:
    return (field.choices or {}).get(str(choice), same(str(choice)))


def _text(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}
