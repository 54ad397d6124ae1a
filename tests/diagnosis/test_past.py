# SPDX-License-Identifier: Apache-2.0
"""Loss whose time is not that of the bundle: what is so now neither proves nor acquits."""

import json
from pathlib import Path
from typing import Any

import pytest

from simulated import START, Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, Finding, diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.kb.model import Status
from vnetkb.report import render_json, render_text
from vnetkb.report.as_html import render_html
from vnetkb.report.as_markdown import render_markdown

KB = load_kb()
SOFTNET = "000003e8 {:08x} 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n"


def diagnosed(host: Host, folder: Path) -> Diagnosis:
    return diagnose(build(read_bundle(host.write(folder)), KB), KB, every=True)


def only(shown: Diagnosis) -> Finding:
    (finding,) = shown.findings
    return finding


def still_open(finding: Finding) -> set[str]:
    return {one.rule.id for one in finding.candidates if one.status is Status.OPEN}


def table(row: dict[str, Any]) -> str:
    return json.dumps({"headings": list(row), "data": [list(row.values())]})


PAST_TAP = Device("vnet3", (50, 50), (900, 1400), series=[(900 + 50 * n, 50) for n in range(11)])
PAST_SOFTNET = Host([Device("vnet3")], captures={f"host/{n}/softnet-stat": SOFTNET.format(9) for n in (0, 1)})


def test_queues_that_refuse_nothing_now_may_have_refused_before(tmp_path: Path) -> None:
    finding = only(diagnosed(PAST_SOFTNET, tmp_path))

    assert (finding.subject.kind, finding.symptom.state) == ("softnet", "past")
    assert (finding.verdict, finding.cause) == ("undetermined", None)
    assert "softnet-backlog" in still_open(finding)


def test_a_tap_that_is_well_now_rules_out_nothing_of_the_past(tmp_path: Path) -> None:
    shown = diagnosed(Host([PAST_TAP]), tmp_path)
    finding = only(shown)

    assert finding.symptom.state == "past"
    assert {"tap-no-reader", "tap-ring-size-zero", "tap-ring-burst", "tap-ring-full"} <= still_open(finding)
    assert [one.rule.id for one in finding.candidates if one.evidence] == ["core-noop-qdisc"]
    asked = {name for one in finding.candidates for name in one.missing}
    assert asked.isdisjoint({"sysfs-net", "proc-net-dev", "task-schedstat", "trace", "virtqueue-status"})
    assert shown.next_steps == ()


def test_a_length_of_zero_now_does_not_explain_the_past(tmp_path: Path) -> None:
    tap = Device("vnet3", (50, 50), (900, 1400), tx_queue_len=(0, 0))
    finding = only(diagnosed(Host([tap]), tmp_path))

    assert (finding.verdict, finding.cause, finding.remedies) == ("undetermined", None, ())
    assert (str(finding.harm), finding.symptom.state) == ("unknown", "past")


def test_what_cannot_change_still_rules_out_in_the_past(tmp_path: Path) -> None:
    finding = only(diagnosed(Host([PAST_TAP]), tmp_path))

    assert "tap-queue-detached" not in {one.rule.id for one in finding.candidates}


def test_the_kernel_log_tells_of_the_past(tmp_path: Path) -> None:
    log = {"host/0/kernel-log": "[    5.000000] Dead loop on virtual device vnet3, fix it urgently!\n"}
    finding = only(diagnosed(Host([PAST_TAP], captures=log), tmp_path))

    assert (finding.verdict, finding.cause.id if finding.cause else None) == ("likely", "core-tx-recursion")


@pytest.mark.parametrize(
    ("line", "likely"),
    [("[    5.000000] ", False), ("", False), (f"[ {START + 4:.6f}] ", True)],
    ids=["of a device before it", "of no known time", "of meanwhile"],
)
def test_a_line_of_the_kernel_log_counts_if_it_is_of_the_time_of_the_loss(
    line: str, likely: object, tmp_path: Path
) -> None:
    log = {"host/0/kernel-log": f"{line}Dead loop on virtual device vnet3, fix it urgently!\n"}
    tap = Device("vnet3", (50, 90), (900, 1400))
    finding = only(diagnosed(Host([tap], captures=log), tmp_path))

    assert (finding.cause is not None and finding.cause.id == "core-tx-recursion") is likely


def port(kind: str) -> Host:
    """A port of Open vSwitch with errors of the past, of a bridge of a datapath."""
    tap = Device("vnet3", (0, 0), (10, 900), more={"mtu": (1500, 1500), "statistics/tx_errors": (5, 5)})
    interface = {"_uuid": ["uuid", "i"], "name": "vnet3", "type": "", "ofport": 1}
    captures = {f"host/{n}/ovs-interface": table(interface) for n in (0, 1)}
    captures["host/0/ovs-version"] = "ovs-vsctl (Open vSwitch) 3.1.0\n"
    captures["host/0/ovs-port"] = table(
        {"_uuid": ["uuid", "p"], "name": "vnet3", "interfaces": ["uuid", "i"]}
    )
    captures["host/0/ovs-bridge"] = table(
        {"_uuid": ["uuid", "b"], "name": "br0", "datapath_type": kind, "ports": ["uuid", "p"]}
    )
    return Host([tap], captures=captures)


@pytest.mark.parametrize("kind", ["", "netdev"])
def test_the_datapath_of_now_need_not_be_that_of_the_past(kind: str, tmp_path: Path) -> None:
    finding = only(diagnosed(port(kind), tmp_path))

    assert (finding.symptom.counter, finding.symptom.state) == ("tap.tx_errors", "past")
    assert "ovs-over-mtu" in still_open(finding)
    assert finding.verdict == "undetermined"


def test_an_alarm_on_the_past_is_no_noise_while_its_harm_is_unknown(tmp_path: Path) -> None:
    alarm = only(diagnosed(port(""), tmp_path)).alarm

    assert alarm is not None
    assert alarm.means == "unknown"


def test_one_snapshot_rules_nothing_out_and_names_what_is_so_now(tmp_path: Path) -> None:
    down = Device(
        "vnet3", (50,), (900,), ifindex=(7,), tx_queue_len=(1000,), carrier=("",), flags=("0x1002",)
    )
    shown = diagnosed(Host([down], snapshots=1), tmp_path)
    finding = only(shown)

    assert finding.symptom.state == "unknown"
    assert "tap-ring-full" in still_open(finding)
    assert not [one for one in finding.candidates if one.status is Status.RULED_OUT and not one.inherited]
    against = [e.effect for one in finding.candidates if one.rule.id == "tap-ring-full" for e in one.evidence]
    assert against == ["weakens"]
    (step,) = shown.next_steps
    assert "--snapshots 2" in step.command


def test_one_snapshot_is_likely_only_by_what_alone_fails_every_packet(tmp_path: Path) -> None:
    zero = Device("vnet3", (50,), (900,), ifindex=(7,), tx_queue_len=(0,), carrier=("1",), flags=("0x1003",))
    shown = diagnosed(Host([zero], snapshots=1), tmp_path)
    finding = only(shown)

    assert (finding.verdict, finding.cause.id if finding.cause else None) == ("likely", "tap-ring-size-zero")
    assert "if it still rises" in render_text(shown)


# --- a cause that is an inner node


def full_ring(drops: int) -> str:
    """A trace in which a tap refuses packets because its ring is full."""
    cpu, skb = "<idle>-0 [000] ..s..", "skbaddr=00000000000000"
    freed = "protocol=2048 location=tun_net_xmit+0x1/0x2 reason: FULL_RING"
    events = [
        f"{cpu} {1000.5 + n / 1000:.6f}: kfree_skb: {skb}{n:02x} {freed}\n"
        f"{cpu} {1000.5 + n / 1000 + 1e-5:.6f}: net_dev_xmit: dev=vnet3 {skb}{n:02x} len=60 rc=1\n"
        for n in range(drops)
    ]
    return f"@ start 1000.10\n{''.join(events)}@ stop 1001.90\n"


def test_beneath_a_confirmed_full_ring_the_report_shows_what_is_open(tmp_path: Path) -> None:
    tap = Device("vnet3", (0, 40), (900, 1400))
    captures = {"series/trace": full_ring(40)}
    shown = diagnosed(Host([tap], captures=captures), tmp_path)
    finding = only(shown)

    assert (finding.verdict, finding.cause.id if finding.cause else None) == ("confirmed", "tap-ring-full")
    assert {"tap-ring-burst", "tap-ring-reader-stopped"} <= set(finding.deeper)
    assert shown.next_steps
    assert [one.remedy.id for one in finding.remedies]
    for page in (render_text(shown), render_markdown(shown), render_html(shown)):
        assert "tap-ring-reader-stopped" in page
        assert "virtqueue-status" in page
        assert "top -H" in page
    document = json.loads(render_json(shown))
    assert document["findings"][0]["open_beneath"] == list(finding.deeper)


@pytest.mark.parametrize(("passed", "longer"), [((900, 1400), True), ((900, 900), False)])
def test_a_longer_ring_is_proposed_only_where_somebody_reads_it(
    tmp_path: Path, passed: tuple[int, int], *, longer: bool
) -> None:
    shown = diagnosed(
        Host([Device("vnet3", (0, 40), passed)], captures={"series/trace": full_ring(40)}), tmp_path
    )
    finding = only(shown)
    assert finding.cause is not None
    assert finding.cause.id == "tap-ring-full"
    offered = {one.remedy.id for one in finding.remedies}
    assert "see-who-empties-the-ring" in offered
    assert ("raise-txqueuelen" in offered) is longer


def test_beneath_a_confirmed_leaf_nothing_is_open(tmp_path: Path) -> None:
    tap = Device("vnet3", (0, 40), (900, 1400), tx_queue_len=(0, 0))
    finding = only(diagnosed(Host([tap]), tmp_path))

    assert (finding.verdict, finding.deeper) == ("confirmed", ())
