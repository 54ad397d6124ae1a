# SPDX-License-Identifier: Apache-2.0
"""The report as text for a terminal or a mail: the answer first, the evidence under it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from vnetkb.kb.model import Status
from vnetkb.report import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vnetkb.diagnosis import Diagnosis, Finding
    from vnetkb.diagnosis.model import Candidate

WIDTH = 118
LABEL = 13
FEW = 3


def render_text(diagnosis: Diagnosis, *, every: bool = False) -> str:
    """Return the report as plain text.

    Args:
        diagnosis: What to report.
        every: Print every candidate with all its evidence, and every notice.
    """
    lines = [*(words.one_line("   ".join(words.host_parts(host, diagnosis))) for host in diagnosis.hosts), ""]
    names = {finding.id: finding.subject.name for finding in diagnosis.findings}
    same_as = {each: names[group.findings[0]] for group in diagnosis.groups for each in group.findings[1:]}
    for finding in diagnosis.findings:
        if finding.id in same_as and not every:
            lines.extend(_head(finding))
            lines.append(_wrapped("why", f"{_why(finding)}: as of {same_as[finding.id]} above"))
        else:
            lines.extend(_finding(finding, every=every))
        lines.append("")
    lines.extend(
        _wrapped("together", f"{group.text} ({', '.join(names[each] for each in group.findings)})")
        for group in diagnosis.groups
    )
    lines.append(words.summary(diagnosis))
    lines.extend(_notices(diagnosis, every=every))
    lines.extend(_next_steps(diagnosis))
    return "\n".join(lines) + "\n"


def _head(finding: Finding) -> Iterator[str]:
    headline = words.one_line(f"{words.severity(finding).upper():8}  {words.whom(finding)}")
    told = f"{headline}   {words.one_line(words.symptom(finding))}"
    if len(told) <= WIDTH:
        yield told
    else:
        yield headline
        yield _wrapped("", words.symptom(finding))


def _finding(finding: Finding, *, every: bool) -> Iterator[str]:
    yield from _head(finding)
    yield _wrapped("why", _why(finding))
    if finding.cause:
        for site in finding.sites:
            yield _wrapped("where", words.where(site))
    yield _wrapped("harm", f"{finding.harm}: {finding.harm_reason}")
    if finding.contributors:
        yield _wrapped("also", words.contributors(finding))
    yield from _reasons(finding, every=every)
    disagree = words.disagreements(finding.witnesses)
    if disagree:
        yield _wrapped("disagrees", "; ".join(disagree))
    for applied in finding.remedies:
        command = f"    {applied.command}" if applied.command else ""
        yield _wrapped("do", f"{applied.text}{command}")
        if every:
            yield _wrapped(
                "", f"costs: {applied.remedy.costs} helps: {applied.remedy.helps} undo: {applied.undo}"
            )


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
        yield _wrapped(
            "evidence", f"none of its own: it is what is left of the usual causes; {len(still)} are open"
        )
    out = [c for c in finding.candidates if c.status is Status.RULED_OUT]
    above_cause = {
        c.rule.refines for c in finding.candidates if c.status in {Status.LIKELY, Status.CONFIRMED}
    }
    likely = [
        c
        for c in finding.candidates
        if c.status is Status.LIKELY and c.rule.id != cause and c.rule.id not in above_cause
    ]
    if finding.verdict == "confirmed":
        still = []
    if likely:
        yield _wrapped("likely too" if cause else "likely", " · ".join(c.rule.id for c in likely))
    if still:
        yield _wrapped("open", _open(still, every=every or finding.cause is None))
    if out:
        yield _wrapped("ruled out", _ruled_out(out, every=every))


def _evidence(candidate: Candidate, shown: set[str], *, name: bool) -> Iterator[str]:
    for evidence in candidate.evidence:
        if evidence.text in shown:
            continue
        shown.add(evidence.text)
        against = " (against it)" if evidence.effect in {"weakens", "rules-out"} else ""
        prefix = f"{candidate.rule.id}: " if name else ""
        yield _wrapped("evidence", f"{prefix}{evidence.text}{against}   [{words.members(evidence.captures)}]")


def _open(still: Sequence[Candidate], *, every: bool) -> str:
    """Name the open causes, those together that the same captures would tell about."""
    still = sorted(still, key=lambda c: (c.rule.rarity != "usual", c.rule.id))
    chosen = still if every else still[:FEW]
    together: dict[tuple[str, ...], list[str]] = {}
    for candidate in chosen:
        together.setdefault(candidate.missing, []).append(candidate.rule.id)
    parts = [
        " · ".join(names) + (f" (would tell: {', '.join(missing)})" if missing else "")
        for missing, names in together.items()
    ]
    rest = f" · {len(still) - len(chosen)} more (--all)" if len(still) > len(chosen) else ""
    return " · ".join(parts) + rest


def _ruled_out(out: Sequence[Candidate], *, every: bool) -> str:
    parts = []
    ordered = sorted(out, key=lambda c: (c.inherited is not None, c.rule.rarity != "usual", c.rule.id))
    for candidate in ordered if every else ordered[:FEW]:
        because = next((e.text for e in candidate.evidence if e.effect == "rules-out"), None)
        if because is None and candidate.inherited:
            because = f"with {candidate.inherited}"
        parts.append(f"{candidate.rule.id} ({because})" if because else candidate.rule.id)
    rest = f" · {len(out) - FEW} more (--all)" if not every and len(out) > FEW else ""
    return " · ".join(parts) + rest


def _notices(diagnosis: Diagnosis, *, every: bool) -> Iterator[str]:
    for notice in diagnosis.notices:
        if every or notice.level == "warning":
            yield _wrapped("notice", f"{notice.subject}: {notice.text}")
    if diagnosis.missing_captures:
        count = len(diagnosis.missing_captures)
        names = (
            ", ".join(diagnosis.missing_captures)
            if every or count <= FEW
            else f"{count} captures (--all names them)"
        )
        yield _wrapped("missing", f"{names}: what they would show is unknown, not fine")


def _next_steps(diagnosis: Diagnosis) -> Iterator[str]:
    for step in diagnosis.next_steps:
        yield _wrapped("next", f"{step.command}    ({step.text}; for {', '.join(step.would_decide)})")


def _wrapped(label: str, text: str) -> str:
    filled = textwrap.fill(
        words.one_line(text),
        WIDTH,
        initial_indent=f"  {label:{LABEL - 2}}",
        subsequent_indent=" " * LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.rstrip()
