# SPDX-License-Identifier: Apache-2.0
"""`tc -s -d -j qdisc show`: what iproute2's tc/tc_qdisc.c (`print_qdisc`) prints as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vnetkb.parsers.json_text import mapping_of, objects, optional_integer, optional_text, text_of

_QDISC = "a qdisc"


@dataclass(frozen=True, slots=True)
class Qdisc:
    """One queueing discipline.

    Attributes:
        dev: Device name.
        kind: ``noqueue``, ``pfifo_fast``, ``fq_codel``, ``htb``, ``ingress`` and so on.
        handle: Its own handle, as in ``1:``.
        parent: Handle of the class or qdisc above, as in ``1:10``; None for the root.
        root: Whether it is the device's root qdisc.
        bytes: Bytes sent on.
        packets: Packets sent on.
        drops: Packets dropped. The sum over children for some classful kinds, so do not add up.
        overlimits: Times that it held packets back.
        requeues: Times that the driver gave a packet back.
        backlog: Bytes waiting.
        qlen: Packets waiting.
        options: Options by name, from JSON.
        options_text: Options as printed, from the text form.
    """

    dev: str
    kind: str
    handle: str | None
    parent: str | None
    root: bool
    bytes: int | None = None
    packets: int | None = None
    drops: int | None = None
    overlimits: int | None = None
    requeues: int | None = None
    backlog: int | None = None
    qlen: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    options_text: str = ""


def parse(data: bytes) -> list[Qdisc]:
    """Return the qdiscs in the order of the text; one JSON array, or one for each command of a batch.

    Raises:
        ParseError: The text is not arrays of qdiscs. iproute2 prints broken JSON for kinds it cannot print as
            JSON.
    """
    return [_qdisc(row) for row in objects(data, "qdiscs")]


def _qdisc(row: dict[str, Any]) -> Qdisc:
    return Qdisc(
        dev=text_of(row, "dev", _QDISC),
        kind=text_of(row, "kind", _QDISC),
        handle=optional_text(row, "handle", _QDISC),
        parent=optional_text(row, "parent", _QDISC),
        root=row.get("root") is True,
        bytes=optional_integer(row, "bytes", _QDISC),
        packets=optional_integer(row, "packets", _QDISC),
        drops=optional_integer(row, "drops", _QDISC),
        overlimits=optional_integer(row, "overlimits", _QDISC),
        requeues=optional_integer(row, "requeues", _QDISC),
        backlog=optional_integer(row, "backlog", _QDISC),
        qlen=optional_integer(row, "qlen", _QDISC),
        options=mapping_of(row, "options", _QDISC),
    )
