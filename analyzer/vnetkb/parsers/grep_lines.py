# SPDX-License-Identifier: Apache-2.0
"""Lines that `grep -H` prints: ``path:text``."""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import is_binary_note, lines


def parse(data: bytes) -> list[tuple[str, str]]:
    """Return (path, text) for each line; the path ends at the first colon.

    Raises:
        ParseError: A line holds no colon.
    """
    rows: list[tuple[str, str]] = []
    for number, line in lines(data):
        path, colon, text = line.partition(":")
        if is_binary_note(line.encode("utf-8", "surrogateescape")) or not line:
            continue
        if not colon or not path:
            raise ParseError(line, "path:text", number)
        rows.append((path, text))
    return rows
