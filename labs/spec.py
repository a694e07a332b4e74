"""What a lab is: its parameters, its texts, and a generator that runs it. One file in ``catalog/`` is one lab."""

from __future__ import annotations

import difflib
import math
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from labs.text import Text

if TYPE_CHECKING:
    from labs.context import Context
    from labs.results import Result

Scale = Literal["linear", "log", "log2"]


class LabError(Exception):
    """The user's mistake or this machine's limit; ``text`` can be shown as it stands, in both languages."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a form or a command line must know of one parameter, beside its type and default.

    ``ge`` and ``le`` bound a number, inclusive; ``le="last_layer"`` is resolved from the loaded model's config.
    ``step`` is the slider's; ``scale="log2"`` walks powers of two. ``choices`` labels the values of a Literal.
    ``when`` shows the field only while another has one of the given values.
    ``preview=False`` says that dragging this field is not worth a coarse preview.
    """

    zh: str
    en: str
    zh_help: str
    en_help: str
    ge: float | None = None
    le: float | Literal["last_layer"] | None = None
    step: float | None = None
    unit: str = ""
    scale: Scale = "linear"
    choices: dict[str, Text] | None = None
    when: dict[str, list[Any]] | None = None
    preview: bool = True


class LabParams(msgspec.Struct, frozen=True, kw_only=True):
    """Base of a lab's parameters. Building one with a bad value raises LabError: see ``labs.schema``."""

    def __post_init__(self) -> None:
        for name, (kind, field) in fields_of(type(self)).items():
            _check(name, kind, field, getattr(self, name))


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Named values that tell a part of the lab's story. ``values`` overrides defaults."""

    id: str
    title: Text
    story: Text
    values: dict[str, Any]


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What theory says of the Metric with the same ``id``: shown first, then beside the measurement."""

    id: str
    title: Text
    value: float
    unit: str
    formula: Text


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """One lab.

    ``sections`` are outline section numbers (``1.2.1``), ``questions`` the ids of single questions (``1.2.1-07``).
    ``smoke`` is a small run for tests and the tour. ``predict`` yields what theory says before ``run`` measures.
    """

    id: str
    title: Text
    summary: Text
    sections: list[str]
    params: type[LabParams]
    run: Callable[[Any, Context], Iterator[Result]]
    smoke: LabParams
    presets: list[Preset] = []
    questions: list[str] = []
    predict: Callable[[Any, Context], Iterable[Prediction]] | None = None
    needs_model: bool = False

    def __post_init__(self) -> None:
        ids = [preset.id for preset in self.presets]
        if len(set(ids)) != len(ids):
            raise ValueError(f"{self.id}: preset ids are not unique: {ids}")
        for preset in self.presets:
            self.params(**preset.values)

    def preset(self, preset_id: str) -> LabParams:
        """The parameters of a preset by its id; ``smoke`` and ``default`` always exist."""
        if preset_id == "smoke":
            return self.smoke
        if preset_id == "default":
            return self.params()
        for preset in self.presets:
            if preset.id == preset_id:
                return self.params(**preset.values)
        known = ["default", "smoke", *(preset.id for preset in self.presets)]
        raise LabError(_unknown("preset", "预设", preset_id, known))


def fields_of(params: type[LabParams]) -> dict[str, tuple[Any, Field]]:
    """``{name: (type, Field)}`` in declaration order. A field without a ``Field`` is our bug: TypeError."""
    found: dict[str, tuple[Any, Field]] = {}
    hints = typing.get_type_hints(params, include_extras=True)
    for name in params.__struct_fields__:
        kind, *extras = typing.get_args(hints[name]) if hasattr(hints[name], "__metadata__") else (hints[name],)
        field = next((extra for extra in extras if isinstance(extra, Field)), None)
        if field is None:
            raise TypeError(f"{params.__qualname__}.{name}: annotate it with labs.spec.Field")
        found[name] = (kind, field)
    return found


def parse_params(params: type[LabParams], given: dict[str, Any]) -> LabParams:
    """Parameters from untrusted values (a form, a link, a command line: strings are converted).

    Raises LabError that names the value, what is allowed, and the nearest name or choice.
    """
    known = fields_of(params)
    values = {}
    for name, value in given.items():
        if name not in known:
            raise LabError(_unknown("parameter", "参数", name, list(known)))
        values[name] = _convert(name, known[name][0], value)
    return params(**values)


def _unknown(what_en: str, what_zh: str, given: str, known: list[str]) -> Text:
    near = difflib.get_close_matches(given, known, n=1)
    en = f"no {what_en} {given!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    zh = f"没有名为 {given!r} 的{what_zh}" + (f"；是否指 {near[0]!r}？" if near else "")
    listed = ", ".join(known)
    return Text(zh=f"{zh}。可用：{listed}", en=f"{en} Known: {listed}" if near else f"{en}. Known: {listed}")


def _convert(name: str, kind: Any, value: Any) -> Any:
    """``value`` as ``kind`` where that loses nothing, else unchanged (``_check`` refuses it with a reason)."""
    try:
        if kind is bool and isinstance(value, str) and value.lower() in ("true", "false", "1", "0", "yes", "no"):
            return value.lower() in ("true", "1", "yes")
        if kind is int and isinstance(value, str | float) and float(value) == int(float(value)):
            return int(float(value))
        if kind is float and isinstance(value, str | int) and not isinstance(value, bool):
            return float(value)
        if typing.get_origin(kind) is Literal:
            return next((choice for choice in typing.get_args(kind) if str(choice) == str(value)), value)
    except (ValueError, OverflowError):
        pass
    return value


def _check(name: str, kind: Any, field: Field, value: Any) -> None:
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
            listed = ", ".join(str(choice) for choice in choices)
            hint_en = f"; nearest: {near[0]}" if near else ""
            hint_zh = f"；最接近：{near[0]}" if near else ""
            raise LabError(
                Text(
                    zh=f"{field.zh}（{name}）= {value!r} 不可用；可选：{listed}{hint_zh}",
                    en=f"{name} = {value!r} is not one of: {listed}{hint_en}",
                )
            )
        return
    if kind in (int, float):
        if not _is_number(kind, value):
            zh_kind, en_kind = ("整数", "an integer") if kind is int else ("有限的数", "a finite number")
            zh = f"{field.zh}（{name}）= {value!r} 应为{zh_kind}"
            raise LabError(Text(zh=zh, en=f"{name} = {value!r} must be {en_kind}"))
        _check_range(name, field, value)
    elif not isinstance(value, kind):
        zh = f"{field.zh}（{name}）= {value!r} 应为 {kind.__name__} 类型"
        raise LabError(Text(zh=zh, en=f"{name} = {value!r} must be a {kind.__name__}"))


def _is_number(kind: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) if kind is int else isinstance(value, int | float) and math.isfinite(value)


def _check_range(name: str, field: Field, value: float) -> None:
    low = -math.inf if field.ge is None else field.ge
    high = field.le if isinstance(field.le, int | float) else math.inf
    if not low <= value <= high:
        unit = f" {field.unit}" if field.unit else ""
        nearest = low if value < low else high
        allowed = f"{low:g} – {high:g}{unit}"
        zh = f"{field.zh}（{name}）= {value:g} 超出范围；允许 {allowed}，最接近的是 {nearest:g}"
        en = f"{name} = {value:g} is out of range: allowed {allowed}; nearest {nearest:g}"
        raise LabError(Text(zh=zh, en=en))
