# SPDX-License-Identifier: Apache-2.0
"""What the lab proved is kept as data, the knowledge base says just that, and none of it is out of date."""

import pytest

import guests
from vnetkb.kb.load import load_kb
from vnetlab import images, proof, scenarios
from vnetlab.verdict import TREE

KB = TREE / "kb"
KEPT = proof.load(KB)
SCENARIOS = scenarios.load()


def test_proof_lab_of_rules_and_sites_is_what_the_lab_proved() -> None:
    outdated = proof.changes(KB, KEPT, SCENARIOS)
    assert not outdated, f"run tests/lab/prove.py: {[file.name for file in outdated]}"


def test_the_readme_has_the_table_of_results() -> None:
    text = (TREE / "tests/lab/README.md").read_text(encoding="utf-8")
    assert proof.table(KEPT, SCENARIOS, list(images.KERNELS)) in text
    assert proof.guest_table(KEPT, list(images.KERNELS)) in text


def test_every_recorded_guest_has_a_result_that_is_right() -> None:
    right = {
        f"{name}-{kernel}.tar.gz"
        for name, entry in KEPT["guests"].items()
        for kernel, run in entry["kernels"].items()
        if run["right"]
    }
    recorded = {bundle.name for bundle in guests.BUNDLES.glob("*.tar.gz")}
    assert right == recorded, "run tests/lab/prove.py"


def test_every_result_is_of_a_scenario_as_it_is_now() -> None:
    assert {name: one["sum"] for name, one in KEPT["scenarios"].items()} == {
        name: SCENARIOS[name].sum for name in KEPT["scenarios"]
    }
    made = {
        (name, kernel): run.get("sum", entry["sum"])
        for name, entry in KEPT["scenarios"].items()
        for kernel, run in entry["kernels"].items()
    }
    assert made == {(name, kernel): scenarios.load(kernel)[name].sum for name, kernel in made}


def test_kernels_of_results_are_those_of_the_lab() -> None:
    kernels = {kernel for entry in KEPT["scenarios"].values() for kernel in entry["kernels"]}
    assert kernels <= images.KERNELS.keys()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_names_sites_and_rules_of_the_knowledge_base(name: str) -> None:
    kb = load_kb()
    for kernel in images.KERNELS:
        scenario = scenarios.load(kernel)[name]
        assert set(scenario.truth.sites) <= kb.sites.keys()
        for expect in (scenario.expect, scenario.plain, scenario.once):
            assert {cause for cause in (*expect.cause, *expect.contributors) if cause} <= kb.rules.keys()


SITE = """\
sites:
  - id: tun.one
    proof:
      source: [6.1]
      lab: [gone]
      field: [field-note]
  - id: tun.two
    proof: {source: [6.1], lab: ["old"]}
  - id: tun.three
    proof:
      source: [6.1]
"""


def test_proof_is_entered_replaced_and_taken_away() -> None:
    wanted = {"tun.one": ["a", "b"], "tun.three": ["c"]}
    text = proof.sites_text(SITE, lambda site: lambda _: wanted.get(site, []))
    assert "      source: [6.1]\n      lab: [a, b]\n      field: [field-note]\n" in text
    assert "    proof: {source: [6.1]}\n" in text
    assert text.endswith("      source: [6.1]\n      lab: [c]\n")
    again = proof.sites_text(text, lambda site: lambda names: [*names, "d"] if site == "tun.two" else names)
    assert "    proof: {source: [6.1], lab: [d]}\n" in again


def test_a_wrong_verdict_proves_a_site_and_no_rule() -> None:
    run = {"made": True, "right": False, "whole": {"verdict": "likely", "cause": "some-rule"}}
    kept = {"scenarios": {"one": {"sites": ["tun.one"], "kernels": {"6.1": run}}}}
    assert proof.proofs(kept) == ({}, {"tun.one": ["one"]})


def test_an_answer_that_is_only_allowed_proves_no_rule() -> None:
    run = {"made": True, "right": True, "whole": {"verdict": "likely", "cause": "some-rule"}}
    kept = {"scenarios": {"one": {"sites": [], "expected": ["another"], "kernels": {"5.10": run}}}}
    assert proof.proofs(kept) == ({}, {})


def test_a_guest_proves_its_cause_where_it_was_right() -> None:
    guest = {"cause": "some-rule", "kernels": {"6.1": {"said": "", "right": False}}}
    assert proof.proofs({"scenarios": {}, "guests": {"one": guest}}) == ({}, {})
    guest["kernels"] = {"6.1": {"said": "", "right": False}, "7.2": {"said": "", "right": True}}
    assert proof.proofs({"scenarios": {}, "guests": {"one": guest}}) == ({"some-rule": ["guest:one"]}, {})
