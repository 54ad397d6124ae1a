# SPDX-License-Identifier: Apache-2.0
"""What a reader must know of a guest's numbers before he trusts them: whose they are, and of which time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vnetkb.facts import guest_witnesses
from vnetkb.facts.guest_subjects import subjects
from vnetkb.facts.guests import AGENT_NIC, LINUX_NIC, WINDOWS_NIC, WINDOWS_TEXT, guests
from vnetkb.facts.model import Notice
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.facts.guests import Guest
    from vnetkb.facts.topology import Topology

# A clock that is off by less than this does no harm to a reader who compares times.
CLOCK_OFF_S = 60.0
# What a guest's numbers come by, each by the one before it.
_WAY = ("agent-info", AGENT_NIC, "agent-exec", "guest-manifest")
# Of so many guests with the same trouble each is named.
_NAMED = 3
_DAY_S, _HOUR_S, _MINUTE_S = 86400, 3600, 60


def notices(topology: Topology) -> Iterator[Notice]:
    """Yield what is to be said of each guest that the bundle holds numbers of.

    Args:
        topology: The joins of the host and its guests.
    """
    troubles: dict[str, list[str]] = {}
    for guest in guests(topology):
        if topology.vms and guest.name not in topology.vms:
            text = tr("no VM of this name was seen on the host, so what was taken inside it joins no port")
            yield Notice("warning", guest.name, text)
        elif guest.is_stranger:
            text = tr(
                "no interface inside this guest has the MAC address of a port of the VM, so what was taken "
                "inside it joins no port: it may come from another VM"
            )
            yield Notice("warning", guest.name, text)
        else:
            yield from _alone(guest)
            yield from _plain(guest)
        yield from _clock(guest)
        guest_witnesses.read_all(guest)
        trouble = _trouble(guest)
        if trouble is not None:
            troubles.setdefault(trouble, []).append(guest.name)
    for text, names in troubles.items():
        more = tr("{count} more", count=len(names) - _NAMED)
        subject = ", ".join([*names[:_NAMED], more] if len(names) > _NAMED else names)
        advice = tr(
            "Run vnetkb-guest inside the guest by hand (vnetkb collect --print guest-linux, or "
            "guest-windows, writes it out) and give its file to vnetkb analyze --guest {vm}=FILE",
            vm=names[0],
        )
        yield Notice("warning", subject, f"{text}. {advice}")
    for source in subjects(topology):
        yield from guest_witnesses.notices(source)


def _trouble(guest: Guest) -> str | None:
    """Return what a guest that was asked did not give, and why."""
    captures = {c.id: c for c in guest.tables.bundle.manifest.captures if c.scope == guest.scope}
    collected = any(guest.first(capture) is not None for capture in (LINUX_NIC, WINDOWS_NIC, WINDOWS_TEXT))
    # where there is its collector's output all the same, somebody ran that by hand: the agent does not matter
    way = ("guest-manifest",) if collected else _WAY
    absences = ((name, captures[name].absent) for name in way if name in captures)
    why = next(((name, absent) for name, absent in absences if absent is not None), None)
    if why is None:
        return None
    detail = why[1].detail or why[1].reason
    if collected:
        return tr("what the guest's collector wrote is not whole ({why})", why=detail)
    if guest.first(AGENT_NIC) is not None:
        return tr(
            "of this guest only what its agent counts was taken ({why}): no queue, no socket, no driver",
            why=detail,
        )
    return tr("nothing was taken inside this guest ({why})", why=detail)


def _alone(guest: Guest) -> Iterator[Notice]:
    """Name the guest's NICs behind no port of the bundle."""
    for nic in guest.strangers:
        text = tr(
            "no port in this bundle has the MAC address of this guest's NIC ({mac}), so its loss outside of "
            "the guest is not judged: it may be a part of a network card (SR-IOV) or a port that is no tap, "
            "its address may have been changed inside the guest, or the file comes from another host's VM",
            mac=nic.mac,
        )
        yield Notice("warning", f"{guest.name} {nic.name}", text)


def _plain(guest: Guest) -> Iterator[Notice]:
    """Say what the totals of plain tools can tell where the guest has more NICs than one."""
    if not guest.is_plain or guest.plain_port is not None:
        return
    received = guest.moved(WINDOWS_TEXT, lambda row: row.rx_unicast + row.rx_other)
    lost = guest.moved(WINDOWS_TEXT, lambda row: row.rx_discards + row.rx_errors)
    said = [
        tr(
            "only plain text was taken in this Windows: netstat -e counts all of its adapters together, so "
            "what it shows is of no single port ({ports}).",
            ports=", ".join(guest.taps) or tr("none is known"),
        )
    ]
    if lost == 0:
        said.append(tr("Discards and errors did not move, which is true of each adapter."))
    elif lost is not None:
        said.append(tr("Discards and errors moved by {lost}; at which adapter, it does not tell.", lost=lost))
    if received is not None:
        said.append(tr("All adapters together received {received} packets.", received=received))
    said.append(tr("A full receive ring is in none of these numbers."))
    said.append(tr("vnetkb-guest.ps1 tells the adapters apart."))
    text = " ".join(said)
    yield Notice("info", guest.name, text)


def _clock(guest: Guest) -> Iterator[Notice]:
    """Say where the guest booted meanwhile, or tells a time that cannot be right."""
    clock = guest.clock
    if clock.rebooted:
        text = tr(
            "the guest booted between its samples, so its counters began again and differences are not known"
        )
        yield Notice("warning", guest.name, text)
    if clock.went_back:
        text = tr(
            "the guest's time since its boot ran backwards between its samples: it is not reckoned with"
        )
        yield Notice("warning", guest.name, text)
    if clock.was_set and clock.rebooted is False:
        text = tr(
            "the guest's clock was set by {time} between its samples: the time between them is not known",
            time=_words(clock.was_set),
        )
        yield Notice("info", guest.name, text)
    if clock.rebooted is None and clock.readings:
        text = tr(
            "the time of the guest's boot differs between its samples: it booted, or its clock was set; "
            "differences of its counters are not known"
        )
        yield Notice("warning", guest.name, text)
    apart = clock.apart_s
    if apart is None or abs(apart) < CLOCK_OFF_S:
        return
    if clock.is_of_another_time:
        text = tr(
            "by the guest's clock its samples were taken {time} than the host's snapshots: its numbers are "
            "shown, and not held against the port's. If that clock is wrong, set it and collect again",
            time=tr("{time} later" if apart > 0 else "{time} earlier", time=_words(apart)),
        )
        yield Notice("warning", guest.name, text)
        return
    text = tr(
        "the guest's clock is {time} the host's; nothing here is reckoned with it",
        time=tr("{time} ahead of" if apart > 0 else "{time} behind", time=_words(apart)),
    )
    yield Notice("info", guest.name, text)


def _words(seconds: float) -> str:
    """A length of time for a reader, in the largest unit that it fills twice."""
    length = abs(seconds)
    if length >= 2 * _DAY_S:
        return tr("{count} days", count=round(length / _DAY_S))
    if length >= 2 * _HOUR_S:
        return tr("{count} h", count=round(length / _HOUR_S))
    if length >= 2 * _MINUTE_S:
        return tr("{count} min", count=round(length / _MINUTE_S))
    return tr("{count} s", count=round(length))
