# SPDX-License-Identifier: Apache-2.0
r"""Text of Windows tools: a code page, UTF-8 or UTF-16 with or without a byte order mark.

Rows are told by their numbers, on bytes: in the code pages 437, 850, 932, 936, 949, 950 no second byte of a
letter is a digit, a blank, ``=`` or a line end, so numbers can be read without knowing the code page. `str`
methods must not be used on such text: they take bytes inside Chinese letters (0x85, 0xA0) for line ends and
blanks.
"""

from __future__ import annotations

import re

from vnetkb.parsers.errors import ParseError

_LINE_END = re.compile(rb"\r*\n")
_LINES_AT_MOST = 2_000_000
_BOMS = ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8"))


def rows(data: bytes) -> list[bytes]:
    """Return the lines that are not blank, without their ends; UTF-16 becomes UTF-8.

    Raises:
        ParseError: It begins like UTF-16 and is none, or has more than two million lines.
    """
    if data.count(b"\n") > _LINES_AT_MOST:
        raise ParseError(f"{data.count(10)} lines", f"at most {_LINES_AT_MOST}")
    text = _bytes(data)
    return [line for line in _LINE_END.split(text) if line.strip(b" \t\r\n\0\x0c")]


def is_torn(data: bytes) -> bool:
    """Return whether text does not end with a line end, so that its last number may be cut."""
    return not data.rstrip(b"\0 \t\f\x1a").endswith((b"\n", b"\r"))


def _bytes(data: bytes) -> bytes:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            rest = data[len(mark) :]
            return rest if encoding == "utf-8" else _from_utf16(rest, encoding)
    # no code page has zero bytes; in UTF-16 a blank or a digit has one, always on the same side
    before, after = data[::2].count(0), data[1::2].count(0)
    if before == after:
        return data
    return _from_utf16(data, "utf-16-le" if after > before else "utf-16-be")


def _from_utf16(data: bytes, encoding: str) -> bytes:
    try:
        return data.decode(encoding).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise ParseError(data[error.start : error.start + 20], f"text in {encoding.upper()}") from None
