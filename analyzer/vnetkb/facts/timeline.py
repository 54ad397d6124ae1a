# SPDX-License-Identifier: Apache-2.0
"""The series as intervals: what moved between each two samples."""

from __future__ import annotations

import importlib
import itertools
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from vnetkb.facts.deltas import difference
from vnetkb.parsers import proc_net_dev, task_schedstat
from vnetkb.parsers.errors import ParseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from vnetkb.facts.tables import Tables
    from vnetkb.parsers.proc_net_dev import NetDevCounters
    from vnetkb.parsers.task_schedstat import SchedStat

NANOSECONDS_PER_MILLISECOND = 1_000_000


# a tuple: a series of a large host has tens of thousands
class TaskShare(NamedTuple):
    """How a set of threads spent one interval, in milliseconds summed over the threads; None is unknown."""

    run_ms: float | None
    delay_ms: float | None
    sleep_ms: float | None


def _went_on(before: NetDevCounters | None, after: NetDevCounters | None) -> bool | None:
    """Whether two rows are of one device that was not made anew: its packet counts did not go back."""
    if before is None or after is None:
        return None
    return bool(after.tx_packets >= before.tx_packets and after.rx_packets >= before.rx_packets)


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

    def moved(self, device: str, column: str, *, u32: bool | None) -> tuple[int | None, ...]:
        """How far one column of ``/proc/net/dev`` moved in each interval.

        None where either end lacks the device.
        """
        rows = [sample.get(device) for _, _, sample in self._net]
        return tuple(
            difference(
                getattr(before, column, None),
                getattr(after, column, None),
                same_device=_went_on(before, after),
                u32=u32,
            )
            for before, after in itertools.pairwise(rows)
        )

    def counted(self, capture: str, read: Callable[[Any], int]) -> tuple[int | None, ...]:
        """How far a number of another series capture moved in each interval.

        Args:
            capture: Its id; its parser is the module of the same name.
            read: Takes the number out of what the parser gives for one sample.
        """
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

    def set_threads(self, threads: Collection[int]) -> None:
        """Say which threads :meth:`tasks` will be asked for; the others' rows are not parsed."""
        self.threads = frozenset(threads)

    threads: frozenset[int] = frozenset()

    @cached_property
    def _sched(self) -> dict[int, dict[int, SchedStat]]:
        samples: dict[int, dict[int, SchedStat]] = {}
        for number, _, data in self.tables.series("task-schedstat"):
            try:
                samples[number] = task_schedstat.parse(data, only_tids=self.threads)
            except ParseError:
                samples[number] = {}
        return samples

    def tasks(self, threads: Sequence[int]) -> tuple[TaskShare, ...]:
        """How the threads together spent each interval.

        ``schedstat`` (fs/proc/base.c proc_pid_schedstat) gives nanoseconds run, nanoseconds waited for a CPU
        and
        slices. ``0 0 0`` means that the kernel keeps no such account: unknown. Sleep is what is left of the
        interval.
        """
        numbers = [number for number, _, _ in self._net]
        return tuple(
            self._share(self._sched.get(before), self._sched.get(after), threads, seconds)
            for before, after, seconds in zip(numbers, numbers[1:], self.seconds, strict=False)
        )

    @staticmethod
    def _share(
        before: dict[int, SchedStat] | None,
        after: dict[int, SchedStat] | None,
        threads: Sequence[int],
        seconds: float,
    ) -> TaskShare:
        if not threads or before is None or after is None:
            return TaskShare(None, None, None)
        run = delay = 0
        for tid in threads:
            one, two = before.get(tid), after.get(tid)
            if one is None or two is None or not (two.run_ns or two.delay_ns or two.slices):
                return TaskShare(None, None, None)
            run_step, delay_step = two.run_ns - one.run_ns, two.delay_ns - one.delay_ns
            if run_step < 0 or delay_step < 0:
                return TaskShare(None, None, None)
            run, delay = run + run_step, delay + delay_step
        run_ms, delay_ms = run / NANOSECONDS_PER_MILLISECOND, delay / NANOSECONDS_PER_MILLISECOND
        return TaskShare(run_ms, delay_ms, max(0.0, len(threads) * seconds * 1000 - run_ms - delay_ms))
