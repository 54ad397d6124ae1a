# SPDX-License-Identifier: Apache-2.0
"""Lines ``key value`` or ``key=value``: a guest's clock, what its collector says of itself."""

from __future__ import annotations

import re

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_LINE = re.compile(r"([a-z][a-z0-9_]{0,40})[ =](.*)")


def parse(data: bytes) -> list[tuple[str, str]]:
    """Return the pairs in the order of the text; a key can come more than once.

    Raises:
        ParseError: A line is not a key and a value.
    """
    rows: list[tuple[str, str]] = []
    for number, line in lines(data):
        text = line.rstrip("\r")
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise ParseError(text, "KEY VALUE or KEY=VALUE", number)
        rows.append((match[1], match[2]))
    return rows
