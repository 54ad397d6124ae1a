# SPDX-License-Identifier: Apache-2.0
"""Whether the settings of a host lead packets from one device to another, and what is said if not."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from facts.test_switch import flows, interface, mirror, switch, table
from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.facts import build
from vnetkb.facts.device import DeviceFacts
from vnetkb.facts.path import path_to
from vnetkb.facts.tables import Tables
from vnetkb.facts.topology import Topology
from vnetkb.facts.ways import refusal
from vnetkb.kb.load import load_kb

PORTS = ("vnet0", "vnet1", "vnet2", "mon0")


def topology(folder: Path, captures: Mapping[str, str | None], names: Sequence[str] = PORTS) -> Topology:
    host = Host([Device(name) for name in names], captures=captures)
    return Topology(Tables(read_bundle(host.write(folder))))


def ovs(*more: dict[str, Any], mirrors: Sequence[dict[str, Any]] = ()) -> dict[str, str]:
    rows = [*(interface(name, n) for n, name in enumerate(PORTS, 1)), *more]
    return switch([rows] * 2, mirrors=[list(mirrors)] * 2)


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"select_all": True}, None),
        (
            {"select_all": False, "select_src_port": "#pvnet2"},
            "what comes in by vnet2 and what leaves by no port",
        ),
        ({"select_all": False, "select_src_port": ["#pvnet0", "#pvnet2"]}, None),
        ({"select_all": False, "select_dst_port": "#pvnet2"}, None),
        (
            {"select_all": False, "select_dst_port": "#pvnet0"},
            "what comes in by no port and what leaves by vnet0",
        ),
        ({"select_all": False}, "what comes in by no port and what leaves by no port"),
    ],
)
def test_a_mirrors_output_port_gets_the_copies_of_what_it_mirrors(
    chosen: dict[str, Any], reason: str | None, tmp_path: Path
) -> None:
    watching = mirror(5, output_port="#pmon0", **chosen)
    said = refusal(topology(tmp_path, ovs(mirrors=[watching])), "vnet0", "mon0")

    assert (said is None) is (reason is None), said
    if said is not None and reason is not None:
        assert said.startswith(
            "no mirror leads from vnet0 to mon0: mon0 is the output port of mirror watch of br0"
        )
        assert reason in said


def test_nothing_leads_back_to_the_same_port_or_out_of_a_mirrors_port(tmp_path: Path) -> None:
    joined = topology(tmp_path, ovs(mirrors=[mirror(5, output_port="#pmon0")]))

    assert "no packet back" in str(refusal(joined, "vnet0", "vnet0"))
    assert "drops what comes in by such a port" in str(refusal(joined, "mon0", "vnet0"))
    assert refusal(joined, "vnet0", "vnet1") is None


def two_bridges(**more: dict[str, Any]) -> dict[str, str]:
    """Ports vnet0 of br0 and vnet1 of br1."""
    rows = [interface("vnet0", 1), interface("vnet1", 1), *more.values()]
    captures = switch([rows] * 2)
    first = ["#pvnet0", *(f"#p{row['name']}" for row in more.values() if row["name"] != "pb")]
    second = ["#pvnet1", *(f"#p{row['name']}" for row in more.values() if row["name"] == "pb")]
    captures["host/0/ovs-bridge"] = table(
        *(
            {"_uuid": f"#{name}", "name": name, "datapath_type": "", "ports": ports, "mirrors": []}
            for name, ports in (("br0", first), ("br1", second))
        )
    )
    return captures


def test_bridges_that_nothing_joins(tmp_path: Path) -> None:
    said = refusal(topology(tmp_path, two_bridges(), ("vnet0", "vnet1")), "vnet1", "vnet0")

    assert said is not None
    assert said.startswith("no bridge, bond, VLAN device or patch port leads from vnet1 to vnet0")


@pytest.mark.parametrize(
    "more",
    [
        {
            "one": interface("pa", 2, type="patch", options={"peer": "pb"}),
            "two": interface("pb", 2, type="patch", options={"peer": "pa"}),
        },
        {"tunnel": interface("vx0", 2, type="vxlan", options={"remote_ip": "192.0.2.1"})},
    ],
)
def test_patch_ports_and_tunnels_join(more: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    assert refusal(topology(tmp_path, two_bridges(**more), ("vnet0", "vnet1")), "vnet1", "vnet0") is None


LINKS: list[dict[str, Any]] = [
    {"ifindex": 1, "ifname": "eth0", "flags": []},
    {"ifindex": 2, "ifname": "eth0.5", "link": "eth0", "flags": [], "master": "lan"},
    {"ifindex": 3, "ifname": "lan", "flags": [], "linkinfo": {"info_kind": "bridge"}},
    {"ifindex": 4, "ifname": "vnet0", "flags": [], "master": "lan"},
    {"ifindex": 5, "ifname": "eth1", "flags": []},
]


@pytest.mark.parametrize(("since", "leads"), [("eth0", True), ("eth0.5", True), ("eth1", False)])
def test_linux_bridges_and_vlan_devices(since: str, leads: object, tmp_path: Path) -> None:
    captures = {f"host/{n}/ip-link": json.dumps(LINKS) for n in (0, 1)}
    said = refusal(topology(tmp_path, captures, ("vnet0",)), since, "vnet0")

    assert (said is None) is leads, said


def test_what_the_bundle_does_not_tell_refuses_nothing(tmp_path: Path) -> None:
    assert refusal(topology(tmp_path, {}, ("vnet0", "vnet1")), "vnet0", "vnet1") is None


def test_flows_tell_how_much_took_the_way_and_that_nothing_did(tmp_path: Path) -> None:
    captures = ovs() | {
        "host/0/ovs-datapath-flows": flows((1, 100, "vnet1,vnet2")),
        "host/1/ovs-datapath-flows": flows((1, 130, "vnet1,vnet2")).replace("eth0", "vnet0"),
    }
    captures["host/0/ovs-datapath-flows"] = captures["host/0/ovs-datapath-flows"].replace("eth0", "vnet0")
    host = Host([Device(name) for name in PORTS], captures=captures)
    sources = build(read_bundle(host.write(tmp_path)), load_kb()).subjects.values()
    devices = {one.name: one for one in sources if isinstance(one, DeviceFacts)}
    for since, sent, noted in (("vnet0", 30, False), ("vnet2", 0, True)):
        path = path_to(devices["vnet1"], "tx_dropped", 10.0, devices[since])
        assert path is not None
        (rules,) = [point for point in path.points if point.id == "rules"]
        assert rules.value("passed") == sent
        assert bool(path.note) is noted
