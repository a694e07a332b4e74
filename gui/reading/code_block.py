"""A code block: highlighted HTML in a frame of its own, and the text that its Copy link yields."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pygments.token import _TokenType

# The page replaces it by "Copy" in the language of the window: rendered notes are cached for both.
COPY_LABEL = "\ue010copy\ue011"
_PROMPTS = (">>> ", "... ")


def copied_text(code: str, language: str) -> str:
    """What Copy yields: of a session, the statements without prompts and output; of other code, all of it."""
    if language != "pycon":
        return code
    kept = []
    for line in code.splitlines():
        if line.startswith(_PROMPTS):
            kept.append(line[4:])
        elif line in (">>>", "..."):
            kept.append("")
    return "\n".join(kept) + "\n"


def code_html(code: str, language: str, index: int) -> str:
    """The block as a table with a head row, which QTextDocument can give a background and padding.

    ``index`` is the block's number on the page; its Copy link is ``copy:index``.
    """
    head = (
        f'<tr><td class="code-head"><span class="code-language">{escape(language or "text")}</span></td>'
        f'<td class="code-head" align="right"><a class="copy" href="copy:{index}">{COPY_LABEL}</a></td></tr>'
    )
    body = f'<tr><td class="code-body" colspan="2"><pre>{highlighted(code, language)}</pre></td></tr>'
    return f'<table class="code" width="100%" cellspacing="0">{head}{body}</table>'


def highlighted(code: str, language: str) -> str:
    """``code`` escaped, with a span of one of the classes of ``_category`` around each coloured token."""
    # 0.1 s, and a cached note needs none of it.
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language or "text", stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape(code.rstrip("\n"))
    parts: list[tuple[str, str]] = []
    # The final newline stays until the end: the session lexer takes a last line without one for plain text.
    for token, text in lexer.get_tokens(code.rstrip("\n") + "\n"):
        category = _category(token)
        if parts and parts[-1][0] == category:
            parts[-1] = (category, parts[-1][1] + text)
        else:
            parts.append((category, text))
    if parts:
        parts[-1] = (parts[-1][0], parts[-1][1].rstrip("\n"))
    return "".join(
        f'<span class="{category}">{escape(text)}</span>' if category else escape(text)
        for category, text in parts
    )


def _category(token: _TokenType) -> str:
    """The style sheet's class for a pygments token; "" for plain text."""
    from pygments.token import Comment, Generic, Keyword, Literal, Name, Operator, String

    # The first that is the token's kind or above it: a string is a literal too.
    classes = (
        (Comment, "c"),
        (Keyword, "k"),
        (Operator.Word, "k"),
        (String, "s"),
        (Literal, "n"),
        (Name.Function, "f"),
        (Name.Class, "f"),
        (Name.Decorator, "f"),
        (Name.Builtin, "b"),
        (Generic.Prompt, "p"),
        (Generic.Output, "o"),
        (Generic.Traceback, "e"),
        (Generic.Error, "e"),
    )
    return next((name for kind, name in classes if token[: len(kind)] == kind), "")
