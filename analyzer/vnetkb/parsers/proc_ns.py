# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of processes: lines ``/proc/PID/ns/net -> net:[4026531840]``."""

from __future__ import annotations

import re

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_ROW = re.compile(r"(?:.* )?[^ ]*?\b(self|[0-9]{1,10})/ns/net -> net:\[([0-9]{1,20})\]")


def parse(data: bytes) -> dict[str, int]:
    """Return the number of the network namespace by process id as text; ``self`` is the collector.

    Raises:
        ParseError: A line has another layout.
    """
    rows: dict[str, int] = {}
    for number, line in lines(data):
        match = _ROW.fullmatch(line)
        if match is None:
            if not line:
                continue
            raise ParseError(line, "/proc/PID/ns/net -> net:[NUMBER]", number)
        rows[match[1]] = int(match[2])
    return rows
