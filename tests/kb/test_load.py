# SPDX-License-Identifier: Apache-2.0
"""The knowledge base is read strictly, once, and alike from YAML and from its compiled form."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vnetkb import paths
from vnetkb.errors import EXIT_DEFECT, EXIT_UNUSABLE_INPUT, KnowledgeFault
from vnetkb.kb import load
from vnetkb.kb.model import (
    AllOf,
    AnyOf,
    BehaviourIs,
    CaseValue,
    Effect,
    FactOperand,
    FactTest,
    FindingIs,
    Harm,
    KnowledgeBase,
    Not,
    Operator,
    Over,
    Status,
    facts_of,
)

SMALL = Path(__file__).parent / "small"


@pytest.fixture
def small() -> KnowledgeBase:
    return load.load_documents(list(load.read_folder(SMALL)))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(SMALL, tmp_path / "kb")


def broken(folder: Path, file: str, old: str, new: str) -> Path:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def test_our_own_knowledge_base_loads() -> None:
    kb = load.load_kb()
    assert "tap-ring-full" in kb.rules
    assert "tap.tx_dropped" in kb.counters
    assert "tun.tun_net_xmit.ring_full" in kb.sites


def test_a_condition_has_its_operand_in_the_type_and_unit_of_its_fact(small: KnowledgeBase) -> None:
    condition = small.rules["box-too-small"].tests[0].condition
    assert condition == AllOf(
        (
            FactTest("box.wait", Operator.AT_LEAST, 20, Over.DROP_SAMPLES),
            Not(FactTest("box.flags", Operator.CONTAINS, "UP")),
            AnyOf(
                (
                    FactTest("box.length", Operator.BELOW, FactOperand("box.offered", 0.5)),
                    FactTest("box.length", Operator.EQUALS, 0),
                )
            ),
        )
    )
    assert facts_of(condition) == {"box.wait", "box.flags", "box.length", "box.offered"}


def test_a_rule_has_its_parts(small: KnowledgeBase) -> None:
    rule = small.rules["box-full"]
    assert rule.area == "tap"
    assert rule.applies_when == (BehaviourIs("box-has-ring", present=True),)
    assert (rule.tests[0].when_true, rule.tests[0].when_false) == (Effect.SUPPORTS, Effect.RULES_OUT)
    assert not rule.tests[0].required
    assert [case.expect for case in rule.cases] == [Status.LIKELY, Status.RULED_OUT, Status.OPEN]
    assert rule.cases[0].behaviours == {"box-has-ring": True}


def test_a_case_gives_one_value_for_all_moments_or_each_apart(small: KnowledgeBase) -> None:
    facts = small.rules["box-too-small"].cases[0].facts
    assert facts["box.length"] == CaseValue(1, uniform=True)
    assert facts["box.offered"] == CaseValue(9.5, uniform=True)
    assert facts["box.wait"] == CaseValue(None, samples=(20, 30, None))
    assert facts["box.flags"] == CaseValue(frozenset(), uniform=True)
    assert small.rules["box-too-small"].cases[1].facts["box.length"] == CaseValue(1000, ends=(1000, 1000))


def test_the_tree_of_rules_can_be_walked_both_ways(small: KnowledgeBase) -> None:
    assert small.ancestors("box-too-small") == ("box-full",)
    assert small.ancestors("box-full") == ()
    assert small.refinements("box-full") == ("box-too-small",)
    assert small.refinements("box-too-small") == ()


def test_harm_keeps_its_order_and_tests_the_finding(small: KnowledgeBase) -> None:
    assert [line.harm for line in small.harm] == [Harm.HARMLESS, Harm.UNKNOWN]
    assert small.harm[0].when[:2] == (
        FindingIs("cause", frozenset({"box-full"})),
        FindingIs("state", frozenset({"past"})),
    )


def test_a_site_knows_where_it_is_silent_and_where_it_counts(small: KnowledgeBase) -> None:
    site = small.sites["box.box_xmit.detached"]
    assert site.silent
    assert site.silent_kernels == ("5.10",)
    assert [(move.counter, move.kernels, move.function) for move in site.moves] == [
        ("tap.tx_dropped", ("6.1",), "box_xmit")
    ]
    assert not small.sites["box.box_xmit.ring_full"].silent


def test_every_item_knows_its_document(small: KnowledgeBase) -> None:
    assert small.origins["rules", "box-full"] == "rules/tap/box-full.yaml"
    assert small.origins["harm", "not-known"] == "harm.yaml"
    assert small.origins["sites", "box.box_xmit.detached"] == "sites/box.yaml"


def test_the_compiled_form_is_the_same_knowledge_base(tmp_path: Path) -> None:
    compiled = tmp_path / "kb.json"
    compiled.write_bytes(load.compile_kb(paths.kb_dir()))
    from_json = load.load_documents(list(load.read_compiled(compiled)))
    from_yaml = load.load_documents(list(load.read_folder(paths.kb_dir())))
    for name in (
        "captures",
        "counters",
        "sites",
        "behaviours",
        "facts",
        "rules",
        "remedies",
        "harm",
        "symptoms",
        "origins",
    ):
        assert getattr(from_json, name) == getattr(from_yaml, name), name
    assert from_json == from_yaml


def test_a_compiled_form_of_another_layout_is_refused(tmp_path: Path) -> None:
    for content in ('{"format": 1, "documents": {}}', "[]", "{"):
        (tmp_path / "kb.json").write_text(content, encoding="utf-8")
        with pytest.raises(KnowledgeFault, match=r"kb\.json"):
            list(load.read_compiled(tmp_path / "kb.json"))


def test_nothing_broken_is_compiled(copy: Path) -> None:
    broken(
        copy,
        "counters/box.yaml",
        "measures: loss\n    doc: Packets of",
        "measures_: loss\n    doc: Packets of",
    )
    with pytest.raises(KnowledgeFault, match=r"counters/box.yaml: counters\[1\]: 'measures' is missing"):
        load.compile_kb(copy)


def test_a_broken_document_of_ours_is_a_defect_and_named(copy: Path) -> None:
    broken(copy, "rules/tap/box-full.yaml", "fact: box.state", "fact: box.stat")
    with pytest.raises(
        KnowledgeFault, match=r"rules/tap/box-full.yaml: tests\[0\].fact: there is no fact"
    ) as told:
        load.load_documents(list(load.read_folder(copy)))
    assert told.value.exit_status == EXIT_DEFECT


def test_a_broken_overlay_is_the_users(copy: Path) -> None:
    broken(copy, "facts/box.yaml", "unit: ms", "unit: parsecs")
    documents = [*load.read_folder(SMALL), *load.read_folder(copy, overlay=copy)]
    with pytest.raises(KnowledgeFault, match="parsecs") as told:
        load.load_documents(documents)
    assert told.value.exit_status == EXIT_UNUSABLE_INPUT
    assert str(copy) in told.value.message


def test_a_missing_overlay_is_the_users(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeFault, match="not a folder") as told:
        load.load_kb([tmp_path / "nothing"])
    assert told.value.exit_status == EXIT_UNUSABLE_INPUT


def test_what_is_no_strict_yaml_names_file_and_line(copy: Path) -> None:
    broken(copy, "harm.yaml", "    harm: unknown\n", "    harm: unknown\n    harm: watch\n")
    with pytest.raises(KnowledgeFault, match=r"harm\.yaml: line 11: key 'harm' occurs twice"):
        load.load_documents(list(load.read_folder(copy)))


def test_an_overlay_replaces_and_adds(copy: Path, small: KnowledgeBase) -> None:
    broken(copy, "rules/tap/box-full.yaml", "title: The ring is full", "title: Mine")
    broken(copy, "harm.yaml", "id: not-known", "id: mine")
    documents = [*load.read_folder(SMALL), *load.read_folder(copy, overlay=copy)]
    merged = load.load_documents(documents)
    assert merged.rules["box-full"].title == "Mine"
    assert merged.origins["rules", "box-full"] == str(copy / "rules/tap/box-full.yaml")
    assert set(merged.rules) == set(small.rules)
    assert [line.id for line in merged.harm] == ["stopped-on-purpose", "mine", "not-known"]


def test_load_kb_takes_overlays(tmp_path: Path) -> None:
    (tmp_path / "facts").mkdir()
    fact = {
        "name": "own.fact",
        "type": "boolean",
        "unit": None,
        "over": ["once"],
        "doc": "Mine.",
        "captures": [],
    }
    (tmp_path / "facts/own.yaml").write_text(json.dumps({"facts": [fact]}), encoding="utf-8")
    assert "own.fact" in load.load_kb([tmp_path]).facts


def test_other_files_are_not_read(copy: Path, small: KnowledgeBase) -> None:
    (copy / "locale").mkdir()
    (copy / "locale/rules.yaml").write_text("a: [", encoding="utf-8")
    (copy / "rules/tap/notes.md").write_text("a: [", encoding="utf-8")
    assert load.load_documents(list(load.read_folder(copy))) == small


def test_the_reference_part_is_only_read_when_asked_for(copy: Path) -> None:
    broken(copy, "sites/box.yaml", "trigger: Do not read.", "triggers: Do not read.")
    kb = load.load_documents(list(load.read_folder(copy)))
    assert "box-full" in kb.rules
    with pytest.raises(KnowledgeFault, match="'trigger' is missing"):
        len(kb.sites)


@pytest.mark.parametrize("module", ["jsonschema", "tree_sitter", "difflib", "vnetkb.kb.reference"])
def test_loading_does_not_import(module: str) -> None:
    code = f"import sys; from vnetkb.kb.load import load_kb; load_kb(); sys.exit({module!r} in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0


def test_the_compiled_form_needs_no_yaml(tmp_path: Path) -> None:
    compiled = tmp_path / "kb.json"
    compiled.write_bytes(load.compile_kb(SMALL))
    code = (
        "import sys, pathlib; from vnetkb.kb import load;"
        f"load.load_documents(list(load.read_compiled(pathlib.Path({str(compiled)!r}))));"
        "sys.exit('yaml' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0


def test_one_site_is_the_same_whether_read_alone_or_with_all() -> None:
    alone, whole = load.load_kb(), load.load_kb()
    assert len(whole.sites) > 100
    for name in ("tun.tun_net_xmit.ring_full", "sch_generic.noop_enqueue.drop"):
        assert alone.sites[name] == whole.sites[name]
    with pytest.raises(KeyError):
        alone.sites["tun.no_such_function.at_all"]
