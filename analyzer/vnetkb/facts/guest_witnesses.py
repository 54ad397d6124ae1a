# SPDX-License-Identifier: Apache-2.0
"""Other sources' views of a number that a guest's collector took: what administrators read, and the agent.

Each is held against the first source by its movement only: `netstat -e` counts adapters that .NET does not
list. The collector reads the first source first and sleeps between its samples, so what its samples lasted
beside the sleep is how far apart two readings of one sample can be.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from vnetkb.facts.guests import AGENT_NIC, LINUX_NIC, WINDOWS_NIC, WINDOWS_TEXT
from vnetkb.facts.model import Notice, Witness
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vnetkb.facts.guest_subjects import GuestSource
    from vnetkb.facts.guests import Guest

    Read = Callable[[Any], int | None]

_STACK = "win-netstat-s"
# Second sources of each system: they are read even where nothing is computed from them, so that a damaged
# one is named.
READ_ANYHOW = {
    True: (WINDOWS_TEXT, _STACK, "win-netsh-subinterfaces"),
    False: ("guest-proc-net-dev", "guest-netstat-i", "guest-netstat-s", "guest-nstat", "guest-ip-link"),
}


class _View(NamedTuple):
    """One second source of a counter.

    Attributes:
        name: How people call the number there.
        capture: Where it is.
        read: Reads it from that capture's rows.
        first: Reads the same from the first source's rows.
        around: Whether it was asked before and after all that the first source's samples are of.
    """

    name: str
    capture: str
    read: Read
    first: Read
    around: bool = False


def of(source: GuestSource, field: str) -> tuple[Witness, ...]:
    """Return what the second sources tell of a counter of a NIC inside a guest, or of its UDP.

    Args:
        source: The NIC or the UDP.
        field: The counter, by the knowledge base's name of it without its kind.
    """
    return tuple(witness for witness, _ in _compared(source, field))


def notices(source: GuestSource) -> Iterator[Notice]:
    """Yield a notice for every second source that tells another movement than the first."""
    for field in _FIELDS.get(source.kind, ()):
        for witness, moved in _compared(source, field):
            if witness.agrees is False:
                text = tr(
                    "{name} moved by {value}, {counter} in {capture} by {moved}: more apart than the time "
                    "between the two readings explains. What is said here rests on {capture}",
                    name=witness.name,
                    value=witness.value,
                    counter=f"{source.kind}.{field}",
                    capture=_first(source),
                    moved=moved,
                )
                yield Notice("warning", source.subject.name, text)


def read_all(guest: Guest) -> None:
    """Read every second source, so that one in a layout that is not known leaves its notice."""
    for capture in READ_ANYHOW[guest.is_windows]:
        guest.each(capture)


def _first(source: GuestSource) -> str:
    """The capture that a source's counters are read from."""
    return WINDOWS_NIC if source.guest.is_windows else _FIRST.get(source.kind, LINUX_NIC)


def _compared(source: GuestSource, field: str) -> Iterator[tuple[Witness, int | None]]:
    """Yield each second source's view, and how far the first moved."""
    guest, capture = source.guest, _first(source)
    if guest.first(capture) is None or source.kind not in _VIEWS:
        return
    for view in _VIEWS[source.kind](source.name, field):
        if guest.first(view.capture) is None:
            continue
        moved, base = guest.moved(view.capture, view.read), guest.moved(capture, view.first)
        agrees, tolerance = None, None
        if moved is not None and base is not None:
            if view.around:
                agrees = moved >= base if _lies_around(guest, view.capture, capture) else None
            else:
                tolerance = _tolerance(guest, max(moved, base))
                agrees = None if tolerance is None else abs(moved - base) <= tolerance
        paths = guest.paths(view.capture)
        yield Witness(view.name, moved, agrees, paths, tolerance, told=True), base


def _tolerance(guest: Guest, moved: int) -> int | None:
    """How far two readings of one sample may differ, at an even rate; None where that is not known."""
    slept = dict(guest.first("guest-manifest") or ()).get("interval", "")
    if guest.seconds is None or not slept.isdecimal():
        return None
    apart = max(0.0, guest.seconds - int(slept))
    return int(2 * moved / guest.seconds * apart + 1)


def _lies_around(guest: Guest, outer: str, inner: str) -> bool:
    """Whether both samples of a capture lie outside of all the time in which the other was taken."""
    ends = (guest.samples[0], guest.samples[-1])
    before, after = (guest.span(outer, n) for n in ends)
    first, last = (guest.span(inner, n) for n in ends)
    if before is None or after is None or first is None or last is None:
        return False
    return before[0] <= first[0] and after[1] >= last[1]


# Counters of a Windows adapter: .NET's name, netstat -e's field, what people call that, the agent's name.
_WINDOWS = {
    "received_discarded": (
        *("IncomingPacketsDiscarded", "rx_discards", "netstat -e Received Discards"),
        "rx_dropped",
    ),
    "received_errors": ("IncomingPacketsWithErrors", "rx_errors", "netstat -e Received Errors", "rx_errs"),
    "outbound_discarded": (
        *("OutgoingPacketsDiscarded", "tx_discards", "netstat -e Sent Discards"),
        "tx_dropped",
    ),
    "outbound_errors": ("OutgoingPacketsWithErrors", "tx_errors", "netstat -e Sent Errors", "tx_errs"),
    "received_unknown_protocols": (
        *("IncomingUnknownProtocolPackets", "rx_unknown", "netstat -e Unknown protocols"),
        "",
    ),
}
# Of Linux: the column of /proc/net/dev, of netstat -i, and the agent's name.
_LINUX = {
    "rx_dropped": ("rx_dropped", "rx_drp", "RX-DRP", "rx_dropped"),
    "tx_dropped": ("tx_dropped", "tx_drp", "TX-DRP", "tx_dropped"),
    "rx_errors": ("rx_errors", "rx_err", "RX-ERR", "rx_errs"),
}
_LINUX_UDP = {"rcvbuf_errors": "RcvbufErrors", "no_ports": "NoPorts"}
_WINDOWS_UDP = {
    "receive_errors": ("IncomingDatagramsWithErrors", "receive_errors", "Receive Errors"),
    "no_ports": ("IncomingDatagramsDiscarded", "no_ports", "No Ports"),
}


def _sum(key: str, counters: Any) -> int | None:  # noqa: ANN401 - as the parser types it
    """A counter of all adapters together."""
    known = [one.statistics[key] for one in counters.interfaces if key in one.statistics]
    return sum(known) if known else None


def _of_interface(name: str, key: str, counters: Any) -> int | None:  # noqa: ANN401 - as the parser types it
    one = next((each for each in counters.interfaces if each.name == name), None)
    return one.statistics.get(key) if one is not None else None


def _named(name: str, key: str, rows: Any) -> int | None:  # noqa: ANN401 - as the parser types it
    one = next((each for each in rows if each.name == name), None)
    return one.statistics.get(key) if one is not None else None


def _by_name(name: str, key: str, rows: Any) -> int | None:  # noqa: ANN401 - as the parser types it
    value: int | None = getattr(rows.get(name), key, None)
    return value


def _statistic(name: str, key: str, rows: Any) -> int | None:  # noqa: ANN401 - as the parser types it
    """A statistic as /proc/net/dev shows it, which adds what was missed to what was dropped."""
    if name not in rows or key not in rows[name].statistics:
        return None
    told: Mapping[str, int] = rows[name].statistics
    return told[key] + (told.get("rx_missed_errors", 0) if key == "rx_dropped" else 0)


def _field(key: str, row: Any) -> int | None:  # noqa: ANN401 - as the parser types it
    value: int | None = getattr(row, key, None)
    return value


def _item(section: str, key: str, rows: Any) -> int | None:  # noqa: ANN401 - as the parser types it
    value: int | None = (rows.get(section) or {}).get(key)
    return value


def _protocol(section: str, key: str, counters: Any) -> int | None:  # noqa: ANN401 - as the parser types it
    return _item(section, key, counters.protocols)


def _windows_views(nic: str, field: str) -> Sequence[_View]:
    if field not in _WINDOWS:
        return ()
    net, column, label, agent = _WINDOWS[field]
    text = tr("{tool}, all adapters", tool=label)
    views = [_View(text, WINDOWS_TEXT, partial(_field, column), partial(_sum, net))]
    if agent:
        name = f"guest agent {agent.replace('_', '-')}"
        first = partial(_of_interface, nic, net)
        views.append(_View(name, AGENT_NIC, partial(_named, nic, agent), first, around=True))
    return views


def _linux_views(nic: str, field: str) -> Sequence[_View]:
    if field not in _LINUX:
        return ()
    column, netstat, heading, agent = _LINUX[field]
    first = partial(_statistic, nic, field)
    way = "receive" if field.startswith("rx") else "transmit"
    return (
        _View(
            f"/proc/net/dev {way} {column.partition('_')[2].replace('dropped', 'drop')}",
            "guest-proc-net-dev",
            partial(_by_name, nic, column),
            first,
        ),
        _View(f"netstat -i {heading}", "guest-netstat-i", partial(_by_name, nic, netstat), first),
        _View(
            f"guest agent {agent.replace('_', '-')}",
            AGENT_NIC,
            partial(_named, nic, agent),
            first,
            around=True,
        ),
    )


def _linux_udp_views(_: str, field: str) -> Sequence[_View]:
    key = _LINUX_UDP.get(field)
    if key is None:
        return ()
    name = f"Udp{key}"
    return (_View(f"nstat {name}", "guest-nstat", lambda rows: rows.get(name), partial(_item, "Udp", key)),)


def _windows_udp_views(_: str, field: str) -> Sequence[_View]:
    if field not in _WINDOWS_UDP:
        return ()
    net, row, label = _WINDOWS_UDP[field]

    def read(rows: Any) -> int | None:  # noqa: ANN401 - as the parser types it
        return _field(row, rows.get("UDPv4"))

    return (_View(f"netstat -s UDP {label}", _STACK, read, partial(_protocol, "UdpIPv4", net)),)


_VIEWS: dict[str, Callable[[str, str], Sequence[_View]]] = {
    "windows_adapter": _windows_views,
    "guest_nic": _linux_views,
    "guest_udp": _linux_udp_views,
    "windows_udp": _windows_udp_views,
}
_FIRST = {"guest_udp": "guest-proc-net-snmp"}
_FIELDS = {
    "windows_adapter": tuple(_WINDOWS),
    "guest_nic": tuple(_LINUX),
    "guest_udp": tuple(_LINUX_UDP),
    "windows_udp": tuple(_WINDOWS_UDP),
}
