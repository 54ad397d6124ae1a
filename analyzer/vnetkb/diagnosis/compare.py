# SPDX-License-Identifier: Apache-2.0
"""Two bundles of one host held against each other: what stopped, what started, and whether a remedy helped.

Each bundle has its own movement (between its own snapshots), so a reboot or a counter that began anew between
the two bundles makes no difference; only rates and shares are compared.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vnetkb.diagnosis.outcomes import (
    EXPECTED,
    FACTOR,
    GONE,
    OWN_NAMES,
    Key,
    Moved,
    RemedyOutcome,
    amount,
    moved,
    outcome_of,
    same_loss,
)
from vnetkb.errors import UnusableInput
from vnetkb.facts.balance import lacking
from vnetkb.facts.model import Notice
from vnetkb.facts.readings import Listed
from vnetkb.kb.model import Extent
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vnetkb.diagnosis.model import Diagnosis, Finding
    from vnetkb.facts.model import Observations, Subject, Symptom, Taken, Value
    from vnetkb.kb.model import KnowledgeBase

NAMED_AFTER_THE_GUEST = frozenset({"guest_nic", "guest_udp", "guest_udp6", "guest_ip", "windows_adapter"})
"""Kinds of subjects whose name is the VM's and says which of its parts is meant."""

PSEUDONYM = re.compile(r"(?<![0-9A-Za-z])masked[a-z]+[0-9]+")

Change = Literal["stopped", "started", "less", "same", "more", "unknown"]


@dataclass(frozen=True, slots=True)
class CounterChange:
    """One counter in both bundles; ``reason`` says why ``change`` is unknown."""

    kind: str
    subject: str
    vm: str | None
    counter: str
    before: Moved
    after: Moved
    change: Change
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting of a subject that differs between the bundles."""

    kind: str
    subject: str
    fact: str
    before: Value
    after: Value
    captures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PastLoss:
    """A counter that stood still in the first bundle, having moved before.

    Attributes:
        subject: Whose it is.
        counter: The counter.
        before: Its value at the end of the first bundle.
        after: Its value at the beginning of the second; None where that does not go on from the first.
        captures: Members of both.
    """

    subject: Subject
    counter: str
    before: int
    after: int | None
    captures: tuple[str, ...]

    @property
    def between(self) -> int | None:
        """How far it moved between the two bundles; None when that is not known."""
        return None if self.after is None or self.after < self.before else self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two bundles held against each other.

    Attributes:
        before: When and where the first was taken.
        after: The second.
        notices: What a reader must know to trust the comparison.
        settings: What was set otherwise in between.
        outcomes: What became of each loss of the first bundle.
        new: Loss of the second that the first did not show.
        unseen: For those of them that the first bundle could not show, by id: the captures that it lacks.
        past: Counters that had moved before the first bundle only, and where they stand in the second.
        counters: Every counter that moved in either.
    """

    before: Taken
    after: Taken
    notices: tuple[Notice, ...]
    settings: tuple[SettingChange, ...]
    outcomes: tuple[RemedyOutcome, ...]
    new: tuple[Finding, ...]
    unseen: Mapping[str, tuple[str, ...]]
    past: tuple[PastLoss, ...]
    counters: tuple[CounterChange, ...]


def compare(
    before: tuple[Observations, Diagnosis], after: tuple[Observations, Diagnosis], kb: KnowledgeBase
) -> Comparison:
    """Return how the second bundle differs from the first.

    Raises:
        UnusableInput: They are of different hosts.
    """
    first, second = before[0], after[0]
    if first.taken.host != second.taken.host:
        raise UnusableInput(
            "not comparable",
            file=second.bundle_name,
            found=f"a bundle of {second.taken.host}",
            expected=f"one of {first.taken.host}, as {first.bundle_name} is"
            + ("" if first.taken.masked == second.taken.masked else "; only one of the two is masked"),
        )
    own_names = _own_names(first, second)
    partners = _by_port(first, second) if own_names else _partners(first, second)
    new = tuple(_new(before[1], after[1], partners, own_names=own_names))
    unseen = {one.id: absent for one in new if (absent := lacking(one.symptom, first))}
    return Comparison(
        first.taken,
        second.taken,
        tuple(_notices(first, second)),
        tuple(_settings(first, second, partners, kb)),
        tuple(
            outcome_of(
                finding,
                second,
                partners,
                kb,
                goes_on=first.taken.start <= second.taken.start,
                gone=OWN_NAMES if own_names and PSEUDONYM.search(finding.subject.name) else GONE,
            )
            for finding in before[1].findings
        ),
        new,
        unseen,
        tuple(_past(first, second, partners)),
        tuple(_counters(first, second, partners)),
    )


def _rising(finding: Finding) -> bool:
    return finding.symptom.state in {"rising", "silent"}


def _partners(first: Observations, second: Observations) -> Mapping[Key, Key]:
    """The subject of the second bundle that each of the first is.

    A port whose VM was started again may have another name: then the guest's NIC tells. A name that belongs
    to another VM's NIC now is another port.
    """
    nics = {
        (key[0], source.subject.guest_nic): key
        for key, source in second.subjects.items()
        if source.subject.guest_nic
    }
    found: dict[Key, Key] = {}
    for key, source in first.subjects.items():
        nic = source.subject.guest_nic
        same = second.subjects.get(key)
        if nic and key[0] in NAMED_AFTER_THE_GUEST and same is not None:
            found[key] = key
        elif nic and (key[0], nic) in nics:
            found[key] = nics[key[0], nic]
        elif same is not None and not (nic and same.subject.guest_nic):
            found[key] = key
    unlisted = ((one.subject.kind, one.subject.name) for one in first.observations)
    return {**{key: key for key in unlisted if key not in first.subjects}, **found}


def _own_names(first: Observations, second: Observations) -> bool:
    """Whether the two may have different pseudonyms for one thing: each numbers those that it meets."""
    return (first.taken.masked or second.taken.masked) and first.bundle_sha256 != second.bundle_sha256


def _by_port(first: Observations, second: Observations) -> Mapping[Key, Key]:
    """The same as :func:`_partners` for two masked bundles: by the names that masking leaves.

    A VM is the one at the other end of the same port; what else bears a pseudonym is found where it is the
    only one of its kind in both.
    """
    pairs = _vms_at_ports(first, second)
    ours, theirs = (Counter(pair[end] for pair in pairs) for end in (0, 1))
    vms = {one: other for one, other in pairs if ours[one] == theirs[other] == 1}
    alone = _only_ones(first), _only_ones(second)
    found: dict[Key, Key] = {}
    for key, source in first.subjects.items():
        kind, name = key
        vm = source.subject.vm
        if not PSEUDONYM.search(name):
            found[key] = key
        elif vm in vms and name.startswith(vm) and not PSEUDONYM.search(name[len(vm) :]):
            found[key] = (kind, vms[vm] + name[len(vm) :])
        elif alone[0].get(kind) == name and kind in alone[1]:
            other = kind, alone[1][kind]
            its = second.subjects[other].subject.vm
            # no port tells that these are two VMs
            if all((a == vm) == (b == its) for a, b in pairs):
                found[key] = other
    named = ((one.subject.kind, one.subject.name) for one in first.observations)
    unlisted = {key: key for key in named if key not in first.subjects and not PSEUDONYM.search(key[1])}
    return unlisted | {key: other for key, other in found.items() if other in second.subjects}


def _vms_at_ports(first: Observations, second: Observations) -> frozenset[tuple[str, str]]:
    """The VM behind each port that both show, by its names in the first bundle and in the second."""
    taps = [key for key in first.subjects if key[0] == "tap" and key in second.subjects]
    ends = [(first.subjects[key].subject.vm, second.subjects[key].subject.vm) for key in taps]
    return frozenset((one, other) for one, other in ends if one and other)


def _only_ones(observations: Observations) -> Mapping[str, str]:
    """The subject with a pseudonym for a name of each kind that has but one such."""
    names: dict[str, list[str]] = defaultdict(list)
    for kind, name in observations.subjects:
        if PSEUDONYM.search(name):
            names[kind].append(name)
    return {kind: each[0] for kind, each in names.items() if len(each) == 1}


def _notices(first: Observations, second: Observations) -> Iterator[Notice]:
    one, two = first.taken, second.taken
    if one.boot_id != two.boot_id:
        yield Notice("warning", two.host, tr("the host was started anew between the two bundles"))
    if one.kernel != two.kernel:
        text = tr(
            "the kernel is another one: {before} before, {after} after", before=one.kernel, after=two.kernel
        )
        yield Notice("warning", two.host, text)
    if first.bundle_sha256 == second.bundle_sha256:
        text = tr("it is compared with itself: both files are the same bundle")
        yield Notice("warning", second.bundle_name, text)
    elif _own_names(first, second):
        text = tr(
            "both are masked, and each bundle numbers its pseudonyms by itself: ports are matched by their "
            "names, VMs by their ports"
        )
        yield Notice("warning", two.bundle_name, text)
        if one.boot_id != two.boot_id:
            text = tr("whether the two masked bundles are of one host cannot be told from them")
            yield Notice("warning", two.bundle_name, text)
    if two.start < one.start:
        text = tr("it was taken before {bundle}: are the two swapped?", bundle=first.bundle_name)
        yield Notice("warning", second.bundle_name, text)
    for observations in (first, second):
        if observations.snapshots < 2:  # noqa: PLR2004
            text = tr("it has only one snapshot, which shows no movement: collect with --snapshots 2")
            yield Notice("warning", observations.bundle_name, text)


def _settings(
    first: Observations, second: Observations, partners: Mapping[Key, Key], kb: KnowledgeBase
) -> Iterator[SettingChange]:
    ends = [fact.name for fact in kb.facts.values() if Extent.ENDS in fact.over]
    names = [name for kind in ("tap.", "device.") for name in ends if name.startswith(kind)]
    for key, partner in partners.items():
        if partner not in second.subjects or key not in first.subjects:
            continue
        told: set[tuple[str, Value, Value]] = set()
        for name in names:
            one, two = first.subjects[key].fact(name), second.subjects[partner].fact(name)
            if one.value is not None and two.value is not None and one.value != two.value:
                # a tap has some settings as every device has them too
                same = (name.partition(".")[2], one.value, two.value)
                if same in told:
                    continue
                told.add(same)
                captures = tuple(dict.fromkeys((*one.captures, *two.captures)))
                yield SettingChange(*partner, name, one.value, two.value, captures)


def _counters(
    first: Observations, second: Observations, partners: Mapping[Key, Key]
) -> Iterator[CounterChange]:
    for key, partner in partners.items():
        if partner not in second.subjects or key not in first.subjects:
            continue
        one, two = first.subjects[key], second.subjects[partner]
        if not isinstance(one, Listed) or not isinstance(two, Listed):
            continue
        for field in dict.fromkeys((*one.fields, *two.fields)):
            before, after = moved(one, field, first), moved(two, field, second)
            if not before.delta and not after.delta and None not in {before.delta, after.delta}:
                continue
            change, reason = _change(before, after)
            subject = two.subject
            yield CounterChange(
                subject.kind,
                subject.name,
                subject.vm,
                f"{subject.kind}.{field}",
                before,
                after,
                change,
                reason,
            )


def _change(before: Moved, after: Moved) -> tuple[Change, str]:
    one, two = before.per_second, after.per_second
    if one is None or two is None:
        return "unknown", before.why_unknown or after.why_unknown
    if not two:
        expected = one * (after.seconds or 0.0)
        if expected < EXPECTED:
            return "unknown", tr(
                "at the rate before only {expected} would be expected in {seconds} s",
                expected=amount(expected),
                seconds=after.seconds,
            )
        return "stopped", ""
    if not one:
        return "started", ""
    if two * FACTOR < one:
        return "less", ""
    return ("more", "") if two > one * FACTOR else ("same", "")


def _new(
    before: Diagnosis, after: Diagnosis, partners: Mapping[Key, Key], *, own_names: bool
) -> Iterator[Finding]:
    """Yield the losses of the second bundle that the first did not show.

    Where each has pseudonyms of its own, one whose subject is nobody's partner may be any of its kind.
    """
    known: dict[Key, list[Symptom]] = defaultdict(list)
    unplaced: dict[str, list[Symptom]] = defaultdict(list)
    for finding in before.findings:
        key = (finding.subject.kind, finding.subject.name)
        if key in partners:
            known[partners[key]].append(finding.symptom)
        elif own_names and PSEUDONYM.search(finding.subject.name):
            unplaced[finding.subject.kind].append(finding.symptom)
    placed = frozenset(partners.values())
    for finding in after.findings:
        key = (finding.subject.kind, finding.subject.name)
        unknown = key not in placed and PSEUDONYM.search(finding.subject.name)
        shown = unplaced.get(key[0], ()) if unknown else known.get(key, ())
        if _rising(finding) and not any(same_loss(one, finding.symptom) for one in shown):
            yield finding


def _past(first: Observations, second: Observations, partners: Mapping[Key, Key]) -> Iterator[PastLoss]:
    goes_on = first.taken.boot_id == second.taken.boot_id and first.taken.start <= second.taken.start
    for one in first.observations:
        key = (one.subject.kind, one.subject.name)
        counter, total = one.symptom.counter, one.symptom.total
        if one.symptom.state != "past" or counter is None or total is None:
            continue
        source = second.subjects.get(partners[key]) if key in partners else None
        counted = source.counted(counter.partition(".")[2]) if source is not None else None
        start = next((value for value in counted.values if value is not None), None) if counted else None
        captures = (*one.symptom.captures, *(counted.captures if counted else ()))
        after = start if goes_on else None
        yield PastLoss(one.subject, counter, total, after, tuple(dict.fromkeys(captures)))
