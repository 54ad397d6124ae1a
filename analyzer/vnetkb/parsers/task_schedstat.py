# SPDX-License-Identifier: Apache-2.0
"""/proc/PID/task/TID/schedstat of many threads, as `grep -H ""` prints it.

Three numbers from `proc_pid_schedstat` in fs/proc/base.c: time on a CPU and time runnable but waiting for
one, both in nanoseconds, and the number of times it ran. Without CONFIG_SCHED_INFO, and for a task that never
ran, they read ``0 0 0``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import raw_lines

if TYPE_CHECKING:
    from collections.abc import Collection

_PARTS = 3
_ROW = re.compile(
    rb"^[^:\n]*?\b([0-9]{1,10})/task/([0-9]{1,10})/schedstat:([0-9]{1,40}) ([0-9]{1,40}) ([0-9]{1,40})\s*$"
)

_ROWS = re.compile(
    rb"^/proc/([0-9]{1,10})/task/([0-9]{1,10})/schedstat:([0-9]{1,40}) ([0-9]{1,40}) ([0-9]{1,40})\n",
    re.MULTILINE,
)


# a tuple: a series has tens of thousands of rows, and a frozen dataclass takes twice as long to make
class SchedStat(NamedTuple):
    """Scheduler times of one thread since it began.

    Attributes:
        pid: Process that the thread belongs to.
        run_ns: Time on a CPU, nanoseconds.
        delay_ns: Time runnable and waiting for a CPU, nanoseconds.
        slices: How many times it was given a CPU.
    """

    pid: int
    run_ns: int
    delay_ns: int
    slices: int


def parse(data: bytes, only_tids: Collection[int] | None = None) -> dict[int, SchedStat]:
    """Return the times by thread id.

    Args:
        data: Lines ``/proc/PID/task/TID/schedstat:run delay slices``.
        only_tids: Threads to read; the lines of the others are passed over unread, which is cheap.

    Raises:
        ParseError: A line that is read has another layout.
    """
    wanted = None if only_tids is None else {b"%d" % tid for tid in only_tids}
    rows: dict[int, SchedStat] = {}
    found = _plain(data)
    if found is not None:
        for row in found:
            if wanted is None or row[1] in wanted:
                pid, tid, run, delay, slices = map(int, row)
                rows[tid] = SchedStat(pid, run, delay, slices)
        return rows
    for number, line in enumerate(raw_lines(data), 1):
        if wanted is not None:
            parts = line.rsplit(b"/", 2)
            if len(parts) != _PARTS or parts[1] not in wanted:
                continue
        match = _ROW.match(line)
        if match is None:
            if not line.strip():
                continue
            raise ParseError(line, "/proc/PID/task/TID/schedstat: and 3 numbers", number)
        pid, tid, run, delay, slices = map(int, match.groups())
        rows[tid] = SchedStat(pid, run, delay, slices)
    return rows


def times(data: bytes, only_tids: Collection[int]) -> dict[int, tuple[int, int, int]]:
    """Return nanoseconds run, nanoseconds waited and slices by thread id: the sample of a series.

    Args:
        data: As for :func:`parse`.
        only_tids: Threads to read.

    Raises:
        ParseError: A line that is read has another layout.
    """
    found = _plain(data)
    if found is None:
        return {tid: (row.run_ns, row.delay_ns, row.slices) for tid, row in parse(data, only_tids).items()}
    wanted = {b"%d" % tid for tid in only_tids}
    found = [row for row in found if row[1] in wanted]
    if not found:
        return {}
    _, tids, *columns = zip(*found, strict=True)
    runs, delays, slices = (map(int, column) for column in columns)
    return dict(zip(map(int, tids), zip(runs, delays, slices, strict=True), strict=True))


def _plain(data: bytes) -> list[tuple[bytes, ...]] | None:
    """Read every line in one search where each is as it should be, which is the rule."""
    found: list[tuple[bytes, ...]] = _ROWS.findall(data)
    return found if len(found) == data.count(b"\n") and data.endswith(b"\n") else None
