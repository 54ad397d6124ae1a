# SPDX-License-Identifier: Apache-2.0
"""A site's own knowledge beside ours: rules, remedies and texts as data, linted before they are used."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulated import Device, Host
from vnetkb import paths

RULE = """\
id: site-qos-agent
kind: cause
title: The site's QoS agent has set the length of the ring to 0
refines: tap-ring-size-zero
rarity: usual
explains: [tap.tx_dropped]
sites: [tun.tun_net_xmit.ring_full]
applies_when:
  - {fact: tap.driver, equals: tun}
doc: Our QoS agent writes 0 where a port has no profile.
tests:
  - fact: tap.tx_queue_len
    equals: 0
    over: both_ends
    when_true: supports
    when_false: rules-out
    says: "{tap} has a length of {value}, as the agent leaves it"
    says_false: "{tap} has a length of {value}"
remedies: [site-give-profile]
limits: It cannot see the agent's own log.
proof: {source: ["6.1"], lab: [], field: []}
cases:
  - name: length 0
    facts: {tap.driver: tun, tap.tx_queue_len: 0}
    expect: {status: likely}
  - name: the default length
    facts: {tap.driver: tun, tap.tx_queue_len: 1000}
    expect: {status: ruled-out}
  - name: length not known
    facts: {tap.driver: tun}
    expect: {status: open}
"""
REMEDY = """\
remedies:
  - id: site-give-profile
    title: Give the port a profile
    text: Give {tap} a QoS profile in our portal, then press Apply.
    command: qos-agent apply {tap}
    persistent: {}
    costs: None.
    helps: Fully.
    check: tx_dropped of {tap} stands still in the next bundle.
    undo: Take the profile away again.
    proof: {source: ["6.1"], lab: [], field: []}
"""


def vnetkb(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vnetkb", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Host([Device("vnet3", (100, 268), (900, 900), tx_queue_len=(0, 0))]).write(tmp_path)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine/rules/site").mkdir(parents=True)
    (tmp_path / "mine/remedies").mkdir()
    (tmp_path / "mine/rules/site/site-qos-agent.yaml").write_text(RULE, encoding="utf-8")
    (tmp_path / "mine/remedies/site.yaml").write_text(REMEDY, encoding="utf-8")
    return tmp_path / "mine"


def test_a_sites_own_rule_and_remedy_are_in_the_answer(bundle: Path, mine: Path) -> None:
    done = vnetkb("analyze", "--format", "json", "--kb", mine, bundle)
    assert (done.returncode, done.stderr) == (1, "")
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["verdict"], finding["cause"]) == ("likely", "site-qos-agent")
    assert [remedy["command"] for remedy in finding["remedies"]] == ["qos-agent apply vnet3"]
    assert vnetkb("kb", "test", "--kb", mine).returncode == 0


def test_what_only_an_overlay_knows_has_no_place_in_the_reference(bundle: Path, mine: Path) -> None:
    counter = "reference/counters/tap.html#tap.tx_dropped"
    (finding,) = json.loads(vnetkb("analyze", "--format", "json", "--kb", mine, bundle).stdout)["findings"]
    assert finding["reference"] == {"counter": counter, "cause": None}
    for form in ("text", "markdown", "html"):
        said = vnetkb("analyze", "--format", form, "--kb", mine, bundle).stdout
        assert counter in said
        assert "#site-qos-agent" not in said
    explained = vnetkb("explain", "site-qos-agent", "--kb", mine)
    assert (explained.returncode, explained.stderr) == (0, "")
    assert ".html" not in explained.stdout
    assert ".html#tap-ring-size-zero" in vnetkb("explain", "tap-ring-size-zero", "--kb", mine).stdout


def test_a_rule_of_ours_that_an_overlay_replaces_has_no_place_in_the_reference(mine: Path) -> None:
    ours = paths.kb_dir() / "rules/tap/tap-ring-burst.yaml"
    (mine / "rules/site/tap-ring-burst.yaml").write_bytes(ours.read_bytes())
    assert ".html" not in vnetkb("explain", "tap-ring-burst", "--kb", mine).stdout


def test_what_is_text_instead_of_a_list_is_one_fault(bundle: Path, mine: Path) -> None:
    rule = mine / "rules/site/site-qos-agent.yaml"
    rule.write_text(RULE.replace("[tap.tx_dropped]", "tap.tx_dropped"), encoding="utf-8")
    found = f"{rule}: explains: found text, expected a list"
    linted = vnetkb("kb", "lint", "--kb", mine)
    assert (linted.returncode, linted.stdout.count("\n")) == (1, 2)
    assert found in linted.stdout
    analyzed = vnetkb("analyze", "--kb", mine, bundle)
    assert (analyzed.returncode, analyzed.stderr.count("\n")) == (3, 1)
    assert found in analyzed.stderr


def test_a_later_overlay_takes_the_place_of_an_earlier_one(bundle: Path, mine: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    text = REMEDY.replace("qos-agent apply", "qos-agent2 apply")
    (tmp_path / "more/remedies.yaml").write_text(text, encoding="utf-8")
    done = vnetkb("analyze", "--format", "json", "--kb", mine, "--kb", tmp_path / "more", bundle)
    (finding,) = json.loads(done.stdout)["findings"]
    assert [remedy["command"] for remedy in finding["remedies"]] == ["qos-agent2 apply vnet3"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (None, "found no document of a knowledge base"),
        ("notes.txt", "found no document of a knowledge base"),
        ("rule/site.yaml", "found no document of a knowledge base"),
    ],
)
def test_a_folder_that_is_no_knowledge_base_is_refused(
    bundle: Path, tmp_path: Path, path: str | None, found: str
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    if path is not None:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text("x: 1\n", encoding="utf-8")
    for command in (("analyze", bundle), ("explain", "tap.tx_dropped"), ("kb", "test")):
        done = vnetkb(*command, "--kb", folder)
        assert (done.returncode, done.stdout) == (3, "")
        assert found in done.stderr
        assert "rules" in done.stderr
        assert done.stderr.count("\n") == 1
    assert vnetkb("kb", "lint", "--kb", folder).returncode == 1


def test_a_document_where_it_would_never_be_read_is_refused(bundle: Path, mine: Path) -> None:
    (mine / "remedy").mkdir()
    (mine / "remedy" / "site.yaml").write_text(REMEDY, encoding="utf-8")
    done = vnetkb("analyze", bundle, "--kb", mine)
    assert (done.returncode, done.stdout) == (3, "")
    assert "remedy/site.yaml is in no place where it would be read" in done.stderr


def test_what_lint_finds_in_an_overlay_ends_the_command_and_names_file_and_place(
    bundle: Path, mine: Path
) -> None:
    wrong = RULE.replace("fact: tap.tx_queue_len\n    equals: 0", "fact: tap.tx_queue_len\n    equals: 5 ms")
    (mine / "rules/site/site-qos-agent.yaml").write_text(wrong, encoding="utf-8")
    done = vnetkb("analyze", bundle, "--kb", mine)
    assert (done.returncode, done.stdout) == (3, "")
    assert "rules/site/site-qos-agent.yaml: tests[0]" in done.stderr
    assert "ms" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_reference_to_nothing_is_found_on_load(bundle: Path, mine: Path) -> None:
    (mine / "remedies/site.yaml").unlink()
    (mine / "remedies").rmdir()
    done = vnetkb("analyze", bundle, "--kb", mine)
    assert done.returncode == 3
    assert "site-give-profile" in done.stderr


def test_a_fault_is_told_in_the_words_of_the_file(bundle: Path, mine: Path) -> None:
    title = "title: The site's QoS agent has set the length of the ring to 0"
    wrong = RULE.replace(title, "title: {a: b}")
    (mine / "rules/site/site-qos-agent.yaml").write_text(wrong, encoding="utf-8")
    done = vnetkb("analyze", bundle, "--kb", mine)
    assert done.returncode == 3
    assert "title: found a mapping, expected text" in done.stderr
    assert "{" not in done.stderr
