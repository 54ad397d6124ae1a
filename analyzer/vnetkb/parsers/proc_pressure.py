# SPDX-License-Identifier: Apache-2.0
"""/proc/pressure/*, as `psi_show` in kernel/sched/psi.c prints them, through `grep -H ""`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.grep_lines import parse as parse_grep

_NUMBER = r"([0-9]{1,3}\.[0-9]{1,4})"
_ROW = re.compile(rf"(some|full) avg10={_NUMBER} avg60={_NUMBER} avg300={_NUMBER} total=([0-9]{{1,40}})")


@dataclass(frozen=True, slots=True)
class Pressure:
    """Share of time in which tasks waited for a resource.

    Attributes:
        avg10: Per cent over the last 10 seconds.
        avg60: Per cent over the last minute.
        avg300: Per cent over the last 5 minutes.
        total_us: Time since boot, microseconds.
    """

    avg10: float
    avg60: float
    avg300: float
    total_us: int


def parse(data: bytes) -> dict[str, dict[str, Pressure]]:
    """Return the pressure by resource (``cpu``, ``memory``, ``io``, ``irq``) and kind (``some``, ``full``).

    Raises:
        ParseError: A line has another layout.
    """
    rows: dict[str, dict[str, Pressure]] = {}
    for number, (path, text) in enumerate(parse_grep(data), 1):
        rows.setdefault(path.rpartition("/")[2], {}).update([pressure_line(text, number)])
    return rows


def pressure_line(text: str, line: int | None = None) -> tuple[str, Pressure]:
    """Return the kind and the numbers of one line of a pressure file.

    Raises:
        ParseError: The line has another layout.
    """
    match = _ROW.fullmatch(text)
    if match is None:
        raise ParseError(text, "'some avg10=N avg60=N avg300=N total=N'", line)
    return match[1], Pressure(float(match[2]), float(match[3]), float(match[4]), int(match[5]))
