# SPDX-License-Identifier: Apache-2.0
"""Truth of a condition on facts: true, false, or not known (Kleene's three values)."""

from __future__ import annotations

import operator as operator_module
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vnetkb.kb import model as kb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vnetkb.facts.model import Fact, FactSource, Value


@dataclass(frozen=True, slots=True)
class Outcome:
    """Truth of a condition and the facts that it rests on.

    Attributes:
        truth: None when it is not known, or when it held in some of the moments looked at and not in others.
        facts: The facts looked at, in order.
        unknown: Those whose being unknown keeps ``truth`` from being known.
    """

    truth: bool | None
    facts: tuple[Fact, ...] = ()
    unknown: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Situation:
    """What conditions are evaluated against: facts, behaviours and, for harm, the finding made so far.

    ``tested`` keeps the outcome of every comparison, because many rules ask the same.
    """

    facts: FactSource
    behaviours: Mapping[str, bool | None]
    finding: Mapping[str, frozenset[str]] | None = None
    tested: dict[kb.FactTest, Outcome] = field(default_factory=dict)


def evaluate(condition: kb.Condition, situation: Situation) -> Outcome:
    """Return the truth of a condition.

    ``all`` is false as soon as one part is, ``any`` true as soon as one part is, whatever is unknown beside
    it.
    """
    match condition:
        case kb.AllOf(parts):
            return _combine([evaluate(part, situation) for part in parts], decisive=False)
        case kb.AnyOf(parts):
            return _combine([evaluate(part, situation) for part in parts], decisive=True)
        case kb.Not(part):
            inner = evaluate(part, situation)
            return Outcome(None if inner.truth is None else not inner.truth, inner.facts, inner.unknown)
        case kb.BehaviourIs(behaviour, present):
            known = situation.behaviours.get(behaviour)
            return Outcome(None if known is None else known is present)
        case kb.FindingIs(what, values):
            return Outcome(bool((situation.finding or {}).get(what, frozenset()) & values))
        case _:
            return _test(condition, situation)


def _combine(outcomes: Sequence[Outcome], *, decisive: bool) -> Outcome:
    facts = tuple(fact for outcome in outcomes for fact in outcome.facts)
    if any(outcome.truth is decisive for outcome in outcomes):
        deciding = tuple(fact for o in outcomes if o.truth is decisive for fact in o.facts)
        return Outcome(decisive, deciding)
    if all(outcome.truth is not None for outcome in outcomes):
        return Outcome(not decisive, facts)
    return Outcome(None, facts, tuple(fact for o in outcomes if o.truth is None for fact in o.unknown))


def _test(test: kb.FactTest, situation: Situation) -> Outcome:
    known = situation.tested.get(test)
    if known is None:
        known = situation.tested[test] = _compute(test, situation.facts)
    return known


def _compute(test: kb.FactTest, source: FactSource) -> Outcome:
    fact = source.fact(test.fact)
    facts: tuple[Fact, ...] = (fact,)
    values = _extent(fact, test.over)
    operands: Sequence[Value | tuple[Value, ...] | None] = _repeated(test, len(values))
    if isinstance(test.operand, kb.FactOperand):
        other = source.fact(test.operand.fact)
        facts = (fact, other)
        times = test.operand.times
        operands = [_scaled(value, times) for value in _extent(other, test.over)]
    indexes: Sequence[int] = range(min(len(values), len(operands)))
    weights: Sequence[int | None] = ()
    if test.over is kb.Over.DROP_SAMPLES:
        drops = source.drops
        indexes = [index for index in indexes if index < len(drops) and drops[index]]
        weights = [drops[index] for index in indexes]
    truths = [_compare(test.operator, values[index], operands[index]) for index in indexes]
    truth = _held(truths, weights or [1] * len(truths), test.hold)
    mixed = truth is None and test.hold is kb.Hold.ALL and True in truths and False in truths
    unknown = tuple(f for f in facts if truth is None and not mixed and _is_unknown(f, test.over))
    return Outcome(truth, facts, unknown)


def _repeated(test: kb.FactTest, times: int) -> Sequence[Value | tuple[Value, ...] | None]:
    """Return a literal operand once for each value that it is compared with."""
    return () if isinstance(test.operand, kb.FactOperand) else [test.operand] * times


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
    if all(truth is True for truth in truths):
        return True
    return False if all(truth is False for truth in truths) else None


def _compare(
    operator: kb.Operator, value: Value | None, operand: Value | tuple[Value, ...] | None
) -> bool | None:
    if value is None or operand is None:
        return None
    return bool(COMPARISONS[operator](value, operand))


COMPARISONS: Mapping[kb.Operator, Callable[[Any, Any], object]] = {
    kb.Operator.EQUALS: operator_module.eq,
    kb.Operator.NOT_EQUALS: operator_module.ne,
    kb.Operator.ONE_OF: lambda value, operands: value in operands,
    kb.Operator.AT_LEAST: operator_module.ge,
    kb.Operator.BELOW: operator_module.lt,
    kb.Operator.CONTAINS: operator_module.contains,
}
