# SPDX-License-Identifier: Apache-2.0
"""Whether the settings of a host lead packets from one device to another, and what is said if not."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from facts.test_switch import ANY_VLAN, flows, interface, mirror, switch, table
from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.facts import build
from vnetkb.facts.device import DeviceFacts
from vnetkb.facts.path import path_to
from vnetkb.facts.tables import Tables
from vnetkb.facts.topology import Topology
from vnetkb.facts.ways import refusal, vlan_doubt
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


@pytest.mark.parametrize(
    ("cut", "sent"), [((), 96), ((0,), 30), ((1,), 96), ((0, 1), 30)], ids=["whole", "first", "last", "both"]
)
def test_flows_that_the_collector_cut_count_only_what_both_snapshots_show(
    cut: Sequence[int], sent: int, tmp_path: Path
) -> None:
    captures = ovs() | {
        "host/0/ovs-datapath-flows": flows((1, 100, "vnet1")),
        # The second may have been there before, below the cut.
        "host/1/ovs-datapath-flows": flows((1, 130, "vnet1"), (2, 66, "vnet1")),
    }
    paths = [f"host/{n}/ovs-datapath-flows" for n in cut]
    joined = Topology(
        Tables(
            read_bundle(Host([Device(name) for name in PORTS], captures=captures, cut=paths).write(tmp_path))
        )
    )
    assert joined.switch.sent_by_flows("vnet1") == sent
    # What a cut text does not show may have gone there.
    assert joined.switch.sent_by_flows("vnet2") == (None if cut else 0)


def test_a_way_that_no_flow_above_the_cut_took_is_not_said_to_be_unused(tmp_path: Path) -> None:
    paths = [f"host/{n}/ovs-datapath-flows" for n in (0, 1)]
    captures = ovs() | {path: flows((1, 100, "vnet1")) for path in paths}
    host = Host([Device(name) for name in PORTS], captures=captures, cut=paths)
    observations = build(read_bundle(host.write(tmp_path)), load_kb())
    devices = {s.name: s for s in observations.subjects.values() if isinstance(s, DeviceFacts)}
    path = path_to(devices["vnet2"], "tx_dropped", 10.0, devices["vnet0"])

    assert path is not None
    assert path.note == ""
    (handed,) = [
        one for point in path.points for one in point.counts if one.counter == "ovs_datapath.flow_packets"
    ]
    assert (handed.value, "cut" in handed.why_unknown) == (None, True)
    fact = devices["vnet2"].fact("ovs.sent_by_flows")
    assert (fact.value, "cut" in fact.why_unknown) == (None, True)


@pytest.mark.parametrize("kind", ["internal", "tap", ""])
def test_what_comes_from_the_host_itself_is_the_tx_of_its_port(kind: str, tmp_path: Path) -> None:
    own = Device("lan", tx_packets=(10, 40), more={"statistics/rx_packets": (5, 6)})
    rows = [interface("vnet0", 1), interface("lan", 2, type=kind)]
    host = Host([Device("vnet0"), own], captures=switch([rows] * 2, kind="netdev"))
    observations = build(read_bundle(host.write(tmp_path)), load_kb())
    devices = {s.name: s for s in observations.subjects.values() if isinstance(s, DeviceFacts)}
    path = path_to(devices["vnet0"], "tx_dropped", 10.0, devices["lan"])

    assert path is not None
    (entrance,) = [point for point in path.points if point.id == "entrance"]
    assert [count.counter.partition(".")[2] for count in entrance.counts] == (
        ["tx_packets", "tx_dropped"] if kind else ["rx_packets", "rx_dropped"]
    )
    assert entrance.value("passed") == (30 if kind else 1)


def rules(bridge: str, *actions: str) -> str:
    head = "cookie=0x0, duration=9.0s, table=0, n_packets=0, n_bytes=0, priority=1"
    lines = "".join(f" {head} actions={one}\n" for one in actions)
    return f"@ {bridge}\nNXST_FLOW reply (xid=0x4):\n{lines}"


def tagged(first: dict[str, Any], second: dict[str, Any], *actions: str) -> dict[str, str]:
    """Ports vnet0 and vnet1 of br0 with these settings, and the rules of br0."""
    rows = [interface("vnet0", 1), interface("vnet1", 2)]
    captures = switch([rows] * 2, vnet0=first, vnet1=second)
    return captures | {f"host/{n}/ovs-dump-flows": rules("br0", *actions) for n in (0, 1)}


@pytest.mark.parametrize(
    ("first", "second", "leads"),
    [
        ({"tag": 10}, {"tag": 20}, False),
        ({"tag": 10}, {"tag": 10}, True),
        ({"tag": 10}, {}, True),
        ({"tag": 10}, {"trunks": [20, 30]}, False),
        ({"trunks": [10, 20]}, {"trunks": [20, 30]}, True),
        ({"tag": 10, "vlan_mode": "native-untagged", "trunks": [30]}, {"tag": 10}, True),
        ({"tag": 10, "vlan_mode": "native-tagged", "trunks": [30]}, {"tag": 30}, True),
        ({"tag": 10, "vlan_mode": "native-tagged", "trunks": [30]}, {"tag": 20}, False),
        ({"tag": 10, "vlan_mode": "dot1q-tunnel"}, {"tag": 10}, True),
        ({"vlan_mode": "access"}, {}, True),
        ({"vlan_mode": "access"}, {"tag": 10}, False),
        ({}, {}, True),
    ],
)
def test_ports_in_different_vlans_are_not_joined(
    first: dict[str, Any], second: dict[str, Any], leads: object, tmp_path: Path
) -> None:
    said = refusal(topology(tmp_path, tagged(first, second, "NORMAL"), ("vnet0", "vnet1")), "vnet0", "vnet1")

    assert (said is None) is leads, said
    assert said is None or "every rule of br0 forwards with NORMAL" in said


@pytest.mark.parametrize(
    ("actions", "refused"),
    [
        (("NORMAL", "drop"), True),
        (("resubmit(,1)", "ct(commit,table=2)", "goto_table:3", "NORMAL"), True),
        (("output:2",), False),
        (("mod_vlan_vid:20,NORMAL",), False),
        (("strip_vlan,NORMAL", "NORMAL"), False),
        ((), False),
    ],
)
def test_rules_that_pass_vlans_by_refuse_nothing(
    actions: tuple[str, ...], refused: object, tmp_path: Path
) -> None:
    captures = tagged({"tag": 10}, {"tag": 20}, *actions)
    joined = topology(tmp_path, captures, ("vnet0", "vnet1"))

    assert (refusal(joined, "vnet0", "vnet1") is not None) is refused
    assert vlan_doubt(joined, "vnet0", "vnet1").startswith(
        "no VLAN that vnet0 carries (10) leads to one that vnet1 carries (20)"
    )


def test_rules_that_the_collector_cut_bind_no_vlan(tmp_path: Path) -> None:
    captures = tagged({"tag": 10}, {"tag": 20}, "NORMAL")
    host = Host(
        [Device("vnet0"), Device("vnet1")],
        captures=captures,
        cut=[f"host/{n}/ovs-dump-flows" for n in (0, 1)],
    )
    assert refusal(Topology(Tables(read_bundle(host.write(tmp_path)))), "vnet0", "vnet1") is None


def test_what_a_flow_did_is_stronger_than_vlans(tmp_path: Path) -> None:
    captures = tagged({"tag": 10}, {"tag": 20}, "NORMAL") | {
        f"host/{n}/ovs-datapath-flows": flows((1, 100 + 30 * n, "vnet1")).replace("eth0", "vnet0")
        for n in (0, 1)
    }
    assert refusal(topology(tmp_path, captures, ("vnet0", "vnet1")), "vnet0", "vnet1") is None


PATCHES = {
    "one": interface(
        "pa", 2, type="patch", options={"peer": "pb"}, statistics={"rx_packets": 5, "tx_packets": 9}
    ),
    "two": interface(
        "pb", 2, type="patch", options={"peer": "pa"}, statistics={"rx_packets": 9, "tx_packets": 5}
    ),
}


def bridged(**ports: dict[str, Any]) -> dict[str, str]:
    """Bridges br0 with vnet0 and br1 with vnet1, joined by pa and pb; settings of ports by name."""
    captures = two_bridges(**PATCHES)
    table_of_ports = [
        {"_uuid": f"#p{name}", "name": name, "interfaces": f"#i{name}", **ANY_VLAN, **ports.get(name, {})}
        for name in ("vnet0", "vnet1", "pa", "pb")
    ]
    captures["host/0/ovs-port"] = table(*table_of_ports)
    both = rules("br0", "NORMAL") + rules("br1", "NORMAL")
    return captures | {f"host/{n}/ovs-dump-flows": both for n in (0, 1)}


def test_the_way_over_patch_ports_is_drawn(tmp_path: Path) -> None:
    host = Host([Device("vnet0"), Device("vnet1")], captures=bridged())
    bundle = read_bundle(host.write(tmp_path))
    observations = build(bundle, load_kb())
    devices = {s.name: s for s in observations.subjects.values() if isinstance(s, DeviceFacts)}
    path = path_to(devices["vnet1"], "tx_dropped", 10.0, devices["vnet0"])

    assert path is not None
    assert [(point.kind, point.name) for point in path.points if point.kind in {"ovs_bridge", "patch"}] == [
        ("ovs_bridge", "br0"),
        ("patch", "pa"),
        ("patch", "pb"),
        ("ovs_bridge", "br1"),
    ]
    assert len({point.id for point in path.points}) == len(path.points)
    patches = [count for point in path.points if point.kind == "patch" for count in point.counts]
    assert [(count.counter, count.value, count.of_all) for count in patches] == [
        ("ovs_port.tx_packets", 0, True),
        ("ovs_port.rx_packets", 0, True),
    ]


@pytest.mark.parametrize(
    ("ports", "leads"),
    [
        ({}, True),
        ({"vnet0": {"tag": 10}, "vnet1": {"tag": 10}}, True),
        ({"vnet0": {"tag": 10}, "vnet1": {"tag": 20}}, False),
        ({"vnet0": {"tag": 10}, "vnet1": {"tag": 20}, "pa": {"tag": 10}, "pb": {"tag": 20}}, True),
        ({"vnet0": {"tag": 10}, "vnet1": {"tag": 10}, "pa": {"trunks": [20]}}, False),
        ({"vnet0": {"tag": 10}, "vnet1": {"tag": 10}, "pb": {"trunks": [20, 10]}}, True),
    ],
)
def test_patch_ports_carry_vlans_as_they_are_set(
    ports: dict[str, dict[str, Any]], leads: object, tmp_path: Path
) -> None:
    said = refusal(topology(tmp_path, bridged(**ports), ("vnet0", "vnet1")), "vnet0", "vnet1")

    assert (said is None) is leads, said


@pytest.mark.parametrize(("tag", "leads"), [(100, True), (7, False), ([], True)])
def test_a_mirror_of_some_vlans_copies_no_others(tag: object, leads: object, tmp_path: Path) -> None:
    rows = [*(interface(name, n) for n, name in enumerate(PORTS, 1))]
    watching = mirror(5, output_port="#pmon0", select_vlan=[100])
    captures = switch([rows] * 2, mirrors=[[watching]] * 2, vnet0={"tag": tag})
    said = refusal(topology(tmp_path, captures), "vnet0", "mon0")

    assert (said is None) is leads, said
    assert said is None or "copies only what is in the VLANs 100, and vnet0 carries 7" in said
