# SPDX-License-Identifier: Apache-2.0
"""`tc -s -d filter show` of several devices as text, each after a line ``@ DEVICE SIDE``.

Sides are root, ingress (what the device receives) and egress (what it transmits). The line of a filter
(tc/tc_filter.c, `print_filter`) names neither its device nor the parent that was asked for. Actions
(tc/m_action.c, `tc_print_action`) follow below a filter, each with figures of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.tc_text import MARK, Record, after, figures, records

_ACTION = re.compile(r"\s*action order ([0-9]{1,10}):\s*(\S+)(.*)")
_AT_LEAST = 3
_POLICE = re.compile(r"\s*police (.*)")


@dataclass(frozen=True, slots=True)
class TcAction:
    """One action of a filter.

    Attributes:
        kind: ``police``, ``mirred``, ``gact`` and so on.
        text: What it does, as printed.
        drops: Packets it dropped: for a policer those over the rate.
    """

    kind: str
    text: str
    bytes: int | None = None
    packets: int | None = None
    drops: int | None = None
    overlimits: int | None = None
    requeues: int | None = None
    backlog: int | None = None
    qlen: int | None = None


@dataclass(frozen=True, slots=True)
class TcFilter:
    """One filter.

    Attributes:
        dev: Device name.
        side: ``root``, ``ingress`` or ``egress``.
        parent: Handle of the qdisc or class it sits on; None where it is the one that was asked for.
        protocol: ``all``, ``ip`` and so on.
        pref: Its order among the filters.
        kind: ``u32``, ``matchall``, ``basic``, ``bpf``, ``flower`` and so on.
        text: Its first line as printed.
        actions: In their order.
    """

    dev: str
    side: str
    parent: str | None
    protocol: str | None
    pref: str | None
    kind: str | None
    text: str
    actions: tuple[TcAction, ...]


def parse(data: bytes) -> list[TcFilter]:
    """Return the filters in the order of the text.

    Raises:
        ParseError: The text does not begin with ``@ DEVICE SIDE``, or a line belongs to no filter.
    """
    rows: list[TcFilter] = []
    place: tuple[str, str] | None = None
    for record in records(data, (MARK, "filter")):
        words = record.words
        if words[0] == MARK and len(words) == _AT_LEAST:
            place = words[1], words[2]
        elif words[0] == MARK or place is None:
            raise ParseError(" ".join(words), "'@ DEVICE SIDE', then filters", record.line)
        else:
            rows.append(_filter(*place, record))
    return rows


def _filter(device: str, side: str, record: Record) -> TcFilter:
    words = record.words
    pref_at = words.index("pref") + 2 if "pref" in words else len(words)
    return TcFilter(
        dev=device,
        side=side,
        parent=after(words, "parent"),
        protocol=after(words, "protocol"),
        pref=after(words, "pref"),
        kind=words[pref_at] if pref_at < len(words) else None,
        text=" ".join(words[1:]),
        actions=tuple(_actions(record.details)),
    )


def _actions(details: list[str]) -> list[TcAction]:
    heads: list[tuple[str, str, list[str]]] = []
    for line in details:
        match = _ACTION.fullmatch(line)
        if match is not None:
            heads.append((match[2], match[3].strip(), []))
        elif not heads and (police := _POLICE.fullmatch(line)) is not None:
            # a policer of the old syntax, which is how libvirt sets one, has no "action order"
            heads.append(("police", police[1].strip(), []))
        elif heads:
            heads[-1][2].append(line)
    return [TcAction(kind, text, **figures(lines)) for kind, text, lines in heads]
