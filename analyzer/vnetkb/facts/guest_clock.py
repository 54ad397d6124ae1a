# SPDX-License-Identifier: Apache-2.0
"""A guest's clocks: whether it booted between its samples, and what the times that it tells are worth.

Nobody keeps a guest's clock in step with its host's: it may be hours off, be set while the samples are taken,
or run backwards after a VM was restored. Nothing is reckoned with a clock that did.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vnetkb.facts.guests import Guest

_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,9})?(?![^ ])")
_WMI_DATE = re.compile(r"([0-9]{14})(?:\.([0-9]{6}))?([+-][0-9]{3})")
CLOCKS = ("guest-clock", "win-clock")
# TickCount of .NET is milliseconds in 32 bits, negative in the upper half of them.
TICKS_S = (1 << 32) / 1000
# A clock is set in steps of this at the least before it is called set; readings are whole seconds.
CLOCK_STEP_S = 3.0
# Clocks of a host and its guests that nobody keeps in step lie this far apart; samples so near may overlap.
ANOTHER_TIME_S = 60.0


def moment(text: str) -> float | None:
    """Return UTC seconds of a time as ISO 8601 writes it, ``2026-11-22T13:45:00Z``; None where it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.timestamp() if at.tzinfo is not None else None


def wmi_moment(text: str) -> float | None:
    """Return UTC seconds of a time as WMI writes it (CIM_DATETIME), ``20261101000000.000000+060``."""
    match = _WMI_DATE.fullmatch(text)
    if match is None:
        return None
    try:
        at = datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (at - timedelta(minutes=int(match[3]))).timestamp() + int(match[2] or 0) / 1e6


def _number(text: str) -> float | None:
    match = _NUMBER.match(text)
    return float(match[0]) if match else None


def _on(before: float, up: float, wall_s: float | None) -> float:
    """Return a later time since the boot; TickCount of Windows begins anew at 0 after 49.7 days."""
    if up >= before or wall_s is None:
        return up
    return up + TICKS_S if abs(up + TICKS_S - before - wall_s) <= CLOCK_STEP_S else up


class Reading(NamedTuple):
    """A guest's clocks at one sample: seconds since it booted, and seconds of UTC; None where not told."""

    up: float | None
    wall: float | None


class GuestClock:
    """The clocks of one guest."""

    def __init__(self, guest: Guest) -> None:
        """Keep the guest; nothing is read yet."""
        self.guest = guest

    @cached_property
    def readings(self) -> tuple[Reading, ...]:
        """Its clocks at each of its samples that tells them."""
        found: list[Reading] = []
        for n in self.guest.samples:
            linux, windows = (dict(self.guest.get(name, n) or ()) for name in CLOCKS)
            up = _number(linux.get("uptime", ""))
            ticks = _number(windows.get("uptime_ms", ""))
            wall = moment(str(linux.get("wall", "") or windows.get("wall", "")))
            if up is None and ticks is not None:
                up = ticks / 1000 % TICKS_S
                last = next((clock for clock in reversed(found) if clock.up is not None), None)
                if last is not None and last.up is not None:
                    passed = None if wall is None or last.wall is None else wall - last.wall
                    up = _on(last.up, up, passed)
            if up is not None or wall is not None:
                found.append(Reading(up, wall))
        return tuple(found)

    @cached_property
    def rebooted(self) -> bool | None:
        """Whether the guest booted between its samples; None when that is not known."""
        ids = [dict(rows).get("boot_id") for rows in self.guest.each("guest-clock") if rows is not None]
        if ids:
            return len(set(ids)) > 1
        boots = [dict(rows).get("boot") for rows in self.guest.each("win-clock") if rows is not None]
        if boots:
            return self._booted(boots)
        # counters alone: a guest that booted has smaller ones, which difference() refuses
        alone = ("agent-interfaces", "win-netstat-e", "win-netstat-s")
        return False if any(self.guest.first(capture) is not None for capture in alone) else None

    def _booted(self, boots: list[str | None]) -> bool | None:
        """Whether Windows booted; it reckons the time of its boot from a clock that may be set meanwhile."""
        ups = [clock.up for clock in self.readings if clock.up is not None]
        if len(ups) > 1 and ups[-1] < ups[0]:
            return True
        if len(set(boots)) < 2:  # noqa: PLR2004
            return False
        ends = [wmi_moment(boot or "") for boot in (boots[0], boots[-1])]
        known = [end for end in ends if end is not None]
        # no Windows boots twice within so short a time: WMI reckons it anew, with a clock that drifts
        if len(known) == len(ends) and abs(known[0] - known[1]) <= CLOCK_STEP_S:
            return False
        # a boot and a clock that was set look alike
        return None if len(ups) > 1 else True

    @cached_property
    def was_set(self) -> float | None:
        """By how much the guest's clock of UTC was set between its samples, in seconds; None where not told.

        0 where it ran as the time since its boot did.
        """
        known = [c for c in self.readings if c.up is not None and c.wall is not None]
        if len(known) < 2 or self.rebooted:  # noqa: PLR2004
            return None
        first, last = known[0], known[-1]
        step = ((last.wall or 0.0) - (first.wall or 0.0)) - ((last.up or 0.0) - (first.up or 0.0))
        return step if abs(step) >= CLOCK_STEP_S else 0.0

    @cached_property
    def went_back(self) -> bool:
        """Whether the time since its boot became less, without a boot."""
        ups = [clock.up for clock in self.readings if clock.up is not None]
        return len(ups) > 1 and ups[-1] < ups[0] and not self.rebooted

    @cached_property
    def seconds(self) -> float | None:
        """Time between the guest's first and last sample by its own clock.

        None when that clock was set or ran backwards meanwhile.
        """
        ups = [clock.up for clock in self.readings if clock.up is not None]
        if len(ups) < 2 or ups[-1] <= ups[0] or self.was_set:  # noqa: PLR2004
            return None
        return round(ups[-1] - ups[0], 2)

    @cached_property
    def is_joined(self) -> bool:
        """Whether the host knows when the guest's samples were taken: it had them taken itself.

        The times of the agent's answers say nothing of a file that was taken by hand and given beside them.
        """
        captures = CLOCKS if self.readings else ("agent-interfaces", "agent-exec")
        return any(self.guest.span(capture, n) for n in self.guest.samples for capture in captures)

    @cached_property
    def apart_s(self) -> float | None:
        """How far the guest's clock of UTC is from the host's, in seconds, at least; positive: ahead of it.

        Of samples that the host had taken, each against the time of its taking; of a file that was taken by
        hand, the time between its samples and the host's snapshots. None when neither is told.
        """
        manifest = self.guest.tables.bundle.manifest
        start = moment(manifest.start.wall)
        walls = [clock.wall for clock in self.readings if clock.wall is not None]
        if start is None or not walls or not manifest.snapshots:
            return None
        first, last = manifest.start.monotonic_s, manifest.end.monotonic_s
        guest = self.guest
        spans = [span for n in guest.samples for name in CLOCKS if (span := guest.span(name, n))]
        if spans:
            first, last = min(span[0] for span in spans), max(span[1] for span in spans)
        begin, end = (start + at - manifest.start.monotonic_s for at in (first, last))
        if max(walls) < begin:
            return max(walls) - begin
        return max(0.0, min(walls) - end)

    @cached_property
    def is_of_another_time(self) -> bool:
        """Whether its samples were taken by hand and, by the guest's clock, not while the host's were."""
        apart = self.apart_s
        return not self.is_joined and apart is not None and abs(apart) > ANOTHER_TIME_S
