# SPDX-License-Identifier: Apache-2.0
"""A real Open vSwitch with its userspace datapath: an unread mirror, a rule that drops, and a healthy one.

The truth comes from the processes that send, read and collect sFlow (switch_play.py), never from vnetkb.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.facts.device import DeviceFacts
from vnetkb.facts.path import path_in
from vnetkb.facts.tables import Tables
from vnetkb.facts.topology import Topology
from vnetkb.facts.ways import refusal
from vnetkb.kb.load import load_kb
from vnetkb.report.as_json import document

PLAY = Path(__file__).with_name("switch_play.py")
SCENES = ("watched", "healthy", "bridges")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """Return for each scene what really happened, with the path of the bundle; all are played at once."""
    if os.geteuid() != 0 or not shutil.which("ovs-vsctl") or not Path("/dev/net/tun").exists():
        pytest.skip("REAL SWITCH NOT TESTED: it needs root, /dev/net/tun and Debian's openvswitch-switch")
    folders = {scene: tmp_path_factory.mktemp(scene) for scene in SCENES}
    running = {
        scene: subprocess.Popen(
            ["unshare", "--net", "--mount", sys.executable, str(PLAY), str(folder), scene],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for scene, folder in folders.items()
    }
    said = {scene: process.communicate(timeout=120)[0] for scene, process in running.items()}
    for scene, process in running.items():
        assert process.returncode == 0, said[scene]
    yield {scene: json.loads((folder / "truth.json").read_text()) for scene, folder in folders.items()}
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)


def report(truth: dict[str, Any]) -> dict[str, Any]:
    kb = load_kb()
    return document(diagnose(build(read_bundle(Path(truth["bundle"])), kb), kb))


def found(truth: dict[str, Any], name: str) -> dict[str, Any]:
    findings = [each for each in report(truth)["findings"] if each["subject"]["name"] == name]
    assert len(findings) == 1, f"{len(findings)} findings on {name}"
    finding: dict[str, Any] = findings[0]
    return finding


def test_a_healthy_switch_gives_no_finding(played: dict[str, dict[str, Any]]) -> None:
    truth = played["healthy"]

    assert min(truth["came"][name] for name in ("vnet0", "vnet1")) >= truth["sent"]["0x88b6"] > 0
    assert report(truth)["findings"] == []


def test_every_capture_of_the_switch_is_there_and_readable(played: dict[str, dict[str, Any]]) -> None:
    bundle = read_bundle(Path(played["watched"]["bundle"]))
    tables = Tables(bundle)
    captures = [c for c in bundle.manifest.captures if c.id.startswith("ovs-") and c.id != "ovs-show"]

    assert len({capture.id for capture in captures}) > 20
    for capture in captures:
        assert capture.absent is None, capture.id
        assert tables.get(capture.id, capture.snapshot) is not None, capture.id
    assert tables.notices == []


def test_the_mirrors_output_port_that_nobody_reads_loses_copies(played: dict[str, dict[str, Any]]) -> None:
    truth = played["watched"]
    finding = found(truth, "mon0")

    assert truth["mon0_dropped"] > 0
    assert 0 < finding["symptom"]["delta"] < truth["mon0_dropped"]
    assert finding["symptom"]["counter"] == "tap.tx_dropped"
    assert finding["cause"] == "tap-ring-reader-stopped"
    assert finding["harm"] == "harmless"
    assert finding["alarm"]["means"] == "copy"
    assert all(seen["agrees"] is not False for seen in finding["witnesses"])
    assert {seen["name"].partition(" ")[0] for seen in finding["witnesses"]} >= {"ovs-appctl", "ovs-ofctl"}


def test_sflow_really_sends_these_drops_under_the_name_told(
    played: dict[str, dict[str, Any]],
) -> None:
    truth = played["watched"]
    alarm = found(truth, "mon0")["alarm"]

    assert alarm["counted_as"] == "ifOutDiscards"
    assert 0 < truth["mon0_discards"] <= truth["mon0_dropped"]
    (sflow,) = [each for each in alarm["watched_by"] if each["kind"] == "sFlow"]
    assert (sflow["targets"], sflow["one_in"], sflow["every_s"]) == (["127.0.0.1:6343"], 64, 1.0)
    assert [each["kind"] for each in alarm["watched_by"]] == ["mirror", "sFlow", "IPFIX"]


def test_the_rule_that_drops_is_found_and_the_ports_are_not_blamed(played: dict[str, dict[str, Any]]) -> None:
    truth = played["watched"]
    finding = found(truth, "br0")

    assert (finding["subject"]["kind"], finding["cause"]) == ("ovs_bridge", "ovs-flow-drop")
    assert finding["verdict"] == "confirmed"
    assert 0 < finding["symptom"]["delta"] <= truth["sent"]["0x88b5"]
    assert {each["subject"]["name"] for each in report(truth)["findings"]} == {"br0", "mon0"}
    assert max(truth["came"].values()) < truth["sent"]["0x88b6"] + 40


def test_bridges_that_speak_one_version_of_openflow_are_read(played: dict[str, dict[str, Any]]) -> None:
    truth = played["bridges"]
    tables = Tables(read_bundle(Path(truth["bundle"])))
    finding = found(truth, "br0")

    assert truth["came"]["vnet1"] >= truth["sent"]["0x88b6"] > 0
    for name in ("ovs-dump-ports", "ovs-dump-flows", "ovs-meter-stats"):
        for n in (0, 1):
            assert Topology(tables).switch.blocks(name, n) == frozenset({"br0", "br1"})
            capture = tables.bundle.capture(name, n)
            assert capture is not None
            assert capture.exit_status == 0
    assert (finding["cause"], finding["verdict"]) == ("ovs-flow-drop", "confirmed")
    assert 0 < finding["symptom"]["delta"] <= truth["sent"]["0x88b5"]
    assert [one for one in report(truth)["notices"] if "no answer" in one["text"]] == []


def test_rules_that_sample_for_ipfix_are_told_as_monitoring(played: dict[str, dict[str, Any]]) -> None:
    alarm = found(played["bridges"], "mon0")["alarm"]

    (ipfix,) = alarm["watched_by"]
    assert (ipfix["kind"], ipfix["name"], ipfix["rules"]) == ("IPFIX", "7", 1)
    assert ipfix["targets"] == ["127.0.0.1:4739"]
    assert "what rules with a sample action choose" in alarm["text"]


def test_the_path_leads_over_patch_ports_where_a_vlan_does(played: dict[str, dict[str, Any]]) -> None:
    truth = played["bridges"]
    kb = load_kb()
    observations = build(read_bundle(Path(truth["bundle"])), kb)
    topology = Topology(Tables(read_bundle(Path(truth["bundle"]))))
    devices = {s.name: s for s in observations.subjects.values() if isinstance(s, DeviceFacts)}
    path = path_in(observations, devices["vnet1"], devices["uplink"])

    assert path is not None
    names = [point.name for point in path.points if point.kind in {"ovs_bridge", "patch", "veth"}]
    assert names == ["uplink", "br0", "p0", "p1", "br1"]
    patches = [point for point in path.points if point.kind == "patch"]
    assert all((point.counts[0].value or 0) > 0 for point in patches), patches
    assert refusal(topology, "uplink", "vnet1") is None
    assert "no VLAN that vnet0 carries (10) leads to one that tagged carries (20)" in str(
        refusal(topology, "vnet0", "tagged")
    )
    assert truth["came"]["tagged"] < 40


def test_ports_bridge_and_mirror_are_joined(played: dict[str, dict[str, Any]]) -> None:
    switch = Topology(Tables(read_bundle(Path(played["watched"]["bundle"])))).switch

    assert switch.members("br0") == ("br0", "mon0", "uplink", "vnet0", "vnet1")
    assert switch.datapath_type("vnet0") == "netdev"
    (mirror,) = switch.mirrors
    assert (mirror.outputs, mirror.sources, mirror.bridge) == (("mon0",), None, "br0")
    assert mirror.copies
