"""Every string of the window has its Chinese, and the compiled file holds what the source file says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PySide6.QtCore import QTranslator

from gui.language import TRANSLATIONS

SOURCE = TRANSLATIONS / "inferlab_zh.ts"
PLACEHOLDER = re.compile(r"{\w+}|%n")
MESSAGES = [
    (str(context.findtext("name")), message)
    for context in ElementTree.parse(SOURCE).getroot().iter("context")
    for message in context.iter("message")
]


def source_of(message: ElementTree.Element) -> str:
    return message.findtext("source") or ""


def translation_of(message: ElementTree.Element) -> str:
    return message.findtext("translation/numerusform") or message.findtext("translation") or ""


def test_nothing_is_unfinished() -> None:
    unfinished = [
        f"{context}: {source_of(message)}"
        for context, message in MESSAGES
        if not translation_of(message).strip()
    ]
    assert unfinished == []


def test_placeholders_survive_translation() -> None:
    for _context, message in MESSAGES:
        asked = sorted(PLACEHOLDER.findall(source_of(message)))
        assert sorted(PLACEHOLDER.findall(translation_of(message))) == asked, source_of(message)


@pytest.fixture(scope="module")
def translator() -> QTranslator:
    made = QTranslator()
    assert made.load(str(TRANSLATIONS / "inferlab_zh.qm"))
    return made


def test_the_compiled_file_is_current(translator: QTranslator) -> None:
    for context, message in MESSAGES:
        count = 1 if message.get("numerus") else -1
        shown = translator.translate(context, source_of(message), None, count)
        assert shown == translation_of(message)


def test_every_string_in_the_code_is_in_the_file() -> None:
    """What `make translations` would add: a string in tr() or translate() that the file does not have."""
    known = {source_of(message) for _context, message in MESSAGES}
    called = re.compile(r'(?:\btr\(|\btranslate\(\s*"\w+",|NOOP\("\w+",)\s*"((?:[^"\\]|\\.)*)"\s*[,)]')
    missing = {
        text
        for path in Path("gui").rglob("*.py")
        for text in called.findall(path.read_text(encoding="utf-8"))
        if text.replace("\\n", "\n") not in known
    }
    assert missing == set()
