# SPDX-License-Identifier: Apache-2.0
"""A diagnosis put in the order and the words of a page; what HTML and Markdown have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vnetkb.kb.model import RemedyKind, Status
from vnetkb.language import tr
from vnetkb.report import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vnetkb.diagnosis import Diagnosis, Finding
    from vnetkb.diagnosis.model import AppliedRemedy, Candidate, Evidence
    from vnetkb.facts.path import Path
    from vnetkb.facts.picture import Picture
    from vnetkb.facts.plots import Plot
    from vnetkb.facts.quotes import Quote

DETAILED = 40
"""Findings that are shown with all they rest on; a page of hundreds would not open on a phone."""


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """One piece of evidence with where it was read."""

    text: str
    effect: str
    effect_name: str
    members: str
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class CandidateView:
    """One possible cause."""

    rule: str
    title: str
    status: str
    status_name: str
    evidence: tuple[EvidenceView, ...]
    missing: tuple[str, ...]
    inherited: str | None


@dataclass(frozen=True, slots=True)
class RemedyView:
    """What to do, with its terms: the label and the text of cost, effect, check and undo."""

    id: str
    title: str
    text: str
    command: str | None
    settings: tuple[tuple[str, str], ...]
    persistent: tuple[tuple[str, str], ...]
    terms: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding."""

    id: str
    severity: str
    severity_name: str
    whom: str
    symptom: str
    symptom_members: str
    symptom_quotes: tuple[Quote, ...]
    why: str
    cause: str | None
    places: tuple[str, ...]
    harm: str
    alarm: str | None
    also: str | None
    still_open: str
    as_of_now: tuple[tuple[str, str, str], ...]
    witnesses: tuple[tuple[str, str, str], ...]
    own: tuple[CandidateView, ...]
    others: tuple[CandidateView, ...]
    remedies: tuple[RemedyView, ...]
    path: Path | None
    plots: tuple[Plot, ...]
    spread: str | None
    together: tuple[tuple[str, str], ...]
    detailed: bool
    reference: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PageView:
    """The whole report."""

    hosts: tuple[str, ...]
    summary: str
    findings: tuple[FindingView, ...]
    groups: tuple[str, ...]
    next_steps: tuple[tuple[str, str], ...]
    notices: tuple[tuple[str, str, str], ...]
    missing: tuple[str, ...]
    bundle: str
    sha256: str
    shortened: str | None


def page(diagnosis: Diagnosis, *, every: bool) -> PageView:
    """Return a diagnosis as a page shows it.

    Args:
        diagnosis: What to report.
        every: Show all that each finding rests on, however many there are, and every notice.
    """
    names = {finding.id: finding.subject.name for finding in diagnosis.findings}
    count = len(diagnosis.findings)
    return PageView(
        tuple("   ".join(words.host_parts(host, diagnosis)) for host in diagnosis.hosts),
        words.summary(diagnosis),
        tuple(
            _finding(finding, detailed=every or index < DETAILED)
            for index, finding in enumerate(diagnosis.findings)
        ),
        tuple(words.group(group, names) for group in diagnosis.groups),
        tuple((step.command, words.next_step(step, names)) for step in diagnosis.next_steps),
        tuple((n.level, n.subject, n.text) for n in diagnosis.notices if every or n.level == "warning"),
        diagnosis.missing_captures,
        diagnosis.bundle_name,
        diagnosis.bundle_sha256,
        words.shortened(DETAILED, count) if count > DETAILED and not every else None,
    )


def _finding(finding: Finding, *, detailed: bool) -> FindingView:
    picture = finding.picture if detailed else None
    symptom = finding.symptom
    shown = [_candidate(candidate, picture) for candidate in finding.candidates] if detailed else []
    own_ids = _own(finding)
    return FindingView(
        finding.id,
        words.severity(finding),
        words.severity_name(finding),
        words.whom(finding),
        words.symptom(finding),
        words.members(symptom.captures),
        _quotes(picture, symptom.captures, symptom.counter or ""),
        words.why(finding),
        finding.cause.id if finding.cause else None,
        tuple(words.where(site) for site in finding.sites),
        words.harm(finding),
        words.alarm(finding, finding.alarm) if finding.alarm else None,
        words.contributors(finding) if finding.contributors else None,
        words.deeper(finding),
        tuple(words.as_of_now(finding)),
        tuple((w.name, words.witness(w), words.members(w.captures)) for w in finding.witnesses),
        tuple(candidate for candidate in shown if candidate.rule in own_ids),
        tuple(candidate for candidate in shown if candidate.rule not in own_ids),
        tuple(_remedy(applied) for applied in finding.remedies),
        picture.path if picture else None,
        picture.plots if picture else (),
        words.spread(*picture.losing_intervals) if picture and picture.plots else None,
        tuple((words.together(one), words.members(one.captures)) for one in picture.together)
        if picture
        else (),
        detailed,
        words.places(finding),
    )


def _own(finding: Finding) -> set[str]:
    """The cause and what it is a case of."""
    if finding.cause is None:
        return set()
    held = {Status.CONFIRMED, Status.LIKELY}
    by_id = {candidate.rule.id: candidate for candidate in finding.candidates}
    found, rule = {finding.cause.id}, finding.cause.refines
    while rule is not None:
        above = by_id.get(rule)
        if above is not None and above.status in held:
            found.add(rule)
        rule = above.rule.refines if above is not None else None
    return found


def _candidate(candidate: Candidate, picture: Picture | None) -> CandidateView:
    status = str(candidate.status)
    return CandidateView(
        candidate.rule.id,
        candidate.rule.title,
        status,
        words.status(status),
        tuple(_evidence(evidence, picture) for evidence in candidate.evidence),
        candidate.missing,
        candidate.inherited,
    )


def _evidence(evidence: Evidence, picture: Picture | None) -> EvidenceView:
    found: dict[Quote, None] = {}
    for fact, captures in evidence.rests_on:
        for quote in _quotes(picture, captures, fact):
            found.setdefault(quote)
    return EvidenceView(
        evidence.text,
        evidence.effect,
        words.effect(evidence.effect),
        words.members(evidence.captures),
        tuple(found),
    )


def _quotes(picture: Picture | None, captures: Sequence[str], fact: str) -> tuple[Quote, ...]:
    if picture is None:
        return ()
    return tuple(quote for member in dict.fromkeys(captures) for quote in picture.quotes(member, fact))


def _remedy(applied: AppliedRemedy) -> RemedyView:
    remedy = applied.remedy
    terms = (
        ("costs", remedy.costs),
        ("helps", remedy.helps),
        ("check", applied.check),
        ("undo", tr("nothing: it only looks") if remedy.kind is RemedyKind.LOOK else applied.undo),
    )
    return RemedyView(
        remedy.id,
        remedy.title,
        applied.text,
        applied.command,
        tuple(words.settings(applied)),
        tuple(applied.persistent.items()),
        tuple((name, text) for name, text in terms if text),
    )
