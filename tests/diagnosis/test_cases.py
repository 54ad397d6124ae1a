# SPDX-License-Identifier: Apache-2.0
"""Every rule's own cases, and that a wrong one is noticed."""

from dataclasses import replace

import pytest

from vnetkb import kbtest
from vnetkb.diagnosis.status import Judged, judge
from vnetkb.kb.load import load_kb
from vnetkb.kb.model import Case, CaseValue, RuleKind, Status

KB = load_kb()


@pytest.mark.parametrize("result", list(kbtest.run(KB)), ids=lambda r: f"{r.rule}: {r.case}")
def test_case(result: kbtest.CaseResult) -> None:
    assert result.got is result.expected


def test_a_case_that_expects_something_else_fails() -> None:
    rule = KB.rules["tap-ring-size-zero"]
    wrong = tuple(
        case._replace(expect=Status.RULED_OUT) for case in rule.cases if case.expect is Status.CONFIRMED
    )
    broken = replace(KB, rules={**KB.rules, rule.id: rule._replace(cases=wrong)})
    results = [result for result in kbtest.run(broken) if result.rule == rule.id]
    assert results
    assert not any(result.passed for result in results)


def test_every_cause_has_the_three_kinds_of_cases() -> None:
    for rule in KB.rules.values():
        if rule.kind is RuleKind.CAUSE:
            expected = {case.expect for case in rule.cases}
            assert expected & {Status.CONFIRMED, Status.LIKELY}, rule.id
            assert Status.RULED_OUT in expected, rule.id
            assert Status.OPEN in expected, rule.id


SHARES = [name for name in KB.facts if name.startswith("trace.") and name.endswith("_share")]
CLAIMED = [
    pytest.param(case, id=f"{rule.id}: {case.name}")
    for rule in KB.causes("tap.tx_dropped")
    for case in rule.cases
    if case.expect is Status.LIKELY and not any(name.startswith("trace.") for name in case.facts)
]


def traced(case: Case, coverage: float) -> dict[str, Judged]:
    """Judge the facts of a case and of a trace in which a filter refused every packet."""
    seen = dict.fromkeys(SHARES, 0.0) | {
        "trace.tx_filter_share": 100.0,
        "trace.driver_share": 100.0,
        "trace.coverage": coverage,
    }
    facts = {**case.facts, **{name: CaseValue(overall=value) for name, value in seen.items()}}
    source = kbtest.CaseFacts(case._replace(facts=facts))
    return judge(KB, "tap.tx_dropped", source, case.behaviours, capped=False)


@pytest.mark.parametrize("case", CLAIMED)
def test_beside_what_a_trace_of_all_drops_names_nothing_is_likely(case: Case) -> None:
    judged = traced(case, coverage=99.0)
    held = {name for name, one in judged.items() if one.status in {Status.CONFIRMED, Status.LIKELY}}
    assert held == {"tap-tx-filter"}


def test_beside_what_a_trace_of_a_part_names_the_reason_for_the_rest_may_stay_likely() -> None:
    """What else speaks for it than a reader that sleeps, as it does before a filter: a CPU limit here."""
    rule = KB.rules["tap-ring-vhost-throttled"]
    (case,) = (case for case in rule.cases if case.expect is Status.LIKELY)
    judged = traced(case, coverage=26.0)
    assert judged["tap-tx-filter"].status is Status.CONFIRMED
    assert judged[rule.id].status is Status.LIKELY
