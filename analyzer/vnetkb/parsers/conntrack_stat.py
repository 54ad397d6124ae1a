# SPDX-License-Identifier: Apache-2.0
"""/proc/net/stat/nf_conntrack: one line a CPU in hexadecimal (the kernel's `ct_cpu_seq_show`)."""

from __future__ import annotations

import re

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_HEX = re.compile(r"[0-9a-f]{1,16}")
_NEEDED = ("entries", "drop")


def parse(data: bytes) -> dict[str, int]:
    """Return the counters by their heading, added up over the CPUs; ``entries`` is the same on each line.

    Raises:
        ParseError: A heading is missing, or a row does not have as many numbers as there are headings.
    """
    names: list[str] | None = None
    found: dict[str, int] = {}
    for number, line in lines(data):
        words = line.split()
        if names is None:
            names = words
            if not set(_NEEDED) <= set(names):
                raise ParseError(line, f"the headings {', '.join(_NEEDED)}", number)
            continue
        if len(words) != len(names) or not all(_HEX.fullmatch(word) for word in words):
            raise ParseError(line, f"{len(names)} hexadecimal numbers, as in the heading", number)
        for name, word in zip(names, words, strict=True):
            found[name] = int(word, 16) + (0 if name == "entries" else found.get(name, 0))
    return found
