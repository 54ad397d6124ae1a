# SPDX-License-Identifier: Apache-2.0
"""`tc -s -d class show` of several devices as text, each after a line ``@ DEVICE root``.

The line of a class (tc/tc_class.c, `print_class`) does not name its device.
"""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.tc_text import MARK, after, figures, records

_AT_LEAST = 3


@dataclass(frozen=True, slots=True)
class TcClass:
    """One class.

    Attributes:
        dev: Device name.
        kind: ``htb``, ``hfsc``, ``mq`` and so on.
        classid: Its handle, as in ``1:10``.
        parent: Handle of the class above; None for a root class.
        leaf: Handle of the qdisc below it, where there is one.
        options_text: Rates and the like as printed.
    """

    dev: str
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
        ParseError: The text does not begin with ``@ DEVICE root``, or a line is not one of a class.
    """
    rows: list[TcClass] = []
    device: str | None = None
    for record in records(data, (MARK, "class")):
        words = record.words
        if len(words) < _AT_LEAST or (words[0] != MARK and device is None):
            raise ParseError(" ".join(words), "'@ DEVICE root', then 'class KIND HANDLE …'", record.line)
        if words[0] == MARK or device is None:
            device = words[1]
            continue
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
