# SPDX-License-Identifier: Apache-2.0
"""The raw lines that a report quotes are those that hold the number, not others that name its device."""

import re
from pathlib import Path

import pytest

from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.diagnosis.model import Finding
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report.as_markdown import render_markdown

KB = load_kb()
TESTS = Path(__file__).resolve().parents[1]


def finding_of(bundle: str, name: str) -> Finding:
    """Return the finding on a subject of a recorded bundle."""
    found = diagnose(build(read_bundle(TESTS / bundle), KB), KB, every=True).findings
    return next(one for one in found if one.subject.name == name and one.symptom.state != "past")


def quoted(finding: Finding, members: tuple[str, ...], fact: str) -> list[str]:
    assert finding.picture is not None
    return [quote.text for member in members for quote in finding.picture.quotes(member, fact)]


@pytest.mark.parametrize(
    ("bundle", "name", "number"),
    [
        ("lab/bundles/ovs-upcall-lost-6.1.tar.gz", "system@ovs-system", r"\blost:(\d+)"),
        ("facts/recorded/switch-6.1.tar.gz", "vnet4 ingress", r'"drops":(\d+)'),
        ("facts/recorded/switch-6.1.tar.gz", "vnet6", r'"drops":(\d+)'),
        ("lab/guest-bundles/socket-full-6.1.tar.gz", "maskedvm1 UDP", r"Udp: \d+ \d+ \d+ \d+ (\d+)"),
        ("lab/guest-bundles/unknown-protocol-6.1.tar.gz", "maskedvm1 eth0", r"rx_dropped:(\d+)"),
        ("facts/recorded/switch-6.1.tar.gz", "br1", r"n_packets=(\d+), .*actions=drop"),
    ],
)
def test_the_lines_of_a_counter_hold_both_its_ends(bundle: str, name: str, number: str) -> None:
    finding = finding_of(bundle, name)
    symptom = finding.symptom
    lines = quoted(finding, symptom.captures, symptom.counter or "")
    ends = [int(found[1]) for line in lines if (found := re.search(number, line))]
    assert ends[-1] - ends[0] == symptom.delta, lines


def test_frames_for_others_are_quoted_of_the_guests_interface() -> None:
    finding = finding_of("lab/guest-bundles/foreign-mac-6.1.tar.gz", "maskedvm1 eth0")
    lines = quoted(finding, finding.symptom.captures, finding.symptom.counter or "")
    assert all(line.startswith('"ifname":"eth0" … "missed_errors":0') for line in lines)
    counts = [int(found[1]) for line in lines if (found := re.search(r'"otherhost":(\d+)\}', line))]
    assert counts == [finding.symptom.delta]
    assert len(lines) == 2  # ip prints no otherhost where that is zero


def test_what_the_guests_ip_never_delivered_can_be_reckoned_from_the_columns() -> None:
    finding = finding_of("lab/guest-bundles/groups-6.1.tar.gz", "maskedvm1 IPv4")
    sums = []
    for n in (0, 1):
        rows = quoted(finding, (f"guest/maskedvm1/{n}/guest-proc-net-snmp",), "")
        rows += quoted(finding, (f"guest/maskedvm1/{n}/guest-proc-net-netstat",), "")
        terms: dict[str, int] = {}
        for titles, values in zip(rows[::2], rows[1::2], strict=True):
            columns = zip(titles.split(), values.split(), strict=False)
            terms |= {title: int(value) for title, value in columns if value.isdigit()}
        lost = [
            *("InHdrErrors", "InAddrErrors", "ForwDatagrams", "InUnknownProtos", "InDiscards", "InDelivers"),
            *("InNoRoutes", "InTruncatedPkts", "IPReversePathFilter"),
        ]
        kept = terms["ReasmReqds"] - terms["ReasmOKs"]
        sums.append(terms["InReceives"] - sum(terms[name] for name in lost) - kept)
    assert sums[1] - sums[0] >= (finding.symptom.delta or 0) > 0


OWN_BRIDGES = "lab/bundles/together-own-bridge-over-mtu-7.2.tar.gz"


def test_the_port_that_does_not_forward_is_the_one_that_is_quoted() -> None:
    members = ("host/0/bridge-link", "host/1/bridge-link")
    lines = quoted(finding_of(OWN_BRIDGES, "br3"), members, "bridge.ports_not_forwarding")
    assert len(lines) == len(members)
    assert all('"ifname":"vnet1"' in line and '"state":"disabled"' in line for line in lines)


def test_what_a_bridges_finding_says_of_its_tap_is_quoted_of_the_tap() -> None:
    finding = finding_of(OWN_BRIDGES, "br3")
    assert quoted(finding, ("host/0/sysfs-net",), "tap.tx_queue_len") == ["vnet1/tx_queue_len:200"]
    assert "vnet1/carrier:0" in quoted(finding, ("host/0/sysfs-net",), "tap.carrier")


def test_the_ports_with_the_smallest_and_the_largest_mtu_are_quoted() -> None:
    lines = quoted(finding_of(OWN_BRIDGES, "br2"), ("host/1/bridge-link",), "bridge.mtu_differs")
    assert [re.findall(r'"mtu":(\d+)', line)[0] for line in sorted(lines, key=len)] == ["9000", "1500"]


def test_what_vanished_in_a_bridge_can_be_summed_from_the_lines_of_its_ports() -> None:
    finding = finding_of(OWN_BRIDGES, "br3")
    sums = []
    for member in ("host/0/sysfs-net", "host/1/sysfs-net"):
        rows = dict(line.split(":") for line in quoted(finding, (member,), ""))
        came = sum(int(n) for key, n in rows.items() if key.endswith("rx_packets") and "br3/" not in key)
        left = sum(int(n) for key, n in rows.items() if key.endswith("tx_packets") and "br3/" not in key)
        own = int(rows["br3/statistics/tx_packets"]) - int(rows["br3/statistics/rx_packets"])
        sums.append(came - left + own)
    assert sums[1] - sums[0] >= (finding.symptom.delta or 0) > 0


def test_what_vanished_in_a_bridge_is_drawn_between_the_counts_of_its_ports() -> None:
    finding = finding_of(OWN_BRIDGES, "br3")
    assert finding.picture is not None
    assert finding.picture.path is not None
    before, behind = finding.picture.path.points
    assert {"vnet1", "maskedif2"} == {*before.detail.split(", ")}
    assert {count.counter for count in before.counts} >= {"tap.rx_packets", "veth.rx_packets"}
    came, left = (sum(one.value or 0 for one in point.counts) for point in (before, behind))
    assert came - left >= (finding.picture.path.lost or 0) > 0
    assert all(count.captures for point in (before, behind) for count in point.counts)


def test_each_cause_of_a_ticket_stands_on_its_own() -> None:
    """A heading in bold right under a list would become part of the list's last item."""
    for bundle in ("ovs-upcall-lost-6.1", "two-causes-6.12", "together-one-queue-stuck-6.1"):
        text = render_markdown(
            diagnose(build(read_bundle(TESTS / f"lab/bundles/{bundle}.tar.gz"), KB), KB, every=True)
        )
        rows = text.splitlines()
        assert all(not rows[k - 1].strip() for k, row in enumerate(rows) if row.startswith(("**", "#")) and k)
