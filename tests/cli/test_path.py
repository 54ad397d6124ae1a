# SPDX-License-Identifier: Apache-2.0
"""vnetkb path: the packets' way to a device with what each point counted, and the place that loses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report.as_path import path_document

STOPPED = "tests/lab/bundles/vm-stopped-guest-6.1.tar.gz"
HEALTHY = "tests/lab/bundles/healthy-guest-6.1.tar.gz"


def path(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vnetkb", "path", *arguments], capture_output=True, text=True, check=False
    )


def test_the_point_that_loses_is_marked(tree: Path) -> None:
    done = path("--to", "vnet0", "--format", "json", str(tree / STOPPED))
    found = json.loads(done.stdout)

    assert done.returncode == 0
    assert [point["id"] for point in found["points"]] == ["port", "qdisc", "ring", "reader", "guest"]
    assert found["losing"] == ["qdisc", "ring"]
    (lost,) = found["points"][2]["counts"]
    assert (lost["role"], lost["counter"], lost["value"]) == ("lost", "tap.tx_dropped", found["lost"])
    assert found["lost"] > 0
    for point in found["points"]:
        for count in point["counts"]:
            assert count["captures"] or count["why_unknown"], count


def test_a_path_without_loss_marks_nothing(tree: Path) -> None:
    found = json.loads(path("--to", "vnet0", "--format", "json", str(tree / HEALTHY)).stdout)

    assert (found["losing"], found["lost"]) == (None, 0)
    text = path("--to", "vnet0", str(tree / HEALTHY)).stdout
    assert "lost here" not in text
    assert "0 lost (tap.tx_dropped)" in text


def test_where_packets_come_in_comes_first(tree: Path) -> None:
    found = json.loads(path("--from", "vnet0", "--to", "br0", "--format", "json", str(tree / HEALTHY)).stdout)
    assert [point["id"] for point in found["points"]][:2] == ["sender", "entrance"]
    assert [count["counter"] for count in found["points"][1]["counts"]] == [
        "tap.rx_packets",
        "tap.rx_dropped",
    ]


def test_what_was_neither_lost_nor_read_is_said_to_wait_in_the_ring(tree: Path) -> None:
    bundle = str(tree / "tests/lab/guest-bundles/no-refill-6.1.tar.gz")
    found = json.loads(path("--to", "vnet0", "--format", "json", bundle).stdout)
    counts = {(p["id"], c["role"]): c["value"] for p in found["points"] for c in p["counts"]}

    left = counts["qdisc", "passed"] - counts["ring", "lost"] - counts["reader", "passed"]
    assert found["note"].startswith(
        f"{left} packets or fewer were neither lost nor read: they wait in the ring"
    )
    assert found["note"] in path("--to", "vnet0", bundle).stdout
    healthy = json.loads(path("--to", "vnet0", "--format", "json", str(tree / HEALTHY)).stdout)
    assert healthy["note"] == ""


SWITCH = "tests/facts/recorded/switch-6.1.tar.gz"


def test_what_the_whole_bridge_counts_is_not_said_of_one_port(tree: Path) -> None:
    text = path("--to", "vnet3", str(tree / SWITCH)).stdout
    found = json.loads(path("--to", "vnet3", "--format", "json", str(tree / SWITCH)).stdout)

    (datapath, rules) = found["points"][:2]
    assert [(one["role"], one["of_all"]) for one in datapath["counts"]] == [("passed", True), ("lost", True)]
    assert [(one["role"], one["of_all"]) for one in rules["counts"]] == [("lost", True), ("passed", False)]
    assert "lost (all ports) (ovs_vswitchd.flow_n_packets)" in text


@pytest.mark.parametrize(
    ("device", "subject", "losing", "counter"),
    [
        ("mon0", "mon0", ["qdisc", "ring"], "tap.tx_dropped"),
        ("vnet3", "vnet3", ["rules", "port"], "tap.tx_errors"),
        ("vnet5", "vnet5", ["rules", "port"], None),
        ("vnet6", "vnet6", ["port", "qdisc"], "qdisc.drops"),
    ],
)
def test_the_path_shows_the_loss_that_the_report_tells_and_draws(
    device: str, subject: str, losing: list[str], counter: str | None, tree: Path
) -> None:
    found = json.loads(path("--to", device, "--format", "json", str(tree / SWITCH)).stdout)
    kb = load_kb()
    shown = diagnose(build(read_bundle(tree / SWITCH), kb), kb)
    (finding,) = [one for one in shown.findings if one.subject.name == subject]

    assert (found["losing"], found["lost"]) == (losing, finding.symptom.delta)
    assert finding.picture is not None
    drawn = finding.picture.path
    assert drawn is not None
    assert path_document(drawn) == found
    losses = {one["counter"]: one["value"] for point in found["points"] for one in point["counts"]}
    assert counter is None or losses[counter] == found["lost"]


def test_what_a_rate_limited_log_tells_is_the_least_that_was_lost(tree: Path) -> None:
    bundle = str(tree / "tests/lab/bundles/together-healthy-ovs-5.10.tar.gz")
    found = json.loads(path("--to", "vnet3", "--format", "json", bundle).stdout)

    assert found["at_least"] is True
    assert f"at least {found['lost']} lost here" in path("--to", "vnet3", bundle).stdout


def test_a_policer_at_the_entrance_is_a_point_with_its_loss(tree: Path) -> None:
    done = path("--from", "vnet4", "--to", "vnet0", "--format", "json", str(tree / SWITCH))
    found = json.loads(done.stdout)

    assert [point["id"] for point in found["points"]][:3] == ["sender", "entrance", "ingress"]
    (lost,) = [one for one in found["points"][2]["counts"] if one["role"] == "lost"]
    assert (lost["counter"], lost["value"]) == ("qdisc.drops", found["lost"])
    assert found["losing"] == ["entrance", "ingress"]
    assert found["lost"] > 0


def test_a_way_that_the_settings_do_not_give_is_refused(tree: Path) -> None:
    done = path("--from", "vnet2", "--to", "mon0", str(tree / SWITCH))

    assert (done.returncode, done.stdout) == (2, "")
    assert "--from vnet2 --to mon0: no mirror leads from vnet2 to mon0" in done.stderr


def test_a_way_that_no_packet_took_marks_no_loss(tree: Path) -> None:
    text = path("--from", "vnet0", "--to", "mon0", str(tree / SWITCH)).stdout

    assert "no flow of the datapath led from vnet0 to mon0" in text
    assert "lost here" not in text


@pytest.mark.parametrize("option", ["--to", "--from"])
def test_a_device_that_is_not_there(option: str, tree: Path) -> None:
    names = {"--to": "vnet0", option: "vnet9"}
    done = path(*(word for pair in names.items() for word in pair), str(tree / HEALTHY))

    assert (done.returncode, done.stdout) == (2, "")
    assert f"{option} vnet9: {tree / HEALTHY} has no such device, expected one of: br0" in done.stderr


def test_only_devices_that_have_a_path_are_proposed(tree: Path) -> None:
    done = path("--to", "vnet9", str(tree / SWITCH))

    named = done.stderr.rpartition(": ")[2].strip().split(", ")
    assert "ovs-system" not in named
    assert {path("--to", name, str(tree / SWITCH)).returncode for name in named} == {0}
