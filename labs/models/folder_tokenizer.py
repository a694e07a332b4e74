"""The tokenizer of a folder: ``tokenizer.json``, and the chat template of ``tokenizer_config.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from tokenizers import Tokenizer

from labs.models.errors import unusable
from labs.models.json_file import read_json
from labs.models.tokenizer import ModelTokenizer

if TYPE_CHECKING:
    from pathlib import Path


_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


class _TokenizerConfig(msgspec.Struct):
    """A special token is a string, or an object whose ``content`` is the string."""

    chat_template: str | list[dict[str, str]] | None = None
    bos_token: str | dict[str, Any] | None = None
    eos_token: str | dict[str, Any] | None = None
    unk_token: str | dict[str, Any] | None = None
    pad_token: str | dict[str, Any] | None = None


def read_folder_tokenizer(folder: Path) -> ModelTokenizer:
    """LabError when ``tokenizer.json`` is missing or damaged."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        zh = "文件夹里没有 tokenizer.json（只有 tokenizer.model 时，请先用 transformers 转换并保存）"
        en = "the folder has no tokenizer.json (convert a tokenizer.model with transformers)"
        raise unusable(path, zh=zh, en=en)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions
        raise unusable(path, zh=f"分词器文件有误：{error}", en=f"not a tokenizer file: {error}") from error
    config = _read_config(folder / "tokenizer_config.json")
    given = {name: getattr(config, name) for name in _SPECIAL_TOKENS}
    names = {name: _content(token) for name, token in given.items() if token is not None}
    return ModelTokenizer(tokenizer, _template(folder, config), names)


def _read_config(path: Path) -> _TokenizerConfig:
    return read_json(path, _TokenizerConfig) if path.is_file() else _TokenizerConfig()


def _template(folder: Path, config: _TokenizerConfig) -> str | None:
    """Newer checkpoints keep the template in a file of its own; older ones may hold several, by name."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            zh = f"对话模板无法读取：{error}"
            raise unusable(file, zh=zh, en=f"the chat template cannot be read: {error}") from error
    if isinstance(config.chat_template, list):
        named = {entry.get("name"): entry.get("template") for entry in config.chat_template}
        return named.get("default")
    return config.chat_template


def _content(token: str | dict[str, Any]) -> str:
    return token if isinstance(token, str) else str(token.get("content", ""))
