# SPDX-License-Identifier: Apache-2.0
"""Every number of a bundle as plain rows: what counters stood at, how far they moved, the series."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from vnetkb.facts.bounds import covered, seconds_between
from vnetkb.facts.counts import Lines, of_capture
from vnetkb.facts.deltas import difference, total
from vnetkb.facts.guests import SCOPE, Guest
from vnetkb.facts.tables import Tables
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from vnetkb.bundle import Bundle
    from vnetkb.facts.model import Observations


@runtime_checkable
class Listed(Protocol):
    """A subject that can name its counters; one that cannot is left out of the tables."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of its counters as the kernel (or the program) has them."""
        ...


class Point(NamedTuple):
    """A counter in one snapshot, or in one sample of a guest: its value, and where it stands."""

    n: int
    value: int | None
    member: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One counter of one subject.

    Attributes:
        kind: Kind of the subject, the first part of the counter's id.
        subject: Its name.
        vm: The VM behind it; None where there is none or that is not known.
        counter: Id of the counter, ``tap.tx_dropped``.
        points: It in each snapshot; of a guest, in each sample of the guest.
        delta: How far it moved; None where that is not known.
        seconds: Time that its difference covers; None with one snapshot.
        why_unknown: Why ``delta`` is unknown.
        of_host: Whether its points are the host's snapshots.
    """

    kind: str
    subject: str
    vm: str | None
    counter: str
    points: tuple[Point, ...]
    delta: int | None
    seconds: float | None
    why_unknown: str
    of_host: bool = True


def readings(bundle: Bundle, observations: Observations, levels: Collection[str] = ()) -> Iterator[Reading]:
    """Yield every number that a bundle counts: of the host's devices first, then of all other captures.

    Args:
        bundle: The bundle.
        observations: What the facts room found in it.
        levels: Ids of numbers whose difference means nothing.
    """
    tables = Tables(bundle)
    yield from _of_devices(observations, tables)
    yield from _of_captures(observations, tables, levels)


def _of_devices(observations: Observations, tables: Tables) -> Iterator[Reading]:
    lines: dict[str, Lines] = {}
    for source in observations.subjects.values():
        if not isinstance(source, Listed):
            continue
        subject = source.subject
        for field in source.fields:
            counted = source.counted(field)
            if counted is None:
                continue
            values, places = counted.values, counted.captures
            members = _of_each(values, places)
            # a comma would join members of which one stands in for the other: then no line is told
            needle = f"\n{subject.name}/statistics/{field}:"
            points = tuple(
                Point(n, value, member, _line(tables, lines, member, needle, value))
                for n, value, member in zip(tables.snapshots, values, members, strict=False)
            )
            yield Reading(
                subject.kind,
                subject.name,
                subject.vm,
                f"{subject.kind}.{field}",
                points,
                None if counted.one_snapshot else counted.delta,
                None if counted.one_snapshot else covered(source, counted, observations.interval_s),
                counted.why_unknown,
            )


def _of_each(values: Sequence[int | None], places: Sequence[str]) -> Sequence[str]:
    """Return the member that each value stands in: one each, or one for each that is known."""
    if len(places) == len(values):
        return places
    if len(places) == sum(value is not None for value in values):
        known = iter(places)
        return ["" if value is None else next(known) for value in values]
    return (", ".join(places),) * len(values)


def _line(tables: Tables, lines: dict[str, Lines], member: str, needle: str, value: int | None) -> int | None:
    if value is None or member not in tables.members:
        return None
    if member not in lines:
        lines[member] = Lines(tables.bundle.data(*tables.members[member]) or b"")
    return lines[member].of(needle)


def _of_captures(observations: Observations, tables: Tables, levels: Collection[str]) -> Iterator[Reading]:
    found: dict[tuple[str, str, str, str], list[Point]] = {}
    for capture in tables.bundle.manifest.captures:
        n, scope = capture.snapshot, capture.scope
        data = tables.bundle.data(capture.id, n, scope) if n is not None else None
        if n is None or data is None:
            continue
        lines = Lines(data)
        for one in of_capture(tables, capture.id, n, scope):
            line = lines.of(one.needle, one.subject, one.value)
            key = (scope, one.kind, one.subject, one.field)
            found.setdefault(key, []).append(Point(n, one.value, capture.place, line))
    clocks = {guest.name: guest for guest in _guests(observations)}
    for (scope, kind, subject, field), points in found.items():
        guest = scope.removeprefix(SCOPE) if scope.startswith(SCOPE) else None
        steps = [
            difference(a.value, b.value, same_device=None, u32=False) for a, b in itertools.pairwise(points)
        ]
        is_level = f"{kind}.{field}" in levels
        moved = total(steps) if steps and not is_level else None
        why = tr("it went back between the snapshots: its counter began anew") if len(points) > 1 else ""
        between = seconds_between(tables, [point.member for point in points])
        seconds = observations.interval_s if guest is None else _by_its_clock(clocks.get(guest), points)
        if between is not None:
            seconds = round(between.value, 2)
        yield Reading(
            kind,
            subject,
            guest,
            f"{kind}.{field}",
            tuple(points),
            moved,
            seconds if len(points) > 1 else None,
            "" if moved is not None else tr("it is a level, not a count") if is_level else why,
            of_host=guest is None,
        )


def _guests(observations: Observations) -> Iterator[Guest]:
    for source in observations.subjects.values():
        guest = getattr(source, "guest", None)
        if isinstance(guest, Guest):
            yield guest


def _by_its_clock(guest: Guest | None, points: Sequence[Point]) -> float | None:
    """Return the time between a guest's first and last sample, where its clock tells and both show it."""
    if guest is None or guest.rebooted is not False:
        return None
    ends = guest.samples[:1] + guest.samples[-1:]
    return guest.seconds if (points[0].n, points[-1].n) == ends else None


@dataclass(frozen=True, slots=True)
class Sample:
    """One number at one moment of the series, as the system printed it.

    Attributes:
        n: Number of the sample.
        monotonic_s: When it was taken.
        kind: ``device``, ``thread``, ``cpu`` or ``softnet``.
        subject: Name of the device, id of the thread, number of the CPU or of the line.
        counter: Column.
        value: The number.
        member: Where it stands.
        line: On which line.
    """

    n: int
    monotonic_s: float
    kind: str
    subject: str
    counter: str
    value: int | None
    member: str
    line: int | None


def samples(bundle: Bundle) -> Iterator[Sample]:
    """Yield every number of the series; a sample in a layout that is not known is passed over."""
    tables = Tables(bundle)
    yield from _devices(tables)
    yield from _threads(tables)
    yield from _cpus(tables)
    yield from _softnet(tables)


def _devices(tables: Tables) -> Iterator[Sample]:
    from vnetkb.parsers.errors import ParseError  # noqa: PLC0415 - only tables need the whole series
    from vnetkb.parsers.proc_net_dev import NetDevCounters, parse  # noqa: PLC0415

    member = tables.path("proc-net-dev", None, "series")
    lines = _lines(tables, "proc-net-dev")
    for n, at, data in tables.series("proc-net-dev"):
        lines.of(f"@ {n} ")
        try:
            rows = parse(data)
        except ParseError:
            continue
        for name, row in rows.items():
            line = lines.of(f"{name}:", f"{n}")
            for column, value in zip(NetDevCounters._fields, row, strict=True):
                yield Sample(n, at, "device", name, column, value, member, line)


def _threads(tables: Tables) -> Iterator[Sample]:
    from vnetkb.parsers.errors import ParseError  # noqa: PLC0415
    from vnetkb.parsers.task_schedstat import parse  # noqa: PLC0415

    member = tables.path("task-schedstat", None, "series")
    lines = _lines(tables, "task-schedstat")
    for n, at, data in tables.series("task-schedstat"):
        lines.of(f"@ {n} ")
        try:
            rows = parse(data)
        except ParseError:
            continue
        for tid, row in rows.items():
            line = lines.of(f"/task/{tid}/", f"{n}")
            for column in ("run_ns", "delay_ns", "slices"):
                yield Sample(n, at, "thread", str(tid), column, getattr(row, column), member, line)


def _cpus(tables: Tables) -> Iterator[Sample]:
    from vnetkb.parsers.errors import ParseError  # noqa: PLC0415
    from vnetkb.parsers.proc_stat import parse  # noqa: PLC0415

    member = tables.path("proc-stat", None, "series")
    lines = _lines(tables, "proc-stat")
    for n, at, data in tables.series("proc-stat"):
        lines.of(f"@ {n} ")
        try:
            stat = parse(data)
        except ParseError:
            continue
        for cpu, times in itertools.chain([("all", stat.total)], stat.cpus.items()):
            line = lines.of("cpu " if cpu == "all" else f"cpu{cpu} ", f"{n}")
            for column in times.__slots__:
                yield Sample(n, at, "cpu", str(cpu), f"{column}_ticks", getattr(times, column), member, line)


def _softnet(tables: Tables) -> Iterator[Sample]:
    from vnetkb.parsers.errors import ParseError  # noqa: PLC0415
    from vnetkb.parsers.softnet_stat import parse  # noqa: PLC0415

    member = tables.path("softnet-stat", None, "series")
    lines = _lines(tables, "softnet-stat")
    for n, at, data in tables.series("softnet-stat"):
        head = lines.of(f"@ {n} ")
        try:
            rows = parse(data)
        except ParseError:
            continue
        for line, row in enumerate(rows, 1):
            # Before Linux 5.10 a line does not name its CPU.
            name = str(row.cpu) if row.cpu is not None else f"line {line}"
            at_line = None if head is None else head + line
            for column in ("processed", "dropped", "time_squeeze"):
                yield Sample(n, at, "softnet", name, column, getattr(row, column), member, at_line)


def _lines(tables: Tables, capture: str) -> Lines:
    return Lines(tables.bundle.data(capture, None, "series") or b"")
