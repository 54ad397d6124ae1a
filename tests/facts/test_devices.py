# SPDX-License-Identifier: Apache-2.0
"""Devices that are no taps: which kind they are, and which of their counters are symptoms."""

import json
from pathlib import Path

import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.facts import Observations, build
from vnetkb.kb.load import load_kb


def observe(host: Host, folder: Path) -> Observations:
    return build(read_bundle(host.write(folder)), load_kb())


def plain(name: str, **more: tuple[object, object]) -> Device:
    statistics = {f"statistics/{key}": values for key, values in more.items()}
    return Device(name, tun_flags=None, more=statistics)


LINKS = json.dumps(
    [
        {"ifindex": 1, "ifname": "lo", "flags": ["LOOPBACK"], "link_type": "loopback"},
        {"ifindex": 2, "ifname": "eth0", "flags": ["UP"]},
        {"ifindex": 3, "ifname": "br0", "flags": ["UP"], "linkinfo": {"info_kind": "bridge"}},
        {"ifindex": 4, "ifname": "v0", "flags": ["UP"], "linkinfo": {"info_kind": "veth"}},
        {"ifindex": 5, "ifname": "br-int", "flags": ["UP"], "linkinfo": {"info_kind": "openvswitch"}},
        {"ifindex": 6, "ifname": "vx", "flags": ["UP"], "linkinfo": {"info_kind": "vxlan"}},
    ]
)
DRIVER = "lrwxrwxrwx 1 root root 0 Nov 22 13:45 eth0/device/driver -> ../../../../bus/pci/drivers/igb\n"


def test_a_device_is_of_the_kind_that_its_driver_tells(tmp_path: Path) -> None:
    devices = [plain(name) for name in ("lo", "eth0", "br0", "v0", "br-int", "vx")]
    captures = {f"host/{n}/ip-link": LINKS for n in range(2)}
    captures |= {f"host/{n}/sysfs-net-links": DRIVER for n in range(2)}
    subjects = observe(Host([*devices, Device("vnet3")], captures=captures), tmp_path).subjects
    assert sorted(subjects) == [
        ("bridge", "br0"),
        ("netdev", "vx"),
        ("nic", "eth0"),
        ("ovs_internal", "br-int"),
        ("tap", "vnet3"),
        ("veth", "v0"),
    ]


@pytest.mark.parametrize("missed", [(0, 0), (50, 0)])
def test_a_counter_that_was_cleared_is_not_another_one_that_stands_at_zero_too(
    missed: tuple[int, int], tmp_path: Path
) -> None:
    values = {"rx_fifo_errors": (100, 0), "rx_missed_errors": missed, "rx_over_errors": (0, 0)}
    more = {f"statistics/{name}": each for name, each in values.items()}
    device = Device("eth0", tun_flags=None, more=more)
    captures = {f"host/{n}/sysfs-net-links": DRIVER for n in range(2)}
    found = observe(Host([device], captures=captures), tmp_path).observations
    assert ("nic.rx_fifo_errors", 100) in {(one.symptom.counter, one.symptom.earlier) for one in found}


def test_what_a_guest_sends_and_the_tap_drops_is_a_symptom_of_its_own(tmp_path: Path) -> None:
    tap = Device(
        "vnet3",
        (0, 168),
        (10, 900),
        more={"statistics/rx_dropped": (5, 25), "statistics/rx_packets": (0, 60)},
    )
    one, other = observe(Host([tap]), tmp_path).observations
    assert (one.symptom.counter, one.symptom.delta) == ("tap.tx_dropped", 168)
    assert (other.symptom.counter, other.symptom.delta, other.symptom.ratio) == ("tap.rx_dropped", 20, 0.25)
    assert other.facts.fact("drop.count").value == 20
    assert other.facts.fact("drop.ratio").value == pytest.approx(25.0)
    assert other.symptom.captures == ("host/0/sysfs-net", "host/1/sysfs-net")


def test_a_column_that_sums_two_counters_tells_of_one_only_while_the_other_stands_still(
    tmp_path: Path,
) -> None:
    series = [(0, 0), (0, 0)]
    still = Device(
        "vnet3",
        (0, 0),
        (10, 10),
        series,
        more={
            "statistics/rx_dropped": (5, 25),
            "statistics/rx_missed_errors": (0, 0),
        },
    )
    (seen,) = observe(Host([still]), tmp_path).observations
    assert seen.facts.drops == (0,)
    both = Device(
        "vnet3",
        (0, 0),
        (10, 10),
        series,
        more={
            "statistics/rx_dropped": (5, 25),
            "statistics/rx_missed_errors": (0, 3),
        },
    )
    (hidden,) = observe(Host([both]), tmp_path).observations
    assert hidden.facts.drops == ()
    assert hidden.facts.fact("drop.peak_ratio").value is None
