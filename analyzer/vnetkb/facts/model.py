# SPDX-License-Identifier: Apache-2.0
"""What the facts room hands upwards: facts, symptoms and the subjects they are about."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vnetkb.facts.picture import Picture
    from vnetkb.facts.subject import SubjectSource

Value = int | float | str | bool | frozenset[str]
State = Literal["rising", "past", "silent", "unknown"]


class Fact(NamedTuple):
    """One typed, named value about one subject; ``None`` is unknown, which is neither zero nor false.

    Attributes:
        name: The fact's name as declared in ``kb/facts``; its unit and type are declared there.
        value: The value over the whole bundle, ``None`` when unknown.
        ends: One value per snapshot, in order; empty when the fact is not observed per snapshot.
        samples: One value per interval between two samples of the series; empty when not observed so.
        captures: Member paths that the value was computed from.
        missing: Capture ids that would make an unknown value known.
        why_unknown: Why it is unknown, in plain words; empty when known.
        inferred: True when a join behind it was made by order or likeness and not by identity.
    """

    name: str
    value: Value | None = None
    ends: tuple[Value | None, ...] = ()
    samples: tuple[Value | None, ...] = ()
    captures: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    why_unknown: str = ""
    inferred: bool = False


class FactSource(Protocol):
    """Anything that answers for facts by name: a subject in a bundle, or a rule's test case."""

    def fact(self, name: str) -> Fact:
        """Return the fact; unknown facts come back with value ``None``, never an exception."""
        ...

    @property
    def drops(self) -> Sequence[int | None]:
        """Packets lost in each interval of the series, the weights of ``drop_samples``."""
        ...


class Subject(NamedTuple):
    """What a finding is about.

    ``guest_nic`` is the guest's MAC address, ``port_of`` the bridge, both where a join gave them.
    """

    kind: str
    name: str
    vm: str | None = None
    guest_nic: str | None = None
    port_of: str | None = None


class Bounds(NamedTuple):
    """A number with the least and the most that it can be, by when its readings can have been made."""

    value: float
    least: float
    most: float


class Symptom(NamedTuple):
    """How one counter of one subject moved.

    Attributes:
        counter: Counter id, or None for loss that no counter shows.
        state: rising, past (moved before the first snapshot only), silent, unknown (one snapshot, or no
            right delta).
        delta: Packets between the first and the last observation; None when unknown.
        total: The counter's value in the last snapshot; None when unknown.
        ratio: Share of the packets offered that were lost, 0..1; None without a denominator.
        seconds: Time that ``delta`` covers.
        between: For silent loss, the two points of the path between which packets vanish.
        called: What a reader is told the counter is, with both directions: ``host TX dropped (= guest RX)``.
        share_of: What ``ratio`` is a share of, in words: ``all that was sent to it``.
        captures: Members that the counter was read from.
        rate: ``delta`` per second, with bounds; None where it is not known when the counter was read.
        share: ``ratio`` with bounds; None where it is not known how far apart the two counts were read.
        earlier: The highest value before the counter went back because it began anew; None where it did not.
        why_unknown: Why ``delta`` is unknown although more than one snapshot shows the counter.
    """

    counter: str | None
    state: State
    delta: int | None
    total: int | None
    ratio: float | None
    seconds: float | None
    between: tuple[str, str] | None = None
    called: str = ""
    share_of: str | None = None
    captures: tuple[str, ...] = ()
    rate: Bounds | None = None
    share: Bounds | None = None
    earlier: int | None = None
    why_unknown: str = ""


class Witness(NamedTuple):
    """Another tool's view of the same stored number; ``agrees`` is None when it cannot be compared.

    ``tolerance`` is how far it may be off because it was read at another moment; ``told`` is true where a
    notice of its own tells that it disagrees.
    """

    name: str
    value: int | None
    agrees: bool | None
    captures: tuple[str, ...] = ()
    tolerance: int | None = None
    told: bool = False


class Notice(NamedTuple):
    """Something the reader should know that is not a finding."""

    level: Literal["info", "warning"]
    subject: str
    text: str
    rule: str | None = None


class Watch(NamedTuple):
    """One monitoring of Open vSwitch that has to do with a port.

    Attributes:
        kind: ``mirror``, ``sFlow``, ``NetFlow`` or ``IPFIX``.
        name: Name of a mirror; empty for the others.
        bridge: The bridge that it is set on.
        role: ``output`` for the port that gets a mirror's copies, ``source`` for a port that is watched,
            ``carrier`` for one that carries the VLAN to which a mirror sends its copies.
        captures: Members that tell of it.
        targets: Ports or collectors that get what it sees.
        one_in: It samples one packet in so many; None where it samples none or all.
        every_s: It sends the port's counters every so many seconds; None where it sends none.
        packets: Copies that a mirror sent between the snapshots; None when not known.
        vlans: Only what is in these VLANs is watched, of which the port may carry others too; empty for all.
        rules: So many rules of the bridge choose what is sampled; None where the whole bridge is.
    """

    kind: str
    name: str
    bridge: str
    role: Literal["output", "source", "carrier"]
    captures: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    one_in: int | None = None
    every_s: float | None = None
    packets: int | None = None
    vlans: tuple[int, ...] = ()
    rules: int | None = None


class SeenAs(NamedTuple):
    """How Open vSwitch and its sFlow show the counter of a loss.

    Attributes:
        held: Whether a counter of the port holds the loss at all; else all of them stand still.
        name: Open vSwitch's name for it; None where it has none, or that is not known.
        times: How often it counts each packet; None where once and twice are both possible.
    """

    held: bool = True
    name: str | None = None
    times: int | None = 1


class Observation(NamedTuple):
    """One symptom on one subject, with the facts that can explain it.

    Attributes:
        subject: What it is about.
        symptom: How its counter moved.
        facts: What can explain it.
        one_snapshot: Fewer than two snapshots show the counter.
        witnesses: Other tools' views of the same number.
        words: Names that the knowledge base's texts may use.
        scopes: What the subject shares with others, by kind: vm, cpus, bridge, host.
        watches: Monitoring of Open vSwitch that watches it; None for what is no port of a bridge of it.
        not_told: Captures that would tell what else watches it; empty where all of it is known.
        seen_as: How Open vSwitch shows the counter.
    """

    subject: Subject
    symptom: Symptom
    facts: FactSource
    one_snapshot: bool
    witnesses: tuple[Witness, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    scopes: Mapping[str, str] = field(default_factory=dict)
    picture: Picture | None = None
    watches: tuple[Watch, ...] | None = None
    not_told: tuple[str, ...] = ()
    seen_as: SeenAs = SeenAs()


class HostSummary(NamedTuple):
    """The machine a bundle came from, for the first line of a report.

    Attributes:
        name: Its name.
        kernel: Its kernel's release.
        taps: How many taps it has.
        vms: How many VMs.
        ovs: Version of Open vSwitch, where that runs.
        devices: How many network devices of all kinds the bundle shows.
        uncounted: The taps of which no snapshot shows what they dropped.
    """

    name: str
    kernel: str
    taps: int
    vms: int
    ovs: str | None = None
    devices: int = 0
    uncounted: tuple[str, ...] = ()


class Taken(NamedTuple):
    """When and where a bundle was taken.

    Attributes:
        bundle_name: Name of its file.
        bundle_sha256: Sum of its file.
        host: Name of the host.
        kernel: Its kernel's release.
        boot_id: Changes at every boot.
        start: UTC time as ISO 8601 text.
        interval_s: Seconds between the first and the last snapshot; None with one.
        members: The captures that it holds, by their paths.
        masked: Whether its names and addresses are pseudonyms, numbered anew in each bundle.
    """

    bundle_name: str
    bundle_sha256: str
    host: str
    kernel: str
    boot_id: str
    start: str
    interval_s: float | None
    members: tuple[str, ...] = ()
    masked: bool = False


class Observations(NamedTuple):
    """All that the facts room found in one bundle.

    Attributes:
        subjects: One fact source for every subject of the host, loss or not, by (kind, name).
        behaviours: For each behaviour id of the KB: present, absent or (None) not known.
        taken: When and where the bundle was taken.
        behaviours_from: Members of the bundle that tell of each behaviour.
        unseen: How many network devices were not looked at, being too many.
        found_later: What is told of captures that are first read where a fact asks for them; it grows.
    """

    bundle_name: str
    bundle_sha256: str
    interval_s: float | None
    snapshots: int
    samples: int
    root: bool
    hosts: tuple[HostSummary, ...]
    observations: tuple[Observation, ...]
    subjects: Mapping[tuple[str, str], SubjectSource]
    behaviours: Mapping[str, bool | None]
    notices: tuple[Notice, ...]
    missing_captures: tuple[str, ...]
    taken: Taken
    behaviours_from: Mapping[str, tuple[str, ...]]
    unseen: int = 0
    found_later: Sequence[Notice] = ()
