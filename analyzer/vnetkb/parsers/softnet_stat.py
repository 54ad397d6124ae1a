# SPDX-License-Identifier: Apache-2.0
"""/proc/net/softnet_stat: a line of hexadecimal numbers for each CPU that is online.

`softnet_seq_show` in net/core/net-procfs.c: 9 columns on Linux 2.6, 10 from 2.6.35 (received_rps), 11 from
3.11 (flow_limit_count), 13 from 5.10 (backlog length, CPU), 15 from 6.1x (the two queues of the backlog).
Each number is a u32 and wraps.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_AT_LEAST = 9
_HEX = re.compile(r"[0-9a-f]{1,16}")
_RPS, _FLOW_LIMIT, _BACKLOG, _CPU, _INPUT, _PROCESS = 9, 10, 11, 12, 13, 14


class SoftnetCpu(NamedTuple):
    """One CPU; None for a column that this kernel does not print.

    Attributes:
        cpu: Number of the CPU. Where the kernel does not print it, a line's place says nothing certain: CPUs
            that are offline have no line.
        processed: Packets taken through the network stack.
        dropped: Packets dropped because the CPU's backlog was full.
        time_squeeze: Times that the softirq ended with work left; no loss.
        received_rps: Times that another CPU woke this one for packet steering.
        flow_limit: Packets dropped by the flow limit.
        backlog: Packets waiting in the backlog.
        input_qlen: Those of them that are not being processed yet.
        process_qlen: Those of them that are.
    """

    cpu: int | None
    processed: int
    dropped: int
    time_squeeze: int
    received_rps: int | None
    flow_limit: int | None
    backlog: int | None
    input_qlen: int | None
    process_qlen: int | None


def parse(data: bytes) -> list[SoftnetCpu]:
    """Return the CPUs in the order of the text.

    Raises:
        ParseError: A line has fewer than 9 columns, or a column is not hexadecimal.
    """
    rows: list[SoftnetCpu] = []
    for number, line in lines(data):
        words = line.split()
        if len(words) < _AT_LEAST:
            raise ParseError(f"{len(words)} columns", f"at least {_AT_LEAST}", number)
        if any(_HEX.fullmatch(word) is None for word in words):
            raise ParseError(line, "hexadecimal numbers", number)
        values: list[int | None] = [int(word, 16) for word in words]
        values += [None] * (_PROCESS + 1 - len(values))
        rows.append(
            SoftnetCpu(
                cpu=values[_CPU],
                processed=int(words[0], 16),
                dropped=int(words[1], 16),
                time_squeeze=int(words[2], 16),
                received_rps=values[_RPS],
                flow_limit=values[_FLOW_LIMIT],
                backlog=values[_BACKLOG],
                input_qlen=values[_INPUT],
                process_qlen=values[_PROCESS],
            )
        )
    return rows
