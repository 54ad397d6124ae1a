# SPDX-License-Identifier: Apache-2.0
"""Lines of the kernel log as `dmesg` prints them, chosen by the collector."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.text import lines

_LINE = re.compile(r"(?:<[0-9]{1,3}>)?\[ *([0-9]{1,12}\.[0-9]{1,9})\](?:\[ *[TC][0-9]{1,10}\])? ?(.*)")


@dataclass(frozen=True, slots=True)
class KernelLogLine:
    """One line.

    Attributes:
        seconds: Seconds after boot; None where the kernel does not print times.
        text: What it says.
    """

    seconds: float | None
    text: str


def parse(data: bytes) -> list[KernelLogLine]:
    """Return the lines in their order; empty ones are left out. Any text is a log, so nothing is refused."""
    rows: list[KernelLogLine] = []
    for _, line in lines(data):
        match = _LINE.fullmatch(line)
        if match is not None:
            rows.append(KernelLogLine(float(match[1]), match[2]))
        elif line:
            rows.append(KernelLogLine(None, line))
    return rows
