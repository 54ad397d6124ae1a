# SPDX-License-Identifier: Apache-2.0
"""Runs every rule's own cases through the diagnosis: the knowledge base's tests of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vnetkb.diagnosis.conditions import Situation, evaluate
from vnetkb.diagnosis.status import effect_of, judge
from vnetkb.facts.model import Fact
from vnetkb.kb.model import Effect, RuleKind, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vnetkb.kb.model import Case, KnowledgeBase, Rule

UNIFORM_MOMENTS = 2


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What one case of a rule expected and what came out."""

    rule: str
    case: str
    expected: Status
    got: Status

    @property
    def passed(self) -> bool:
        """Whether the rule had the status that the case expects."""
        return self.expected is self.got


class CaseFacts:
    """The facts of a case as a source of facts; what the case does not give is unknown.

    A value given without ``ends`` or ``samples`` is the overall value, that of both ends and that of every
    sample.
    """

    def __init__(self, case: Case) -> None:
        """Keep the case."""
        self.case = case
        given = [len(value.samples) for value in case.facts.values() if value.samples]
        self._samples = max(given, default=UNIFORM_MOMENTS)

    def fact(self, name: str) -> Fact:
        """Return the fact as the case gives it."""
        value = self.case.facts.get(name)
        if value is None:
            return Fact(name, why_unknown="the case does not give it")
        if value.uniform:
            return Fact(
                name, value.overall, (value.overall,) * UNIFORM_MOMENTS, (value.overall,) * self._samples
            )
        return Fact(name, value.overall, value.ends or (), value.samples or ())

    @property
    def drops(self) -> Sequence[int | None]:
        """The case's ``drop.count`` per sample; without it every sample counts the same."""
        value = self.case.facts.get("drop.count")
        if value is None or value.samples is None:
            return (1,) * self._samples
        return tuple(int(drops) if isinstance(drops, int | float) else None for drops in value.samples)


def run(kb: KnowledgeBase) -> Iterator[CaseResult]:
    """Yield the result of every case of every rule, in the order of the rules' ids.

    A case of a cause stands for a symptom with two snapshots; the rule is judged together with those that it
    refines.
    """
    for rule_id in sorted(kb.rules):
        rule = kb.rules[rule_id]
        for case in rule.cases:
            got = _judge_cause(kb, rule, case) if rule.kind is RuleKind.CAUSE else _judge_other(rule, case)
            yield CaseResult(rule.id, case.name, case.expect, got)


def _judge_cause(kb: KnowledgeBase, rule: Rule, case: Case) -> Status:
    counter = rule.explains[0] if rule.explains[0] != "silent" else None
    judged = judge(kb, counter, CaseFacts(case), case.behaviours, capped=False)
    return judged[rule.id].status if rule.id in judged else Status.NOT_A_CANDIDATE


def _judge_other(rule: Rule, case: Case) -> Status:
    situation = Situation(CaseFacts(case), case.behaviours)
    if any(evaluate(condition, situation).truth is False for condition in rule.applies_when):
        return Status.NOT_A_CANDIDATE
    effects = {effect_of(test, evaluate(test.condition, situation)) for test in rule.tests}
    if Effect.RULES_OUT in effects:
        return Status.OPEN if Effect.CONFIRMS in effects else Status.RULED_OUT
    if Effect.CONFIRMS in effects:
        return Status.CONFIRMED
    return Status.LIKELY if Effect.SUPPORTS in effects and Effect.WEAKENS not in effects else Status.OPEN
