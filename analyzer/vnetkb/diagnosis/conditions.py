# SPDX-License-Identifier: Apache-2.0
"""Truth of a condition on facts: true, false, or not known (Kleene's three values)."""

from __future__ import annotations

import operator as operator_module
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from vnetkb.kb import model as kb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vnetkb.facts.model import Fact, FactSource, Value


# a tuple: tens of thousands are made for a large host, and a frozen dataclass takes four times as long
class Outcome(NamedTuple):
    """Truth of a condition and the facts that it rests on.

    Attributes:
        truth: None when it is not known, or when it held in some of the moments looked at and not in others.
        facts: The facts looked at, in order.
        unknown: Those whose being unknown keeps ``truth`` from being known.
    """

    truth: bool | None
    facts: tuple[Fact, ...] = ()
    unknown: tuple[Fact, ...] = ()


class _Seen:
    """The different values that a fact had where a test looks, in no order."""

    __slots__ = ("_ends", "known", "unknown")

    def __init__(self, values: Iterable[Value | None]) -> None:
        known = set(values)
        self.unknown = None in known
        known.discard(None)
        self.known = known
        self._ends: tuple[Any, Any] | None = None

    def among(self, test: kb.FactTest) -> tuple[bool, bool]:
        """Whether the test holds for one of them, and whether it fails for one."""
        if not self.known:
            return False, False
        operand: Any = test.operand
        if test.operator not in {kb.Operator.AT_LEAST, kb.Operator.BELOW}:
            truths = {bool(COMPARISONS[test.operator](value, operand)) for value in self.known}
            return True in truths, False in truths
        # what compares by order is told by the least and the greatest
        if self._ends is None:
            numbers: Any = self.known
            self._ends = min(numbers), max(numbers)
        low, high = self._ends
        above, below = bool(high >= operand), bool(low < operand)
        return (above, below) if test.operator is kb.Operator.AT_LEAST else (below, above)


@dataclass(frozen=True, slots=True)
class Situation:
    """What conditions are evaluated against: facts, behaviours and, for harm, the finding made so far.

    ``tested`` keeps the outcome of every comparison, because many rules ask the same.
    """

    facts: FactSource
    behaviours: Mapping[str, bool | None]
    finding: Mapping[str, frozenset[str]] | None = None
    behaviours_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tested: dict[kb.FactTest, Outcome] = field(default_factory=dict)
    _losing: list[tuple[list[int], list[int | None]]] = field(default_factory=list)
    _seen: dict[tuple[str, kb.Over], _Seen] = field(default_factory=dict)

    @property
    def losing(self) -> tuple[list[int], list[int | None]]:
        """Indexes of the intervals of the series in which packets were lost, and how many in each."""
        if not self._losing:
            drops = self.facts.drops
            indexes = [index for index, lost in enumerate(drops) if lost]
            self._losing.append((indexes, [drops[index] for index in indexes]))
        return self._losing[0]

    def seen(self, name: str, fact: Fact, over: kb.Over) -> _Seen:
        """The different values of a fact in the moments that a test looks at."""
        key = (name, over)
        found = self._seen.get(key)
        if found is None:
            values: Iterable[Value | None] = _extent(fact, over)
            if over is kb.Over.DROP_SAMPLES:
                values = _at(self.losing[0], fact.samples)
            found = self._seen[key] = _Seen(values)
        return found


def evaluate(condition: kb.Condition, situation: Situation) -> Outcome:
    """Return the truth of a condition.

    ``all`` is false as soon as one part is, ``any`` true as soon as one part is, whatever is unknown beside
    it.
    """
    if isinstance(condition, kb.FactTest):
        known = situation.tested.get(condition)
        if known is None:
            known = situation.tested[condition] = _compute(condition, situation)
        return known
    return _EVALUATORS[type(condition)](condition, situation)


def _all_of(condition: kb.AllOf, situation: Situation) -> Outcome:
    return _combine([evaluate(part, situation) for part in condition.parts], decisive=False)


def _any_of(condition: kb.AnyOf, situation: Situation) -> Outcome:
    return _combine([evaluate(part, situation) for part in condition.parts], decisive=True)


def _not(condition: kb.Not, situation: Situation) -> Outcome:
    inner = evaluate(condition.part, situation)
    return Outcome(None if inner.truth is None else not inner.truth, inner.facts, inner.unknown)


def _behaviour_is(condition: kb.BehaviourIs, situation: Situation) -> Outcome:
    known = situation.behaviours.get(condition.behaviour)
    return Outcome(None if known is None else known is condition.present)


def _finding_is(condition: kb.FindingIs, situation: Situation) -> Outcome:
    return Outcome(bool((situation.finding or {}).get(condition.what, frozenset()) & condition.values))


_EVALUATORS: Mapping[type, Callable[[Any, Situation], Outcome]] = {
    kb.AllOf: _all_of,
    kb.AnyOf: _any_of,
    kb.Not: _not,
    kb.BehaviourIs: _behaviour_is,
    kb.FindingIs: _finding_is,
}


def _combine(outcomes: Sequence[Outcome], *, decisive: bool) -> Outcome:
    truths = {outcome.truth for outcome in outcomes}
    if decisive in truths:
        return Outcome(decisive, tuple(fact for o in outcomes if o.truth is decisive for fact in o.facts))
    facts = tuple([fact for outcome in outcomes for fact in outcome.facts])
    if None not in truths:
        return Outcome(not decisive, facts)
    return Outcome(None, facts, tuple([fact for o in outcomes if o.truth is None for fact in o.unknown]))


def _compute(test: kb.FactTest, situation: Situation) -> Outcome:
    fact = situation.facts.fact(test.fact)
    if isinstance(test.operand, kb.FactOperand) or test.hold is kb.Hold.MOST:
        return _of_series(test, fact, situation)
    facts = (fact,)
    if test.over is not None:
        return _of_all(test, facts, situation.seen(test.fact, fact, test.over))
    # One value against a constant, which most tests are.
    if fact.value is None:
        return Outcome(None, facts, facts)
    return Outcome(bool(COMPARISONS[test.operator](fact.value, test.operand)), facts)


def _of_series(test: kb.FactTest, fact: Fact, situation: Situation) -> Outcome:
    """Compare value by value: with those of another fact, or weighed by the drops."""
    facts: tuple[Fact, ...] = (fact,)
    values = _extent(fact, test.over)
    others: tuple[Value | None, ...] | None = None
    if isinstance(test.operand, kb.FactOperand):
        other = situation.facts.fact(test.operand.fact)
        facts = (fact, other)
        times = test.operand.times
        others = _extent(other, test.over)
        if times != 1:
            others = tuple([_scaled(value, times) for value in others])
    weights: Sequence[int | None] = ()
    if test.over is kb.Over.DROP_SAMPLES:
        indexes, weights = situation.losing
        shorter = min(len(values), len(values if others is None else others))
        if not indexes or indexes[-1] >= shorter:
            indexes = [index for index in indexes if index < shorter]
            weights = weights[: len(indexes)]
        if len(indexes) != len(values):
            values = tuple([values[index] for index in indexes])
        if others is not None and len(indexes) != len(others):
            others = tuple([others[index] for index in indexes])
    truths = _truths(test, values, others)
    truth = _held(truths, weights or [1] * len(truths), test.hold)
    mixed = truth is None and test.hold is kb.Hold.ALL and True in truths and False in truths
    if truth is not None or mixed:
        return Outcome(truth, facts)
    return Outcome(None, facts, tuple([f for f in facts if _is_unknown(f, test.over)]))


def _of_all(test: kb.FactTest, facts: tuple[Fact, ...], seen: _Seen) -> Outcome:
    """Whether all values, or any, compare with a constant as they should."""
    holds, fails = seen.among(test)
    if test.hold is kb.Hold.ANY:
        truth = True if holds else None if seen.unknown or not fails else False
    elif holds and fails:
        return Outcome(None, facts)
    else:
        truth = None if seen.unknown or not (holds or fails) else holds
    if truth is not None:
        return Outcome(truth, facts)
    return Outcome(None, facts, facts if _is_unknown(facts[0], test.over) else ())


def _at(indexes: Sequence[int], values: Sequence[Value | None]) -> Sequence[Value | None]:
    """Those values of a series, as far as it goes."""
    if indexes and indexes[-1] >= len(values):
        indexes = [index for index in indexes if index < len(values)]
    return values if len(indexes) == len(values) else [values[index] for index in indexes]


def holding(
    condition: kb.Condition, situation: Situation, *, truth: bool
) -> tuple[frozenset[int] | None, bool]:
    """Return the intervals of the series that a text about a condition should speak of.

    A comparison that needs to hold only in some intervals is shown as it was in those. Where the ranges of
    two compared facts overlap although each pair of values compares the same way, the closest pair is shown.

    Returns:
        The intervals, None for all that were looked at, and whether they are only the closest one.
    """
    chosen: frozenset[int] | None = None
    tests = [leaf for leaf in kb.leaves(condition) if isinstance(leaf, kb.FactTest)]
    in_drops = [test for test in tests if test.over is kb.Over.DROP_SAMPLES]
    for test in in_drops:
        if test.hold is not kb.Hold.ALL:
            found = frozenset(i for i, held, _ in _by_interval(test, situation) if held is truth)
            chosen = found if chosen is None else chosen & found
    chosen = chosen or None
    for test in in_drops:
        if not isinstance(test.operand, kb.FactOperand):
            continue
        pairs = [
            (i, *pair)
            for i, held, pair in _by_interval(test, situation)
            if held is truth and pair and (chosen is None or i in chosen)
        ]
        lower, upper = ([one for _, one, _ in pairs], [two for _, _, two in pairs])
        if pairs and min(max(lower), max(upper)) >= max(min(lower), min(upper)) and len(pairs) > 1:
            return frozenset({min(pairs, key=lambda pair: abs(pair[1] - pair[2]))[0]}), True
    return chosen, False


def _by_interval(
    test: kb.FactTest, situation: Situation
) -> list[tuple[int, bool | None, tuple[float, float] | None]]:
    """Each interval with drops: whether the test holds in it, and the two numbers that it compares."""
    values = situation.facts.fact(test.fact).samples
    others: Sequence[Value | None] | None = None
    if isinstance(test.operand, kb.FactOperand):
        times = test.operand.times
        others = [_scaled(value, times) for value in situation.facts.fact(test.operand.fact).samples]
    found = []
    for index in situation.losing[0]:
        if index >= len(values) or (others is not None and index >= len(others)):
            continue
        value = values[index]
        operand = test.operand if others is None else others[index]
        known = value is not None and operand is not None
        held = bool(COMPARISONS[test.operator](value, operand)) if known else None
        pair = None
        if others is not None and isinstance(value, int | float) and isinstance(operand, int | float):
            pair = (float(value), float(operand))
        found.append((index, held, pair))
    return found


def _truths(
    test: kb.FactTest,
    values: Sequence[Value | None],
    others: Sequence[Value | None] | None,
) -> list[bool | None]:
    compare = COMPARISONS[test.operator]
    if others is not None:
        pairs = zip(values, others, strict=False)
        return [None if a is None or b is None else bool(compare(a, b)) for a, b in pairs]
    operand = test.operand
    return [None if value is None else bool(compare(value, operand)) for value in values]


def _is_unknown(fact: Fact, over: kb.Over | None) -> bool:
    values = _extent(fact, over)
    return not values or None in values


def _extent(fact: Fact, over: kb.Over | None) -> tuple[Value | None, ...]:
    if over is None:
        return (fact.value,)
    return fact.ends if over is kb.Over.BOTH_ENDS else fact.samples


def _scaled(value: Value | None, times: float) -> Value | None:
    return value * times if isinstance(value, int | float) and not isinstance(value, bool) else value


def _held(truths: Sequence[bool | None], weights: Iterable[int | None], hold: kb.Hold) -> bool | None:
    if not truths:
        return None
    if hold is kb.Hold.ANY:
        return True if True in truths else None if None in truths else False
    if hold is kb.Hold.MOST:
        weighed = [(truth, weight or 0) for truth, weight in zip(truths, weights, strict=True)]
        everything = sum(weight for _, weight in weighed)
        if 2 * sum(weight for truth, weight in weighed if truth) > everything:
            return True
        return False if 2 * sum(weight for truth, weight in weighed if truth is False) >= everything else None
    first = truths[0]
    return first if truths.count(first) == len(truths) else None


COMPARISONS: Mapping[kb.Operator, Callable[[Any, Any], object]] = {
    kb.Operator.EQUALS: operator_module.eq,
    kb.Operator.NOT_EQUALS: operator_module.ne,
    kb.Operator.ONE_OF: lambda value, operands: value in operands,
    kb.Operator.AT_LEAST: operator_module.ge,
    kb.Operator.BELOW: operator_module.lt,
    kb.Operator.CONTAINS: operator_module.contains,
}
