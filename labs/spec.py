"""What a lab is: parameters, texts, and a generator that runs it. One file in ``catalog/`` is one lab."""

from __future__ import annotations

import difflib
import functools
import math
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from labs.languages import LANGUAGES
from labs.text import Text, same

if TYPE_CHECKING:
    # A Lab is never decoded, so msgspec does not need these two; importing them would be circular.
    from labs.context import Context  # noqa: TC004
    from labs.results import Result  # noqa: TC004

Scale = Literal["linear", "log", "log2"]

# ``python -m labs run`` takes these beside a lab's own parameters.
COMMAND_LINE_OPTIONS = frozenset({"help", "preset", "seed", "model", "json", "language", "catalog"})


class LabError(Exception):
    """The user's mistake or this machine's limit; ``text`` can be shown as it stands, in both languages."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class UsageError(LabError):
    """What was asked for does not exist or is not allowed; nothing has run."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a form or a command line must know of one parameter, beside its type and default.

    ``ge`` and ``le`` bound a number, inclusive; ``le="last_layer"`` is resolved from the model's config.
    ``step`` is the slider's; ``scale="log2"`` walks powers of two. ``choices`` labels a Literal's values.
    ``when`` shows the field only while another has one of the given values.
    ``preview=False`` says that dragging this field is not worth a coarse preview. ``lines`` is how many lines
    of a text are in sight; with a ``language`` (of ``labs.results.LANGUAGES``) it is code, edited as such.
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
    lines: int = 1
    language: str = ""

    def __post_init__(self) -> None:
        Text(self.zh, self.en), Text(self.zh_help, self.en_help)  # refuse a missing language


class LabParams(msgspec.Struct, frozen=True, kw_only=True):
    """Base of a lab's parameters. Building one with a bad value raises UsageError.

    A bound that only the model knows (``le="last_layer"``) is held by ``check_layers``, before a run.
    """

    def __post_init__(self) -> None:
        for name, (kind, field) in fields_of(type(self)).items():
            _check(name, kind, field, getattr(self, name))


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """Named values that tell a part of the lab's story. ``values`` overrides defaults."""

    id: str
    title: Text
    story: Text
    values: dict[str, Any]


def preset(name: str, zh: str, en: str, story_zh: str, story_en: str, **values: object) -> Preset:
    """A preset from its texts in both languages, where a lab has many."""
    return Preset(id=name, title=Text(zh=zh, en=en), story=Text(zh=story_zh, en=story_en), values=values)


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What theory says of the Metric with the same ``id``: shown first, then beside the measurement."""

    id: str
    title: Text
    value: float
    unit: str
    formula: Text


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """One lab.

    ``sections`` are outline section numbers (``1.2.1``), ``questions`` ids of questions (``1.2.1-07``).
    ``smoke`` is a small run for tests and the tour. ``predict`` yields what theory says, ``run`` measures.
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
        check_declaration(self.params)
        ids = [preset.id for preset in self.presets]
        if len(set(ids)) != len(ids):
            raise ValueError(f"{self.id}: preset ids are not unique: {ids}")
        if taken := {"default", "smoke"}.intersection(ids):
            raise ValueError(f"{self.id}: every lab has the preset {taken.pop()!r} already")
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
        raise unknown_name("preset", "预设", preset_id, known)


@functools.cache
def fields_of(params: type[LabParams]) -> Mapping[str, tuple[Any, Field]]:
    """``{name: (type, Field)}`` in declaration order. A field without a ``Field`` is our bug: TypeError.

    Read once a class: each set of parameters that is made asks, and evaluating annotations takes a while."""
    found: dict[str, tuple[Any, Field]] = {}
    hints = typing.get_type_hints(params, include_extras=True)
    for name in params.__struct_fields__:
        kind, *extras = (
            typing.get_args(hints[name]) if hasattr(hints[name], "__metadata__") else (hints[name],)
        )
        field = next((extra for extra in extras if isinstance(extra, Field)), None)
        if field is None:
            raise TypeError(f"{params.__qualname__}.{name}: annotate it with labs.spec.Field")
        found[name] = (kind, field)
    return found


def parse_params(params: type[LabParams], given: dict[str, Any]) -> LabParams:
    """Parameters from untrusted values (a form, a link, a command line: strings are converted).

    Raises UsageError that names the value, what is allowed, and the nearest name or choice.
    """
    known = fields_of(params)
    values = {}
    for name, value in given.items():
        if name not in known:
            raise unknown_name("parameter", "参数", name, list(known))
        values[name] = _converted(known[name][0], value)
    return params(**values)


def check_layers(params: LabParams, last_layer: Callable[[], int]) -> None:
    """UsageError for a layer beyond the last one; ``last_layer`` is called only if a field is bound by it."""
    for name, (_, field) in fields_of(type(params)).items():
        if field.le == "last_layer":
            _check_range(name, field, getattr(params, name), high=last_layer())


def check_declaration(params: type[LabParams]) -> None:
    """ValueError where fields contradict themselves: our bugs, found when the lab's file is imported."""
    fields = fields_of(params)
    for name, (kind, field) in fields.items():
        if name in COMMAND_LINE_OPTIONS:
            raise ValueError(f"{name}: the command line has an option of this name")
        if field.choices is not None and set(field.choices) != {
            str(choice) for choice in typing.get_args(kind)
        }:
            raise ValueError(f"{name}: choices label {sorted(field.choices)}, the type allows {kind}")
        if field.language and (kind is not str or field.language not in LANGUAGES):
            raise ValueError(f"{name}: a {kind} in {field.language!r}; code is a str in one of {LANGUAGES}")
        for other, values in (field.when or {}).items():
            if other not in fields:
                raise ValueError(f"{name}: shown when {other!r} has a value, and there is no such field")
            for value in values:
                _check(other, *fields[other], value)


def unknown_name(what_en: str, what_zh: str, given: str, known: list[str]) -> UsageError:
    """The refusal of a name, with the nearest one and all that are known."""
    near = difflib.get_close_matches(given, known, n=1)
    en = f"no {what_en} {given!r}" + (f"; did you mean {near[0]!r}?" if near else ".")
    zh = f"没有名为 {given!r} 的{what_zh}" + (f"；是否指 {near[0]!r}？" if near else "。")
    listed = ", ".join(known) or "-"
    return UsageError(Text(zh=f"{zh}可用：{listed}", en=f"{en} Known: {listed}"))


# How a link or a command line writes a boolean.
BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _converted(kind: Any, value: Any) -> Any:
    """``value`` as ``kind`` where that loses nothing, else unchanged: ``_check`` refuses it with a reason."""
    try:
        if kind is bool and isinstance(value, str):
            return BOOLEANS.get(value.lower(), value)
        if kind is int and isinstance(value, str):
            return int(value)
        if kind is int and isinstance(value, float) and value == int(value):
            return int(value)
        if kind is float and isinstance(value, str | int) and not isinstance(value, bool):
            return float(value)
        if typing.get_origin(kind) is Literal:
            return next((choice for choice in typing.get_args(kind) if str(choice) == str(value)), value)
    except (ValueError, OverflowError):
        pass
    return value


def _check(name: str, kind: Any, field: Field, value: Any) -> None:
    if typing.get_origin(kind) is Literal:
        _check_choice(name, field, typing.get_args(kind), value)
    elif kind in (int, float):
        if not _is_number(kind, value):
            expected = (
                Text(zh="整数", en="an integer") if kind is int else Text(zh="有限的数", en="a finite number")
            )
            raise _refusal(name, field, value, zh=f"应为{expected.zh}", en=f"must be {expected.en}")
        _check_range(name, field, value)
    elif not isinstance(value, kind):
        raise _refusal(name, field, value, zh=f"应为 {kind.__name__} 类型", en=f"must be a {kind.__name__}")


def _check_choice(name: str, field: Field, choices: tuple[Any, ...], value: Any) -> None:
    # Compared with the type: True == 1, and a form must not get away with it.
    if any(type(choice) is type(value) and choice == value for choice in choices):
        return
    listed = ", ".join(str(choice) for choice in choices)
    near = _nearest_choice(choices, value)
    zh = f"不可用；可选：{listed}" + (f"；最接近：{near}" if near else "")
    en = f"is not one of: {listed}" + (f"; nearest: {near}" if near else "")
    raise _refusal(name, field, value, zh=zh, en=en)


def _nearest_choice(choices: tuple[Any, ...], value: Any) -> str | None:
    if all(isinstance(choice, int | float) for choice in choices):
        try:
            return str(min(choices, key=lambda choice: abs(choice - float(value))))
        except (TypeError, ValueError):
            return None
    near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    return near[0] if near else None


def _is_number(kind: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) if kind is int else isinstance(value, int | float) and math.isfinite(value)


def _check_range(name: str, field: Field, value: float, high: float | None = None) -> None:
    if high is None and not isinstance(field.le, str):
        high = field.le
    low = field.ge
    if low is not None and value < low:
        nearest = low
    elif high is not None and value > high:
        nearest = high
    else:
        return
    allowed = _range(low, high, field.unit)
    zh = f"超出范围；允许 {allowed.zh}，最接近的是 {nearest:g}"
    raise _refusal(
        name, field, value, zh=zh, en=f"is out of range: allowed {allowed.en}; nearest {nearest:g}"
    )


def _range(low: float | None, high: float | None, unit: str) -> Text:
    unit = f" {unit}" if unit else ""
    if low is not None and high is not None:
        return same(f"{low:g} – {high:g}{unit}")
    if high is None:
        return Text(zh=f"不小于 {low:g}{unit}", en=f"at least {low:g}{unit}")
    return Text(zh=f"不大于 {high:g}{unit}", en=f"at most {high:g}{unit}")


def _refusal(name: str, field: Field, value: Any, *, zh: str, en: str) -> UsageError:
    shown = f"{value:g}" if _is_number(float, value) else repr(value)
    return UsageError(Text(zh=f"{field.zh}（{name}）= {shown} {zh}", en=f"{name} = {shown} {en}"))
