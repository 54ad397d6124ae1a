# SPDX-License-Identifier: Apache-2.0
"""One tap as a source of facts, and the register of the functions that compute them (modules tap_*)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from vnetkb.facts.deltas import difference, total
from vnetkb.facts.model import Fact, Value
from vnetkb.facts.trace_join import TracedDrop, join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vnetkb.facts.tables import Tables
    from vnetkb.facts.timeline import TaskShare, Timeline
    from vnetkb.facts.topology import Topology


U32_COUNTERS = ("tx_dropped", "rx_dropped", "rx_frame_errors")

PROVIDERS: dict[str, Callable[[TapFacts], Fact]] = {}


def provides(name: str) -> Callable[[Callable[[TapFacts], Fact]], Callable[[TapFacts], Fact]]:
    """Register the function that computes the fact ``name`` of a tap."""

    def register(function: Callable[[TapFacts], Fact]) -> Callable[[TapFacts], Fact]:
        PROVIDERS[name] = function
        return function

    return register


def number(text: str | None, base: int = 10) -> int | None:
    """Return the integer that a sysfs file holds, or None when it holds none."""
    try:
        return int(text, base) if text else None
    except ValueError:
        return None


class TapFacts:
    """Facts of one tap, each computed on first use.

    Args:
        name: Device name.
        tables: The captures.
        topology: The joins.
        timeline: The series; None when the bundle holds none.
        u32: Whether this kernel keeps the tap's drop counters in 32 bits.
    """

    def __init__(
        self, name: str, tables: Tables, topology: Topology, timeline: Timeline | None, *, u32: bool | None
    ) -> None:
        """Keep the sources; nothing is computed yet."""
        self.name = name
        self.tables = tables
        self.topology = topology
        self.timeline = timeline
        self.u32 = u32
        self._facts: dict[str, Fact] = {}
        self._moved: dict[str, tuple[int | None, ...]] = {}

    def fact(self, name: str) -> Fact:
        """Return one fact; a name that no function provides is unknown."""
        if name not in self._facts:
            provider = PROVIDERS.get(name)
            fact = provider(self) if provider else Fact(name, why_unknown="not computed for a tap")
            if fact.missing:
                fact = replace(fact, missing=tuple(c for c in fact.missing if self.tables.can_be_had(c)))
            self._facts[name] = fact
        return self._facts[name]

    @property
    def drops(self) -> Sequence[int | None]:
        """Packets that the tap dropped in each interval of the series."""
        return self.moved("tx_dropped")

    # --- helpers shared by the providers -------------------------------------------------------------------

    def attributes(self, key: str) -> tuple[str | None, ...]:
        """One sysfs attribute of the device in every snapshot."""
        found: list[str | None] = []
        for n in self.tables.snapshots:
            device = (self.tables.get("sysfs-net", n) or {}).get(self.name)
            found.append(device.attributes.get(key) if device is not None else None)
        return tuple(found)

    def statistic(self, key: str) -> tuple[int | None, ...]:
        """One counter of the device in every snapshot: sysfs, or ``ip -s link`` where sysfs was not taken."""
        values: list[int | None] = []
        for n in self.tables.snapshots:
            device = (self.tables.get("sysfs-net", n) or {}).get(self.name)
            value = device.statistics.get(key) if device is not None else None
            if value is None and (link := self.topology.links(n).get(self.name)) is not None:
                direction, _, column = key.partition("_")
                value = (link.tx if direction == "tx" else link.rx).get(column)
            values.append(value)
        return tuple(values)

    def statistic_paths(self) -> tuple[str, ...]:
        """Members that :meth:`statistic` reads."""
        if any((self.tables.get("sysfs-net", n) or {}).get(self.name) for n in self.tables.snapshots):
            return self.tables.paths("sysfs-net")
        return tuple(self.topology.links_path(n) for n in self.tables.snapshots)

    @cached_property
    def same_device(self) -> bool | None:
        """False when the device was made anew between the snapshots (its ifindex changed).

        None when not known.
        """
        indexes = [number(text) for text in self.attributes("ifindex")]
        if None in indexes:
            indexes = [
                link.ifindex if (link := self.topology.links(n).get(self.name)) is not None else None
                for n in self.tables.snapshots
            ]
        return None if not indexes or None in indexes else len(set(indexes)) == 1

    def between_snapshots(self, key: str) -> int | None:
        """How far a counter moved from the first snapshot to the last; in steps, so that wraps count."""
        values = self.statistic(key)
        u32 = self._is_u32(key)
        return total(
            [difference(a, b, same_device=self.same_device, u32=u32) for a, b in itertools.pairwise(values)]
        )

    def delta(self, key: str) -> int | None:
        """How far a counter moved over the whole bundle.

        A collector that waited for a drop has samples from before the first snapshot: they count too.
        """
        moved = self.between_snapshots(key)
        waited = self.tables.bundle.manifest.wait_for_drop is not None and self.timeline is not None
        if moved is None or not waited or self.timeline is None:
            return moved
        first, earlier = self.statistic(key)[0], self.timeline.value(self.name, key, 0)
        before = difference(earlier, first, same_device=True, u32=self._is_u32(key))
        return moved + max(0, before) if before is not None else moved

    def _is_u32(self, key: str) -> bool | None:
        """Whether the kernel keeps this counter in 32 bits: only the drops are (struct tun_pcpu_stats)."""
        return self.u32 if key in U32_COUNTERS else False

    def moved(self, column: str) -> tuple[int | None, ...]:
        """How far a column of ``/proc/net/dev`` moved in each interval of the series."""
        if column not in self._moved:
            moved = self.timeline.moved(self.name, column, u32=self._is_u32(column)) if self.timeline else ()
            self._moved[column] = moved
        return self._moved[column]

    @cached_property
    def peak_offered(self) -> float | None:
        """Highest rate of packets offered (delivered and dropped) that was seen, packets/s.

        None when not known.
        """
        rates = [
            (lost + passed) / seconds
            for lost, passed, seconds in zip(
                self.drops,
                self.moved("tx_packets"),
                self.timeline.seconds if self.timeline else (),
                strict=False,
            )
            if lost is not None and passed is not None and seconds > 0
        ]
        return max(rates, default=None)

    def from_ends(
        self, name: str, ends: Iterable[Value | None], captures: tuple[str, ...], missing: str
    ) -> Fact:
        """Build a fact observed at the snapshots.

        Its overall value is the one they agree on, else unknown.
        """
        values = tuple(ends)
        known = {value for value in values if value is not None}
        if not known:
            return Fact(name, None, values, missing=(missing,), why_unknown=self.why(missing))
        same = len(known) == 1 and None not in values
        why = "" if same else "it changed between the snapshots or one of them lacks it"
        return Fact(name, known.pop() if same else None, values, captures=captures, why_unknown=why)

    def why(self, capture: str) -> str:
        """Why a capture gave nothing for this tap."""
        for n in self.tables.snapshots:
            if self.tables.get(capture, n) is None:
                return self.tables.why(capture, n)
        return f"{capture} does not show it"

    def unknown_series(self, name: str) -> Fact:
        """Build the answer for a fact that needs a series that the bundle does not hold."""
        return Fact(name, missing=("task-schedstat",), why_unknown="the bundle holds no series that shows it")

    def log_lines(self, name: str, wanted: Callable[[str], bool]) -> Fact:
        """Build the number of lines of the kernel log that say something.

        The log was filtered by the collector.
        """
        lines = self.tables.once("kernel-log")
        if lines is None:
            return Fact(
                name, missing=("kernel-log",), why_unknown=self.tables.why("kernel-log", self.tables.first)
            )
        return Fact(
            name,
            sum(1 for line in lines if wanted(line.text)),
            captures=(self.tables.once_path("kernel-log"),),
        )

    # --- the trace ----------------------------------------------------------------------------------------

    @cached_property
    def traced(self) -> list[TracedDrop] | None:
        """Refused transmits that the trace saw on this device; None without a usable trace."""
        trace = self.tables.get("trace", None, scope="series")
        return None if trace is None else [drop for drop in join(trace.events) if drop.device == self.name]

    @cached_property
    def dropped_during_trace(self) -> float | None:
        """How far tx_dropped rose while the trace ran, read off the series between its samples.

        None when not known.
        """
        trace = self.tables.get("trace", None, scope="series")
        if (
            trace is None
            or trace.start_s is None
            or trace.stop_s is None
            or not self.timeline
            or trace.lost_events
        ):
            return None
        starts, seconds = self.timeline.starts, self.timeline.seconds
        if not starts or trace.start_s < starts[0] or trace.stop_s > starts[-1] + seconds[-1]:
            return None
        rose = 0.0
        for start, length, lost in zip(starts, seconds, self.drops, strict=True):
            inside = min(start + length, trace.stop_s) - max(start, trace.start_s)
            if inside > 0 and length > 0:
                if lost is None:
                    return None
                rose += lost * inside / length
        return rose

    # --- threads ------------------------------------------------------------------------------------------

    @cached_property
    def reader_shares(self) -> tuple[TaskShare, ...]:
        """How the reader's threads spent each interval."""
        return self.timeline.tasks(self.topology.reader(self.name).threads) if self.timeline else ()

    @cached_property
    def vcpu_shares(self) -> tuple[TaskShare, ...]:
        """How the vCPU threads spent each interval."""
        threads = self.topology.vcpu_threads(self.name)
        return self.timeline.tasks(threads) if self.timeline and threads else ()

    def share_fact(self, name: str, shares: tuple[TaskShare, ...], part: str, *, inferred: bool) -> Fact:
        """Build a per-sample fact from one part (run, delay, sleep) of how threads spent each interval."""
        if not self.timeline or not shares:
            return self.unknown_series(name)
        samples = tuple(getattr(share, f"{part}_ms") for share in shares)
        known = [value for value in samples if value is not None]
        if not known:
            why = "the threads' schedstat was not taken or this kernel keeps none"
            return Fact(name, samples=samples, missing=("task-schedstat",), why_unknown=why)
        value = sum(known) if len(known) == len(samples) else None
        return Fact(name, value, samples=samples, captures=(self.timeline.sched_path,), inferred=inferred)

    def percent_fact(self, name: str, shares: tuple[TaskShare, ...], part: str, *, inferred: bool) -> Fact:
        """Like :meth:`share_fact`, in per cent of one CPU for the busiest reading of the interval."""
        fact = self.share_fact(name, shares, part, inferred=inferred)
        if not fact.samples or not self.timeline:
            return fact
        threads = max(1, len(self.topology.reader(self.name).threads)) if part == "sleep" else 1
        samples = tuple(
            float(value) / (seconds * 10 * threads)
            if isinstance(value, int | float) and seconds > 0
            else None
            for value, seconds in zip(fact.samples, self.timeline.seconds, strict=True)
        )
        span = sum(self.timeline.seconds)
        total_ms = fact.value if isinstance(fact.value, int | float) else None
        value = None if total_ms is None or span <= 0 else float(total_ms) / (span * 10 * threads)
        return Fact(name, value, (), samples, fact.captures, fact.missing, fact.why_unknown, fact.inferred)
