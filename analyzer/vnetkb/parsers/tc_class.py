# SPDX-License-Identifier: Apache-2.0
"""Classes of qdiscs: one `tc -batch` that prints each device's qdiscs and then its classes as text.

The line of a class (tc/tc_class.c, `print_class`) does not name its device; the qdisc line before it does.
"""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.tc_text import after, figures, records

_AT_LEAST = 3


@dataclass(frozen=True, slots=True)
class TcClass:
    """One class.

    Attributes:
        dev: Device, from the qdisc line before it; None where there was none.
        kind: ``htb``, ``hfsc``, ``mq`` and so on.
        classid: Its handle, as in ``1:10``.
        parent: Handle of the class above; None for a root class.
        leaf: Handle of the qdisc below it, where there is one.
        options_text: Rates and the like as printed.
    """

    dev: str | None
    kind: str
    classid: str
    parent: str | None
    leaf: str | None
    bytes: int | None = None
    packets: int | None = None
    drops: int | None = None
    overlimits: int | None = None
    requeues: int | None = None
    backlog: int | None = None
    qlen: int | None = None
    options_text: str = ""


def parse(data: bytes) -> list[TcClass]:
    """Return the classes in the order of the text.

    Raises:
        ParseError: A line belongs to neither a qdisc nor a class.
    """
    rows: list[TcClass] = []
    device: str | None = None
    for record in records(data, ("qdisc", "class")):
        words = record.words
        if words[0] == "qdisc":
            device = after(words, "dev")
            continue
        if len(words) < _AT_LEAST:
            raise ParseError(" ".join(words), "class KIND HANDLE …", record.line)
        rows.append(
            TcClass(
                device,
                words[1],
                words[2],
                after(words, "parent"),
                after(words, "leaf"),
                options_text=" ".join(words[3:]),
                **figures(record.details),
            )
        )
    return rows
