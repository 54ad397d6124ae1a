# SPDX-License-Identifier: Apache-2.0
"""/proc/net/netlink: sockets between kernel and programs, printed by `netlink_native_seq_show`."""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

_NEEDED = ("Eth", "Pid", "Rmem", "Drops")


@dataclass(frozen=True, slots=True)
class NetlinkSocket:
    """One netlink socket.

    Attributes:
        protocol: Netlink family: 0 route, 16 generic, which Open vSwitch uses.
        port_id: Its address; for the first socket of a process the process id. 0 is the kernel's own.
        receive_bytes: Bytes waiting to be read.
        drops: Messages dropped because the socket was full: for Open vSwitch, lost upcalls.
        inode: Number of the socket as /proc/PID/fd shows it; None where the kernel does not print it.
    """

    protocol: int
    port_id: int
    receive_bytes: int
    drops: int
    inode: int | None


def parse(data: bytes) -> list[NetlinkSocket]:
    """Return the sockets in the order of the text; columns are read by their heading.

    Raises:
        ParseError: A heading is missing, or a row does not have as many columns as there are headings.
    """
    names: list[str] | None = None
    rows: list[NetlinkSocket] = []
    for number, line in lines(data):
        words = line.split()
        if names is None:
            names = words
            missing = [name for name in _NEEDED if name not in names]
            if missing:
                raise ParseError(line, f"the headings {', '.join(missing)}", number)
            continue
        if len(words) != len(names):
            raise ParseError(f"{len(words)} columns", f"{len(names)}, as in the heading", number)
        row = dict(zip(names, words, strict=True))
        rows.append(
            NetlinkSocket(
                protocol=integer(row["Eth"], "Eth", number),
                port_id=integer(row["Pid"], "Pid", number),
                receive_bytes=integer(row["Rmem"], "Rmem", number),
                drops=integer(row["Drops"], "Drops", number),
                inode=integer(row["Inode"], "Inode", number) if "Inode" in row else None,
            )
        )
    return rows
