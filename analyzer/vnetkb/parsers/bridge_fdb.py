# SPDX-License-Identifier: Apache-2.0
"""`bridge -s fdb show`, of learned addresses only, then lines ``# PORT BRIDGE NUMBER`` of the collector."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_ENTRY = re.compile(r"(\S+) dev (\S+) (?:vlan ([0-9]{1,4}) )?(?:.* )?master (\S+)(?: .*)?")
_COUNT = re.compile(r"# (\S+) (\S+) ([0-9]{1,10})")


@dataclass(frozen=True, slots=True)
class Learned:
    """An address that a bridge learned: where it was seen last."""

    mac: str
    port: str
    bridge: str
    vlan: int | None


@dataclass(frozen=True, slots=True)
class Fdb:
    """What the bridges of a host learned.

    Attributes:
        entries: The first of the learned addresses.
        counts: How many there are in all, by (bridge, port).
    """

    entries: tuple[Learned, ...]
    counts: dict[tuple[str, str], int]


def parse(data: bytes) -> Fdb:
    """Return the addresses and their numbers.

    Raises:
        ParseError: A line is neither an address nor a number.
    """
    entries: list[Learned] = []
    counts: dict[tuple[str, str], int] = {}
    for number, line in lines(data):
        text = line.rstrip()
        if not text:
            continue
        if count := _COUNT.fullmatch(text):
            counts[count[2], count[1]] = int(count[3])
        elif entry := _ENTRY.fullmatch(text):
            vlan = None if entry[3] is None else int(entry[3])
            entries.append(Learned(entry[1], entry[2], entry[4], vlan))
        else:
            raise ParseError(line, "'MAC dev PORT … master BRIDGE' or '# PORT BRIDGE NUMBER'", number)
    return Fdb(tuple(entries), counts)
