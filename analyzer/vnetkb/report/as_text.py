# SPDX-License-Identifier: Apache-2.0
"""The report as text for a terminal or a mail: the answer first, the evidence under it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from vnetkb import wide
from vnetkb.diagnosis.wording import shell_word
from vnetkb.kb.model import RemedyKind, Status
from vnetkb.language import tr
from vnetkb.report import words

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from vnetkb.diagnosis import Diagnosis, Finding
    from vnetkb.diagnosis.model import AppliedRemedy, Candidate
    from vnetkb.facts.together import Together

WIDTH = 118
LABEL = 13
ALIKE = 5
"""So many findings of one kind are told whole: hundreds of ports may lose packets in the same way."""


def render_text(diagnosis: Diagnosis, *, every: bool = False) -> str:
    """Return the report as plain text.

    Args:
        diagnosis: What to report.
        every: Print every candidate with all its evidence, and every notice.
    """
    lines = [*(words.one_line("   ".join(words.host_parts(host, diagnosis))) for host in diagnosis.hosts), ""]
    names = {finding.id: finding.subject.name for finding in diagnosis.findings}
    told = {finding.id: words.places(finding) for finding in diagnosis.findings}
    same_as = {each: group.findings[0] for group in diagnosis.groups for each in group.findings[1:]}
    alike: defaultdict[Hashable, list[str]] = defaultdict(list)
    for finding in diagnosis.findings:
        like = alike[finding.likeness]
        if finding.id in same_as and not every:
            lines.extend(_head(finding))
            first = same_as[finding.id]
            as_above = tr("{cause}: as of {name} above", cause=_why(finding), name=names[first])
            lines.append(wrapped(tr("why"), as_above))
            if told[finding.id] != told[first]:
                lines.extend(_reference(finding))
        elif len(like) >= ALIKE and not every:
            lines.extend(_head(finding))
            as_above = tr(
                "{cause}: as of {name} above, with numbers of its own (--device {device})",
                cause=_why(finding),
                name=names[like[0]],
                device=shell_word(finding.subject.name),
            )
            lines.append(wrapped(tr("why"), as_above))
        else:
            like.append(finding.id)
            lines.extend(_finding(finding, every=every))
        lines.append("")
    lines.extend(wrapped(tr("together"), words.group(group, names)) for group in diagnosis.groups)
    lines.append(words.summary(diagnosis))
    lines.extend(_notices(diagnosis, every=every))
    lines.extend(
        wrapped(tr("next"), f"{step.command}    ({words.next_step(step, names)})")
        for step in diagnosis.next_steps
    )
    return "\n".join(lines) + "\n"


def _head(finding: Finding) -> Iterator[str]:
    yield words.one_line(f"{wide.ljust(words.severity_word(finding), 8)}  {words.whom(finding)}")
    read_in = f"   [{words.members(finding.symptom.captures)}]" if finding.symptom.captures else ""
    yield wrapped("", f"{words.symptom(finding)}{read_in}")


def _finding(finding: Finding, *, every: bool) -> Iterator[str]:
    yield from _head(finding)
    yield wrapped(tr("why"), _why(finding))
    if finding.cause:
        for site in finding.sites if every else finding.sites[: words.FEW]:
            yield wrapped(tr("where"), words.where(site))
        if len(finding.sites) > words.FEW and not every:
            yield wrapped("", " · ".join(words.more(len(finding.sites) - words.FEW)))
    yield wrapped(tr("harm"), words.harm(finding))
    if finding.alarm:
        yield wrapped(tr("alarm"), words.alarm(finding, finding.alarm))
    if finding.contributors:
        yield wrapped(tr("also"), words.contributors(finding))
    yield from _reasons(finding, every=every)
    if every and finding.picture:
        yield from _followed(finding.picture.together)
    for seen in finding.witnesses:
        if seen.agrees is False:
            said = tr("{tool} says {value}", tool=seen.name, value=words.witness(seen))
            yield wrapped(tr("disagrees"), f"{said}   [{words.members(seen.captures)}]")
    for applied in finding.remedies:
        command = f"    {applied.command}" if applied.command else ""
        yield wrapped(tr("do"), f"{applied.text}{command}")
        yield from _terms(applied, every=every)
    yield from _reference(finding)


def _reference(finding: Finding) -> Iterator[str]:
    for command, place in words.places(finding):
        yield wrapped(tr("reference"), f"{command}   [{place}]")


def _terms(applied: AppliedRemedy, *, every: bool) -> Iterator[str]:
    """What a remedy costs and how to take it back; with all, also how far it helps and how to see it."""
    remedy = applied.remedy
    for said, read_in in words.settings(applied):
        yield wrapped("", f"{said}   [{read_in}]" if read_in else said)
    if every:
        yield wrapped("", tr("helps: {text}", text=remedy.helps))
        yield wrapped("", tr("did it help: {text}", text=applied.check))
    if remedy.kind is RemedyKind.LOOK:
        yield wrapped("", tr("only looks, changes nothing. costs: {costs}", costs=remedy.costs))
        return
    if every:
        for name, text in applied.persistent.items():
            yield wrapped("", tr("keep it ({name}): {text}", name=name, text=text))
    yield wrapped("", tr("costs: {costs} undo: {undo}", costs=remedy.costs, undo=applied.undo))


def _followed(together: Sequence[Together]) -> Iterator[str]:
    for one in together:
        yield wrapped(tr("goes with"), f"{words.together(one)}   [{words.members(one.captures)}]")


def _why(finding: Finding) -> str:
    return f"{words.why(finding)}   [{finding.cause.id}]" if finding.cause else words.why(finding)


def _reasons(finding: Finding, *, every: bool) -> Iterator[str]:
    cause = finding.cause.id if finding.cause else None
    shown: set[str] = set()
    for candidate in finding.candidates:
        above = candidate.status is Status.CONFIRMED and any(
            e.effect == "confirms" for e in candidate.evidence
        )
        if candidate.rule.id == cause or above or (every and candidate.status is not Status.RULED_OUT):
            yield from _evidence(candidate, shown, name=every and candidate.rule.id != cause)
    still = [c for c in finding.candidates if c.status is Status.OPEN]
    if cause and finding.verdict == "likely" and not shown:
        none = tr(
            "none of its own: it is what is left of the usual causes; {count} are open", count=len(still)
        )
        yield wrapped(tr("evidence"), none)
    out = [c for c in finding.candidates if c.status is Status.RULED_OUT]
    above_cause = {
        c.rule.refines for c in finding.candidates if c.status in {Status.LIKELY, Status.CONFIRMED}
    }
    likely = [
        c
        for c in finding.candidates
        if c.status is Status.LIKELY and c.rule.id != cause and c.rule.id not in above_cause
    ]
    if likely:
        yield wrapped(tr("likely too") if cause else tr("likely"), " · ".join(c.rule.id for c in likely))
    for rule, text, where in words.as_of_now(finding):
        yield wrapped(tr("as of now"), f"{rule}: {text}   [{where}]")
    if finding.verdict == "confirmed":
        if finding.deeper:
            yield wrapped(tr("open"), words.deeper(finding))
    elif still:
        yield wrapped(tr("open"), words.open_causes(still, every=every or finding.cause is None))
    if out:
        yield wrapped(tr("ruled out"), _ruled_out(out, every=every))


def _evidence(candidate: Candidate, shown: set[str], *, name: bool) -> Iterator[str]:
    for evidence in candidate.evidence:
        if evidence.text in shown:
            continue
        shown.add(evidence.text)
        against = evidence.effect in {"weakens", "rules-out"}
        said = tr("{text} (against it)", text=evidence.text) if against else evidence.text
        prefix = f"{candidate.rule.id}: " if name else ""
        yield wrapped(tr("evidence"), f"{prefix}{said}   [{words.members(evidence.captures)}]")


def _ruled_out(out: Sequence[Candidate], *, every: bool) -> str:
    parts = []
    ordered = sorted(out, key=lambda c: (c.inherited is not None, c.rule.rarity != "usual", c.rule.id))
    for candidate in ordered if every else ordered[: words.FEW]:
        because = next((e for e in candidate.evidence if e.effect == "rules-out"), None)
        if because is not None:
            parts.append(f"{candidate.rule.id} ({because.text} [{words.members(because.captures)}])")
        elif candidate.inherited:
            parts.append(tr("{rule} (with {other})", rule=candidate.rule.id, other=candidate.inherited))
        else:
            parts.append(candidate.rule.id)
    return " · ".join([*parts, *(words.more(len(out) - words.FEW) if not every else [])])


def _notices(diagnosis: Diagnosis, *, every: bool) -> Iterator[str]:
    for notice in diagnosis.notices:
        if every or notice.level == "warning":
            yield wrapped(tr("notice"), f"{notice.subject}: {notice.text}")
    if diagnosis.missing_captures:
        count = len(diagnosis.missing_captures)
        names = (
            ", ".join(diagnosis.missing_captures)
            if every or count <= words.FEW
            else tr("{count} captures (--all names them)", count=count)
        )
        yield wrapped(tr("missing"), tr("{names}: what they would show is unknown, not fine", names=names))


def wrapped(label: str, text: str) -> str:
    """Return a labelled text that goes on under itself."""
    lines = wide.wrap(words.one_line(text), WIDTH, first=wide.ljust(f"  {label}", LABEL), rest=" " * LABEL)
    return "\n".join(lines).rstrip()
