# SPDX-License-Identifier: Apache-2.0
"""Where open files of processes point to: lines that end in ``/proc/PID/fd/FD -> target``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_ROW = re.compile(r"(?:.* )?[^ ]*?\b([0-9]{1,10})/fd/([0-9]{1,10}) -> (.*)")


@dataclass(frozen=True, slots=True)
class FdTarget:
    """One open file.

    Attributes:
        pid: Process that holds it.
        fd: Number of the file descriptor.
        target: What it points to: ``/dev/net/tun``, ``/dev/vhost-net``, ``anon_inode:kvm-vcpu:0``.
    """

    pid: int
    fd: int
    target: str


def parse(data: bytes) -> list[FdTarget]:
    """Return the open files in the order of the text; the columns of `ls -l` before the path are passed over.

    Raises:
        ParseError: A line is not ``/proc/PID/fd/FD -> target``.
    """
    rows: list[FdTarget] = []
    for number, line in lines(data):
        match = _ROW.fullmatch(line)
        if match is None:
            if not line:
                continue
            raise ParseError(line, "/proc/PID/fd/FD -> TARGET", number)
        rows.append(FdTarget(int(match[1]), int(match[2]), match[3]))
    return rows
