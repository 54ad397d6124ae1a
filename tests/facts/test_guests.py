# SPDX-License-Identifier: Apache-2.0
"""Guests joined to their ports: Windows by files of the parsers' fixtures, and the receive ring by QEMU."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from guest_files import FDINFO, OTHER, OWN, QEMU, WRITTEN, analyzed, container, sysfs, windows_files
from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.bundle.guest_file import with_guest
from vnetkb.facts import build
from vnetkb.kb.load import load_kb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.mark.parametrize(
    ("number", "cause"), [(27100, "guest-netkvm-filtered"), (26200, "guest-netkvm-discarded")]
)
def test_discards_of_windows_mean_what_the_driver_counts(tmp_path: Path, number: int, cause: str) -> None:
    found, _ = analyzed(tmp_path, windows_files(number, discards=40))
    (finding,) = [f for f in found.findings if f.symptom.state == "rising"]

    assert (finding.subject.kind, finding.subject.vm, finding.subject.port_of) == (
        "windows_adapter",
        "web01",
        "vnet3",
    )
    assert finding.cause is not None
    assert (finding.verdict, finding.cause.id) == ("likely", cause)


def test_a_windows_that_is_clean_says_nothing_about_its_port(tmp_path: Path) -> None:
    rising = Device("vnet3", tx_dropped=(5, 900), tx_packets=(100, 200))
    found, observations = analyzed(tmp_path, windows_files(27100, min_free=0), rising)
    (finding,) = [f for f in found.findings if f.symptom.state == "rising"]
    facts = observations.subjects["tap", "vnet3"]

    assert finding.symptom.counter == "tap.tx_dropped"
    assert finding.cause is None or finding.cause.id.startswith(("tap-ring", "guest-netkvm"))
    assert facts.fact("guest.drops_moved").value == 0
    assert facts.fact("guest.netkvm_min_free").value == 0
    statuses = {candidate.rule.id: candidate.status.value for candidate in finding.candidates}
    assert statuses["guest-netkvm-buffers"] == "likely"


def test_a_boot_between_the_samples_makes_no_difference(tmp_path: Path) -> None:
    files = windows_files(27100, discards=40)
    files["1/win-clock"] = files["1/win-clock"].replace("20261101", "20261122")
    found, _ = analyzed(tmp_path, files)

    assert not [f for f in found.findings if f.symptom.state == "rising"]


def ring(avail: int, used: int) -> str:
    status = json.dumps({"return": {"vring-num": 256}})
    element = json.dumps({"return": {"avail": {"idx": avail}, "used": {"idx": used}}})
    path = "/machine/peripheral/net0/virtio-backend"
    control = json.dumps({"return": {"vring-num": 64}})
    empty = json.dumps({"return": {"avail": {"idx": 6}, "used": {"idx": 6}}})
    return f"@ {path} 0\n{status}\n{element}\n@ {path} 2\n{control}\n{empty}\n"


@pytest.mark.parametrize(("indices", "avail"), [((65535, 65535), 0), ((100, 65500), 136)])
def test_posted_buffers_are_those_of_the_receive_queue(
    tmp_path: Path, indices: tuple[int, int], avail: int
) -> None:
    captures = {"host/0/proc-cmdline": QEMU, "host/0/tun-fdinfo": FDINFO}
    captures |= {f"guest:web01/{n}/virtqueue-status": ring(*indices) for n in (0, 1)}
    bundle = read_bundle(Host([Device("vnet3")], captures=captures).write(tmp_path))
    fact = build(bundle, load_kb()).subjects["tap", "vnet3"].fact("ring.avail")

    assert fact.ends == (avail, avail)


def queues(posted: Mapping[int, int]) -> str:
    """Return what QEMU says of a NIC's even queues, the last of which is the control queue's neighbour."""
    path, text = "/machine/peripheral/net0/virtio-backend", ""
    for queue, buffers in posted.items():
        status = json.dumps({"return": {"vring-num": 256}})
        element = json.dumps({"return": {"avail": {"idx": 1000 + buffers}, "used": {"idx": 1000}}})
        text += f"@ {path} {queue}\n{status}\n{element}\n"
    return text


@pytest.mark.parametrize(
    ("attached", "posted", "avail"),
    [
        (4, {0: 200, 2: 0, 4: 180, 6: 190, 8: 0}, 0),  # four pairs of queues: 8 is for control
        (2, {0: 200, 2: 150, 4: 0, 6: 0, 8: 0}, 150),  # the guest uses two of its four
        (1, {0: 77, 2: 0}, 77),
        (1, {0: 12}, 12),
    ],
)
def test_the_emptiest_of_the_receive_queues_in_use_counts_and_never_the_one_for_control(
    tmp_path: Path, attached: int, posted: dict[int, int], avail: int
) -> None:
    captures = {"host/0/proc-cmdline": QEMU, "host/0/tun-fdinfo": FDINFO}
    data = {"type": "tap", "multi_queue": True, "numqueues": attached, "numdisabled": 0}
    link = {
        "ifindex": 7, "ifname": "vnet3", "flags": ["UP"], "mtu": 1500, "link_type": "ether",
        "linkinfo": {"info_kind": "tun", "info_data": data},
    }  # fmt: skip
    for n in (0, 1):
        captures[f"guest:web01/{n}/virtqueue-status"] = queues(posted)
        captures[f"host/{n}/ip-link"] = json.dumps([link])
    device = Device("vnet3", tun_flags="0x5102")
    bundle = read_bundle(Host([device], captures=captures).write(tmp_path))
    fact = build(bundle, load_kb()).subjects["tap", "vnet3"].fact("ring.avail")

    assert fact.ends == (avail, avail)


def test_a_name_that_no_vm_has_is_said(tmp_path: Path) -> None:
    host = Host([Device("vnet3")], captures={"host/0/proc-cmdline": QEMU, "host/0/tun-fdinfo": FDINFO})
    file = tmp_path / "guest.txt"
    file.write_text(container({"0/guest-clock": "uptime 5.0 1.0\n"}))
    observations = build(with_guest(read_bundle(host.write(tmp_path)), "web02", file), load_kb())

    assert [notice.subject for notice in observations.notices if notice.level == "warning"] == ["web02"]


@pytest.mark.parametrize("language", ["en", "zh-CN", "de"])
def test_what_plain_tools_of_windows_print_is_enough_for_its_discards(tmp_path: Path, language: str) -> None:
    sample = (WRITTEN.parent / "windows" / f"win-netstat-e.{language}.utf8").read_text(encoding="utf-8")
    files = {"0/win-netstat-e": sample, "1/win-netstat-e": sample.replace(" 37 ", " 77 ")}
    found, observations = analyzed(tmp_path, files | {"manifest.kv": "system=windows\n"})
    (finding,) = [f for f in found.findings if f.symptom.state == "rising"]

    assert (finding.subject.kind, finding.subject.port_of) == ("windows_adapter", "vnet3")
    assert finding.symptom.delta == 40
    assert observations.subjects["tap", "vnet3"].fact("guest.drops_moved").value == 40


def test_a_restart_between_plain_texts_of_windows_makes_no_difference(tmp_path: Path) -> None:
    sample = (WRITTEN.parent / "windows" / "win-netstat-e.en.utf8").read_text(encoding="utf-8")
    files = {"0/win-netstat-e": sample.replace(" 37 ", " 77 "), "1/win-netstat-e": sample}
    found, _ = analyzed(tmp_path, files | {"manifest.kv": "system=windows\n"})

    assert not [f for f in found.findings if f.symptom.state == "rising"]


def test_a_bridge_inside_the_guest_is_not_the_nic_whose_address_it_has(tmp_path: Path) -> None:
    found, _ = analyzed(tmp_path, sysfs(br0=(3, 100, OWN), eth0=(2, 2000, OWN)))

    assert [f.subject.name for f in found.findings if f.symptom.state == "rising"] == ["web01 eth0"]


@pytest.mark.parametrize(("mac", "said"), [(OWN, []), (OTHER, ["web01"])])
def test_a_file_of_another_vm_is_said(tmp_path: Path, mac: str, said: list[str]) -> None:
    _, observations = analyzed(tmp_path, sysfs(eth0=(2, 2000, mac)))

    assert [notice.subject for notice in observations.notices if notice.level == "warning"] == said


def test_an_address_of_two_ports_joins_the_guests_nic_to_neither(tmp_path: Path) -> None:
    second = (
        "4711\t-netdev tap,id=h1,ifname=vnet4\n4711\t-device virtio-net-pci,netdev=h1,id=n1,mac=" + OWN + "\n"
    )
    fdinfo = FDINFO + "/proc/4711/fdinfo/26:iff:\tvnet4\n"
    host = Host(
        [Device("vnet3"), Device("vnet4")],
        captures={"host/0/proc-cmdline": QEMU + second, "host/0/tun-fdinfo": fdinfo},
    )
    file = tmp_path / "guest.txt"
    file.write_text(container(sysfs(eth0=(2, 2000, OWN))), encoding="utf-8")
    observations = build(with_guest(read_bundle(host.write(tmp_path)), "web01", file), load_kb())

    assert not [name for kind, name in observations.subjects if kind == "guest_nic"]


TWO = QEMU + (
    "4711\t-netdev tap,id=hostnet1,ifname=vnet4\n"
    f"4711\t-device virtio-net-pci,netdev=hostnet1,id=net1,mac={OTHER}\n"
)
FIRST, SECOND = "{4D36E972-0000-0000-0000-000000000001}", "{4D36E972-0000-0000-0000-000000000002}"
NETKVM = "Red Hat VirtIO Ethernet Adapter"


def two_netkvm(instances: Mapping[str, int], *rows: Mapping[str, str]) -> dict[str, str]:
    """Return a Windows with two NICs of NetKVM; MinFreeBuffers by instance, and rows of the registry."""
    files = windows_files(27100)
    sample = json.loads(files["0/win-counters"])
    nic = sample["Interfaces"][0]
    more = {"Name": "Ethernet 4", "Mac": OTHER.replace(":", "").upper(), "Id": SECOND}
    sample["Interfaces"].append(nic | more | {"Description": f"{NETKVM} #2"})
    diag = sample["Classes"]["NetKvm_Diag"][0]
    sample["Classes"]["NetKvm_Config"] = []
    sample["Classes"]["NetKvm_Diag"] = [
        diag | {"InstanceName": name, "rx": {"MinFreeBuffers": least}} for name, least in instances.items()
    ]
    files["0/win-counters"] = files["1/win-counters"] = json.dumps(sample)
    known: Mapping[str, str] = {"DriverDesc": NETKVM, "DriverVersion": "100.1.1.27100"}
    files["0/win-nic-registry"] = json.dumps([{**known, **row} for row in rows])
    return files


def of_two(folder: Path, files: dict[str, str], port: str) -> Mapping[str, object]:
    held = FDINFO + "/proc/4711/fdinfo/26:iff:\tvnet4\n"
    devices = [Device("vnet3"), Device("vnet4")]
    host = Host(devices, captures={"host/0/proc-cmdline": TWO, "host/0/tun-fdinfo": held})
    file = folder / "guest.txt"
    file.write_text(container(files), encoding="utf-8")
    observations = build(with_guest(read_bundle(host.write(folder)), "web01", file), load_kb())
    source = observations.subjects["tap", port]
    names = ("guest.netkvm_min_free", "guest.rx_capacity", "guest.netkvm_build")
    return {name: source.fact(name).value for name in names}


@pytest.mark.parametrize(
    ("instances", "free"),
    [
        ({NETKVM: 200, f"{NETKVM} #2": 0}, (200, 0)),  # WMI names them as .NET describes them
        ({f"{NETKVM} #2": 0}, (None, 0)),
        ({"PCI\\A_0": 200, "PCI\\B_0": 0}, (None, None)),  # which is which, nothing tells
        ({"PCI\\A_0": 16, "PCI\\B_0": 16}, (16, 16)),
        ({"PCI\\A_0": 0}, (None, None)),
    ],
)
def test_buffers_of_another_nic_are_not_this_ones(
    tmp_path: Path, instances: dict[str, int], free: tuple[int | None, int | None]
) -> None:
    files = two_netkvm(instances, {"RxCapacity": "1024"})

    for port, least in zip(("vnet3", "vnet4"), free, strict=True):
        (folder := tmp_path / port).mkdir()
        assert of_two(folder, files, port)["guest.netkvm_min_free"] == least


STALE = {"RxCapacity": "128", "DriverVersion": "62.1.1.17000", "NetCfgInstanceId": "{DEAD}"}
OLD = {"RxCapacity": "128", "DriverVersion": "62.1.1.17000"}


@pytest.mark.parametrize(
    ("rows", "known"),
    [
        ([STALE, {"RxCapacity": "1024", "NetCfgInstanceId": FIRST.lower()}], (1024, 27100)),
        ([STALE, {"RxCapacity": "64", "NetCfgInstanceId": SECOND}], (None, None)),
        ([OLD, {"RxCapacity": "64"}], (None, None)),
        ([{"RxCapacity": "64"}, {"RxCapacity": "512"}], (None, 27100)),
        ([{"RxCapacity": "64"}, {"RxCapacity": "64"}], (64, 27100)),
    ],
)
def test_the_registry_is_read_of_the_nic_itself(
    tmp_path: Path, rows: list[dict[str, str]], known: tuple[int | None, int | None]
) -> None:
    found = of_two(tmp_path, two_netkvm({NETKVM: 16, f"{NETKVM} #2": 16}, *rows), "vnet3")

    assert (found["guest.rx_capacity"], found["guest.netkvm_build"]) == known


def test_another_driver_is_not_judged_as_netkvm(tmp_path: Path) -> None:
    files = windows_files(27100, discards=40)
    for n in (0, 1):
        sample = json.loads(files[f"{n}/win-counters"])
        sample["Interfaces"][0]["Description"] = "Intel(R) PRO/1000 MT Network Connection"
        files[f"{n}/win-counters"] = json.dumps(sample)
    found, _ = analyzed(tmp_path, files)
    (finding,) = [f for f in found.findings if f.symptom.state == "rising"]

    assert (finding.cause, str(finding.harm)) == (None, "unknown")
    assert {c.status.value for c in finding.candidates} == {"ruled-out"}
