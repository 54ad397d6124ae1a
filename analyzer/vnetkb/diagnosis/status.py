# SPDX-License-Identifier: Apache-2.0
"""Status of every rule for one symptom, and the verdict they give together.

The order of the steps is fixed by the design: applies, conflict, ruled out, confirmed, likely, else open;
ruled-out
goes down the tree of refinements, confirmed and likely go up.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vnetkb.diagnosis.conditions import Outcome, Situation, evaluate, holding
from vnetkb.diagnosis.model import Candidate, Evidence
from vnetkb.diagnosis.wording import Speaker
from vnetkb.facts.model import Fact
from vnetkb.kb.model import (
    BehaviourIs,
    Effect,
    FactOperand,
    FactTest,
    Rarity,
    RuleTest,
    SpeaksOf,
    Status,
    leaves,
)
from vnetkb.language import tr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vnetkb.facts.model import FactSource, State, Value
    from vnetkb.kb.model import KnowledgeBase, Rule

OPEN_ENDED = (Status.CONFIRMED, Status.LIKELY, Status.OPEN)
HELD = (Status.CONFIRMED, Status.LIKELY)
DECISIVE = (Effect.CONFIRMS, Effect.RULES_OUT)
USEFUL_IF_OPEN = (Effect.CONFIRMS, Effect.RULES_OUT, Effect.SUPPORTS)
USEFUL_IF_LIKELY = (Effect.CONFIRMS, Effect.RULES_OUT, Effect.WEAKENS)
# Points of the path towards a guest, in a packet's order; `site.between` names two of them.
TOWARDS_GUEST = {
    "port": -1,
    "bridge": 0,
    "network stack": 0,
    "queueing discipline": 1,
    "device": 2,
    "tap": 2,
    "tap ring": 3,
    "guest": 4,
}
SPEAKING: Mapping[str, frozenset[SpeaksOf]] = {
    "past": frozenset({SpeaksOf.ANY_TIME}),
    "unknown": frozenset({SpeaksOf.ANY_TIME, SpeaksOf.LOSSES}),
}
"""What facts must speak of to count for loss that need not be of the bundle's time."""
OF_NOW = {
    "past": {},
    "unknown": {
        Effect.CONFIRMS: Effect.CONFIRMS,
        Effect.SUPPORTS: Effect.SUPPORTS,
        Effect.RULES_OUT: Effect.WEAKENS,
        Effect.WEAKENS: Effect.WEAKENS,
    },
}
"""What other facts do to a cause of such loss: what is so now may not have been so then."""
CERTAINTY = {Status.CONFIRMED: 0, Status.LIKELY: 1, Status.OPEN: 2, Status.RULED_OUT: 3}


@dataclass(slots=True)
class Judged:
    """One candidate while it is being judged.

    A test is evaluated when its outcome is needed: most causes are ruled out by their first, and then the
    others matter only to a reader who asks for all evidence.
    """

    rule: Rule
    status: Status
    situation: Situation
    capped: bool
    kb: KnowledgeBase
    state: State = "rising"
    conflict: bool = False
    weakened: bool = False
    blocked: bool = False
    share: float = 100.0
    inherited: str | None = None
    children: list[str] = field(default_factory=list)

    @property
    def tests(self) -> list[tuple[RuleTest, Outcome, Effect]]:
        """Every test with its outcome and effect."""
        return self.chosen(self.rule.tests)

    def chosen(self, tests: Iterable[RuleTest]) -> list[tuple[RuleTest, Outcome, Effect]]:
        """Some of the tests with their outcomes and effects."""
        outcomes = [(test, evaluate(test.condition, self.situation)) for test in tests]
        if self.state not in SPEAKING:
            return [(test, outcome, effect_of(test, outcome)) for test, outcome in outcomes]
        return [
            (test, outcome, self._weighed(effect_of(test, outcome), outcome)) for test, outcome in outcomes
        ]

    def _weighed(self, effect: Effect, outcome: Outcome) -> Effect:
        if self.counts(outcome.facts):
            return effect
        return OF_NOW[self.state].get(effect, Effect.NOTHING)

    def counts(self, facts: Iterable[Fact]) -> bool:
        """Whether facts speak of the packets that were lost, whenever that was."""
        speaking = SPEAKING.get(self.state)
        return speaking is None or all(
            fact.name in self.kb.facts and self.kb.facts[fact.name].speaks_of in speaking for fact in facts
        )


class Verdict(NamedTuple):
    """What the candidates say together: confirmed, likely or undetermined, and through which rule."""

    verdict: str
    cause: str | None
    contributors: tuple[str, ...] = ()


def judge(
    kb: KnowledgeBase,
    counter: str | None,
    facts: FactSource,
    behaviours: Mapping[str, bool | None],
    *,
    capped: bool,
    between: tuple[str, str] | None = None,
    state: State = "rising",
    situation: Situation | None = None,
) -> dict[str, Judged]:
    """Return every candidate cause of a counter's movement (or of a silent loss) with its status.

    Args:
        kb: The knowledge base.
        counter: Counter id; None for loss that no counter shows.
        facts: The subject's facts.
        behaviours: What is known of the kernel and programs.
        capped: True when nothing may be more than likely (one snapshot, or loss in the past only).
        between: For silent loss, the two points between which it is: causes with sites elsewhere are none.
        state: State of the symptom. What is so now neither rules out nor supports a cause of loss in the
            past; where it is not known whether the counter still rises, it rules nothing out.
        situation: Where the tests are evaluated; None for a new one of these facts and behaviours.
    """
    wanted = counter or "silent"
    situation = situation or Situation(facts, behaviours)
    judged: dict[str, Judged] = {}
    for rule in kb.causes(wanted):
        applies = [evaluate(condition, situation) for condition in rule.applies_when]
        fresh = Judged(rule, Status.OPEN, situation, capped, kb, state)
        if any(outcome.truth is False and fresh.counts(outcome.facts) for outcome in applies):
            continue
        if _elsewhere(kb, rule, between):
            continue
        doubtful = any(not outcome.truth for outcome in applies)
        inferred = any(fact.inferred for outcome in applies for fact in outcome.facts)
        fresh.capped = capped or doubtful or inferred
        judged[rule.id] = _judge_one(fresh, judged)
    for rule_id in judged:
        for ancestor in kb.ancestors(rule_id):
            if ancestor in judged:
                judged[ancestor].children.append(rule_id)
                break
    _raise_ancestors(kb, judged)
    return judged


def _elsewhere(kb: KnowledgeBase, rule: Rule, between: tuple[str, str] | None) -> bool:
    """Whether all code sites of a cause lie between other points of the path."""
    if between is None:
        return False
    places = [kb.sites[name].between for name in rule.sites]
    return bool(places) and not any(_within(place, between) for place in places)


def _within(place: tuple[str, str] | None, between: tuple[str, str]) -> bool:
    """Whether a part of the path lies in another one: is the same, or a part of the way to the guest."""
    if place is None or place == between:
        return place is not None
    stops = [TOWARDS_GUEST.get(point) for point in (between[0], *place, between[1])]
    known = [stop for stop in stops if stop is not None]
    return len(known) == len(stops) and known == sorted(known)


def _judge_one(result: Judged, judged: Mapping[str, Judged]) -> Judged:
    kb, rule = result.kb, result.rule
    deciding = result.chosen(test for test in rule.tests if _decides(test))
    effects = {effect for _, _, effect in deciding}
    confirming = [outcome for _, outcome, effect in deciding if effect is Effect.CONFIRMS]
    result.share = _share(kb, confirming)
    ruled_out = next(
        (a for a in kb.ancestors(rule.id) if a in judged and judged[a].status is Status.RULED_OUT), None
    )
    if ruled_out:
        result.status, result.inherited = Status.RULED_OUT, ruled_out
        result.conflict = bool(confirming)
    elif Effect.RULES_OUT in effects and not confirming:
        result.status = Status.RULED_OUT
    else:
        tests = result.tests
        effects = {effect for _, _, effect in tests}
        result.weakened = Effect.WEAKENS in effects
        result.blocked = any(test.required and outcome.truth is None for test, outcome, _ in tests)
        result.conflict = bool(confirming) and any(
            effect_of(test, outcome) is Effect.RULES_OUT and effect is not Effect.NOTHING
            for test, outcome, effect in deciding
        )
        supported = any(
            effect is Effect.SUPPORTS and result.counts(outcome.facts) for _, outcome, effect in tests
        )
        if result.conflict:
            return result
        if confirming:
            inferred = all(any(fact.inferred for fact in outcome.facts) for outcome in confirming)
            result.status = Status.LIKELY if result.capped or inferred else Status.CONFIRMED
        elif supported and not result.weakened and not result.blocked:
            result.status = Status.LIKELY
    return result


def _decides(test: RuleTest) -> bool:
    """Whether a test can confirm a rule or rule it out."""
    return test.when_true in DECISIVE or test.when_false in DECISIVE


def effect_of(test: RuleTest, outcome: Outcome) -> Effect:
    """Return what a test's outcome does to its rule; an unknown one does nothing."""
    if outcome.truth is None:
        return Effect.NOTHING
    return test.when_true if outcome.truth else test.when_false


def _share(kb: KnowledgeBase, confirming: Iterable[Outcome]) -> float:
    """Per cent of the drops that the confirming facts speak for.

    A share confirms that share, any other fact all.
    """
    shares = [
        float(fact.value)
        for outcome in confirming
        for fact in outcome.facts[:1]
        if fact.name in kb.facts and kb.facts[fact.name].unit == "%" and isinstance(fact.value, int | float)
    ]
    return min(shares, default=100.0)


def _raise_ancestors(kb: KnowledgeBase, judged: Mapping[str, Judged]) -> None:
    for rule_id in sorted(judged, key=lambda r: -len(kb.ancestors(r))):
        one = judged[rule_id]
        if one.status not in HELD:
            continue
        for ancestor in kb.ancestors(rule_id):
            above = judged.get(ancestor)
            if (
                above is not None
                and above.status in OPEN_ENDED
                and CERTAINTY[one.status] < CERTAINTY[above.status]
            ):
                above.status = one.status


def conclude(kb: KnowledgeBase, judged: Mapping[str, Judged], *, by_elimination: bool = True) -> Verdict:
    """Return the verdict.

    Where nothing is confirmed or likely, what is left when all other usual causes are ruled out is likely;
    not with ``by_elimination`` false, for loss of a time that the evidence does not cover.
    """
    confirmed = _deepest(kb, judged, Status.CONFIRMED, within=None)
    if confirmed:
        main = max(confirmed, key=lambda rule_id: judged[rule_id].share)
        contributors = tuple(rule_id for rule_id in confirmed if rule_id != main)
        return _refine(kb, judged, main, contributors)
    likely = _deepest(kb, judged, Status.LIKELY, within=None)
    if len(likely) == 1:
        return Verdict("likely", likely[0])
    if likely:
        common = _common_ancestor(kb, judged, likely)
        return Verdict("likely", common) if common else Verdict("undetermined", None)
    left = _last_usual(kb, judged) if by_elimination else None
    if left:
        judged[left].status = Status.LIKELY
        _raise_ancestors(kb, judged)
        return Verdict("likely", left)
    return Verdict("undetermined", None)


def _refine(
    kb: KnowledgeBase, judged: Mapping[str, Judged], main: str, contributors: tuple[str, ...]
) -> Verdict:
    likely = _deepest(kb, judged, Status.LIKELY, within=main)
    if not likely:
        return Verdict("confirmed", main, contributors)
    cause = likely[0] if len(likely) == 1 else _common_ancestor(kb, judged, likely) or main
    return Verdict(str(judged[cause].status), cause, contributors)


def _deepest(
    kb: KnowledgeBase, judged: Mapping[str, Judged], status: Status, *, within: str | None
) -> list[str]:
    chosen = [
        rule_id
        for rule_id, one in judged.items()
        if one.status is status and (within is None or within in kb.ancestors(rule_id))
    ]
    return [r for r in chosen if not any(r in kb.ancestors(other) for other in chosen)]


def _common_ancestor(kb: KnowledgeBase, judged: Mapping[str, Judged], rules: Iterable[str]) -> str | None:
    first, *others = [(rule, *kb.ancestors(rule)) for rule in rules]
    return next((r for r in first if r in judged and all(r in chain for chain in others)), None)


def _last_usual(kb: KnowledgeBase, judged: Mapping[str, Judged]) -> str | None:
    usual = {r for r, one in judged.items() if one.rule.rarity is Rarity.USUAL}
    alive = {r for r in usual if judged[r].status in OPEN_ENDED}
    leaves = [r for r in alive if not any(r in kb.ancestors(other) for other in alive)]
    if not leaves or usual == alive:
        return None
    left = leaves[0] if len(leaves) == 1 else _common_ancestor(kb, judged, leaves)
    if left is None or judged[left].weakened or judged[left].blocked or judged[left].conflict:
        return None
    outside = {r for r in usual - alive if r != left and left not in kb.ancestors(r)}
    siblings = {r for r in usual - alive if r not in kb.ancestors(left)} if len(leaves) == 1 else outside
    return left if siblings else None


def candidates(
    kb: KnowledgeBase, judged: Mapping[str, Judged], facts: FactSource, words: Mapping[str, str]
) -> tuple[Candidate, ...]:
    """Return the candidates with their evidence, put in words when it is asked for; the surest first."""
    return worded(kb, standing(kb, judged), words, facts)


def standing(kb: KnowledgeBase, judged: Mapping[str, Judged]) -> tuple[tuple[Judged, tuple[str, ...]], ...]:
    """Return the candidates with the captures that could change their status, the surest first."""
    ordered = sorted(
        judged.values(), key=lambda one: (CERTAINTY[one.status], -len(kb.ancestors(one.rule.id)), one.rule.id)
    )
    return tuple((one, _missing(one)) for one in ordered)


def worded(
    kb: KnowledgeBase,
    stand: Iterable[tuple[Judged, tuple[str, ...]]],
    words: Mapping[str, str],
    facts: FactSource,
    situation: Situation | None = None,
) -> tuple[Candidate, ...]:
    """Return candidates for a report, their evidence put in words when it is asked for.

    Args:
        kb: The knowledge base.
        stand: What :func:`standing` gave, for this subject or for one of which every test says the same.
        words: Names of the subject.
        facts: Its facts.
        situation: Where its tests are evaluated; None for where they were judged.
    """
    return tuple(
        [
            Candidate(
                one.rule,
                one.status,
                partial(_evidence, kb, one, facts, words, situation or one.situation),
                missing,
                one.inherited,
            )
            for one, missing in stand
        ]
    )


def _known(asked: BehaviourIs, situation: Situation) -> Fact:
    name = asked.behaviour
    return Fact(name, value=situation.behaviours.get(name), captures=situation.behaviours_from.get(name, ()))


def _evidence(
    kb: KnowledgeBase, one: Judged, facts: FactSource, words: Mapping[str, str], situation: Situation
) -> tuple[Evidence, ...]:
    evidence = []
    for test, outcome, effect in replace(one, situation=situation).tests:
        says = test.says if outcome.truth else test.says_false
        if effect is Effect.NOTHING or not (outcome.facts or says):
            continue
        asked = next((leaf for leaf in leaves(test.condition) if isinstance(leaf, BehaviourIs)), None)
        if not outcome.facts and asked is None:
            continue
        known = _known(asked, situation) if asked else None
        fact = outcome.facts[0] if outcome.facts or known is None else known
        over = {leaf.fact: leaf.over for leaf in leaves(test.condition) if isinstance(leaf, FactTest)}
        over |= {
            leaf.operand.fact: leaf.over
            for leaf in leaves(test.condition)
            if isinstance(leaf, FactTest) and isinstance(leaf.operand, FactOperand)
        }
        intervals, closest = holding(test.condition, situation, truth=bool(outcome.truth))
        speaker = Speaker(words, facts, kb, over, fact.name, intervals)
        text = (
            speaker.fill(says)
            if says
            else tr("{fact} is {value}", fact=fact.name, value=speaker.value(fact.name))
        )
        if closest:
            text = tr("{text} (of the samples, the one that comes closest to saying otherwise)", text=text)
        used_facts = outcome.facts or (fact,)
        inferred = [used.name for used in used_facts if used.inferred]
        if any(name == fact.name or f"{{{name}}}" in (says or "") for name in inferred):
            text = tr("{text} (inferred: it is not certain that these threads serve this port)", text=text)
        captures = tuple(dict.fromkeys(path for used in used_facts for path in used.captures))
        rests_on = tuple((used.name, used.captures) for used in used_facts)
        value = _plain(fact.value, fact.ends, fact.samples)
        evidence.append(Evidence(fact.name, value, str(effect), text, captures, rests_on, bool(inferred)))
    return tuple(evidence)


def _plain(
    value: Value | None, ends: tuple[Value | None, ...], samples: tuple[Value | None, ...]
) -> Value | tuple[Value | None, ...] | None:
    if value is not None:
        return value
    return ends if any(end is not None for end in ends) else samples or None


def _missing(one: Judged) -> tuple[str, ...]:
    """Captures whose absence keeps a test unknown that could still change this status."""
    if one.status in {Status.CONFIRMED, Status.RULED_OUT}:
        return ()
    useful = USEFUL_IF_OPEN if one.status is Status.OPEN else USEFUL_IF_LIKELY
    missing = [
        capture
        for test, outcome, _ in one.tests
        if outcome.truth is None and (test.when_true in useful or test.when_false in useful)
        for fact in outcome.unknown
        if one.counts((fact,))
        for capture in fact.missing
    ]
    return tuple(dict.fromkeys(missing))
