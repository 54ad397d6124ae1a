# SPDX-License-Identifier: Apache-2.0
"""Names of the numbers in a line that somebody copied from the output of Open vSwitch's tools."""

from __future__ import annotations

import re

_ASIDE = re.compile(r"\([^()]*\)|[{},]")
_PORT = re.compile(r"\s*port +\S+: ")
_HEADING = re.compile(r"^(\w+) +: ")
# A key with its number, a key whose number follows after a blank, a heading (`lookups:`), a side (`RX`).
_PIECE = re.compile(
    r"\s*(?:(?P<key>[A-Za-z][\w/-]*)(?P<mark>[:=])\s*(?P<value>(?:[0-9][0-9.]*|\?)%?)|(?P<side>[A-Za-z][\w-]*)[:=]?)"
    r"(?=\s|$)"
)
SHOW = "dpctl/show -s"
TABLE = "ovs-vsctl list Interface: statistics"
DUMP = "ovs-ofctl dump-ports"


def names(line: str) -> tuple[str, ...]:
    """Return what each number of a copied line is called, with its tool; empty for what is no such line.

    ``lookups: hit:7 lost:0`` and ``RX packets:7 errors:0`` are of dpctl/show -s, ``rx pkts=7, drop=0`` is of
    dump-ports, ``statistics: {rx_packets=7}`` of the table Interface.

    Args:
        line: One line of text.
    """
    text = _HEADING.sub(r"\1: ", _ASIDE.sub(" ", _PORT.sub("", line)).strip())
    found, side, position = [], "", 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            return ()
        position = piece.end()
        if piece["side"]:
            side = piece["side"]
        else:
            found.append(_name(side, piece["key"], piece["mark"]))
    return tuple(found)


def _name(side: str, key: str, mark: str) -> str:
    if mark == ":":
        return f"{SHOW} {side} {key}"
    return f"{TABLE}:{key}" if side in {"", "statistics"} else f"{DUMP} {side} {key}"
