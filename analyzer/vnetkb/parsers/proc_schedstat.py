# SPDX-License-Identifier: Apache-2.0
"""/proc/schedstat, as `show_schedstat` in kernel/sched/stats.c prints it.

The last three numbers of a ``cpu`` line are the same in versions 14 to 17: time spent running tasks, time
that tasks waited (both nanoseconds), and the number of times that a task was given the CPU. Lines of
scheduling domains differ between versions and are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.text import integer, lines

_COLUMNS = 9


@dataclass(frozen=True, slots=True)
class CpuSched:
    """One CPU since boot.

    Attributes:
        run_ns: Time that tasks ran on it, nanoseconds.
        delay_ns: Time that runnable tasks waited for it, nanoseconds.
        slices: How many times it was given to a task.
    """

    run_ns: int
    delay_ns: int
    slices: int


@dataclass(frozen=True, slots=True)
class ProcSchedstat:
    """The file.

    Attributes:
        version: Version of the layout.
        cpus: By number.
    """

    version: int
    cpus: dict[int, CpuSched]


def parse(data: bytes) -> ProcSchedstat:
    """Return the file's content.

    Raises:
        ParseError: The version line is missing, or a line of a CPU has fewer than 9 numbers.
    """
    version: int | None = None
    cpus: dict[int, CpuSched] = {}
    for number, line in lines(data):
        words = line.split()
        if words[:1] == ["version"]:
            version = integer(" ".join(words[1:]), "the version", number)
        elif words and words[0].startswith("cpu"):
            if len(words) - 1 < _COLUMNS:
                raise ParseError(f"{len(words) - 1} numbers", f"at least {_COLUMNS}", number)
            run, delay, slices = (integer(word, "a number of a CPU", number) for word in words[7:10])
            cpus[integer(words[0][3:], "the number of a CPU", number)] = CpuSched(run, delay, slices)
    if version is None:
        raise ParseError(data, "a line 'version N'")
    return ProcSchedstat(version, cpus)
