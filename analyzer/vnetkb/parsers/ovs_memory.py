# SPDX-License-Identifier: Apache-2.0
"""`ovs-appctl memory/show`: how many of what ovs-vswitchd holds (lib/memory.c, `memory_report`)."""

from __future__ import annotations

import re

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import decode

_PAIR = re.compile(r"([A-Za-z][A-Za-z _-]{0,60}):([0-9]{1,20})")


def parse(data: bytes) -> dict[str, int]:
    """Return the numbers by name, as in ``rules`` and ``udpif keys``.

    Raises:
        ParseError: The text is not one line of ``name:number``.
    """
    text = decode(data).strip()
    found: dict[str, int] = {}
    position = 0
    while position < len(text):
        match = _PAIR.match(text, position)
        if match is None:
            raise ParseError(text[position : position + 80], "'name:number'")
        found[match[1]] = int(match[2])
        position = match.end()
        if position < len(text):
            if text[position] != " ":
                raise ParseError(text[position : position + 80], "a blank between 'name:number'")
            position += 1
    return found
