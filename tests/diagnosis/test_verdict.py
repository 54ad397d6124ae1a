# SPDX-License-Identifier: Apache-2.0
"""Status of rules and the verdict they give together, on small knowledge bases made for one question each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from vnetkb.diagnosis.status import candidates, conclude, judge
from vnetkb.facts import Fact
from vnetkb.kb.load import Document, load_documents
from vnetkb.kb.model import KnowledgeBase

EFFECTS = ("confirms", "rules_out", "supports", "weakens")
COUNTER = "tap.tx_dropped"


@dataclass
class Facts:
    given: Mapping[str, Fact]
    drops: tuple[int, ...] = field(default=(1,))

    def fact(self, name: str) -> Fact:
        return self.given.get(name, Fact(name, missing=("trace",)))


def rule(
    name: str, refines: str | None = None, *, rarity: str = "usual", required: bool = False, **more: object
) -> dict[str, Any]:
    """A rule with one test for each effect, on a fact of its own: ``a.confirms``, ``a.supports``."""
    tests = [
        {
            "fact": f"{name}.{effect}",
            "equals": True,
            "when_true": effect.replace("_", "-"),
            "when_false": "nothing",
        }
        for effect in EFFECTS
    ]
    tests[2]["required"] = required
    return {
        "id": name,
        "kind": "cause",
        "title": name,
        **({"refines": refines} if refines else {}),
        "rarity": rarity,
        "explains": [COUNTER],
        "sites": [],
        "applies_when": [],
        "doc": name,
        "tests": tests,
        "remedies": [],
        "limits": "none",
        "proof": {"source": ["6.1"], "lab": [], "field": []},
        "cases": [],
        **more,
    }


def base(*rules: dict[str, Any]) -> KnowledgeBase:
    facts = [
        {
            "name": f"{r['id']}.{effect}",
            "type": "boolean",
            "unit": None,
            "over": ["once"],
            "doc": "x",
            "captures": ["trace"],
        }
        for r in rules
        for effect in EFFECTS
    ]
    facts += [
        {
            "name": f"{r['id']}.share",
            "type": "number",
            "unit": "%",
            "over": ["once"],
            "doc": "x",
            "captures": ["trace"],
        }
        for r in rules
    ]
    documents = [Document("facts/test.yaml", {"facts": facts})]
    documents += [Document(f"rules/test/{r['id']}.yaml", r) for r in rules]
    return load_documents(documents)


def outcome(
    kb: KnowledgeBase,
    *true: str,
    false: tuple[str, ...] = (),
    capped: bool = False,
    inferred: tuple[str, ...] = (),
) -> tuple[dict[str, str], str, str | None]:
    """Judge with the named facts true or false and all others unknown."""
    given = {name: Fact(name, name in true, inferred=name in inferred) for name in (*true, *false)}
    judged = judge(kb, COUNTER, Facts(given), {}, capped=capped)
    verdict = conclude(kb, judged)
    return {name: str(one.status) for name, one in judged.items()}, verdict.verdict, verdict.cause


def test_without_any_known_fact_everything_is_open_and_nothing_is_concluded() -> None:
    statuses, verdict, cause = outcome(base(rule("a"), rule("b")))
    assert statuses == {"a": "open", "b": "open"}
    assert (verdict, cause) == ("undetermined", None)


def test_a_confirming_and_an_excluding_fact_conflict_and_leave_it_open() -> None:
    kb = base(rule("a"))
    judged = judge(
        kb, COUNTER, Facts({n: Fact(n, value=True) for n in ("a.confirms", "a.rules_out")}), {}, capped=False
    )
    assert str(judged["a"].status) == "open"
    assert judged["a"].conflict


def test_ruled_out_goes_down_the_tree_even_against_a_confirming_fact() -> None:
    kb = base(rule("a"), rule("b", "a"), rule("c", "b"))
    statuses, verdict, _ = outcome(kb, "a.rules_out", "c.confirms")
    assert statuses == {"a": "ruled-out", "b": "ruled-out", "c": "ruled-out"}
    assert verdict == "undetermined"


def test_confirmed_and_likely_go_up_the_tree() -> None:
    kb = base(rule("a"), rule("b", "a"), rule("c", "b"))
    assert outcome(kb, "c.confirms") == (
        {"a": "confirmed", "b": "confirmed", "c": "confirmed"},
        "confirmed",
        "c",
    )
    assert outcome(kb, "c.supports") == ({"a": "likely", "b": "likely", "c": "likely"}, "likely", "c")


def test_a_weakening_fact_keeps_a_supported_rule_open() -> None:
    assert outcome(base(rule("a"), rule("b")), "a.supports", "a.weakens")[0]["a"] == "open"


def test_an_unknown_required_fact_keeps_a_supported_rule_open() -> None:
    supports = {"fact": "a.supports", "equals": True, "when_true": "supports", "when_false": "nothing"}
    needed = {"fact": "a.weakens", "equals": True, "when_true": "weakens", "when_false": "nothing"}
    kb = base(rule("a", tests=[supports, {**needed, "required": True}]), rule("b"))
    assert outcome(kb, "a.supports")[0]["a"] == "open"
    assert outcome(kb, "a.supports", false=("a.weakens",))[0]["a"] == "likely"


@pytest.mark.parametrize("how", ["capped", "inferred"])
def test_one_snapshot_or_an_inferred_join_is_never_more_than_likely(how: str) -> None:
    kb = base(rule("a"))
    statuses, verdict, cause = outcome(
        kb, "a.confirms", capped=how == "capped", inferred=("a.confirms",) if how == "inferred" else ()
    )
    assert statuses == {"a": "likely"}
    assert (verdict, cause) == ("likely", "a")


def test_a_rule_whose_gate_is_unknown_stays_a_candidate_and_is_never_more_than_likely() -> None:
    kb = base(rule("a", applies_when=[{"fact": "a.weakens", "equals": True}]))
    assert outcome(kb, "a.confirms")[0] == {"a": "likely"}
    assert outcome(kb, "a.confirms", "a.weakens")[0] == {"a": "confirmed"}
    assert outcome(kb, "a.confirms", false=("a.weakens",))[0] == {}


def test_several_likely_leaves_end_in_their_nearest_common_ancestor() -> None:
    kb = base(rule("top"), rule("mid", "top"), rule("x", "mid"), rule("y", "mid"), rule("z", "top"))
    assert outcome(kb, "x.supports", "y.supports")[1:] == ("likely", "mid")
    assert outcome(kb, "x.supports", "z.supports")[1:] == ("likely", "top")


def test_several_likely_leaves_without_a_common_ancestor_determine_nothing() -> None:
    assert outcome(base(rule("a"), rule("b")), "a.supports", "b.supports")[1:] == ("undetermined", None)


def test_when_all_other_usual_rules_are_ruled_out_the_last_is_likely() -> None:
    kb = base(rule("a"), rule("b"), rule("c"))
    assert outcome(kb, "a.rules_out", "b.rules_out")[1:] == ("likely", "c")
    assert outcome(kb, "a.rules_out")[1:] == ("undetermined", None)


def test_a_single_rule_is_not_likely_for_want_of_others() -> None:
    assert outcome(base(rule("a")))[1:] == ("undetermined", None)


def test_what_is_left_over_can_be_a_family() -> None:
    kb = base(rule("a"), rule("top"), rule("x", "top"), rule("y", "top"))
    assert outcome(kb, "a.rules_out")[1:] == ("likely", "top")
    assert outcome(kb, "a.rules_out", "x.rules_out")[1:] == ("likely", "y")


def test_what_is_left_over_but_weakened_is_not_likely() -> None:
    assert outcome(base(rule("a"), rule("b")), "a.rules_out", "b.weakens")[1:] == ("undetermined", None)


def test_an_unusual_rule_without_a_supporting_fact_stays_open_and_never_lowers_the_verdict() -> None:
    kb = base(rule("a"), rule("b"), rule("rare", rarity="unusual"))
    statuses, verdict, cause = outcome(kb, "a.rules_out")
    assert statuses["rare"] == "open"
    assert (verdict, cause) == ("likely", "b")


def test_an_unusual_rule_is_never_what_is_left_over() -> None:
    kb = base(rule("a"), rule("rare", rarity="unusual"))
    assert outcome(kb, "a.rules_out")[1:] == ("undetermined", None)


def test_an_unusual_rule_with_a_supporting_fact_counts() -> None:
    kb = base(rule("a"), rule("rare", rarity="unusual"))
    assert outcome(kb, "rare.supports")[1:] == ("likely", "rare")


def test_of_several_confirmed_the_largest_share_leads_and_the_rest_contribute() -> None:
    def sharing(name: str) -> dict[str, Any]:
        test = {
            "fact": f"{name}.share",
            "at_least": "0.1 %",
            "when_true": "confirms",
            "when_false": "rules-out",
        }
        return rule(name, tests=[test])

    kb = base(sharing("a"), sharing("b"), sharing("c"))
    given = {
        "a.share": Fact("a.share", 30.0),
        "b.share": Fact("b.share", 70.0),
        "c.share": Fact("c.share", 0.0),
    }
    judged = judge(kb, COUNTER, Facts(given), {}, capped=False)
    verdict = conclude(kb, judged)
    assert (verdict.verdict, verdict.cause, verdict.contributors) == ("confirmed", "b", ("a",))
    assert str(judged["c"].status) == "ruled-out"


def test_below_a_confirmed_rule_a_likely_one_is_the_cause_but_only_likely() -> None:
    kb = base(rule("top"), rule("x", "top"), rule("y", "top"))
    assert outcome(kb, "top.confirms", "x.supports")[1:] == ("likely", "x")
    assert outcome(kb, "top.confirms", "x.supports", "y.supports")[1:] == ("confirmed", "top")
    assert outcome(kb, "top.confirms")[1:] == ("confirmed", "top")


def test_missing_names_only_what_could_change_the_status() -> None:
    kb = base(rule("a"), rule("b"))
    given = {"a.confirms": Fact("a.confirms", value=True)}
    facts = Facts(given)
    judged = judge(kb, COUNTER, facts, {}, capped=False)
    by_id = {c.rule.id: c for c in candidates(kb, judged, facts, {})}
    assert by_id["a"].missing == ()
    assert by_id["b"].missing == ("trace",)


def test_candidates_come_the_surest_first_with_the_evidence_that_is_known() -> None:
    kb = base(rule("a"), rule("b"), rule("c"))
    given = {
        "c.confirms": Fact("c.confirms", value=True, captures=("host/0/x",)),
        "a.rules_out": Fact("a.rules_out", value=True),
    }
    facts = Facts(given)
    found = candidates(kb, judge(kb, COUNTER, facts, {}, capped=False), facts, {})
    assert [(c.rule.id, str(c.status)) for c in found] == [
        ("c", "confirmed"),
        ("b", "open"),
        ("a", "ruled-out"),
    ]
    assert [(e.fact, e.effect, e.captures) for e in found[0].evidence] == [
        ("c.confirms", "confirms", ("host/0/x",))
    ]
    assert found[1].evidence == ()
