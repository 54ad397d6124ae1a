# SPDX-License-Identifier: Apache-2.0
"""Reads C functions of a kernel source: their statements with line numbers, comments and layout aside.

Needs the optional extra `verify` (tree-sitter with the C grammar).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from vnetkb.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node, Parser

_SIMPLE = frozenset(
    {
        "expression_statement",
        "return_statement",
        "goto_statement",
        "break_statement",
        "continue_statement",
        "declaration",
    }
)
_HEADED = frozenset({"if_statement", "while_statement", "for_statement", "switch_statement"})
_ATTRIBUTES = frozenset({"__attribute__", "__printf", "__aligned", "__section", "__acquires", "__releases"})
_CALL = re.compile(r"([A-Za-z_]\w*)\(([A-Za-z_]\w*)?")
_WORD = re.compile(r"[A-Za-z0-9_]")
_TOKEN = re.compile(
    rb'"(?:\\.|[^"\\])*"'
    rb"|'(?:\\.|[^'\\])*'"
    rb"|[A-Za-z_][A-Za-z0-9_]*|[0-9][A-Za-z0-9_.]*"
    rb"|/\*.*?\*/|//[^\n]*"
    rb"|\\\n|\s+|.",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a function.

    Attributes:
        text: The statement normalised: no comments, no white space but between words. Of an `if`, `while`,
            `for` or `switch` only the head.
        line: Its first line in the file, from 1.
    """

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function definition.

    Attributes:
        name: Its name.
        line: The line of its opening brace, from 1.
        statements: Its statements, nested ones included, in the order of the file.
    """

    name: str
    line: int
    statements: tuple[Statement, ...]


def functions(source: bytes) -> dict[str, tuple[Function, ...]]:
    """Return the functions of a kernel source file by name; `#if` may give one name several.

    The file is cut at the braces in the first column, as kernel style has them, and each body parsed alone:
    a macro that is no C for a parser then spoils at most the function that it is in.
    """
    found: dict[str, list[Function]] = {}
    for header, line, body in _bodies(source):
        name = _name(header)
        if name is not None:
            tree = _parser().parse(b"void f(void)\n" + body)
            # The synthetic header takes one line, and lines count from 1.
            function = Function(name, line, tuple(_statements(tree.root_node, line - 1)))
            found.setdefault(name, []).append(function)
    return {name: tuple(each) for name, each in found.items()}


def _bodies(source: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield the header, the line of the opening brace (from 1) and the text of what is in braces."""
    lines = source.split(b"\n")
    header: list[bytes] = []
    opened: int | None = None
    for number, line in enumerate(lines, start=1):
        if opened is not None:
            if line.startswith(b"}"):
                yield b"\n".join(header), opened, b"\n".join(lines[opened - 1 : number])
                header, opened = [], None
        elif line.rstrip() == b"{":
            opened = number
        elif not line.strip() or line.startswith((b"#", b"}", b" *", b"/*")) or line.rstrip().endswith(b";"):
            header = []
        else:
            header.append(line)


def _name(header: bytes) -> str | None:
    """Return a function's name; a macro such as `BPF_CALL_2(name, ...)` has it as its first argument."""
    for match in _CALL.finditer(normalise(header)):
        if match[1] not in _ATTRIBUTES:
            return match[2] if match[1].isupper() and match[2] else match[1]
    return None


def normalise(code: str | bytes) -> str:
    """Return C code without comments, and with white space only between two words."""
    data = code.encode() if isinstance(code, str) else code
    text = ""
    for match in _TOKEN.finditer(data):
        token = match[0].decode("utf-8", "surrogateescape")
        if token.isspace() or token.startswith(("\\\n", "/*", "//")):
            continue
        if text and _WORD.match(text[-1]) and _WORD.match(token):
            text += " "
        text += token
    return text


@lru_cache(maxsize=1)
def _parser() -> Parser:
    try:
        import tree_sitter  # noqa: PLC0415 - an optional extra
        import tree_sitter_c  # noqa: PLC0415 - an optional extra
    except ImportError as fault:
        raise UsageProblem(
            "kb verify needs tree-sitter: run pip install '.[verify]' in the source tree of vnetkb"
        ) from fault
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))


def _statements(node: Node, before: int) -> Iterator[Statement]:
    for child in node.children:
        if child.type in _SIMPLE:
            yield _statement(child.text or b"", child, before)
        elif child.type in _HEADED:
            yield _statement(_head(child), child, before)
        elif child.type == "case_statement":
            yield _statement(_case_head(child), child, before)
        if child.child_count:
            yield from _statements(child, before)


def _statement(code: bytes, node: Node, before: int) -> Statement:
    return Statement(normalise(code), node.start_point[0] + before)


def _head(node: Node) -> bytes:
    """Return the head of a compound statement, `if (...)`."""
    body = node.child_by_field_name("body") or node.child_by_field_name("consequence")
    end = node.end_byte if body is None else body.start_byte
    return (node.text or b"")[: end - node.start_byte]


def _case_head(node: Node) -> bytes:
    colon = next((child for child in node.children if child.type == ":"), None)
    end = node.end_byte if colon is None else colon.end_byte
    return (node.text or b"")[: end - node.start_byte]
