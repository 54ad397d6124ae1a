# SPDX-License-Identifier: Apache-2.0
"""/proc/net/dev, as `dev_seq_printf_stats` in net/core/net-procfs.c prints it.

Four of its columns are sums: the receive ``drop`` is rx_dropped + rx_missed_errors, the receive ``frame`` is
length + over + crc + frame errors, and the transmit ``carrier`` is carrier + aborted + window + heartbeat
errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import raw_lines

if TYPE_CHECKING:
    from collections.abc import Collection

_COLUMNS = (
    b"bytes packets errs drop fifo frame compressed multicast",
    b"bytes packets errs drop fifo colls carrier compressed",
)
_COUNT = 16


# a tuple: a series has tens of thousands of rows, and a frozen dataclass takes twice as long to make
class NetDevCounters(NamedTuple):
    """The sixteen columns of one device, in their order.

    Attributes:
        rx_dropped: The ``drop`` column: packets dropped by the core or the driver, and those missed by the
            NIC.
        rx_frame: The ``frame`` column: the sum of four kinds of receive errors.
        tx_carrier: The ``carrier`` column: the sum of four kinds of transmit errors.
    """

    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    rx_fifo: int
    rx_frame: int
    rx_compressed: int
    rx_multicast: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int
    tx_fifo: int
    tx_collisions: int
    tx_carrier: int
    tx_compressed: int


def parse(data: bytes, only: Collection[str] | None = None) -> dict[str, NetDevCounters]:
    """Return the counters by device name.

    Args:
        data: The text of the file.
        only: Devices to read; the rows of the others are passed over unread, which is cheap.

    Raises:
        ParseError: The two header lines or the sixteen numbers of a row are not there.
    """
    rows = raw_lines(data)
    rows.readline()
    headings = rows.readline()
    header = headings.split(b"|")
    if [b" ".join(part.split()) for part in header[1:]] != list(_COLUMNS):
        raise ParseError(headings, "the header with the 8 receive and 8 transmit columns", 2)
    wanted = None if only is None else {name.encode("utf-8", "surrogateescape") for name in only}
    devices: dict[str, NetDevCounters] = {}
    for number, row in enumerate(rows, 3):
        # a name may hold a colon on kernels before 4.18, a counter never does
        raw, colon, numbers = row.rpartition(b":")
        name = raw.strip()
        if not colon or not name:
            if not row.strip():
                continue
            raise ParseError(row, "DEVICE: and 16 numbers", number)
        if wanted is not None and name not in wanted:
            continue
        fields = numbers.split()
        if len(fields) != _COUNT:
            raise ParseError(f"{len(fields)} columns", f"{_COUNT}", number)
        try:
            devices[name.decode("utf-8", "surrogateescape")] = NetDevCounters._make(map(int, fields))
        except ValueError:
            raise ParseError(numbers, "16 numbers", number) from None
    return devices
