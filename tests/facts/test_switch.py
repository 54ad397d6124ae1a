# SPDX-License-Identifier: Apache-2.0
"""What Open vSwitch, its rules and connection tracking lose, and how other tools' numbers are read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from simulated import START, Device, Host, status
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, Finding, diagnose
from vnetkb.facts import build
from vnetkb.facts.switch import Switch
from vnetkb.facts.tables import Tables
from vnetkb.kb.load import load_kb
from vnetkb.report import words


def table(*rows: Mapping[str, Any]) -> str:
    """Text of ``ovs-vsctl --format=json list``: lists are sets, dicts maps, ``#x`` a UUID."""
    headings = sorted({key for row in rows for key in row})

    def value(one: Any) -> Any:  # noqa: ANN401 - any value of OVSDB
        if isinstance(one, str) and one.startswith("#"):
            return ["uuid", one]
        if isinstance(one, (list, tuple)):
            return ["set", [value(item) for item in one]]
        if isinstance(one, dict):
            return ["map", [[key, value(item)] for key, item in one.items()]]
        return one

    data = [[value(row.get(name, [])) for name in headings] for row in rows]
    return json.dumps({"headings": headings, "data": data})


# Every Open vSwitch has these columns, empty where nothing watches.
NO_MONITORING: dict[str, Any] = {"mirrors": [], "sflow": [], "netflow": [], "ipfix": [], "protocols": []}
ANY_VLAN: dict[str, Any] = {"tag": [], "trunks": [], "vlan_mode": [], "qos": []}


def interface(name: str, number: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any value of OVSDB
    plain = {"type": "", "ofport": number, "statistics": {}, "ingress_policing_rate": 0}
    return {"_uuid": f"#i{name}", "name": name, **plain, **more}


def switch(
    interfaces: list[list[dict[str, Any]]],
    *,
    version: str = "3.1.0",
    kind: str = "",
    mirrors: list[list[dict[str, Any]]] | None = None,
    **ports: Any,  # noqa: ANN401 - any value of OVSDB
) -> dict[str, str]:
    """Captures of a switch with one bridge br0; of interfaces and mirrors one list a snapshot."""
    names = [row["name"] for row in interfaces[0]]
    found = {f"host/{n}/ovs-interface": table(*rows) for n, rows in enumerate(interfaces)}
    found |= {f"host/{n}/ovs-mirror": table(*rows) for n, rows in enumerate(mirrors or [[], []])}
    found["host/0/ovs-version"] = f"ovs-vsctl (Open vSwitch) {version}\n"
    found["host/0/ovs-open-vswitch"] = table({"_uuid": "#o", "ovs_version": version})
    found["host/0/ovs-port"] = table(
        *(
            {"_uuid": f"#p{name}", "name": name, "interfaces": f"#i{name}", **ANY_VLAN, **ports.get(name, {})}
            for name in names
        )
    )
    found["host/0/ovs-sample-collectors"] = found["host/0/ovs-ipfix"] = table()
    found["host/0/ovs-bridge"] = table(
        NO_MONITORING
        | {
            "_uuid": "#b",
            "name": "br0",
            "datapath_type": kind,
            "ports": [f"#p{name}" for name in names],
            "mirrors": [row["_uuid"] for row in (mirrors or [[]])[0]],
        }
    )
    return found


def judge(host: Host, folder: Path, **options: Any) -> Diagnosis:  # noqa: ANN401 - as diagnose takes them
    kb = load_kb()
    return diagnose(build(read_bundle(host.write(folder)), kb), kb, **options)


def cause(finding: Finding) -> str | None:
    return finding.cause.id if finding.cause else None


def statistics(**values: int) -> dict[str, Any]:
    return {"statistics": values}


VNET3 = Device("vnet3", (0, 20), (10, 900), tx_queue_len=(0, 0), more={"mtu": (1500, 1500)})


DOUBLINGS = ("ovs-counters-doubled", "ovs-counters-maybe-doubled")


def doubling(shown: Diagnosis) -> list[tuple[str | None, str, str]]:
    return [(one.rule, one.subject, one.level) for one in shown.notices if one.rule in DOUBLINGS]


def seen(finding: Finding, tool: str = "ovs-vsctl") -> tuple[str, int | None, bool | None]:
    (witness,) = [one for one in finding.witnesses if one.name.startswith(tool)]
    return witness.name, witness.value, witness.agrees


@pytest.mark.parametrize("version", ["2.13.8", "2.5.12", "2.14.0"])
@pytest.mark.parametrize(("times", "said", "agrees"), [(1, False, True), (2, True, True), (3, False, False)])
def test_the_numbers_of_the_bundle_and_not_the_version_tell_a_doubling(
    version: str, times: int, said: object, agrees: object, tmp_path: Path
) -> None:
    rows = [[interface("vnet3", 1, **statistics(tx_dropped=drops * times))] for drops in (0, 20)]
    shown = judge(Host([VNET3], captures=switch(rows, version=version)), tmp_path)

    (finding,) = shown.findings
    name, value, agreed = seen(finding)
    assert (value, agreed, "shows twice" in name) == (20 * times, agrees, said)
    assert doubling(shown) == ([("ovs-counters-doubled", "vnet3", "warning")] if said else [])
    assert bool([one for one in shown.notices if "moved by" in one.text]) is (times == 3)
    assert (finding.symptom.delta, finding.symptom.total) == (20, 20)


@pytest.mark.parametrize(("times", "said"), [(1, []), (2, ["ovs-counters-doubled"]), (3, [])])
def test_a_doubling_of_numbers_that_move_is_told_within_what_passed_between(
    times: int, said: list[str], tmp_path: Path
) -> None:
    rows = [[interface("vnet3", 1, **statistics(tx_dropped=n * times))] for n in (20_090, 20_181)]
    device = Device("vnet3", (20_100, 20_200), (10, 9000), tx_queue_len=(0, 0))
    shown = judge(Host([device], captures=switch(rows, version="2.9.2")), tmp_path)

    assert [rule for rule, _, _ in doubling(shown)] == said
    assert seen(shown.findings[0])[2] is (times < 3)


@pytest.mark.parametrize(("version", "said"), [("2.9.2", ["ovs-counters-maybe-doubled"]), ("3.1.0", [])])
def test_one_snapshot_of_an_old_version_makes_a_doubling_possible_and_no_more(
    version: str, said: list[str], tmp_path: Path
) -> None:
    rows = [[interface("vnet3", 1, **statistics(tx_dropped=40))]]
    captures = switch(rows, version=version, mirrors=[[]])
    device = Device("vnet3", (20, 20), (10, 900))
    shown = judge(Host([device], snapshots=1, captures=captures), tmp_path)

    assert [rule for rule, _, _ in doubling(shown)] == said
    assert "shows twice" not in seen(shown.findings[0])[0]


def test_a_port_that_lost_nothing_has_no_number_to_correct(tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1, **statistics(tx_dropped=0, rx_errors=0))]] * 2
    device = Device("vnet3", (0, 0), (10, 900), more={"statistics/rx_errors": (0, 0)})

    assert doubling(judge(Host([device], captures=switch(rows, version="2.9.2")), tmp_path)) == []


def test_the_userspace_datapath_doubles_nothing(tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1, **statistics(tx_dropped=40))]] * 2
    device = Device("vnet3", (20, 20), (10, 900))
    shown = judge(Host([device], captures=switch(rows, version="2.9.2", kind="netdev")), tmp_path, every=True)

    assert doubling(shown) == []


def test_without_the_doubling_twice_the_number_is_a_disagreement(tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1, **statistics(tx_dropped=drops))] for drops in (0, 40_000)]
    (finding,) = judge(Host([VNET3], captures=switch(rows)), tmp_path).findings

    assert [one.agrees for one in finding.witnesses] == [False]


def test_a_tap_of_the_userspace_datapath_is_shown_the_other_way_round(tmp_path: Path) -> None:
    rows = [[interface("t0", 1, type="tap", **statistics(tx_dropped=9, rx_dropped=n))] for n in (0, 20)]
    tap = Device("t0", (0, 20), (10, 900), tx_queue_len=(0, 0))
    (finding,) = judge(Host([tap], captures=switch(rows, kind="netdev")), tmp_path).findings

    assert [(one.name, one.value, one.agrees) for one in finding.witnesses] == [
        ("ovs-vsctl statistics:rx_dropped", 20, True)
    ]


def mirror(sent: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any value of OVSDB
    columns = ("output_port", "output_vlan", "select_src_port", "select_dst_port", "select_vlan")
    chosen: dict[str, Any] = {key: [] for key in columns}
    row = {"_uuid": "#m", "name": "watch", "select_all": True, "statistics": {"tx_packets": sent}}
    return chosen | row | more


def test_what_a_mirrors_output_port_drops_are_copies(tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1), interface("vnet4", 2)]] * 2
    captures = switch(rows, mirrors=[[mirror(n, output_port="#pvnet3")] for n in (5, 25)])
    shown = judge(Host([VNET3], captures=captures), tmp_path)

    (finding,) = shown.findings
    assert finding.harm == "harmless"
    assert "copies" in finding.harm_reason
    (notice,) = [one for one in shown.notices if one.rule == "ovs-mirror-port-unread"]
    assert (notice.subject, notice.level) == ("vnet3", "warning")
    assert "copies sent meanwhile: 20 packets" in notice.text


@pytest.mark.parametrize("copies", [0, 2, 10])
def test_losses_far_over_what_the_mirror_sent_are_not_said_to_be_copies(copies: int, tmp_path: Path) -> None:
    before, after = ([mirror(sent, output_port="#pvnet3")] for sent in (5, 5 + copies))
    finding = watched(tmp_path, VNET3, before, after)

    assert finding.harm == "unknown"
    assert finding.alarm is not None
    assert finding.alarm.means == "unknown"


def test_a_mirror_to_a_vlan_brings_copies_to_the_ports_that_carry_it(tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1)]] * 2
    for tag, said in ((7, True), (8, False), ([], True)):
        captures = switch(rows, mirrors=[[mirror(5, output_vlan=7)]] * 2, vnet3={"tag": tag})
        shown = judge(Host([VNET3], captures=captures), tmp_path)
        assert bool([one for one in shown.notices if one.rule == "ovs-mirror-vlan-overload"]) is said
        assert shown.findings[0].harm == "harmful"


LOG = "[ {at:.6f}] openvswitch: vnet3: dropped over-mtu packet: 1600 > 1500\n"
QUIET = Device("vnet3", (0, 0), (10, 900), more={"mtu": (1500, 1500), "statistics/tx_errors": (0, 0)})


def test_over_mtu_that_only_the_log_tells_is_a_silent_loss(tmp_path: Path) -> None:
    log = "".join(LOG.format(at=START + at) for at in (-500, 1, 2, 3))
    captures = switch([[interface("vnet3", 1)]] * 2) | {"host/0/kernel-log": log}
    (finding,) = judge(Host([QUIET], release="5.10.0-28-amd64", captures=captures), tmp_path).findings

    assert (finding.symptom.counter, finding.symptom.state, finding.symptom.delta) == (None, "silent", 3)
    assert finding.symptom.between == ("OVS datapath", "tap")
    assert (cause(finding), finding.verdict) == ("ovs-over-mtu", "likely")


def test_over_mtu_that_a_counter_shows_is_told_once(tmp_path: Path) -> None:
    tap = Device("vnet3", (0, 0), (10, 900), more={"mtu": (1500, 1500), "statistics/tx_errors": (0, 5)})
    captures = switch([[interface("vnet3", 1)]] * 2) | {"host/0/kernel-log": LOG.format(at=START + 1)}
    (finding,) = judge(Host([tap], captures=captures), tmp_path).findings

    assert (finding.symptom.counter, finding.symptom.delta) == ("tap.tx_errors", 5)
    assert cause(finding) == "ovs-over-mtu"


def test_lines_from_before_the_snapshots_are_no_loss_of_now(tmp_path: Path) -> None:
    captures = switch([[interface("vnet3", 1)]] * 2) | {"host/0/kernel-log": LOG.format(at=5)}

    assert judge(Host([QUIET], captures=captures), tmp_path).findings == ()


FLOW = "ufid:{id},in_port(eth0),eth_type(0x0800), packets:{n}, bytes:{n}, used:0.1s, dp:ovs, actions:{to}\n"


def flows(*rows: tuple[int, int, str]) -> str:
    text = "".join(FLOW.format(id=number, n=packets, to=to) for number, packets, to in rows)
    return f"@ system@ovs-system\n{text}"


@pytest.mark.parametrize("carrier", ["0", "1"])
def test_flows_that_send_to_a_port_without_carrier(carrier: str, tmp_path: Path) -> None:
    tap = Device("vnet3", (0, 0), (10, 10), carrier=(carrier, carrier))
    captures = switch([[interface("vnet3", 1)]] * 2) | {
        "host/0/ovs-datapath-flows": flows((1, 100, "eth1,vnet3"), (2, 50, "vnet33")),
        "host/1/ovs-datapath-flows": flows((1, 130, "eth1,vnet3"), (2, 90, "vnet33"), (3, 4, "vnet3")),
    }
    found = judge(Host([tap], captures=captures), tmp_path).findings

    assert [(cause(one), one.symptom.delta, one.symptom.state) for one in found] == (
        [("ovs-port-down", 34, "silent")] if carrier == "0" else []
    )


SHOWN = "system@ovs-system:\n  lookups: hit:1 missed:1 lost:0\n  flows: 1\n  port 0: ovs-system (internal)\n"


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ("  port 1: eth1\n  port 3: vnet3\n  port 7: vnet7\n", [34]),
        ("  port 1: eth1\n  port 2: vnet3\n  port 3: vnet7\n  port 7: vnet8\n", []),
        ("  port 1: eth1\n", []),
    ],
)
def test_flows_of_old_versions_name_the_ports_by_number(ports: str, found: list[int], tmp_path: Path) -> None:
    tap = Device("vnet3", (0, 0), (10, 10), carrier=("0", "0"))
    old = (
        "1,3",
        "meter(3),1",
        "set(eth(src=02:00:00:00:00:01)),sample(sample=50.0%,actions(7,3))",
        "recirc(3)",
    )
    captures = switch([[interface("vnet3", 1)]] * 2)
    for n, counts in enumerate(((100, 50, 10, 0), (130, 90, 14, 60))):
        rows = zip((1, 2, 3, 4), counts, old, strict=True)
        captures[f"host/{n}/ovs-datapath-flows"] = flows(*rows)
        captures[f"host/{n}/ovs-datapath"] = SHOWN + ports
    shown = judge(Host([tap], captures=captures), tmp_path).findings

    assert [one.symptom.delta for one in shown if cause(one) == "ovs-port-down"] == found


def test_a_number_that_nothing_names_leaves_it_open_what_flows_sent(tmp_path: Path) -> None:
    captures = switch([[interface("vnet3", 1)]] * 2)
    captures |= {f"host/{n}/ovs-datapath-flows": flows((1, 100 + 30 * n, "1,3")) for n in (0, 1)}
    read = build(read_bundle(Host([VNET3], captures=captures).write(tmp_path)), load_kb())

    fact = read.subjects["tap", "vnet3"].fact("ovs.sent_by_flows")
    assert (fact.value, bool(fact.why_unknown)) == (None, True)


RULE = " cookie=0x0, duration=9.5s, table=0, n_packets={n}, n_bytes=9, priority=100,{match} actions={what}\n"


def test_rules_that_drop_are_told_with_the_rule(tmp_path: Path) -> None:
    captures = {
        f"host/{n}/ovs-dump-flows": "@ br0\nNXST_FLOW reply (xid=0x4):\n"
        + RULE.format(n=7 + 30 * n, match="arp", what="NORMAL")
        + RULE.format(n=3 + 20 * n, match="dl_type=0x88b5", what="drop")
        for n in (0, 1)
    }
    (finding,) = judge(Host([], captures=captures), tmp_path).findings

    assert (finding.subject.kind, finding.subject.name) == ("ovs_bridge", "br0")
    assert (cause(finding), finding.verdict, finding.symptom.delta) == ("ovs-flow-drop", "confirmed", 20)
    assert finding.harm == "unknown"
    assert "table=0 priority=100,dl_type=0x88b5" in finding.remedies[0].text


def test_a_switch_whose_rules_drop_nothing_now_is_healthy(tmp_path: Path) -> None:
    rule = "@ br0\n" + RULE.format(n=30, match="arp", what="drop")
    captures = {f"host/{n}/ovs-dump-flows": rule for n in (0, 1)}

    assert judge(Host([], captures=captures), tmp_path).findings == ()


@pytest.mark.parametrize("cut", [(), (0,), (1,)])
def test_a_rule_that_may_have_stood_below_the_cut_is_not_counted_from_its_start(
    cut: tuple[int, ...], tmp_path: Path
) -> None:
    old, new = (RULE.format(n=n, match=match, what="drop") for n, match in ((30, "arp"), (5000, "ipv6")))
    captures = {"host/0/ovs-dump-flows": f"@ br0\n{old}", "host/1/ovs-dump-flows": f"@ br0\n{old}{new}"}
    host = Host([], captures=captures, cut=[f"host/{n}/ovs-dump-flows" for n in cut])
    read = build(read_bundle(host.write(tmp_path)), load_kb())

    dropped = read.subjects["ovs_bridge", "br0"].fact("bridge.dropped_by_rules")
    assert dropped.value == (None if 0 in cut else 5000)
    assert [one.symptom.delta for one in read.observations] == ([] if 0 in cut else [5000])


METER = """@ br0
meter:1 flow_count:1 packet_in_count:{n} byte_in_count:9 duration:6.6s bands:
0: packet_count:{over} byte_count:1
"""


def test_packets_over_a_meters_band(tmp_path: Path) -> None:
    captures = {f"host/{n}/ovs-meter-stats": METER.format(n=100 * n, over=50 * n + 2) for n in (0, 1)}
    (finding,) = judge(Host([], captures=captures), tmp_path).findings

    assert (finding.symptom.counter, finding.symptom.delta) == ("ovs_vswitchd.meter_band_packets", 50)
    assert (cause(finding), finding.verdict) == ("ovs-meter", "likely")


DATAPATH = "system@ovs-system:\n  lookups: hit:{hit} missed:{missed} lost:{lost}\n  flows: 5\n"
NETLINK = "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n0 16 4711 0 0 0 0 2 {drops} 9\n"


@pytest.mark.parametrize(
    ("drops", "state", "expected"),
    [
        (0, "S (sleeping)", "ovs-upcall-lost"),
        (40, "S (sleeping)", "ovs-upcall-socket-full"),
        (40, "T (stopped)", "ovs-upcall-vswitchd-stopped"),
    ],
)
def test_upcalls_that_were_lost(drops: int, state: str, expected: str, tmp_path: Path) -> None:
    captures: dict[str, str] = {}
    for n in (0, 1):
        captures[f"host/{n}/ovs-datapath"] = DATAPATH.format(hit=900 * n, missed=60 * n, lost=40 * n)
        captures[f"host/{n}/proc-net-netlink"] = NETLINK.format(drops=drops * n)
        captures[f"host/{n}/proc-status"] = status(800, 800, "ovs-vswitchd", state)
    (finding,) = judge(Host([], captures=captures), tmp_path).findings

    assert (finding.subject.name, finding.symptom.counter) == ("system@ovs-system", "ovs_datapath.lost")
    assert cause(finding) == expected
    assert finding.verdict == ("confirmed" if expected == "ovs-upcall-lost" else "likely")


def test_misses_alone_are_no_loss(tmp_path: Path) -> None:
    captures = {
        f"host/{n}/ovs-datapath": DATAPATH.format(hit=900 * n, missed=600 * n, lost=0) for n in (0, 1)
    }
    assert judge(Host([], captures=captures), tmp_path).findings == ()


COVERAGE = "Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=1:\n"
HIT = "{name}   0.2/sec     0.017/sec        0.0003/sec   total: {n}\n"


def test_what_the_daemon_dropped_for_a_fault_is_told_by_name(tmp_path: Path) -> None:
    captures = {
        f"host/{n}/ovs-coverage": COVERAGE
        + HIT.format(name="drop_action_of_pipeline", n=90 * n)
        + HIT.format(name="datapath_drop_meter", n=90 * n)
        + HIT.format(name="drop_action_too_many_resubmit", n=7 * n)
        + "100 events never hit\n"
        for n in (0, 1)
    }
    (finding,) = judge(Host([], captures=captures), tmp_path).findings

    assert (finding.symptom.counter, finding.symptom.delta) == ("ovs_vswitchd.drop_action", 7)
    assert cause(finding) == "ovs-action-error"
    (candidate,) = finding.candidates
    assert "drop_action_too_many_resubmit" in candidate.evidence[0].text


def test_connections_that_could_not_be_tracked(tmp_path: Path) -> None:
    captures = {
        f"host/{n}/conntrack-stat": f"entries  drop\n00010000 {5 * n:08x}\n00010000 00000002\n"
        for n in (0, 1)
    }
    captures["host/0/sysctl-net"] = "net/netfilter/nf_conntrack_max:65536\n"
    (finding,) = judge(Host([], captures=captures), tmp_path).findings

    assert (finding.symptom.delta, cause(finding), finding.verdict) == (5, "conntrack-full", "likely")


@pytest.mark.parametrize(
    ("too_long", "cause_of_all", "verdict"),
    [(0, "conntrack-race", "likely"), (5, "conntrack-full", "likely")],
)
def test_a_race_between_equal_connections_is_no_full_table(
    too_long: int, cause_of_all: str, verdict: str, tmp_path: Path
) -> None:
    heading = "entries  chainlength insert_failed drop\n"
    captures = {
        f"host/{n}/conntrack-stat": f"{heading}00000064 {too_long * n:08x} {5 * n:08x} {5 * n:08x}\n"
        for n in (0, 1)
    }
    full = "65536" if cause_of_all == "conntrack-race" else "100"
    captures["host/0/sysctl-net"] = f"net/netfilter/nf_conntrack_max:{full}\n"
    (finding,) = judge(Host([], captures=captures), tmp_path).findings

    assert (finding.symptom.delta, cause(finding), finding.verdict) == (5, cause_of_all, verdict)


@pytest.mark.parametrize(
    ("flags", "expected"), [("0x1003", "ovs-internal-unhandled"), ("0x1002", "ovs-internal-down")]
)
def test_the_hosts_own_port(flags: str, expected: str, tmp_path: Path) -> None:
    port = Device(
        "br0",
        flags=(flags, flags),
        tun_flags=None,
        more={"statistics/rx_dropped": (0, 5), "statistics/rx_packets": (0, 50)},
    )
    links = json.dumps(
        [{"ifindex": 5, "ifname": "br0", "flags": [], "linkinfo": {"info_kind": "openvswitch"}}]
    )
    captures = {f"host/{n}/ip-link": links for n in (0, 1)}
    captures |= switch([[interface("br0", 65534, type="internal")]] * 2)
    shown = judge(Host([port], captures=captures), tmp_path)

    (finding,) = shown.findings
    assert (finding.symptom.counter, cause(finding)) == ("ovs_internal.rx_dropped", expected)
    assert [one.subject for one in shown.notices if one.rule == "ovs-internal-direction"] == ["br0"]


def watched(
    tmp_path: Path,
    device: Device,
    mirrors: list[dict[str, Any]],
    later: list[dict[str, Any]] | None = None,
    **bridge: str,
) -> Finding:
    rows = [[interface("vnet3", 1), interface("vnet4", 2)]] * 2
    captures = switch(rows, mirrors=[mirrors, later or mirrors])
    bridges = json.loads(captures["host/0/ovs-bridge"])
    for column, value in bridge.items():
        bridges["data"][0][bridges["headings"].index(column)] = ["uuid", value]
    captures["host/0/ovs-bridge"] = json.dumps(bridges)
    captures["host/0/ovs-sflow"] = table(
        {"_uuid": "#s", "targets": "192.0.2.9:6343", "sampling": 64, "polling": 20}
    )
    captures["host/0/ovs-ipfix"] = table({"_uuid": "#x", "targets": ["192.0.2.8:4739"], "sampling": []})
    captures["host/0/ovs-netflow"] = table()
    (finding,) = judge(Host([device], captures=captures), tmp_path).findings
    return finding


def test_an_alarm_that_means_loss_names_the_monitoring_that_counts_it(tmp_path: Path) -> None:
    finding = watched(tmp_path, VNET3, [mirror(5, output_port="#pvnet4")], sflow="#s", ipfix="#x")

    assert finding.alarm is not None
    assert (finding.alarm.means, finding.alarm.counted_as) == ("loss", "ifOutDiscards")
    assert [(one.kind, one.role, one.targets, one.every_s) for one in finding.alarm.watches] == [
        ("mirror", "source", ("vnet4",), None),
        ("sFlow", "source", ("192.0.2.9:6343",), 20.0),
        ("IPFIX", "source", ("192.0.2.8:4739",), None),
    ]
    said = words.alarm(finding, finding.alarm)
    assert "sFlow of br0 sends this number as ifOutDiscards to 192.0.2.9:6343 every 20 s." in said
    assert (
        "IPFIX of br0 sends flows to 192.0.2.8:4739; what it calls dropped are packets that no rule sent on, "
        "and this loss is not among them." in said
    )


def alarm_text(
    folder: Path, captures: Mapping[str, str | None], device: Device = VNET3, name: str = "vnet3"
) -> str:
    """What the report says of an alarm on the one finding of a port."""
    shown = judge(Host([device], captures=captures), folder)
    (finding,) = [one for one in shown.findings if one.subject.name.partition(" ")[0] == name]
    assert finding.alarm is not None
    return words.alarm(finding, finding.alarm)


def sampled(rows: list[list[dict[str, Any]]], *, kind: str = "", **sflow: Any) -> dict[str, str]:  # noqa: ANN401
    """A switch with sFlow on its bridge."""
    captures = switch(rows, kind=kind)
    bridge = json.loads(captures["host/0/ovs-bridge"])
    bridge["data"][0][bridge["headings"].index("sflow")] = ["uuid", "#s"]
    row = {"_uuid": "#s", "targets": "192.0.2.9:6343", "sampling": [], "polling": []}
    return captures | {
        "host/0/ovs-bridge": json.dumps(bridge),
        "host/0/ovs-sflow": table(row | sflow),
        "host/0/ovs-netflow": table(),
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "sFlow of br0 sends this number as ifOutDiscards to 192.0.2.9:6343 every 30 s."),
        ({"polling": 0}, "its polling is 0, so it sends no counter of any port."),
        ({"targets": []}, "sFlow of br0 has no target, so it sends nothing."),
    ],
)
def test_what_sflow_sends_of_a_port(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    text = alarm_text(tmp_path, sampled([[interface("vnet3", 1)]] * 2, **settings))

    assert said in text
    assert "every 0 s" not in text
    assert "nobody" not in text


def test_sflow_names_a_tap_of_the_userspace_datapath_as_open_vswitch_shows_it(tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1, type="tap")]] * 2
    text = alarm_text(tmp_path, sampled(rows, kind="netdev"))

    assert "as ifInDiscards to" in text
    assert "ifOutDiscards" not in text


def test_sflow_sends_what_open_vswitch_counts_twice(tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1, **statistics(tx_dropped=drops))] for drops in (0, 40)]
    text = alarm_text(tmp_path, sampled(rows))

    assert "which counts each packet twice, as ifOutDiscards to" in text
    assert "sends this number" not in text


def test_an_alarm_does_not_come_from_a_loss_that_no_counter_holds(tmp_path: Path) -> None:
    log = "".join(LOG.format(at=START + at) for at in (1, 2, 3))
    captures = sampled([[interface("vnet3", 1)]] * 2) | {"host/0/kernel-log": log}
    text = alarm_text(tmp_path, captures, QUIET)

    assert text.startswith("No counter of this port holds it")
    assert "reader of its counters" not in text
    assert "sends samples of packets and, every 30 s, counters of the port to 192.0.2.9:6343" in text
    assert "this loss is in neither" in text


def test_an_alarm_does_not_come_from_what_tc_alone_counts(tmp_path: Path) -> None:
    captures = switch([[interface("vnet3", 1, ingress_policing_rate=1000)]] * 2)
    for n in (0, 1):
        captures[f"host/{n}/tc-qdisc"] = QDISCS.format(p=100 * n, d=18 * n)
        captures[f"host/{n}/tc-filter"] = FILTER.format(p=100 * n, d=18 * n)
    text = alarm_text(tmp_path, captures, Device("vnet3", (0, 0), (10, 900)))

    assert "tc -s qdisc alone shows it" in text
    assert "so the alarm comes" not in text


VLANS = [
    ({"tag": 100}, "copies its packets to vnet4"),
    ({"tag": 7}, None),
    ({"trunks": [7, 8]}, None),
    ({"trunks": [100]}, "copies its packets to vnet4"),
    ({"trunks": [7, 100]}, "copies those of its packets that are in the VLANs 100 to vnet4"),
    ({}, "copies those of its packets that are in the VLANs 100 to vnet4"),
    ({"tag": 100, "vlan_mode": "native-untagged", "trunks": [7]}, "copies those of its packets"),
    ({"tag": 7, "trunks": [8], "vlan_mode": "native-tagged"}, None),
]


@pytest.mark.parametrize(("port", "said"), VLANS)
def test_a_mirror_of_some_vlans(port: dict[str, Any], said: str | None, tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1), interface("vnet4", 2)]] * 2
    captures = switch(rows, mirrors=[[mirror(5, output_port="#pvnet4", select_vlan=[100])]] * 2, vnet3=port)
    text = alarm_text(tmp_path, captures | {"host/0/ovs-sflow": table(), "host/0/ovs-netflow": table()})

    if said is None:
        assert "Mirror watch" not in text
        assert "No mirror, sFlow, NetFlow or IPFIX of Open vSwitch watches this port" in text
    else:
        assert f"Mirror watch of br0 {said}" in text


@pytest.mark.parametrize(
    ("port", "means", "said"),
    [
        (
            {"tag": 7},
            "unknown",
            "All that it carries is in VLAN 7, to which mirror watch of br0 sends its copies",
        ),
        (
            {},
            "loss",
            "It carries VLAN 7, to which mirror watch of br0 sends its copies: some of what it loses",
        ),
        ({"tag": 8}, "loss", None),
    ],
)
def test_a_port_that_carries_the_vlan_of_the_copies(
    port: dict[str, Any], means: str, said: str | None, tmp_path: Path
) -> None:
    captures = switch([[interface("vnet3", 1)]] * 2, mirrors=[[mirror(5, output_vlan=7)]] * 2, vnet3=port)
    (finding,) = judge(Host([VNET3], captures=captures), tmp_path).findings

    assert finding.alarm is not None
    assert finding.alarm.means == means
    assert (said or "Mirror watch of br0") in words.alarm(finding, finding.alarm)
    assert ("carries" in words.alarm(finding, finding.alarm)) is (said is not None)


def rules(*lines: str, bridge: str = "br0") -> str:
    head = "cookie=0x0, duration=9.0s, table=0, n_packets=0, n_bytes=0, "
    return f"@ {bridge}\nNXST_FLOW reply (xid=0x4):\n" + "".join(f" {head}{line}\n" for line in lines)


SAMPLE = "priority=1 actions=sample(probability=9,collector_set_id=7,obs_domain_id=0,obs_point_id=0),NORMAL"
COLLECTORS = {"_uuid": "#c", "bridge": "#b", "id": 7, "ipfix": "#x"}


@pytest.mark.parametrize(
    ("flow_rules", "sets", "said"),
    [
        (rules(SAMPLE), [COLLECTORS], "(set of collectors 7; such rules: 1)"),
        (None, [COLLECTORS], "(set of collectors 7; such rules: not known)"),
        (rules("actions=NORMAL"), [COLLECTORS], "No mirror, sFlow, NetFlow or IPFIX"),
        (rules(SAMPLE), [], "No mirror, sFlow, NetFlow or IPFIX"),
        (rules("actions=NORMAL"), None, "No mirror, sFlow, NetFlow or IPFIX"),
        (rules(SAMPLE), None, "not readable: ovs-sample-collectors."),
        (None, None, "not readable: ovs-sample-collectors."),
    ],
)
def test_rules_that_sample_for_a_collector(
    flow_rules: str | None, sets: list[dict[str, Any]] | None, said: str, tmp_path: Path
) -> None:
    captures: dict[str, str | None] = dict(switch([[interface("vnet3", 1)]] * 2))
    captures["host/0/ovs-ipfix"] = table({"_uuid": "#x", "targets": "192.0.2.8:4739", "sampling": []})
    captures["host/0/ovs-sample-collectors"] = None if sets is None else table(*sets)
    captures |= {f"host/{n}/ovs-dump-flows": flow_rules for n in (0, 1) if flow_rules is not None}

    assert said in alarm_text(tmp_path, captures)


def test_how_many_rules_sample_is_not_known_where_the_collector_cut_them(tmp_path: Path) -> None:
    captures: dict[str, str | None] = dict(switch([[interface("vnet3", 1)]] * 2))
    captures["host/0/ovs-ipfix"] = table({"_uuid": "#x", "targets": "192.0.2.8:4739", "sampling": []})
    captures["host/0/ovs-sample-collectors"] = table(COLLECTORS)
    paths = [f"host/{n}/ovs-dump-flows" for n in (0, 1)]
    captures |= dict.fromkeys(paths, rules("actions=NORMAL"))
    shown = judge(Host([VNET3], captures=captures, cut=paths), tmp_path)
    (finding,) = [one for one in shown.findings if one.subject.name == "vnet3"]

    assert finding.alarm is not None
    assert "(set of collectors 7; such rules: not known)" in words.alarm(finding, finding.alarm)


@pytest.mark.parametrize(
    ("protocols", "capture", "told"),
    [
        ([], "ovs-dump-flows", True),
        (["OpenFlow13"], "ovs-dump-flows", True),
        ([], "ovs-meter-stats", True),
        (["OpenFlow13"], "ovs-meter-stats", True),
        (["OpenFlow10"], "ovs-meter-stats", False),
        (["OpenFlow13"], "ovs-dump-ports", True),
    ],
)
def test_a_bridge_that_gave_no_answer_is_named(
    protocols: list[str], capture: str, told: object, tmp_path: Path
) -> None:
    captures = switch([[interface("vnet3", 1)]] * 2)
    bridges = json.loads(captures["host/0/ovs-bridge"])
    bridges["data"][0][bridges["headings"].index("protocols")] = ["set", protocols]
    captures["host/0/ovs-bridge"] = json.dumps(bridges)
    answer = {"ovs-dump-flows": rules(bridge="br9"), "ovs-dump-ports": "@ br9\nOFPST_PORT reply: 0 ports\n"}
    captures |= {f"host/{n}/{capture}": answer.get(capture, "@ br9\n") for n in (0, 1)}
    shown = judge(Host([VNET3], captures=captures), tmp_path)

    said = [one.text for one in shown.notices if one.subject == "br0" and "gave no answer" in one.text]
    assert [text.startswith(f"it gave no answer in host/0/{capture}: what") for text in said] == [
        True
    ] * bool(told)


def test_an_alarm_on_a_mirrors_output_port_means_copies(tmp_path: Path) -> None:
    finding = watched(
        tmp_path, VNET3, [mirror(5, output_port="#pvnet3")], [mirror(25, output_port="#pvnet3")]
    )

    assert finding.alarm is not None
    assert finding.alarm.means == "copy"
    assert "It is the output port of mirror watch of br0." in words.alarm(finding, finding.alarm)


def without(text: str, *columns: str) -> str:
    """Return a table with some of its columns under other names, as no Open vSwitch has them."""
    found = json.loads(text)
    found["headings"] = [f"new_{name}" if name in columns else name for name in found["headings"]]
    return json.dumps(found)


@pytest.mark.parametrize(
    ("lost", "columns", "needed"),
    [
        ("ovs-mirror", None, "ovs-mirror"),
        ("ovs-mirror", ("output_port",), "ovs-mirror"),
        ("ovs-bridge", None, "ovs-bridge"),
        ("ovs-bridge", ("mirrors", "sflow"), "ovs-bridge"),
        ("ovs-port", None, "ovs-port"),
    ],
)
def test_whether_copies_are_lost_is_not_known_where_the_mirrors_are_not(
    lost: str, columns: tuple[str, ...] | None, needed: str, tmp_path: Path
) -> None:
    rows = [[interface("vnet3", 1), interface("vnet4", 2)]] * 2
    captures = switch(rows, mirrors=[[mirror(n, output_port="#pvnet3")] for n in (5, 25)])
    for member in [one for one in captures if one.endswith(lost)]:
        captures[member] = without(captures[member], *columns) if columns else "?"
    shown = judge(Host([VNET3], captures=captures), tmp_path)

    (finding,) = shown.findings
    assert finding.harm == "unknown", finding.harm_reason
    assert "may be copies" in finding.harm_reason
    assert finding.alarm is not None
    assert (finding.alarm.means, needed in finding.alarm.not_told) == ("unknown", True)
    said = words.alarm(finding, finding.alarm)
    assert "not known" in said
    assert "No mirror" not in said
    assert [one for one in shown.notices if "watch its ports is not known" in one.text and needed in one.text]


def test_what_no_sampler_is_known_of_is_not_said_to_be_unwatched(tmp_path: Path) -> None:
    captures = switch([[interface("vnet3", 1)]] * 2)
    captures["host/0/ovs-bridge"] = captures["host/0/ovs-bridge"].replace('["set", []]', '["uuid", "#s"]', 1)
    (finding,) = judge(Host([VNET3], captures=captures), tmp_path).findings

    assert finding.harm == "harmful"
    assert finding.alarm is not None
    assert (finding.alarm.means, finding.alarm.not_told) == ("loss", ("ovs-ipfix",))
    assert "No mirror" not in words.alarm(finding, finding.alarm)


def test_an_alarm_on_very_few_drops_is_noise(tmp_path: Path) -> None:
    finding = watched(tmp_path, Device("vnet3", (0, 1), (0, 900_000)), [])

    assert finding.alarm is not None
    assert finding.alarm.means == "noise"
    assert "No mirror, sFlow, NetFlow or IPFIX" in words.alarm(finding, finding.alarm)


def test_a_port_of_no_switch_has_no_such_line(tmp_path: Path) -> None:
    (finding,) = judge(Host([VNET3]), tmp_path).findings
    assert finding.alarm is None


TRACE = """@ start 1001.00
          <idle>-0       [000] ..s2.  1002.000001: kfree_skb: skbaddr=00000000{n:08x} protocol=2048 location={where}+0x90/0x100 reason: NOT_SPECIFIED
@ stop 1009.00
"""  # noqa: E501
PORTS = '[{{"ifname":"vnet3","master":"br0","state":"forwarding","mtu":{a}}},{{"ifname":"eth0","master":"br0","state":"forwarding","mtu":{b}}}]'  # noqa: E501


@pytest.mark.parametrize(
    ("where", "sizes", "expected"),
    [
        ("br_dev_queue_push_xmit", (1500, 9000), "bridge-over-mtu"),
        ("__allowed_ingress", (1500, 1500), "bridge-filtered"),
        ("br_flood", (1500, 1500), None),
        ("br_forward", (1500, 1500), None),
    ],
)
def test_what_a_bridge_frees_is_seen_by_a_trace_alone(
    where: str, sizes: tuple[int, int], expected: str | None, tmp_path: Path
) -> None:
    links = json.dumps(
        [{"ifindex": 3, "ifname": "br0", "flags": ["UP"], "linkinfo": {"info_kind": "bridge"}}]
    )
    captures = {f"host/{n}/ip-link": links for n in (0, 1)}
    captures |= {f"host/{n}/bridge-link": PORTS.format(a=sizes[0], b=sizes[1]) for n in (0, 1)}
    captures["series/trace"] = TRACE.format(n=1, where=where)
    bridge = Device("br0", tun_flags=None)
    shown = judge(Host([bridge], captures=captures), tmp_path)

    assert [(cause(one), one.verdict, one.symptom.delta) for one in shown.findings] == (
        [(expected, "likely", 1)] if expected else []
    )
    told = [one.rule for one in shown.notices if one.rule == "bridge-mtu-differs"]
    assert bool(told) is (sizes[0] != sizes[1] and expected is None) or expected is not None


def test_ports_of_a_bridge_in_an_unknown_layout_are_named(tmp_path: Path) -> None:
    links = json.dumps(
        [{"ifindex": 3, "ifname": "br0", "flags": ["UP"], "linkinfo": {"info_kind": "bridge"}}]
    )
    captures = {f"host/{n}/ip-link": links for n in (0, 1)}
    # No fact asks for it before the advice on bridges does.
    captures |= {f"host/{n}/bridge-link": PORTS.format(a=1500, b=9000) for n in (0, 1)}
    captures["host/1/bridge-link"] = captures["host/1/bridge-link"].replace("ifname", "port")
    shown = judge(Host([Device("br0", tun_flags=None)], captures=captures), tmp_path)

    unread = [one.subject for one in shown.notices if "its layout is not known" in one.text]
    assert unread == ["host/1/bridge-link"]


FDB = "52:54:00:aa:bb:01 dev {port} used 1/1 master br0\n# {port} br0 1\n"


def test_an_address_that_moves_between_ports_is_told(tmp_path: Path) -> None:
    links = json.dumps(
        [{"ifindex": 3, "ifname": "br0", "flags": ["UP"], "linkinfo": {"info_kind": "bridge"}}]
    )
    captures = {f"host/{n}/ip-link": links for n in (0, 1)}
    captures |= {f"host/{n}/bridge-fdb": FDB.format(port=port) for n, port in enumerate(("vnet3", "eth0"))}
    shown = judge(Host([Device("br0", tun_flags=None)], captures=captures), tmp_path)

    assert [one.subject for one in shown.notices if one.rule == "bridge-mac-flap"] == ["br0"]
    assert shown.findings == ()


QDISCS = '[{{"kind":"ingress","handle":"ffff:","dev":"vnet3","parent":"ffff:fff1","options":{{}},"bytes":9,"packets":{p},"drops":{d},"overlimits":0,"requeues":0,"backlog":0,"qlen":0}}]'  # noqa: E501
FILTER = """@ vnet3 ingress
filter protocol all pref 49 basic chain 0
filter protocol all pref 49 basic chain 0 handle 0x1
	action order 1:  police 0x1 rate 1Mbit burst 12500b mtu 64Kb action drop overhead 0b
	ref 1 bind 1
	Action statistics:
	Sent 900 bytes {p} pkt (dropped {d}, overlimits {d} requeues 0)
	backlog 0b 0p requeues 0
"""


@pytest.mark.parametrize(("rate", "expected"), [(1000, "ovs-policing"), (0, "tc-police")])
def test_what_a_policer_drops_is_told_by_tc_alone(rate: int, expected: str, tmp_path: Path) -> None:
    row = interface("vnet3", 1, ingress_policing_rate=rate, ingress_policing_kpkts_rate=0)
    captures = switch([[row]] * 2)
    for n in (0, 1):
        captures[f"host/{n}/tc-qdisc"] = QDISCS.format(p=100 * n, d=18 * n)
        captures[f"host/{n}/tc-filter"] = FILTER.format(p=100 * n, d=18 * n)
    (finding,) = judge(Host([Device("vnet3", (0, 0), (10, 900))], captures=captures), tmp_path).findings

    assert (finding.subject.name, finding.symptom.counter) == ("vnet3 ingress", "qdisc.drops")
    assert (cause(finding), finding.symptom.delta) == (expected, 18)


@pytest.mark.parametrize(("rate", "expected"), [(1000, "ovs-policing"), (0, "tc-police")])
def test_one_snapshot_of_a_policer_that_has_dropped(rate: int, expected: str, tmp_path: Path) -> None:
    row = interface("vnet3", 1, ingress_policing_rate=rate, ingress_policing_kpkts_rate=0)
    captures = switch([[row]], mirrors=[[]])
    captures |= {
        "host/0/tc-qdisc": QDISCS.format(p=100, d=18),
        "host/0/tc-filter": FILTER.format(p=100, d=18),
    }
    host = Host([Device("vnet3", (0, 0), (10, 900))], snapshots=1, captures=captures)
    (finding,) = judge(host, tmp_path).findings

    assert (finding.symptom.state, finding.verdict, cause(finding)) == ("unknown", "likely", expected)


def test_the_path_to_a_port_leads_through_the_switch(tmp_path: Path) -> None:
    captures = switch([[interface("vnet3", 1)]] * 2)
    for n in (0, 1):
        captures[f"host/{n}/ovs-datapath"] = DATAPATH.format(hit=900 * n, missed=60 * n, lost=4 * n)
        captures[f"host/{n}/ovs-dump-flows"] = "@ br0\n" + RULE.format(n=20 * n, match="arp", what="drop")
        captures[f"host/{n}/ovs-datapath-flows"] = flows((1, 130 * n, "vnet3"))
    findings = judge(Host([VNET3], captures=captures), tmp_path).findings
    (finding,) = [one for one in findings if one.subject.name == "vnet3"]

    assert finding.picture is not None
    assert finding.picture.path is not None
    points = {point.id: point for point in finding.picture.path.points}
    assert list(points)[:4] == ["datapath", "rules", "port", "qdisc"]
    assert [(one.value, one.of_all) for one in points["datapath"].counts] == [(900, True), (4, True)]
    assert [(one.value, one.of_all) for one in points["rules"].counts] == [(20, True), (130, False)]
    assert (points["rules"].value("lost"), points["rules"].value("passed")) == (None, 130)
    assert [words.point_counts(points["rules"])] == [[("20 lost (all ports)", False), ("130 passed", False)]]


def test_what_the_database_shows_late_is_no_disagreement(tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1, **statistics(tx_dropped=drops))] for drops in (1, 20)]
    device = Device("vnet3", (20, 20), (10, 900))
    shown = judge(Host([device], captures=switch(rows)), tmp_path, every=True)

    assert [one.agrees for one in shown.findings[0].witnesses] == [None]
    assert [one.text for one in shown.notices if "moved by" in one.text] == []


WRITTEN = Path(__file__).parents[1] / "parsers" / "fixtures" / "written"
IDS = {"br0": 3, "vnet0": 7, "mon0": 8, "vx0": 9}


@pytest.mark.parametrize(("version", "times"), [("2.5", 2), ("2.13", 2), ("2.17", 1)])
def test_a_switch_of_each_old_layout_is_read_and_its_doubling_told(
    version: str, times: int, tmp_path: Path
) -> None:
    names = ("ovs-interface", "ovs-mirror", "ovs-dump-ports", "ovs-datapath", "ovs-dump-flows", "ovs-upcall")
    captures = {
        f"host/{n}/{name}": (WRITTEN / f"{name}.ovs-{version}").read_text(encoding="utf-8")
        for name in names
        for n in (0, 1)
    }
    captures["host/0/ovs-version"] = (WRITTEN / f"ovs-version.ovs-{version}").read_text(encoding="utf-8")
    ids = {name: f"00000000-0000-4000-8000-{number:012x}" for name, number in IDS.items()}
    ports = [{"_uuid": f"#p{name}", "name": name, "interfaces": one} | ANY_VLAN for name, one in ids.items()]
    captures["host/0/ovs-port"] = table(*ports)
    bridge = {"_uuid": "#b", "name": "br0", "datapath_type": "", "ports": [f"#p{name}" for name in ids]}
    captures["host/0/ovs-bridge"] = table(NO_MONITORING | bridge)
    device = Device("vnet0", (42, 42), (5000, 5000))
    shown = judge(Host([device], captures=captures), tmp_path, every=True)

    (finding,) = [one for one in shown.findings if one.subject.name == "vnet0"]
    seen_by = {one.name.partition(" ")[0]: one for one in finding.witnesses}
    assert set(seen_by) == {"ovs-vsctl", "ovs-appctl", "ovs-ofctl"}
    assert {one.agrees for one in seen_by.values()} == {True}
    assert [rule for rule, _, _ in doubling(shown)] == (["ovs-counters-doubled"] if times == 2 else [])
    assert [one.text for one in shown.notices if "layout" in one.text] == []


@pytest.mark.parametrize("version", ["2.5", "2.13", "2.17"])
def test_flows_of_each_old_layout_lead_to_the_ports(version: str, tmp_path: Path) -> None:
    text = (WRITTEN / f"ovs-datapath-flows.ovs-{version}").read_text(encoding="utf-8")
    captures = {
        f"host/{n}/ovs-datapath": (WRITTEN / f"ovs-datapath.ovs-{version}").read_text(encoding="utf-8")
        for n in (0, 1)
    }
    captures |= {
        "host/0/ovs-datapath-flows": text,
        "host/1/ovs-datapath-flows": text.replace(":210,", ":250,"),
    }
    captures |= switch([[interface("vnet0", 1), interface("vx0", 2, type="vxlan")]] * 2)
    bundle = read_bundle(Host([Device("vnet0")], captures=captures).write(tmp_path))
    joined = Switch(Tables(bundle))

    assert joined.sent_by_flows("vnet0") == 40
    assert joined.sent_by_flows("vnet0", "vxlan_sys_4789") == 40
    assert joined.sent_by_flows("vxlan_sys_4789") == 0
    assert joined.dropped_by_flows() == 0


@pytest.mark.parametrize("name", ["ovs-datapath", "ovs-dump-ports", "ovs-interface"])
def test_an_unknown_layout_is_named_and_gives_no_number(name: str, tmp_path: Path) -> None:
    rows = [[interface("vnet3", 1, **statistics(tx_dropped=drops))] for drops in (0, 20)]
    captures = switch(rows) | {f"host/{n}/{name}": "vnet3 20 20 20\n" for n in (0, 1)}
    shown = judge(Host([VNET3], captures=captures), tmp_path)

    assert {one.subject for one in shown.notices if "layout is not known" in one.text} == {
        f"host/{n}/{name}" for n in (0, 1)
    }
    assert shown.findings[0].symptom.delta == 20
    tool = {"ovs-datapath": "ovs-appctl", "ovs-dump-ports": "ovs-ofctl", "ovs-interface": "ovs-vsctl"}[name]
    assert not [one for one in shown.findings[0].witnesses if one.name.startswith(tool)]
