# SPDX-License-Identifier: Apache-2.0
"""`ovs-appctl bond/show`: blocks ``---- NAME ----`` (ofproto/bond.c, `bond_print_details`).

A link is called slave up to 2.14 and member later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_NAME = re.compile(r"---- (\S+) ----")
_MODE = re.compile(r"bond_mode: (\S+)")
_LINK = re.compile(r"(?:slave|member) (\S+): (enabled|disabled)")
_ACTIVE = re.compile(r"active (?:slave|member)")


@dataclass(frozen=True, slots=True)
class BondLink:
    """One link of a bond: its device, whether it may carry packets, and whether it is the active one."""

    name: str
    enabled: bool
    active: bool = False


@dataclass(frozen=True, slots=True)
class Bond:
    """One bond: its port, ``active-backup``, ``balance-slb`` or ``balance-tcp``, and its links."""

    name: str
    mode: str | None
    links: tuple[BondLink, ...]


def parse(data: bytes) -> list[Bond]:
    """Return the bonds in the order of the text.

    Raises:
        ParseError: The text does not begin with ``---- NAME ----``, or a link's line has another layout.
    """
    rows: list[Bond] = []
    for number, line in lines(data):
        text = line.strip()
        name = _NAME.fullmatch(text)
        if name is not None:
            rows.append(Bond(name[1], None, ()))
        elif not text:
            continue
        elif not rows:
            raise ParseError(line, "'---- NAME ----'", number)
        else:
            rows[-1] = _with(rows[-1], line, number)
    return rows


def _with(bond: Bond, line: str, number: int) -> Bond:
    text = line.strip()
    if mode := _MODE.fullmatch(text):
        return replace(bond, mode=mode[1])
    if line.startswith(("slave ", "member ")):
        link = _LINK.fullmatch(text)
        if link is None:
            raise ParseError(line, "'member NAME: enabled' or 'disabled'", number)
        return replace(bond, links=(*bond.links, BondLink(link[1], link[2] == "enabled")))
    if _ACTIVE.fullmatch(text):
        if not bond.links:
            raise ParseError(line, "'member NAME: …' first", number)
        return replace(bond, links=(*bond.links[:-1], replace(bond.links[-1], active=True)))
    return bond
