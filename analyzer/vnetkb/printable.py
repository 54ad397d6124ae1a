# SPDX-License-Identifier: Apache-2.0
"""Makes text of unknown origin safe to print: a bundle must not be able to steer a terminal."""

import re

# C0 without newline and tab, DEL, C1; line and paragraph separators; bidirectional and invisible controls;
# lone surrogates, which stand for bytes that are not UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return `text` with everything that could steer a terminal written as `\x1b` or `\u202e`.

    Newlines and tabs stay. Bytes that were not UTF-8 (surrogateescape) are written as the byte, `\xff`.
    """
    return _UNSAFE.sub(_escaped, text)


def printable_json(text: str) -> str:
    r"""Return JSON `text` with the same characters written as `\u202e`, which means the same to a program."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - the range of surrogateescape, PEP 383
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - two hex digits or four
