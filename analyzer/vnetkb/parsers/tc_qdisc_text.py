# SPDX-License-Identifier: Apache-2.0
"""`tc -s -d qdisc show` as text, for iproute2 that cannot print JSON (tc/tc_qdisc.c, `print_qdisc`)."""

from __future__ import annotations

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.tc_qdisc import Qdisc
from vnetkb.parsers.tc_text import Record, after, figures, records

_OPTIONS_AT = 5


def parse(data: bytes) -> list[Qdisc]:
    """Return the qdiscs in the order of the text, with their options as text.

    Raises:
        ParseError: A line is not one of a qdisc.
    """
    return [qdisc(record) for record in records(data, ("qdisc",))]


def qdisc(record: Record) -> Qdisc:
    """Return the qdisc of one record ``qdisc KIND HANDLE dev NAME …``.

    Raises:
        ParseError: The first line has another layout.
    """
    words = record.words
    if len(words) < _OPTIONS_AT or "dev" not in words or after(words, "dev") is None:
        raise ParseError(" ".join(words), "qdisc KIND HANDLE dev NAME …", record.line)
    rest = words[words.index("dev") + 2 :]
    root = rest[:1] == ["root"]
    parent = rest[1] if rest[:1] == ["parent"] and len(rest) > 1 else None
    options = rest[1:] if root else rest[2:] if parent else rest
    if options[:1] == ["refcnt"]:
        options = options[2:]
    return Qdisc(
        words[words.index("dev") + 1],
        words[1],
        words[2],
        parent,
        root,
        options_text=" ".join(options),
        **figures(record.details),
    )
