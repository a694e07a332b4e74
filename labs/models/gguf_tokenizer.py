"""The byte-level BPE tokenizer that a GGUF file carries in its header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from labs.models.errors import unusable
from labs.models.gguf_header import read_header
from labs.models.tokenizer import ModelTokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from labs.models.gguf_header import GGUFHeader

_CONTROL, _USER_DEFINED = 3, 4  # of tokenizer.ggml.token_type
_PRE_TOKENIZERS = ("smollm", "gpt-2")


def read_gguf_tokenizer(path: Path) -> ModelTokenizer:
    """LabError when the file's tokenizer is not byte-level BPE with a known pre-tokenizer."""
    header = read_header(path)
    kind = header.values.get("tokenizer.ggml.model")
    if kind != "gpt2":
        zh, en = (
            f"分词器类型为 {kind}，应为 gpt2（字节级 BPE）",
            f"tokenizer {kind}, expected gpt2 (byte-level BPE)",
        )
        raise unusable(path, zh=zh, en=en)
    tokens = header.strings("tokenizer.ggml.tokens")
    try:
        merges = [_pair(merge) for merge in header.strings("tokenizer.ggml.merges")]
        bpe = models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges)
    except Exception as error:  # ValueError from a pair; the library raises bare Exceptions
        zh, en = f"词表与合并规则不一致：{error}", f"vocabulary and merges disagree: {error}"
        raise unusable(path, zh=zh, en=en) from error
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = _pre_tokenizer(header)
    tokenizer.decoder = decoders.ByteLevel()
    types = header.numbers("tokenizer.ggml.token_type")
    tokenizer.add_special_tokens(_added(tokens, types, _CONTROL, special=True))
    tokenizer.add_tokens(_added(tokens, types, _USER_DEFINED, special=False))
    template = header.values.get("tokenizer.chat_template")
    return ModelTokenizer(tokenizer, template if isinstance(template, str) else None, _names(header, tokens))


def _pre_tokenizer(header: GGUFHeader) -> pre_tokenizers.PreTokenizer:
    pre = header.values.get("tokenizer.ggml.pre")
    if pre not in _PRE_TOKENIZERS:
        listed = ", ".join(_PRE_TOKENIZERS)
        zh = f"预分词器为 {pre}；支持 {listed}（其他模型请使用 safetensors 文件夹）"
        en = f"pre-tokenizer {pre}; expected one of {listed} (for other models, give a safetensors folder)"
        raise unusable(header.path, zh=zh, en=en)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if pre == "gpt-2":
        return byte_level
    # SmolLM splits a number into digits first; without this step numbers would be encoded differently.
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])


def _pair(merge: str) -> tuple[str, str]:
    first, second = merge.split(" ")
    return first, second


def _added(tokens: list[str], types: list[int | float], kind: int, special: bool) -> list[AddedToken]:
    return [
        AddedToken(token, special=special, normalized=False)
        for token, token_type in zip(tokens, types, strict=False)
        if token_type == kind
    ]


def _names(header: GGUFHeader, tokens: list[str]) -> dict[str, str]:
    """``bos_token`` and ``eos_token`` for the chat template."""
    names = {}
    for name in ("bos", "eos"):
        index = header.values.get(f"tokenizer.ggml.{name}_token_id")
        if isinstance(index, int) and 0 <= index < len(tokens):
            names[f"{name}_token"] = tokens[index]
    return names
