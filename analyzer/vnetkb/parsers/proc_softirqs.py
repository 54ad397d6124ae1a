# SPDX-License-Identifier: Apache-2.0
"""/proc/softirqs: a line for each kind of softirq, a column for each possible CPU (fs/proc/softirqs.c)."""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines


def parse(data: bytes) -> dict[str, list[int]]:
    """Return the counts by kind, one for each CPU of the heading.

    Raises:
        ParseError: The heading is missing, or a row has other columns.
    """
    found: dict[str, list[int]] = {}
    cpus = 0
    for number, line in lines(data):
        words = line.split()
        if number == 1:
            if not words or any(not word.startswith("CPU") for word in words):
                raise ParseError(line, "a heading of CPU names", number)
            cpus = len(words)
            continue
        if not words:
            continue
        kind, counts = words[0].removesuffix(":"), words[1:]
        if kind == words[0] or len(counts) != cpus:
            raise ParseError(line, f"KIND: and {cpus} numbers", number)
        found[kind] = [integer(word, "a count", number) for word in counts]
    return found
