# SPDX-License-Identifier: Apache-2.0
"""The series as intervals: what moved between each two samples."""

from __future__ import annotations

import importlib
import itertools
from contextlib import suppress
from functools import cached_property
from operator import add, attrgetter, gt, sub
from typing import TYPE_CHECKING, Any, NamedTuple

from vnetkb.facts.deltas import difference
from vnetkb.facts.tables import UPTIME_STEP_S
from vnetkb.parsers import proc_net_dev, task_schedstat
from vnetkb.parsers.errors import ParseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from vnetkb.facts.tables import Tables
    from vnetkb.parsers.proc_net_dev import NetDevCounters

_Times = tuple[int, int, int]  # of a thread: nanoseconds run, nanoseconds waited, slices
NANOSECONDS_PER_MILLISECOND = 1_000_000
NANOSECONDS = 1_000_000_000
CLOCK_STEPS = 20_000_000  # a sample's time is known to 0.01 s, at each end of an interval
RUNNABLE = "R"


# columns: a series of a large host has tens of thousands of intervals
class TaskShares(NamedTuple):
    """How a set of threads spent each interval, in milliseconds summed over the threads; None is unknown.

    Attributes:
        run_ms: On a CPU.
        waited_ms: Runnable, waiting for a CPU, never more than the interval holds.
        delay_ms: The same, but in the interval in which a wait ended its whole length.
        sleep_ms: What is left.
    """

    run_ms: tuple[float | None, ...]
    waited_ms: tuple[float | None, ...]
    delay_ms: tuple[float | None, ...]
    sleep_ms: tuple[float | None, ...]


def _went_on(before: NetDevCounters | None, after: NetDevCounters | None) -> bool | None:
    """Whether two rows are of one device that was not made anew: its packet counts did not go back."""
    if before is None or after is None:
        return None
    return bool(after.tx_packets >= before.tx_packets and after.rx_packets >= before.rx_packets)


def _plain_steps(rows: Sequence[NetDevCounters | None], column: str) -> tuple[int, ...] | None:
    """How far a column moved where every sample has the device and no count of packets went back."""
    known = [row for row in rows if row is not None]
    if not known or len(known) != len(rows):
        return None
    columns = []
    for name in ("tx_packets", "rx_packets", column):
        values = list(map(attrgetter(name), known))
        columns.append(tuple(map(sub, values[1:], values)))
        if min(columns[-1], default=0) < 0:
            return None
    return columns[-1]


class Timeline:
    """The intervals of the series, ``/proc/net/dev`` samples giving the clock.

    Args:
        tables: The captures.
        devices: Devices that are looked at; the others' rows are not parsed.
    """

    def __init__(self, tables: Tables, devices: Collection[str]) -> None:
        """Keep what to look at; nothing is parsed yet."""
        self.tables = tables
        self.devices = frozenset(devices)
        self._per_cent: dict[int, tuple[float | None, ...]] = {}
        self._counted: dict[str, tuple[int | None, ...]] = {}

    @cached_property
    def _net(self) -> list[tuple[int, float, dict[str, NetDevCounters]]]:
        samples: list[tuple[int, float, dict[str, NetDevCounters]]] = []
        for number, at, data in self.tables.series("proc-net-dev"):
            try:
                samples.append((number, at, proc_net_dev.parse(data, only=self.devices)))
            except ParseError:
                samples.append((number, at, {}))
        return samples

    @property
    def path(self) -> str:
        """Member of the samples of ``/proc/net/dev``."""
        return self.tables.path("proc-net-dev", None, "series")

    @property
    def sched_path(self) -> str:
        """Member of the samples of the threads' ``schedstat``."""
        return self.tables.path("task-schedstat", None, "series")

    @cached_property
    def starts(self) -> tuple[float, ...]:
        """Monotonic seconds at which each interval starts."""
        return tuple(at for _, at, _ in self._net[:-1])

    @cached_property
    def seconds(self) -> tuple[float, ...]:
        """Length of each interval in seconds."""
        times = [at for _, at, _ in self._net]
        return tuple(after - before for before, after in itertools.pairwise(times))

    @cached_property
    def span(self) -> float:
        """Length of all intervals in seconds."""
        return sum(self.seconds)

    def per_cent(self, threads: int) -> tuple[float | None, ...]:
        """Milliseconds of each interval that are one per cent of so many CPUs."""
        if threads not in self._per_cent:
            self._per_cent[threads] = tuple([s * 10 * threads if s > 0 else None for s in self.seconds])
        return self._per_cent[threads]

    def moved(self, device: str, column: str, *, u32: bool | None) -> tuple[int | None, ...]:
        """How far one column of ``/proc/net/dev`` moved in each interval.

        None where either end lacks the device.
        """
        rows = [sample.get(device) for _, _, sample in self._net]
        if (steps := _plain_steps(rows, column)) is not None:
            return steps
        return tuple(
            difference(
                getattr(before, column, None),
                getattr(after, column, None),
                same_device=_went_on(before, after),
                u32=u32,
                seconds=seconds,
            )
            for (before, after), seconds in zip(itertools.pairwise(rows), self.seconds, strict=True)
        )

    def values(self, device: str, column: str) -> list[int | None]:
        """One column of ``/proc/net/dev`` in each sample; None where it lacks the device."""
        return [getattr(sample.get(device), column, None) for _, _, sample in self._net]

    def went_back(self, device: str) -> bool:
        """Whether a device's count of packets was lower in a sample than in one before it."""
        rows = [row for _, _, sample in self._net if (row := sample.get(device)) is not None]
        return any(not _went_on(before, after) for before, after in itertools.pairwise(rows))

    def counted(self, capture: str, read: Callable[[Any], int]) -> tuple[int | None, ...]:
        """How far a number of another series capture moved in each interval.

        Args:
            capture: Its id; its parser is the module of the same name.
            read: Takes the number out of what the parser gives for one sample.
        """
        if capture not in self._counted:
            self._counted[capture] = self._count(capture, read)
        return self._counted[capture]

    def _count(self, capture: str, read: Callable[[Any], int]) -> tuple[int | None, ...]:
        parse = importlib.import_module(f"vnetkb.parsers.{capture.replace('-', '_')}").parse
        values: dict[int, int] = {}
        for number, _, data in self.tables.series(capture):
            with suppress(ParseError):
                values[number] = read(parse(data))
        numbers = [number for number, _, _ in self._net]
        return tuple(
            difference(values.get(before), values.get(after), same_device=True, u32=False)
            for before, after in itertools.pairwise(numbers)
        )

    def value(self, device: str, column: str, index: int) -> int | None:
        """One column at one sample; None where the sample lacks the device."""
        if not self._net:
            return None
        result: int | None = getattr(self._net[index][2].get(device), column, None)
        return result

    def start_of(self, index: int) -> float | None:
        """Monotonic seconds of one sample."""
        return self._net[index][1] if self._net else None

    def read_between(self, index: int) -> tuple[float, float] | None:
        """Monotonic seconds between which a sample was read: its own time and that of the next one."""
        times = [at for _, at, _ in self._net[index : index + 2]]
        return None if not times else (times[0], (times[1] if len(times) > 1 else times[0]) + UPTIME_STEP_S)

    def set_threads(self, threads: Collection[int]) -> None:
        """Say which threads :meth:`tasks` will be asked for; the others' rows are not parsed."""
        self.threads = frozenset(threads)

    threads: frozenset[int] = frozenset()

    @cached_property
    def _sched(self) -> dict[int, dict[int, _Times]]:
        samples: dict[int, dict[int, _Times]] = {}
        for number, _, data in self.tables.series("task-schedstat"):
            try:
                samples[number] = task_schedstat.times(data, self.threads)
            except ParseError:
                samples[number] = {}
        return samples

    @cached_property
    def _threads_at(self) -> list[dict[int, _Times] | None]:
        """What each sample tells of the threads; None where it tells nothing."""
        return [self._sched.get(number) for number, _, _ in self._net]

    @cached_property
    def _states(self) -> dict[int, str | None]:
        """State of each thread in the last snapshot."""
        rows = self.tables.get("proc-status", self.tables.snapshots[-1]) if self.tables.snapshots else None
        return {tid: row.state for tid, row in (rows or {}).items()}

    def tasks(self, threads: Sequence[int]) -> TaskShares:
        """How the threads together spent each interval.

        ``schedstat`` (fs/proc/base.c proc_pid_schedstat) gives nanoseconds run, nanoseconds waited for a CPU
        and
        slices. ``0 0 0`` means that the kernel keeps no such account: unknown. A wait is added when it ends
        (kernel/sched/stats.h sched_info_arrive): what is more than an interval holds was waited in those
        before it, and whether a thread that is runnable at the end slept or waited until then is not known.
        Sleep is what is left of the interval.
        """
        samples = self._threads_at
        unknown: tuple[None, ...] = (None,) * len(self.seconds)
        if not threads:
            return TaskShares(unknown, unknown, unknown, unknown)
        if (plain := _plain_tasks(samples, threads, self._room)) is not None and not any(
            self._states.get(tid) == RUNNABLE for tid in threads
        ):
            return self._shares(len(threads), plain[0], plain[1], plain[1])
        run: Sequence[int | None] = ()
        wait: Sequence[int | None] = ()
        delay: Sequence[int | None] = ()
        for tid in threads:
            rows = [sample.get(tid) if sample is not None else None for sample in samples]
            ran, ended = _task_steps(rows)
            waited = _when_waited(ran, ended, self.seconds, runnable=self._states.get(tid) == RUNNABLE)
            length = waited if waited is ended else _longer(waited, ended)
            if run:
                run, wait, delay = _added(run, ran), _added(wait, waited), _added(delay, length)
            else:
                run, wait, delay = ran, waited, length
        return self._shares(len(threads), run, wait, delay)

    @cached_property
    def _room(self) -> tuple[int, ...]:
        """Nanoseconds of each interval, and what a sample's time may be off."""
        return tuple([int(seconds * NANOSECONDS) + CLOCK_STEPS for seconds in self.seconds])

    def _shares(
        self,
        count: int,
        run: Sequence[int | None],
        wait: Sequence[int | None],
        delay: Sequence[int | None],
    ) -> TaskShares:
        """Put nanoseconds of so many threads into milliseconds, and what is left into sleep."""
        run_ms, wait_ms = _milliseconds(run), _milliseconds(wait)
        sleep_ms = tuple(
            [
                None
                if ran_ms is None or waited_ms is None
                else max(0.0, count * seconds * 1000 - ran_ms - waited_ms)
                for ran_ms, waited_ms, seconds in zip(run_ms, wait_ms, self.seconds, strict=True)
            ]
        )
        return TaskShares(run_ms, wait_ms, wait_ms if delay is wait else _milliseconds(delay), sleep_ms)


def _plain_tasks(
    samples: Sequence[dict[int, _Times] | None], threads: Sequence[int], room: Sequence[int]
) -> tuple[Sequence[int], Sequence[int]] | None:
    """How long threads ran and waited together, where all is known of them and all waits fit in: the rule."""
    try:
        rows = [[sample[tid] for sample in samples] for tid in threads]  # type: ignore[index]
    except (KeyError, TypeError):
        return None
    if len(samples) <= 1:
        return None
    runs, waits = [], []
    for one in rows:
        ran, waited, slices = zip(*one, strict=True)
        if not all(slices[1:]):
            return None
        runs.append(list(map(sub, ran[1:], ran)))
        waits.append(list(map(sub, waited[1:], waited)))
        if min(runs[-1]) < 0 or min(waits[-1]) < 0:
            return None
    run = runs[0] if len(runs) == 1 else list(map(sum, zip(*runs, strict=True)))
    wait = waits[0] if len(waits) == 1 else list(map(sum, zip(*waits, strict=True)))
    # where what all of them ran and waited fits in, what each did does
    if any(map(gt, map(add, run, wait), room)) and any(
        any(map(gt, map(add, ran, waited), room)) for ran, waited in zip(runs, waits, strict=True)
    ):
        return None
    return run, wait


def _task_steps(rows: Sequence[_Times | None]) -> tuple[Sequence[int | None], Sequence[int | None]]:
    """How many nanoseconds a thread ran, and waited for a CPU, in each interval; None where not known."""
    known = [row for row in rows if row is not None]
    if known and len(known) == len(rows):
        runs, delays, slices = zip(*known, strict=True)
        ran, waited = list(map(sub, runs[1:], runs)), list(map(sub, delays[1:], delays))
        if all(slices[1:]) and min(ran, default=0) >= 0 and min(waited, default=0) >= 0:
            return ran, waited
    steps = [_task_step(before, after) for before, after in itertools.pairwise(rows)]
    return [None if step is None else step[0] for step in steps], [
        None if step is None else step[1] for step in steps
    ]


def _when_waited(
    ran: Sequence[int | None], waited: Sequence[int | None], lengths: Sequence[float], *, runnable: bool
) -> Sequence[int | None]:
    """Move waits for a CPU from the interval in which they ended to those in which they were."""
    room = [int(seconds * NANOSECONDS) - (run or 0) for seconds, run in zip(lengths, ran, strict=True)]
    too_long = any(
        wait is not None and wait > most + CLOCK_STEPS for wait, most in zip(waited, room, strict=True)
    )
    if not too_long and not runnable:
        return waited
    moved = list(waited)
    earlier = 0
    for index in range(len(moved) - 1, -1, -1):
        run, wait = ran[index], waited[index]
        if run is None or wait is None:
            earlier = 0
            continue
        held = min(earlier, max(0, room[index] - wait))
        moved[index] = min(wait + held, max(wait if wait <= room[index] + CLOCK_STEPS else 0, room[index]))
        if wait > room[index] + CLOCK_STEPS:
            earlier = wait - room[index]
        elif run or wait:
            earlier = 0  # it had a CPU here, so the later wait began after that
        else:
            earlier -= held
    if runnable:
        for index in range(len(moved) - 1, -1, -1):
            if ran[index] or waited[index] or ran[index] is None:
                break
            moved[index] = None
    return moved


def _longer(waited: Sequence[int | None], ended: Sequence[int | None]) -> Sequence[int | None]:
    return [None if a is None or b is None else max(a, b) for a, b in zip(waited, ended, strict=True)]


def _task_step(before: _Times | None, after: _Times | None) -> tuple[int, int] | None:
    if before is None or after is None or not any(after):
        return None
    ran, waited = after[0] - before[0], after[1] - before[1]
    return None if ran < 0 or waited < 0 else (ran, waited)


def _added(one: Sequence[int | None], other: Sequence[int | None]) -> Sequence[int | None]:
    return [None if a is None or b is None else a + b for a, b in zip(one, other, strict=True)]


def _milliseconds(nanoseconds: Sequence[int | None]) -> tuple[float | None, ...]:
    return tuple([None if one is None else one / NANOSECONDS_PER_MILLISECOND for one in nanoseconds])
