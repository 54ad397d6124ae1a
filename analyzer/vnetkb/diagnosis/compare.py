# SPDX-License-Identifier: Apache-2.0
"""Two bundles of one host held against each other: what stopped, what started, and whether a remedy helped.

Each bundle has its own movement (between its own snapshots), so a reboot or a counter that began anew between
the two bundles makes no difference; only rates and shares are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vnetkb.errors import UnusableInput, UsageProblem
from vnetkb.facts.bounds import covered
from vnetkb.facts.model import Notice
from vnetkb.facts.readings import Listed
from vnetkb.kb.model import Extent
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vnetkb.diagnosis.model import Diagnosis, Finding
    from vnetkb.facts.model import Observations, Subject, Symptom, Taken, Value
    from vnetkb.facts.subject import SubjectSource
    from vnetkb.kb.model import KnowledgeBase, WatchedCounter

Change = Literal["stopped", "started", "less", "same", "more", "unknown"]
Outcome = Literal["helped", "partly", "no-change", "worse", "unknown"]
Key = tuple[str, str]

EXPECTED = 3.0
"""Fewer expected events than this may fail to come by chance alone (Poisson: 5 % at 3)."""
FACTOR = 2.0
"""Rates of packets vary by themselves; what differs by less is the same."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How a counter moved in one bundle."""

    delta: int | None
    seconds: float | None
    captures: tuple[str, ...]
    why_unknown: str = ""

    @property
    def per_second(self) -> float | None:
        """Its rate; None when that is not known."""
        return None if self.delta is None or not self.seconds else self.delta / self.seconds


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
class RemedyOutcome:
    """What became of a finding of the first bundle."""

    subject: Subject
    counter: str | None
    cause: str | None
    remedies: tuple[str, ...]
    before: Symptom
    after: Symptom | None
    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two bundles held against each other.

    Attributes:
        before: When and where the first was taken.
        after: The second.
        notices: What a reader must know to trust the comparison.
        settings: What was set otherwise in between.
        outcomes: What became of each loss of the first bundle.
        new: Loss of the second that the first did not have.
        counters: Every counter that moved in either.
    """

    before: Taken
    after: Taken
    notices: tuple[Notice, ...]
    settings: tuple[SettingChange, ...]
    outcomes: tuple[RemedyOutcome, ...]
    new: tuple[Finding, ...]
    counters: tuple[CounterChange, ...]


def compare(
    before: tuple[Observations, Diagnosis], after: tuple[Observations, Diagnosis], kb: KnowledgeBase
) -> Comparison:
    """Return how the second bundle differs from the first.

    Raises:
        UsageProblem: Both are the same bundle.
        UnusableInput: They are of different hosts.
    """
    first, second = before[0], after[0]
    if first.bundle_sha256 == second.bundle_sha256:
        raise UsageProblem(f"{first.bundle_name} and {second.bundle_name} are the same bundle")
    if first.taken.host != second.taken.host:
        raise UnusableInput(
            "not comparable",
            file=second.bundle_name,
            found=f"a bundle of {second.taken.host}",
            expected=f"one of {first.taken.host}, as {first.bundle_name} is",
        )
    partners = _partners(first, second)
    return Comparison(
        first.taken,
        second.taken,
        tuple(_notices(first, second)),
        tuple(_settings(first, second, partners, kb)),
        tuple(_outcome(finding, second, partners, kb) for finding in before[1].findings if _rising(finding)),
        tuple(_new(before[1], after[1], partners)),
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
        source.subject.guest_nic: key for key, source in second.subjects.items() if source.subject.guest_nic
    }
    found: dict[Key, Key] = {}
    for key, source in first.subjects.items():
        nic = source.subject.guest_nic
        same = second.subjects.get(key)
        if nic and nic in nics:
            found[key] = nics[nic]
        elif same is not None and not (nic and same.subject.guest_nic):
            found[key] = key
    return found


def _notices(first: Observations, second: Observations) -> Iterator[Notice]:
    one, two = first.taken, second.taken
    if one.boot_id != two.boot_id:
        yield Notice("warning", two.host, tr("the host was started anew between the two bundles"))
    if one.kernel != two.kernel:
        text = tr(
            "the kernel is another one: {before} before, {after} after", before=one.kernel, after=two.kernel
        )
        yield Notice("warning", two.host, text)
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
    names = [
        fact.name
        for fact in kb.facts.values()
        if Extent.ENDS in fact.over and fact.name.startswith(("tap.", "device."))
    ]
    for key, partner in partners.items():
        for name in names:
            one, two = first.subjects[key].fact(name), second.subjects[partner].fact(name)
            if one.value is not None and two.value is not None and one.value != two.value:
                captures = tuple(dict.fromkeys((*one.captures, *two.captures)))
                yield SettingChange(*partner, name, one.value, two.value, captures)


def _counters(
    first: Observations, second: Observations, partners: Mapping[Key, Key]
) -> Iterator[CounterChange]:
    for key, partner in partners.items():
        one, two = first.subjects[key], second.subjects[partner]
        if not isinstance(one, Listed) or not isinstance(two, Listed):
            continue
        for field in dict.fromkeys((*one.fields, *two.fields)):
            before, after = _moved(one, field, first), _moved(two, field, second)
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


def _moved(source: SubjectSource, field: str, observations: Observations) -> Moved:
    counted = source.counted(field)
    if counted is None:
        return Moved(None, observations.interval_s, (), tr("the bundle does not show it"))
    if counted.one_snapshot or counted.delta is None:
        why = counted.why_unknown or tr("one snapshot shows no movement")
        return Moved(None, observations.interval_s, counted.captures, why)
    seconds = covered(source, counted, observations.interval_s)
    return Moved(counted.delta, seconds or observations.interval_s, counted.captures)


def _change(before: Moved, after: Moved) -> tuple[Change, str]:
    one, two = before.per_second, after.per_second
    if one is None or two is None:
        return "unknown", before.why_unknown or after.why_unknown
    if not two:
        expected = one * (after.seconds or 0.0)
        if expected < EXPECTED:
            return "unknown", tr(
                "at the rate before only {expected} would be expected in {seconds} s",
                expected=f"{expected:.2g}",
                seconds=after.seconds,
            )
        return "stopped", ""
    if not one:
        return "started", ""
    if two * FACTOR < one:
        return "less", ""
    return ("more", "") if two > one * FACTOR else ("same", "")


def _new(before: Diagnosis, after: Diagnosis, partners: Mapping[Key, Key]) -> Iterator[Finding]:
    known = {
        (partners.get((f.subject.kind, f.subject.name)), f.symptom.counter)
        for f in before.findings
        if _rising(f)
    }
    for finding in after.findings:
        key = (finding.subject.kind, finding.subject.name)
        if _rising(finding) and (key, finding.symptom.counter) not in known:
            yield finding


def _outcome(
    finding: Finding, second: Observations, partners: Mapping[Key, Key], kb: KnowledgeBase
) -> RemedyOutcome:
    partner = partners.get((finding.subject.kind, finding.subject.name))
    symptom = next(
        (
            o.symptom
            for o in second.observations
            if (o.subject.kind, o.subject.name) == partner and o.symptom.counter == finding.symptom.counter
        ),
        None,
    )
    if partner is None:
        outcome: Outcome = "unknown"
        text = tr("the second bundle does not show this port")
    else:
        outcome, text = _judged(finding, symptom, second.subjects[partner], second, kb)
    return RemedyOutcome(
        finding.subject,
        finding.symptom.counter,
        finding.cause.id if finding.cause else None,
        tuple(applied.remedy.id for applied in finding.remedies),
        finding.symptom,
        symptom,
        outcome,
        text,
    )


def _judged(
    finding: Finding, symptom: Symptom | None, source: SubjectSource, second: Observations, kb: KnowledgeBase
) -> tuple[Outcome, str]:
    before = finding.symptom
    field = (before.counter or "").partition(".")[2]
    lost = _moved(source, field, second) if field else Moved(None, None, (), tr("no counter shows it"))
    if lost.delta is None:
        return "unknown", lost.why_unknown
    if lost.delta == 0:
        return _still(before, lost, _passed(source, kb.symptoms.get(before.counter or ""), second))
    after = symptom.ratio if symptom is not None else None
    if before.ratio is not None and after is not None:
        return _by_share(before.ratio, after)
    rate, now = (before.delta or 0) / (before.seconds or 1.0), lost.per_second or 0.0
    text = tr(
        "still rising by {two}/s, before {one}/s; what share that is, is not known",
        one=f"{rate:.3g}",
        two=f"{now:.3g}",
    )
    return _than(rate, now), text


def _by_share(one: float, two: float) -> tuple[Outcome, str]:
    words = {"one": _percent(one), "two": _percent(two)}
    outcome = _than(one, two)
    if outcome == "partly":
        return outcome, tr("still rising, but {two} is lost instead of {one}", **words)
    if outcome == "worse":
        return outcome, tr("{two} is lost instead of {one}", **words)
    return outcome, tr("still rising: {two} is lost, before {one}", **words)


def _than(before: float, after: float) -> Outcome:
    if after * FACTOR < before:
        return "partly"
    return "worse" if after > before * FACTOR else "no-change"


def _still(before: Symptom, lost: Moved, passed: int | None) -> tuple[Outcome, str]:
    """The counter stands still: that means something only if enough was sent meanwhile."""
    if passed is not None and before.ratio is not None:
        expected = before.ratio * passed
        words = {"passed": passed, "expected": f"{expected:.3g}", "share": _percent(before.ratio)}
        if expected < EXPECTED:
            return "unknown", tr(
                "it stands still, but only {passed} packets came: at {share} before, {expected} lost ones "
                "would be expected",
                **words,
            )
        return "helped", tr(
            "it stands still while {passed} packets came; at {share} as before, {expected} would have been "
            "lost",
            **words,
        )
    expected = (before.delta or 0) / (before.seconds or 1.0) * (lost.seconds or 0.0)
    if expected < EXPECTED:
        return "unknown", tr("it stands still, but the time was too short to tell")
    return "helped", tr(
        "it stands still for {seconds} s; at the rate before {expected} would have been lost",
        seconds=lost.seconds,
        expected=f"{expected:.3g}",
    )


def _passed(source: SubjectSource, watched: WatchedCounter | None, second: Observations) -> int | None:
    """Packets that went the right way beside a counter; None when nothing counts them."""
    if watched is None or not watched.passed:
        return None
    moved = [_moved(source, counter.partition(".")[2], second).delta for counter in watched.passed]
    known = [each for each in moved if each is not None]
    return sum(known) if len(known) == len(moved) else None


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.3g} %"
