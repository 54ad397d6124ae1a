# SPDX-License-Identifier: Apache-2.0
"""Loss outside the tap: queueing disciplines, the CPUs, other devices, and loss that no counter shows."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, Finding, diagnose
from vnetkb.facts import Observations, build
from vnetkb.kb.load import load_kb
from vnetkb.report.as_html import render_html

KB = load_kb()
OFFLOADS = "@ {}\ntcp-segmentation-offload: off\ngeneric-segmentation-offload: off\n"


def observe(host: Host, folder: Path) -> Observations:
    return build(read_bundle(host.write(folder)), KB)


def judge(host: Host, folder: Path) -> Diagnosis:
    return diagnose(observe(host, folder), KB)


def only(host: Host, folder: Path) -> Finding:
    (finding,) = judge(host, folder).findings
    return finding


def plain(name: str, **statistics: tuple[int, int]) -> Device:
    return Device(name, tun_flags=None, more={f"statistics/{key}": pair for key, pair in statistics.items()})


def both(capture: str, *rows: Mapping[str, Any]) -> dict[str, str | None]:
    """The same JSON capture in both snapshots; a value that is a pair is that of each snapshot."""

    def at(n: int, value: object) -> object:
        return value[n] if isinstance(value, tuple) else value

    return {
        f"host/{n}/{capture}": json.dumps([{key: at(n, value) for key, value in row.items()} for row in rows])
        for n in range(2)
    }


def qdisc(dev: str, kind: str, *, root: bool = True, **numbers: object) -> dict[str, object]:
    place: dict[str, object] = {"root": True} if root else {"parent": "ffff:fff1"}
    return {"kind": kind, "handle": "1:", "dev": dev, "options": {}, **place, **numbers}


def softnet(*dropped: int, squeezed: tuple[int, int] = (0, 0)) -> dict[str, str | None]:
    line = "{:08x} {:08x} {:08x} 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n"
    return {
        f"host/{n}/softnet-stat": line.format(1000 * (n + 1), value, squeezed[n])
        for n, value in enumerate(dropped)
    }


# --- queueing disciplines


def test_what_a_shaper_drops_is_a_finding_of_its_own_to_watch(tmp_path: Path) -> None:
    captures = both("tc-qdisc", qdisc("vnet3", "tbf", drops=(5, 45), packets=(100, 260), overlimits=(9, 99)))
    captures |= {f"host/{n}/tc-filter": "" for n in range(2)}
    finding = only(Host([Device("vnet3")], captures=captures), tmp_path)
    assert (finding.subject.kind, finding.subject.name) == ("qdisc", "vnet3")
    assert (finding.symptom.counter, finding.symptom.delta, finding.symptom.ratio) == ("qdisc.drops", 40, 0.2)
    assert finding.cause is not None
    assert (finding.cause.id, finding.verdict, finding.harm) == ("qdisc-shaped", "confirmed", "watch")


def test_drops_of_the_ingress_filters_are_told_apart_from_those_of_the_queue(tmp_path: Path) -> None:
    captures = both("tc-qdisc", qdisc("vnet3", "ingress", root=False, drops=(0, 18), packets=(0, 30)))
    finding = only(Host([Device("vnet3")], captures=captures), tmp_path)
    assert finding.subject.name == "vnet3 ingress"
    assert {c.rule.id for c in finding.candidates if c.status == "ruled-out"} >= {"qdisc-drop"}
    names = {c.rule.id for c in finding.candidates if c.status in {"confirmed", "likely"}}
    assert "qdisc-filter" in names


def test_a_discipline_that_was_replaced_has_no_difference(tmp_path: Path) -> None:
    rows = [qdisc("vnet3", kind, drops=drops, packets=9) for kind, drops in (("tbf", 5), ("fq_codel", 9))]
    captures: dict[str, str | None] = {f"host/{n}/tc-qdisc": json.dumps([row]) for n, row in enumerate(rows)}
    finding = only(Host([Device("vnet3")], captures=captures), tmp_path)
    assert (finding.symptom.state, finding.symptom.delta) == ("unknown", None)


def test_a_device_is_asked_for_with_what_sits_on_it(tmp_path: Path) -> None:
    captures = both("tc-qdisc", qdisc("vnet3", "ingress", root=False, drops=(0, 18), packets=(0, 30)))
    observations = observe(Host([Device("vnet3"), Device("vnet4")], captures=captures), tmp_path)
    assert len(diagnose(observations, KB, devices=["vnet3"]).findings) == 1
    assert len(diagnose(observations, KB, devices=["vnet4"]).findings) == 0


# --- the CPUs' receive queues


def test_what_no_device_accounts_for_is_a_finding_on_the_cpus(tmp_path: Path) -> None:
    finding = only(Host([Device("vnet3")], captures=softnet(3, 53)), tmp_path)
    assert (finding.subject.kind, finding.symptom.delta) == ("softnet", 50)
    assert (finding.cause.id if finding.cause else None, finding.verdict) == ("softnet-backlog", "likely")


def test_what_a_device_accounts_for_is_its_finding_alone(tmp_path: Path) -> None:
    tap = Device("vnet3", more={"statistics/rx_dropped": (0, 50), "statistics/rx_packets": (0, 100)})
    finding = only(Host([tap], captures=softnet(3, 53)), tmp_path)
    assert (finding.subject.name, finding.symptom.counter) == ("vnet3", "tap.rx_dropped")
    assert finding.cause is not None
    assert (finding.cause.id, finding.verdict) == ("tap-rx-backlog", "likely")


def test_squeezes_alone_are_a_correction_and_no_finding(tmp_path: Path) -> None:
    diagnosis = judge(Host([Device("vnet3")], captures=softnet(0, 0, squeezed=(4, 16))), tmp_path)
    assert diagnosis.findings == ()
    (notice,) = [n for n in diagnosis.notices if n.rule == "softnet-squeeze"]
    assert "12" in notice.text
    refused = judge(Host([Device("vnet3")], captures=softnet(0, 9, squeezed=(4, 16))), tmp_path)
    assert not [n for n in refused.notices if n.rule == "softnet-squeeze"]


# --- devices


LINKS = {
    "bond": [
        {"ifindex": 2, "ifname": "bond0", "flags": ["UP"], "linkinfo": {"info_kind": "bond"}},
        {"ifindex": 3, "ifname": "eth1", "flags": ["UP"], "master": "bond0"},
    ],
    "veth": [
        {"ifindex": 2, "ifname": "v0", "link": "v1", "flags": ["UP"], "linkinfo": {"info_kind": "veth"}},
        {"ifindex": 3, "ifname": "v1", "link": "v0", "flags": ["UP"], "linkinfo": {"info_kind": "veth"}},
    ],
}
DRIVER = "lrwxrwxrwx 1 root root 0 Nov 22 13:45 eth1/device/driver -> ../../../../bus/pci/drivers/igb\n"


def test_frames_on_a_standby_port_of_a_bond_harm_nobody(tmp_path: Path) -> None:
    captures = both("ip-link", *LINKS["bond"]) | {f"host/{n}/sysfs-net-links": DRIVER for n in range(2)}
    port = plain("eth1", rx_nohandler=(10, 900), rx_packets=(10, 900))
    finding = only(Host([plain("bond0"), port], captures=captures), tmp_path)
    assert finding.cause is not None
    assert (finding.cause.id, finding.verdict, finding.harm) == (
        "bond-standby-slave",
        "confirmed",
        "harmless",
    )


def test_missed_frames_of_a_nic_are_told_once_though_two_counters_hold_them(tmp_path: Path) -> None:
    nic = plain(
        "eth1", rx_missed_errors=(0, 70), rx_fifo_errors=(0, 70), rx_errors=(0, 70), rx_packets=(0, 930)
    )
    host = Host([nic], captures={f"host/{n}/sysfs-net-links": DRIVER for n in range(2)})
    finding = only(host, tmp_path)
    assert (finding.symptom.counter, finding.symptom.ratio) == ("nic.rx_missed_errors", 0.07)
    assert (finding.cause.id if finding.cause else None, finding.verdict) == ("nic-ring-missed", "confirmed")


@pytest.mark.parametrize(("mtu", "cause"), [(1400, "veth-drop"), (1500, None)])
def test_a_veth_whose_other_end_takes_less(tmp_path: Path, mtu: int, cause: str | None) -> None:
    sender = plain("v0", tx_dropped=(0, 5))
    sender.tx_dropped = (0, 5)
    sender.more = {"mtu": (1500, 1500)}
    end = plain("v1")
    end.more = {"mtu": (mtu, mtu)}
    finding = only(Host([sender, end], captures=both("ip-link", *LINKS["veth"]) | softnet(0, 0)), tmp_path)
    assert finding.symptom.counter == "veth.tx_dropped"
    assert (finding.cause.id if finding.cause else None) == cause


def test_a_number_that_holds_the_lost_gives_the_right_share(tmp_path: Path) -> None:
    links = [{"ifindex": 2, "ifname": "m0", "flags": ["UP"], "linkinfo": {"info_kind": "macvtap"}}]
    device = plain("m0", rx_packets=(0, 30), rx_dropped=(0, 20), rx_errors=(0, 20))
    device.tx_queue_len = (0, 0)
    finding = only(Host([device], captures=both("ip-link", *links)), tmp_path)
    assert (finding.symptom.counter, finding.symptom.delta) == ("macvtap.rx_dropped", 20)
    assert finding.symptom.ratio == pytest.approx(20 / 30)
    assert (finding.cause.id if finding.cause else None, finding.verdict) == (
        "macvtap-ring-full",
        "confirmed",
    )


# --- loss that no counter shows


def vanishing(sent: int, delivered: int, *, offloads: bool = True, size: int = 100) -> Host:
    """A tap whose queueing discipline handed on more than the tap delivered."""
    more = {"statistics/tx_bytes": (0, delivered * size)}
    captures = both(
        "tc-qdisc", qdisc("vnet3", "fq_codel", drops=0, packets=(10, 10 + sent), bytes=(0, sent * size))
    )
    if offloads:
        captures["host/0/ethtool-k"] = OFFLOADS.format("vnet3")
    device = Device("vnet3", (0, 0), (10, 10 + delivered), tx_queue_len=(100, 100), more=more)
    return Host([device], captures=captures)


def test_packets_that_vanish_behind_the_queueing_discipline_are_a_silent_loss(tmp_path: Path) -> None:
    finding = only(vanishing(5000, 1000), tmp_path)
    symptom = finding.symptom
    assert (symptom.counter, symptom.state, symptom.total) == (None, "silent", None)
    assert symptom.between == ("queueing discipline", "guest")
    # 4000 are missing; 164 may wait in the ring and with vhost, some came between the two readings
    assert symptom.delta is not None
    assert 3700 < symptom.delta < 4000 - 164
    assert finding.picture is not None
    path = finding.picture.path
    assert path is not None
    assert (path.losing, path.lost) == (("qdisc", "ring"), symptom.delta)
    assert finding.harm == "harmful"
    assert {c.rule.id for c in finding.candidates} >= {
        "tap-queue-shrunk",
        "tap-queue-purged",
        "tap-reader-lost",
    }


def test_the_page_marks_where_packets_vanish_and_how_many(tmp_path: Path) -> None:
    found = judge(vanishing(5000, 1000), tmp_path)
    missing = found.findings[0].symptom.delta
    page = render_html(found)
    marked = re.findall(r'class="loss[^>]*>([^<]*)<', page)
    assert marked
    assert {re.sub(r"\D", "", text) for text in marked} == {str(missing)}


def test_what_may_still_wait_in_the_ring_is_no_loss(tmp_path: Path) -> None:
    assert judge(vanishing(1150, 1000), tmp_path).findings == ()


def test_what_segmentation_may_explain_is_no_loss(tmp_path: Path) -> None:
    # 3000 segments were sent as 1000 packets of 1500 bytes
    assert judge(vanishing(3000, 1000, offloads=False, size=1500), tmp_path).findings == ()


def test_segmentation_cannot_explain_what_was_never_delivered(tmp_path: Path) -> None:
    finding = only(vanishing(3000, 0, offloads=False), tmp_path)
    assert finding.symptom.state == "silent"


def test_missing_bytes_in_as_many_packets_were_cut_off(tmp_path: Path) -> None:
    host = vanishing(1000, 1000)
    host.devices[0].more = {"statistics/tx_bytes": (0, 20_000)}
    finding = only(host, tmp_path)
    assert (finding.symptom.state, finding.symptom.delta, finding.symptom.between) == (
        "silent",
        2,
        ("tap", "guest"),
    )
    assert finding.picture is not None
    assert finding.picture.path is not None
    assert finding.picture.path.losing == ("ring", "reader")
    assert (finding.cause.id if finding.cause else None, finding.verdict) == ("tap-frame-truncated", "likely")


# --- advice


def test_a_loss_too_small_to_matter_comes_with_an_alarm_that_is_silent_for_it(tmp_path: Path) -> None:
    diagnosis = judge(Host([Device("vnet3", (0, 20), (0, 4_000_000))]), tmp_path)
    (finding,) = diagnosis.findings
    assert finding.harm == "harmless"
    (notice,) = [n for n in diagnosis.notices if n.rule == "alarm-threshold-noise"]
    lost = 'rate(node_network_transmit_drop_total{device="vnet3"}[5m])'
    passed = 'rate(node_network_transmit_packets_total{device="vnet3"}[5m])'
    assert f"{lost} / ({lost} + {passed}) > 0.001 and {lost} > 0.1" in notice.text
    assert "20 packets" in notice.text


def test_the_alarms_expression_holds_a_name_with_a_quote_as_prometheus_reads_it(tmp_path: Path) -> None:
    diagnosis = judge(Host([Device('a"\\b', (0, 20), (0, 4_000_000))]), tmp_path)
    (notice,) = [n for n in diagnosis.notices if n.rule == "alarm-threshold-noise"]
    assert r'rate(node_network_transmit_drop_total{device="a\"\\b"}[5m])' in notice.text


def test_a_loss_that_matters_gets_no_such_advice(tmp_path: Path) -> None:
    diagnosis = judge(Host([Device("vnet3", (0, 20), (0, 900))]), tmp_path)
    assert not [n for n in diagnosis.notices if n.rule == "alarm-threshold-noise"]


def test_a_longer_backlog_that_never_was_needed_is_named(tmp_path: Path) -> None:
    captures = softnet(0, 0) | {"host/0/sysctl-net": "net/core/netdev_max_backlog:30000\n"}
    diagnosis = judge(Host([Device("vnet3")], captures=captures), tmp_path)
    (notice,) = [n for n in diagnosis.notices if n.rule == "setting-without-effect"]
    assert "30000" in notice.text
