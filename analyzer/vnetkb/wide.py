# SPDX-License-Identifier: Apache-2.0
"""Text laid out in the columns of a terminal, where a Chinese character takes two.

Widths are those of Unicode's East Asian Width (UAX 11): W and F take two columns, marks that sit on another
character none. Chinese has no blanks between words, so a line may break between any two characters, but not
before closing punctuation nor after opening punctuation.
"""

import re
import textwrap
import unicodedata
from functools import cache

_WIDE = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff"
    "\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
)
_LOWEST_WIDE = _WIDE[0]
_OPENING = "（【《「“‘"
_CLOSING = "，。、；：！？）】》」”’"


# Compiled when they are needed: that takes longer than the rest of a short report.
@cache
def _any_wide() -> re.Pattern[str]:
    return re.compile(f"[{_WIDE}]")


@cache
def _piece() -> re.Pattern[str]:
    return re.compile(rf"(\s*)([{_OPENING}]*(?:[{_WIDE}]|[^{_WIDE}{_OPENING}{_CLOSING}\s]+)?[{_CLOSING}]*)")


def columns(text: str) -> int:
    """Return how many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(letter) for letter in text)


def _columns_of(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in {"W", "F"} else 1


def ljust(text: str, width: int) -> str:
    """Return a text with blanks up to a width in columns."""
    return text + " " * (width - columns(text))


def wrap(text: str, width: int, *, first: str = "", rest: str = "") -> list[str]:
    """Return a text in lines of at most so many columns, as `textwrap.wrap` does; long words stay whole.

    Args:
        text: The text; line breaks in it are blanks.
        width: Columns.
        first: What the first line begins with.
        rest: What the other lines begin with.
    """
    whole = text + first + rest
    if max(whole, default="") < _LOWEST_WIDE or not _any_wide().search(whole):
        return _wrap_narrow(text, width, first, rest)
    lines: list[str] = []
    line, used, empty = first, columns(first), True
    for gap, piece in _piece().findall(text):
        if not piece:
            continue
        room = columns(gap) + columns(piece)
        if not empty and used + room > width:
            lines.append(line)
            line, used, empty = rest, columns(rest), True
        added = piece if empty else gap.replace("\n", " ") + piece
        line, used, empty = line + added, used + columns(added), False
    return lines if empty else [*lines, line]


def _wrap_narrow(text: str, width: int, first: str, rest: str) -> list[str]:
    """Do what `textwrap.wrap` does, in less time where blanks are the only white space of the text."""
    if text.startswith(" ") or not text.isprintable():
        return textwrap.wrap(
            text,
            width,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
    lines: list[str] = []
    start, end, indent = 0, len(text.rstrip(" ")), first
    while start < end:
        cut = start + max(0, width - len(indent))
        if cut < end:
            cut = text.rfind(" ", start, cut + 1)
            if cut < 0:
                cut = text.find(" ", start)
        cut = end if cut < 0 else min(cut, end)
        lines.append(indent + text[start:cut].rstrip(" "))
        start, indent = cut, rest
        while start < end and text[start] == " ":
            start += 1
    return lines
