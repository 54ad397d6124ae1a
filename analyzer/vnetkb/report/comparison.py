# SPDX-License-Identifier: Apache-2.0
"""Two bundles held against each other, as text and as the JSON that schemas/comparison.schema.json fixes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vnetkb import __version__
from vnetkb.language import mark, tr
from vnetkb.report import words
from vnetkb.report.as_json import valid_utf8, value_of
from vnetkb.report.as_text import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vnetkb.diagnosis.compare import Comparison, CounterChange, PastLoss
    from vnetkb.diagnosis.outcomes import Moved, RemedyOutcome
    from vnetkb.facts.model import Symptom, Taken, Value

SCHEMA_VERSION = "1"
OUTCOMES = {
    "helped": mark("HELPED"),
    "partly": mark("PARTLY"),
    "no-change": mark("SAME"),
    "worse": mark("WORSE"),
    "unknown": mark("UNKNOWN"),
}
UNSEEN = mark("not in the first bundle, which lacks {captures}: it may have been lost before too")
CHANGES = {
    "stopped": mark("stopped"),
    "started": mark("started"),
    "less": mark("less"),
    "same": mark("about the same"),
    "more": mark("more"),
    "unknown": mark("not known"),
}
SHOWN = ("stopped", "started", "less", "more", "unknown")


def render_text(comparison: Comparison, *, every: bool = False) -> str:
    """Return the comparison as plain text.

    Args:
        comparison: What to report.
        every: Show counters too whose rate is about the same, and those that one bundle tells nothing of and
            that moved in none.
    """
    lines = [
        *(_taken(label, taken) for label, taken in _both(comparison)),
        "",
    ]
    lines += (wrapped(tr("notice"), f"{notice.subject}: {notice.text}") for notice in comparison.notices)
    for outcome in comparison.outcomes:
        lines.extend(_outcome(outcome))
    for finding in comparison.new:
        lines.append(words.one_line(f"{tr('NEW'):8}  {words.whom(finding)}"))
        lines.append(wrapped("", f"{words.symptom(finding)}   [{words.members(finding.symptom.captures)}]"))
        if finding.id in comparison.unseen:
            absent = ", ".join(comparison.unseen[finding.id])
            lines.append(wrapped("", tr(UNSEEN, captures=absent)))
    for setting in comparison.settings:
        said = tr(
            "{subject}: {fact} was {before}, is {after}",
            subject=setting.subject,
            fact=setting.fact,
            before=_value(setting.before),
            after=_value(setting.after),
        )
        lines.append(wrapped(tr("set"), f"{said}   [{words.members(setting.captures)}]"))
    lines += (_past(loss) for loss in comparison.past if every or loss.between)
    shown = [c for c in comparison.counters if every or (c.change in SHOWN and not _idle(c))]
    shown.sort(
        key=lambda c: (SHOWN.index(c.change) if c.change in SHOWN else len(SHOWN), c.subject, c.counter)
    )
    lines += (_counter(change) for change in shown)
    idle = 0 if every else sum(map(_idle, comparison.counters))
    if idle:
        said = tr("{count} counters moved in neither bundle as far as is known (--all)", count=idle)
        lines.append(wrapped("", said))
    rest = len(comparison.counters) - len(shown) - idle
    if rest:
        lines.append(wrapped("", tr("{count} counters moved about as before (--all)", count=rest)))
    ends_in_a_gap = [] if lines[-1] == "" else [""]
    return "\n".join([*lines, *ends_in_a_gap, _summary(comparison)]) + "\n"


def _idle(change: CounterChange) -> bool:
    return change.change == "unknown" and not change.before.delta and not change.after.delta


def _value(value: Value) -> object:
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    return value_of(value)


def _both(comparison: Comparison) -> tuple[tuple[str, Taken], ...]:
    return (tr("before"), comparison.before), (tr("after"), comparison.after)


def _taken(label: str, taken: Taken) -> str:
    parts = (taken.bundle_name, taken.host, f"Linux {taken.kernel}", taken.start)
    span = (
        tr("1 snapshot")
        if taken.interval_s is None
        else tr("snapshots {seconds} s apart", seconds=taken.interval_s)
    )
    return words.one_line(f"{label:8}  {'   '.join((*parts, span))}")


def _outcome(outcome: RemedyOutcome) -> Iterator[str]:
    subject = outcome.subject
    name = f"{subject.name} → {subject.vm}" if subject.vm else subject.name
    if outcome.name_after not in {None, subject.name}:
        name = tr("{name} (now {after})", name=name, after=outcome.name_after)
    yield words.one_line(f"{tr(OUTCOMES[outcome.outcome]):8}  {name}   {outcome.before.called}")
    yield wrapped("", f"{outcome.text}   [{words.members(outcome.captures)}]")
    if outcome.cause:
        yield wrapped(tr("cause"), outcome.cause)
    if outcome.remedies:
        yield wrapped(tr("advised"), ", ".join(outcome.remedies))


def _past(loss: PastLoss) -> str:
    words_of = {"subject": loss.subject.name, "counter": loss.counter, "before": loss.before}
    if loss.between is None:
        said = tr(
            "{subject} {counter}: {before} in the first bundle, where it stood still; the second does not go "
            "on from there",
            **words_of,
        )
    elif loss.between:
        said = tr(
            "{subject} {counter}: {between} lost between the two bundles ({before}, then {after}), none "
            "while the first was taken",
            **words_of,
            between=loss.between,
            after=loss.after,
        )
    else:
        said = tr("{subject} {counter}: {before} in both bundles, all of the past", **words_of)
    return wrapped(tr("past"), f"{said}   [{words.members(loss.captures)}]")


def _counter(change: CounterChange) -> str:
    said = tr(
        "{subject} {counter}: {before}, then {after}",
        subject=change.subject,
        counter=change.counter,
        before=_moved(change.before),
        after=_moved(change.after),
    )
    because = f" ({change.reason})" if change.reason else ""
    places = words.members(tuple(dict.fromkeys((*change.before.captures, *change.after.captures))))
    return wrapped(tr(CHANGES[change.change]), f"{said}{because}   [{places}]")


def _moved(moved: Moved) -> str:
    if moved.delta is None:
        return tr("not known")
    return tr("+{delta} in {seconds} s", delta=moved.delta, seconds=moved.seconds)


def _summary(comparison: Comparison) -> str:
    outcomes = [outcome.outcome for outcome in comparison.outcomes]
    if not outcomes and not comparison.new:
        return tr("Neither bundle shows a loss that went on.")
    return tr(
        "{helped} helped, {partly} partly, {same} as before, {worse} worse, {unknown} not known, {new} new.",
        helped=outcomes.count("helped"),
        partly=outcomes.count("partly"),
        same=outcomes.count("no-change"),
        worse=outcomes.count("worse"),
        unknown=outcomes.count("unknown"),
        new=len(comparison.new),
    )


def render_json(comparison: Comparison) -> str:
    """Return the comparison as one JSON document with a final newline."""
    return valid_utf8(document(comparison))


def document(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain data."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "vnetkb", "version": __version__},
        "before": _taken_data(comparison.before),
        "after": _taken_data(comparison.after),
        "notices": [
            {"level": notice.level, "subject": notice.subject, "text": notice.text}
            for notice in comparison.notices
        ],
        "outcomes": [
            {
                "subject": {"kind": o.subject.kind, "name": o.subject.name, "vm": o.subject.vm},
                "name_after": o.name_after,
                "counter": o.counter,
                "cause": o.cause,
                "remedies": list(o.remedies),
                "outcome": o.outcome,
                "text": o.text,
                "captures": list(o.captures),
                "before": _symptom(o.before),
                "after": _symptom(o.after) if o.after else None,
            }
            for o in comparison.outcomes
        ],
        "new": [
            {
                "subject": {"kind": f.subject.kind, "name": f.subject.name, "vm": f.subject.vm},
                "counter": f.symptom.counter,
                "cause": f.cause.id if f.cause else None,
                "harm": str(f.harm),
                "lacking_before": list(comparison.unseen.get(f.id, ())),
                "after": _symptom(f.symptom),
            }
            for f in comparison.new
        ],
        "past": [
            {
                "subject": {"kind": p.subject.kind, "name": p.subject.name, "vm": p.subject.vm},
                "counter": p.counter,
                "before": p.before,
                "after": p.after,
                "between": p.between,
                "captures": list(p.captures),
            }
            for p in comparison.past
        ],
        "settings": [
            {
                "kind": s.kind,
                "subject": s.subject,
                "fact": s.fact,
                "before": value_of(s.before),
                "after": value_of(s.after),
                "captures": list(s.captures),
            }
            for s in comparison.settings
        ],
        "counters": [
            {
                "kind": c.kind,
                "subject": c.subject,
                "vm": c.vm,
                "counter": c.counter,
                "change": c.change,
                "reason": c.reason or None,
                "before": _moved_data(c.before),
                "after": _moved_data(c.after),
            }
            for c in comparison.counters
        ],
    }


def _taken_data(taken: Taken) -> dict[str, Any]:
    return {
        "name": taken.bundle_name,
        "sha256": taken.bundle_sha256,
        "host": taken.host,
        "kernel": taken.kernel,
        "boot_id": taken.boot_id,
        "start": taken.start,
        "interval_s": taken.interval_s,
    }


def _symptom(symptom: Symptom) -> dict[str, Any]:
    return {
        "state": symptom.state,
        "delta": symptom.delta,
        "total": symptom.total,
        "ratio": symptom.ratio,
        "seconds": symptom.seconds,
        "captures": list(symptom.captures),
    }


def _moved_data(moved: Moved) -> dict[str, Any]:
    return {
        "delta": moved.delta,
        "seconds": moved.seconds,
        "per_second": moved.per_second,
        "captures": list(moved.captures),
    }
