# SPDX-License-Identifier: Apache-2.0
"""Filters: one `tc -batch` that prints each device's qdiscs and then its filters as text.

The line of a filter (tc/tc_filter.c, `print_filter`) does not name its device; the qdisc line before it does.
Actions (tc/m_action.c, `tc_print_action`) follow below the filter, each with figures of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.tc_text import Record, after, figures, records

_ACTION = re.compile(r"\s*action order ([0-9]{1,10}):\s*(\S+)(.*)")
_CLSACT = "ffff:fff1"
# tc does not print the parent it was asked for: the batch prints the qdisc again before each other side
_SIDES = {2: "ingress", 3: "egress"}
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
        dev: Device, from the qdisc line before it; None where there was none.
        parent: Handle of the qdisc or class it sits on (``ffff:`` or ``ingress`` for ingress); None where not
            said.
        protocol: ``all``, ``ip`` and so on.
        pref: Its order among the filters.
        kind: ``u32``, ``matchall``, ``basic``, ``bpf``, ``flower`` and so on.
        text: Its first line as printed.
        actions: In their order.
    """

    dev: str | None
    parent: str | None
    protocol: str | None
    pref: str | None
    kind: str | None
    text: str
    actions: tuple[TcAction, ...]


def parse(data: bytes) -> list[TcFilter]:
    """Return the filters in the order of the text.

    Raises:
        ParseError: A line belongs to neither a qdisc nor a filter.
    """
    rows: list[TcFilter] = []
    device: str | None = None
    clsact_lines = 0
    for record in records(data, ("qdisc", "filter")):
        if record.words[0] == "filter":
            rows.append(_filter(device, record, _SIDES.get(clsact_lines)))
            continue
        dev = after(record.words, "dev")
        if dev != device:
            device, clsact_lines = dev, 0
        clsact_lines += after(record.words, "parent") == _CLSACT
    return rows


def _filter(device: str | None, record: Record, side: str | None) -> TcFilter:
    words = record.words
    named = next((word for word in ("ingress", "egress", "root") if word in words), side)
    pref_at = words.index("pref") + 2 if "pref" in words else len(words)
    return TcFilter(
        dev=device,
        parent=after(words, "parent") or named,
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
