# SPDX-License-Identifier: Apache-2.0
"""Recorded bundles of Open vSwitch with the kernel's datapath, masked: the cause that was made is found."""

from pathlib import Path

import pytest

from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, diagnose
from vnetkb.facts import build
from vnetkb.facts.tables import Tables
from vnetkb.facts.topology import Topology
from vnetkb.kb.load import load_kb

RECORDED = Path(__file__).parent / "recorded"
KB = load_kb()


def judged(name: str) -> Diagnosis:
    return diagnose(build(read_bundle(RECORDED / f"{name}-6.1.tar.gz"), KB), KB)


def test_a_rule_that_drops_is_found_and_nothing_else() -> None:
    (finding,) = judged("ovs-flow-drop").findings

    assert (finding.subject.kind, finding.cause and finding.cause.id) == ("ovs_bridge", "ovs-flow-drop")
    assert (finding.verdict, str(finding.harm)) == ("confirmed", "unknown")
    assert finding.symptom.delta is not None
    assert 0 < finding.symptom.delta <= 16856 - 745


def test_the_mirrors_port_loses_copies_and_the_vm_nothing() -> None:
    diagnosis = judged("ovs-mirror-unread")
    (finding,) = diagnosis.findings

    assert (finding.subject.name, finding.cause and finding.cause.id) == ("mon0", "tap-ring-reader-stopped")
    assert str(finding.harm) == "harmless"
    assert finding.alarm is not None
    assert finding.alarm.means == "copy"
    assert all(witness.agrees is not False for witness in finding.witnesses)


@pytest.mark.parametrize("name", ["ovs-flow-drop", "ovs-mirror-unread"])
def test_all_that_was_asked_of_the_switch_is_read(name: str) -> None:
    tables = Tables(read_bundle(RECORDED / f"{name}-6.1.tar.gz"))
    kept = [
        one for one in tables.bundle.manifest.captures if one.id.startswith("ovs-") and one.absent is None
    ]
    for one in kept:
        assert one.id == "ovs-show" or tables.get(one.id, one.snapshot) is not None, one.id

    assert tables.notices == []
    assert {"ovs-datapath", "ovs-datapath-flows", "ovs-dump-ports", "ovs-coverage"} <= {
        one.id for one in kept
    }
    assert Topology(tables).switch.datapath_type("vnet0") == "system"
