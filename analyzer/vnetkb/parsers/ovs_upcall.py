# SPDX-License-Identifier: Apache-2.0
"""`ovs-appctl upcall/show`: the state of flow handling (`upcall_unixctl_show`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_FLOWS = re.compile(
    r"flows\s*: \(current ([0-9]{1,10})\) \(avg ([0-9]{1,10})\) \(max ([0-9]{1,10})\) \(limit ([0-9]{1,10})\)"
)
_DUMP = re.compile(r"dump duration\s*: ([0-9]{1,10})ms")


@dataclass(frozen=True, slots=True)
class Upcalls:
    """Flow handling of one datapath.

    Attributes:
        datapath: Its name.
        flows: Flows installed now.
        average: Their number on average.
        most: The most there were.
        limit: As many ovs-vswitchd allows now; it lowers that when looking through them takes too long.
        dump_ms: How long looking through them took the last time, milliseconds.
    """

    datapath: str
    flows: int
    average: int
    most: int
    limit: int
    dump_ms: int | None


def parse(data: bytes) -> list[Upcalls]:
    """Return one row for each datapath; lines of other kinds are passed over.

    Raises:
        ParseError: A datapath has no line `flows` in the known layout.
    """
    rows: list[Upcalls] = []
    name: str | None = None
    for number, line in lines(data):
        text = line.strip()
        if not text:
            continue
        if line[0] not in " \t":
            if name is not None or not text.endswith(":"):
                raise ParseError(line, "'TYPE@DATAPATH:', then 'flows : …'", number)
            name = text.removesuffix(":")
        elif text.startswith("flows"):
            match = _FLOWS.fullmatch(text)
            if match is None or name is None:
                raise ParseError(line, "'flows : (current N) (avg N) (max N) (limit N)'", number)
            current, average, most, limit = (int(value) for value in match.groups())
            rows.append(Upcalls(name, current, average, most, limit, None))
            name = None
        elif text.startswith("dump duration"):
            match = _DUMP.fullmatch(text)
            if match is None or not rows or name is not None:
                raise ParseError(line, "'dump duration : Nms' below 'flows'", number)
            last = rows[-1]
            rows[-1] = Upcalls(last.datapath, last.flows, last.average, last.most, last.limit, int(match[1]))
    if name is not None:
        raise ParseError(name, "'flows : …' below the datapath's name")
    return rows
