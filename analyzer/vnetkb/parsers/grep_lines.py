# SPDX-License-Identifier: Apache-2.0
"""Lines that `grep -H` prints: ``path:text``."""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines


def parse(data: bytes) -> list[tuple[str, str]]:
    """Return (path, text) for each line; the path ends at the first colon.

    Raises:
        ParseError: A line holds no colon.
    """
    rows: list[tuple[str, str]] = []
    for number, line in lines(data):
        path, colon, text = line.partition(":")
        if not line:
            continue
        if not colon or not path:
            raise ParseError(line, "path:text", number)
        rows.append((path, text))
    return rows
