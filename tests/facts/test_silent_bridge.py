# SPDX-License-Identifier: Apache-2.0
"""What came into a Linux bridge and left it nowhere, by sums over its ports; causes that no counter shows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import Diagnosis, Finding, diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb

KB = load_kb()
NO_GRO = "Features for {}:\ngeneric-receive-offload: off\n"
SIZE = 242
HUNG_UP = 64
"""Packets that vhost may hold beside the ring (VHOST_NET_BATCH)."""


@dataclass
class Port:
    """A port of br0: frames in and out between the snapshots."""

    name: str
    rx: int = 0
    tx: int = 0
    tap: bool = True
    size: int = SIZE
    dropped: int = 0
    mtu: int = 1500
    state: str = "forwarding"
    slots: Sequence[int] = (10, 10)
    more: dict[str, tuple[int, int]] = field(default_factory=dict)

    def device(self) -> Device:
        counters = {
            "rx_packets": self.rx,
            "rx_bytes": self.rx * self.size,
            "tx_bytes": self.tx * SIZE,
            "tx_errors": 0,
            "rx_dropped": 0,
        }
        more = {f"statistics/{key}": (5, 5 + moved) for key, moved in counters.items()}
        return Device(
            self.name,
            (0, self.dropped),
            (5, 5 + self.tx),
            tx_queue_len=tuple(self.slots),
            tun_flags="0x1002" if self.tap else None,
            more=more | {f"statistics/{key}": ends for key, ends in self.more.items()},
        )


def bridge(*ports: Port, captures: dict[str, str] | None = None, stacked: str = "") -> Host:
    own = Port("br0", tap=False)
    places = "drwxr-xr-x 2 0 0 0 Nov 22 20:46 br0/bridge\n"
    for port in ports:
        places += f"lrwxrwxrwx 1 0 0 0 Nov 22 20:46 {port.name}/master -> ../br0\n"
        places += f"lrwxrwxrwx 1 0 0 0 Nov 22 20:46 {port.name}/upper_br0 -> ../br0\n"
    places += stacked
    links = [
        {"ifname": port.name, "ifindex": 3, "mtu": port.mtu, "master": "br0", "state": port.state}
        for port in ports
    ]
    found = {f"host/{n}/{name}": text for n in (0, 1) for name, text in (
        ("sysfs-net-links", places), ("bridge-link", json.dumps(links))
    )}  # fmt: skip
    return Host([port.device() for port in (own, *ports)], captures=found | (captures or {}))


def judged(host: Host, folder: Path) -> Diagnosis:
    return diagnose(build(read_bundle(host.write(folder)), KB), KB)


def only(host: Host, folder: Path) -> Finding:
    (finding,) = judged(host, folder).findings
    return finding


def uplink(rx: int, **more: int) -> Port:
    return Port("lan0", rx=rx, tap=False, **more)  # type: ignore[arg-type]


def test_as_many_out_as_in_is_no_loss(tmp_path: Path) -> None:
    assert judged(bridge(uplink(5000), Port("vnet0", tx=5000)), tmp_path).findings == ()


def test_flooded_frames_leave_more_than_once(tmp_path: Path) -> None:
    host = bridge(uplink(5000), Port("vnet0", tx=5000), Port("vnet1", tx=5000))
    assert judged(host, tmp_path).findings == ()


def test_what_a_ring_may_hold_and_what_an_uplink_may_bring_unasked_is_no_loss(tmp_path: Path) -> None:
    host = bridge(uplink(5000), Port("vnet0", tx=5000 - 100 - 10 - HUNG_UP))
    assert judged(host, tmp_path).findings == ()


def test_counted_drops_are_not_silent(tmp_path: Path) -> None:
    finding = only(bridge(uplink(5000), Port("vnet0", tx=1000, dropped=4000)), tmp_path)
    assert finding.symptom.counter == "tap.tx_dropped"


def test_frames_that_a_physical_nic_may_join_are_no_loss(tmp_path: Path) -> None:
    ports = (uplink(9000), Port("vnet0", tx=200, size=1500, more={"tx_bytes": (0, 9000 * 1448)}))
    driver = "lrwxrwxrwx 1 0 0 0 Nov 22 20:46 lan0/device/driver -> ../../bus/pci/drivers/ixgbe\n"
    host = bridge(*ports, stacked=driver)
    assert all(one.subject.kind != "bridge" for one in judged(host, tmp_path).findings)


def test_what_a_standby_port_of_a_bond_throws_away_never_came_to_the_bridge(tmp_path: Path) -> None:
    slave = Port("eth1", rx=60_000, tap=False, more={"rx_nohandler": (0, 60_000)})
    below = (
        "drwxr-xr-x 2 0 0 0 Nov 22 20:46 bond0/bonding\n"
        "lrwxrwxrwx 1 0 0 0 Nov 22 20:46 eth1/master -> ../bond0\n"
    )
    ports = (Port("bond0", rx=100_000, tap=False), Port("vnet0", tx=40_000))
    host = bridge(*ports, stacked=below)
    host.devices = [*host.devices, slave.device()]
    assert all(one.subject.kind != "bridge" for one in judged(host, tmp_path).findings)


def test_a_device_stacked_on_a_port_takes_frames_before_the_bridge(tmp_path: Path) -> None:
    vlan = "lrwxrwxrwx 1 0 0 0 Nov 22 20:46 lan0/upper_lan0.7 -> ../lan0.7\n"
    assert judged(bridge(uplink(5000), Port("vnet0", tx=10), stacked=vlan), tmp_path).findings == ()


def test_long_frames_for_a_port_with_a_small_mtu(tmp_path: Path) -> None:
    finding = only(bridge(uplink(5000, size=3042, mtu=9000), Port("vnet0")), tmp_path)
    assert (finding.subject.kind, finding.subject.name) == ("bridge", "br0")
    assert (finding.symptom.counter, finding.symptom.state, finding.symptom.between) == (
        None,
        "silent",
        ("port", "guest"),
    )
    # all 5000 are missing; 74 may wait, 100 may have been for nobody here, some came between the readings
    assert finding.symptom.delta is not None
    assert 4600 < finding.symptom.delta <= 5000 - 74 - 100
    assert (finding.cause.id if finding.cause else None, finding.verdict) == ("bridge-over-mtu", "likely")
    assert finding.harm == "harmful"
    # the silent sites that lie between are its candidates, and none of the guest's transmit path is
    named = {one.rule.id for one in finding.candidates}
    assert named >= {"bridge-filtered", "bridge-port-shut", "tap-queue-shrunk", "tap-reader-lost"}
    assert not named & {"tap-rx-bad-header", "ovs-port-down"}


def test_short_frames_are_not_over_any_mtu(tmp_path: Path) -> None:
    finding = only(bridge(uplink(5000, mtu=9000), Port("vnet0")), tmp_path)
    assert (finding.cause, finding.verdict) == (None, "undetermined")


def test_a_port_that_does_not_forward(tmp_path: Path) -> None:
    host = bridge(uplink(5000), Port("vnet0", state="disabled"))
    host.devices[2].flags, host.devices[2].carrier = ("0x1002", "0x1002"), ("", "")
    finding = only(host, tmp_path)
    assert (finding.cause.id if finding.cause else None, finding.verdict) == ("bridge-port-shut", "likely")


def test_a_ring_that_was_made_shorter(tmp_path: Path) -> None:
    host = bridge(uplink(1000), Port("vnet0", tx=500, slots=(1000, 10)), Port("vnet1"))
    diagnosis = judged(host, tmp_path)
    (finding,) = diagnosis.findings
    assert (finding.cause.id if finding.cause else None, finding.verdict) == ("tap-queue-shrunk", "likely")
    assert ("tap-queue-shrunk-live", "vnet0") in {(one.rule, one.subject) for one in diagnosis.notices}


def test_a_ring_that_was_made_shorter_without_traffic_is_only_told(tmp_path: Path) -> None:
    diagnosis = judged(bridge(uplink(500), Port("vnet0", tx=500, slots=(1000, 10))), tmp_path)
    assert diagnosis.findings == ()
    assert "tap-queue-shrunk-live" in {one.rule for one in diagnosis.notices}


def test_one_snapshot_tells_nothing_of_it(tmp_path: Path) -> None:
    host = bridge(uplink(5000), Port("vnet0"))
    host.snapshots = 1
    host.captures = {path: text for path, text in host.captures.items() if "/1/" not in path}
    assert not [one for one in judged(host, tmp_path).findings if one.symptom.state == "silent"]


def test_a_guest_that_cannot_join_buffers(tmp_path: Path) -> None:
    command = (
        "4711\tqemu-system-x86_64\n4711\t-name guest=web01\n"
        "4711\t-netdev tap,id=hostnet0,ifname=vnet0,vhost=on\n"
        "4711\t-device virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:aa:bb:01,mrg_rxbuf=off\n"
    )
    host = bridge(uplink(5000), Port("vnet0"), Port("vnet1"), captures={"host/0/proc-cmdline": command})
    finding = only(host, tmp_path)
    assert (finding.cause.id if finding.cause else None, finding.verdict) == (
        "guest-rx-buffer-too-small",
        "likely",
    )
