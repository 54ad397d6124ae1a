# SPDX-License-Identifier: Apache-2.0
"""`ovs-ofctl dump-flows` of each bridge after a line ``@ BRIDGE`` (lib/ofp-flow.c)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.ethtool_blocks import parse as blocks
from vnetkb.parsers.text import lines

_RULE = re.compile(
    r" ?cookie=(0x[0-9a-f]{1,16}), duration=([0-9.]{1,20})s, table=([^,]{1,40}), "
    r"n_packets=([0-9]{1,20}), n_bytes=([0-9]{1,20}),(.*) actions=(.*)"
)
# Actions without arguments that can be all that a rule does (lib/ofp-actions.c, the functions format_*).
_ALONE = {"drop", "exit", "strip_vlan", "pop_vlan", "pop_queue", "dec_ttl", "dec_mpls_ttl", "dec_nsh_ttl"}
_ALONE |= {"clear_actions", "ct_clear", "decap", "debug_recirc", "debug_slow"}
_WORD = re.compile(r"[a-z_]+")
_REPLY = re.compile(r"(?:NXST|OFPST)_FLOW reply.*")


@dataclass(frozen=True, slots=True)
class Rule:
    """One OpenFlow rule.

    Attributes:
        bridge: Its bridge.
        cookie: What its owner marked it with.
        table: Number or name of its table.
        packets: Packets that matched it; of a rule in a table after the first those that came that far.
        bytes: Their bytes.
        duration_s: Seconds that it exists.
        match: Priority and match as printed.
        actions: As printed; ``drop`` for none.
    """

    bridge: str
    cookie: str
    table: str
    packets: int
    bytes: int
    duration_s: float
    match: str
    actions: str


def parse(data: bytes) -> list[Rule]:
    """Return the rules in the order of the text.

    Raises:
        ParseError: The text does not begin with ``@ BRIDGE``, a line is neither a rule nor the heading of an
            answer, or all that a rule does is a word that is no action.
    """
    return [
        _rule(bridge, line, number)
        for bridge, block in blocks(data).items()
        for number, line in lines(block)
        if line.strip() and _REPLY.fullmatch(line) is None
    ]


def _rule(bridge: str, line: str, number: int) -> Rule:
    found = _RULE.fullmatch(line)
    if found is None:
        raise ParseError(
            line, "'cookie=0x…, duration=…s, table=N, n_packets=N, n_bytes=N, … actions=…'", number
        )
    cookie, duration, table, packets, size, rest, actions = found.groups()
    if _WORD.fullmatch(actions) and actions not in _ALONE:
        raise ParseError(actions, "actions of a rule", number)
    last = rest.rpartition(" ")[2]
    try:
        seconds = float(duration)
    except ValueError:
        raise ParseError(duration, "seconds", number) from None
    return Rule(
        bridge,
        cookie,
        table,
        int(packets),
        int(size),
        seconds,
        "" if last.endswith(",") else last,
        actions,
    )
