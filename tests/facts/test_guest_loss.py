# SPDX-License-Identifier: Apache-2.0
"""What a guest's own numbers prove: packets lost behind the ring, inside its IP, and what TCP felt of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from guest_files import BOOT, FDINFO, QEMU, windows_files
from simulated import Device, Host, status
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vnetkb.diagnosis import Diagnosis, Finding
    from vnetkb.facts.model import FactSource

MAC = "52:54:00:aa:bb:01"


def agent(received: int) -> str:
    """Return the agent's answer of a guest whose NIC has received so much."""
    counters = {f"{way}-{of}": 0 for way in ("rx", "tx") for of in ("packets", "bytes", "errs", "dropped")}
    nic = {"name": "eth0", "hardware-address": MAC, "statistics": counters | {"rx-packets": received}}
    return json.dumps({"return": [nic]})


def snmp(**moved: int) -> str:
    """Return /proc/net/snmp of a guest, counters of IP, TCP and UDP counted up by so much."""
    tables = {
        "Ip": (
            "InReceives", "InDelivers", "InHdrErrors", "InAddrErrors", "InUnknownProtos", "InDiscards",
            "ForwDatagrams", "ReasmReqds", "ReasmOKs",
        ),
        "Tcp": ("InSegs", "OutSegs", "RetransSegs"),
        "Udp": ("InDatagrams", "NoPorts", "InErrors", "RcvbufErrors"),
    }  # fmt: skip
    lines = []
    for prefix, names in tables.items():
        values = (str(1000 + moved.get(name, 0)) for name in names)
        lines += [f"{prefix}: {' '.join(names)}", f"{prefix}: {' '.join(values)}"]
    return "\n".join(lines) + "\n"


def netstat(**moved: int) -> str:
    """Return /proc/net/netstat of a guest, likewise."""
    ext = ("IPReversePathFilter", "TCPOFOQueue", "TCPDSACKOldSent", "TCPDSACKOfoSent")
    ip = ("InNoRoutes", "InTruncatedPkts")
    lines = []
    for prefix, names in (("TcpExt", ext), ("IpExt", ip)):
        values = (str(50 + moved.get(name, 0)) for name in names)
        lines += [f"{prefix}: {' '.join(names)}", f"{prefix}: {' '.join(values)}"]
    return "\n".join(lines) + "\n"


def snmp6(**moved: int) -> str:
    """Return /proc/net/snmp6 of a guest, likewise."""
    names = (
        "InReceives", "InHdrErrors", "InTooBigErrors", "InNoRoutes", "InAddrErrors", "InUnknownProtos",
        "InTruncatedPkts", "InDiscards", "InDelivers", "OutForwDatagrams", "ReasmReqds", "ReasmOKs",
        "InMcastPkts",
    )  # fmt: skip
    return "".join(f"Ip6{name}\t{10 + moved.get(name, 0)}\n" for name in names)


CLOCK = "uptime {at:.2f} 1.0\nboot_id 0f0f0f0f-0000-4000-8000-000000000001\n"
SYSFS = "eth0/statistics/rx_packets:{packets}\neth0/flags:{flags}\neth0/address:" + MAC + "\n"
STAT = "cpu  {0}\ncpu0 {0}\nbtime 1\n"


def inside(*, before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    """Return the captures of a guest's two samples, with its clock."""
    made: dict[str, str | None] = {}
    for n, files in enumerate((before, after)):
        made[f"guest:web01/{n}/guest-clock"] = CLOCK.format(at=100 + 8 * n)
        made |= {f"guest:web01/{n}/{name}": text for name, text in files.items()}
    return made


def diagnosed(
    folder: Path, captures: Mapping[str, str | None], device: Device, script_s: float | None = None
) -> tuple[Diagnosis, FactSource]:
    known: dict[str, str | None] = {"host/0/proc-cmdline": QEMU, "host/0/tun-fdinfo": FDINFO}
    kb = load_kb()
    host = Host([device], captures=known | dict(captures), guest_script_s=script_s)
    observed = build(read_bundle(host.write(folder)), kb)
    return diagnose(observed, kb), observed.subjects["tap", "vnet3"]


def tap(sent: int = 1000, dropped: int = 0) -> Device:
    """Return a tap whose reader takes packets evenly, for eleven samples."""
    steps = [(sent * k // 10, dropped * k // 10) for k in range(11)]
    return Device("vnet3", tx_packets=(0, sent), tx_dropped=(0, dropped), series=steps)


def silent(found: Diagnosis) -> list[Finding]:
    return [finding for finding in found.findings if finding.symptom.counter is None]


def by_agent(received: int, flags: str = "0x1003") -> dict[str, str | None]:
    made: dict[str, str | None] = {"guest:web01/0/agent-osinfo": '{"return": {"id": "debian"}}'}
    for n in (0, 1):
        made[f"guest:web01/{n}/agent-interfaces"] = agent(70 + received * n)
        made[f"guest:web01/{n}/guest-clock"] = CLOCK.format(at=100 + 8 * n)
        made[f"guest:web01/{n}/guest-sysfs-net"] = SYSFS.format(packets=70 + received * n, flags=flags)
    return made


def test_what_the_reader_took_and_the_guest_never_got_is_lost_between_them(tmp_path: Path) -> None:
    found, _ = diagnosed(tmp_path, by_agent(received=200), tap(sent=2000))
    (finding,) = silent(found)

    # 1600 packets were certainly taken between the agent's answers; 256 may lie in the virtqueue
    assert (finding.subject.kind, finding.symptom.between) == ("tap", ("tap ring", "guest"))
    assert finding.symptom.delta == 1600 - 200 - 256
    assert {c.rule.id for c in finding.candidates} >= {"guest-qemu-filtered", "tap-reader-lost"}
    assert finding.picture is not None
    members = [member for member in finding.symptom.captures if member.startswith("guest:")]
    lines = [quote.text for member in members for quote in finding.picture.quotes(member, "")]
    assert [re.findall(r'"rx-packets": (\d+)', line) for line in lines] == [["70"], ["270"]]


@pytest.mark.parametrize("received", [2000, 1700, 1400])
def test_packets_that_may_be_underway_are_not_lost(tmp_path: Path, received: int) -> None:
    found, _ = diagnosed(tmp_path, by_agent(received), tap(sent=2000))

    assert silent(found) == []


def test_a_guest_that_booted_in_between_lost_nothing_that_is_known(tmp_path: Path) -> None:
    captures = by_agent(received=200)
    captures["guest:web01/1/guest-clock"] = "uptime 3.0 1.0\nboot_id 0f0f0f0f-0000-4000-8000-000000000002\n"
    found, _ = diagnosed(tmp_path, captures, tap(sent=2000))

    assert silent(found) == []


def groups(lost: int, *, modules: str, six: int = 0) -> dict[str, str | None]:
    """Return a guest whose IPv4 lost some packets without a count, and IPv6 others."""
    before = {
        "guest-proc-net-snmp": snmp(),
        "guest-proc-net-netstat": netstat(),
        "guest-proc-net-snmp6": snmp6(),
        "guest-proc-modules": modules,
    }
    after = {
        "guest-proc-net-snmp": snmp(InReceives=500 + lost, InDelivers=500),
        "guest-proc-net-netstat": netstat(),
        "guest-proc-net-snmp6": snmp6(InReceives=40 + six, InDelivers=40, InMcastPkts=six),
    }
    return inside(before=before, after=after)


NO_FILTER = "virtio_net 65536 0 - Live 0x0\n"
FILTER = NO_FILTER + "nf_tables 65536 0 - Live 0x0\n"


def test_multicasts_that_nobody_joined_are_named_and_harmless(tmp_path: Path) -> None:
    found, _ = diagnosed(tmp_path, groups(600, modules=NO_FILTER), tap())
    (finding,) = silent(found)

    assert (finding.subject.kind, finding.subject.name) == ("guest_ip", "web01 IPv4")
    assert finding.symptom.between == ("IP", "socket")
    assert finding.symptom.delta == 598  # a CPU may stand between two counters at each reading
    assert finding.cause is not None
    assert (finding.verdict, finding.cause.id) == ("likely", "guest-multicast-not-joined")
    assert finding.harm == "harmless"


def test_where_a_packet_filter_is_loaded_ipv4_cannot_tell(tmp_path: Path) -> None:
    found, _ = diagnosed(tmp_path, groups(600, modules=FILTER), tap())
    (finding,) = silent(found)

    assert (finding.verdict, finding.cause) == ("undetermined", None)
    assert {c.rule.id for c in finding.candidates} == {"guest-multicast-not-joined", "guest-packet-filter"}
    # what nobody joined and what a rule refuses: neither is known to harm
    assert finding.harm == "unknown"


def test_ipv6_counts_multicasts_of_every_group(tmp_path: Path) -> None:
    found, _ = diagnosed(tmp_path, groups(0, modules=FILTER, six=300), tap())
    (finding,) = silent(found)

    assert finding.subject.name == "web01 IPv6"
    assert finding.cause is not None
    assert finding.cause.id == "guest-multicast-not-joined"


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"InDelivers": 600}, {"InHdrErrors": 600}, {"InAddrErrors": 600}, {"InUnknownProtos": 600},
        {"InDiscards": 600}, {"ForwDatagrams": 600}, {"ReasmReqds": 900, "ReasmOKs": 300},
    ],
    ids=lambda moved: next(iter(moved)),
)  # fmt: skip
def test_a_packet_that_a_counter_holds_is_not_missing(tmp_path: Path, elsewhere: dict[str, int]) -> None:
    captures = groups(0, modules=NO_FILTER)
    captures["guest:web01/1/guest-proc-net-snmp"] = snmp(InReceives=600, **elsewhere)
    found, _ = diagnosed(tmp_path, captures, tap())

    assert silent(found) == []


def test_without_all_counters_nothing_is_said_of_ip(tmp_path: Path) -> None:
    captures = groups(600, modules=NO_FILTER)
    captures["guest:web01/1/guest-proc-net-netstat"] = None
    found, _ = diagnosed(tmp_path, captures, tap())

    assert silent(found) == []


def felt(**moved: int) -> dict[str, str | None]:
    """Return a guest whose TCP received 5000 and sent 2000 segments, and what else moved."""
    after = {
        "guest-proc-net-snmp": snmp(**({"InSegs": 5000, "OutSegs": 2000} | moved)),
        "guest-proc-net-netstat": netstat(**moved),
    }
    return inside(before={"guest-proc-net-snmp": snmp(), "guest-proc-net-netstat": netstat()}, after=after)


@pytest.mark.parametrize(
    ("moved", "harm", "said"),
    [
        ({"TCPOFOQueue": 150}, "harmful", "3 %"),
        ({"TCPOFOQueue": 0}, "watch", "saw no gap in 5000 packets"),
        ({"TCPOFOQueue": 5}, "watch", "0.3 %"),
        ({"TCPOFOQueue": 5, "InErrors": 400}, "watch", "400"),
        # what the guest sends again says nothing about loss towards it
        ({"TCPOFOQueue": 5, "RetransSegs": 900}, "watch", "0.3 %"),
    ],
)
def test_tcp_in_the_guest_tells_whether_loss_towards_it_is_felt(
    tmp_path: Path, moved: dict[str, int], harm: str, said: str
) -> None:
    found, _ = diagnosed(tmp_path, felt(**moved), tap(sent=100_000, dropped=300))
    (finding,) = [f for f in found.findings if f.symptom.counter == "tap.tx_dropped"]

    assert finding.harm == harm
    assert said in finding.harm_reason


def test_the_guests_retransmissions_witness_loss_of_what_it_sends(tmp_path: Path) -> None:
    sent = {"statistics/rx_packets": (0, 100_000), "statistics/rx_dropped": (0, 300)}
    found, facts = diagnosed(tmp_path, felt(RetransSegs=100, TCPOFOQueue=3000), Device("vnet3", more=sent))
    (finding,) = [f for f in found.findings if f.symptom.counter == "tap.rx_dropped"]

    assert finding.harm == "harmful"
    assert facts.fact("guest.tcp_resent_share").value == pytest.approx(100 * 100 / 2100)


@pytest.mark.parametrize(
    ("times", "rule"),
    [
        ("100 0 100 1000 0 0 0 2000", "tap-ring-vcpu-starved"),
        ("100 0 100 100 0 0 4000 0", "tap-ring-guest-saturated"),
    ],
)
def test_the_guests_own_cpu_times_serve_the_rules_of_the_ring(tmp_path: Path, times: str, rule: str) -> None:
    captures = inside(
        before={"guest-proc-stat": STAT.format("0 0 0 0 0 0 0 0 0 0")},
        after={"guest-proc-stat": STAT.format(times + " 0 0")},
    )
    found, _ = diagnosed(tmp_path, captures, tap(sent=1000, dropped=300))
    (finding,) = [f for f in found.findings if f.symptom.counter == "tap.tx_dropped"]
    statuses = {candidate.rule.id: candidate.status.value for candidate in finding.candidates}

    assert statuses[rule] == "likely"


def test_a_capture_in_the_guest_is_said_to_hide_drops(tmp_path: Path) -> None:
    heading = "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"
    text = f"{heading}0000000000000000 3      3    0003   2     1 0      0      12345\n"
    sysfs = SYSFS.format(packets=70, flags="0x1103")
    files = {"guest-proc-net-packet": text, "guest-sysfs-net": sysfs}
    found, _ = diagnosed(tmp_path, inside(before=files, after=files), tap())

    assert [n.subject for n in found.notices if n.rule == "guest-capture-hides-drops"] == ["web01 eth0"]


def windows_behind(reader: str, build_number: int, *, received: int, discards: int) -> dict[str, str | None]:
    """Return a Windows that the host had asked, behind vhost or QEMU itself, and what its NIC counted."""
    made: dict[str, str | None] = {"guest:web01/0/guest-manifest": "system=windows\n"}
    if reader == "vhost":
        made["host/0/proc-cmdline"] = QEMU.replace("ifname=vnet3", "ifname=vnet3,vhost=on")
        made |= {f"host/{n}/proc-status": status(4800, 4800, "vhost-4711") for n in (0, 1)}
    files = windows_files(build_number)
    made["guest:web01/0/win-nic-registry"] = files["0/win-nic-registry"]
    for n in (0, 1):
        sample = json.loads(files[f"{n}/win-counters"])
        counters = sample["Interfaces"][0]["IPv4Statistics"]
        counters["UnicastPacketsReceived"] += received * n
        counters["IncomingPacketsDiscarded"] += discards * n
        made[f"guest:web01/{n}/win-counters"] = json.dumps(sample)
        made[f"guest:web01/{n}/win-clock"] = BOOT.format(ms=1000 + 8000 * n).replace(":00Z", f":{8 * n:02}Z")
    return made


@pytest.mark.parametrize(
    ("behind", "discards", "said"),
    [
        # NetKVM counts what it keeps: nothing is missing
        (("vhost", 27100), 9000, []),
        (("qemu", 27100), 9000, []),
        (("vhost", 26200), 0, [("guest-netkvm-filtered-uncounted", "unknown")]),
        (("qemu", 26200), 0, [("guest-qemu-filtered", "harmless")]),
        # nothing on the way keeps a frame without counting it
        (("vhost", 27100), 0, [(None, "harmful")]),
    ],
)
def test_what_netkvm_keeps_from_windows_is_not_called_lost(
    tmp_path: Path, behind: tuple[str, int], discards: int, said: list[tuple[str | None, str]]
) -> None:
    captures = windows_behind(*behind, received=500, discards=discards)
    found, port = diagnosed(tmp_path, captures, tap(sent=12000), script_s=10.0)

    assert str(port.fact("reader.kind").value).startswith(behind[0])
    assert [(f.cause.id if f.cause else None, str(f.harm)) for f in silent(found)] == said
