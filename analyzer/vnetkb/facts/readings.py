# SPDX-License-Identifier: Apache-2.0
"""Every number of a bundle as plain rows: what counters stood at, how far they moved, the series."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from vnetkb.facts.bounds import covered
from vnetkb.facts.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.bundle import Bundle
    from vnetkb.facts.model import Observations
    from vnetkb.facts.subject import Counted


@runtime_checkable
class Listed(Protocol):
    """A subject that can name its counters; one that cannot is left out of the tables."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of its counters as the kernel (or the program) has them."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """One counter of one subject.

    Attributes:
        kind: Kind of the subject, the first part of the counter's id.
        subject: Its name.
        vm: The VM behind it; None where there is none or that is not known.
        counter: Id of the counter, ``tap.tx_dropped``.
        counted: How it stood and moved.
        seconds: Time that its difference covers; None with one snapshot.
    """

    kind: str
    subject: str
    vm: str | None
    counter: str
    counted: Counted
    seconds: float | None


def readings(observations: Observations) -> Iterator[Reading]:
    """Yield every counter of every subject of a bundle that can name its counters."""
    for source in observations.subjects.values():
        if not isinstance(source, Listed):
            continue
        subject = source.subject
        for field in source.fields:
            counted = source.counted(field)
            if counted is not None:
                name = f"{subject.kind}.{field}"
                seconds = None if counted.one_snapshot else covered(source, counted, observations.interval_s)
                yield Reading(subject.kind, subject.name, subject.vm, name, counted, seconds)


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
    """

    n: int
    monotonic_s: float
    kind: str
    subject: str
    counter: str
    value: int | None
    member: str


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
    for n, at, data in tables.series("proc-net-dev"):
        try:
            rows = parse(data)
        except ParseError:
            continue
        for name, row in rows.items():
            for column, value in zip(NetDevCounters._fields, row, strict=True):
                yield Sample(n, at, "device", name, column, value, member)


def _threads(tables: Tables) -> Iterator[Sample]:
    from vnetkb.parsers.errors import ParseError  # noqa: PLC0415
    from vnetkb.parsers.task_schedstat import parse  # noqa: PLC0415

    member = tables.path("task-schedstat", None, "series")
    for n, at, data in tables.series("task-schedstat"):
        try:
            rows = parse(data)
        except ParseError:
            continue
        for tid, row in rows.items():
            for column in ("run_ns", "delay_ns", "slices"):
                yield Sample(n, at, "thread", str(tid), column, getattr(row, column), member)


def _cpus(tables: Tables) -> Iterator[Sample]:
    from vnetkb.parsers.errors import ParseError  # noqa: PLC0415
    from vnetkb.parsers.proc_stat import parse  # noqa: PLC0415

    member = tables.path("proc-stat", None, "series")
    for n, at, data in tables.series("proc-stat"):
        try:
            stat = parse(data)
        except ParseError:
            continue
        for cpu, times in itertools.chain([("all", stat.total)], stat.cpus.items()):
            for column in times.__slots__:
                yield Sample(n, at, "cpu", str(cpu), f"{column}_ticks", getattr(times, column), member)


def _softnet(tables: Tables) -> Iterator[Sample]:
    from vnetkb.parsers.errors import ParseError  # noqa: PLC0415
    from vnetkb.parsers.softnet_stat import parse  # noqa: PLC0415

    member = tables.path("softnet-stat", None, "series")
    for n, at, data in tables.series("softnet-stat"):
        try:
            rows = parse(data)
        except ParseError:
            continue
        for line, row in enumerate(rows, 1):
            # Before Linux 5.10 a line does not name its CPU.
            name = str(row.cpu) if row.cpu is not None else f"line {line}"
            for column in ("processed", "dropped", "time_squeeze"):
                yield Sample(n, at, "softnet", name, column, getattr(row, column), member)
