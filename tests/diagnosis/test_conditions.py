# SPDX-License-Identifier: Apache-2.0
"""Truth of conditions: unknown is neither true nor false, and samples without drops decide nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnetkb.diagnosis.conditions import Situation, evaluate
from vnetkb.facts import Fact
from vnetkb.kb.model import (
    AllOf,
    AnyOf,
    BehaviourIs,
    Condition,
    FactOperand,
    FactTest,
    FindingIs,
    Hold,
    Not,
    Operator,
    Over,
)

truths = st.sampled_from([True, False, None])


@dataclass
class Facts:
    """A source of given facts."""

    given: dict[str, Fact]
    drops: Sequence[int | None] = field(default=(1, 1, 1))

    def fact(self, name: str) -> Fact:
        return self.given.get(name, Fact(name))


def truth(condition: Condition, drops: Sequence[int | None] = (1, 1, 1), /, **facts: Fact) -> bool | None:
    return evaluate(condition, Situation(Facts(facts, drops), {})).truth


def is_true(name: str) -> FactTest:
    return FactTest(name, Operator.EQUALS, operand=True)


def known(**values: bool | None) -> dict[str, Fact]:
    return {name: Fact(name, value) for name, value in values.items()}


@given(values=st.lists(truths, min_size=1, max_size=5))
def test_all_and_any_follow_kleene(values: list[bool | None]) -> None:
    names = [f"f{index}" for index in range(len(values))]
    facts = known(**dict(zip(names, values, strict=True)))
    parts = tuple(is_true(name) for name in names)
    every = False if False in values else None if None in values else True
    some = True if True in values else None if None in values else False
    assert truth(AllOf(parts), (1, 1, 1), **facts) is every
    assert truth(AnyOf(parts), (1, 1, 1), **facts) is some
    negated = tuple(Not(part) for part in parts)
    assert truth(Not(AnyOf(negated)), (1, 1, 1), **facts) is every


@pytest.mark.parametrize(
    ("operator", "value", "operand", "expected"),
    [
        (Operator.EQUALS, 0, 0, True),
        (Operator.NOT_EQUALS, "noqueue", "noqueue", False),
        (Operator.ONE_OF, "T", ("T", "t"), True),
        (Operator.AT_LEAST, 5, 5, True),
        (Operator.BELOW, 5, 5, False),
        (Operator.CONTAINS, frozenset({"a"}), "a", True),
        (Operator.EQUALS, None, 0, None),
        (Operator.BELOW, None, 5, None),
    ],
)
def test_operators(operator: Operator, value: object, operand: object, *, expected: bool | None) -> None:
    test = FactTest("f", operator, operand)  # type: ignore[arg-type]
    assert truth(test, f=Fact("f", value)) is expected  # type: ignore[arg-type]


samples = st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=6)


@given(values=samples, data=st.data())
def test_only_samples_with_drops_count_in_drop_samples(values: list[int | None], data: st.DataObject) -> None:
    drops = data.draw(st.lists(st.integers(0, 5), min_size=len(values), max_size=len(values)))
    fact = Fact("f", samples=tuple(values))
    test = FactTest("f", Operator.AT_LEAST, 2, Over.DROP_SAMPLES)
    chosen = [None if v is None else v >= 2 for v, d in zip(values, drops, strict=True) if d]
    if not chosen:
        assert truth(test, drops, f=fact) is None
    elif all(chosen):
        assert truth(test, drops, f=fact) is True
    elif all(held is False for held in chosen):
        assert truth(test, drops, f=fact) is False
    else:
        assert truth(test, drops, f=fact) is None


@given(values=samples, data=st.data())
def test_most_weighs_by_drops(values: list[int | None], data: st.DataObject) -> None:
    drops = data.draw(st.lists(st.integers(1, 5), min_size=len(values), max_size=len(values)))
    test = FactTest("f", Operator.AT_LEAST, 2, Over.DROP_SAMPLES, Hold.MOST)
    held = sum(d for v, d in zip(values, drops, strict=True) if v is not None and v >= 2)
    failed = sum(d for v, d in zip(values, drops, strict=True) if v is not None and v < 2)
    got = truth(test, drops, f=Fact("f", samples=tuple(values)))
    if 2 * held > sum(drops):
        assert got is True
    elif 2 * failed >= sum(drops):
        assert got is False
    else:
        assert got is None


def test_mixed_moments_have_no_truth_and_ask_for_nothing() -> None:
    fact = Fact("f", ends=(1000, 0), missing=("sysfs-net",))
    outcome = evaluate(FactTest("f", Operator.EQUALS, 0, Over.BOTH_ENDS), Situation(Facts({"f": fact}), {}))
    assert outcome.truth is None
    assert outcome.unknown == ()


def test_a_fact_is_compared_with_another_of_the_same_sample() -> None:
    delay = Fact("delay", samples=(5.0, 90.0, 10.0))
    cover = Fact("cover", samples=(100.0, 80.0, 100.0))
    test = FactTest("delay", Operator.AT_LEAST, FactOperand("cover", 1), Over.DROP_SAMPLES, Hold.ANY)
    assert truth(test, (1, 1, 1), delay=delay, cover=cover) is True
    assert truth(test, (1, 0, 1), delay=delay, cover=cover) is False
    twice = FactTest("delay", Operator.AT_LEAST, FactOperand("cover", 2), Over.DROP_SAMPLES, Hold.ANY)
    assert truth(twice, (1, 1, 1), delay=delay, cover=cover) is False


def test_an_unknown_behaviour_is_neither_present_nor_absent() -> None:
    for present in (True, False):
        condition = BehaviourIs("drop-reasons", present)
        assert evaluate(condition, Situation(Facts({}), {})).truth is None
        assert evaluate(condition, Situation(Facts({}), {"drop-reasons": True})).truth is present


def test_a_finding_is_asked_for_its_cause_or_what_that_refines() -> None:
    finding = {"cause": frozenset({"core-noop-qdisc", "tap-no-reader"})}
    situation = Situation(Facts({}), {}, finding)
    assert evaluate(FindingIs("cause", frozenset({"tap-no-reader"})), situation).truth is True
    assert evaluate(FindingIs("cause", frozenset({"tap-ring-full"})), situation).truth is False
