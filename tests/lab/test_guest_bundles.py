# SPDX-License-Identifier: Apache-2.0
"""Recorded bundles of a real guest that was asked through its agent, analyzed again.

guest-bundles/README.md says how they were made; guests.py, which makes them, is not run here.
"""

from pathlib import Path
from typing import Any

import pytest

import bundles
import guests
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.facts.guests import Guest
from vnetkb.facts.tables import Tables
from vnetkb.facts.topology import Topology
from vnetkb.kb.load import load_kb

RECORDED = sorted(guests.BUNDLES.glob("*.tar.gz"))
ANSWERED = [path for path in RECORDED if guests.SCENARIOS[path.name.rpartition("-")[0]].answers == "yes"]
HEARD = [path for path in RECORDED if guests.SCENARIOS[path.name.rpartition("-")[0]].answers != "no"]
RINGS = [path for path in RECORDED if guests.SCENARIOS[path.name.rpartition("-")[0]].wanted is guests.RING]
LOSING = [
    path
    for path in RECORDED
    if path.name.rpartition("-")[0] in {"socket-full", "no-listener", "foreign-mac"}
    and path.name != "foreign-mac-5.10.tar.gz"
]
"""Causes inside the guest; 5.10 counts nothing of frames for another machine."""
SIZE_LIMIT = 250_000
VM = "maskedvm1"


def scenario(bundle: Path) -> str:
    return bundle.name.rpartition("-")[0]


def kernel_of(bundle: Path) -> str:
    return bundle.name.removesuffix(".tar.gz").rpartition("-")[2]


@pytest.fixture(params=RECORDED, ids=scenario)
def bundle(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def observed(bundle: Path) -> Any:  # noqa: ANN401 - whatever the facts room returns
    return build(read_bundle(bundle), load_kb())


def test_the_cause_that_was_made_is_the_one_that_is_named(bundle: Path) -> None:
    said, right = guests.judge(bundle, guests.SCENARIOS[scenario(bundle)], kernel_of(bundle))

    assert right, said


@pytest.mark.parametrize("path", LOSING, ids=lambda path: path.name.removesuffix(".tar.gz"))
def test_a_trace_of_the_host_does_not_change_what_the_guest_tells(path: Path, tmp_path: Path) -> None:
    plain = bundles.rewrite(path, tmp_path / path.name, drop_captures=["trace"])

    said, right = guests.judge(plain, guests.SCENARIOS[scenario(path)], kernel_of(path))

    assert right, said
    assert said == guests.judge(path, guests.SCENARIOS[scenario(path)], kernel_of(path))[0]


@pytest.mark.parametrize("path", LOSING, ids=lambda path: path.name.removesuffix(".tar.gz"))
def test_of_one_snapshot_nothing_is_confirmed(path: Path, tmp_path: Path) -> None:
    once = bundles.rewrite(path, tmp_path / path.name, keep_snapshots=[0])
    report = diagnose(build(read_bundle(once), load_kb()), load_kb())

    assert diagnose(build(read_bundle(path), load_kb()), load_kb()).findings
    assert [
        one for one in report.findings if one.symptom.state != "unknown" or one.verdict == "confirmed"
    ] == []


@pytest.mark.parametrize("path", HEARD, ids=scenario)
def test_the_guests_nic_is_joined_to_its_port(path: Path) -> None:
    tables = Tables(read_bundle(path))
    guest = Guest(VM, Topology(tables))

    assert guest.nics == {"eth0": guests.TAP}
    assert guest.system == "linux"
    assert guest.rebooted is False


@pytest.mark.parametrize("path", ANSWERED, ids=scenario)
def test_the_guests_samples_lie_between_the_hosts_snapshots(path: Path) -> None:
    read = read_bundle(path)
    first, last = read.manifest.snapshots
    capture = read.capture("guest-clock", 1, f"guest:{VM}")

    assert capture is not None
    assert capture.start_monotonic_s is not None
    assert capture.duration_s is not None
    assert first.monotonic_s <= capture.start_monotonic_s
    assert capture.start_monotonic_s + capture.duration_s <= last.monotonic_s


@pytest.mark.parametrize("path", RINGS, ids=scenario)
def test_a_full_ring_moves_no_drop_counter_of_the_guest(path: Path) -> None:
    tap = observed(path).subjects["tap", guests.TAP]

    assert tap.counted("tx_dropped").delta > 0
    if path not in HEARD:
        return
    assert tap.fact("guest.drops_moved").value == 0
    assert tap.fact("guest.nic_up").value is True


def test_qemus_own_indices_show_that_the_guest_does_not_refill() -> None:
    """Asked with --rings: of the buffers that a NIC had posted when it was switched off none is left."""
    observations = observed(guests.BUNDLES / "no-refill-6.1.tar.gz")
    fact = observations.subjects["tap", guests.TAP].fact("ring.avail")
    (finding,) = [f for f in diagnose(observations, load_kb()).findings if f.symptom.state == "rising"]
    (rule,) = [one for one in finding.candidates if one.rule.id == "tap-ring-guest-not-refilling"]

    assert fact.ends == (0, 0)
    assert rule.status.value == "likely"
    assert ("ring.avail", 0) in [(one.fact, one.value) for one in rule.evidence]
    assert (finding.verdict, finding.cause.id if finding.cause else None) == ("likely", "guest-link-down")


@pytest.mark.parametrize("path", [path for path in RECORDED if path.name.startswith("libvirt")], ids=scenario)
def test_libvirt_shows_the_port_from_the_guests_side(path: Path) -> None:
    tap = observed(path).subjects["tap", guests.TAP]
    views = {w.name: w for w in tap.witnesses("tx_packets", tap.counted("tx_packets"), 100.0)}

    assert views["virsh domifstat rx_packets"].agrees is True
    assert views["virsh domifstat rx_packets"].value <= tap.counted("tx_packets").delta


@pytest.mark.parametrize("path", sorted(set(RECORDED) - set(HEARD)), ids=scenario)
def test_a_guest_that_hangs_costs_its_time_and_nothing_else(path: Path) -> None:
    read = read_bundle(path)
    asked = read.capture("agent-info", 0, f"guest:{VM}")
    lost = [c for c in read.manifest.captures if c.scope == "host" and c.absent is not None]

    assert asked is not None
    assert asked.absent is not None
    assert asked.absent.reason in ("failed", "timed-out")
    assert not [c.id for c in lost if c.absent is not None and c.absent.reason == "timed-out"]
    assert len(read.manifest.snapshots) == 2


def test_the_bundle_is_small_and_names_nobody(bundle: Path) -> None:
    read = read_bundle(bundle)

    assert bundle.stat().st_size < SIZE_LIMIT
    assert read.manifest.host == "maskedhost1"
    # libvirt's answer on its version waits for a QEMU that this slow machine has to start first
    assert not [one.text for one in read.notices if one.member != "host/0/libvirt-version"]


@pytest.mark.parametrize("path", [path for path in RINGS if path in HEARD], ids=scenario)
def test_a_guest_that_counts_no_drop_beside_a_port_that_does_is_said_to_acquit_nobody(path: Path) -> None:
    found = diagnose(observed(path), load_kb())
    said = [notice for notice in found.notices if notice.rule == "guest-full-ring-unseen"]

    assert [(notice.level, notice.subject) for notice in said] == [("warning", guests.TAP)]
    assert "acquits nobody" in said[0].text
