# SPDX-License-Identifier: Apache-2.0
"""Lines of ovs-vswitchd.log that the collector chose: ``TIME|NUMBER|MODULE(THREAD)|LEVEL|TEXT``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.text import lines

_LINE = re.compile(r"([^|]{1,40})\|[0-9]{1,10}\|([A-Za-z0-9_]{1,60})(?:\([^)|]*\))?\|([A-Z]{1,8})\|(.*)")


@dataclass(frozen=True, slots=True)
class SwitchLogLine:
    """One line: when as printed, the module of the program that wrote it, its level, what it says."""

    when: str
    module: str
    level: str
    text: str


def parse(data: bytes) -> list[SwitchLogLine]:
    """Return the lines in their order; others are left out. Any text is a log, so nothing is refused."""
    found = (_LINE.fullmatch(line) for _, line in lines(data))
    return [SwitchLogLine(*match.groups()) for match in found if match is not None]
