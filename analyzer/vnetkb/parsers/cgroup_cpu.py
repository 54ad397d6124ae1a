# SPDX-License-Identifier: Apache-2.0
"""CPU files of cgroups, of version 1 and 2, as `grep -H ""` prints them below /sys/fs/cgroup.

Version 1 is written by kernel/sched/core.c (`cpu_cfs_stat_show`), version 2 by the same file's
`cpu_extra_stat_show` and kernel/cgroup/rstat.c; the first counts nanoseconds, the second microseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vnetkb.parsers.errors import ParseError
from vnetkb.parsers.proc_pressure import pressure_line
from vnetkb.parsers.text import integer, lines

# a cgroup's name may hold colons, so the known file names end the path
_ROW = re.compile(
    r"(?P<path>.*?)/(?P<file>cpu\.(?:stat|max|weight|shares|cfs_quota_us|cfs_period_us|pressure)"
    r"|cpuset\.(?:cpus|effective_cpus|cpus\.effective)|cgroup\.events):(?P<text>.*)"
)
_ROOT = re.compile(r".*?/sys/fs/cgroup(?:/(?:cpu|cpuacct|cpu,cpuacct|cpuacct,cpu|cpuset|unified)(?=/|$))?")
_STAT = {"nr_periods": "nr_periods", "nr_throttled": "nr_throttled", "throttled_usec": "throttled_us"}
_STAT |= {"usage_usec": "usage_us"}
_SINGLE = {"cpu.weight": "weight", "cpu.shares": "shares", "cpu.cfs_period_us": "period_us"}
_NS_PER_US = 1000


@dataclass(frozen=True, slots=True)
class CgroupCpu:
    """Limits of one cgroup and what they did; None where the kernel does not say.

    Attributes:
        nr_periods: Periods that passed with a limit set.
        nr_throttled: Periods in which the group used up its quota.
        throttled_us: Time that its CPUs were held back, microseconds, added over CPUs.
        usage_us: CPU time used, microseconds (version 2).
        quota_us: CPU time allowed in a period, microseconds; None with a `period_us` means no limit.
        period_us: Length of a period, microseconds.
        weight: cpu.weight of version 2 (default 100).
        shares: cpu.shares of version 1 (default 1024).
        cpus: CPUs that it may use, like ``0-3,8``; those in effect where the kernel tells.
        frozen: Whether the group is frozen (version 2).
        pressure_some_us: Time in which some task waited for a CPU, microseconds (version 2).
    """

    nr_periods: int | None = None
    nr_throttled: int | None = None
    throttled_us: int | None = None
    usage_us: int | None = None
    quota_us: int | None = None
    period_us: int | None = None
    weight: int | None = None
    shares: int | None = None
    cpus: str | None = None
    frozen: bool | None = None
    pressure_some_us: int | None = None


class _Values(dict[str, "int | str | bool | None"]):
    """Fields of one cgroup, gathered over several files."""


def parse(data: bytes) -> dict[str, CgroupCpu]:
    """Return the groups by their path as /proc/PID/cgroup has it; ``/`` is the root.

    Files of both versions, and of several controllers, are merged into one row for a path.

    Raises:
        ParseError: A line is not ``PATH/FILE:TEXT`` with a known file, or a number is none.
    """
    groups: dict[str, _Values] = {}
    for number, line in lines(data):
        match = _ROW.fullmatch(line)
        root = None if match is None else _ROOT.match(match["path"])
        if match is None or root is None:
            if not line:
                continue
            raise ParseError(line, "/sys/fs/cgroup/…/FILE:TEXT of a CPU file", number)
        path = match["path"][root.end() :] or "/"
        _add(groups.setdefault(path, _Values()), match["file"], match["text"].strip(), number)
    return {path: CgroupCpu(**values) for path, values in groups.items()}  # type: ignore[arg-type]


def _add(values: _Values, file: str, text: str, line: int) -> None:
    key, _, value = text.partition(" ")
    if file in _SINGLE:
        values[_SINGLE[file]] = integer(text, file, line)
    elif file == "cpu.stat":
        if key == "throttled_time":
            values["throttled_us"] = integer(value, key, line) // _NS_PER_US
        elif key in _STAT:
            values[_STAT[key]] = integer(value, key, line)
    elif file == "cpu.max":
        values["quota_us"] = None if key == "max" else integer(key, file, line)
        values["period_us"] = integer(value, file, line)
    elif file == "cpu.cfs_quota_us":
        quota = integer(text, file, line)
        values["quota_us"] = None if quota < 0 else quota
    elif file.startswith("cpuset."):
        _add_cpus(values, file, text)
    else:
        _add_state(values, key, text, line)


def _add_cpus(values: _Values, file: str, text: str) -> None:
    # the CPUs in effect count, whichever of the files comes first
    if file != "cpuset.cpus" or "cpus" not in values:
        values["cpus"] = text


def _add_state(values: _Values, key: str, text: str, line: int) -> None:
    if key in ("populated", "frozen"):
        if key == "frozen":
            values["frozen"] = text == "frozen 1"
        return
    kind, pressure = pressure_line(text, line)
    if kind == "some":
        values["pressure_some_us"] = pressure.total_us
