# SPDX-License-Identifier: Apache-2.0
"""The CPUs' receive queues (``/proc/net/softnet_stat``), as facts of any device and as a subject."""

from __future__ import annotations

import itertools
from functools import cached_property, partial
from typing import TYPE_CHECKING

from vnetkb.facts.deltas import difference, total
from vnetkb.facts.device import PROVIDERS, number
from vnetkb.facts.model import Fact, Subject
from vnetkb.facts.subject import Counted
from vnetkb.language import tr
from vnetkb.parsers import softnet_stat
from vnetkb.parsers.errors import ParseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vnetkb.facts.device import DeviceFacts
    from vnetkb.facts.model import Witness
    from vnetkb.facts.tables import Tables

NAME = "softnet"
CAPTURE = "softnet-stat"
BACKLOG_LIMIT = "net.core.netdev_max_backlog"
# Columns by the fact that tells how far their sum over the CPUs moved.
COLUMNS = {
    "softnet.dropped": "dropped",
    "softnet.flow_limited": "flow_limit",
    "softnet.processed": "processed",
    "softnet.squeezed": "time_squeeze",
}


class Softnet:
    """The columns of ``softnet_stat`` summed over the CPUs; each column is 32 bits a CPU and wraps.

    Args:
        tables: The captures.
        scope: ``host``, or ``guest:<vm>``.
    """

    def __init__(self, tables: Tables, scope: str = "host") -> None:
        """Keep the captures; nothing is parsed yet."""
        self.tables = tables
        self.scope = scope

    def counted(self, column: str) -> Counted | None:
        """Return how one column moved; None where no snapshot shows it."""
        rows = [self._cpus(self.tables.get(CAPTURE, n, scope=self.scope), column) for n in self._snapshots]
        if all(row is None for row in rows):
            return None
        values = tuple(None if row is None else total(list(row.values())) for row in rows)
        known = [row for row in rows if row is not None]
        steps = [_step(before, after) for before, after in itertools.pairwise(known)]
        delta = total(steps)
        samples = (0,) * len(self._seconds) if delta == 0 else self._samples(column)
        paths = tuple(self.tables.path(CAPTURE, n, self.scope) for n in self._snapshots)
        why = "" if delta is not None else tr("it needs two snapshots of the same CPUs")
        missing = () if delta is not None else (CAPTURE,)
        series = (self.tables.path(CAPTURE, None, "series"),) if samples else ()
        return Counted(values, delta, samples, self._seconds if samples else (), paths, series, missing, why)

    @cached_property
    def _snapshots(self) -> tuple[int, ...]:
        return self.tables.snapshots

    @cached_property
    def _seconds(self) -> tuple[float, ...]:
        times = [at for _, at, _ in self.tables.series("proc-net-dev")]
        return tuple(after - before for before, after in itertools.pairwise(times))

    @cached_property
    def _series(self) -> dict[int, Sequence[softnet_stat.SoftnetCpu]]:
        samples: dict[int, Sequence[softnet_stat.SoftnetCpu]] = {}
        for k, _, data in self.tables.series(CAPTURE) if self.scope == "host" else ():
            try:
                samples[k] = softnet_stat.parse(data)
            except ParseError:
                continue
        return samples

    def _samples(self, column: str) -> tuple[int | None, ...]:
        """Steps between the samples, on the clock of the series of ``/proc/net/dev``."""
        if not self._series:
            return ()
        rows = [self._cpus(self._series.get(k), column) for k, _, _ in self.tables.series("proc-net-dev")]
        return tuple(_step(before, after) for before, after in itertools.pairwise(rows))

    @staticmethod
    def _cpus(rows: Sequence[softnet_stat.SoftnetCpu] | None, column: str) -> dict[int, int | None] | None:
        if rows is None:
            return None
        return {
            row.cpu if row.cpu is not None else -1 - k: getattr(row, column) for k, row in enumerate(rows)
        }


def _step(before: Mapping[int, int | None] | None, after: Mapping[int, int | None] | None) -> int | None:
    """How far the sum moved; None where CPUs came or went."""
    if not before or not after or before.keys() != after.keys():
        return None
    return total([difference(before[cpu], after[cpu], same_device=True, u32=True) for cpu in before])


class SoftnetFacts:
    """The CPUs' receive queues as a subject: drops that no device of this network namespace shows."""

    def __init__(self, tables: Tables) -> None:
        """Keep the sources; nothing is computed yet."""
        self.softnet = Softnet(tables)
        self.tables = tables

    @property
    def subject(self) -> Subject:
        """The CPUs of the host."""
        return Subject("softnet", NAME)

    @property
    def drops(self) -> Sequence[int | None]:
        """Packets refused in each interval of the series."""
        one = self.softnet.counted("dropped")
        return one.samples if one is not None else ()

    def scopes(self) -> Mapping[str, str]:
        """The host."""
        return {"host": self.tables.bundle.manifest.host}

    def words(self) -> Mapping[str, str]:
        """Names that texts may use."""
        return {"device": tr("the CPUs"), "host": self.tables.bundle.manifest.host}

    def counted(self, field: str) -> Counted | None:
        """Return how a column moved, by the counter's name."""
        return self.softnet.counted(field)

    def witnesses(self, field: str, counted: Counted, peak_rate: float) -> tuple[Witness, ...]:
        """No other tool is captured that shows it."""
        del field, counted, peak_rate
        return ()

    def fact(self, name: str) -> Fact:
        """Return a fact of the CPUs' queues."""
        if name in COLUMNS:
            return _moved(self.softnet, name)
        provider = HOST_FACTS.get(name)
        return provider(self.tables) if provider else Fact(name, why_unknown=tr("not computed for softnet"))


def _moved(softnet: Softnet, name: str) -> Fact:
    one = softnet.counted(COLUMNS[name])
    if one is None:
        why = softnet.tables.why(CAPTURE, softnet.tables.first)
        return Fact(name, missing=(CAPTURE,), why_unknown=why)
    captures = (*one.captures, *one.sample_captures)
    return Fact(name, one.delta, (), one.samples, captures, one.missing, one.why_unknown)


def _limit(tables: Tables) -> Fact:
    settings = tables.once("sysctl-net") or {}
    value = number(settings.get(BACKLOG_LIMIT))
    if value is None:
        return Fact(
            "softnet.backlog_limit", missing=("sysctl-net",), why_unknown=tr("the setting was not taken")
        )
    return Fact("softnet.backlog_limit", value, captures=(tables.once_path("sysctl-net"),))


def _raised_to(tables: Tables) -> Fact:
    return _limit(tables)._replace(name="softnet.backlog_raised_to")


def _squeezed_alone(tables: Tables) -> Fact:
    """How often a softirq ended with work left while no queue refused a packet."""
    name = "softnet.squeezed_alone"
    queues = Softnet(tables)
    refused, squeezed = queues.counted("dropped"), queues.counted("time_squeeze")
    if refused is None or squeezed is None or refused.delta is None:
        return Fact(name, missing=(CAPTURE,), why_unknown=tr("it needs two snapshots of softnet_stat"))
    if refused.delta:
        return Fact(name, captures=refused.captures, why_unknown=tr("packets were refused as well"))
    return Fact(name, squeezed.delta, captures=squeezed.captures)


def _refused_ever(tables: Tables) -> Fact:
    one = Softnet(tables).counted("dropped")
    if one is None or one.last is None:
        return Fact("softnet.refused_ever", missing=(CAPTURE,), why_unknown=tr("softnet_stat was not taken"))
    return Fact("softnet.refused_ever", one.last, captures=one.captures)


HOST_FACTS: dict[str, Callable[[Tables], Fact]] = {
    "softnet.backlog_limit": _limit,
    "softnet.backlog_raised_to": _raised_to,
    "softnet.squeezed_alone": _squeezed_alone,
    "softnet.refused_ever": _refused_ever,
}


def _of_device(name: str, device: DeviceFacts) -> Fact:
    return _moved(device.topology.softnet, name)


def _limit_of_device(device: DeviceFacts) -> Fact:
    return _limit(device.tables)


for _name in COLUMNS:
    PROVIDERS[_name] = partial(_of_device, _name)
PROVIDERS["softnet.backlog_limit"] = _limit_of_device
