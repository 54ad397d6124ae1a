# SPDX-License-Identifier: Apache-2.0
"""What became of a loss from one bundle to another: gone, less, the same, worse, or not to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from vnetkb.diagnosis.wording import percent
from vnetkb.facts.balance import balance, has_subject, lacking
from vnetkb.facts.bounds import covered
from vnetkb.language import mark, tr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vnetkb.diagnosis.model import Finding
    from vnetkb.facts.model import Observation, Observations, Subject, Symptom
    from vnetkb.facts.subject import SubjectSource
    from vnetkb.kb.model import KnowledgeBase, WatchedCounter

Outcome = Literal["helped", "partly", "no-change", "worse", "unknown"]
Key = tuple[str, str]

EXPECTED = 3.0
"""Fewer expected events than this may fail to come by chance alone (Poisson: 5 % at 3)."""
FACTOR = 2.0
"""Rates of packets vary by themselves; what differs by less is the same."""
WHOLE = 100
GONE = mark("the second bundle does not show it: the device or the VM is gone, or was not looked at")
OWN_NAMES = mark(
    "which of the second bundle it is, is not known: both are masked, each with pseudonyms of its own"
)
EARLIER = mark("the second bundle is the earlier one, so no remedy made the difference: in it {told}")


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
class RemedyOutcome:
    """What became of a finding of the first bundle.

    ``captures`` are the members of the second bundle that tell, of the first where the second has none;
    ``name_after`` is the subject's name in the second, None where it is not in it.
    """

    subject: Subject
    counter: str | None
    cause: str | None
    remedies: tuple[str, ...]
    before: Symptom
    after: Symptom | None
    outcome: Outcome
    text: str
    captures: tuple[str, ...] = ()
    name_after: str | None = None


class _Judged(NamedTuple):
    outcome: Outcome
    text: str
    captures: tuple[str, ...] = ()


class _Now(NamedTuple):
    """The second bundle's side of a loss: what it lost, and how much came, as far as that is known."""

    delta: int
    seconds: float | None
    came: float | None
    captures: tuple[str, ...]
    hidden: int = 0


def moved(source: SubjectSource, field: str, observations: Observations) -> Moved:
    """Return how a counter of a subject moved in a bundle."""
    counted = source.counted(field)
    if counted is None:
        return Moved(None, observations.interval_s, (), tr("the bundle does not show it"))
    if counted.one_snapshot or counted.delta is None:
        why = counted.why_unknown or tr("one snapshot shows no movement")
        return Moved(None, observations.interval_s, counted.captures, why)
    seconds = covered(source, counted, observations.interval_s)
    return Moved(counted.delta, seconds or observations.interval_s, counted.captures)


def same_loss(one: Symptom, other: Symptom) -> bool:
    """Whether two symptoms are of one kind: of one counter, or silent between the same two points."""
    return (one.counter, one.between) == (other.counter, other.between) and (
        one.counter is not None or one.called == other.called
    )


def outcome_of(
    finding: Finding,
    second: Observations,
    partners: Mapping[Key, Key],
    kb: KnowledgeBase,
    *,
    goes_on: bool = True,
    gone: str = GONE,
) -> RemedyOutcome:
    """Return what became of a finding of the first bundle in the second.

    Args:
        finding: The finding.
        second: What the second bundle shows.
        partners: The subject of the second that each of the first is.
        kb: The knowledge base.
        goes_on: Whether the second was taken after the first; else nothing helped or made it worse.
        gone: What is said of a subject that the second bundle does not have.
    """
    partner = partners.get((finding.subject.kind, finding.subject.name))
    before = finding.symptom
    observation = next(
        (
            one
            for one in second.observations
            if (one.subject.kind, one.subject.name) == partner and same_loss(before, one.symptom)
        ),
        None,
    )
    if partner is None:
        judged = _Judged("unknown", tr(gone))
    else:
        judged = _judged(before, observation, second.subjects.get(partner), second, kb)
    if not goes_on and judged.outcome in {"helped", "partly", "worse"}:
        judged = judged._replace(outcome="unknown", text=tr(EARLIER, told=judged.text))
    after = observation.symptom if observation is not None else None
    return RemedyOutcome(
        finding.subject,
        before.counter,
        finding.cause.id if finding.cause else None,
        tuple(applied.remedy.id for applied in finding.remedies),
        before,
        after,
        judged.outcome,
        judged.text,
        judged.captures or (after.captures if after is not None else before.captures),
        partner[1] if partner is not None else None,
    )


def _judged(
    before: Symptom,
    observation: Observation | None,
    source: SubjectSource | None,
    second: Observations,
    kb: KnowledgeBase,
) -> _Judged:
    if before.delta is None:
        return _Judged("unknown", tr("the first bundle does not tell how much was lost in which time"))
    now = (
        _counted(before, source, second, kb)
        if before.counter is not None
        else _silent(before, observation, source, second)
    )
    if isinstance(now, str):
        return _Judged("unknown", now)
    outcome, text = _still(before, now) if not now.delta else _going_on(before, now)
    return _Judged(outcome, text + _caveat(before, now, outcome), now.captures)


def _counted(
    before: Symptom, source: SubjectSource | None, second: Observations, kb: KnowledgeBase
) -> _Now | str:
    if source is None:
        return tr(GONE)
    lost = moved(source, (before.counter or "").partition(".")[2], second)
    if lost.delta is None:
        return lost.why_unknown
    watched = kb.symptoms.get(before.counter or "")
    passed = _passed(source, watched, second)
    holds = watched is not None and watched.passed_holds_lost
    came = None if passed is None else passed if holds else passed + lost.delta
    return _Now(lost.delta, lost.seconds, came, lost.captures)


def _silent(
    before: Symptom, observation: Observation | None, source: SubjectSource | None, second: Observations
) -> _Now | str:
    if observation is not None:
        seen = observation.symptom
        came = seen.delta / seen.ratio if seen.delta is not None and seen.ratio else None
        return _Now(seen.delta or 0, seen.seconds, came, seen.captures)
    absent = lacking(before, second)
    if absent:
        return tr("the second bundle lacks {captures}, which would show it again", captures=", ".join(absent))
    if source is None and has_subject(before):
        return tr(GONE)
    found = balance(before, source, second.subjects)
    if isinstance(found, str):
        return found
    return _Now(0, second.interval_s, found.came, found.captures, found.hidden)


def _still(before: Symptom, now: _Now) -> tuple[Outcome, str]:
    """What it means that nothing was lost: only where enough came that something would have been lost."""
    if before.ratio is not None and now.came is not None:
        expected = now.came * before.ratio
        words = {"came": amount(now.came), "share": percent(before.ratio), "expected": amount(expected)}
        if expected < EXPECTED + now.hidden:
            told = tr(
                "nothing is lost, but only {came} packets came: at {share} before, {expected} lost ones "
                "would be expected",
                **words,
            )
            return "unknown", told + _hidden(now)
        return "helped", tr(
            "nothing is lost while {came} packets came; at {share} as before, {expected} would have been "
            "lost",
            **words,
        )
    expected = (before.delta or 0) / (before.seconds or 1.0) * (now.seconds or 0.0)
    if expected < EXPECTED + now.hidden:
        return "unknown", tr("nothing is lost, but the time was too short to tell") + _hidden(now)
    return "helped", tr(
        "nothing is lost in {seconds} s; at the rate before {expected} would have been lost",
        seconds=now.seconds,
        expected=amount(expected),
    )


def _hidden(now: _Now) -> str:
    if not now.hidden:
        return ""
    return tr("; up to {hidden} could be missing without being seen", hidden=now.hidden)


def _going_on(before: Symptom, now: _Now) -> tuple[Outcome, str]:
    after = now.delta / now.came if now.came else None
    if before.ratio is not None and after is not None:
        words = {"one": percent(before.ratio), "two": percent(after)}
        outcome = _than(before.ratio, after)
        if outcome == "partly":
            return outcome, tr("still lost, but {two} instead of {one}", **words)
        if outcome == "worse":
            return outcome, tr("{two} is lost instead of {one}", **words)
        return outcome, tr("still lost: {two}, before {one}", **words)
    rate = (before.delta or 0) / (before.seconds or 1.0)
    per_second = now.delta / (now.seconds or 1.0)
    text = tr(
        "still lost: {two} a second, before {one} a second; what share that is, is not known",
        one=amount(rate),
        two=amount(per_second),
    )
    return _than(rate, per_second), text


def _than(one: float, two: float) -> Outcome:
    if two * FACTOR < one:
        return "partly"
    return "worse" if two > one * FACTOR else "no-change"


def _caveat(before: Symptom, now: _Now, outcome: Outcome) -> str:
    """What keeps a better result from being the remedy's: less came than before, or nobody knows how much."""
    if outcome not in {"helped", "partly"}:
        return ""
    came = (
        before.delta / before.ratio / before.seconds
        if before.delta and before.ratio and before.seconds
        else None
    )
    after = now.came / now.seconds if now.came is not None and now.seconds else None
    if came is None or after is None:
        return tr(". How much came before and after is not known: with less load less is lost by itself")
    if after * FACTOR >= came:
        return ""
    return tr(
        ". But the load fell: {after} packets came a second, before {came}; at the old load it may come back",
        after=amount(after),
        came=amount(came),
    )


def _passed(source: SubjectSource, watched: WatchedCounter | None, second: Observations) -> int | None:
    """Packets that went the right way beside a counter; None when nothing counts them."""
    if watched is None or not watched.passed:
        return None
    deltas: Sequence[int | None] = [
        moved(source, counter.partition(".")[2], second).delta for counter in watched.passed
    ]
    known = [each for each in deltas if each is not None]
    return sum(known) if len(known) == len(deltas) else None


def amount(number: float) -> str:
    """Return a number as people read it aloud: ``1740``, ``31.2``, ``0.07``; never with an exponent."""
    if number >= WHOLE:
        return f"{number:.0f}"
    text = f"{number:.1f}" if number >= 1 else f"{number:.2g}"
    return "0" if "e" in text else text.removesuffix(".0")
