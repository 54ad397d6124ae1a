# SPDX-License-Identifier: Apache-2.0
"""What to do: every cause has something, and a command or its undoing is one that a shell can run."""

import re

import pytest

from vnetkb.kb.load import load_kb
from vnetkb.kb.model import Remedy, RemedyKind, Rule, RuleKind

KB = load_kb()
CAUSES = [rule for rule in KB.rules.values() if rule.kind is RuleKind.CAUSE]


@pytest.mark.parametrize("rule", CAUSES, ids=lambda rule: rule.id)
def test_every_cause_has_a_remedy_of_its_own_or_of_what_it_refines(rule: Rule) -> None:
    chain = [rule.id, *KB.ancestors(rule.id)]
    assert any(KB.rules[name].remedies for name in chain)


@pytest.mark.parametrize("remedy", KB.remedies.values(), ids=lambda remedy: remedy.id)
def test_no_undoing_is_left_to_the_reader(remedy: Remedy) -> None:
    assert remedy.undo not in {"Take the change back.", "Remove the pinning.", "Set the old value again."}


CHANGES = re.compile(
    r"\b(ip link (set|delete)|sysctl -w|ethtool -[KLGC] |virsh .*--live|kill |ovs-vsctl set|tc qdisc replace)"
)
OF_ALARMS = {remedy for rule in KB.rules.values() if rule.kind is RuleKind.ADVICE for remedy in rule.remedies}


@pytest.mark.parametrize("remedy", KB.remedies.values(), ids=lambda remedy: remedy.id)
def test_a_remedy_is_what_it_says_it_is(remedy: Remedy) -> None:
    """One that looks changes and keeps nothing; one that changes says how, how to keep, see and undo it."""
    assert remedy.costs
    assert remedy.helps
    if remedy.kind is RemedyKind.LOOK:
        assert not remedy.persistent
        assert not CHANGES.search(remedy.command or "")
        assert remedy.undo == "Nothing to undo."
        return
    assert remedy.kind in {RemedyKind.ONCE, RemedyKind.SETTING}
    assert bool(remedy.persistent) is (remedy.kind is RemedyKind.SETTING)
    assert remedy.command or remedy.id in OF_ALARMS or remedy.kind is RemedyKind.ONCE
    assert "vnetkb compare BEFORE AFTER" in remedy.check or remedy.id in OF_ALARMS
    assert remedy.undo != "Nothing to undo." or remedy.kind is RemedyKind.ONCE


@pytest.mark.parametrize("remedy", KB.remedies.values(), ids=lambda remedy: remedy.id)
def test_a_setting_says_what_is_proposed_and_why(remedy: Remedy) -> None:
    """One that changes something names each setting, the command that shows it, a value and a reason."""
    assert remedy.settings or remedy.kind is not RemedyKind.SETTING
    for one in remedy.settings:
        assert one.what
        assert one.look
        assert one.propose
        assert one.because


WORDS = re.compile(r"(?<![A-Za-z0-9_{-])[A-Z][A-Z0-9_]*(?![A-Za-z0-9_}])")
NO_PLACEHOLDER = {
    "STOP",
    "CONT",
    "ACTION",
    "SUBSYSTEM",
    "KERNEL",
    "ATTR",
    "RUN",
    "KB",
    "XML",
    "QOS",
    "A",
    "POST",
    "SIGHUP",
}


@pytest.mark.parametrize("remedy", KB.remedies.values(), ids=lambda remedy: remedy.id)
def test_every_word_in_capitals_of_a_command_is_explained(remedy: Remedy) -> None:
    commands = [remedy.command or "", *remedy.persistent.values(), *(one.look for one in remedy.settings)]
    commands += remedy.plain or ()
    if re.match(r"#? ?(ip|sysctl|virsh|tc|ovs-vsctl|ethtool|kill|taskset) ", remedy.undo):
        commands.append(remedy.undo)
    named = {word for line in commands for word in WORDS.findall(line)}
    assert named - NO_PLACEHOLDER - set(remedy.stands_for) == set()


@pytest.mark.parametrize("remedy", KB.remedies.values(), ids=lambda remedy: remedy.id)
def test_a_command_of_libvirt_has_a_plain_form_beside_it(remedy: Remedy) -> None:
    if "virsh" in (remedy.command or "") + remedy.undo:
        assert remedy.plain is not None
    assert not any("virsh" in line for line in remedy.plain or ())
    assert not any("virsh" in one.look for one in remedy.settings)


@pytest.mark.parametrize("remedy", KB.remedies.values(), ids=lambda remedy: remedy.id)
def test_the_check_names_what_was_lost(remedy: Remedy) -> None:
    """Not a counter that another cause of the same remedy may not move."""
    assert "{loss}" in remedy.check or remedy.id in OF_ALARMS
