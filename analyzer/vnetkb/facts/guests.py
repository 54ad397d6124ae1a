# SPDX-License-Identifier: Apache-2.0
"""What guests said of themselves, joined to their ports: one :class:`Guest` for each scope ``guest:<vm>``."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from vnetkb.facts.deltas import difference, total
from vnetkb.facts.guest_clock import GuestClock
from vnetkb.facts.tables import UPTIME_STEP_S
from vnetkb.language import mark, tr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vnetkb.facts.tables import Tables
    from vnetkb.facts.topology import Topology
    from vnetkb.parsers.win_getmac import Adapter

SCOPE = "guest:"
# Guest captures in a layout that a parser of another name reads.
PARSERS = {
    "guest-clock": "key_values",
    "guest-manifest": "key_values",
    "win-clock": "key_values",
    "agent-osinfo": "agent_reply",
    "guest-proc-net-netstat": "proc_net_snmp",
    "guest-proc-net-udp6": "proc_net_udp",
    "virtqueue-status": "virtio_queue_status",
    "win-adapters": "win_rows",
    "win-nic-registry": "win_rows",
}
IFF_UP, IFF_PROMISC = 0x1, 0x100
LINUX_NIC, WINDOWS_NIC, WINDOWS_TEXT = "guest-sysfs-net", "win-counters", "win-netstat-e"
AGENT_NIC = "agent-interfaces"
ALL_ADAPTERS = "netstat -e"
# Interfaces without a machine's NIC behind them: by what ethtool -i shows as their bus, by the names that
# programs give them, and by the descriptions of what Windows and its programs make.
_TUNNELS = ("tap", "tun")
_MADE_INSIDE = (
    *(
        "docker",
        "br-",
        "virbr",
        "veth",
        "cni",
        "flannel",
        "cali",
        "kube-",
        "lxc",
        "podman",
        "nerdctl",
        "ovs-",
    ),
    *(
        "tun",
        "tap",
        "wg",
        "vxlan",
        "geneve",
        "gre",
        "sit",
        "ip6",
        "ipip",
        "dummy",
        "ifb",
        "bond",
        "team",
        "vlan",
    ),
    *("zt", "tailscale", "vmnet", "Loopback", "isatap", "Teredo", "vEthernet"),
)
_MADE_BY_WINDOWS = (
    *("Microsoft ", "Hyper-V ", "WAN Miniport", "Software Loopback", "TAP-", "Bluetooth", "Teredo", "Npcap"),
    *("VMware Virtual", "VirtualBox", "WireGuard", "Wintun"),
)

# How the guest agent of each system lists the loopback; neither name is ever translated.
_LOOPBACKS = (("lo", "linux"), ("Loopback Pseudo-Interface", "windows"))

_ANOTHER_TIME = mark("by the guest's clock its samples are of another time than the host's snapshots")
_ONE_SAMPLE = mark("there is one sample of the guest only")
_BOOTED = mark("the guest booted between its samples, so its counters began again")
_BOOTED_PERHAPS = mark("whether the guest booted between its samples is not known")
_WENT_BACK = mark("it went back between the guest's samples: the driver or the guest was restarted")


def names(tables: Tables) -> list[str]:
    """Return the names of the guests that the bundle says something of."""
    captures = tables.bundle.manifest.captures
    return sorted({c.scope[len(SCOPE) :] for c in captures if c.scope.startswith(SCOPE)})


def guests(topology: Topology) -> tuple[Guest, ...]:
    """Return the guests that the bundle says something of, by name."""
    return tuple(Guest(name, topology) for name in names(topology.tables))


class Nic(NamedTuple):
    """An interface inside a guest."""

    name: str
    mac: str


class Guest:
    """Captures of one guest, and their joins to the host."""

    def __init__(self, name: str, topology: Topology) -> None:
        """Keep the sources; nothing is read yet."""
        self.name = name
        self.topology = topology
        self.tables = topology.tables
        self.scope = SCOPE + name
        self._back: set[str] = set()

    @cached_property
    def samples(self) -> tuple[int, ...]:
        """Numbers of the guest's samples."""
        rows = self.tables.bundle.manifest.captures
        return tuple(sorted({c.snapshot for c in rows if c.scope == self.scope and c.snapshot is not None}))

    def get(self, capture: str, n: int) -> Any:  # noqa: ANN401 - as the parser types it
        """Return the rows of a capture in sample ``n``, or None."""
        parser = PARSERS.get(capture, capture.removeprefix("guest-").replace("-", "_"))
        return self.tables.get(capture, n, scope=self.scope, parser=parser)

    def each(self, capture: str) -> tuple[Any, ...]:
        """Return the rows of a capture in every sample of the guest, None where it lacks them."""
        return tuple(self.get(capture, n) for n in self.samples)

    def first(self, capture: str) -> Any:  # noqa: ANN401 - as the parser types it
        """Return the rows of a capture that is taken once."""
        return next((rows for rows in self.each(capture) if rows is not None), None)

    def paths(self, capture: str) -> tuple[str, ...]:
        """Return the members of a capture that are there."""
        bundle = self.tables.bundle
        return tuple(
            self.tables.path(capture, n, self.scope)
            for n in self.samples
            if bundle.data(capture, n, self.scope) is not None
        )

    def span(self, capture: str, n: int) -> tuple[float, float] | None:
        """Return between which moments of the host's clock a capture was taken; None when not known."""
        one = self.tables.bundle.capture(capture, n, self.scope)
        if one is None or one.start_monotonic_s is None or one.duration_s is None:
            return None
        return one.start_monotonic_s, one.start_monotonic_s + one.duration_s + UPTIME_STEP_S

    def why(self, capture: str) -> str:
        """Why a capture gave nothing."""
        if self.first(capture) is not None:
            return tr("{capture} does not show it", capture=capture)
        return next(
            (self.tables.why(capture, n, self.scope) for n in self.samples),
            tr("{capture} does not show it", capture=capture),
        )

    def why_unmoved(self, capture: str) -> str:
        """Why it is not known how far a number of a capture moved."""
        known = sum(rows is not None for rows in self.each(capture))
        again = {True: _BOOTED, None: _BOOTED_PERHAPS, False: _WENT_BACK if capture in self._back else ""}
        for holds, why in (
            (not known, self.why(capture)),
            (self.clock.is_of_another_time, _ANOTHER_TIME),
            (known == 1, _ONE_SAMPLE),
        ):
            if holds:
                return tr(why)
        return tr(again[self.rebooted]) or self.why(capture)

    def could_have(self, capture: str) -> bool:
        """Whether the guest's collector could take a capture, by the system that runs in it."""
        if capture == "guest-manifest":
            return True
        other = {"windows": "guest-", "linux": "win-"}
        system = "windows" if self.is_windows else self.system
        return system not in other or not capture.startswith(other[system])

    def moved(self, capture: str, read: Callable[[Any], int | None], *, u32: bool = False) -> int | None:
        """How far a number moved between the samples.

        None when a boot lies between, one is missing, or they are of another time than the host's.
        """
        if self.rebooted is not False or self.clock.is_of_another_time:
            return None
        values = [None if rows is None else read(rows) for rows in self.each(capture)]
        known = [value for value in values if value is not None]
        if len(known) < 2:  # noqa: PLR2004 - a difference needs two
            return None
        found = total([difference(a, b, same_device=True, u32=u32) for a, b in itertools.pairwise(known)])
        if found is None:
            self._back.add(capture)
        return found

    @cached_property
    def clock(self) -> GuestClock:
        """Its clocks at each sample."""
        return GuestClock(self)

    @property
    def rebooted(self) -> bool | None:
        """Whether the guest booted between its samples; None when that is not known."""
        return self.clock.rebooted

    @property
    def seconds(self) -> float | None:
        """Time between the guest's first and last sample by its own clock, where that is to be relied on."""
        return self.clock.seconds

    @cached_property
    def is_windows(self) -> bool:
        """Whether Windows runs in it, by what was collected, or else by what the agent says."""
        collected = (self.first(capture) is not None for capture in (WINDOWS_NIC, WINDOWS_TEXT))
        return any(collected) or (self.first(LINUX_NIC) is None and self.system == "windows")

    @cached_property
    def is_plain(self) -> bool:
        """Whether all that is known of a Windows is what plain tools print."""
        return self.first(WINDOWS_NIC) is None and self.first(WINDOWS_TEXT) is not None

    @cached_property
    def adapters(self) -> tuple[Adapter, ...]:
        """Interfaces that getmac lists with an address."""
        return tuple(one for one in self.first("win-getmac") or () if one.mac)

    @cached_property
    def plain_port(self) -> str | None:
        """The port whose numbers the totals of `netstat -e` are; None where several NICs are in them."""
        if len(self.taps) != 1 or len(self.adapters) > 1 or self.is_stranger:
            return None
        return self.taps[0]

    @cached_property
    def system(self) -> str | None:
        """What runs in it, linux or windows; None when nothing tells."""
        told = dict(self.first("guest-manifest") or ()).get("system")
        if told in ("linux", "windows"):
            return str(told)
        answer = (self.first("agent-osinfo") or {}).get("return")
        if isinstance(answer, dict) and isinstance(answer.get("id"), str):
            return "windows" if answer["id"] == "mswindows" else "linux"
        listed = {one.name for one in self.first(AGENT_NIC) or ()}
        return next(
            (
                system
                for loopback, system in _LOOPBACKS
                if any(name == loopback or name.startswith(f"{loopback} ") for name in listed)
            ),
            None,
        )

    @cached_property
    def nics(self) -> Mapping[str, str | None]:
        """The guest's interfaces with a MAC address, to the host's port of that address; None without one."""
        known = [(mac.lower(), tap) for tap in self.taps if (mac := self.topology.guest_mac(tap))]
        # an address that two ports have tells neither
        ports = {mac: tap for mac, tap in known if [each for each, _ in known].count(mac) == 1}
        found: dict[str, str | None] = {}
        for name, mac in sorted(self._addressed, key=self._age):
            # bridges, bonds and VLANs inside the guest have the address of the NIC below them
            port = ports.get(mac)
            found[name] = None if port in found.values() else port
        if not found and self.is_plain and self.plain_port is not None:
            return {ALL_ADAPTERS: self.plain_port}
        free = [tap for tap in self.taps if tap not in found.values()]
        lone = [name for name, tap in found.items() if tap is None]
        # one NIC and one port are each other's, even where nothing tells the address
        if len(found) == 1 and len(self.taps) == 1 and free and lone and not known:
            found[lone[0]] = free[0]
        return found

    @cached_property
    def is_stranger(self) -> bool:
        """Whether its interfaces have addresses, and none of them is that of a port of the VM."""
        inside = {nic.mac for nic in self._addressed}
        known = {mac.lower() for tap in self.taps if (mac := self.topology.guest_mac(tap))}
        return bool(inside and known) and not inside & known

    @cached_property
    def strangers(self) -> tuple[Nic, ...]:
        """Its NICs whose address no port of the bundle has; what was made by software inside is left out."""
        known = {mac.lower() for tap in self.topology.taps if (mac := self.topology.guest_mac(tap))}
        ports = {port for port in self.nics.values() if port is not None}
        if not known or self.is_stranger:
            return ()
        return tuple(
            nic
            for nic in self._addressed
            if nic.mac not in known and self.nics.get(nic.name) not in ports and self._is_real(nic.name)
        )

    def _is_real(self, name: str) -> bool:
        """Whether an interface is a NIC of the machine rather than made by software inside the guest."""
        if self.is_windows:
            told = self._description(name)
            return not (told.startswith(_MADE_BY_WINDOWS) if told else name.startswith(_MADE_INSIDE))
        drivers = self.first("guest-ethtool-i") or {}
        if drivers:
            driver = drivers.get(name)
            return driver is not None and driver.bus_info not in (None, *_TUNNELS)
        return not name.startswith(_MADE_INSIDE)

    def _description(self, name: str) -> str:
        counters = self.first(WINDOWS_NIC)
        if counters is not None:
            return next((str(one.description) for one in counters.interfaces if one.name == name), "")
        return next((one.adapter for one in self.adapters if one.name == name), "")

    @cached_property
    def _addressed(self) -> tuple[Nic, ...]:
        """Its interfaces with an address of their own, in small letters; a loopback has none."""
        return tuple(
            Nic(name, mac.lower())
            for name, mac in self._addresses()
            if mac and mac.strip("0:") and name != "lo"
        )

    def _age(self, one: Nic) -> int:
        """Sort a NIC before what was made on top of it, which came later."""
        device = (self.first(LINUX_NIC) or {}).get(one.name)
        number = device.attributes.get("ifindex", "") if device is not None else ""
        return int(number) if number.isdecimal() else 0

    def _addresses(self) -> Iterator[tuple[str, str | None]]:
        for name, device in (self.first(LINUX_NIC) or {}).items():
            yield name, device.attributes.get("address")
        counters = self.first(WINDOWS_NIC)
        if counters is not None:
            yield from ((nic.name, nic.mac) for nic in counters.interfaces)
        yield from ((one.name, one.mac) for one in self.adapters if counters is None)
        if self.first(LINUX_NIC) is None and counters is None and not self.adapters:
            yield from ((nic.name, nic.mac) for nic in self.first(AGENT_NIC) or ())

    @cached_property
    def taps(self) -> tuple[str, ...]:
        """Ports of this VM on the host."""
        return tuple(tap for tap in self.topology.taps if self.topology.vm(tap) == self.name)

    def nic_of(self, tap: str) -> str | None:
        """The guest's interface behind a port; None when it is not known."""
        return next((name for name, port in self.nics.items() if port == tap), None)

    def statistic(self, nic: str, key: str) -> tuple[tuple[int | None, ...], str]:
        """A counter of a Linux NIC in each sample, and the capture it was read from."""
        rows = self.each(LINUX_NIC)
        if any(rows):
            values = [row[nic].statistics.get(key) if row and nic in row else None for row in rows]
            return tuple(values), LINUX_NIC
        # of the agent, rx_dropped is rx_dropped and rx_missed_errors together, and virtio_net has no missed
        told = {"rx_dropped", "tx_dropped", "rx_packets", "tx_packets", "rx_errors", "tx_errors"}
        if key not in told:
            return tuple(None for _ in rows), AGENT_NIC
        return self.by_agent(nic, key.replace("errors", "errs")), AGENT_NIC

    def by_agent(self, nic: str, key: str) -> tuple[int | None, ...]:
        """A counter of an interface in each sample as the guest agent tells it, by the agent's name."""
        found = (next((one for one in rows or () if one.name == nic), None) for rows in self.each(AGENT_NIC))
        return tuple(one.statistics.get(key) if one is not None else None for one in found)

    def attribute(self, nic: str, key: str) -> tuple[str | None, ...]:
        """An attribute of a Linux NIC in each sample."""
        return tuple(
            row[nic].attributes.get(key) if row and nic in row else None for row in self.each(LINUX_NIC)
        )

    def snmp(self, prefix: str, name: str) -> tuple[int | None, ...]:
        """A counter of /proc/net/snmp or netstat in each sample."""
        capture = "guest-proc-net-netstat" if prefix.endswith("Ext") else "guest-proc-net-snmp"
        return tuple((rows or {}).get(prefix, {}).get(name) for rows in self.each(capture))
