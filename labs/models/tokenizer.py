"""Text to token ids and back, and the chat template, all as the checkpoint defines them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from labs.spec import LabError
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer


class ModelTokenizer:
    """A tokenizer of the ``tokenizers`` library with the template that turns a conversation into a prompt.

    ``chat_template`` is Jinja source, or None where the checkpoint has none. ``special_tokens`` are the names
    that a template may use, such as ``bos_token``.
    """

    def __init__(
        self, tokenizer: Tokenizer, chat_template: str | None, special_tokens: dict[str, str] | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._special_tokens = special_tokens or {}
        self._chat_template = chat_template

    @property
    def vocab_size(self) -> int:
        return int(self._tokenizer.get_vocab_size())

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
            return (
                _environment()
                .from_string(self._chat_template)
                .render(
                    messages=list(messages),
                    add_generation_prompt=add_generation_prompt,
                    **self._special_tokens,
                )
            )
        except jinja2.TemplateError as error:
            zh = f"对话模板无法用于这些消息：{error}"
            raise LabError(Text(zh=zh, en=f"the chat template refuses these messages: {error}")) from error


def _environment() -> ImmutableSandboxedEnvironment:
    """Jinja with what chat templates rely on: trimmed blocks, ``break``, and three functions."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": False}
    return environment


def _raise_exception(message: Any) -> NoReturn:
    raise jinja2.TemplateError(str(message))
