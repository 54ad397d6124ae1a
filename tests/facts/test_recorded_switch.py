# SPDX-License-Identifier: Apache-2.0
"""A recorded Open vSwitch with the kernel's datapath and a different trouble on each port, masked.

What was made is in recorded/README.md: each port has its own cause, and the port without trouble none.
"""

from pathlib import Path

import pytest

from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, Finding, diagnose
from vnetkb.facts import build
from vnetkb.facts.tables import Tables
from vnetkb.facts.topology import Topology
from vnetkb.kb.load import load_kb

BUNDLE = Path(__file__).parent / "recorded" / "switch-6.1.tar.gz"


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    kb = load_kb()
    return diagnose(build(read_bundle(BUNDLE), kb), kb)


def on(diagnosis: Diagnosis, name: str) -> Finding:
    (finding,) = [each for each in diagnosis.findings if each.subject.name == name]
    return finding


@pytest.mark.parametrize(
    ("name", "counter", "verdict", "cause"),
    [
        ("br1", None, "confirmed", "ovs-flow-drop"),
        ("mon0", "tap.tx_dropped", "likely", "tap-ring-reader-stopped"),
        ("vnet3", "tap.tx_errors", "likely", "ovs-over-mtu"),
        ("vnet4 ingress", "qdisc.drops", "likely", "ovs-policing"),
        ("vnet5", None, "likely", "ovs-port-down"),
        ("vnet6", "qdisc.drops", "confirmed", "qdisc-shaped"),
    ],
)
def test_each_port_has_the_cause_that_was_made(
    diagnosis: Diagnosis, name: str, counter: str | None, verdict: str, cause: str
) -> None:
    finding = on(diagnosis, name)

    assert (finding.symptom.counter, finding.verdict) == (counter, verdict)
    assert finding.cause is not None
    assert finding.cause.id == cause
    assert finding.symptom.delta is not None
    assert finding.symptom.delta > 0
    assert all(witness.agrees is not False for witness in finding.witnesses)


def test_ports_that_lose_nothing_have_no_finding(diagnosis: Diagnosis) -> None:
    names = {finding.subject.name for finding in diagnosis.findings}

    assert names == {"br1", "mon0", "vnet3", "vnet4 ingress", "vnet5", "vnet6"}


def test_what_the_mirrors_port_loses_are_copies(diagnosis: Diagnosis) -> None:
    finding = on(diagnosis, "mon0")

    assert str(on(diagnosis, "vnet5").harm) == "harmful"
    assert str(finding.harm) == "harmless"
    assert finding.alarm is not None
    assert finding.alarm.means == "copy"


def test_all_that_was_asked_of_the_switch_is_read() -> None:
    tables = Tables(read_bundle(BUNDLE))
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


@pytest.mark.parametrize(
    ("bundle", "name", "functions"),
    [
        ("together-healthy-ovs-6.12", "vnet6", {"htb_enqueue"}),
        ("together-one-queue-stuck-6.12", "vnet1", {"tbf_enqueue", "tbf_segment"}),
    ],
)
def test_the_kind_of_a_discipline_tells_where_in_the_code_it_drops(
    tree: Path, bundle: str, name: str, functions: set[str]
) -> None:
    kb = load_kb()
    diagnosis = diagnose(build(read_bundle(tree / f"tests/lab/bundles/{bundle}.tar.gz"), kb), kb)
    finding = on(diagnosis, name)
    assert finding.cause is not None
    assert finding.cause.id == "qdisc-shaped"
    assert {site.function for site in finding.sites} == functions
