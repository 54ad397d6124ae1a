# SPDX-License-Identifier: Apache-2.0
"""What the diagnosis hands to the report: findings with their verdicts, evidence and what is missing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from vnetkb.facts.model import HostSummary, Notice, Subject, Symptom, Value, Watch, Witness
    from vnetkb.facts.picture import Picture
    from vnetkb.kb.address import Address
    from vnetkb.kb.model import Harm, Remedy, Rule, Status
    from vnetkb.kb.reference import Site


class Evidence(NamedTuple):
    """One test of a rule whose outcome is known.

    Attributes:
        fact: Name of the (first) fact it rests on.
        value: That fact's value: overall, or one per snapshot or sample where there is no overall one.
        effect: confirms, rules-out, supports or weakens.
        text: What a reader is told.
        captures: Members that the facts were computed from.
        rests_on: Each of the facts with the members that it was computed from.
        inferred: Whether a join behind it was made by order or likeness and not by identity.
    """

    fact: str
    value: Value | tuple[Value | None, ...] | None
    effect: str
    text: str
    captures: tuple[str, ...]
    rests_on: tuple[tuple[str, tuple[str, ...]], ...] = ()
    inferred: bool = False


class Candidate:
    """One rule held against one symptom.

    Attributes:
        rule: The rule.
        status: What the evidence makes of it.
        missing: Captures that could change its status.
        inherited: The ruled-out rule that it is a case of.
    """

    def __init__(
        self,
        rule: Rule,
        status: Status,
        evidence: Callable[[], tuple[Evidence, ...]],
        missing: tuple[str, ...],
        inherited: str | None = None,
    ) -> None:
        """Keep the parts; a report words the evidence of few of the candidates."""
        self.rule = rule
        self.status = status
        self.missing = missing
        self.inherited = inherited
        self._word = evidence

    @cached_property
    def evidence(self) -> tuple[Evidence, ...]:
        """The tests of the rule whose outcome is known, in words."""
        return self._word()

    def tell(self) -> tuple[Evidence, ...]:
        """Return the same, kept by nobody: hundreds of subjects have a lot to tell."""
        return self.__dict__.get("evidence") or self._word()


class AppliedSetting(NamedTuple):
    """A setting that a remedy changes, with its present value.

    Attributes:
        what: The setting.
        present: Its value in the last snapshot that shows it; None when unknown.
        why_unknown: Why it is unknown; empty when known.
        look: The command that shows it.
        proposed: What to set.
        because: Why that value.
        captures: Members that show the present value.
    """

    what: str
    present: str | None
    why_unknown: str
    look: str
    proposed: str
    because: str
    captures: tuple[str, ...] = ()


class AppliedRemedy(NamedTuple):
    """A remedy with its texts filled in for the subject.

    ``stands_for`` tells what to put in place of each word in capitals that its commands still hold.
    """

    remedy: Remedy
    text: str
    command: str | None
    check: str
    undo: str
    persistent: Mapping[str, str]
    settings: tuple[AppliedSetting, ...] = ()
    stands_for: Mapping[str, str] = {}


class Alarm(NamedTuple):
    """What an alarm on the number of a port of Open vSwitch means.

    Attributes:
        means: ``loss`` of packets that somebody wants, ``copy`` (only a mirror's copies are lost), ``noise``
            (nobody is harmed) or ``unknown``.
        watches: Which monitoring of Open vSwitch watches the port.
        counted_as: Name that sFlow's counter samples give the number; None where they do not hold it.
        held: Whether a counter of the port holds the loss at all; where none does, they stand still.
        times: How often Open vSwitch counts each packet in its copy of the number; None where that is open.
        not_told: Captures that would tell what else watches the port; empty where all of it is known.
    """

    means: str
    watches: tuple[Watch, ...]
    counted_as: str | None
    not_told: tuple[str, ...] = ()
    held: bool = True
    times: int | None = 1


class Finding(NamedTuple):
    """A symptom on a subject with its verdict. ``verdict`` is confirmed, likely or undetermined.

    ``scope`` is the kind and the name of what its cause is decided by: findings that share both are a group.
    ``picture`` gives what can be drawn and quoted of it. ``alarm`` is there for ports of Open vSwitch.
    ``deeper`` names the causes that refine its cause and are not decided: why it came to that is open.
    ``counter_at`` and ``cause_at`` are where the published reference tells of the counter and of the cause.
    """

    id: str
    subject: Subject
    symptom: Symptom
    verdict: str
    cause: Rule | None
    site: str | None
    sites: tuple[Site, ...]
    contributors: tuple[str, ...]
    harm: Harm
    harm_reason: str
    candidates: tuple[Candidate, ...]
    witnesses: tuple[Witness, ...]
    remedies: tuple[AppliedRemedy, ...]
    scope: tuple[str, str] | None = None
    picture: Picture | None = None
    alarm: Alarm | None = None
    deeper: tuple[str, ...] = ()
    counter_at: Address | None = None
    cause_at: Address | None = None

    @property
    def likeness(self) -> Hashable:
        """What it has in common with findings of which every candidate says the same."""
        statuses = tuple([(candidate.rule.id, candidate.status) for candidate in self.candidates])
        cause = self.cause.id if self.cause else None
        return self.subject.kind, self.symptom.counter, self.symptom.state, self.harm, cause, statuses


class Group(NamedTuple):
    """Findings with one cause and one deciding subject: a VM, a set of CPUs, a bridge, the host."""

    id: str
    cause: str
    scope_kind: str
    scope_name: str
    findings: tuple[str, ...]
    text: str


class NextStep(NamedTuple):
    """One thing to collect, and the findings that it would decide."""

    command: str
    would_decide: tuple[str, ...]
    text: str


class Diagnosis(NamedTuple):
    """Everything that a report says.

    ``asked`` names the devices that it was limited to, ``unjudged`` counts losses and devices that are
    too many to judge.
    """

    bundle_name: str
    bundle_sha256: str
    interval_s: float | None
    snapshots: int
    samples: int
    hosts: tuple[HostSummary, ...]
    findings: tuple[Finding, ...]
    past: int
    groups: tuple[Group, ...]
    next_steps: tuple[NextStep, ...]
    notices: tuple[Notice, ...]
    missing_captures: tuple[str, ...]
    asked: tuple[str, ...] = ()
    unjudged: int = 0
