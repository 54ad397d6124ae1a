# SPDX-License-Identifier: Apache-2.0
"""/etc/os-release, whose notation is that of os-release(5)."""

from __future__ import annotations

import re

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_ROW = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_ESCAPE = re.compile(r"\\(.)")


def parse(data: bytes) -> dict[str, str]:
    """Return the variables (``ID``, ``VERSION_ID``, ``PRETTY_NAME`` …) without their quotes.

    Raises:
        ParseError: A line is neither a comment nor ``NAME=value``.
    """
    rows: dict[str, str] = {}
    for number, line in lines(data):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _ROW.fullmatch(text)
        if match is None:
            raise ParseError(line, "NAME=value", number)
        value = match[2]
        if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1:
            value = value[1:-1]
        rows[match[1]] = _ESCAPE.sub(r"\1", value)
    return rows
