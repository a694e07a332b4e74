from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labs.models.folder_tokenizer import read_folder_tokenizer
from labs.models.gguf_tokenizer import read_gguf_tokenizer
from labs.spec import LabError
from tests.labs.models.small_checkpoints import SmallGGUF, save_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from labs.models.loading import LoadedModel


@pytest.mark.model
def test_fixed_encodings_of_the_default_model(smollm: LoadedModel) -> None:
    encode = smollm.tokenizer.encode
    # Digit by digit: 0 to 9 are the ids 32 to 41.
    assert encode("In 2024, 1,234 tokens") == [
        *(788, 216, 34, 32, 34, 36, 28),  # In, space, 2 0 2 4, comma
        *(216, 33, 28, 34, 35, 36, 17837),
    ]
    assert encode("<|im_start|>user\n") == [1, 4093, 198]
    assert encode("") == []


# The vocabulary lacks six control characters, and the first bytes of planes where nothing is assigned.
MISSING = "\x04\x06\x13\x14\x16\x1d"
TEXTS = st.text(st.characters(codec="utf-8", max_codepoint=0x3FFFF, exclude_characters=MISSING))


@pytest.mark.model
@settings(max_examples=50, deadline=None)
@given(text=TEXTS)
def test_text_survives_the_default_model(smollm: LoadedModel, text: str) -> None:
    assert smollm.tokenizer.decode(smollm.tokenizer.encode(text)) == text


@pytest.mark.model
def test_chat_template_of_the_default_model(smollm: LoadedModel) -> None:
    prompt = smollm.tokenizer.chat([{"role": "user", "content": "Hello"}])
    assert prompt.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert prompt.endswith("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")
    ids = smollm.tokenizer.encode(prompt)
    assert ids.count(1) == 3 and ids.count(2) == 2
    assert "<|im_start|>" not in smollm.tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("pre", ["smollm", "gpt-2"])
def test_small_gguf_tokenizer(tmp_path: Path, pre: str) -> None:
    tokenizer = read_gguf_tokenizer(SmallGGUF(pre_tokenizer=pre).write(tmp_path / "small.gguf"))
    assert tokenizer.vocab_size == 96
    ids = tokenizer.encode("abba<|end|>")
    assert len(ids) == 4 and ids[-1] == 0, "ab is merged, the special token is one id"
    assert tokenizer.decode(ids) == "abba<|end|>"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "abba"
    assert tokenizer.chat([{"role": "user", "content": "hi"}]) == "hi<|end|>"


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (SmallGGUF(tokenizer="llama"), "tokenizer llama, expected gpt2"),
        (SmallGGUF(pre_tokenizer="qwen2"), "pre-tokenizer qwen2; expected one of smollm, gpt-2"),
    ],
)
def test_unknown_gguf_tokenizers_are_refused(tmp_path: Path, wrong: SmallGGUF, reason: str) -> None:
    with pytest.raises(LabError, match=rf"wrong\.gguf.*{reason}"):
        read_gguf_tokenizer(wrong.write(tmp_path / "wrong.gguf"))


def test_merges_that_do_not_fit_the_vocabulary_are_refused(tmp_path: Path) -> None:
    data = SmallGGUF().write(tmp_path / "small.gguf").read_bytes()
    path = tmp_path / "wrong.gguf"
    path.write_bytes(data.replace(b"a b", b"a a"))
    with pytest.raises(LabError, match=r"wrong\.gguf.*vocabulary and merges disagree"):
        read_gguf_tokenizer(path)


def test_folder_without_a_tokenizer_or_with_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"no tokenizer\.json"):
        read_folder_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(LabError, match=r"tokenizer\.json.*not a tokenizer file"):
        read_folder_tokenizer(tmp_path)
    save_tokenizer(tmp_path)
    for damaged in (b'{"chat_template": 3}', b'{"bos_token": "\xff"}'):
        (tmp_path / "tokenizer_config.json").write_bytes(damaged)
        with pytest.raises(LabError, match=r"tokenizer_config\.json"):
            read_folder_tokenizer(tmp_path)


def chat_of(folder: Path, config: dict[str, Any] | None, file: str | None = None) -> str:
    save_tokenizer(folder)
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if file is not None:
        (folder / "chat_template.jinja").write_text(file)
    return read_folder_tokenizer(folder).chat([{"role": "user", "content": "hi"}])


@pytest.mark.parametrize(
    ("config", "file", "expected"),
    [
        ({"chat_template": "{{ bos_token }}{{ messages[0].content }}", "bos_token": "<s>"}, None, "<s>hi"),
        ({"chat_template": "{{ eos_token }}", "eos_token": {"content": "</s>"}}, None, "</s>"),
        ({"chat_template": [{"name": "default", "template": "named"}]}, None, "named"),
        ({"chat_template": "old"}, "new", "new"),
        (None, "{% if add_generation_prompt %}\n  go\n{% endif %}", "  go\n"),
        (None, "{{ messages | tojson }}", '[{"role": "user", "content": "hi"}]'),
        (None, "{{ '<b>&中' | tojson(indent=1) }}", '"<b>&中"'),
        (None, "{% generation %}a{% endgeneration %}b", "ab"),
        (None, "{{ 'tools' if tools is not none else 'none' }}", "none"),
        ({"unk_token": "<unk>"}, "{{ unk_token }}", "<unk>"),
    ],
)
def test_where_a_chat_template_may_stand(
    tmp_path: Path, config: dict[str, Any] | None, file: str | None, expected: str
) -> None:
    assert chat_of(tmp_path, config, file) == expected


TEMPLATE = """{%- set ns = namespace(system='', turns=0) -%}
{{ bos_token }}
{% for message in messages %}
    {%- if message.role == 'system' %}{% set ns.system = message.content | trim %}{% continue %}{% endif %}
    {%- set ns.turns = ns.turns + 1 %}
<|{{ message['role'] }}|>{{ ns.system }}
    {%- generation %}{{ message.content | tojson }}{% endgeneration -%}
    {{ eos_token if not loop.last }}
{% endfor %}
{% if tools is not none %}tools{% endif %}{% if add_generation_prompt %}<|assistant|>{{ ns.turns }}{% endif %}
"""
CONVERSATIONS: list[list[dict[str, str]]] = [
    [{"role": "user", "content": ""}],
    [{"role": "system", "content": " 你是助手。\n"}, {"role": "user", "content": "“2 < 3 & 4 > 3”吗？"}],
    [
        {"role": "user", "content": "<|end|> </s> {{ bos_token }} {% raw %}"},
        {"role": "assistant", "content": "it's\ttabs\u2028and\\slashes 🙂"},
        {"role": "user", "content": "go on"},
    ],
]


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("prompt", [True, False])
def test_chats_equal_those_of_transformers(
    tmp_path: Path, conversation: list[dict[str, str]], prompt: bool
) -> None:
    from transformers import PreTrainedTokenizerFast

    save_tokenizer(tmp_path)
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": TEMPLATE, **names}))
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), **names)
    ours = read_folder_tokenizer(tmp_path).chat(conversation, add_generation_prompt=prompt)
    assert ours == theirs.apply_chat_template(
        conversation, chat_template=TEMPLATE, tokenize=False, add_generation_prompt=prompt
    )


def test_a_chat_template_that_is_no_text_is_refused(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff\xfe{")
    with pytest.raises(LabError, match=r"chat_template\.jinja.*cannot be read"):
        read_folder_tokenizer(tmp_path)


def test_a_text_is_neither_cut_nor_padded(tmp_path: Path) -> None:
    """As the tokenizer's training may have been, which its file remembers."""
    save_tokenizer(tmp_path)
    for key, value in (
        ("truncation", {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}),
        (
            "padding",
            {
                "strategy": {"Fixed": 16},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "<|end|>",
            },
        ),
    ):
        file = tmp_path / "tokenizer.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    assert len(read_folder_tokenizer(tmp_path).encode("abcdefgh")) == 8


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (None, "no chat template"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% if %}", "refuses these messages"),
        ("{{ messages + 1 }}", "refuses these messages: TypeError"),
        ("{{ messages.append(1) }}", "refuses these messages"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "refuses these messages"),
    ],
)
def test_templates_that_refuse_or_reach_out_of_the_sandbox(
    tmp_path: Path, file: str | None, reason: str
) -> None:
    with pytest.raises(LabError, match=reason):
        chat_of(tmp_path, None, file)
