# SPDX-License-Identifier: Apache-2.0
"""Whether a loss matters, by the harm table of the knowledge base."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vnetkb.diagnosis.conditions import evaluate
from vnetkb.diagnosis.wording import Speaker
from vnetkb.kb.model import FindingIs, Harm, SpeaksOf, facts_of
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vnetkb.diagnosis.conditions import Situation
    from vnetkb.diagnosis.status import Verdict
    from vnetkb.facts.model import Observation
    from vnetkb.kb.model import Condition, HarmRule, KnowledgeBase


class HarmTable:
    """The lines of the harm table, those that are left for each kind of finding looked up once."""

    def __init__(self, kb: KnowledgeBase) -> None:
        """Take the table of a knowledge base."""
        self._kb = kb
        self._left: dict[tuple[frozenset[str], ...], list[tuple[HarmRule, list[Condition]]]] = {}

    def judge(self, observation: Observation, known: Situation, verdict: Verdict) -> tuple[Harm, str]:
        """Return how harmful a loss is, and why."""
        kb, symptom = self._kb, observation.symptom
        causes = frozenset((verdict.cause, *kb.ancestors(verdict.cause))) if verdict.cause else frozenset()
        finding = {
            "cause": causes,
            "counter": frozenset({symptom.counter or "silent"}),
            "subject": frozenset({observation.subject.kind}),
            "state": frozenset({symptom.state}),
            "verdict": frozenset({verdict.verdict}),
        }
        situation = replace(known, finding=finding)
        key = tuple(finding.values())
        if key not in self._left:
            self._left[key] = list(self._of_finding(situation, finding))
        for rule, when in self._left[key]:
            if all(evaluate(condition, situation).truth for condition in when):
                words = {**observation.words, "offered": symptom.share_of or tr("the packets")}
                return rule.harm, Speaker(words, observation.facts, kb).fill(rule.reason)
        return Harm.UNKNOWN, tr("nothing in the bundle tells whether this loss matters")

    def _of_finding(
        self, situation: Situation, finding: Mapping[str, frozenset[str]]
    ) -> Iterable[tuple[HarmRule, list[Condition]]]:
        """Lines that fit what is known of the finding itself, with what they ask of facts."""
        for rule in self._kb.harm:
            if finding["state"] == {"past"} and self._of_now(rule.when):
                continue
            about = [condition for condition in rule.when if isinstance(condition, FindingIs)]
            if all(evaluate(condition, situation).truth for condition in about):
                yield rule, [condition for condition in rule.when if condition not in about]

    def _of_now(self, conditions: Iterable[Condition]) -> bool:
        """Whether conditions rest on facts that say nothing of the time before the bundle."""
        names = [name for condition in conditions for name in facts_of(condition)]
        return any(self._kb.facts[name].speaks_of is not SpeaksOf.ANY_TIME for name in names)
