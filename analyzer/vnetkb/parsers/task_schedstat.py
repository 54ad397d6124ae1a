# SPDX-License-Identifier: Apache-2.0
"""/proc/PID/task/TID/schedstat of many threads, as `grep -H ""` prints it.

Three numbers from `proc_pid_schedstat` in fs/proc/base.c: time on a CPU and time runnable but waiting for
one, both in nanoseconds, and the number of times it ran. Without CONFIG_SCHED_INFO, and for a task that never
ran, they read ``0 0 0``.
"""

from __future__ import annotations

import re
from itertools import compress
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
# a line without its digits, and what makes words of one
_DIGITS = b"0123456789"
_BARE = b"/proc//task//schedstat:  \n"
_WORDS = bytes.maketrans(b"/:", b"  ")
_WORDS_A_LINE = 8
_TOO_LARGE = 10**40


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
    columns = _columns(data, only_tids)
    if columns is None:
        return {tid: (row.run_ns, row.delay_ns, row.slices) for tid, row in parse(data, only_tids).items()}
    tids, runs, delays, slices = columns
    return dict(zip(tids, zip(runs, delays, slices, strict=True), strict=True))


def _columns(data: bytes, only_tids: Collection[int]) -> list[list[int]] | None:
    """Thread ids and the three numbers, at once; None where a line is not as all are by rule."""
    lines = data.count(b"\n")
    if data.translate(None, _DIGITS) != _BARE * lines:
        return None
    words = data.translate(_WORDS).decode("ascii").split()
    around = (("proc", 0), ("task", 2), ("schedstat", 4))
    if len(words) != _WORDS_A_LINE * lines or any(words[at::8].count(word) != lines for word, at in around):
        return None
    columns = [words[at::8] for at in (5, 6, 7)]
    try:
        tids = list(map(int, words[3::8]))
        wanted = [tid in only_tids for tid in tids]
        if not all(wanted):
            tids = list(compress(tids, wanted))
            columns = [list(compress(column, wanted)) for column in columns]
        numbers = [tids, *(list(map(int, column)) for column in columns)]
    except ValueError:  # too many digits for Python
        return None
    return numbers if all(max(column, default=0) < _TOO_LARGE for column in numbers) else None


def _plain(data: bytes) -> list[tuple[bytes, ...]] | None:
    """Read every line in one search where each is as it should be, which is the rule."""
    found: list[tuple[bytes, ...]] = _ROWS.findall(data)
    return found if len(found) == data.count(b"\n") and data.endswith(b"\n") else None
