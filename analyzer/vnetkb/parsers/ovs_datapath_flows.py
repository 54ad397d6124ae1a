# SPDX-License-Identifier: Apache-2.0
"""`ovs-appctl dpctl/dump-flows -m` of each datapath after a line ``@ DATAPATH``.

A line is a flow (lib/dpctl.c): match, figures, actions. Headings `flow-dump from …` stand between them in the
userspace datapath.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.ethtool_blocks import parse as blocks
from vnetkb.parsers.text import lines

_FIGURES = re.compile(r", packets:([0-9]{1,20}), bytes:([0-9]{1,20}), used:(never|[0-9.]{1,20}s)")
_IN_PORT = re.compile(r"\bin_port\(([^()]{1,40})\)")
_EXTRA = re.compile(r", dp-extra-info:[^,]*(?:\([^)]*\))?$")
_HEADING = "flow-dump from "


@dataclass(frozen=True, slots=True)
class DatapathFlow:
    """One flow of a datapath.

    Attributes:
        datapath: Name of the datapath as asked.
        in_port: Device that the packets come from, or its number where no name is known; None in any.
        match: What the packets look like, as printed.
        packets: Packets that took it.
        bytes: Their bytes.
        used_s: Seconds since the last of them; None when there was none.
        actions: What is done with them, as printed; ``drop`` for nothing.
    """

    datapath: str
    in_port: str | None
    match: str
    packets: int
    bytes: int
    used_s: float | None
    actions: str


def parse(data: bytes) -> list[DatapathFlow]:
    """Return the flows in the order of the text.

    Raises:
        ParseError: The text does not begin with ``@ DATAPATH``, or a line is no flow.
    """
    rows: list[DatapathFlow] = []
    for datapath, block in blocks(data).items():
        for _, line in lines(block):
            if line and not line.startswith(_HEADING):
                rows.append(_flow(datapath, line))  # a comprehension would hide the test
    return rows


def _flow(datapath: str, line: str) -> DatapathFlow:
    figures = _FIGURES.search(line)
    _, found, actions = line.partition(", actions:")
    if figures is None or not found:
        raise ParseError(line, "'MATCH, packets:N, bytes:N, used:Ns, actions:…'")
    match = line[: figures.start()]
    port = _IN_PORT.search(match)
    used = figures[3]
    try:
        used_s = None if used == "never" else float(used.removesuffix("s"))
    except ValueError:
        raise ParseError(used, "'used:SECONDSs' or 'used:never'") from None
    return DatapathFlow(
        datapath,
        port[1] if port else None,
        match,
        int(figures[1]),
        int(figures[2]),
        used_s,
        _EXTRA.sub("", actions),
    )
