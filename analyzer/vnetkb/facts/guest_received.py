# SPDX-License-Identifier: Apache-2.0
"""What a tap's reader took for a guest against what the guest's NIC received.

The two are read on different clocks: the guest's numbers by the agent at a time that the host knows, or by a
script of which the host knows only when it was started and had ended. So the tap's count is taken between
two moments that certainly lie inside the guest's, and what may lie in the virtqueue is left out: what
remains is the least that was lost.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.facts.deltas import difference, total
from vnetkb.facts.guests import AGENT_NIC, LINUX_NIC, WINDOWS_NIC
from vnetkb.facts.picture import silent_device
from vnetkb.facts.silent import SHARE_OF, Missing, SilentFacts
from vnetkb.facts.tables import UPTIME_STEP_S
from vnetkb.facts.tap_guest import guest_of
from vnetkb.facts.timeline import Timeline
from vnetkb.facts.vanished import Vanished, observation
from vnetkb.language import mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vnetkb.facts.guests import Guest
    from vnetkb.facts.model import Observation
    from vnetkb.facts.quotes import Quotes
    from vnetkb.facts.tap import TapFacts

SEGMENT = "reader-to-guest"
BETWEEN = ("tap ring", "guest")
DRAWN = ("reader", "guest")
CALLED = mark("taken out of the ring and never received by the guest's NIC (= guest RX)")
# The longest virtqueue of virtio-net (QEMU's VIRTQUEUE_MAX_SIZE), for a NIC of which nothing is known.
LONGEST_QUEUE = 1024


class Received(NamedTuple):
    """What a guest's NIC received, between two moments of the host that lie inside the guest's samples."""

    packets: int
    since: float
    until: float
    captures: tuple[str, ...]


def received(tap: TapFacts) -> Received | None:
    """Return what the guest's NIC behind a tap received, on the host's clock; None where it is not known."""
    guest = guest_of(tap.topology, tap.name)
    nic = guest.nic_of(tap.name) if guest is not None else None
    if guest is None or nic is None or guest.rebooted is not False:
        return None
    return _by_agent(guest, nic) or _by_script(guest, nic)


def _by_agent(guest: Guest, nic: str) -> Received | None:
    """The agent's two answers; those of Windows count unicast packets only (qga/commands-win32.c)."""
    if guest.system != "linux" or len(guest.samples) < 2:  # noqa: PLR2004
        return None
    ends = (guest.samples[0], guest.samples[-1])
    counts: list[int | None] = []
    for n in ends:
        one = next((each for each in guest.get(AGENT_NIC, n) or () if each.name == nic), None)
        counts.append(one.statistics.get("rx_packets") if one is not None else None)
    first, last = (guest.span(AGENT_NIC, n) for n in ends)
    moved = difference(*counts, same_device=True, u32=False)
    if moved is None or first is None or last is None:
        return None
    return Received(moved, first[1], last[0], guest.paths(AGENT_NIC))


def _by_script(guest: Guest, nic: str) -> Received | None:
    """The two samples of the guest's collector, which lie somewhere between its start and its end."""
    capture = WINDOWS_NIC if guest.is_windows else LINUX_NIC
    moved = _moved(guest, nic)
    span = guest.span(capture, guest.samples[-1]) if guest.samples else None
    apart = guest.seconds
    if moved is None or span is None or apart is None or span[1] - span[0] < apart:
        return None
    return Received(moved, span[1] - apart, span[0] + apart, guest.paths(capture))


def _moved(guest: Guest, nic: str) -> int | None:
    if not guest.is_windows:
        values, _ = guest.statistic(nic, "rx_packets")
    else:
        rows = (
            next((one for one in counters.interfaces if one.name == nic), None) if counters else None
            for counters in guest.each(WINDOWS_NIC)
        )
        # what NetKVM discards came as far as the guest, and is counted there and nowhere else
        keys = ("UnicastPacketsReceived", "NonUnicastPacketsReceived", "IncomingPacketsDiscarded")
        values = tuple(total([row.statistics.get(key) for key in keys]) if row else None for row in rows)
    known = [value for value in values if value is not None]
    return total([difference(a, b, same_device=True, u32=False) for a, b in itertools.pairwise(known)])


def taken(tap: TapFacts, since: float, until: float) -> int | None:
    """Return how many packets the tap's reader certainly took between two moments; None if that is not known.

    Args:
        tap: The tap.
        since: Monotonic seconds of the host.
        until: The same, later.
    """
    tables = tap.tables
    readings: list[tuple[float, float, int]] = []
    for n, value in zip(tables.snapshots, tap.statistic("tx_packets"), strict=True):
        capture = tables.bundle.capture("sysfs-net", n)
        if value is not None and capture is not None and capture.start_monotonic_s is not None:
            start = capture.start_monotonic_s
            readings.append((start, start + (capture.duration_s or 0.0) + UPTIME_STEP_S, value))
    timeline = Timeline(tables, [tap.name])
    for index in range(len(timeline.starts) + 1 if timeline.starts else 0):
        at, value = timeline.start_of(index), timeline.value(tap.name, "tx_packets", index)
        if at is not None and value is not None:
            readings.append((at, at + UPTIME_STEP_S, value))
    inside = sorted(one for one in readings if since <= one[0] and one[1] <= until)
    if len(inside) < 2:  # noqa: PLR2004
        return None
    steps = [difference(a[2], b[2], same_device=True, u32=False) for a, b in itertools.pairwise(inside)]
    return total(steps)


def missing(tap: TapFacts, *, whole: bool = False) -> Missing | None:
    """Return what the tap's reader took and the guest's NIC never got; None where nothing is missing.

    Args:
        tap: The tap.
        whole: Return the sums also where nothing is missing; ``at_least`` is then 0 or less.
    """
    if tap.same_device is False:
        return None
    got = received(tap)
    sent = taken(tap, got.since, got.until) if got is not None and got.since < got.until else None
    if got is None or sent is None:
        return None
    queues = tap.fact("tap.queue_count").value
    length = tap.topology.receive_buffers(tap.name) or LONGEST_QUEUE
    underway = length * (queues if isinstance(queues, int) and queues > 0 else 1)
    gap = sent - got.packets
    if gap <= underway and not whole:
        return None
    captures = (*got.captures, *tap.statistic_paths())
    return Missing(SEGMENT, gap - underway, gap, sent, captures)


def observe(
    taps: Iterable[TapFacts], seconds: float | None, quotes: Quotes | None = None
) -> Iterator[Observation]:
    """Yield an observation for each tap whose reader took packets that the guest's NIC never received.

    Args:
        taps: The taps.
        seconds: Time between the first and the last snapshot.
        quotes: What finds the raw lines again.
    """
    for tap in taps:
        lost = missing(tap)
        if lost is None:
            continue
        seen = Vanished(lost.at_least, BETWEEN, CALLED, lost.captures, lost.sent, SHARE_OF)
        guest = guest_of(tap.topology, tap.name)
        covered = guest.seconds if guest is not None else None
        picture = silent_device(tap, DRAWN, lost.at_least, covered or seconds, quotes)
        yield observation(tap, SilentFacts(tap, lost), seen, covered or seconds, picture)
