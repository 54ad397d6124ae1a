# SPDX-License-Identifier: Apache-2.0
"""One network device as a source of facts: its settings, its counters and what moved in the series."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from vnetkb.facts import witnesses
from vnetkb.facts.deltas import difference, goes_back, total
from vnetkb.facts.model import Fact, Subject, Value
from vnetkb.facts.subject import Counted
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vnetkb.facts.model import Witness
    from vnetkb.facts.tables import Tables
    from vnetkb.facts.timeline import Timeline
    from vnetkb.facts.topology import Topology

PROVIDERS: dict[str, Callable[[DeviceFacts], Fact]] = {}

# The columns of /proc/net/dev that hold one statistic each (net/core/net-procfs.c dev_seq_printf_stats).
SINGLE_COLUMNS = {
    "rx_bytes": "rx_bytes",
    "rx_packets": "rx_packets",
    "rx_errors": "rx_errors",
    "rx_fifo_errors": "rx_fifo",
    "rx_compressed": "rx_compressed",
    "multicast": "rx_multicast",
    "tx_bytes": "tx_bytes",
    "tx_packets": "tx_packets",
    "tx_errors": "tx_errors",
    "tx_dropped": "tx_dropped",
    "tx_fifo_errors": "tx_fifo",
    "collisions": "tx_collisions",
    "tx_compressed": "tx_compressed",
}
PACKETS = ("rx_packets", "tx_packets")
# Those that hold a sum: usable for one statistic while the others of the sum stand still.
SUMMED_COLUMNS = {
    "rx_dropped": ("rx_dropped", ("rx_missed_errors",)),
    "rx_missed_errors": ("rx_dropped", ("rx_dropped",)),
    "rx_frame_errors": ("rx_frame", ("rx_length_errors", "rx_over_errors", "rx_crc_errors")),
    "rx_crc_errors": ("rx_frame", ("rx_length_errors", "rx_over_errors", "rx_frame_errors")),
    "rx_over_errors": ("rx_frame", ("rx_length_errors", "rx_crc_errors", "rx_frame_errors")),
    "rx_length_errors": ("rx_frame", ("rx_over_errors", "rx_crc_errors", "rx_frame_errors")),
    "tx_carrier_errors": ("tx_carrier", ("tx_aborted_errors", "tx_window_errors", "tx_heartbeat_errors")),
    "tx_aborted_errors": ("tx_carrier", ("tx_carrier_errors", "tx_window_errors", "tx_heartbeat_errors")),
}


def provides(name: str) -> Callable[[Callable[[DeviceFacts], Fact]], Callable[[DeviceFacts], Fact]]:
    """Register the function that computes the fact ``name`` of any network device."""

    def register(function: Callable[[DeviceFacts], Fact]) -> Callable[[DeviceFacts], Fact]:
        PROVIDERS[name] = function
        return function

    return register


def number(text: str | None, base: int = 10) -> int | None:
    """Return the integer that a sysfs file holds, or None when it holds none."""
    try:
        return int(text, base) if text else None
    except ValueError:
        return None


class _Waited(NamedTuple):
    """How far a counter moved before the first snapshot, from when on, and the time covered with it."""

    moved: int
    began: tuple[float, float]
    covers_s: float


class DeviceFacts:
    """Facts of one network device, each computed on first use.

    Args:
        kind: Kind of device, the first part of its counters' names.
        name: Device name.
        tables: The captures.
        topology: The joins.
    """

    own_providers: ClassVar[Mapping[str, Callable[[Any], Fact]]] = {}
    u32_counters: ClassVar[tuple[str, ...]] = ()

    def __init__(self, kind: str, name: str, tables: Tables, topology: Topology) -> None:
        """Keep the sources; nothing is computed yet."""
        self.kind = kind
        self.name = name
        self.tables = tables
        self.topology = topology
        self.timeline: Timeline | None = None
        self.u32: bool | None = False
        self._facts: dict[str, Fact] = {}
        self._moved: dict[str, tuple[int | None, ...]] = {}
        self._restarted: bool | None = None
        self._steps: dict[str, int | None] = {}
        self._statistics: dict[str, tuple[int | None, ...]] = {}

    def look_at(self, timeline: Timeline) -> None:
        """Use the series from now on; without this nothing of a series is known of the device."""
        self.timeline = timeline
        self._facts.clear()
        self._moved.clear()
        self._steps.clear()
        self._restarted = None

    @property
    def subject(self) -> Subject:
        """What a finding on this device is about."""
        return Subject(self.kind, self.name, port_of=self.topology.port_of(self.name))

    @property
    def drops(self) -> Sequence[int | None]:
        """Empty: which of the device's counters is meant is the symptom's to say."""
        return ()

    def scopes(self) -> Mapping[str, str]:
        """What the device and its parts share with others: the host, itself, the bridge of the port."""
        bridge = self.topology.port_of(self.name)
        own = {"host": self.tables.bundle.manifest.host, "device": self.name}
        return own | ({"bridge": bridge} if bridge else {})

    def words(self) -> Mapping[str, str]:
        """Names that the knowledge base's texts may use for the device."""
        bridge = self.topology.port_of(self.name)
        return {
            "device": self.name,
            "host": self.tables.bundle.manifest.host,
            "master": bridge or tr("its bridge"),
            **({"bridge": bridge} if bridge else {}),
        }

    def fact(self, name: str) -> Fact:
        """Return one fact; a name that no function provides is unknown."""
        fact = self._facts.get(name)
        if fact is None:
            provider = self.own_providers.get(name) or PROVIDERS.get(name)
            fact = (
                provider(self)
                if provider
                else Fact(name, why_unknown=tr("not computed for a {kind}", kind=self.kind))
            )
            if fact.missing and (missing := self.tables.to_be_had(fact.missing)) != fact.missing:
                fact = fact._replace(missing=missing)
            self._facts[name] = fact
        return fact

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the device's statistics, from sysfs or, where that was not taken, ``ip -s link``."""
        names: set[str] = set()
        for n in self.tables.snapshots:
            device = (self.tables.get("sysfs-net", n) or {}).get(self.name)
            link = None if device is not None else self.topology.links(n).get(self.name)
            names.update(device.statistics if device is not None else ())
            if link is not None:
                names.update(f"{way}_{key}" for way, row in (("rx", link.rx), ("tx", link.tx)) for key in row)
        return tuple(sorted(names))

    def counted(self, field: str) -> Counted | None:
        """Return how a statistic of the device stood and moved; None if the device has none of this name."""
        values = self.statistic(field)
        if all(value is None for value in values):
            return None
        delta = None if sum(1 for value in values if value is not None) < 2 else self.delta(field)  # noqa: PLR2004
        samples = self.moved(field)
        known = delta is not None
        waited = self._waited(field) if known else None
        return Counted(
            values,
            delta,
            samples,
            self.timeline.seconds if self.timeline and samples else (),
            self.statistic_paths(),
            (self.timeline.path,) if self.timeline and samples else (),
            () if known else ("sysfs-net",),
            "" if known else self.why_no_difference(field),
            waited and waited.began,
            waited and waited.covers_s,
        )

    def witnesses(self, field: str, counted: Counted, peak_rate: float) -> tuple[Witness, ...]:
        """Return every other tool's count of the same statistic over the same snapshots."""
        del counted  # what the snapshots alone say is compared: a wait before them is no tool's
        return witnesses.of(self, field, self.between_snapshots(field), peak_rate)

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
        if key not in self._statistics:
            self._statistics[key] = self._read_statistic(key)
        return self._statistics[key]

    def _read_statistic(self, key: str) -> tuple[int | None, ...]:
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
        """Members that :meth:`statistic` reads: one of each snapshot that shows the device."""
        return self._statistic_paths

    @cached_property
    def _statistic_paths(self) -> tuple[str, ...]:
        found: list[str] = []
        for n in self.tables.snapshots:
            if (self.tables.get("sysfs-net", n) or {}).get(self.name) is not None:
                found.append(self.tables.path("sysfs-net", n))
            elif self.name in self.topology.links(n):
                found.append(self.topology.links_path(n))
        return tuple(found)

    @cached_property
    def same_device(self) -> bool | None:
        """False when the device was made anew between the snapshots that show it (its ifindex changed).

        None when not known. The kernel gives no number twice (net/core/dev.c dev_new_index counts up).
        """
        indexes: list[int | None] = []
        for n, text in zip(self.tables.snapshots, self.attributes("ifindex"), strict=True):
            link = self.topology.links(n).get(self.name)
            index = number(text)
            if index is None and link is not None:
                index = link.ifindex
            if index is not None or link is not None or self.name in (self.tables.get("sysfs-net", n) or {}):
                indexes.append(index)
        return None if not indexes or None in indexes else len(set(indexes)) == 1

    @property
    def restarted(self) -> bool:
        """Whether its counters began anew on the same device: a count of its packets went back.

        In the snapshots or in the series between them, where the counter that is asked for may have grown
        past its old value by the last snapshot. Counts of packets have 64 bits.
        """
        if self._restarted is None:
            counts = [self.statistic(key) for key in PACKETS]
            back = any(goes_back(values) for values in counts)
            self._restarted = back or (self.timeline is not None and self.timeline.went_back(self.name))
        return self._restarted

    def between_snapshots(self, key: str) -> int | None:
        """How far a counter moved from the first snapshot to the last; in steps, so that wraps count.

        A snapshot in the middle that lacks it hides nothing; one at an end makes it unknown.
        """
        values = self.statistic(key)
        whole = bool(values) and values[0] is not None and values[-1] is not None
        return self._between_shown(key) if whole else None

    def _between_shown(self, key: str) -> int | None:
        """The same from the first to the last of those snapshots that show it."""
        if key not in self._steps:
            self._steps[key] = self._step_by_step(key)
        return self._steps[key]

    def _step_by_step(self, key: str) -> int | None:
        values = self.statistic(key)
        u32 = self.is_u32(key)
        if self.restarted or (not u32 and key not in PACKETS and goes_back(self._samples_of(key))):
            return None
        times = [snapshot.monotonic_s for snapshot in self.tables.bundle.manifest.snapshots]
        shown = [(value, at) for value, at in zip(values, times, strict=False) if value is not None]
        if len(shown) < len(values) and self.same_device is not True:
            return None  # it may have been another one meanwhile
        return total(
            [
                difference(a, b, same_device=self.same_device, u32=u32, seconds=end - start)
                for (a, start), (b, end) in itertools.pairwise(shown)
            ]
        )

    def _samples_of(self, key: str) -> Sequence[int | None]:
        """A counter in every sample of the series, where that shows it alone."""
        column = SINGLE_COLUMNS.get(key)
        return self.timeline.values(self.name, column) if self.timeline is not None and column else ()

    def delta(self, key: str) -> int | None:
        """How far a counter moved over all that the bundle shows of it.

        A collector that waited for a drop has samples from before the first snapshot: they count too.
        """
        moved = self._between_shown(key)
        waited = self._waited(key) if moved is not None else None
        return moved if moved is None or waited is None else moved + waited.moved

    def _waited(self, key: str) -> _Waited | None:
        """What a counter did between the first sample and the first snapshot, if the collector waited."""
        manifest, timeline = self.tables.bundle.manifest, self.timeline
        if manifest.wait_for_drop is None or timeline is None or not manifest.snapshots:
            return None
        column, began = self._column(key), timeline.read_between(0)
        if column is None or began is None or began[0] >= manifest.snapshots[0].monotonic_s:
            return None
        earlier = timeline.value(self.name, column, 0)
        moved = difference(earlier, self.statistic(key)[0], same_device=True, u32=self.is_u32(key))
        if moved is None:
            return None
        return _Waited(moved, began, round(manifest.snapshots[-1].monotonic_s - began[0], 2))

    def why_no_difference(self, key: str) -> str:
        """Why it is not known how far a counter moved."""
        if self.same_device is False:
            return tr("it was made anew meanwhile: its ifindex changed")
        if self.restarted:
            return tr("its counters began anew meanwhile: a count of its packets went back")
        if goes_back(self.statistic(key)) or goes_back(self._samples_of(key)):
            if self.is_u32(key) is False:
                return tr("it went back between the snapshots: its counter began anew")
            return tr("it went back between the snapshots: whether it wrapped or began anew is not known")
        return tr("it needs two snapshots of the same device")

    def is_u32(self, key: str) -> bool | None:
        """Whether the kernel keeps this counter in 32 bits; None when that is not known."""
        return self.u32 if key in self.u32_counters else False

    def moved(self, field: str) -> tuple[int | None, ...]:
        """How far a statistic moved in each interval of the series, as ``/proc/net/dev`` shows it.

        Empty where that file does not show it, or only in a sum with others that moved or are not known. Of a
        device that was made anew meanwhile nothing is known: the file does not tell in which interval that
        was, and the new one's numbers may be higher than the old one's.
        """
        if field not in self._moved:
            column = self._column(field)
            if self.timeline is None or column is None:
                self._moved[field] = ()
            elif self.same_device is False:
                self._moved[field] = (None,) * len(self.timeline.seconds)
            else:
                wraps = self.is_u32(field) if self.same_device else False
                self._moved[field] = self.timeline.moved(self.name, column, u32=wraps)
        return self._moved[field]

    def _column(self, field: str) -> str | None:
        if field in SINGLE_COLUMNS:
            return SINGLE_COLUMNS[field]
        column, others = SUMMED_COLUMNS.get(field, (None, ()))
        still = all(self._step(other) == 0 for other in others)
        return column if still else None

    def _step(self, field: str) -> int | None:
        """How far a statistic moved; it did not where it is 0 all along, which one snapshot can show too."""
        values = self.statistic(field)
        return 0 if values and all(value == 0 for value in values) else self.between_snapshots(field)

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
        why = "" if same else tr("it changed between the snapshots or one of them lacks it")
        return Fact(name, known.pop() if same else None, values, captures=captures, why_unknown=why)

    def why(self, capture: str) -> str:
        """Why a capture gave nothing for this tap."""
        for n in self.tables.snapshots:
            if self.tables.get(capture, n) is None:
                return self.tables.why(capture, n)
        return tr("{capture} does not show it", capture=capture)

    def unknown_series(self, name: str) -> Fact:
        """Build the answer for a fact that needs a series that the bundle does not hold."""
        return Fact(
            name, missing=("task-schedstat",), why_unknown=tr("the bundle holds no series that shows it")
        )
