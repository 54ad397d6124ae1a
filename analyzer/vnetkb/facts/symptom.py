# SPDX-License-Identifier: Apache-2.0
"""A counter of a subject that moved: the symptom, and the facts about its movement (``drop.*``)."""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import TYPE_CHECKING

from vnetkb.facts.bounds import covered, rate, read_between, seconds_apart, seconds_between, share
from vnetkb.facts.deltas import total
from vnetkb.facts.model import Fact, Notice, Observation, State, Symptom
from vnetkb.facts.picture import Picture
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vnetkb.facts.model import Bounds
    from vnetkb.facts.quotes import Quotes
    from vnetkb.facts.subject import Counted, SubjectSource
    from vnetkb.facts.together import Together
    from vnetkb.kb.model import WatchedCounter


class SymptomFacts:
    """The facts of a subject, and those about the movement of one of its counters.

    Args:
        source: The subject.
        watched: What the knowledge base says of the counter as a symptom.
        counted: How it moved.
        seconds: Time between the first and the last snapshot.
    """

    def __init__(
        self, source: SubjectSource, watched: WatchedCounter, counted: Counted, seconds: float | None
    ) -> None:
        """Keep the sources; nothing is computed yet."""
        self.source = source
        self.field = watched.counter.partition(".")[2]
        self.seconds = covered(source, counted, seconds)
        self.counted = counted
        fields = [counter.partition(".")[2] for counter in watched.passed]
        self.passed = [one for field in fields if (one := source.counted(field)) is not None]
        # counts of different times have no share in each other
        alike = all((one.since is None) == (counted.since is None) for one in self.passed)
        self.has_denominator = bool(fields) and len(fields) == len(self.passed) and alike
        self.holds_lost = watched.passed_holds_lost
        self.metrics = watched.metrics
        self._facts: dict[str, Fact] = {}

    def fact(self, name: str) -> Fact:
        """Return a fact about the counter's movement, or else one of the subject."""
        provider = PROVIDERS.get(name)
        if provider is None:
            return self.source.fact(name)
        fact = self._facts.get(name)
        if fact is None:
            fact = self._facts[name] = provider(self)
        return fact

    @property
    def drops(self) -> Sequence[int | None]:
        """How far the counter moved in each interval of the series."""
        return self.counted.samples

    @property
    def captures(self) -> tuple[str, ...]:
        """Members that the counter was read from, the series' included."""
        return (*self.counted.captures, *self.counted.sample_captures)

    @property
    def passed_delta(self) -> int | None:
        """How many packets went the right way meanwhile; None when that is not known."""
        if not self.has_denominator:
            return None
        return self._without_lost(total([one.delta for one in self.passed]), self.counted.delta)

    def _without_lost(self, passed: int | None, lost: int | None) -> int | None:
        """Take the lost out of a number that holds them; read at another time it may be smaller."""
        if not self.holds_lost or passed is None or lost is None:
            return passed
        return max(0, passed - lost)

    @cached_property
    def passed_samples(self) -> tuple[int | None, ...]:
        """The same for each interval of the series."""
        if not self.holds_lost:
            return self._counted_as_passed
        return tuple(
            self._without_lost(a, b) for a, b in zip(self._counted_as_passed, self.drops, strict=False)
        )

    @cached_property
    def _counted_as_passed(self) -> tuple[int | None, ...]:
        """What the counters of packets that passed moved by in each interval of the series."""
        if not self.has_denominator:
            return tuple(None for _ in self.drops)
        if len(self.passed) == 1:
            return tuple(self.passed[0].samples[: len(self.drops)])
        return tuple(total(list(row)) for row in zip(*(one.samples for one in self.passed), strict=False))

    @property
    def peak_rate(self) -> float | None:
        """The highest rate of the counter in any interval of the series, per second."""
        return self._peak(self.drops)

    def _peak(self, moved: Sequence[int | None]) -> float | None:
        seconds = self.counted.seconds
        return max((n / s for n, s in zip(moved, seconds, strict=False) if n and s > 0), default=None)

    @cached_property
    def read_between(self) -> Bounds | None:
        """Seconds between the readings of the counter; None where that is not known."""
        return read_between(self.source, self.counted)

    @cached_property
    def highest_rate(self) -> float | None:
        """The highest rate of the series or, without one, that of the whole time; None where not known."""
        known = [self.peak_rate] if self.peak_rate is not None else []
        if self.counted.delta is not None and self.read_between is not None:
            known.append(self.counted.delta / self.read_between.least)
        return max(known, default=None)

    @cached_property
    def rate(self) -> Bounds | None:
        """How much the counter moved per second; None where that is not known."""
        between, delta = self.read_between, self.counted.delta
        return None if between is None or delta is None else rate(delta, between)

    @cached_property
    def share(self) -> Bounds | None:
        """What part of the packets was lost, 0..1; None where that is not known."""
        lost, passed, slack = self.counted.delta, self.passed_delta, self._misread
        return None if lost is None or passed is None or slack is None else share(lost, passed, slack)

    @property
    def _misread(self) -> int | None:
        """The most that can have passed between reading this counter and reading those of what passed.

        At the highest rate of the series or, without one, that of the whole time.
        """
        tables = getattr(self.source, "tables", None)
        moved = total([one.delta for one in self.passed])
        if tables is None or moved is None:
            return None
        since = self.counted.since
        members = {path for one in self.passed for path in one.captures}
        between = seconds_between(tables, members, since)
        apart = seconds_apart(tables, members | set(self.counted.captures), since)
        if between is None or apart is None:
            return None
        samples = self._counted_as_passed
        fastest = self._peak(samples) or 0.0
        if not fastest or None in samples:
            fastest = max(fastest, moved / between.least)
        # one more: how many of evenly spaced packets fall into a time depends on where it begins
        return math.floor(fastest * apart) + 1 if fastest else 0

    @cached_property
    def together(self) -> tuple[Together, ...]:
        """What else in the series rose and fell with the counter."""
        from vnetkb.facts.together import together_of  # noqa: PLC0415 - few have a series that tells

        return together_of(self)

    def without_series(self, name: str) -> Fact:
        """Build the answer for a fact that needs a series that does not show the counter."""
        return Fact(
            name, missing=("proc-net-dev",), why_unknown=tr("the bundle holds no series that shows it")
        )


PROVIDERS: dict[str, Callable[[SymptomFacts], Fact]] = {}


def provides(name: str) -> Callable[[Callable[[SymptomFacts], Fact]], Callable[[SymptomFacts], Fact]]:
    """Register the function that computes the fact ``name`` about a counter's movement."""

    def register(function: Callable[[SymptomFacts], Fact]) -> Callable[[SymptomFacts], Fact]:
        PROVIDERS[name] = function
        return function

    return register


@provides("drop.count")
def _count(symptom: SymptomFacts) -> Fact:
    one = symptom.counted
    return Fact("drop.count", one.delta, (), one.samples, symptom.captures, one.missing, one.why_unknown)


@provides("drop.samples")
def _samples(symptom: SymptomFacts) -> Fact:
    known = [drops for drops in symptom.drops if drops is not None]
    if not known:
        return symptom.without_series("drop.samples")
    return Fact("drop.samples", sum(1 for drops in known if drops), captures=symptom.counted.sample_captures)


@provides("drop.intervals")
def _intervals(symptom: SymptomFacts) -> Fact:
    if not symptom.drops:
        return symptom.without_series("drop.intervals")
    known = sum(1 for drops in symptom.drops if drops is not None)
    return Fact("drop.intervals", known, captures=symptom.counted.sample_captures)


@provides("drop.sample_share")
def _sample_share(symptom: SymptomFacts) -> Fact:
    known = [drops for drops in symptom.drops if drops is not None]
    if not known:
        return symptom.without_series("drop.sample_share")
    share = 100.0 * sum(1 for drops in known if drops) / len(known)
    return Fact("drop.sample_share", share, captures=symptom.counted.sample_captures)


def _percent(lost: int | None, passed: int | None) -> float | None:
    return None if lost is None or passed is None or lost + passed == 0 else 100.0 * lost / (lost + passed)


@provides("drop.ratio")
def _ratio(symptom: SymptomFacts) -> Fact:
    one = symptom.counted
    value = _percent(one.delta, symptom.passed_delta)
    if value is not None:
        return Fact("drop.ratio", value, captures=symptom.captures)
    why = one.why_unknown or next((other.why_unknown for other in symptom.passed if other.why_unknown), "")
    if not symptom.has_denominator:
        why = why or tr("no counter tells how many packets went the right way meanwhile")
    return Fact(
        "drop.ratio",
        captures=symptom.captures,
        missing=one.missing,
        why_unknown=why or tr("nothing was sent"),
    )


@provides("drop.peak_ratio")
def _peak_ratio(symptom: SymptomFacts) -> Fact:
    samples = tuple(_percent(a, b) for a, b in zip(symptom.drops, symptom.passed_samples, strict=False))
    known = [value for value in samples if value is not None]
    if not known:
        return symptom.without_series("drop.peak_ratio")
    return Fact("drop.peak_ratio", max(known), samples=samples, captures=symptom.counted.sample_captures)


def _bound(symptom: SymptomFacts, name: str, bounds: Bounds | None, part: str, times: float) -> Fact:
    if bounds is None:
        why = symptom.counted.why_unknown or tr("the bundle does not tell when the counts were read")
        return Fact(name, captures=symptom.captures, why_unknown=why)
    return Fact(name, times * getattr(bounds, part), captures=symptom.counted.captures)


for _part, _of in (("value", ""), ("least", "_least"), ("most", "_most")):

    def _rate_of(symptom: SymptomFacts, part: str = _part, name: str = f"drop.rate{_of}") -> Fact:
        return _bound(symptom, name, symptom.rate, part, 1)

    provides(f"drop.rate{_of}")(_rate_of)

for _part in ("least", "most"):

    def _share_of(symptom: SymptomFacts, part: str = _part) -> Fact:
        return _bound(symptom, f"drop.ratio_{part}", symptom.share, part, 100)

    provides(f"drop.ratio_{_part}")(_share_of)


# What the other captures must show of the drops at the least, by the fact that says it.
ELSEWHERE = {
    "drop.least_in_softnet": ("softnet-stat",),
    "drop.least_below": ("sysfs-net", "tc-qdisc"),
}

for _name in ELSEWHERE:

    def _least_elsewhere(symptom: SymptomFacts, name: str = _name) -> Fact:
        """The drops, less what can have been lost between reading these and reading the other capture."""
        one, tables = symptom.counted, getattr(symptom.source, "tables", None)
        if one.delta is None or tables is None or symptom.highest_rate is None:
            why = one.why_unknown or tr("the bundle does not tell when the counts were read")
            return Fact(name, missing=one.missing, why_unknown=why)
        read = [other for other in ELSEWHERE[name] if tables.paths(other)]
        ends = (tables.snapshots[0], tables.snapshots[-1])
        apart = [tables.seconds_apart("sysfs-net", other, n) for other in read for n in ends]
        known = [seconds for seconds in apart if seconds is not None]
        if len(known) != len(apart):
            return Fact(name, why_unknown=tr("the bundle does not tell when the counts were read"))
        # at the worst both ends err the same way
        slack = math.ceil(symptom.highest_rate * len(ends) * max(known, default=0.0))
        captures = (*one.captures, *(path for other in read for path in tables.paths(other)))
        return Fact(name, max(1, one.delta - slack), captures=tuple(dict.fromkeys(captures)))

    provides(_name)(_least_elsewhere)


# What may rise and fall with the drops, by the fact that says how closely.
FOLLOWED = {
    "drop.with_offered": "offered",
    "drop.with_reader_delay": "reader.delay_share",
    "drop.with_vcpu_delay": "vcpu.delay_share",
    "drop.with_steal": "steal",
    "drop.with_softnet": "softnet",
}

for _name in FOLLOWED:

    def _with(symptom: SymptomFacts, name: str = _name) -> Fact:
        for one in symptom.together:
            if one.id == FOLLOWED[name]:
                return Fact(name, one.correlation, captures=one.captures)
        why = tr("fewer than five intervals of the series show both, or one of the two stood still")
        return Fact(name, why_unknown=why)

    provides(_name)(_with)


def _metric(symptom: SymptomFacts, name: str, index: int) -> Fact:
    if not symptom.metrics:
        return Fact(name, why_unknown=tr("node_exporter does not show it"))
    return Fact(name, symptom.metrics[index], captures=symptom.captures)


@provides("alarm.lost_metric")
def _lost_metric(symptom: SymptomFacts) -> Fact:
    return _metric(symptom, "alarm.lost_metric", 0)


@provides("alarm.passed_metric")
def _passed_metric(symptom: SymptomFacts) -> Fact:
    return _metric(symptom, "alarm.passed_metric", 1)


@provides("alarm.device")
def _device(symptom: SymptomFacts) -> Fact:
    """Return the name as a quoted string of PromQL holds it; the kernel allows quotes in names."""
    name = symptom.source.subject.name.replace("\\", "\\\\").replace('"', '\\"')
    return Fact("alarm.device", name, captures=symptom.captures)


@provides("alarm.offered")
def _offered(symptom: SymptomFacts) -> Fact:
    """How many packets there were altogether, lost and passed."""
    both = total([symptom.counted.delta, symptom.passed_delta])
    why = "" if both is not None else tr("no counter tells how many packets went the right way meanwhile")
    return Fact("alarm.offered", both, captures=symptom.captures, why_unknown=why)


def observe(
    source: SubjectSource, watched: WatchedCounter, seconds: float | None, quotes: Quotes | None = None
) -> Observation | None:
    """Return how a watched counter of a subject moved; None where it was never counted up.

    Args:
        source: The subject.
        watched: The counter, as the knowledge base has it.
        seconds: Time that the counter's difference covers, in seconds.
        quotes: What finds the raw lines again.
    """
    field = watched.counter.partition(".")[2]
    counted = source.counted(field)
    if counted is None or not any(counted.values) or _is_another(source, watched, counted):
        return None
    facts = SymptomFacts(source, watched, counted, seconds)
    seconds = facts.seconds
    delta = None if counted.one_snapshot else counted.delta
    passed = facts.passed_delta
    state: State = "unknown" if delta is None else "rising" if delta else "past"
    known = delta is not None and passed is not None and delta + passed > 0 and state == "rising"
    peak = facts.peak_rate
    if peak is None:
        peak = (delta or 0) / seconds if seconds else 0.0
    return Observation(
        source.subject,
        Symptom(
            watched.counter,
            state,
            delta,
            counted.last,
            delta / (delta + passed) if known and delta is not None and passed is not None else None,
            seconds,
            called=watched.called,
            share_of=watched.share_of,
            captures=facts.captures,
            rate=facts.rate if state == "rising" else None,
            share=facts.share if known else None,
            earlier=_earlier(counted) if delta is None else None,
            why_unknown="" if counted.one_snapshot or delta is not None else counted.why_unknown,
        ),
        facts,
        counted.one_snapshot,
        source.witnesses(field, counted, peak),
        source.words(),
        source.scopes(),
        Picture(facts, quotes),
    )


def _earlier(counted: Counted) -> int | None:
    """Return the highest value that a counter had before it went back; None where it never did."""
    known = [value for value in counted.values if value is not None]
    return max((a for a, b in itertools.pairwise(known) if b < a), default=None)


def _is_another(source: SubjectSource, watched: WatchedCounter, counted: Counted) -> bool:
    """Whether the number is another counter's under a second name: both moved alike, or stand alike."""
    for counter in watched.unless_equals:
        other = source.counted(counter.partition(".")[2])
        if other is None:
            continue
        if counted.delta is not None and other.delta == counted.delta != 0:
            return True
        if not counted.delta and other.values == counted.values:
            return True
    return False


def disagreements(observation: Observation) -> list[Notice]:
    """Return a notice for every other tool that tells another movement of the same number."""
    field = (observation.symptom.counter or "").partition(".")[2]
    return [
        Notice(
            "warning",
            observation.subject.name,
            tr(
                "{name} moved by {value}, sysfs {field} by {delta}: "
                "more apart than the time between the two readings explains",
                name=witness.name,
                value=witness.value,
                field=field,
                delta=observation.symptom.delta,
            ),
        )
        for witness in observation.witnesses
        if witness.agrees is False and not witness.told
    ]
