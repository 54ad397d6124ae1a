# SPDX-License-Identifier: Apache-2.0
"""`netstat -s` of net-tools on Linux: sections and lines with a number, in English words.

Lines whose number is 0 are mostly left out, so a line that is missing says nothing; /proc/net/snmp and
netstat do. Keys that net-tools has no words for are printed as ``Key: number``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_SECTION = re.compile(r"(\S[^:]*):")
_NUMBER = re.compile(r"-?[0-9]{1,20}")


class Counted(NamedTuple):
    """One line: its words with ``N`` in the place of the number, and the number."""

    section: str
    words: str
    number: int


def parse(data: bytes) -> list[Counted]:
    """Return the lines with a number, in the order of the text.

    Raises:
        ParseError: A line with a number comes before the first section, or the text has none of either.
    """
    rows: list[Counted] = []
    section = ""
    for number, line in lines(data):
        if not line.strip():
            continue
        heading = _SECTION.fullmatch(line.rstrip())
        if heading is not None:
            section = heading[1]
            continue
        if not line.startswith((" ", "\t")) or not section:
            raise ParseError(line, "SECTION: and then lines set in", number)
        found = _NUMBER.search(line)
        if found is not None:
            words = " ".join(f"{line[: found.start()]}N{line[found.end() :]}".split())
            rows.append(Counted(section, words, int(found[0])))
    if not rows:
        raise ParseError(data, "SECTION: and then lines with numbers")
    return rows
