# SPDX-License-Identifier: Apache-2.0
"""Every number that a capture counts, as it stands there: whose it is, what it is called, and on which line.

For the tables of an export. A diagnosis joins and weighs the few that it needs; these are all of them.
"""

from __future__ import annotations

import bisect
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from vnetkb.facts.guests import PARSERS, SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from vnetkb.facts.tables import Tables

_NEWLINE = 0x0A
NEAR = 2000
"""So many bytes after the name of its subject a number stands at the most."""
PACKETS = ("bytes", "packets", "drops", "overlimits", "requeues", "backlog", "qlen")


class Count(NamedTuple):
    """One number of one capture.

    Attributes:
        kind: Kind of the subject: the first part of the counter's id.
        subject: Whose it is.
        field: What it is called there.
        value: The number.
        needle: Text that stands on its line, as :meth:`Lines.of` takes it.
    """

    kind: str
    subject: str
    field: str
    value: int
    needle: str


class Lines:
    """The lines of a member, found by what stands on them."""

    def __init__(self, data: bytes) -> None:
        """Keep the text; its lines are counted on first use."""
        self._data = data
        self._at = 0
        self._last = ("", "")
        self._ends: list[int] | None = None

    def of(self, needle: str, whose: str = "", value: int | None = None) -> int | None:
        """Return the number of the first line, from where the last one was found, that holds a text.

        Args:
            needle: The text; ``@5`` for the fifth line, empty for the first.
            whose: Of whom it is: what is the same text for another one stands farther on.
            value: The number itself, where it stands on that line or on one of those that follow.
        """
        if not needle or needle.startswith("@"):
            return int(needle[1:] or 1)
        wanted = needle.encode("utf-8", "surrogateescape")
        again = self._last[0] == needle and self._last[1] != whose
        self._last = (needle, whose)
        at = self._data.find(wanted, self._at + again)
        if at < 0:
            at = self._data.find(wanted)
        if at < 0:
            return 1 if wanted.startswith(b"\n") and self._data.startswith(wanted[1:]) else None
        self._at = at
        if value is not None and (
            found := re.search(rb"(?<![0-9])%d(?![0-9])" % value, self._data[at : at + NEAR])
        ):
            at += found.start()
        if self._ends is None:
            self._ends = [i for i, byte in enumerate(self._data) if byte == _NEWLINE]
        return (
            bisect.bisect_left(self._ends, at + (wanted.startswith(b"\n") and self._data[at] == _NEWLINE)) + 1
        )


def of_capture(tables: Tables, capture: str, n: int, scope: str) -> Iterator[Count]:
    """Yield the numbers that one capture of a snapshot counts; none of one that counts nothing.

    Args:
        tables: The captures.
        capture: Capture id.
        n: Number of the snapshot, or of the guest's sample.
        scope: ``host`` or ``guest:<vm>``.
    """
    guest = scope.removeprefix(SCOPE) if scope.startswith(SCOPE) else ""
    name = capture.removeprefix("guest-")
    read = READERS.get(name)
    if read is None or (name in SOURCES_OF_THE_HOST and not guest):
        return
    parser = PARSERS.get(capture, name.replace("-", "_")) if guest else None
    rows = tables.get(capture, n, scope=scope, parser=parser)
    if not rows:
        return
    for one in read(rows):
        yield one._replace(subject=f"{guest} {one.subject}".strip()) if guest else one


def _fields(kind: str, subject: str, row: object, fields: Iterable[str], needle: str) -> Iterator[Count]:
    for field in fields:
        value = getattr(row, field, None)
        if isinstance(value, int):
            yield Count(kind, subject, field, value, needle)


def _values(kind: str, subject: str, values: Mapping[str, Any], needle: str = "{}") -> Iterator[Count]:
    for field, value in values.items():
        if isinstance(value, int) and value >= 0:  # the kernel prints -1 where there is no limit
            yield Count(kind, subject, field, value, needle.format(field))


def _devices(kind: str) -> Callable[[Any], Iterator[Count]]:
    def read(rows: Mapping[str, Any]) -> Iterator[Count]:
        for name, row in rows.items():
            for field, value in row.statistics.items():
                yield Count(kind, name, field, value, f"\n{name}/statistics/{field}:")

    return read


def _by_name(kind: str, needle: str = "{}") -> Callable[[Any], Iterator[Count]]:
    """Numbers of several subjects by name, as ``ethtool -S`` has them."""

    def read(rows: Mapping[str, Mapping[str, int]]) -> Iterator[Count]:
        for name, values in rows.items():
            yield from _values(kind, name, values, needle)

    return read


def _one(kind: str, subject: str, needle: str = "{}") -> Callable[[Any], Iterator[Count]]:
    def read(values: Mapping[str, int]) -> Iterator[Count]:
        yield from _values(kind, subject, values, needle)

    return read


def _qdiscs(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        subject = f"{row.dev} {row.kind} {row.handle or row.parent or 'root'}"
        yield from _fields("qdisc", subject, row, PACKETS, row.dev)


def _classes(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        yield from _fields("tc_class", f"{row.dev} {row.kind} {row.classid}", row, PACKETS, row.classid)


def _filters(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        for index, action in enumerate(row.actions, 1):
            where = f"{row.dev} {row.side} {row.protocol or ''} pref {row.pref or ''} {row.kind or ''}"
            subject = f"{where} action {index} {action.kind}: {row.text}"
            yield from _fields("tc_action", subject, action, PACKETS, f"action order {index}:")


def _datapaths(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        fields = ("hit", "missed", "lost", "flows")
        for one in _fields("ovs_datapath", row.name, row, fields, ""):
            yield one._replace(needle="flows:" if one.field == "flows" else "lookups:")
        for port in row.ports:
            yield from _values("ovs_vport", f"{row.name} {port.name}", port.counters, f" {port.name}")


def _rules(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        subject = f"{row.bridge} table {row.table} {row.match} actions={row.actions}"
        yield from _fields("openflow_rule", subject, row, ("packets", "bytes"), row.match)


def _flows(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        yield from _fields("ovs_flow", f"{row.datapath} {row.match}", row, ("packets", "bytes"), row.match)


def _interfaces(rows: Iterable[Mapping[str, Any]]) -> Iterator[Count]:
    for row in rows:
        values = row.get("statistics")
        if isinstance(values, dict):
            yield from _values("ovs_port", str(row.get("name", "")), values, "")


def _openflow_ports(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        yield from _values("openflow_port", f"{row.bridge} {row.port}", row.counters, row.port)


def _softnet(rows: Iterable[Any]) -> Iterator[Count]:
    for line, row in enumerate(rows, 1):
        name = f"CPU {row.cpu}" if row.cpu is not None else f"line {line}"
        for field in ("processed", "dropped", "time_squeeze", "received_rps", "flow_limit"):
            value = getattr(row, field)
            if value is not None:
                yield Count("softnet", name, field, value, f"@{line}")


def _udp_sockets(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        subject = f"udp {row.address}:{row.port} inode {row.inode}"
        yield from _fields("socket", subject, row, ("drops", "rx_queue"), f" {row.inode} ")


def _packet_sockets(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        subject = f"packet protocol {row.protocol} interface {row.ifindex} inode {row.inode}"
        yield from _fields("socket", subject, row, ("memory",), f" {row.inode}")


def _netlink_sockets(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        subject = f"netlink protocol {row.protocol} port {row.port_id} inode {row.inode}"
        yield from _fields("netlink", subject, row, ("drops", "receive_bytes"), f" {row.port_id} ")


def _protocols(rows: Mapping[str, Mapping[str, int]]) -> Iterator[Count]:
    for protocol, values in rows.items():
        yield from _values(protocol.lower(), protocol, values, f"\n{protocol}:")


def _agent(rows: Iterable[Any]) -> Iterator[Count]:
    for row in rows:
        yield from _values("agent_interface", row.name, row.statistics, row.name)


def _windows(counters: Any) -> Iterator[Count]:  # noqa: ANN401 - as the parser types it
    for nic in counters.interfaces:
        yield from _values("windows_adapter", nic.name, nic.statistics)
    for name, values in counters.protocols.items():
        yield from _values("windows_protocol", name, values)
    for name, values in counters.adapters.items():
        yield from _values("windows_counter", name, values)
    for one in counters.netkvm:
        fields = [field for field in one.__slots__ if field != "instance"]
        yield from _fields("netkvm", one.instance, one, fields, one.instance)


def _domains(rows: Mapping[str, Any]) -> Iterator[Count]:
    for domain, row in rows.items():
        for nic in row.interfaces:
            for field in ("rx_bytes", "rx_packets", "rx_errors", "rx_drop"):
                for way in (field, field.replace("rx", "tx")):
                    value = getattr(nic, way)
                    if value is not None:
                        needle = f"net.{nic.index}.{way.replace('_', '.').replace('packets', 'pkts')}"
                        needle = needle.replace("errors", "errs")
                        yield Count("virsh_interface", f"{domain} {nic.name}", way, value, needle)


def _cgroups(rows: Mapping[str, Any]) -> Iterator[Count]:
    for name, row in rows.items():
        fields = ("usage_us", "nr_periods", "nr_throttled", "throttled_us", "pressure_some_us")
        yield from _fields("cgroup", name, row, fields, name)


def _threads(rows: Mapping[int, Any]) -> Iterator[Count]:
    for tid, row in rows.items():
        yield from _fields("thread", str(tid), row, ("run_ns", "delay_ns", "slices"), f"/task/{tid}/")


SOURCES_OF_THE_HOST = frozenset({"sysfs-net"})
"""Captures whose numbers the host's devices have with their joins."""
READERS: Mapping[str, Callable[[Any], Iterator[Count]]] = {
    "sysfs-net": _devices("guest_nic"),
    "tc-qdisc": _qdiscs,
    "tc-qdisc-text": _qdiscs,
    "tc-class": _classes,
    "tc-filter": _filters,
    "ovs-datapath": _datapaths,
    "ovs-dump-flows": _rules,
    "ovs-datapath-flows": _flows,
    "ovs-interface": _interfaces,
    "ovs-dump-ports": _openflow_ports,
    "ovs-coverage": _one("ovs_vswitchd", "ovs-vswitchd", "\n{} "),
    "conntrack-stat": _one("conntrack", "nf_conntrack"),
    "softnet-stat": _softnet,
    "proc-net-udp": _udp_sockets,
    "proc-net-udp6": _udp_sockets,
    "proc-net-packet": _packet_sockets,
    "proc-net-netlink": _netlink_sockets,
    "proc-net-snmp": _protocols,
    "proc-net-netstat": _protocols,
    "proc-net-snmp6": _one("snmp6", "IPv6"),
    "ethtool-s": _by_name("ethtool"),
    "agent-interfaces": _agent,
    "win-counters": _windows,
    "virsh-domstats": _domains,
    "cgroup-cpu": _cgroups,
    "task-schedstat": _threads,
}
"""What takes the numbers out of the rows of a capture, by its id without a ``guest-`` before it."""
