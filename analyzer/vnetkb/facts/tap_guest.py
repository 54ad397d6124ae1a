# SPDX-License-Identifier: Apache-2.0
"""Facts about a tap that its guest, or QEMU's view of the guest's receive queues, tells."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from vnetkb.facts import netkvm
from vnetkb.facts.deltas import difference, total
from vnetkb.facts.guests import (
    AGENT_NIC,
    IFF_PROMISC,
    IFF_UP,
    LINUX_NIC,
    SCOPE,
    WINDOWS_NIC,
    WINDOWS_TEXT,
    Guest,
)
from vnetkb.facts.model import Fact
from vnetkb.facts.tap import provides
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vnetkb.facts.model import Value
    from vnetkb.facts.tap import TapFacts
    from vnetkb.facts.topology import Topology

RINGS = "virtqueue-status"
WINDOWS_STACK = "win-netstat-s"
SNMP, SNMP6, NETSTAT = "guest-proc-net-snmp", "guest-proc-net-snmp6", "guest-proc-net-netstat"
# Counters of a Linux NIC that count a packet its guest received and did not use.
_DROPS = ("rx_dropped", "rx_length_errors", "rx_frame_errors")
# The agent's names of the two that Windows has.
_AGENT_DROPS = ("rx_dropped", "rx_errs")


def guest_of(topology: Topology, tap: str) -> Guest | None:
    """The guest behind a tap, if the bundle holds something of it."""
    vm = topology.vm(tap)
    scope = f"{SCOPE}{vm}"
    there = any(c.scope == scope for c in topology.tables.bundle.manifest.captures)
    return Guest(vm, topology) if vm and there else None


def _known(name: str, guest: Guest, value: Value | None, *captures: str, why: str = "") -> Fact:
    if value is None:
        missing = tuple(capture for capture in captures if guest.could_have(capture))
        return Fact(name, missing=missing, why_unknown=why or guest.why((missing or captures)[0]))
    return Fact(name, value, captures=tuple(path for each in captures for path in guest.paths(each)))


def _moved(name: str, guest: Guest, value: Value | None, *captures: str) -> Fact:
    """A fact from two samples of the guest: it is unknown where a boot or another time lies between."""
    return _known(name, guest, value, *captures, why=guest.why_unmoved(captures[0]))


def _without(name: str, guest: Guest | None, *captures: str) -> Fact:
    """A fact that the guest would tell: it was not asked, or does not tell it of this port."""
    if guest is None:
        return Fact(name, missing=captures, why_unknown=tr("the guest was not asked"))
    if guest.is_plain:
        why = tr("the guest was asked, but the totals of plain tools do not tell it of this port")
    else:
        why = tr("the guest was asked, but what it gave does not tell it of this port")
    return _known(name, guest, None, *captures, why=why)


def guest_fact(name: str, *captures: str) -> Callable[[Callable[[Guest], Fact]], None]:
    """Register a fact that the tap's guest tells; it lacks ``captures`` where nothing of a guest is known."""

    def register(tell: Callable[[Guest], Fact]) -> None:
        @provides(name)
        def fact(tap: TapFacts) -> Fact:
            guest = guest_of(tap.topology, tap.name)
            return _without(name, guest, *captures) if guest is None else tell(guest)

    return register


def nic_fact(name: str, *captures: str) -> Callable[[Callable[[Guest, str], Fact]], None]:
    """Register a fact that the guest tells of its NIC at the tap, like `guest_fact`."""

    def register(tell: Callable[[Guest, str], Fact]) -> None:
        @provides(name)
        def fact(tap: TapFacts) -> Fact:
            guest = guest_of(tap.topology, tap.name)
            nic = guest.nic_of(tap.name) if guest is not None else None
            if guest is None or nic is None:
                return _without(name, guest, *captures)
            if guest.clock.is_of_another_time:
                return _known(name, guest, None, *captures, why=guest.why_unmoved(captures[0]))
            return tell(guest, nic)

    return register


@provides("ring.avail")
def _avail(tap: TapFacts) -> Fact:
    """Receive buffers that the guest has posted, of the queue that has fewest."""
    name = "ring.avail"
    guest = guest_of(tap.topology, tap.name)
    if guest is None or guest.first(RINGS) is None:
        return Fact(name, missing=(RINGS,), why_unknown=tr("QEMU was not asked for its virtqueues"))
    nic = tap.topology.nic_id(tap.name)
    attached = tap.fact("tap.queue_count").value
    queues = attached if isinstance(attached, int) and attached > 0 else None
    alone = len(guest.taps) == 1
    ends = tuple(_fewest(rows, nic, queues, alone=alone) for rows in guest.each(RINGS))
    known = [end for end in ends if end is not None]
    if not known:
        return Fact(
            name, None, ends, missing=(RINGS,), why_unknown=tr("QEMU does not tell the indices of this NIC")
        )
    return Fact(name, min(known), ends, captures=guest.paths(RINGS))


def _fewest(rows: Iterable[Any] | None, nic: str | None, queues: int | None, *, alone: bool) -> int | None:
    """The fewest buffers of any receive queue in use.

    Queues 0, 2, 4 … receive, as many as the tap has attached; those that the guest does not use are empty,
    and the one after the last pair is for control (drivers/net/virtio_net.c virtnet_find_vqs).
    """
    mine = [row for row in rows or () if (nic and f"/{nic}/" in row.path) or (alone and not nic)]
    posted = {row.queue // 2: row.posted for row in mine if row.posted is not None}
    if queues is not None:
        return min((buffers for pair, buffers in posted.items() if pair < queues), default=None)
    known = [posted[pair] for pair in sorted(posted)]
    return min(known[:-1] if len(known) > 1 else known, default=None)


@nic_fact("guest.nic_up", LINUX_NIC, WINDOWS_NIC)
def _nic_up(guest: Guest, nic: str) -> Fact:
    name = "guest.nic_up"
    if guest.is_windows and guest.first(WINDOWS_NIC) is None:
        return _without(name, guest, WINDOWS_NIC)
    if guest.is_windows:
        states: list[bool | None] = []
        for counters in guest.each(WINDOWS_NIC):
            one = next((n for n in counters.interfaces if n.name == nic), None) if counters else None
            # OperationalStatus: what is not up may be switched on and without a link
            states.append(True if one is not None and one.status == "Up" else None)
    else:
        flags = guest.attribute(nic, "flags")
        states = [None if text is None else bool(int(text, 16) & IFF_UP) for text in flags]
    known = {state for state in states if state is not None}
    captures = guest.paths(WINDOWS_NIC if guest.is_windows else LINUX_NIC)
    value = known.pop() if len(known) == 1 else None
    why = "" if value is not None else tr("it changed between the guest's samples, or nothing tells it")
    return Fact(name, value, tuple(states), captures=captures, why_unknown=why)


@nic_fact("guest.promiscuous", LINUX_NIC)
def _promiscuous(guest: Guest, nic: str) -> Fact:
    name = "guest.promiscuous"
    if guest.is_windows:
        return _without(name, guest, LINUX_NIC)
    flags = guest.attribute(nic, "flags")
    states = [None if text is None else bool(int(text, 16) & IFF_PROMISC) for text in flags]
    known = {state for state in states if state is not None}
    why = "" if len(known) == 1 else tr("it changed between the guest's samples, or nothing tells it")
    value = known.pop() if len(known) == 1 else None
    return Fact(name, value, tuple(states), captures=guest.paths(LINUX_NIC), why_unknown=why)


@provides("guest.unserved_queues")
def _unserved(tap: TapFacts) -> Fact:
    name, capture = "guest.unserved_queues", "guest-ethtool-l"
    guest = guest_of(tap.topology, tap.name)
    nic = guest.nic_of(tap.name) if guest is not None else None
    attached = tap.fact("tap.queue_count").value
    if guest is None or nic is None or not isinstance(attached, int):
        return _without(name, guest, capture)
    channels = (guest.first(capture) or {}).get(nic)
    served = channels.current.combined if channels else None
    return _known(name, guest, None if served is None else max(0, attached - served), capture)


@provides("guest.system")
def _system(tap: TapFacts) -> Fact:
    name = "guest.system"
    guest = guest_of(tap.topology, tap.name)
    if guest is None or guest.system is None:
        return _without(name, guest, "guest-manifest", "agent-osinfo")
    return Fact(name, guest.system, captures=guest.paths("guest-manifest") + guest.paths("agent-osinfo"))


@provides("guest.drops_moved")
def _drops_moved(tap: TapFacts) -> Fact:
    """How far all drop counters of the guest's NIC moved together."""
    name = "guest.drops_moved"
    guest = guest_of(tap.topology, tap.name)
    if guest is not None and guest.is_plain and not guest.is_stranger:
        return _plain_drops(name, guest)
    nic = guest.nic_of(tap.name) if guest is not None else None
    if guest is None or nic is None:
        return _without(name, guest, LINUX_NIC, WINDOWS_NIC, AGENT_NIC)
    if guest.is_windows and guest.first(WINDOWS_NIC) is None:

        def told(rows: Any) -> int | None:  # noqa: ANN401 - as the parser types it
            one = next((each for each in rows if each.name == nic), None)
            return None if one is None else total([one.statistics.get(key) for key in _AGENT_DROPS])

        return _moved(name, guest, guest.moved(AGENT_NIC, told), AGENT_NIC)
    if guest.is_windows:
        keys = ("IncomingPacketsDiscarded", "IncomingPacketsWithErrors")

        def read(counters: Any) -> int | None:  # noqa: ANN401 - as the parser types it
            one = next((n for n in counters.interfaces if n.name == nic), None)
            return None if one is None else sum(one.statistics.get(key, 0) for key in keys)

        return _moved(name, guest, guest.moved(WINDOWS_NIC, read), WINDOWS_NIC)
    columns = [guest.statistic(nic, key) for key in _DROPS]
    moves = [
        total([difference(a, b, same_device=True, u32=False) for a, b in itertools.pairwise(values)])
        for values, _ in columns
        if all(value is not None for value in values) and len(values) > 1
    ]
    together = guest.rebooted is False and not guest.clock.is_of_another_time
    return _moved(name, guest, total(moves) if together else None, columns[0][1])


def _plain_drops(name: str, guest: Guest) -> Fact:
    """Of a sum over all adapters only what is 0 is that of each of them."""
    moved = guest.moved(WINDOWS_TEXT, lambda row: row.rx_discards + row.rx_errors)
    if moved and guest.plain_port is None:
        why = tr("netstat -e shows +{moved} of all adapters together, not at which of them", moved=moved)
        return _known(name, guest, None, WINDOWS_NIC, why=why)
    return _moved(name, guest, moved, WINDOWS_TEXT)


CPU_TIMES = "guest-proc-stat"
_CPU_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def _cpu_share(guest: Guest, name: str, *parts: str) -> Fact:
    """Share of these parts in the time of the CPU that has most of them, between the guest's samples."""
    capture = CPU_TIMES
    samples = [rows for rows in guest.each(capture) if rows is not None]
    shares: list[float] = []
    if len(samples) > 1 and guest.rebooted is False and not guest.clock.is_of_another_time:
        for cpu, after in samples[-1].cpus.items():
            before = samples[0].cpus.get(cpu)
            if before is None:
                continue
            moved = {field: getattr(after, field) - getattr(before, field) for field in _CPU_FIELDS}
            whole = sum(moved.values())
            if whole > 0:
                shares.append(100.0 * sum(moved[part] for part in parts) / whole)
    return _moved(name, guest, max(shares, default=None), capture)


@guest_fact("guest.busy_share", CPU_TIMES)
def _busy(guest: Guest) -> Fact:
    return _cpu_share(guest, "guest.busy_share", "user", "nice", "system", "irq", "softirq", "steal")


@guest_fact("guest.softnet_squeezed", "guest-softnet-stat")
def _squeezed(guest: Guest) -> Fact:
    name, capture = "guest.softnet_squeezed", "guest-softnet-stat"
    value = guest.moved(capture, lambda rows: sum(row.time_squeeze for row in rows), u32=False)
    return _moved(name, guest, value, capture)


@guest_fact("guest.steal_share", CPU_TIMES)
def _steal(guest: Guest) -> Fact:
    return _cpu_share(guest, "guest.steal_share", "steal")


@guest_fact("guest.softirq_share", CPU_TIMES)
def _softirq(guest: Guest) -> Fact:
    return _cpu_share(guest, "guest.softirq_share", "softirq")


def _gaps(guest: Guest) -> int | None:
    def read(rows: Any) -> int | None:  # noqa: ANN401 - as the parser types it
        ext = rows.get("TcpExt", {})
        parts = [ext[key] for key in ("TCPOFOQueue", "TCPDSACKOldSent", "TCPDSACKOfoSent") if key in ext]
        return sum(parts) if parts else None

    return guest.moved(NETSTAT, read)


def _tcp(guest: Guest, linux: str, windows: str, plain: str) -> tuple[int | None, str]:
    """How far a counter of TCP moved, and the capture that shows it."""
    if not guest.is_windows:
        return guest.moved(SNMP, lambda rows: rows.get("Tcp", {}).get(linux)), SNMP
    if guest.is_plain:
        return guest.moved(WINDOWS_STACK, lambda rows: _plain_sum(rows, "TCP", plain)), WINDOWS_STACK
    keys = ("TcpIPv4", "TcpIPv6")

    def read(counters: Any) -> int | None:  # noqa: ANN401 - as the parser types it
        parts = [counters.protocols.get(key, {}).get(windows) for key in keys]
        known = [part for part in parts if part is not None]
        return sum(known) if known else None

    return guest.moved(WINDOWS_NIC, read), WINDOWS_NIC


def _plain_sum(rows: Mapping[str, Any], protocol: str, field: str) -> int | None:
    """A row of `netstat -s`, of IPv4 and IPv6 together; protocols are the whole guest's, not a NIC's."""
    known = [getattr(rows[key], field) for key in (f"{protocol}v4", f"{protocol}v6") if key in rows]
    return sum(known) if known else None


@guest_fact("guest.tcp_gaps", NETSTAT)
def _tcp_gaps(guest: Guest) -> Fact:
    """Segments that came out of order, or once more than needed: the witness for loss towards the guest."""
    name = "guest.tcp_gaps"
    return _moved(name, guest, _gaps(guest), NETSTAT)


@guest_fact("guest.tcp_received", SNMP)
def _tcp_received(guest: Guest) -> Fact:
    name = "guest.tcp_received"
    value, capture = _tcp(guest, "InSegs", "SegmentsReceived", "segments_received")
    return _moved(name, guest, value, capture)


@guest_fact("guest.tcp_gap_share", NETSTAT, SNMP)
def _tcp_gap_share(guest: Guest) -> Fact:
    name = "guest.tcp_gap_share"
    gaps, (segments, _) = _gaps(guest), _tcp(guest, "InSegs", "SegmentsReceived", "segments_received")
    share = None if gaps is None or not segments else min(100.0, 100.0 * gaps / segments)
    return _moved(name, guest, share, NETSTAT, SNMP)


@guest_fact("guest.tcp_resent_share", SNMP)
def _tcp_resent_share(guest: Guest) -> Fact:
    name = "guest.tcp_resent_share"
    again, capture = _tcp(guest, "RetransSegs", "SegmentsResent", "retransmitted")
    sent, _ = _tcp(guest, "OutSegs", "SegmentsSent", "segments_sent")
    # neither Linux nor Windows counts a segment that is sent again among those that are sent
    share = None if again is None or not sent else 100.0 * again / (sent + again)
    return _moved(name, guest, share, capture)


@guest_fact("guest.udp_errors", SNMP)
def _udp_errors(guest: Guest) -> Fact:
    name = "guest.udp_errors"
    if guest.is_plain:
        value = guest.moved(WINDOWS_STACK, lambda rows: _plain_sum(rows, "UDP", "receive_errors"))
        return _moved(name, guest, value, WINDOWS_STACK)
    if guest.is_windows:

        def read(counters: Any) -> int | None:  # noqa: ANN401 - as the parser types it
            keys = ("UdpIPv4", "UdpIPv6")
            parts = [counters.protocols.get(key, {}).get("IncomingDatagramsWithErrors") for key in keys]
            known = [part for part in parts if part is not None]
            return sum(known) if known else None

        return _moved(name, guest, guest.moved(WINDOWS_NIC, read), WINDOWS_NIC)
    four = guest.moved(SNMP, lambda rows: rows.get("Udp", {}).get("InErrors"))
    six = guest.moved(SNMP6, lambda rows: rows.get("Udp6InErrors"))
    return _moved(name, guest, None if four is None else four + (six or 0), SNMP, SNMP6)


def netkvm_fact(name: str, capture: str) -> Callable[[Callable[[Guest, str], Value | None]], None]:
    """Register a fact that the NetKVM driver tells of the NIC at the tap; it is of no time in particular."""

    def register(tell: Callable[[Guest, str], Value | None]) -> None:
        @provides(name)
        def fact(tap: TapFacts) -> Fact:
            guest = guest_of(tap.topology, tap.name)
            nic = guest.nic_of(tap.name) if guest is not None else None
            if guest is None or nic is None:
                return _without(name, guest, capture)
            value = tell(guest, nic)
            why = netkvm.why_not(guest, nic, capture) if value is None else ""
            return Fact(name, why_unknown=tr(why)) if why else _known(name, guest, value, capture)

    return register


def _rx_capacity(guest: Guest, nic: str) -> int | None:
    text = netkvm.setting(guest, nic, "RxCapacity") or ""
    return int(text) if text.isdecimal() else None


netkvm_fact("guest.netkvm_min_free", WINDOWS_NIC)(netkvm.min_free)
netkvm_fact("guest.netkvm_filling", WINDOWS_NIC)(netkvm.still_filling)
netkvm_fact("guest.rx_capacity", netkvm.REGISTRY)(_rx_capacity)
netkvm_fact("guest.netkvm_build", netkvm.REGISTRY)(netkvm.build)
netkvm_fact("guest.nic_is_netkvm", WINDOWS_NIC)(netkvm.is_netkvm)


@provides("ring.rx_queue_size")
def _rx_queue_size(tap: TapFacts) -> Fact:
    size = tap.topology.receive_buffers(tap.name)
    if size is None:
        return Fact(
            "ring.rx_queue_size", missing=("proc-cmdline",), why_unknown=tr("QEMU's arguments were not seen")
        )
    return Fact("ring.rx_queue_size", size, captures=(tap.tables.once_path("proc-cmdline"),))
