# SPDX-License-Identifier: Apache-2.0
"""/sys/module/MODULE/parameters/NAME, as `grep -H ""` prints them below /sys/module."""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.grep_lines import parse as parse_grep

_PARTS = 3


def parse(data: bytes) -> dict[str, dict[str, str]]:
    """Return by module and by parameter the value as text.

    Raises:
        ParseError: A line is not ``MODULE/parameters/NAME:value``.
    """
    rows: dict[str, dict[str, str]] = {}
    for number, (path, text) in enumerate(parse_grep(data), 1):
        parts = path.rsplit("/", _PARTS)[-_PARTS:]
        if len(parts) != _PARTS or parts[1] != "parameters" or not all(parts):
            raise ParseError(path, "MODULE/parameters/NAME", number)
        rows.setdefault(parts[0], {})[parts[2]] = text
    return rows
