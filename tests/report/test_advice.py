# SPDX-License-Identifier: Apache-2.0
"""What every recorded bundle's findings advise: things that exist, with values, and a check that can tell."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.report import document

KB = load_kb()
TESTS = Path(__file__).resolve().parents[1]
BUNDLES = sorted(
    (
        *TESTS.glob("lab/*bundles/*.tar.gz"),
        *TESTS.glob("facts/recorded/*.tar.gz"),
        *TESTS.glob("data/demo/*.gz"),
    )
)
CAPITALS = re.compile(r"(?<![A-Za-z0-9_$=\"'<{(-])[A-Z][A-Z0-9_]*(?![A-Za-z0-9_}])")
OPTIONS = {"STOP", "CONT"}
BY_VERDICT = {"police_drops"}
"""What moves where an action tells its caller to drop: the caller then counts the packet as its own."""
DEVICE = re.compile(
    r"(?:\bdev\b|\binterface|\bmaster|ethtool -[klgGKL]|/sys/class/net/) ?([a-z][A-Za-z0-9_.-]*)"
)
DOMAIN = re.compile(
    r"\bvirsh (?:edit|dumpxml|schedinfo|vcpupin|emulatorpin|domiftune|domif-setlink|vcpucount) (\S+)"
)


class Told(NamedTuple):
    """A bundle's findings as JSON, its members, and the names of its devices and VMs."""

    findings: list[dict[str, Any]]
    members: frozenset[str]
    devices: frozenset[str]
    vms: frozenset[str]


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def told(request: pytest.FixtureRequest) -> Told:
    """Return what one bundle's report advises."""
    observations = build(read_bundle(request.param), KB)
    source = next(iter(observations.subjects.values()), None)
    tables: Any = getattr(source, "tables", None)
    devices = (
        {name for n in tables.snapshots for name in tables.get("sysfs-net", n) or {}} if tables else set()
    )
    found = document(diagnose(observations, KB, every=True))["findings"]
    bridges = (
        {finding["subject"]["port_of"] for finding in found} if found and "port_of" in found[0] else set()
    )
    ports = {one.subject.port_of for one in observations.observations} | bridges
    vms = {source.subject.vm for source in observations.subjects.values()}
    return Told(
        found,
        frozenset(observations.taken.members),
        frozenset({*devices, *(name for name in ports if name)}),
        frozenset(vm for vm in vms if vm),
    )


def commands(remedy: dict[str, Any]) -> list[str]:
    """Return every line of a remedy that a reader may paste."""
    undo = [remedy["undo"]] if re.match(r"#? ?[a-z-]+ ", remedy["undo"]) else []
    looks = [one["look"] for one in remedy["settings"] if one["present"] is None]
    return [remedy["command"] or "", *remedy["persistent"].values(), *undo, *looks]


def advised(told: Told) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each finding with each of its remedies."""
    return [(finding, remedy) for finding in told.findings for remedy in finding["remedies"]]


def test_each_device_and_vm_of_a_command_is_in_the_bundle(told: Told) -> None:
    for finding, remedy in advised(told):
        lines = [remedy["command"] or "", remedy["undo"], *(one["look"] for one in remedy["settings"])]
        for line in lines:
            inside = re.split(r"# (?:in the guest|at the sender)", line)[0]
            names = {name for name in DEVICE.findall(inside) if name.islower()}
            assert names <= told.devices, (finding["subject"]["name"], remedy["id"], line)
            domains = {name.rstrip(";") for name in DOMAIN.findall(inside)} - {"DOMAIN"}
            assert domains <= told.vms, (remedy["id"], line)


def test_each_word_in_capitals_is_explained_and_nothing_is_left_to_fill(told: Told) -> None:
    for _, remedy in advised(told):
        for line in commands(remedy):
            assert not re.search(r"(?<![A-Z$])\{[a-z]", line), line
            left = set(CAPITALS.findall(line)) - OPTIONS
            left = {
                word
                for word in left
                if word in KB.remedies[remedy["id"]].stands_for or word in {"DOMAIN", "OLD"}
            }
            assert left <= set(remedy["stands_for"]), (remedy["id"], line)
        assert all(meaning for meaning in remedy["stands_for"].values())


def test_each_setting_shows_its_present_value_or_how_to_look(told: Told) -> None:
    for _, remedy in advised(told):
        assert remedy["settings"] or remedy["kind"] != "setting", remedy["id"]
        for one in remedy["settings"]:
            assert one["proposed"]
            assert one["because"]
            assert "unknown" not in one["what"]
            if one["present"] is None:
                assert one["look"]
                assert one["why_unknown"]
            else:
                assert one["captures"]
                assert set(one["captures"]) <= told.members


def test_the_check_names_the_number_that_the_cause_moves(told: Told) -> None:
    """The finding's own counter, which a site of its cause moves; of a silent one the sum that showed it."""
    for finding, remedy in advised(told):
        symptom, check = finding["symptom"], remedy["check"]
        sites = [KB.sites[name] for name in KB.rules[finding["cause"]].sites]
        if symptom["counter"] is not None:
            assert f"{symptom['counter']} of {finding['subject']['name']}" in check, (remedy["id"], check)
            moved = {move.counter.partition(".")[2] for site in sites for move in site.moves}
            assert symptom["counter"] in KB.rules[finding["cause"]].explains, finding["cause"]
            assert not sites or {symptom["counter"].partition(".")[2], *BY_VERDICT} & moved, finding["cause"]
            continue
        assert finding["subject"]["name"] in check
        assert symptom["captures"]
        assert set(symptom["captures"]) <= told.members
        assert all(path.rpartition("/")[2] in check for path in symptom["captures"]), check
        assert "tx_errors" not in check
        assert "silent" in KB.rules[finding["cause"]].explains


def test_a_long_frame_on_a_bridge_is_mended_at_its_small_port() -> None:
    bundle = TESTS / "lab" / "bundles" / "together-own-bridge-over-mtu-6.12.tar.gz"
    found = document(diagnose(build(read_bundle(bundle), KB), KB))["findings"]
    (finding,) = [one for one in found if one["cause"] == "bridge-over-mtu"]
    (remedy,) = finding["remedies"]
    assert remedy["command"] == "ip link set dev vnet0 mtu 9000"
    assert remedy["undo"] == "ip link set dev vnet0 mtu 1500"
    (setting,) = remedy["settings"]
    assert (setting["present"], setting["proposed"]) == ("1500 bytes", "9000 bytes")
    (shrunk,) = [one for one in found if one["cause"] == "tap-queue-shrunk"]
    assert [one["settings"][0]["proposed"] for one in shrunk["remedies"]] == ["1000"]
    (burst,) = [one for one in found if one["subject"]["name"] == "vnet4"]
    assert [(one["id"], one["settings"][0]["present"]) for one in burst["remedies"]] == [
        ("restore-txqueuelen", "10 packets")
    ]


def test_no_command_of_libvirt_is_proposed_where_none_runs_the_vm(told: Told) -> None:
    """Its machines are named as libvirt names them, but it runs them only where it lists them."""
    listed = any(member.endswith("/virsh-domstats") for member in told.members)
    for _, remedy in advised(told) if not listed else ():
        looks = [one["look"] for one in remedy["settings"]]
        assert not any("virsh" in line for line in (remedy["command"] or "", remedy["undo"], *looks))


@pytest.mark.parametrize(
    ("netdev", "listed", "of_libvirt"),
    [
        ("tap,fd=30,id=hostnet0", False, True),
        ("tap,id=hostnet0,ifname=vnet3", False, False),
        ("tap,id=n0,ifname=vnet3", True, True),
        ("tap,id=n0,ifname=vnet3", False, False),
    ],
)
def test_libvirt_is_known_by_its_list_or_by_the_arguments_that_it_gives(
    netdev: str, *, listed: bool, of_libvirt: bool, tmp_path: Path
) -> None:
    arguments = f"-name guest=web01,debug-threads=on\n4711\t-netdev {netdev}"
    captures = {
        "host/0/proc-cmdline": f"4711\t/usr/bin/qemu-system-x86_64\n4711\t{arguments}\n",
        "host/0/tun-fdinfo": "/proc/4711/fdinfo/30:iff:\tvnet3\n",
    }
    if listed:
        captures["host/0/virsh-domstats"] = "Domain: 'web01'\n  state.state=1\n\n"
    host = Host([Device("vnet3", (0, 10), (0, 10))], captures=captures)
    (seen,) = build(read_bundle(host.write(tmp_path)), KB).observations
    assert seen.words.get("domain") == ("web01" if of_libvirt else None)
