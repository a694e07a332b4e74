"""Text to token ids and back, and the chat template, all as the checkpoint defines them."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2.parser import Parser
    from tokenizers import Tokenizer


class ModelTokenizer:
    """A tokenizer of the ``tokenizers`` library with the template that turns a conversation into a prompt.

    ``chat_template`` is Jinja source, or None where the checkpoint has none. ``special_tokens`` are the names
    that a template may use, such as ``bos_token``.
    """

    def __init__(
        self, tokenizer: Tokenizer, chat_template: str | None, special_tokens: dict[str, str] | None = None
    ) -> None:
        # A tokenizer.json may say how its training cut and padded; a prompt is neither.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._special_tokens = special_tokens or {}
        self._chat_template = chat_template

    @property
    def vocab_size(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @property
    def largest_id(self) -> int:
        """Of the tokens that the tokenizer was trained with; those added to it later not counted."""
        return max(self._tokenizer.get_vocab(with_added_tokens=False).values(), default=0)

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Token ids. Special tokens written out in the text, as a chat template does, become their one id;
        ``add_special_tokens`` also adds those that the checkpoint puts around every text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    def chat(self, messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The prompt for ``messages`` (``{"role": ..., "content": ...}``); LabError if it refuses them.

        The template is code that came with the model, so it runs in Jinja's sandbox.
        """
        if self._chat_template is None:
            raise LabError(Text(zh="该模型没有对话模板", en="this model has no chat template"))
        try:
            template = _environment().from_string(self._chat_template)
            return template.render(
                messages=list(messages),
                add_generation_prompt=add_generation_prompt,
                tools=None,
                documents=None,
                **self._special_tokens,
            )
        except Exception as error:  # a template is a program: it may add a string to a number
            why = (
                str(error) if isinstance(error, jinja2.TemplateError) else f"{type(error).__name__}: {error}"
            )
            zh = f"对话模板无法用于这些消息：{why}"
            raise LabError(Text(zh=zh, en=f"the chat template refuses these messages: {why}")) from error


def _environment() -> ImmutableSandboxedEnvironment:
    """Jinja with what chat templates rely on, and transformers gives them: trimmed blocks, ``break``,
    ``generation``, two functions, and JSON as it is rather than as it would stand in HTML."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    environment.filters["tojson"] = _to_json
    return environment


class _Generation(Extension):
    """``{% generation %}`` marks what training is to learn; in a prompt it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it a variable of the instance

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: Any) -> NoReturn:
    raise jinja2.TemplateError(str(message))
