# SPDX-License-Identifier: Apache-2.0
"""The lines of a bundle that a fact rests on, by member and line number.

A layout has its own way to name a device or a thread; here stands how its lines are found again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.facts.guests import AGENT_NIC, LINUX_NIC, WINDOWS_NIC
from vnetkb.facts.quoted_terms import OF_A_LOSS, of_loss
from vnetkb.facts.tap_guest import guest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vnetkb.facts.counts import Count
    from vnetkb.facts.tables import Tables
    from vnetkb.facts.topology import Topology
    from vnetkb.parsers.bridge_link import BridgePort

LONGEST = 160
AT_MOST = 4
AT_MOST_OF_PORTS = 16
# Facts that a bridge's finding has from the tap behind it.
OF_A_TAP = ("tap.", "setting.", "reader.", "vm.", "guest.", "ring.", "vcpu.", "queues.")
OF_DEVICES = frozenset({"guest_nic", "qdisc", "softnet"})


class Quote(NamedTuple):
    """One line of a capture.

    Attributes:
        member: The capture's path in the bundle.
        line: Its number, from 1.
        text: The line, or the part of it that matters, with an ellipsis where it was cut.
    """

    member: str
    line: int
    text: str


class _About(NamedTuple):
    """Whom the lines are about."""

    device: str
    fact: str
    pids: tuple[int, ...]
    threads: tuple[int, ...]
    vm: str | None


# Which file of a device in sysfs a fact is read from; the others are counters.
_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "tap.tx_queue_len": ("tx_queue_len",),
    "tap.ring_was_shortened": ("tx_queue_len",),
    "tap.carrier": ("carrier", "flags"),
    "tap.carrier_blinked": ("carrier_changes",),
    "tap.lost_carrier": ("carrier",),
    "tap.is_up": ("flags",),
    "tap.driver": ("tun_flags",),
    "tap.multi_queue": ("tun_flags",),
    "tap.persistent": ("tun_flags",),
    "tap.is_layer_2": ("tun_flags",),
    "tap.backpressure": ("tun_flags",),
    "tap.queue_count": ("tun_flags",),
    "tap.same_device": ("ifindex",),
    "ring.cover_ms": ("tx_queue_len",),
    "ring.offered_share": ("tx_queue_len",),
    "vcpu.cover_ms": ("tx_queue_len",),
    "vcpu.offered_share": ("tx_queue_len",),
}


def _sysfs(about: _About) -> Iterator[str]:
    kind, _, field = about.fact.partition(".")
    if about.fact in _ATTRIBUTES:
        keys: Sequence[str] = _ATTRIBUTES[about.fact]
    elif kind == "drop" or field.startswith(("rx_", "tx_")):
        keys = (
            (f"statistics/{field}",) if kind != "drop" else ("statistics/tx_dropped", "statistics/tx_packets")
        )
    else:
        keys = ("statistics/tx_packets", "statistics/tx_dropped", field)
    for key in keys:
        yield f"\n{about.device}/{key}:"


def _column(about: _About) -> Iterator[str]:
    yield f" {about.device}:"
    yield f"\n{about.device}:"


def _status(about: _About) -> Iterator[str]:
    for pid in about.pids:
        yield f"\n/proc/{pid}/task/{pid}/status:State:"
    for tid in about.threads:
        yield f"/task/{tid}/status:State:"


def _thread(about: _About) -> Iterator[str]:
    for tid in about.threads:
        yield f"/task/{tid}/"


def _process(about: _About) -> Iterator[str]:
    for pid in about.pids:
        yield f"\n{pid}\t-name"
    yield f"ifname={about.device},"


def _json(key: str) -> Callable[[_About], Iterator[str]]:
    def needles(about: _About) -> Iterator[str]:
        yield f'"{key}":"{about.device}"'
        yield f'"{key}": "{about.device}"'

    return needles


def _device(about: _About) -> Iterator[str]:
    yield f"\t{about.device}\n"
    yield about.device


_NEEDLES: Mapping[str, Callable[[_About], Iterator[str]]] = {
    "sysfs-net": _sysfs,
    "proc-net-dev": _column,
    "proc-status": _status,
    "task-schedstat": _thread,
    "task-wchan": _thread,
    "task-cgroup": _thread,
    "proc-cmdline": _process,
    "ip-link": _json("ifname"),
    "tc-qdisc": _json("dev"),
}

# What a guest's NIC received, by the capture that shows it.
RECEIVED: Mapping[str, tuple[str, ...]] = {
    LINUX_NIC: ("guest_nic.rx_packets",),
    AGENT_NIC: ("agent_interface.rx_packets",),
    WINDOWS_NIC: tuple(
        f"windows_adapter.{field}"
        for field in ("UnicastPacketsReceived", "NonUnicastPacketsReceived", "IncomingPacketsDiscarded")
    ),
}
FORWARDING = "forwarding"
OF_FRAMES = ("rx_packets", "tx_packets")
OF_BYTES = ("rx_bytes", "tx_bytes")
OF_REFUSED = ("rx_dropped", "tx_dropped", "tx_errors")


def _ports_counts(bridge: str, ports: Sequence[str], fact: str, data: bytes) -> Iterator[str]:
    """Yield the terms of the sum over a bridge's ports; what a port refused only where that is not zero."""
    keys = OF_BYTES if fact == "silent.size" else OF_FRAMES
    for device in (bridge, *ports):
        for key in keys:
            yield f"\n{device}/statistics/{key}:"
        for key in OF_REFUSED if device != bridge else ():
            needle = f"\n{device}/statistics/{key}:"
            if f"{needle}0\n".encode("utf-8", "surrogateescape") not in data:
                yield needle


def _told_ports(rows: Sequence[BridgePort], fact: str) -> Iterator[str]:
    """Yield the ports of a bridge that decide a fact: those that do not forward, the ends of the MTUs."""
    told = rows
    if fact == "bridge.ports_not_forwarding":
        told = [row for row in rows if row.state not in (FORWARDING, None)] or rows
    elif fact in {"bridge.mtu_differs", "bridge.longest_frame"}:
        sized = sorted((row for row in rows if row.mtu is not None), key=lambda row: row.mtu or 0)
        told = [sized[0], sized[-1]] if sized else rows
    for row in told:
        yield f'"ifname":"{row.ifname}"'
        yield f'"ifname": "{row.ifname}"'


AT_HOME = frozenset(_NEEDLES) - {"tc-qdisc"}
"""Captures whose lines are found by their own layout alone."""


class Quotes:
    """Finds the lines of members again; a member's lines are counted once."""

    def __init__(self, tables: Tables, topology: Topology) -> None:
        """Keep the sources; nothing is searched yet."""
        self._tables = tables
        self._topology = topology
        self._places = {
            capture.place: (capture.id, capture.snapshot, capture.scope)
            for capture in tables.bundle.manifest.captures
        }

    def of(self, member: str, device: str, fact: str) -> tuple[Quote, ...]:
        """Return the lines of a member that a fact of a device is read from; empty when none stands out.

        Of many the first and the last are given: in a series the interesting thing is how far it went.
        """
        key = self._places.get(member)
        data = None if key is None else self._tables.bundle.data(*key)
        if key is None or not data:
            return ()
        if self._topology.other_devices.get(device) == "bridge":
            if fact.startswith(OF_A_TAP):
                taps = [tap for tap in self._topology.taps if self._topology.port_of(tap) == device]
                return tuple(quote for tap in taps[:AT_MOST] for quote in self.of(member, tap, fact))
            needles = self._of_bridge(key[0], key[1], device, fact, data)
            if needles is not None:
                return self._found(member, data, needles, AT_MOST_OF_PORTS)
        if terms := of_loss(key[0], device, fact, data, self._topology):
            return tuple(_quote(member, data, term.place, term.head) for term in terms[:AT_MOST_OF_PORTS])
        counted = () if key[0] in AT_HOME else self._counted(member, data, key, device, fact)
        if found := counted or self._received(member, data, key, device, fact):
            return found
        reader = self._topology.reader(device)
        vcpus = self._topology.vcpu_threads(device) or ()
        threads = vcpus if fact.startswith("vcpu.") else reader.threads
        about = _About(device, fact, reader.pids, threads, self._topology.vm(device))
        return self._found(member, data, _NEEDLES.get(key[0], _device)(about), AT_MOST)

    def _counted(
        self, member: str, data: bytes, key: tuple[str, int | None, str], device: str, fact: str
    ) -> tuple[Quote, ...]:
        """Return the lines on which a capture counts just this; none where it counts nothing of the name."""
        capture, n, scope = key
        kind, _, field = fact.partition(".")
        if not field or n is None:
            return ()
        from vnetkb.facts.counts import Lines, of_capture  # noqa: PLC0415 - most reports quote nothing

        lines, found = Lines(data), []
        for one in of_capture(self._tables, capture, n, scope):
            line = lines.of(one.needle, one.subject, one.value)
            called = f"{one.subject} ".casefold().startswith(f"{device} ".casefold()) or one.kind == device
            same = one.field.casefold().replace("_", "") == field.replace("_", "")
            if line is not None and same and called and one.kind in {kind, f"guest_{kind}"} | OF_DEVICES:
                found.append(_counted_at(member, data, line, one))
        return tuple(found[:AT_MOST])

    def _received(
        self, member: str, data: bytes, key: tuple[str, int | None, str], tap: str, fact: str
    ) -> tuple[Quote, ...]:
        """Return what the guest's NIC behind a tap received, where a loss is computed of that."""
        if key[0] not in RECEIVED or fact.partition(".")[0] not in OF_A_LOSS:
            return ()
        guest = guest_of(self._topology, tap)
        nic = guest.nic_of(tap) if guest is not None else None
        if guest is None or nic is None:
            return ()
        counters = RECEIVED[key[0]]
        found = (self._counted(member, data, key, f"{guest.name} {nic}", counter) for counter in counters)
        return tuple(quote for quotes in found for quote in quotes)

    def _of_bridge(
        self, capture: str, n: int | None, bridge: str, fact: str, data: bytes
    ) -> Iterator[str] | None:
        """What to look for where a Linux bridge's number is one of its ports; None where it is its own."""
        if capture == "bridge-link":
            rows = self._tables.get(capture, n) or ()
            return _told_ports([row for row in rows if row.master == bridge], fact)
        if capture == "sysfs-net" and fact.partition(".")[0] in {"", "silent", "drop"}:
            places = self._tables.get("sysfs-net-links", n) or {}
            ports = sorted(name for name, row in places.items() if row.master == bridge)
            return _ports_counts(bridge, ports, fact, data)
        return None

    def _found(self, member: str, data: bytes, needles: Iterator[str], most: int) -> tuple[Quote, ...]:
        found: dict[tuple[int, str], Quote] = {}
        for needle in needles:
            for quote in _search(member, data, needle.encode("utf-8", "surrogateescape")):
                found.setdefault((quote.line, quote.text), quote)
        lines = sorted(found.values(), key=lambda quote: quote.line)
        return tuple(lines if len(lines) <= most else [*lines[: most // 2], *lines[-most // 2 :]])


def _search(member: str, data: bytes, needle: bytes) -> Iterator[Quote]:
    """Yield the first and the last lines that hold the needle; one that starts a line may start the text."""
    places = []
    if needle.startswith(b"\n") and data.startswith(needle[1:]):
        places.append(0)
    at = data.find(needle)
    for _ in range(AT_MOST // 2):
        if at < 0:
            break
        places.append(at + needle.startswith(b"\n"))
        at = data.find(needle, at + 1)
    end = data.rfind(needle)
    if end >= 0:
        places.append(end + needle.startswith(b"\n"))
    for place in dict.fromkeys(places):
        yield _quote(member, data, place)


def _counted_at(member: str, data: bytes, line: int, one: Count) -> Quote:
    """Return a line from its subject's name on, or from the number on where that stands too far behind."""
    begin = 0
    for _ in range(line - 1):
        begin = data.find(b"\n", begin) + 1
    end = data.find(b"\n", begin)
    at = begin
    name = one.needle.strip().encode("utf-8", "surrogateescape")
    while (at := data.find(name, at, end if end >= 0 else None) if name and name[:1] != b"@" else -1) >= 0:
        number = re.search(rb"(?<![0-9])%d(?![0-9])" % one.value, data[at : at + LONGEST // 2])
        if number:
            return _quote(member, data, at)
        at += 1
    number = re.search(rb"(?<![0-9])%d(?![0-9])" % one.value, data[begin : end if end >= 0 else None])
    return _quote(member, data, begin + number.start() if number else begin)


def _quote(member: str, data: bytes, place: int, head: str = "") -> Quote:
    start = data.rfind(b"\n", 0, place) + 1
    end = data.find(b"\n", place)
    stop = len(data) if end < 0 else end
    before, after = "", ""
    if head:
        before, after = f"{head} … ", " …" if place + LONGEST < stop else ""
        start, stop = place, min(stop, place + LONGEST)
    elif stop - start > LONGEST:
        first = max(start, place - LONGEST // 4)
        before, after = ("… " if first > start else ""), (" …" if first + LONGEST < stop else "")
        start, stop = first, min(stop, first + LONGEST)
    text = data[start:stop].decode("utf-8", "surrogateescape")
    return Quote(member, data.count(b"\n", 0, place) + 1, f"{before}{text}{after}")
