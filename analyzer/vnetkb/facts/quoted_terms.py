# SPDX-License-Identifier: Apache-2.0
"""Where the terms of a loss stand that no counter of its own shows: in columns, rules and objects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vnetkb.facts.topology import Topology

FIRST_OF = {"Ip": "InReceives", "IpExt": "InNoRoutes", "TcpExt": "IPReversePathFilter"}
"""Column of each table from which on a line is quoted: the terms of a guest's IPv4 follow it, or are it."""
OF_IPV6 = ("Ip6InReceives", "Ip6InDelivers")
IPV6 = re.compile(
    rb"(?m)^Ip6(?:InReceives|InDelivers|InHdrErrors|InTooBigErrors|InNoRoutes|InAddrErrors|InUnknownProtos"
    rb"|InTruncatedPkts|InDiscards|OutForwDatagrams|ReasmReqds|ReasmOKs)[ \t]+([0-9]+)"
)
OF_A_LOSS = frozenset({"", "drop", "silent"})


class Term(NamedTuple):
    """One place in a member.

    Attributes:
        place: Offset of the byte from which on it is quoted.
        head: What names it: text of the same line that stands before the place; may be empty.
    """

    place: int
    head: str = ""


def of_loss(capture: str, device: str, fact: str, data: bytes, topology: Topology) -> list[Term]:
    """Return where the terms of a loss stand in a member; none of a capture that has a layout for it.

    Args:
        capture: Id of the capture.
        device: Name of the loss's subject.
        fact: The fact, or the counter of the loss; empty for a silent one.
        data: The member.
        topology: The joins.
    """
    find = _FIND.get(capture)
    kind, _, field = fact.partition(".")
    wanted = kind in OF_A_LOSS or kind == "bridge" or field == "rx_otherhost_dropped"
    return list(find(device, data, topology)) if find is not None and wanted else []


def _columns(device: str, data: bytes, topology: Topology) -> Iterator[Term]:
    """Yield names and values of the columns of ``/proc/net/snmp`` or ``netstat`` (net/ipv4/proc.c)."""
    del topology
    if not device.endswith(" IPv4"):
        return
    for prefix, first in FIRST_OF.items():
        rows = list(re.finditer(rb"(?m)^%s:.*$" % prefix.encode(), data))
        if len(rows) != 2 or first not in (titles := rows[0][0].decode("ascii", "replace").split()):  # noqa: PLR2004
            continue
        for row in rows:
            words = list(re.finditer(rb"\S+", row[0]))
            if len(words) > (at := titles.index(first)):
                yield Term(row.start() + words[at].start(), f"{prefix}:")


def _lines_of_ipv6(device: str, data: bytes, topology: Topology) -> Iterator[Term]:
    """Yield what came, what was delivered, and each other term that is not zero."""
    del topology
    if not device.endswith(" IPv6"):
        return
    for row in IPV6.finditer(data):
        if int(row[1]) or row[0].split()[0].decode() in OF_IPV6:
            yield Term(row.start())


def _other_hosts(device: str, data: bytes, topology: Topology) -> Iterator[Term]:
    """Yield the received packets of the interface; ``ip`` leaves out what is zero (ip/ipaddress.c)."""
    del topology
    name = device.rpartition(" ")[2].encode("utf-8", "surrogateescape")
    whose = re.search(rb'"ifname": ?"%s"' % re.escape(name), data)
    if whose is None:
        return
    following = data.find(b'"ifname"', whose.end())
    end = len(data) if following < 0 else following
    received = re.compile(rb'"rx": ?\{').search(data, whose.end(), end)
    if received is not None:
        # what stands before the number in every release that prints it: without the number it ends the object
        last = data.find(b'"missed_errors"', received.end(), end)
        yield Term(last if last >= 0 else received.start(), whose[0].decode("utf-8", "surrogateescape"))


def _rules(device: str, data: bytes, topology: Topology) -> Iterator[Term]:
    """Yield the rules of a bridge that dropped packets between the snapshots."""
    from vnetkb.facts.ovs_bridge import BridgeFacts  # noqa: PLC0415 - most reports quote nothing

    name = re.escape(device.encode("utf-8", "surrogateescape"))
    block = re.search(rb"(?m)^@ %s$" % name, data)
    if block is None:
        return
    following = data.find(b"\n@ ", block.end())
    end = len(data) if following < 0 else following
    for rule, _ in BridgeFacts(device, topology).dropping:
        match = f"{rule.match} actions={rule.actions}".encode("utf-8", "surrogateescape")
        cookie, table = (
            re.escape(text.encode()) for text in (f"cookie={rule.cookie},", f"table={rule.table},")
        )
        line = rb"(?m)^ ?(%s.* %s n_packets=.*[ ,]%s)$" % (cookie, table, re.escape(match))
        found = re.compile(line).search(data, block.end(), end)
        if found is not None:
            yield Term(found.start(1))


_FIND: Mapping[str, Callable[[str, bytes, Topology], Iterator[Term]]] = {
    "guest-ip-link": _other_hosts,
    "guest-proc-net-snmp": _columns,
    "guest-proc-net-netstat": _columns,
    "guest-proc-net-snmp6": _lines_of_ipv6,
    "ovs-dump-flows": _rules,
}
