# SPDX-License-Identifier: Apache-2.0
"""`netstat -s` of Windows: sections of rows ``label = number``, in the language and code page of Windows.

Headings hold IPv4, IPv6, ICMPv4 or ICMPv6, and TCP or UDP, in every language. In a section the order of rows
is fixed and their number tells whether the layout is the one that is known: IP 17, TCP 8, UDP 4. The ICMP
tables are left out. "Received Packets Discarded" nearly equals the UDP section's no ports and receive errors
together: it is no loss of the NIC.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.windows_text import is_torn, rows

_ROW = re.compile(rb"[ \t]*([^=]{1,200}?)[ \t]*=[ \t]*([0-9]{1,20})[ \t]*")
_VERSION = re.compile(rb"(ICMP|IP)v([46])")


class IpStatistics(NamedTuple):
    """The IP section, in its order (MIB_IPSTATS)."""

    received: int
    header_errors: int
    address_errors: int
    forwarded: int
    unknown_protocols: int
    discarded: int
    delivered: int
    output_requests: int
    routing_discards: int
    output_discards: int
    no_route: int
    reassembly_required: int
    reassembly_successful: int
    reassembly_failures: int
    fragmented: int
    fragmentation_failures: int
    fragments_created: int


class TcpStatistics(NamedTuple):
    """The TCP section, in its order."""

    active_opens: int
    passive_opens: int
    failed_attempts: int
    resets: int
    current: int
    segments_received: int
    segments_sent: int
    retransmitted: int


class UdpStatistics(NamedTuple):
    """The UDP section, in its order; what did not fit into a socket's buffer is in receive_errors."""

    received: int
    no_ports: int
    receive_errors: int
    sent: int


Section = IpStatistics | TcpStatistics | UdpStatistics


def parse(data: bytes) -> dict[str, Section]:
    """Return the sections that are there: ``IPv4``, ``IPv6``, ``TCPv4``, ``TCPv6``, ``UDPv4``, ``UDPv6``.

    Raises:
        ParseError: A section has another number of rows, comes twice, or no section is there; or the text
            ends inside a row, whose number may then be cut.
    """
    found: dict[str, list[int]] = {}
    section: str | None = None
    for line in rows(data):
        row = _ROW.fullmatch(line)
        if row is not None:
            if section is None:
                raise ParseError(line, "a heading with IPv4 or IPv6 before the first row")
            found[section].append(int(row[2]))
            continue
        heading = _VERSION.search(line)
        if heading is not None:
            section = _name(line, heading)
            if section in found:
                raise ParseError(line, "each section once")
            found[section] = []
    if section is not None and is_torn(data):
        raise ParseError(data[-40:], "a line end after the last row, whose number may be cut")
    sections = {name: _typed(name, values) for name, values in found.items() if not name.startswith("ICMP")}
    if not sections:
        raise ParseError(data, "sections with IPv4 or IPv6 in their headings")
    return sections


def _name(line: bytes, heading: re.Match[bytes]) -> str:
    version = heading[2].decode()
    for protocol in ("TCP", "UDP"):
        if protocol.encode() in line:
            return f"{protocol}v{version}"
    return f"{heading[1].decode()}v{version}"


def _typed(name: str, values: list[int]) -> Section:
    kinds: dict[str, type[Section]] = {"IP": IpStatistics, "TC": TcpStatistics, "UD": UdpStatistics}
    kind = kinds[name[:2]]
    if len(values) != len(kind._fields):
        raise ParseError(f"{len(values)} rows in {name}", f"{len(kind._fields)}")
    return kind(*values)
