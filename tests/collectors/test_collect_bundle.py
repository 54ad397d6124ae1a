# SPDX-License-Identifier: Apache-2.0
"""What a collection holds, on a made-up host that shows every capture and hides secrets in many places."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from collectors.fake_host import (
    QUICK,
    SECRETS,
    STAT_FIELDS_SHOWN,
    TREE,
    Bundle,
    FakeHost,
    Outcome,
    add_interface,
    rich_host,
    sha256,
)

if TYPE_CHECKING:
    from pathlib import Path

ODD_NAMES = (
    "-x",
    'a"b',
    "$(id)",
    "*",
    "back\\sl",
    "bytes\udcff\udcc3",
    "ü",
    "semi;id",
    ".dot",
    "#hash",
    "'",
    "@",
)


@pytest.fixture(scope="session")
def taken(shell: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeHost, Outcome]:
    """Return one collection of everything, with interfaces of odd names."""
    host = rich_host(tmp_path_factory.mktemp("host"))
    for name in ODD_NAMES:
        add_interface(host, name, tap=True)
    narrowed = [word for name in ("vnet3", *ODD_NAMES) for word in ("--device", name)]
    return host, host.run(shell, *QUICK, "--snapshots", "2", *narrowed)


@pytest.fixture(scope="session")
def bundle(taken: tuple[FakeHost, Outcome]) -> Bundle:
    """Return the bundle of that collection."""
    return taken[1].bundle


def test_the_last_line_of_stdout_is_the_path_of_a_private_file(
    taken: tuple[FakeHost, Outcome], bundle: Bundle
) -> None:
    host, outcome = taken

    assert outcome.stdout == f"{bundle.path}\n"
    assert bundle.path.is_absolute()
    assert list(host.out.iterdir()) == [bundle.path]
    assert stat.S_IMODE(bundle.path.stat().st_mode) == 0o600


def test_stderr_ends_with_where_size_sum_and_what_to_do(
    taken: tuple[FakeHost, Outcome], bundle: Bundle
) -> None:
    content = bundle.path.read_bytes()

    assert f"size    {len(content)} bytes" in taken[1].stderr
    assert f"sha256  {sha256(content)}" in taken[1].stderr
    assert f"vnetkb analyze {bundle.path}" in taken[1].stderr
    assert "snapshot 2 of 2" in taken[1].stderr


def test_the_manifest_follows_its_schema(bundle: Bundle) -> None:
    schema = json.loads((TREE / "schemas" / "manifest.schema.json").read_text(encoding="utf-8"))

    jsonschema.Draft202012Validator(schema).validate(bundle.manifest)


def test_the_manifest_names_every_member_with_its_sum(bundle: Bundle) -> None:
    there = {row["path"]: row for row in bundle.manifest["captures"] if row["path"]}

    assert set(there) == set(bundle.members) - {"manifest.json", "collector.log", "REVIEW.txt"}
    for path, row in there.items():
        assert (row["bytes"], row["sha256"]) == (len(bundle.members[path]), sha256(bundle.members[path])), (
            path
        )


def test_the_manifest_tells_host_collector_options_and_times(
    bundle: Bundle, taken: tuple[FakeHost, Outcome]
) -> None:
    manifest = bundle.manifest
    script = TREE / "collectors" / "host" / "vnetkb-collect"

    assert manifest["collector"]["sha256"] == sha256(script.read_bytes())
    assert manifest["boot_id"] == "0f0f0f0f-0000-4000-8000-000000000001"
    assert manifest["options"]["devices"] == ["vnet3", *ODD_NAMES]
    assert manifest["options"]["interval_s"] == 0.1
    assert [row["n"] for row in manifest["snapshots"]] == [0, 1]
    begin, middle = (row["monotonic_s"] for row in manifest["snapshots"])
    assert manifest["start"]["monotonic_s"] <= begin < middle <= manifest["end"]["monotonic_s"]
    assert manifest["wait_for_drop"] is None
    assert taken[0].root.name == "root"


def test_only_captures_that_the_knowledge_base_knows_are_taken(bundle: Bundle) -> None:
    known = yaml.safe_load((TREE / "kb" / "captures" / "host.yaml").read_text(encoding="utf-8"))

    assert {row["id"] for row in bundle.manifest["captures"]} <= {row["id"] for row in known["captures"]}


def test_interfaces_of_any_name_are_read(bundle: Bundle) -> None:
    for snapshot in (0, 1):
        lines = bundle.text("sysfs-net", snapshot).splitlines()
        for name in (*ODD_NAMES, "vnet3", "br0"):
            assert f"{name}/statistics/tx_dropped:5" in lines
            assert f"{name}/mtu:1500" in lines
            assert f"{name}/queues/tx-0" in bundle.text("sysfs-net-links", snapshot)
    assert "vnet3/master -> ../br0" in bundle.text("sysfs-net-links")


def test_names_are_never_evaluated(taken: tuple[FakeHost, Outcome]) -> None:
    assert taken[0].called("id") == []
    assert {"@ vnet3 ingress", "@ vnet3 root"} == {
        line for line in taken[1].bundle.text("tc-filter").splitlines() if line.startswith("@")
    }


def test_tc_and_ethtool_answers_are_told_apart_by_interface(bundle: Bundle) -> None:
    assert bundle.text("tc-class") == "@ vnet3 root\nclass htb 1:1 root\n Sent 5 bytes\n\n"
    assert bundle.text("tc-filter") == "@ vnet3 root\nfilter protocol all\n@ vnet3 ingress\n"
    assert bundle.text("ethtool-i") == "@ eth0\ndriver: virtio_net\n"
    assert bundle.text("ethtool-l") == ""


def test_who_owns_a_tap(bundle: Bundle) -> None:
    files = bundle.text("proc-fd").splitlines()

    assert [line.partition("/proc/")[2] for line in files] == [
        "4711/fd/25 -> /dev/net/tun",
        "4711/fd/26 -> /dev/vhost-net",
        "4800/fd/7 -> /dev/net/tun",
    ]
    assert "4711/fdinfo/25:iff:\tvnet3\n" in bundle.text("tun-fdinfo")
    assert "4800/fdinfo/7:iff:\t\n" in bundle.text("tun-fdinfo")
    assert "/proc/self/ns/net -> net:[4026531840]" in bundle.text("proc-ns")
    assert "/proc/4711/ns/net -> net:[4026531840]" in bundle.text("proc-ns")


def test_device_narrows_to_its_owner_and_workers(bundle: Bundle) -> None:
    tasks = {line.split("/task/")[1].split("/")[0] for line in bundle.text("task-schedstat").splitlines()}

    assert tasks == {"4711", "4712", "4713", "900"}


def test_threads_cgroups_and_their_parents(bundle: Bundle) -> None:
    limits = bundle.text("cgroup-cpu")

    assert "/machine.slice/machine-qemu\\x2d1\\x2dweb01.scope/cpu.max:50000 100000\n" in limits
    assert "/machine.slice/cpu.max:max 100000\n" in limits
    assert "4712/cgroup:0::/machine.slice" in bundle.text("task-cgroup")
    assert "systemd" not in bundle.text("task-cgroup")
    assert "4712/status:State:\tT (stopped)\n" in bundle.text("proc-status")
    assert "Uid" not in bundle.text("proc-status")
    assert "4712/wchan:kvm_vcpu_block" in bundle.text("task-wchan")


def test_of_qemu_only_chosen_arguments_are_kept(bundle: Bundle) -> None:
    assert bundle.text("proc-cmdline").splitlines() == [
        "4711\t/usr/bin/qemu-system-x86_64",
        "4711\t-name guest=web01,debug-threads=on",
        "4711\t-smp 2,sockets=2",
        "4711\t-netdev tap,fd=25,id=hostnet0,vhost=on,vhostfd=26",
        "4711\t-device virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:aa:bb:01",
        '4711\t-netdev {"type":"tap","fd":"27","id":"hostnet1"}',
        '4711\t-device {"driver":"virtio-net-pci","netdev":"hostnet1","mac":"52:54:00:aa:bb:02"}',
        "4711\t-nic none",
    ]


def test_no_secret_and_no_address_of_memory_is_taken(bundle: Bundle) -> None:
    for name, content in bundle.members.items():
        for secret in SECRETS:
            assert secret.encode() not in content, f"{secret} in {name}"
    for line in bundle.text("task-stat").splitlines():
        assert line.endswith(STAT_FIELDS_SHOWN)


def test_virsh_is_read_only_and_asked_as_little_as_possible(
    taken: tuple[FakeHost, Outcome], bundle: Bundle
) -> None:
    calls = [call for call in taken[0].called("virsh") if call != "--version"]
    xml = bundle.text("virsh-dumpxml")

    assert all(call.startswith("-r -c qemu:///system ") for call in calls)
    assert len([call for call in calls if "dumpxml" in call]) == 1
    assert not any("security-info" in call or "--vcpu" in call for call in calls)
    assert "<target dev='vnet3'/>" in xml
    assert xml.startswith("<domain type='kvm' id='1'>")
    assert xml.rstrip().endswith("</domain>")
    assert "echo @ 11111111-2222-3333-4444-555555555555; domiflist" in bundle.text("virsh-domiflist")


def test_keys_of_tunnels_are_cut_out_of_valid_json(bundle: Bundle) -> None:
    table = json.loads(bundle.text("ovs-interface", 1))

    assert table["data"][1][1] == ["map", [["psk", "(cut out)"], ["remote_ip", "192.0.2.1"]]]


def test_of_the_kernel_log_only_what_matters(bundle: Bundle) -> None:
    assert bundle.text("kernel-log") == "[    1.0] vnet3: entered promiscuous mode\n"


def samples(text: str) -> list[list[str]]:
    """Return the words of the sample lines."""
    return [line.split() for line in text.splitlines() if line.startswith("@ ")]


def test_the_series_brackets_the_snapshots(bundle: Bundle) -> None:
    manifest = bundle.manifest
    marks = [
        samples(bundle.text(kind, None))
        for kind in ("proc-net-dev", "softnet-stat", "proc-stat", "task-schedstat")
    ]

    assert marks.count(marks[0]) == len(marks)
    assert [int(mark[1]) for mark in marks[0]] == list(range(manifest["series"]["samples"]))
    times = [float(mark[2]) for mark in marks[0]]
    assert times == sorted(times)
    assert times[0] <= manifest["snapshots"][0]["monotonic_s"]
    assert times[-1] >= manifest["snapshots"][-1]["end_monotonic_s"]


def test_a_sample_is_the_raw_file(bundle: Bundle, taken: tuple[FakeHost, Outcome]) -> None:
    head, _, rest = bundle.text("proc-net-dev", None).partition("\n")
    raw = (taken[0].root / "proc/net/dev").read_text(encoding="ascii")

    assert head.startswith("@ 0 ")
    assert rest.startswith(raw)
    assert "intr" not in bundle.text("proc-stat", None)
    assert "intr 5 6 7" in bundle.text("proc-stat")
    sampled = {
        line.split("/task/")[1].split("/")[0]
        for line in bundle.text("task-schedstat", None).splitlines()
        if "/task/" in line
    }
    assert sampled == {"4711", "4712", "900"}


def test_what_was_not_asked_for_or_cannot_be_is_said(bundle: Bundle) -> None:
    assert bundle.capture("trace", None)["absent"]["reason"] == "not-asked"
    assert bundle.capture("trace-features")["absent"]["reason"] == "not-found"


def test_without_options_all_taps_are_taken(host: FakeHost, shell: list[str], tmp_path: Path) -> None:
    found = host.run(shell, *QUICK, "--snapshots", "1", "--quiet")

    tasks = {
        line.split("/task/")[1].split("/")[0] for line in found.bundle.text("task-schedstat").splitlines()
    }
    assert tasks == {"4711", "4712", "4713", "900", "4800"}
    assert found.stderr == ("" if found.bundle.manifest["root"] else found.stderr)
    assert found.bundle.text("ethtool-i") == "@ eth0\ndriver: virtio_net\n@ br0\ndriver: virtio_net\n"
    assert [path.name for path in tmp_path.glob("out/*")] == [found.bundle.path.name]
