# SPDX-License-Identifier: Apache-2.0
"""Guests as subjects: the NICs inside them and what their UDP received, each with its facts."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

from vnetkb.facts import guest_witnesses, netkvm, settings
from vnetkb.facts.deltas import difference, total
from vnetkb.facts.guests import AGENT_NIC, ALL_ADAPTERS, LINUX_NIC, WINDOWS_NIC, WINDOWS_TEXT, guests
from vnetkb.facts.model import Fact, Subject
from vnetkb.facts.subject import Counted
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vnetkb.facts.guests import Guest
    from vnetkb.facts.model import Witness
    from vnetkb.facts.topology import Topology

ALL_FRAMES = 3


def subjects(topology: Topology) -> Iterator[GuestSource]:
    """Yield the NICs of every guest that are on a port of the host, and each guest's UDP."""
    for guest in guests(topology):
        if guest.is_plain:
            yield WindowsNic(guest, ALL_ADAPTERS, guest.plain_port)
        for nic, tap in guest.nics.items():
            if tap is not None and not guest.is_plain:
                kind = WindowsNic if guest.is_windows else LinuxNic
                yield kind(guest, nic, tap)
        if guest.is_windows:
            yield WindowsUdp(guest)
        else:
            yield LinuxUdp(guest)
            yield LinuxUdp6(guest)


class GuestSource:
    """Counters and facts of one thing inside a guest, each computed on first use."""

    kind: ClassVar[str] = ""
    providers: ClassVar[Mapping[str, Callable[[Any], Fact]]] = {}

    def __init__(self, guest: Guest, name: str, tap: str | None) -> None:
        """Keep the sources; `tap` is the port that it is reached through, where that is one."""
        self.guest = guest
        self.name = name
        self.tap = tap
        self._facts: dict[str, Fact] = {}

    @property
    def subject(self) -> Subject:
        """What a finding on it is about."""
        mac = self.guest.topology.guest_mac(self.tap) if self.tap else None
        return Subject(self.kind, f"{self.guest.name} {self.name}", self.guest.name, mac, self.tap)

    @property
    def drops(self) -> Sequence[int | None]:
        """Empty: a guest has no series."""
        return ()

    def scopes(self) -> Mapping[str, str]:
        """What it shares with others."""
        return {"vm": self.guest.name, "host": self.guest.tables.bundle.manifest.host}

    def words(self) -> Mapping[str, str]:
        """Names that the knowledge base's texts may use for it."""
        port = self.tap or tr("its port")
        bridge = self.guest.topology.port_of(self.tap) if self.tap else None
        return {
            **({"domain": self.guest.name} if self.guest.topology.is_domain(self.guest.name) else {}),
            **({"bridge": bridge} if bridge else {}),
            "device": self.subject.name,
            "vm": self.guest.name,
            "tap": port,
            "host": self.guest.tables.bundle.manifest.host,
        }

    def witnesses(self, field: str, counted: Counted, peak_rate: float) -> tuple[Witness, ...]:
        """Return what the second sources in the guest, and its agent, tell of a counter."""
        del counted, peak_rate
        return guest_witnesses.of(self, field)

    def read(self, field: str) -> tuple[tuple[int | None, ...], str] | None:
        """Return a counter in each sample and the capture it is from; None if there is none of this name."""
        raise NotImplementedError

    def counted(self, field: str) -> Counted | None:
        """Return how a counter stood and moved between the guest's samples."""
        found = self.read(field)
        if found is None:
            return None
        values, capture = found
        known = tuple(value for value in values if value is not None)
        if not known:
            return None
        delta = None
        if self.guest.rebooted is False:
            steps = [difference(a, b, same_device=True, u32=False) for a, b in itertools.pairwise(known)]
            delta = total(steps)
        return Counted(
            known,
            delta,
            captures=self.guest.paths(capture),
            missing=() if delta is not None else (capture,),
            why_unknown="" if delta is not None else self._why(known, capture),
            covers_s=self.guest.seconds,
            own_time=True,
        )

    def _why(self, known: Sequence[int], capture: str) -> str:
        """Why it is not known how far a counter moved."""
        if self.guest.rebooted is False and list(known) != sorted(known):
            return tr("it went back between the guest's samples: the driver or the guest was restarted")
        return self.guest.why_unmoved(capture)

    def fact(self, name: str) -> Fact:
        """Return one fact; a name that no function provides is unknown."""
        if name not in self._facts:
            provider = self.providers.get(name)
            fact = provider(self) if provider else settings.of_guest(self.guest, name, self.tap)
            if fact is None:
                fact = Fact(name, why_unknown=tr("not computed for a {kind}", kind=self.kind))
            if fact.missing:
                fact = fact._replace(
                    missing=tuple(c for c in fact.missing if self.guest.tables.can_be_had(c))
                )
            self._facts[name] = fact
        return self._facts[name]

    def known(self, name: str, value: float | str | None, *captures: str) -> Fact:
        """Build a fact; the captures are where it was read, or what would make it known."""
        if value is None:
            why = self.guest.why(captures[0]) if captures else tr("nothing in the bundle tells")
            return Fact(name, missing=captures, why_unknown=why)
        return Fact(name, value, captures=tuple(path for each in captures for path in self.guest.paths(each)))


class LinuxNic(GuestSource):
    """A virtio NIC inside a Linux guest."""

    kind: ClassVar[str] = "guest_nic"

    def read(self, field: str) -> tuple[tuple[int | None, ...], str] | None:
        """Return a counter of the interface in each sample."""
        if field != "rx_otherhost_dropped":
            return self.guest.statistic(self.name, field)
        links = [
            next((each for each in links or () if each.ifname == self.name), None)
            for links in self.guest.each("guest-ip-link")
        ]
        # iproute2 prints it only when it is not 0; a kernel that never shows it may not count it
        least = 0 if any(link is not None and "otherhost" in link.rx for link in links) else None
        values = [None if link is None else link.rx.get("otherhost", least) for link in links]
        return tuple(values), "guest-ip-link"


class WindowsNic(GuestSource):
    """A NIC inside a Windows guest."""

    kind: ClassVar[str] = "windows_adapter"

    _FIELDS: ClassVar[Mapping[str, str]] = {
        "received_discarded": "IncomingPacketsDiscarded",
        "received_errors": "IncomingPacketsWithErrors",
        "received_unknown_protocols": "IncomingUnknownProtocolPackets",
        "outbound_discarded": "OutgoingPacketsDiscarded",
        "outbound_errors": "OutgoingPacketsWithErrors",
        "received_unicast_packets": "UnicastPacketsReceived",
        "received_nonunicast_packets": "NonUnicastPacketsReceived",
        "sent_unicast_packets": "UnicastPacketsSent",
    }
    _ROWS: ClassVar[Mapping[str, str]] = {
        "received_discarded": "rx_discards",
        "received_errors": "rx_errors",
        "received_unknown_protocols": "rx_unknown",
        "outbound_discarded": "tx_discards",
        "outbound_errors": "tx_errors",
        "received_unicast_packets": "rx_unicast",
        "received_nonunicast_packets": "rx_other",
        "sent_unicast_packets": "tx_unicast",
    }

    # What the agent calls them (qga/commands-win32.c, from MIB_IF_ROW2): its packets are unicast only.
    _BY_AGENT: ClassVar[Mapping[str, str]] = {
        "received_discarded": "rx_dropped",
        "received_errors": "rx_errs",
        "outbound_discarded": "tx_dropped",
        "outbound_errors": "tx_errs",
        "received_unicast_packets": "rx_packets",
        "sent_unicast_packets": "tx_packets",
    }

    def read(self, field: str) -> tuple[tuple[int | None, ...], str] | None:
        """Return a counter of the interface in each sample: .NET's, of netstat -e, or else the agent's."""
        key = self._FIELDS.get(field)
        if key is None:
            return None
        if self.guest.first(WINDOWS_NIC) is None and not self.guest.is_plain:
            told = self._BY_AGENT.get(field)
            return None if told is None else (self.guest.by_agent(self.name, told), AGENT_NIC)
        if self.guest.first(WINDOWS_NIC) is None:
            texts = self.guest.each(WINDOWS_TEXT)
            return tuple(getattr(row, self._ROWS[field], None) for row in texts), WINDOWS_TEXT
        values: list[int | None] = []
        for counters in self.guest.each(WINDOWS_NIC):
            nic = next((n for n in counters.interfaces if n.name == self.name), None) if counters else None
            values.append(nic.statistics.get(key) if nic is not None else None)
        return tuple(values), WINDOWS_NIC


class LinuxUdp(GuestSource):
    """UDP inside a Linux guest."""

    kind: ClassVar[str] = "guest_udp"

    _FIELDS: ClassVar[Mapping[str, str]] = {
        "in_datagrams": "InDatagrams",
        "no_ports": "NoPorts",
        "rcvbuf_errors": "RcvbufErrors",
    }

    def __init__(self, guest: Guest) -> None:
        """Take the guest's only port, if it has one."""
        super().__init__(guest, "UDP", guest.taps[0] if len(guest.taps) == 1 else None)

    def read(self, field: str) -> tuple[tuple[int | None, ...], str] | None:
        """Return a counter of UDP over IPv4 in each sample."""
        key = self._FIELDS.get(field)
        return None if key is None else (self.guest.snmp("Udp", key), "guest-proc-net-snmp")


class LinuxUdp6(GuestSource):
    """UDP over IPv6 inside a Linux guest."""

    kind: ClassVar[str] = "guest_udp6"

    _FIELDS: ClassVar[Mapping[str, str]] = {
        "in_datagrams": "Udp6InDatagrams",
        "no_ports": "Udp6NoPorts",
        "rcvbuf_errors": "Udp6RcvbufErrors",
    }

    def __init__(self, guest: Guest) -> None:
        """Take the guest's only port, if it has one."""
        super().__init__(guest, "UDP/IPv6", guest.taps[0] if len(guest.taps) == 1 else None)

    def read(self, field: str) -> tuple[tuple[int | None, ...], str] | None:
        """Return a counter of UDP over IPv6 in each sample."""
        key = self._FIELDS.get(field)
        if key is None:
            return None
        values = tuple((rows or {}).get(key) for rows in self.guest.each("guest-proc-net-snmp6"))
        return values, "guest-proc-net-snmp6"


class WindowsUdp(GuestSource):
    """UDP inside a Windows guest."""

    kind: ClassVar[str] = "windows_udp"

    _FIELDS: ClassVar[Mapping[str, tuple[str, str]]] = {
        "datagrams_received": ("DatagramsReceived", "received"),
        "no_ports": ("IncomingDatagramsDiscarded", "no_ports"),
        "receive_errors": ("IncomingDatagramsWithErrors", "receive_errors"),
    }

    def __init__(self, guest: Guest) -> None:
        """Take the guest's only port, if it has one."""
        super().__init__(guest, "UDP", guest.taps[0] if len(guest.taps) == 1 else None)

    def read(self, field: str) -> tuple[tuple[int | None, ...], str] | None:
        """Return a counter of UDP over IPv4 in each sample: .NET's first, else of netstat -s."""
        keys = self._FIELDS.get(field)
        if keys is None:
            return None
        rows = self.guest.each(WINDOWS_NIC)
        if any(rows):
            values = [row.protocols.get("UdpIPv4", {}).get(keys[0]) if row else None for row in rows]
            return tuple(values), WINDOWS_NIC
        sections = [(row or {}).get("UDPv4") for row in self.guest.each("win-netstat-s")]
        return tuple(getattr(s, keys[1]) if s else None for s in sections), "win-netstat-s"


def _tap_dropped(source: GuestSource) -> Fact:
    """How far the port's own drop counter moved between the host's snapshots."""
    name = "guest.port_dropped"
    tables = source.guest.tables
    if source.tap is None:
        return Fact(name, why_unknown=tr("the guest has more ports than one, or none"))
    if source.guest.clock.is_of_another_time:
        why = tr("by the guest's clock its samples are of another time than the host's snapshots")
        return Fact(name, why_unknown=why)
    values = [
        device.statistics.get("tx_dropped")
        if (device := (tables.get("sysfs-net", n) or {}).get(source.tap))
        else None
        for n in tables.snapshots
    ]
    steps = [difference(a, b, same_device=True, u32=False) for a, b in itertools.pairwise(values)]
    value = total(steps)
    if value is None:
        return Fact(name, missing=("sysfs-net",), why_unknown=tr("it needs two snapshots of the host"))
    return Fact(name, value, captures=tables.paths("sysfs-net"))


def _softnet(source: GuestSource) -> Fact:
    value = source.guest.moved("guest-softnet-stat", lambda rows: sum(row.dropped for row in rows), u32=True)
    return source.known("guest.softnet_dropped", value, "guest-softnet-stat")


def _packet_sockets(source: GuestSource) -> Fact:
    samples = [rows for rows in source.guest.each("guest-proc-net-packet") if rows is not None]
    counts = [sum(1 for row in rows if row.protocol == ALL_FRAMES and row.running) for rows in samples]
    return source.known("guest.packet_captures", max(counts, default=None), "guest-proc-net-packet")


RPS_CPUS, RPS_FLOWS = "rps_cpus", "rps_flow_cnt"
SETTINGS, FLOW_ENTRIES = "guest-sysctl-net", "net.core.rps_sock_flow_entries"


def _packet_steering(source: GuestSource) -> Fact:
    """Whether packets of the NIC may go to another CPU (net/core/dev.c get_rps_cpu).

    A queue without CPUs to steer to (rps_cpus) still steers by flow, where it has a table of flows and the
    whole system has one too.
    """
    name = "guest.packet_steering"
    files: dict[str, list[str]] = {RPS_CPUS: [], RPS_FLOWS: []}
    for row in source.guest.each(LINUX_NIC):
        device = (row or {}).get(source.name)
        for path, text in device.attributes.items() if device is not None else ():
            files.get(path.rpartition("/")[2], []).append(text)
    steered = any(text.strip("0,\n") for text in files[RPS_CPUS])
    entries = (source.guest.first(SETTINGS) or {}).get(FLOW_ENTRIES)
    no_flows = entries == "0" or (
        bool(files[RPS_FLOWS]) and not any(n.strip("0\n") for n in files[RPS_FLOWS])
    )
    if steered or not files[RPS_CPUS]:
        return source.known(name, steered or None, LINUX_NIC)
    return source.known(name, False if no_flows else None, LINUX_NIC, SETTINGS)


def _driver_dropped(source: GuestSource) -> Fact:
    from vnetkb.parsers.ethtool_s import by_queue  # noqa: PLC0415 - parsers are imported where they are used

    def read(rows: Mapping[str, dict[str, int]]) -> int | None:
        queues = by_queue(rows.get(source.name, {}))
        drops = [
            value for queue, value in queues.items() if queue.direction == "rx" and queue.what == "drops"
        ]
        return sum(drops) if drops else None

    return source.known(
        "guest.driver_dropped", source.guest.moved("guest-ethtool-s", read), "guest-ethtool-s"
    )


def _netkvm_build(source: GuestSource) -> Fact:
    value = netkvm.build(source.guest, source.name)
    why = netkvm.why_not(source.guest, source.name, netkvm.REGISTRY) if value is None else ""
    if why:
        return Fact("guest.netkvm_build", why_unknown=tr(why))
    return source.known("guest.netkvm_build", value, netkvm.REGISTRY)


def _is_netkvm(source: GuestSource) -> Fact:
    value = netkvm.is_netkvm(source.guest, source.name)
    return source.known("guest.nic_is_netkvm", value, WINDOWS_NIC)


SOCKETS4, SOCKETS6 = "guest-proc-net-udp", "guest-proc-net-udp6"


def _sockets(source: GuestSource) -> tuple[str, ...]:
    """Lists of the sockets that may take such datagrams: one of IPv6 may take those of IPv4 as well."""
    return (SOCKETS4, SOCKETS6) if source.kind == LinuxUdp.kind else (SOCKETS6,)


def _rose(source: GuestSource) -> dict[int, int] | None:
    """How far each socket's own counter moved, by its port; of sockets that are in both samples."""
    found: dict[int, int] = {}
    known = False
    for capture in _sockets(source):
        samples = [rows for rows in source.guest.each(capture) if rows is not None]
        if len(samples) < 2:  # noqa: PLR2004
            continue
        known = True
        before = {row.inode: row.drops for row in samples[0]}
        for row in samples[-1]:
            rose = max(0, row.drops - before.get(row.inode, row.drops))
            found[row.port] = found.get(row.port, 0) + rose
    return found if known else None


def _socket_drops(source: GuestSource) -> Fact:
    """Datagrams that the sockets' own counters show as dropped."""
    rose = _rose(source)
    return source.known(
        "guest.socket_dropped", None if rose is None else sum(rose.values()), *_sockets(source)
    )


def _socket_port(source: GuestSource) -> Fact:
    worst = max((count, port) for port, count in {0: 0, **(_rose(source) or {})}.items())
    return source.known("guest.socket_port", worst[1] if worst[0] > 0 else None, *_sockets(source))


def _system(source: GuestSource) -> Fact:
    value = "windows" if source.kind.startswith("windows") else "linux"
    return source.known("guest.counter_system", value, MANIFEST, "agent-osinfo")


MANIFEST = "guest-manifest"
COMMON = {"guest.port_dropped": _tap_dropped, "guest.counter_system": _system}
LinuxNic.providers = {
    **COMMON,
    "guest.softnet_dropped": _softnet,
    "guest.packet_captures": _packet_sockets,
    "guest.driver_dropped": _driver_dropped,
    "guest.packet_steering": _packet_steering,
}
WindowsNic.providers = {
    **COMMON,
    "guest.netkvm_build": _netkvm_build,
    "guest.nic_is_netkvm": _is_netkvm,
}
LinuxUdp.providers = {**COMMON, "guest.socket_dropped": _socket_drops, "guest.socket_port": _socket_port}
LinuxUdp6.providers = LinuxUdp.providers
WindowsUdp.providers = COMMON
NIC_CAPTURE = LINUX_NIC
