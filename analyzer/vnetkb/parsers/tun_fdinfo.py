# SPDX-License-Identifier: Apache-2.0
"""The ``iff:`` lines of /proc/PID/fdinfo/FD, which name the tap behind each open file of /dev/net/tun.

`tun_chr_show_fdinfo` in drivers/net/tun.c writes the line, and takes the rtnl lock for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import lines

_ROW = re.compile(r"[^:\n]*?\b([0-9]{1,10})/fdinfo/([0-9]{1,10}):iff:\t?(.*)")


@dataclass(frozen=True, slots=True)
class TunFd:
    """One open file of /dev/net/tun.

    Attributes:
        pid: Process that holds it.
        fd: Number of the file descriptor.
        device: Name of the tap; None for a descriptor that belongs to no device. A queue detached with
            TUNSETQUEUE keeps the name (seen on 5.10, 6.1 and 6.12).
    """

    pid: int
    fd: int
    device: str | None


def parse(data: bytes) -> list[TunFd]:
    """Return the descriptors in the order of the text.

    Raises:
        ParseError: A line is not ``/proc/PID/fdinfo/FD:iff:<tab>name``.
    """
    rows: list[TunFd] = []
    for number, line in lines(data):
        match = _ROW.fullmatch(line)
        if match is None:
            if not line:
                continue
            raise ParseError(line, "/proc/PID/fdinfo/FD:iff:<tab>DEVICE", number)
        rows.append(TunFd(int(match[1]), int(match[2]), match[3] or None))
    return rows
