"""Reading the command line and answering it.

Exit status: 0 done, 1 the run failed, 2 it could not be asked so, 130 interrupted. stdout carries the answer
and nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from labs import registry, wire
from labs.context import Context, Session
from labs.environment import environment
from labs.failure import explanation
from labs.model_bounds import model_bounds
from labs.plain_text import render
from labs.runner import execute
from labs.schema import describe, values
from labs.spec import BOOLEANS, Lab, LabError, LabParams, UsageError, fields_of, parse_params
from labs.streams import claim_stdout
from labs.text import Text, same

if TYPE_CHECKING:
    from labs.plain_text import Language
    from labs.results import Result

FAILED, USAGE, INTERRUPTED = 1, 2, 130


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(same(message))


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    language = _locale_language()
    try:
        options, rest = _parser(language).parse_known_args(arguments)
        language = options.language
        if rest and options.command is not _run:
            unknown = " ".join(rest)
            raise UsageError(Text(zh=f"不认识的参数：{unknown}", en=f"unrecognized arguments: {unknown}"))
        # Before the labs are imported: nothing that they print may reach it.
        with claim_stdout() as stdout:
            options.command(registry.load_catalog(options.catalog), options, rest, stdout)
        return 0
    except UsageError as error:
        return _complain(error.text, language, USAGE)
    except LabError as error:
        return _complain(error.text, language, FAILED)
    except registry.BrokenLabError as error:
        print(error.entry.traceback, end="", file=sys.stderr)
        return _complain(same(str(error)), language, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        return FAILED
    except Exception as error:
        traceback.print_exc()
        return _complain(explanation(error), language, FAILED)


def crashed(text: Text) -> int:
    """Say what ended a command that could not say so itself; returns the exit status."""
    return _complain(text, _locale_language(), FAILED)


def _parser(language: Language) -> _Parser:
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    common.add_argument(
        "--language", choices=["zh", "en"], default=language, help="of texts (default: the locale's)"
    )
    common.add_argument("--catalog", type=Path, default=registry.CATALOG, help="take labs from this folder")
    common.add_argument("--model", type=Path, help="a .gguf file, or a folder of safetensors")
    parser = _Parser(prog="python -m labs", description="Run InferLab's labs from a shell.")
    commands = parser.add_subparsers(required=True, metavar="list | describe | run")
    listing = commands.add_parser("list", parents=[common], help="all labs", allow_abbrev=False)
    listing.set_defaults(command=_list)
    describing = commands.add_parser(
        "describe", parents=[common], help="a lab's parameters", allow_abbrev=False
    )
    describing.set_defaults(command=_describe)
    describing.add_argument("lab", metavar="ID")
    running = commands.add_parser(
        "run",
        parents=[common],
        help="run a lab",
        allow_abbrev=False,
        epilog="Then the lab's own parameters, as --bits 4 or --bits=4: see `describe ID`.",
    )
    running.set_defaults(command=_run)
    running.add_argument("lab", metavar="ID")
    running.add_argument("--preset", default="default", help="start from these values: see `describe ID`")
    running.add_argument("--seed", type=int, default=0)
    return parser


def _list(catalog: registry.Catalog, options: argparse.Namespace, rest: list[str], stdout: BinaryIO) -> None:
    for entry in catalog.broken:
        print(f"{entry.file} does not import: {entry.traceback.strip().splitlines()[-1]}", file=sys.stderr)
    if options.json:
        keys = ("id", "title", "sections")
        _print_json(stdout, [{key: getattr(lab, key) for key in keys} for lab in catalog.labs.values()])
        return
    width = max((len(lab_id) for lab_id in catalog.labs), default=0)
    for lab in catalog.labs.values():
        _print(stdout, f"{lab.id:{width}}  {_say(lab.title, options.language)}  ({', '.join(lab.sections)})")


def _describe(
    catalog: registry.Catalog, options: argparse.Namespace, rest: list[str], stdout: BinaryIO
) -> None:
    lab, file = catalog.find(options.lab), catalog.files[options.lab]
    description = describe(lab, file, *model_bounds(options.model))
    if options.json:
        _print_json(stdout, description)
        return
    language = options.language
    _print(
        stdout,
        f"{lab.id}: {_say(lab.title, language)} ({', '.join(lab.sections)})\n\n{_say(lab.summary, language)}",
    )
    for name, schema in description["schema"]["properties"].items():
        _print(stdout, _parameter(name, schema, language))
    _print(stdout, "\n--preset NAME")
    for preset in lab.presets:
        _print(stdout, f"  {preset.id}: {_say(preset.title, language)}. {_say(preset.story, language)}")


def _parameter(name: str, schema: dict[str, Any], language: Language) -> str:
    extra = schema["x-inferlab"]
    if "enum" in schema:
        allowed = " | ".join(str(choice) for choice in schema["enum"])
    else:
        bounds = [schema.get("minimum"), schema.get("maximum")]
        limits = [f"{bound:g}" if bound is not None else "…" for bound in bounds]
        allowed = schema["type"] + (
            f" {limits[0]} – {limits[1]}" if any(b is not None for b in bounds) else ""
        )
    unit = f" {extra['unit']}" if extra["unit"] else ""
    default = str(schema["default"]).lower() if schema["type"] == "boolean" else schema["default"]
    head = f"\n--{name.replace('_', '-')}  {extra['title'][language]}: {allowed}{unit} (default {default})"
    return f"{head}\n    {extra['help'][language]}"


def _run(catalog: registry.Catalog, options: argparse.Namespace, rest: list[str], stdout: BinaryIO) -> None:
    lab = catalog.find(options.lab)
    params = _params(lab, options.preset, rest)
    ctx = Context(Session(options.model), seed=options.seed, on_progress=_progress_sink(options.language))
    results: dict[str, Result] = {}
    start = time.perf_counter()
    try:
        for result in execute(lab, params, ctx):
            results[result.id] = result
    except SystemExit as error:  # of the lab: its status is not ours
        raise RuntimeError(f"SystemExit: {error}") from error
    finally:
        _clear_progress()
        if not options.json:
            for result in results.values():
                _print(stdout, render(result, options.language))
    seconds = time.perf_counter() - start
    if options.json:
        record = {"lab": lab.id, "params": values(params), "seed": options.seed}
        record |= {"environment": environment(with_device=True), "seconds": seconds}
        _print_json(stdout, record | {"results": list(results.values())})


def _params(lab: Lab, preset: str, rest: list[str]) -> LabParams:
    """The preset's values, overridden by the lab's own parameters: what the common options left over."""
    given = values(lab.preset(preset))
    kinds = {name: kind for name, (kind, _) in fields_of(lab.params).items()}
    waiting = list(rest)
    while waiting:
        token = waiting.pop(0)
        if not token.startswith("--"):
            raise UsageError(
                Text(
                    zh=f"{token!r} 是什么？参数写作 --名字 值",
                    en=f"what is {token!r}? Parameters are given as --name value",
                )
            )
        option, equals, value = token[2:].partition("=")
        name = option.replace("-", "_")
        if not equals and kinds.get(name) is bool and not (waiting and waiting[0].lower() in BOOLEANS):
            value = "true"
        elif not equals:
            # argparse would take -1e-3 for an option; here whatever follows a name is its value.
            if not waiting:
                raise UsageError(Text(zh=f"--{option} 缺一个值", en=f"--{option} needs a value"))
            value = waiting.pop(0)
        given[name] = value
    return parse_params(lab.params, given)


def _progress_sink(language: Language) -> Any:
    if not sys.stderr.isatty():
        return None

    shown = ""

    def show(fraction: float | None, text: Text) -> None:
        nonlocal shown
        line = ("" if fraction is None else f"{fraction:4.0%} ") + _say(text, language)
        if line != shown:
            shown = line
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    return show


def _clear_progress() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _complain(text: Text, language: Language, status: int) -> int:
    line = " ".join(_say(text, language).split())
    print(f"python -m labs: {line}", file=sys.stderr)
    return status


def _locale_language() -> Language:
    named = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if named.startswith("zh") else "en"


def _say(text: Text, language: Language) -> str:
    return text.zh if language == "zh" else text.en


def _print(stdout: BinaryIO, text: str) -> None:
    stdout.write(f"{text}\n".encode())


def _print_json(stdout: BinaryIO, message: Any) -> None:
    stdout.write(wire.json_bytes(message) + b"\n")
