# SPDX-License-Identifier: Apache-2.0
"""Lint tells each kind of fault, with file and place, and nothing else."""

import re
import shutil
from pathlib import Path

import pytest

from vnetkb.kb.lint import FaultCode, lint_kb

SMALL = Path(__file__).parent / "small"

FULL = "rules/tap/box-full.yaml"
TOO_SMALL = "rules/tap/box-too-small.yaml"
SITES = "sites/box.yaml"
FACTS = "facts/box.yaml"

EQUALS = "    equals: stopped\n"
SAYS = '    says: "the reader of {tap} is {value}"\n'
RULES_OUT = "    when_false: rules-out\n"

# Each row breaks one thing: the file, what is replaced, by what, the fault, its place, and words of its text.
BROKEN = [
    # YAML and schema
    (
        FULL,
        "kind: cause\n",
        "kind: cause\nkind: cause\n",
        FaultCode.YAML,
        "",
        "line 3: key 'kind' occurs twice",
    ),
    (FULL, "doc: Nobody", "docs: Nobody", FaultCode.SCHEMA, "", "doc is missing"),
    (
        FULL,
        "kind: cause\n",
        "kind: because\n",
        FaultCode.SCHEMA,
        "kind",
        "found text 'because', expected one of cause, ",
    ),
    (FULL, SAYS, SAYS + "    sayz: x\n", FaultCode.SCHEMA, "tests[0]", "there is no sayz here, only fact, "),
    (
        FULL,
        EQUALS,
        EQUALS + "    any: [{fact: box.state, equals: stopped}]\n",
        FaultCode.SCHEMA,
        "tests[0]",
        "exactly one of",
    ),
    (FULL, "stopped}, beh", "{}}, beh", FaultCode.SCHEMA, "cases[0].facts.box.state", "is empty"),
    (
        FACTS,
        "over: [once, ends]\n    doc: Slots",
        "over: [twice]\n    doc: Slots",
        FaultCode.SCHEMA,
        "facts[0].over[0]",
        "'twice'",
    ),
    (
        SITES,
        "file: drivers/net/box.c\n    function: box_xmit\n    statement: if (!",
        "file: /etc/passwd\n    function: box_xmit\n    statement: if (!",
        FaultCode.SCHEMA,
        "sites[1].file",
        "does not match",
    ),
    ("harm.yaml", "harm: unknown", "harm: maybe", FaultCode.SCHEMA, "harm[1].harm", "'maybe'"),
    (
        "remedies/box.yaml",
        "undo: Stop it again.",
        "undo: ''",
        FaultCode.SCHEMA,
        "remedies[0].undo",
        "is empty",
    ),
    ("captures/host.yaml", "when: snapshot", "when: often", FaultCode.SCHEMA, "captures[0].when", "'often'"),
    (
        "counters/box.yaml",
        "id: tap.rx_dropped",
        "id: tapp.rx_dropped",
        FaultCode.SCHEMA,
        "counters[1].id",
        "does not match",
    ),
    ("behaviours.yaml", "upstream:", "upstreams:", FaultCode.SCHEMA, "behaviours[0].ranges", "'upstreams'"),
    # references
    (FULL, "fact: box.state", "fact: box.stat", FaultCode.UNKNOWN_FACT, "tests[0].fact", "'box.stat'"),
    (
        TOO_SMALL,
        "box.offered, times",
        "box.offer, times",
        FaultCode.UNKNOWN_FACT,
        "tests[0].all[2].any[0].below.fact",
        "'box.offer'",
    ),
    (
        FULL,
        "box.box_xmit.detached]",
        "box.box_xmit.detachd]",
        FaultCode.UNKNOWN_SITE,
        "sites",
        "'box.box_xmit.detachd'",
    ),
    (
        FULL,
        "explains: [tap.tx_dropped]",
        "explains: [tap.tx_dropped, tap.tx_drop]",
        FaultCode.UNKNOWN_COUNTER,
        "explains",
        "'tap.tx_drop'",
    ),
    (
        "counters/box.yaml",
        "related: [tap.tx_dropped]",
        "related: [tap.txd]",
        FaultCode.UNKNOWN_COUNTER,
        "related",
        "'tap.txd'",
    ),
    (
        FULL,
        "remedies: [read-it]",
        "remedies: [read-it, read-them]",
        FaultCode.UNKNOWN_REMEDY,
        "remedies",
        "'read-them'",
    ),
    (
        "remedies/box.yaml",
        "    persistent: {libvirt: Nothing to set.}\n",
        "    kind: setting\n",
        FaultCode.REMEDY_KIND,
        "persistent",
        "a setting needs its persistent form",
    ),
    (
        FACTS,
        "doc: Flags of the device.\n    captures: [sysfs-net]",
        "doc: Flags of the device.\n    captures: [sysfs-net, proc-more]",
        FaultCode.UNKNOWN_CAPTURE,
        "captures",
        "'proc-more'",
    ),
    (
        FULL,
        "behaviour: box-has-ring",
        "behaviour: box-has-rings",
        FaultCode.UNKNOWN_BEHAVIOUR,
        "applies_when",
        "'box-has-rings'",
    ),
    (
        FULL,
        "behaviours: {box-has-ring: true}",
        "behaviours: {box-has: true}",
        FaultCode.UNKNOWN_BEHAVIOUR,
        "cases",
        "'box-has'",
    ),
    (
        SITES,
        "{behaviour: box-has-ring,",
        "{behaviour: box-has,",
        FaultCode.UNKNOWN_BEHAVIOUR,
        "behaviours",
        "'box-has'",
    ),
    ("harm.yaml", "one_of: [box-full]", "one_of: [box-ful]", FaultCode.UNKNOWN_CAUSE, "when", "'box-ful'"),
    (TOO_SMALL, "refines: box-full", "refines: box-ful", FaultCode.REFINES, "refines", "no rule 'box-ful'"),
    ("walkthrough/01-the-box.md", "`box-full`", "`box-ful`", FaultCode.WALKTHROUGH, "line 2", "box-ful"),
    # types and units
    (
        TOO_SMALL,
        "at_least: 0.02 s",
        "at_least: 5 %",
        FaultCode.UNIT,
        "tests[0].all[0].at_least",
        "box.wait is in ms",
    ),
    (
        TOO_SMALL,
        'below: {fact: box.offered, times: "0.5"}',
        "below: {fact: box.wait}",
        FaultCode.UNIT,
        "tests[0].all[2].any[0].below",
        "does not convert",
    ),
    (FACTS, "unit: ms", "unit: parsecs", FaultCode.SCHEMA, "facts[2].unit", "'parsecs'"),
    (
        FACTS,
        "type: boolean\n    unit: null",
        "type: boolean\n    unit: ms",
        FaultCode.UNIT,
        "facts[5].unit",
        "a boolean has no unit",
    ),
    (
        TOO_SMALL,
        "equals: 0}",
        "equals: none}",
        FaultCode.UNIT,
        "tests[0].all[2].any[1].equals",
        "not a number",
    ),
    (
        TOO_SMALL,
        "equals: 0}",
        'equals: "0.5"}',
        FaultCode.TYPE,
        "tests[0].all[2].any[1].equals",
        "is an integer",
    ),
    (
        TOO_SMALL,
        "equals: 0}",
        "equals: true}",
        FaultCode.TYPE,
        "tests[0].all[2].any[1].equals",
        "found a boolean",
    ),
    (
        TOO_SMALL,
        "{samples: [20,",
        "{samples: [5 %,",
        FaultCode.UNIT,
        "cases[0].facts.box.wait.samples[0]",
        "box.wait is in ms",
    ),
    (FULL, EQUALS, "    equals: dead\n", FaultCode.VALUE, "tests[0].equals", "one of running, stopped"),
    (
        FULL,
        "{box.state: running}",
        "{box.state: sprints}",
        FaultCode.VALUE,
        "cases[1].facts.box.state",
        "one of running, stopped",
    ),
    (FULL, EQUALS, "    equals: 1\n", FaultCode.TYPE, "tests[0].equals", "box.state is a string"),
    (FULL, EQUALS, "    at_least: 1\n", FaultCode.OPERATOR, "tests[0].at_least", "needs a number"),
    (FULL, EQUALS, "    contains: stopped\n", FaultCode.OPERATOR, "tests[0].contains", "needs a set"),
    (
        FULL,
        EQUALS,
        EQUALS + "    not_equals: running\n",
        FaultCode.OPERATOR,
        "tests[0]",
        "found operators equals, not_equals",
    ),
    (FULL, EQUALS, "", FaultCode.OPERATOR, "tests[0]", "found operators none"),
    (
        FULL,
        "over: both_ends",
        "over: all_samples",
        FaultCode.EXTENT,
        "tests[0].over",
        "has values once, ends, not samples",
    ),
    (FULL, "{tap}", "{tab}", FaultCode.PLACEHOLDER, "tests[0].says", "{tab}"),
    ("harm.yaml", "{box.state}", "{box.stat}", FaultCode.PLACEHOLDER, "reason", "{box.stat}"),
    ("remedies/box.yaml", "{pid}", "{pidd}", FaultCode.PLACEHOLDER, "command", "{pidd}"),
    # rules that cannot work
    (
        TOO_SMALL,
        "1000\n    when_true: rules-out",
        "1000\n    when_true: nothing",
        FaultCode.UNREACHABLE,
        "tests[1]",
        "neither outcome has an effect",
    ),
    (
        TOO_SMALL,
        "    when_true: confirms\n",
        "    when_true: confirms\n    says_false: no\n",
        FaultCode.UNREACHABLE,
        "tests[0]",
        "says_false is never shown",
    ),
    (
        FULL,
        "    over: both_ends\n",
        "    hold: any\n",
        FaultCode.UNREACHABLE,
        "tests[0]",
        "hold without over",
    ),
    (
        TOO_SMALL,
        "- {not: {fact: box.flags, contains: UP}}",
        "- {fact: box.length, equals: 1}\n      - {fact: box.length, equals: 2}",
        FaultCode.UNREACHABLE,
        "tests[0]",
        "two values at once",
    ),
    (
        FULL,
        "{name: runs, facts: {box.state: running}, expect: {status: ruled-out}}",
        "{name: runs, facts: {}, expect: {status: open}}",
        FaultCode.CASES,
        "cases",
        "no case expects ruled-out",
    ),
    (FULL, "status: likely", "status: open", FaultCode.CASES, "cases", "no case expects confirmed or likely"),
    (FULL, "name: runs", "name: stopped", FaultCode.CASES, "cases", "two cases are named 'stopped'"),
    (
        TOO_SMALL,
        "proof: {source: [6.1]}",
        "proof: {}",
        FaultCode.PROOF,
        "proof",
        "it confirms and has no proof",
    ),
    (
        FULL,
        "explains: [tap.tx_dropped]",
        "explains: []",
        FaultCode.EXPLAINS,
        "explains",
        "explains no counter",
    ),
    (
        FULL,
        "explains: [tap.tx_dropped]",
        "explains: [tap.rx_dropped]",
        FaultCode.EXPLAINS,
        "explains",
        "box.box_xmit.ring_full moves tap.tx_dropped, none of which",
    ),
    # sites and behaviours
    (
        SITES,
        "trigger: Do not read.",
        "trigger: Do not read.\n    applies_when: [{behaviour: box-has-lid, present: true}]",
        FaultCode.UNKNOWN_BEHAVIOUR,
        "applies_when",
        "box-has-lid",
    ),
    (
        SITES,
        "trigger: Do not read.",
        "trigger: Do not read.\n    applies_when: [{fact: box.colour, equals: red}]",
        FaultCode.UNKNOWN_FACT,
        "sites[0].applies_when[0].fact",
        "there is no fact 'box.colour'",
    ),
    (
        SITES,
        "reasons: [{text: SKB_DROP_REASON_FULL_RING, kernels: [6.1]}]",
        "reasons: [{text: SKB_DROP_REASON_FULL_RING, kernels: [6.12]}]",
        FaultCode.KERNELS,
        "",
        "6.12 is not among its kernels",
    ),
    (
        SITES,
        "silent: [5.10]\n",
        "silent: [5.10]\n    since: {6.12: 6.12.3}\n",
        FaultCode.KERNELS,
        "since",
        "6.12 is not among its kernels",
    ),
    (
        SITES,
        "silent: [5.10]",
        "silent: [5.10, 6.1]",
        FaultCode.KERNELS,
        "silent",
        "6.1 is silent, yet a counter moves",
    ),
    (
        SITES,
        "    silent: [5.10]\n",
        "",
        FaultCode.KERNELS,
        "silent",
        "neither moves a counter nor is silent in 5.10",
    ),
    (
        SITES,
        "statement: if (!box->ring)",
        "statement: [{text: if (!box->ring), kernels: [6.1]}]",
        FaultCode.KERNELS,
        "statement",
        "no statement for 5.10",
    ),
    (
        SITES,
        "trigger: Detach the box.\n    proof: {source: [5.10, 6.1]}",
        "trigger: Detach the box.\n    proof: {source: [6.1]}",
        FaultCode.PROOF,
        "proof",
        "5.10 was not read",
    ),
    (
        SITES,
        "- id: box.box_xmit.detached",
        "- id: box.box_send.detached",
        FaultCode.FILE_NAME,
        "id",
        "its function is box_xmit()",
    ),
    (
        "behaviours.yaml",
        "{from: null, below: 5.11,",
        "{from: null, below: 6.2,",
        FaultCode.VALUE,
        "ranges.upstream[1]",
        "two ranges overlap",
    ),
    (
        "behaviours.yaml",
        "below: 5.11,",
        "below: null,",
        FaultCode.VALUE,
        "ranges.upstream[1]",
        "two ranges overlap",
    ),
    (
        "behaviours.yaml",
        "{from: null, below: 5.11,",
        "{from: 5.11, below: 5.10,",
        FaultCode.VALUE,
        "ranges.upstream[0]",
        "the range is empty",
    ),
    (
        "behaviours.yaml",
        "proof: {public: [el8]}",
        "proof: {}",
        FaultCode.PROOF,
        "ranges.el8[0]",
        "a range without proof",
    ),
    (
        "behaviours.yaml",
        "equals: true}",
        "not_equals: true}",
        FaultCode.FEATURE,
        "feature",
        "one comparison of one fact",
    ),
    (
        "remedies/box.yaml",
        "remedies:\n",
        "remedies:\n  - {id: other, title: T, text: T, costs: c, helps: h, check: c, undo: u, proof: {}}\n",
        FaultCode.UNUSED,
        "",
        "no rule names it",
    ),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(SMALL, tmp_path / "kb")


def replace(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} is in {file} {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_small_knowledge_base_has_no_fault() -> None:
    assert lint_kb(SMALL) == []


def test_our_own_knowledge_base_has_no_fault() -> None:
    assert [str(fault) for fault in lint_kb()] == []


@pytest.mark.parametrize(
    ("file", "old", "new", "code", "place", "words"),
    BROKEN,
    ids=[f"{row[3]}-{number}" for number, row in enumerate(BROKEN)],
)
def test_a_fault_is_told_with_its_place(  # noqa: PLR0917 - the columns of the table
    copy: Path, file: str, old: str, new: str, code: FaultCode, place: str, words: str
) -> None:
    replace(copy, file, old, new)
    told = [fault for fault in lint_kb(copy) if fault.code is code and words in fault.text]
    assert [(fault.file, fault.path) for fault in told] == [(file, place)]
    assert re.fullmatch(r"[^\n]+\[" + code + r"\]", str(told[0]))


def test_a_site_that_no_cause_names_is_told_at_the_site(copy: Path) -> None:
    replace(copy, FULL, ", box.box_xmit.detached]", "]")
    text = "box.box_xmit.detached: it moves tap.tx_dropped, and no cause that explains that names it"
    assert [str(fault) for fault in lint_kb(copy)] == [f"{SITES}: {text} [site-without-rule]"]


def test_a_site_that_a_cause_cannot_name_on_some_kernel_is_told_with_the_kernel(copy: Path) -> None:
    replace(
        copy, FULL, "sites: [box.box_xmit.ring_full, box.box_xmit.detached]", "sites: [box.box_xmit.detached]"
    )
    replace(copy, TOO_SMALL, "\ndoc:", "\napplies_when: [{behaviour: box-has-ring, present: false}]\ndoc:")
    told = [fault.text for fault in lint_kb(copy) if fault.code is FaultCode.SITE_WITHOUT_RULE]
    text = "it moves tap.tx_dropped in 6.1, and no cause that explains that names it"
    assert f"box.box_xmit.ring_full: {text}" in told


SYMPTOMS = """symptoms:
  - counter: tap.tx_dropped
    called: host TX dropped (= guest RX)
    passed: []
    share_of: null
"""


def test_a_counter_of_loss_is_a_symptom_or_says_why_not(copy: Path) -> None:
    held = "unwatched:\n  - {id: held, counters: [tap.rx_dropped], why: Held by another.}\n"
    (copy / "unwatched.yaml").write_text(held, encoding="utf-8")
    (copy / "symptoms.yaml").write_text(SYMPTOMS, encoding="utf-8")
    assert lint_kb(copy) == []
    (copy / "unwatched.yaml").unlink()
    assert [(fault.code, fault.file) for fault in lint_kb(copy)] == [
        (FaultCode.UNWATCHED, "counters/box.yaml")
    ]
    both = held.replace("[tap.rx_dropped]", "[tap.rx_dropped, tap.tx_dropped]")
    (copy / "unwatched.yaml").write_text(both, encoding="utf-8")
    assert [(fault.code, fault.file) for fault in lint_kb(copy)] == [(FaultCode.UNWATCHED, "unwatched.yaml")]


def test_a_duplicate_is_told_with_the_other_file(copy: Path) -> None:
    shutil.copy(copy / SITES, copy / "sites/other.yaml")
    told = [fault for fault in lint_kb(copy) if fault.code is FaultCode.DUPLICATE]
    assert [(fault.file, fault.path) for fault in told] == [
        ("sites/other.yaml", "sites[0]"),
        ("sites/other.yaml", "sites[1]"),
    ]
    assert "sites/box.yaml" in told[0].text


def test_a_rule_is_in_the_file_of_its_name(copy: Path) -> None:
    (copy / FULL).rename(copy / "rules/tap/full.yaml")
    assert [(fault.code, fault.file, fault.path) for fault in lint_kb(copy)] == [
        (FaultCode.FILE_NAME, "rules/tap/full.yaml", "id")
    ]


def test_a_circle_of_refinements_is_told_at_each_of_its_rules(copy: Path) -> None:
    replace(copy, FULL, "kind: cause\n", "kind: cause\nrefines: box-too-small\n")
    told = [fault for fault in lint_kb(copy) if fault.code is FaultCode.REFINES]
    assert sorted(fault.file for fault in told) == [FULL, TOO_SMALL]
    assert "refines itself" in told[0].text


def test_a_cause_without_tests_is_told(copy: Path) -> None:
    path = copy / TOO_SMALL
    text = path.read_text(encoding="utf-8")
    start, end = text.index("tests:"), text.index("limits:")
    path.write_text(text[:start] + "tests: []\n" + text[end:], encoding="utf-8")
    told = [fault.text for fault in lint_kb(copy) if fault.code is FaultCode.UNREACHABLE]
    assert told == ["a cause without tests can never be told"]


def test_advice_needs_neither_counter_nor_cases(copy: Path) -> None:
    (copy / "rules/advice").mkdir()
    (copy / "rules/advice/be-nice.yaml").write_text(
        "{id: be-nice, kind: advice, title: T, explains: [], doc: d, limits: l, proof: {}}", encoding="utf-8"
    )
    assert lint_kb(copy) == []


def test_an_overlay_is_held_to_the_same_and_named_by_its_path(copy: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "mine"
    shutil.copytree(copy / "rules", overlay / "rules")
    replace(overlay, FULL, "{tap}", "{tab}")
    assert [(fault.code, fault.file) for fault in lint_kb(copy, [overlay])] == [
        (FaultCode.PLACEHOLDER, str(overlay / FULL))
    ]


def test_all_faults_are_told_at_once_in_order(copy: Path) -> None:
    replace(copy, FULL, "{tap}", "{tab}")
    replace(copy, TOO_SMALL, "at_least: 0.02 s", "at_least: 5 %")
    replace(copy, "harm.yaml", "one_of: [box-full]", "one_of: [box-ful]")
    assert [fault.code for fault in lint_kb(copy)] == [
        FaultCode.UNKNOWN_CAUSE,
        FaultCode.PLACEHOLDER,
        FaultCode.UNIT,
    ]


def test_what_an_item_lacks_is_one_fault(tmp_path: Path) -> None:
    rule = tmp_path / "rules/site/mine.yaml"
    rule.parent.mkdir(parents=True)
    rule.write_text("id: mine\n", encoding="utf-8")
    (fault,) = lint_kb(overlays=[tmp_path])
    assert (fault.code, "kind is missing, title is missing" in fault.text) == (FaultCode.SCHEMA, True)


def test_an_overlay_that_is_laid_out_otherwise_is_a_fault(copy: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "mine"
    overlay.mkdir()
    assert [(fault.code, fault.file) for fault in lint_kb(copy, [overlay])] == [
        (FaultCode.LAYOUT, str(overlay))
    ]


def test_every_kind_of_fault_is_tested() -> None:
    tested = {row[3] for row in BROKEN}
    tested |= {FaultCode.DUPLICATE, FaultCode.SITE_WITHOUT_RULE, FaultCode.LAYOUT, FaultCode.UNWATCHED}
    assert tested == set(FaultCode)
