# SPDX-License-Identifier: Apache-2.0
"""Where a guest's numbers come from: the agent alone, witnesses that disagree, settings that decide."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from guest_files import FDINFO, OWN, QEMU, WRITTEN, analyzed, container, sysfs, windows, windows_files
from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.bundle.guest_file import with_guest
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.facts.path import path_of
from vnetkb.kb.load import load_kb
from vnetkb.report.as_text import render_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vnetkb.diagnosis import Diagnosis
    from vnetkb.diagnosis.model import Finding

TEXT = (WRITTEN.parent / "windows" / "win-netstat-e.en.utf8").read_text(encoding="utf-8")
STACK = (WRITTEN.parent / "windows" / "win-netstat-s.en.oem").read_bytes().decode("ascii")
LOOPBACK = "Loopback Pseudo-Interface 1"
LOSING = Device("vnet3", tx_dropped=(5, 900), tx_packets=(100, 200))


def agent(n: int, *, dropped: int = 0, name: str = "以太网", loopback: str = LOOPBACK) -> str:
    """Return the agent's answer in sample `n`: 20 packets more each time, and what it discarded."""
    moved = {"rx-packets": 100 + 20 * n, "rx-dropped": 10 + dropped * n, "tx-packets": 5, "tx-dropped": 0}
    counted = {"rx-bytes": 1, "tx-bytes": 1, "rx-errs": 0, "tx-errs": 0} | moved
    nic = {"name": name, "hardware-address": OWN, "ip-addresses": [], "statistics": counted}
    return json.dumps({"return": [nic, {"name": loopback, "ip-addresses": []}]}) + "\n"


WINDOWS = json.dumps({"return": {"id": "mswindows", "name": "Microsoft Windows"}}) + "\n"
ONE_VM = {"host/0/proc-cmdline": QEMU, "host/0/tun-fdinfo": FDINFO}


def by_agent(folder: Path, more: Mapping[str, str], port: Device | None = None) -> tuple[Diagnosis, Any]:
    """Diagnose a VM of which only the agent told something."""
    kb = load_kb()
    captures = ONE_VM | {f"guest:web01/{place}": text for place, text in more.items()}
    host = Host([port or Device("vnet3")], captures=captures)
    observations = build(read_bundle(host.write(folder)), kb)
    return diagnose(observations, kb), observations


def rising(found: Diagnosis) -> list[Finding]:
    return [finding for finding in found.findings if finding.symptom.state == "rising"]


@pytest.mark.parametrize("osinfo", [{"0/agent-osinfo": WINDOWS}, {}], ids=["osinfo", "by-its-loopback"])
def test_a_windows_of_which_only_the_agent_tells_is_no_linux(tmp_path: Path, osinfo: dict[str, str]) -> None:
    answers = {"0/agent-interfaces": agent(0), "1/agent-interfaces": agent(1, dropped=40)} | osinfo
    found, observations = by_agent(tmp_path, answers)
    (finding,) = rising(found)
    tap = observations.subjects["tap", "vnet3"]
    asked = {capture for one in finding.candidates for capture in one.missing}

    assert (finding.subject.kind, finding.subject.name) == ("windows_adapter", "web01 以太网")
    assert (finding.symptom.counter, finding.symptom.delta) == ("windows_adapter.received_discarded", 40)
    assert {candidate.rule.id for candidate in finding.candidates} >= {"guest-netkvm-filtered"}
    assert not [kind for kind, _ in observations.subjects if kind.startswith("guest_")]
    assert not {capture for capture in asked if capture.startswith("guest-")}
    assert "virtio_net" not in render_text(found, every=True)
    assert (tap.fact("guest.system").value, tap.fact("guest.drops_moved").value) == ("windows", 40)
    # the agent tells unicast only, so what share was lost is not known
    assert finding.symptom.ratio is None


def test_a_losing_port_of_such_a_windows_shows_its_numbers_on_the_path(tmp_path: Path) -> None:
    answers = {f"{n}/agent-interfaces": agent(n) for n in (0, 1)} | {"0/agent-osinfo": WINDOWS}
    found, observations = by_agent(tmp_path, answers, LOSING)
    (finding,) = rising(found)
    statuses = {candidate.rule.id: candidate.status.value for candidate in finding.candidates}
    symptom = next(one for one in observations.observations if one.subject.name == "vnet3").facts
    drawn = path_of(symptom)

    assert statuses["guest-netkvm-buffers"] != "ruled-out"
    assert "not-refilling" in str(statuses)
    assert drawn is not None
    counts = {one.counter: one.value for one in drawn.points[-1].counts}
    assert counts["windows_adapter.received_unicast_packets"] == 20
    assert counts["windows_adapter.received_discarded"] == 0
    assert counts["windows_adapter.received_nonunicast_packets"] is None
    assert not [counter for counter in counts if counter.startswith("virtio_net")]


def test_a_linux_by_its_agent_stays_one(tmp_path: Path) -> None:
    answers = {f"{n}/agent-interfaces": agent(n, dropped=40, name="eth0", loopback="lo") for n in (0, 1)}
    found, _ = by_agent(tmp_path, answers)
    (finding,) = rising(found)

    assert finding.symptom.counter == "virtio_net.rx_dropped"


def test_software_adapters_that_only_the_agent_names_are_no_cards(tmp_path: Path) -> None:
    answer = json.loads(agent(0))
    for name in ("vEthernet (nat)", "Ethernet 2"):
        answer["return"].append({"name": name, "hardware-address": f"52:54:00:00:00:{len(name):02x}"})
    answers = {f"{n}/agent-interfaces": json.dumps(answer) for n in (0, 1)} | {"0/agent-osinfo": WINDOWS}
    _, observations = by_agent(tmp_path, answers)
    named = [one.subject for one in observations.notices if "no port" in one.text]

    assert named == ["web01 Ethernet 2"]


# --------------------------------------------------------------------------------- the second witness


def files(discards: int = 40, text: str = TEXT, after: str = TEXT, stack: str = STACK) -> dict[str, str]:
    """Return a Windows with both witnesses; .NET's discards rise by so many, the texts are as given."""
    made = windows_files(27100, discards=discards)
    made["1/win-clock"] = made["1/win-clock"].replace(":00Z", ":06Z")
    made |= {
        "0/win-netstat-e": text,
        "1/win-netstat-e": after,
        "0/win-netstat-s": STACK,
        "1/win-netstat-s": stack,
    }
    return made | {"manifest.kv": "system=windows\ninterval=5\n"}


def said(observations: Any, subject: str) -> list[str]:  # noqa: ANN401 - what build returns
    return [one.text for one in observations.notices if one.subject.startswith(subject)]


RISEN = TEXT.replace(" 37 ", " 77 ")


@pytest.mark.parametrize(
    ("capture", "damaged"),
    [
        ("win-netstat-e", TEXT[: TEXT.index("Errors")]),
        ("win-netstat-e", TEXT.replace("Discards", "Discards\n")),
        ("win-netstat-s", STACK[: STACK.index("UDP Statistics")].rstrip("\r\n ")[:-8]),
        ("win-netsh-subinterfaces", "no such command\n"),
    ],
)
def test_a_damaged_second_witness_beside_a_good_first_is_named(
    tmp_path: Path, capture: str, damaged: str
) -> None:
    found, observations = analyzed(tmp_path, files(after=RISEN) | {f"1/{capture}": damaged})
    (finding,) = rising(found)
    (text,) = said(observations, f"guest/web01/1/{capture}")

    assert "layout is not known" in text
    assert finding.symptom.delta == 40


def test_witnesses_that_agree_stand_beside_the_number(tmp_path: Path) -> None:
    found, observations = analyzed(tmp_path, files(after=RISEN))
    (finding,) = rising(found)
    (witness,) = finding.witnesses

    assert (witness.name, witness.value, witness.agrees) == (
        "netstat -e Received Discards, all adapters",
        40,
        True,
    )
    assert said(observations, "web01 ") == []


@pytest.mark.parametrize(("discards", "after"), [(40, TEXT), (0, RISEN)], ids=["only-net", "only-netstat"])
def test_witnesses_that_disagree_are_named_whichever_moved(tmp_path: Path, discards: int, after: str) -> None:
    _, observations = analyzed(tmp_path, files(discards, after=after))
    (text,) = said(observations, "web01 ")

    assert "netstat -e Received Discards" in text
    assert f"moved by {40 - discards}," in text
    assert f"win-counters by {discards}:" in text


def test_the_sockets_witnesses_are_compared_as_well(tmp_path: Path) -> None:
    _, observations = analyzed(tmp_path, files(0, stack=STACK.replace("= 902", "= 907")))
    (text,) = said(observations, "web01 UDP")

    assert text.startswith("netstat -s UDP Receive Errors moved by 5,")


def test_where_the_times_are_not_told_nothing_is_held_against_a_witness(tmp_path: Path) -> None:
    found, observations = analyzed(tmp_path, files() | {"manifest.kv": "system=windows\n"})
    (finding,) = rising(found)

    assert [one.agrees for one in finding.witnesses] == [None]
    assert said(observations, "web01 ") == []


@pytest.mark.parametrize(("moved", "agrees"), [(12, False), (7, True)])
def test_witnesses_inside_a_linux_guest(tmp_path: Path, moved: int, agrees: bool) -> None:  # noqa: FBT001 - a case
    made = sysfs(eth0=(2, 2000, OWN)) | {"manifest.kv": "system=linux\ninterval=8\n"}
    heading = "Iface MTU RX-OK RX-ERR RX-DRP RX-OVR TX-OK TX-ERR TX-DRP TX-OVR Flg\n"
    for n in (0, 1):
        made[f"{n}/guest-netstat-i"] = (
            f"Kernel Interface table\n{heading}eth0 1500 9 0 {3 + moved * n} 0 1 0 0 0 BMRU\n"
        )
    found, observations = analyzed(tmp_path, made)
    (finding,) = rising(found)

    assert [(one.name, one.value, one.agrees) for one in finding.witnesses] == [
        ("netstat -i RX-DRP", moved, agrees)
    ]
    assert len(said(observations, "web01 eth0")) == (not agrees)


# --------------------------------------------------------------------------------- settings that decide


def steered(cpus: str, flows: str | None, entries: str | None, dropped: int = 7) -> dict[str, str]:
    """Return a Linux guest whose backlog refused as many packets as its NIC lost, and how it steers."""
    made = sysfs(eth0=(2, 2000, OWN))
    for n in (0, 1):
        made[f"{n}/guest-sysfs-net"] += f"eth0/queues/rx-0/rps_cpus:{cpus}\n" if cpus else ""
        made[f"{n}/guest-sysfs-net"] += f"eth0/queues/rx-0/rps_flow_cnt:{flows}\n" if flows else ""
        words = ["0000ffff", f"{dropped * n:08x}", *["00000000"] * 10, "00000000"]
        made[f"{n}/guest-softnet-stat"] = " ".join(words) + "\n"
    if entries is not None:
        made["0/guest-sysctl-net"] = f"net/core/rps_sock_flow_entries:{entries}\n"
    return made


@pytest.mark.parametrize(
    ("settings", "value", "status"),
    [
        (("00000003", "0", "0"), True, "likely"),
        (("0", "0", None), False, "open"),
        (("00000000,00000000", None, "0"), False, "open"),
        (("0", "1024", "32768"), None, "likely"),
        (("0", None, None), None, "likely"),
        (("", None, "0"), None, "likely"),
    ],
)
def test_a_full_backlog_is_the_nics_where_its_packets_are_steered(
    tmp_path: Path, settings: tuple[str, str | None, str | None], value: object, status: str
) -> None:
    found, observations = analyzed(tmp_path, steered(*settings))
    (finding,) = rising(found)
    statuses = {one.rule.id: one.status.value for one in finding.candidates}

    fact = observations.subjects["guest_nic", "web01 eth0"].fact("guest.packet_steering")
    assert fact.value is value
    assert statuses["guest-softnet-backlog"] == status


@pytest.mark.parametrize(("lazy", "value"), [((-1, -1), True), ((-1, 900), False), ((900, 900), False)])
def test_a_driver_that_is_still_making_buffers_has_a_short_ring(
    tmp_path: Path, lazy: tuple[int, int], value: object
) -> None:
    made = windows_files(27100, min_free=16)
    for n in (0, 1):
        sample = json.loads(windows(min_free=16))
        sample["Classes"]["NetKvm_Config"][0]["LazyAllocTimeMs"] = lazy[n] % 2**32
        made[f"{n}/win-counters"] = json.dumps(sample)
    found, observations = analyzed(tmp_path, made, LOSING)
    (finding,) = rising(found)
    statuses = {one.rule.id: one.status.value for one in finding.candidates}

    assert observations.subjects["tap", "vnet3"].fact("guest.netkvm_filling").value is value
    assert statuses["guest-netkvm-buffers"] == ("likely" if value else "open")


# --------------------------------------------------------------------------------- what was not taken


@pytest.mark.parametrize(
    ("files_of", "row", "said_of", "level"),
    [
        ({}, ("agent-info", "timed-out", "no output within 5 s"), "nothing was taken", "warning"),
        ({}, ("agent-info", "failed", "error: QEMU guest agent is not configured"), "nothing was", "warning"),
        (
            {f"{n}/agent-interfaces": agent(n) for n in (0, 1)},
            ("agent-exec", "not-supported", "the agent does not allow guest-exec"),
            "only what its agent counts",
            "warning",
        ),
        (
            sysfs(eth0=(2, 2000, OWN)),
            ("guest-manifest", "failed", "the agent cut it at its own limit (out-truncated)"),
            "is not whole",
            "warning",
        ),
    ],
    ids=["hangs", "no-channel", "blocked", "cut"],
)
def test_what_a_guest_did_not_give_is_told_with_what_to_do(
    tmp_path: Path, files_of: dict[str, str], row: tuple[str, str, str], said_of: str, level: str
) -> None:
    captures = ONE_VM | {f"guest:web01/{place}": text for place, text in files_of.items() if place[1] == "/"}
    host = Host([Device("vnet3")], captures=captures, absences={f"guest:web01/0/{row[0]}": row[1:]})
    observations = build(read_bundle(host.write(tmp_path)), load_kb())
    (told,) = [one for one in observations.notices if row[2] in one.text]

    assert (told.subject, told.level) == ("web01", level)
    assert said_of in told.text
    assert "vnetkb analyze --guest web01=FILE" in told.text


@pytest.mark.parametrize(("day", "joined"), [("22T13:45", True), ("20T13:45", False)])
def test_a_file_taken_by_hand_where_the_agent_refused(tmp_path: Path, day: str, joined: bool) -> None:  # noqa: FBT001
    answers = {f"guest:web01/{n}/agent-interfaces": agent(n, name="eth0", loopback="lo") for n in (0, 1)}
    refused = {"guest:web01/0/agent-exec": ("not-supported", "the agent does not allow guest-exec")}
    taken = {place: (1001.0 + 8 * int(place[12]), 0.1) for place in answers}
    host = Host([LOSING], captures=ONE_VM | answers, absences=refused, taken=taken)
    made = sysfs(eth0=(2, 2000, OWN))
    for n in (0, 1):
        made[f"{n}/guest-clock"] += f"wall 2026-11-{day}:0{2 + 6 * n}Z\n"
    file = tmp_path / "guest.txt"
    file.write_text(container(made), encoding="utf-8")
    observations = build(with_guest(read_bundle(host.write(tmp_path)), "web01", file), load_kb())
    drops = observations.subjects["tap", "vnet3"].fact("guest.drops_moved")

    # what was advised has been done
    assert not [text for text in said(observations, "web01") if "by hand" in text]
    assert drops.value == (7 if joined else None)
    assert any(" earlier than the host's" in text for text in said(observations, "web01")) != joined


def test_what_is_advised_for_windows_is_no_linux_command(tmp_path: Path) -> None:
    made = windows_files(26200, discards=40, errors=500)
    sample = json.loads(made["1/win-counters"])
    sample["Protocols"]["UdpIPv4"]["IncomingDatagramsDiscarded"] += 30
    sample["Interfaces"][0]["IPv4Statistics"]["IncomingUnknownProtocolPackets"] += 20
    found, _ = analyzed(tmp_path, made | {"1/win-counters": json.dumps(sample)})
    told = {finding.cause.id: finding for finding in rising(found) if finding.cause}
    advised = " ".join(f"{one.text} {one.command}" for each in told.values() for one in each.remedies)

    assert {"guest-socket-full", "guest-netkvm-discarded", "guest-no-listener"} <= set(told)
    assert [finding.sites for finding in told.values()] == [()] * len(told)
    assert all(finding.remedies for finding in told.values())
    assert not [word for word in ("ip link", "sysctl", "ss -", "kernel log", "XDP") if word in advised]


def test_the_setting_of_netkvm_goes_by_its_name_in_the_registry(tmp_path: Path) -> None:
    found, _ = analyzed(tmp_path, windows_files(27100, min_free=0), LOSING)
    (finding,) = rising(found)
    commands = [one.command or "" for one in finding.remedies]

    assert finding.cause is not None
    assert finding.cause.id == "guest-netkvm-buffers"
    # Init.MaxRxBuffers is what Windows shows; NetKVM's .inf file keeps it as RxCapacity
    assert any("-RegistryKeyword RxCapacity -RegistryValue" in command for command in commands)


def test_one_port_is_named_once_in_what_to_collect_next(tmp_path: Path) -> None:
    answers = {f"{n}/agent-interfaces": agent(n, dropped=40 * n, name="eth0", loopback="lo") for n in (0, 1)}
    found, _ = by_agent(tmp_path, answers, LOSING)
    (step,) = found.next_steps

    assert len(step.would_decide) > 1
    assert "vnet3, vnet3" not in render_text(found)


def test_a_boot_between_the_samples_is_told_without_being_asked_for(tmp_path: Path) -> None:
    made = sysfs(eth0=(2, 2000, OWN))
    made["1/guest-clock"] = made["1/guest-clock"].replace("0000001", "0000002")
    found, _ = analyzed(tmp_path, made)

    assert "the guest booted between its samples" in " ".join(render_text(found).split())
