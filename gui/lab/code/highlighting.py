"""Which parts of a line of code are what, by one pattern a language: fast enough to ask only for lines in
sight."""

from __future__ import annotations

import keyword
import re
from typing import NamedTuple

# What a part can be; the theme gives each a colour (``colours.py``).
ROLES = ("comment", "string", "number", "keyword", "name", "directive")

_STRING = r"(?P<string>\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?)"
_HEXADECIMAL = r"0[xX][0-9a-fA-F]+|0[fFdD][0-9a-fA-F]{8,16}"
_NUMBER = rf"(?P<number>\b(?:{_HEXADECIMAL}|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\b)"
_PYTHON_WORDS = "|".join(keyword.kwlist)
_CPP_WORDS = (
    "alignas|auto|bool|break|case|catch|char|class|const|constexpr|continue|default|delete|do|double|else|enum|"
    "explicit|extern|false|float|for|friend|if|inline|int|long|namespace|new|nullptr|operator|private|protected|"
    "public|return|short|signed|sizeof|static|struct|switch|template|this|throw|true|try|typedef|typename|union|"
    "unsigned|using|virtual|void|volatile|while|size_t|u?int(?:8|16|32|64)_t|half|__global__|__device__|__host__|"
    "__shared__|__restrict__|__launch_bounds__|__syncthreads|__half2?|float[24]|dim3"
)
_LLVM_WORDS = (
    "define|declare|target|datalayout|triple|attributes|source_filename|ret|br|switch|call|tail|load|store|"
    "getelementptr|inbounds|phi|select|icmp|fcmp|add|sub|mul|[su]div|[su]rem|f(?:add|sub|mul|div|neg)|and|or|xor|"
    "shl|[al]shr|(?:z|s|fp)ext|f?p?trunc|bitcast|addrspacecast|insertvalue|extractvalue|insertelement|"
    "extractelement|shufflevector|align|addrspace|nsw|nuw|void|ptr|half|bfloat|float|double|i\\d+|to|label|asm|"
    "sideeffect|unreachable|fence|atomicrmw|cmpxchg|alloca"
)
_MLIR = (
    r"(?P<comment>//.*)|%[\w#]+|" + _STRING + r"|(?P<directive>#\w+|\^\w+|@\w+)"
    r"|(?P<keyword>\b(?:module|func|return|loc|attributes|public|private|to|step|iter_args)\b|\b[a-z]\w*\.[\w.]+)"
    r"|(?P<name>![\w.]+|\b(?:tensor|memref|vector)\b|(?:\b|(?<=x))(?:i|f|bf|u)\d+\b)|" + _NUMBER
)


class Language(NamedTuple):
    """``pattern``'s groups are roles, and ``open`` a delimiter that another line may close: ``opens`` says
    with what, and which role it has."""

    pattern: re.Pattern[str]
    opens: dict[str, tuple[str, str]] = {}  # noqa: RUF012  # never changed


LANGUAGES = {
    "python": Language(
        re.compile(
            r"(?P<comment>#.*)|[rRbBfF]{0,2}(?P<open>\"\"\"|''')|"
            + _STRING
            + r"|(?P<directive>^\s*@[\w.]+)|(?<=def )(?P<name>\w+)|(?<=class )(?P<name2>\w+)"
            + rf"|(?P<keyword>\b(?:{_PYTHON_WORDS})\b)|"
            + _NUMBER
        ),
        {'"""': ('"""', "string"), "'''": ("'''", "string")},
    ),
    "cpp": Language(
        re.compile(
            r"(?P<comment>//.*)|(?P<open>/\*)|" + _STRING + r"|(?P<directive>^\s*#\s*\w+)"
            rf"|(?P<keyword>\b(?:{_CPP_WORDS})\b)|(?P<name>\b\w+(?=\())|" + _NUMBER
        ),
        {"/*": ("*/", "comment")},
    ),
    "ttir": Language(re.compile(_MLIR)),
    "llvm": Language(
        re.compile(
            r"(?P<comment>;.*)|%[\w.]+|" + _STRING + r"|(?P<directive>[@!#][\w.$-]+|^[\w.$-]+:)"
            rf"|(?P<keyword>\b(?:{_LLVM_WORDS})\b)|" + _NUMBER
        )
    ),
    "ptx": Language(
        re.compile(
            r"(?P<comment>//.*)|(?P<open>/\*)|" + _STRING + r"|(?P<directive>^\s*\.\w+|^\s*\$\w+:|@!?%\w+)"
            r"|(?<=[\s;])(?P<keyword>[a-z]\w*(?:\.\w+)+|ret\b|bra\b|bar\b)|(?P<name>%(?:ctaid|tid|ntid|nctaid|laneid|"
            r"warpid)[.\w]*)|" + _NUMBER
        ),
        {"/*": ("*/", "comment")},
    ),
    "sass": Language(
        re.compile(
            r"(?P<comment>//.*|/\*[^*]*\*/)|(?P<directive>^\s*\.\w[\w.]*:?|@!?U?P\d|^\s*\.?L_[\w.]+:)"
            r"|(?P<keyword>\b[A-Z][A-Z0-9]+(?:\.[A-Z0-9_x]+)*\b(?<!\bRZ)(?<!\bURZ)(?<!\bPT)(?<!R\d)(?<!R\d\d)(?<!R\d\d\d)"
            r"(?<!P\d))|(?P<name>\bSR_[\w.]+)|" + _NUMBER
        )
    ),
    "amdgcn": Language(
        re.compile(
            r"(?P<comment>;.*|//.*)|" + _STRING + r"|(?P<directive>^\s*\.\w[\w.]*:?|^[\w.$]+:)"
            r"|(?P<keyword>\b(?:v|s|ds|global|buffer|flat|scratch)_\w+)|(?P<name>\b[vsa]\[[\d:]+\])|"
            + _NUMBER
        )
    ),
    "hlo": Language(
        re.compile(
            r"(?P<comment>//.*)|(?P<open>/\*)|" + _STRING + r"|(?P<directive>\b(?:HloModule|ENTRY|ROOT)\b)"
            r"|(?P<name>\b(?:f|bf|s|u|c)\d+(?=\[)|\bpred(?=\[))|(?P<keyword>\b[a-z][\w-]*(?=\())|" + _NUMBER
        ),
        {"/*": ("*/", "comment")},
    ),
    "text": Language(re.compile(r"(?!)")),
}
LANGUAGES["ttgir"] = LANGUAGES["ttir"]

Span = tuple[int, int, str]  # start, end, role


def spans(language: str, line: str, state: str = "") -> tuple[list[Span], str]:
    """The parts of ``line`` that have a role, and the state at its end.

    ``state`` is the delimiter that was opened in an earlier line and not closed, ``""`` where there is none.
    An unknown language is plain text.
    """
    rules = LANGUAGES.get(language, LANGUAGES["text"])
    found: list[Span] = []
    at = 0
    if state:
        at, state = _to_the_close(rules, line, 0, 0, state, found)
    while at < len(line) and (match := rules.pattern.search(line, at)):
        at = match.end()
        role = match.lastgroup
        if role is None:
            continue  # the name of a value
        if role == "open":
            start = match.start("open")
            at, state = _to_the_close(rules, line, start, at, match.group("open"), found)
        else:
            found.append((match.start(role), match.end(role), role.rstrip("2")))
    return found, state


def state_after(language: str, line: str, state: str) -> str:
    """The state at the end of ``line``, found without looking closer where nothing opens or closes."""
    if not state and not any(delimiter in line for delimiter in LANGUAGES[language].opens):
        return ""
    return spans(language, line, state)[1]


def _to_the_close(
    rules: Language, line: str, start: int, at: int, delimiter: str, found: list[Span]
) -> tuple[int, str]:
    """Adds the part from ``start`` to the delimiter's close, searched from ``at``; returns its end and the
    state there."""
    close, role = rules.opens[delimiter]
    end = line.find(close, at)
    stop = len(line) if end < 0 else end + len(close)
    found.append((start, stop, role))
    return stop, delimiter if end < 0 else ""
