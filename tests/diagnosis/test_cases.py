# SPDX-License-Identifier: Apache-2.0
"""Every rule's own cases, and that a wrong one is noticed."""

from dataclasses import replace

import pytest

from vnetkb import kbtest
from vnetkb.kb.load import load_kb
from vnetkb.kb.model import RuleKind, Status

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
