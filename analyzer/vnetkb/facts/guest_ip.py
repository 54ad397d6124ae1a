# SPDX-License-Identifier: Apache-2.0
"""IP inside a Linux guest: packets that it took, and neither delivered, forwarded nor counted as lost.

Every packet that enters IP is counted (InReceives). It leaves it delivered, forwarded, kept as a part of a
whole, or counted by one of the error counters; where none of that happened, it was lost without a count: sent
to a group that nobody joined (net/ipv4/route.c ip_route_input_rcu, net/ipv6/ip6_input.c ip6_mc_input), or
refused by the guest's own packet filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vnetkb.facts.deltas import difference
from vnetkb.facts.guest_subjects import GuestSource
from vnetkb.facts.guests import guests
from vnetkb.facts.model import Fact
from vnetkb.facts.vanished import Vanished, observation
from vnetkb.language import mark, tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vnetkb.facts.guests import Guest
    from vnetkb.facts.model import Observation
    from vnetkb.facts.topology import Topology

SEGMENT = "guest-ip"
BETWEEN = ("IP", "socket")
CALLED = mark("packets that IP inside the guest took and never delivered or counted")
SHARE_OF = mark("all that its IP took")
# Where a packet that was counted as received goes, if it is not delivered.
_ELSEWHERE_4 = {
    "Ip": ("InDelivers", "InHdrErrors", "InAddrErrors", "InUnknownProtos", "InDiscards", "ForwDatagrams"),
    "IpExt": ("InNoRoutes", "InTruncatedPkts"),
    "TcpExt": ("IPReversePathFilter",),
}
_ELSEWHERE_6 = (
    "InDelivers", "InHdrErrors", "InTooBigErrors", "InNoRoutes", "InAddrErrors", "InUnknownProtos",
    "InTruncatedPkts", "InDiscards", "OutForwDatagrams",
)  # fmt: skip
_FILTERS = ("nf_tables", "ip_tables", "ip6_tables")


class GuestIp(GuestSource):
    """IPv4 or IPv6 inside a Linux guest; a subject of losses that no counter shows."""

    kind: ClassVar[str] = "guest_ip"

    def __init__(self, guest: Guest, version: int) -> None:
        """Take the guest's only port, if it has one."""
        super().__init__(guest, f"IPv{version}", guest.taps[0] if len(guest.taps) == 1 else None)
        self.version = version

    def read(self, field: str) -> None:
        """No counter of it is a symptom."""
        del field

    def taken(self) -> int | None:
        """Packets that entered IP between the guest's samples."""
        return self._moved("Ip", "InReceives") if self.version == 4 else self._moved6("InReceives")  # noqa: PLR2004

    def unaccounted(self) -> int | None:
        """Of those, the ones that went nowhere; None when not all counters are known."""
        taken = self.taken()
        if self.version == 4:  # noqa: PLR2004
            parts = [self._moved(prefix, name) for prefix, names in _ELSEWHERE_4.items() for name in names]
            kept = [self._moved("Ip", name) for name in ("ReasmReqds", "ReasmOKs")]
        else:
            parts = [self._moved6(name) for name in _ELSEWHERE_6]
            kept = [self._moved6(name) for name in ("ReasmReqds", "ReasmOKs")]
        asked, whole = kept
        if taken is None or asked is None or whole is None:
            return None
        known = [part for part in parts if part is not None]
        return taken - sum(known) - (asked - whole) if len(known) == len(parts) else None

    def at_least(self) -> int | None:
        """The fewest that were lost: a CPU may stand between two of the counters at each reading."""
        lost = self.unaccounted()
        cpus = self.guest.first("guest-softnet-stat")
        return None if lost is None else max(0, lost - 2 * (len(cpus) if cpus else 1))

    def _moved(self, prefix: str, name: str) -> int | None:
        values = self.guest.snmp(prefix, name)
        return self._difference(values)

    def _moved6(self, name: str) -> int | None:
        return self._difference([(rows or {}).get(f"Ip6{name}") for rows in self.guest.each(SNMP6)])

    def _difference(self, values: Sequence[int | None]) -> int | None:
        if self.guest.rebooted is not False or len(values) < 2:  # noqa: PLR2004
            return None
        return difference(values[0], values[-1], same_device=True, u32=False)

    @property
    def captures(self) -> tuple[str, ...]:
        """Members that its counters are read from."""
        names = ("guest-proc-net-snmp", "guest-proc-net-netstat") if self.version == 4 else (SNMP6,)  # noqa: PLR2004
        return tuple(path for name in names for path in self.guest.paths(name))


SNMP6 = "guest-proc-net-snmp6"


def _lost(source: GuestIp) -> Fact:
    return Fact("drop.count", source.at_least(), captures=source.captures)


def _ratio(source: GuestIp) -> Fact:
    lost, taken = source.at_least(), source.taken()
    value = 100.0 * lost / taken if lost is not None and taken else None
    why = "" if value is not None else tr("nothing was sent")
    return Fact("drop.ratio", value, captures=source.captures, why_unknown=why)


def _segment(source: GuestIp) -> Fact:
    return Fact("silent.segment", SEGMENT, captures=source.captures)


def _multicasts(source: GuestIp) -> Fact:
    """Multicasts that IPv6 took; IPv4 counts only those of groups that were joined."""
    name = "guest.ip_multicasts"
    if source.version == 4:  # noqa: PLR2004
        return Fact(name, why_unknown=tr("IPv4 counts multicasts only of groups that somebody joined"))
    return source.known(name, source._moved6("InMcastPkts"), SNMP6)  # noqa: SLF001 - its own helper


def _packet_filter(source: GuestIp) -> Fact:
    """Whether a packet filter's module is loaded; a kernel that has it built in does not list it."""
    name, capture = "guest.packet_filter", "guest-proc-modules"
    modules = source.guest.first(capture)
    value = None if modules is None else any(each in modules for each in _FILTERS)
    return source.known(name, value, capture)


GuestIp.providers = {
    "drop.count": _lost,
    "drop.ratio": _ratio,
    "silent.segment": _segment,
    "guest.ip_multicasts": _multicasts,
    "guest.packet_filter": _packet_filter,
}


def subjects(topology: Topology) -> Iterator[GuestIp]:
    """Yield IPv4 and IPv6 of each Linux guest.

    Args:
        topology: The joins of the host and its guests.
    """
    for guest in guests(topology):
        if not guest.is_windows:
            yield from (GuestIp(guest, version) for version in (4, 6))


def observe(sources: Iterable[GuestIp]) -> Iterator[Observation]:
    """Yield an observation for each IPv4 or IPv6 of a guest that lost packets without counting them.

    Args:
        sources: The guests' IPv4 and IPv6.
    """
    for source in sources:
        lost, taken = source.at_least(), source.taken()
        if lost and taken:
            seen = Vanished(lost, BETWEEN, CALLED, source.captures, taken, SHARE_OF)
            yield observation(source, source, seen, source.guest.seconds)
