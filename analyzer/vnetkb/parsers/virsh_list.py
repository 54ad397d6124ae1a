# SPDX-License-Identifier: Apache-2.0
"""`virsh list --all` in the C locale: a table of id, name and state."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

# virDomainState names as tools/virsh-domain-monitor.c prints them
_STATES = "no state|running|idle|paused|in shutdown|shut off|crashed|pmsuspended"
_ROW = re.compile(rf"\s*([0-9]{{1,10}}|-)\s+(.*?)\s+({_STATES})\s*")
_HEADER = re.compile(r"\s*Id\s+Name\s+State\s*")


@dataclass(frozen=True, slots=True)
class DomainState:
    """One libvirt domain.

    Attributes:
        id: Number of a running domain; None for one that is shut off.
        name: Name of the domain.
        state: running, idle, paused, in shutdown, shut off, crashed, pmsuspended or no state.
    """

    id: int | None
    name: str
    state: str


def parse(data: bytes) -> list[DomainState]:
    """Return the domains in the order of the table.

    Raises:
        ParseError: The header is missing or a row does not end in a known state.
    """
    rows: list[DomainState] = []
    headed = False
    for number, line in lines(data):
        if not line.strip() or set(line.strip()) == {"-"}:
            continue
        if not headed:
            if _HEADER.fullmatch(line) is None:
                raise ParseError(line, "the header 'Id Name State'", number)
            headed = True
            continue
        match = _ROW.fullmatch(line)
        if match is None or not match[2]:
            raise ParseError(line, "id, name and state of a domain", number)
        rows.append(DomainState(None if match[1] == "-" else int(match[1]), match[2], match[3]))
    return rows
