# SPDX-License-Identifier: Apache-2.0
"""What Open vSwitch's tools, bridge and /proc/net/stat/nf_conntrack print, in every layout at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from vnetkb.parsers import (
    bridge_fdb,
    bridge_link,
    conntrack_stat,
    ovs_bond,
    ovs_coverage,
    ovs_datapath,
    ovs_datapath_flows,
    ovs_dpif,
    ovs_dump_flows,
    ovs_dump_ports,
    ovs_fdb_stats,
    ovs_ipfix,
    ovs_log,
    ovs_memory,
    ovs_meter_stats,
    ovs_mirror,
    ovs_sflow,
    ovs_upcall,
)
from vnetkb.parsers.errors import ParseError

FIXTURES = Path(__file__).parent / "fixtures"
VERSIONS = ("ovs-2.15", "ovs-3.1", "ovs-3.5", "ovs-4.0")


def text(folder: str, name: str) -> bytes:
    return (FIXTURES / folder / name).read_bytes()


@pytest.mark.parametrize("version", VERSIONS)
def test_datapath_of_every_version(version: str) -> None:
    (datapath,) = ovs_datapath.parse(text(version, "ovs-datapath"))
    ports = {port.name: port for port in datapath.ports}

    assert (datapath.name, datapath.lost) == ("netdev@ovs-netdev", 0)
    assert datapath.missed in (11, 12, 13)
    assert ports["vnet0"].type is None
    assert ports["t0"].type == "tap"
    assert ports["vxlan_sys_4789"].type == "vxlan"
    assert ports["mon0"].counters["tx_dropped"] in (81, 82, 84)
    assert ports["mon0"].counters["tx_packets"] == 0
    assert ports["vxlan_sys_4789"].counters["tx_dropped"] is None
    assert ("upcall_packets" in ports["vnet0"].counters) == (version in ("ovs-3.5", "ovs-4.0"))


@pytest.mark.parametrize(("version", "dropped"), [("ovs-2.5", 84), ("ovs-2.13", 84), ("ovs-2.17", 42)])
def test_datapath_of_the_kernel(version: str, dropped: int) -> None:
    (datapath,) = ovs_datapath.parse(text("written", f"ovs-datapath.{version}"))

    assert (datapath.name, datapath.hit, datapath.missed, datapath.lost, datapath.flows) == (
        "system@ovs-system",
        9150,
        211,
        4,
        12,
    )
    assert (datapath.ports[0].name, datapath.ports[0].type) == ("ovs-system", "internal")
    assert datapath.ports[1].counters == {
        "rx_packets": 4000,
        "rx_errors": 0,
        "rx_dropped": 0,
        "rx_over_err": 0,
        "rx_frame_err": 0,
        "tx_packets": 5000,
        "tx_errors": 0,
        "tx_dropped": dropped,
        "tx_aborted_errors": 0,
        "tx_carrier_errors": 0,
        "collisions": 0,
        "rx_bytes": 392000,
        "tx_bytes": 490000,
    }


@pytest.mark.parametrize(
    "wrong",
    [
        b"  lookups: hit:1 missed:2 lost:3\n",
        b"system@ovs-system:\n  lookups: hit:1 missed:2\n",
        b"system@ovs-system:\n  lookups: hit:1 missed:2 lost:few\n",
        b"system@ovs-system:\n  port eth0: 1\n",
        b"system@ovs-system:\n  port 1: eth0\n    RX packets:many\n",
        b"ovs-vswitchd: something else\n",
    ],
)
def test_an_unknown_layout_of_the_datapath_is_refused(wrong: bytes) -> None:
    with pytest.raises(ParseError):
        ovs_datapath.parse(wrong)


@pytest.mark.parametrize("version", VERSIONS)
def test_coverage_upcalls_memory_and_learned_addresses(version: str) -> None:
    coverage = ovs_coverage.parse(text(version, "ovs-coverage"))
    (upcalls,) = ovs_upcall.parse(text(version, "ovs-upcall"))
    fdb = ovs_fdb_stats.parse(text(version, "ovs-fdb-stats"))["br0"]

    assert coverage["datapath_drop_meter"] in (19, 20)
    assert "rates" not in coverage
    assert upcalls.datapath == "netdev@ovs-netdev"
    assert upcalls.flows <= upcalls.limit
    assert upcalls.dump_ms == 1
    assert ovs_memory.parse(text(version, "ovs-memory"))["rules"] == 7
    assert (fdb.entries, fdb.most, fdb.learned) == (3, 8192, 3)
    assert fdb.moved == (4 if version == "ovs-4.0" else 0)


@pytest.mark.parametrize("version", ["2.5", "2.13", "2.17"])
def test_upcalls_of_old_versions(version: str) -> None:
    (row,) = ovs_upcall.parse(text("written", f"ovs-upcall.ovs-{version}"))

    assert (row.flows, row.average, row.most, row.limit, row.dump_ms) == (12, 10, 48, 200000, 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_ports_rules_and_meters(version: str) -> None:
    ports = {row.port: row for row in ovs_dump_ports.parse(text(version, "ovs-dump-ports"))}
    rules = ovs_dump_flows.parse(text(version, "ovs-dump-flows"))
    (meter,) = ovs_meter_stats.parse(text(version, "ovs-meter-stats"))

    assert len(ports) == 9
    assert ports["LOCAL"].counters["rx_packets"] in (21, 22)
    assert ports["8"].counters["tx_dropped"] is None
    assert [(rule.actions, rule.packets) for rule in rules[:2]] == [("drop", 20), ("NORMAL", 20)]
    assert rules[0].match == "priority=100,dl_type=0x88b5"
    assert (rules[0].bridge, rules[0].table, rules[0].cookie) == ("br0", "0", "0x0")
    assert (meter.meter, meter.flows, meter.packets) == ("1", 1, 20)
    assert meter.band_packets[0] in (19, 20)


@pytest.mark.parametrize("version", VERSIONS)
def test_flows_of_the_userspace_datapath(version: str) -> None:
    flows = ovs_datapath_flows.parse(text(version, "ovs-datapath-flows"))

    assert {flow.datapath for flow in flows} == {"netdev@ovs-netdev"}
    assert {flow.in_port for flow in flows} <= {"br0", "va", "vc", "vnet0", "vnet1", "vnet2", "t0"}
    assert all("dp-extra-info" not in flow.actions for flow in flows)
    assert all((flow.packets > 0) == (flow.used_s is not None) for flow in flows)
    assert any("mon0" in flow.actions for flow in flows)


def test_flows_of_the_kernels_datapath() -> None:
    flows = ovs_datapath_flows.parse(text("written", "ovs-datapath-flows.kernel"))

    assert [(flow.in_port, flow.packets, flow.used_s, flow.actions) for flow in flows] == [
        ("vnet0", 100, 0.01, "vnet1"),
        ("vnet1", 0, None, "drop"),
        ("eth0", 5, 1.5, "push_vlan(vid=5,pcp=0),vnet1"),
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_bonds_and_port_numbers(version: str) -> None:
    (bond,) = ovs_bond.parse(text(version, "ovs-bond"))
    ports = {row.name: row for row in ovs_dpif.parse(text(version, "ovs-dpif"))}

    assert (bond.name, bond.mode) == ("bond0", "active-backup")
    assert {link.name for link in bond.links if link.enabled} == {"va", "vc"}
    assert len([link for link in bond.links if link.active]) == 1
    assert (ports["br0"].openflow, ports["br0"].number, ports["br0"].type) == (65534, 1, "tap")
    assert (ports["vx0"].bridge, ports["vx0"].type) == ("br0", "vxlan")


def test_a_link_is_called_slave_up_to_2_14() -> None:
    (bond,) = ovs_bond.parse(text("written", "ovs-bond.ovs-2.13"))

    assert [(link.name, link.enabled, link.active) for link in bond.links] == [
        ("eth0", True, True),
        ("eth1", False, False),
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_monitoring_that_is_set(version: str) -> None:
    (mirror,) = ovs_mirror.parse(text(version, "ovs-mirror"))
    (sflow,) = ovs_sflow.parse(text(version, "ovs-sflow"))
    (ipfix,) = ovs_ipfix.parse(text(version, "ovs-ipfix"))

    assert (mirror["name"], mirror["select_all"], mirror["statistics"]["tx_packets"] > 70) == (
        "watch",
        True,
        True,
    )
    assert (sflow["sampling"], sflow["targets"]) == (64, "127.0.0.1:6343")
    assert (ipfix["sampling"], ipfix["targets"]) == (64, "127.0.0.1:4739")


def test_lines_of_the_log() -> None:
    rows = ovs_log.parse(text("ovs-3.1", "ovs-log"))

    assert {row.level for row in rows} >= {"INFO", "WARN"}
    assert "policing action failed" in " ".join(row.text for row in rows if row.module == "netdev_linux")


def test_ports_and_addresses_of_linux_bridges() -> None:
    ports = {port.ifname: port for port in bridge_link.parse(text("linux-6.18", "bridge-link"))}
    fdb = bridge_fdb.parse(text("linux-6.18", "bridge-fdb"))

    assert (ports["va"].state, ports["va"].master, ports["va"].mtu) == ("forwarding", "br0", 1500)
    assert ports["tap0"].state == "disabled"
    assert ports["va"].flags["isolated"] is False
    assert [(entry.port, entry.bridge) for entry in fdb.entries] == [("va", "br0")]
    assert fdb.counts == {("br0", "va"): 1}


def test_connections_tracked() -> None:
    assert conntrack_stat.parse(text("linux-6.18", "conntrack-stat"))["drop"] == 0
    rows = b"entries  found drop\n0000000a 00000001 00000002\n0000000a 00000003 0000ffff\n"
    assert conntrack_stat.parse(rows) == {"entries": 10, "found": 4, "drop": 65537}
    with pytest.raises(ParseError):
        conntrack_stat.parse(b"entries drop\n0000000a\n")


@pytest.mark.parametrize(
    ("parse", "wrong"),
    [
        (ovs_coverage.parse, b"netlink_overflow: 5\n"),
        (ovs_upcall.parse, b"system@ovs-system:\n  flows: 5\n"),
        (ovs_memory.parse, b"rules=5"),
        (ovs_fdb_stats.parse, b"@ br0\nStatistics\n"),
        (ovs_dump_ports.parse, b"@ br0\nOFPST_PORT reply: 1 ports\n  port 1: rx packets:5\n"),
        (ovs_dump_flows.parse, b"@ br0\ntable 0 priority 5 drop\n"),
        (ovs_meter_stats.parse, b"@ br0\n0: packet_count:5 byte_count:6\n"),
        (ovs_datapath_flows.parse, b"@ system@ovs-system\nin_port(1), actions:drop\n"),
        (ovs_bond.parse, b"bond0: active-backup\n"),
        (ovs_dpif.parse, b"br0:\n"),
        (bridge_fdb.parse, b"52:54:00:00:00:01 port 5\n"),
        (bridge_link.parse, b'[{"name":"va"}]'),
    ],
)
def test_an_unknown_layout_is_refused(parse: object, wrong: bytes) -> None:
    assert callable(parse)
    with pytest.raises(ParseError):
        parse(wrong)


# After lib/ofp-port.c ofputil_format_port_stats, as OpenFlow 1.4 and later carry it of a port of DPDK.
MORE_LINES = b"""@ br0
OFPST_PORT reply (OF1.5) (xid=0x2): 2 ports
  port LOCAL: rx pkts=8, bytes=648, drop=1, errs=0, frame=0, over=0, crc=0
           tx pkts=0, bytes=0, drop=0, errs=0, coll=0
           duration=12.345s
  port  1: rx pkts=5, bytes=300, drop=2, errs=0, frame=?, over=?, crc=?
           tx pkts=6, bytes=360, drop=7, errs=0, coll=?
           duration=11.345s
           rx rfc2819 1_to_64_packets=5, multicast_packets=3, broadcast_packets=2,
           tx rfc2819 1_to_64_packets=6, multicast_packets=1,
           CUSTOM Statistics
                      ovs_tx_failure_drops=7, ovs_tx_qos_drops=0, rx_missed_errors=0,
                      tx_q0_good_packets=6,
"""


def test_what_later_versions_of_openflow_add_to_a_port_changes_no_number() -> None:
    local, port = ovs_dump_ports.parse(MORE_LINES)

    assert (local.port, local.counters["rx_dropped"]) == ("LOCAL", 1)
    assert (port.port, port.counters["tx_dropped"], port.counters["tx_packets"]) == ("1", 7, 6)
    assert len(port.counters) == 12
    assert port.counters["collisions"] is None
