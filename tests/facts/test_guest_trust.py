# SPDX-License-Identifier: Apache-2.0
"""What a guest's numbers are worth: totals of several NICs, NICs of no port, clocks, boots."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from guest_files import (
    BOOT,
    FDINFO,
    OTHER,
    OWN,
    QEMU,
    WRITTEN,
    analyzed,
    container,
    sysfs,
    windows,
    windows_files,
)
from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.bundle.guest_file import with_guest
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.facts.guests import guests
from vnetkb.kb.load import load_kb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vnetkb.diagnosis import Diagnosis
    from vnetkb.diagnosis.model import Finding

TWO_PORTS = QEMU + (
    "4711\t-netdev tap,id=hostnet1,ifname=vnet4\n"
    f"4711\t-device virtio-net-pci,netdev=hostnet1,id=net1,mac={OTHER}\n"
)
TWO_HELD = FDINFO + "/proc/4711/fdinfo/26:iff:\tvnet4\n"
TEXT = (WRITTEN.parent / "windows" / "win-netstat-e.en.utf8").read_text(encoding="utf-8")
STACK = (WRITTEN.parent / "windows" / "win-netstat-s.en.oem").read_bytes().decode("ascii")
GETMAC = (WRITTEN / "win-getmac").read_text(encoding="ascii")
PLAIN = {"0/win-netstat-e": TEXT, "0/win-netstat-s": STACK, "manifest.kv": "system=windows\n"}


def two_ports(folder: Path, files: Mapping[str, str], losing: Device | None = None) -> tuple[Diagnosis, Any]:
    """Diagnose a VM with two ports beside a guest's file."""
    devices = [losing or Device("vnet3"), Device("vnet4")]
    host = Host(devices, captures={"host/0/proc-cmdline": TWO_PORTS, "host/0/tun-fdinfo": TWO_HELD})
    file = folder / "guest.txt"
    file.write_text(container(dict(files)), encoding="utf-8")
    kb = load_kb()
    observations = build(with_guest(read_bundle(host.write(folder)), "web01", file), kb)
    return diagnose(observations, kb), observations


def rising(found: Diagnosis) -> list[Finding]:
    return [finding for finding in found.findings if finding.symptom.state == "rising"]


def notices(observations: Any, subject: str = "web01") -> list[str]:  # noqa: ANN401 - what build returns
    return [notice.text for notice in observations.notices if notice.subject == subject]


def test_totals_of_two_adapters_are_of_no_single_port(tmp_path: Path) -> None:
    files = PLAIN | {"1/win-netstat-e": TEXT.replace(" 37 ", " 77 "), "1/win-netstat-s": STACK}
    found, observations = two_ports(tmp_path, files)
    (finding,) = rising(found)
    drops = observations.subjects["tap", "vnet3"].fact("guest.drops_moved")
    (said,) = notices(observations)

    assert (finding.subject.name, finding.subject.port_of) == ("web01 netstat -e", None)
    assert finding.symptom.delta == 40
    assert drops.value is None
    assert "+40" in drops.why_unknown
    assert "vnet3, vnet4" in said
    assert "full receive ring" in said


def test_totals_that_stand_still_acquit_each_adapter(tmp_path: Path) -> None:
    losing = Device("vnet3", tx_dropped=(5, 900), tx_packets=(100, 200))
    more = {"1/win-netstat-e": TEXT, "1/win-netstat-s": STACK.replace("= 902", "= 907")}
    found, observations = two_ports(tmp_path, PLAIN | more, losing)
    taps = [observations.subjects["tap", name] for name in ("vnet3", "vnet4")]

    assert [tap.fact("guest.drops_moved").value for tap in taps] == [0, 0]
    # protocols are the whole guest's whatever the number of its NICs
    assert [tap.fact("guest.udp_errors").value for tap in taps] == [5, 5]
    assert {finding.symptom.counter for finding in rising(found)} == {
        "tap.tx_dropped",
        "windows_udp.receive_errors",
    }
    assert "was not asked" not in str([tap.fact("guest.nic_up").why_unknown for tap in taps])


def test_plain_text_of_windows_asks_for_nothing_that_only_linux_has(tmp_path: Path) -> None:
    losing = Device("vnet3", tx_dropped=(5, 900), tx_packets=(100, 200))
    found, _ = two_ports(tmp_path, PLAIN | {"1/win-netstat-e": TEXT, "1/win-netstat-s": STACK}, losing)
    asked = {capture for finding in found.findings for one in finding.candidates for capture in one.missing}

    assert "win-counters" in asked
    assert not {capture for capture in asked if capture.startswith("guest-")}


def test_one_port_is_not_the_only_adapter_where_windows_lists_two(tmp_path: Path) -> None:
    files = PLAIN | {"1/win-netstat-e": TEXT.replace(" 37 ", " 77 "), "0/win-getmac": GETMAC}
    found, observations = analyzed(tmp_path, files)
    (finding,) = rising(found)

    assert finding.subject.port_of is None
    assert len(notices(observations)) == 1
    assert len(notices(observations, "web01 Ethernet 2")) == 1


@pytest.mark.parametrize(
    ("build_number", "harm"), [(None, "unknown"), (27100, "harmless"), (26200, "harmful")]
)
def test_discards_alone_do_not_say_that_all_was_lost(
    tmp_path: Path, build_number: int | None, harm: str
) -> None:
    files = windows_files(build_number or 0, discards=40)
    if build_number is None:
        del files["0/win-nic-registry"]
    found, _ = analyzed(tmp_path, files)
    (finding,) = rising(found)

    assert (finding.symptom.ratio, str(finding.harm)) == (1.0, harm)


@pytest.mark.parametrize(("driver", "said"), [("virtio_net", 1), ("iavf", 1), (None, 0)])
def test_a_nic_behind_no_port_is_named_unless_software_made_it(
    tmp_path: Path, driver: str | None, said: int
) -> None:
    files = sysfs(eth0=(2, 2000, OWN), eth1=(3, 500, OTHER))
    files["0/guest-ethtool-i"] = "@ eth0\ndriver: virtio_net\nbus-info: 0000:01:00.0\n"
    if driver is not None:
        files["0/guest-ethtool-i"] += f"@ eth1\ndriver: {driver}\nbus-info: 0000:02:00.0\n"
    _, observations = analyzed(tmp_path, files)
    texts = notices(observations, "web01 eth1")

    assert len(texts) == said
    assert all(OTHER in text and "SR-IOV" in text for text in texts)


def test_a_windows_nic_behind_no_port_is_named(tmp_path: Path) -> None:
    files = windows_files(27100)
    for n in (0, 1):
        sample = json.loads(windows())
        second = dict(sample["Interfaces"][0]) | {"Name": "Ethernet 4", "Mac": "525400AABB99"}
        made = second | {"Name": "vEthernet", "Description": "Hyper-V Virtual Ethernet Adapter"}
        sample["Interfaces"] += [second, made | {"Mac": "00155D000001"}]
        files[f"{n}/win-counters"] = json.dumps(sample)
    _, observations = analyzed(tmp_path, files)

    assert len(notices(observations, "web01 Ethernet 4")) == 1
    assert not notices(observations, "web01 vEthernet")


def test_containers_of_a_guest_that_only_the_agent_tells_of_are_not_named(tmp_path: Path) -> None:
    def nic(name: str, mac: str) -> dict[str, Any]:
        return {"name": name, "hardware-address": mac, "statistics": {"rx-packets": 1}}

    names = [nic("eth0", OWN), nic("docker0", "02:42:00:00:00:01"), nic("eth9", "02:42:00:00:00:02")]
    answer = json.dumps({"return": names}) + "\n"
    captures = {f"guest:web01/{n}/agent-interfaces": answer for n in (0, 1)}
    captures |= {"host/0/proc-cmdline": QEMU, "host/0/tun-fdinfo": FDINFO}
    bundle = read_bundle(Host([Device("vnet3")], captures=captures).write(tmp_path))
    observations = build(bundle, load_kb())

    assert [n.subject for n in observations.notices if n.subject.startswith("web01")] == ["web01 eth9"]


def clocks(first: tuple[float, str], last: tuple[float, str], boots: tuple[str, str] = ("1", "1")) -> Any:  # noqa: ANN401
    files = sysfs(eth0=(2, 2000, OWN))
    for n, (up, wall) in enumerate((first, last)):
        boot = f"0f0f0f0f-0000-4000-8000-00000000000{boots[n]}"
        files[f"{n}/guest-clock"] = f"uptime {up:.2f} 1.0\nwall {wall}\nboot_id {boot}\n"
    return files


DAY = "2026-11-22T"


@pytest.mark.parametrize(
    ("first", "last", "said", "joined"),
    [
        ((100, DAY + "13:45:02Z"), (108, DAY + "13:45:10Z"), "", 1),
        ((100, DAY + "13:45:02Z"), (108, DAY + "16:45:10Z"), "set by 3 h", 1),
        ((100, DAY + "16:45:02Z"), (108, DAY + "13:45:10Z"), "set by 3 h", 1),
        ((100, DAY + "13:45:02Z"), (90, DAY + "13:45:10Z"), "ran backwards", 1),
        ((100, DAY + "16:50:02Z"), (108, DAY + "16:50:10Z"), "taken 3 h later", 0),
        ((100, DAY + "09:40:00Z"), (108, DAY + "09:40:08Z"), "taken 4 h earlier", 0),
    ],
)
def test_a_guests_clock_that_cannot_be_right_is_told_and_not_used(
    tmp_path: Path, first: tuple[float, str], last: tuple[float, str], said: str, joined: int
) -> None:
    _, observations = analyzed(tmp_path, clocks(first, last))
    texts = " ".join(notices(observations))
    drops = observations.subjects["tap", "vnet3"].fact("guest.drops_moved")

    assert said in texts if said else not texts
    assert drops.value == (7 if joined else None)
    assert joined or "of another time" in drops.why_unknown


def test_a_boot_between_the_samples_is_the_reason_that_is_given(tmp_path: Path) -> None:
    files = clocks((900, DAY + "13:45:02Z"), (4, DAY + "13:45:10Z"), ("1", "2"))
    _, observations = analyzed(tmp_path, files)
    nic = observations.subjects["guest_nic", "web01 eth0"]

    assert "booted" in observations.subjects["tap", "vnet3"].fact("guest.drops_moved").why_unknown
    assert "booted" in nic.counted("rx_dropped").why_unknown
    assert len([text for text in notices(observations) if "booted between" in text]) == 1


def test_counters_that_went_back_without_a_boot_were_reset(tmp_path: Path) -> None:
    files = PLAIN | {"0/win-netstat-e": TEXT.replace(" 37 ", " 77 "), "1/win-netstat-e": TEXT}
    _, observations = analyzed(tmp_path, files)

    assert "went back" in observations.subjects["tap", "vnet3"].fact("guest.drops_moved").why_unknown


@pytest.mark.parametrize(
    ("ticks", "boot", "rebooted"),
    [
        (9000, "20261101000000.900000+000", "no"),  # WMI reckons it anew, with a clock that drifts
        (9000, "20261101010000.000000+060", "no"),
        (9000, "20261101020000.000000+000", "perhaps"),
        (700, "20261101020000.000000+000", "yes"),
        (700, "20261101000000.000000+000", "yes"),
    ],
)
def test_windows_booted_when_its_ticks_began_again(
    tmp_path: Path, ticks: int, boot: str, rebooted: str
) -> None:
    files = windows_files(27100, discards=40)
    files["1/win-clock"] = BOOT.format(ms=ticks).replace("20261101000000.000000+000", boot)
    found, observations = analyzed(tmp_path, files)
    why = observations.subjects["tap", "vnet3"].fact("guest.drops_moved").why_unknown

    assert bool(rising(found)) is (rebooted == "no")
    assert ("booted" in why) is (rebooted != "no")


def test_a_loopback_is_no_nic_behind_no_port(tmp_path: Path) -> None:
    _, observations = analyzed(tmp_path, sysfs(lo=(1, 5, "00:00:00:00:00:00"), eth0=(2, 2000, OWN)))

    assert not notices(observations, "web01 lo")


@pytest.mark.parametrize(("status", "known"), [("Up", True), ("Down", None), ("LowerLayerDown", None)])
def test_a_windows_nic_without_a_link_is_not_called_switched_off(
    tmp_path: Path, status: str, known: object
) -> None:
    files = windows_files(27100, min_free=16)
    for n in (0, 1):
        sample = json.loads(files[f"{n}/win-counters"])
        sample["Interfaces"][0]["Status"] = status
        files[f"{n}/win-counters"] = json.dumps(sample)
    found, observations = analyzed(
        tmp_path, files, Device("vnet3", tx_dropped=(5, 900), tx_packets=(100, 200))
    )
    (finding,) = rising(found)
    (rule,) = [c for c in finding.candidates if c.rule.id == "guest-link-down"]

    assert observations.subjects["tap", "vnet3"].fact("guest.nic_up").value is known
    assert rule.status.value == ("ruled-out" if known else "open")


@pytest.mark.parametrize(
    ("first", "last", "wall", "seconds"),
    [
        (-2_000_000_000, -1_999_992_000, 8, 8.0),  # 26 days up
        (2**31 - 3000, -(2**31) + 5000, 8, 8.0),
        (-3000, 5000, 8, 8.0),  # 49.7 days: it begins anew
        (-3000, 5000, 60, None),
        (-3000, 5000, None, None),
    ],
)
def test_the_tick_count_of_windows_is_a_number_of_32_bits(
    tmp_path: Path, first: int, last: int, wall: int | None, seconds: float | None
) -> None:
    files = windows_files(27100, discards=40)
    # WMI reckons the time of the boot anew, with a clock that drifts
    for n, ticks in enumerate((first, last)):
        at = "" if wall is None else f"wall 2026-11-22T13:{45 + wall * n // 60}:{wall * n % 60:02}Z\n"
        files[f"{n}/win-clock"] = f"uptime_ms {ticks}\n{at}boot 20261101000000.{5 + 4 * n}00000+000\n"
    found, observations = analyzed(tmp_path, files)
    (guest,) = guests(observations.subjects["tap", "vnet3"].topology)

    assert guest.seconds == seconds
    assert guest.rebooted is (seconds is None)
    assert bool(rising(found)) is (seconds is not None)


def test_the_guest_did_not_boot_within_a_second_where_only_wmi_tells(tmp_path: Path) -> None:
    files = windows_files(27100, discards=40)
    for n in (0, 1):
        files[f"{n}/win-clock"] = f"boot 20261101000000.{5 + 4 * n}00000+000\n"
    found, _ = analyzed(tmp_path, files)

    assert [f.symptom.delta for f in rising(found)] == [40]


def otherhost(frames: int | None) -> str:
    counters = {"bytes": 1, "packets": 6000, "errors": 0, "dropped": 0, "multicast": 0}
    received = counters | ({} if frames is None else {"otherhost": frames})
    link = {
        "ifindex": 2, "ifname": "eth0", "flags": ["UP"], "mtu": 1500, "address": OWN,
        "stats64": {"rx": received, "tx": counters},
    }  # fmt: skip
    return json.dumps([link])


@pytest.mark.parametrize(
    ("before", "moved"), [(otherhost(None), 70000), (otherhost(69000), 1000), ("", None)]
)
def test_a_counter_that_one_sample_lacks_did_not_begin_there(
    tmp_path: Path, before: str, moved: int | None
) -> None:
    files = sysfs(eth0=(2, 2000, OWN)) | {"1/guest-ip-link": otherhost(70000)}
    if before:
        files["0/guest-ip-link"] = before
    _, observations = analyzed(tmp_path, files)
    counted = observations.subjects["guest_nic", "web01 eth0"].counted("rx_otherhost_dropped")

    assert counted.delta == moved


@pytest.mark.parametrize(("elsewhere", "cause"), [(5000, "guest-softnet-backlog"), (3, None)])
def test_a_full_backlog_of_any_interface_never_confirms_the_loss_of_one(
    tmp_path: Path, elsewhere: int, cause: str | None
) -> None:
    files = sysfs(eth0=(2, 2000, OWN))
    for n in (0, 1):
        files[f"{n}/guest-softnet-stat"] = f"0000ffff {elsewhere * n:08x}" + " 00000000" * 11 + "\n"
        files[f"{n}/guest-ethtool-s"] = "@ eth0\nNIC statistics:\n     rx_queue_0_drops: 0\n"
    found, _ = analyzed(tmp_path, files)
    (finding,) = rising(found)
    statuses = {c.rule.id: c.status.value for c in finding.candidates}

    assert finding.symptom.counter == "virtio_net.rx_dropped"
    assert (finding.cause.id if finding.cause else None) == cause
    assert finding.verdict == ("likely" if cause else "undetermined")
    assert statuses["guest-unknown-protocol"] == "open"
