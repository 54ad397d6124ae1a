# SPDX-License-Identifier: Apache-2.0
"""Ports of VMs that nothing here can judge are named: no word of a port is not its health."""

import json
from pathlib import Path

import pytest

from simulated import NET_HEAD, Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.facts.model import Notice
from vnetkb.kb.load import load_kb

QUIET = Device("vnet3", (0, 0), (10, 900))
XML = """<domain type='kvm' id='3'><name>web01</name><uuid>7d9e6a60-0f3c-4f4a-9b9e-1a2b3c4d5e6f</uuid>
<devices><interface type='hostdev'><mac address='52:54:00:00:00:07'/></interface>
<interface type='vhostuser'><mac address='52:54:00:00:00:08'/><target dev='vhu9'/></interface>
<interface type='bridge'><mac address='52:54:00:00:00:09'/><target dev='vnet3'/></interface>
</devices></domain>
"""


def interfaces(kind: str, *dropped: int) -> dict[str, str]:
    """Return the table Interface of each snapshot: a port of some kind beside vnet3."""
    return {
        f"host/{n}/ovs-interface": json.dumps(
            {
                "headings": ["_uuid", "name", "type", "ofport", "statistics"],
                "data": [
                    [["uuid", "1"], "port1", kind, 1, ["map", [["tx_dropped", count]]]],
                    [["uuid", "2"], "vnet3", "", 2, ["map", []]],
                ],
            }
        )
        for n, count in enumerate(dropped)
    }


def named(host: Host, folder: Path) -> dict[str, Notice]:
    kb = load_kb()
    shown = diagnose(build(read_bundle(host.write(folder)), kb), kb)
    assert shown.findings == ()
    return {one.subject: one for one in shown.notices if one.text.startswith("not judged")}


@pytest.mark.parametrize("kind", ["dpdkvhostuser", "dpdkvhostuserclient"])
@pytest.mark.parametrize(("after", "level"), [(1, "info"), (2001, "warning")])
def test_a_vhost_user_port_is_named_and_warned_of_when_it_loses(
    kind: str, after: int, level: str, tmp_path: Path
) -> None:
    found = named(Host([QUIET], captures=interfaces(kind, 1, after)), tmp_path)

    assert set(found) == {"port1"}
    assert found["port1"].level == level
    assert ("tx_dropped +2000" in found["port1"].text) is (level == "warning")


def test_network_cards_given_to_a_vm_are_named_by_their_address(tmp_path: Path) -> None:
    found = named(Host([QUIET], captures={"host/0/virsh-dumpxml": XML}), tmp_path)

    assert set(found) == {"52:54:00:00:00:07", "vhu9"}
    assert "given to web01" in found["52:54:00:00:00:07"].text
    assert "vhost-user" in found["vhu9"].text


def test_a_tap_in_another_namespace_is_named(tmp_path: Path) -> None:
    fdinfo = "/proc/4711/fdinfo/31:iff:\tvnet3\n/proc/4712/fdinfo/31:iff:\ttap0\n"
    devices = NET_HEAD + " vnet3: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    captures = {"host/0/tun-fdinfo": fdinfo, "host/0/proc-net-dev": devices}
    found = named(Host([QUIET], captures=captures), tmp_path)

    assert set(found) == {"tap0"}
    assert found["tap0"].level == "warning"


@pytest.mark.parametrize("kind", ["", "internal", "system", "dpdk"])
def test_other_ports_have_no_such_notice(kind: str, tmp_path: Path) -> None:
    assert named(Host([QUIET], captures=interfaces(kind, 1, 1)), tmp_path) == {}


def test_without_a_list_of_devices_no_tap_is_said_to_be_elsewhere(tmp_path: Path) -> None:
    fdinfo = "/proc/4712/fdinfo/31:iff:\ttap0\n"
    assert named(Host([QUIET], captures={"host/0/tun-fdinfo": fdinfo}), tmp_path) == {}
