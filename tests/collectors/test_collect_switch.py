# SPDX-License-Identifier: Apache-2.0
"""What is asked of Open vSwitch and of Linux bridges, how it is bounded, and what is left out."""

from __future__ import annotations

import json
import os
import shlex
import socket
from typing import TYPE_CHECKING

import pytest

from collectors.fake_host import QUICK, FakeHost, Outcome, add_process, rich_host

if TYPE_CHECKING:
    from pathlib import Path

OPENFLOW = ",".join(f"OpenFlow{version}" for version in range(10, 16))
MEMORY = "handlers:1 ports:3 rules:{rules} udpif keys:12"
DATAPATH = """system@ovs-system:
  lookups: hit:1 missed:2 lost:3
  flows: {flows}
  port 0: ovs-system (internal)
"""
SHOW = 'Bridge br0\n  Port gre0\n    options: {psk="sword\\"fish, swordfish", remote_ip="192.0.2.1"}\n'
LOG = """2026-11-22T10:00:00.000Z|00001|vlog|INFO|opened log file
2026-11-22T10:00:01.000Z|00002|rconn|WARN|br0<->tcp:192.0.2.77:6653: connection dropped
2026-11-22T10:00:02.000Z|00003|dpif(handler1)|WARN|system@ovs-system: recv failed (No buffer space available)
2026-11-22T10:00:03.000Z|00004|bond|INFO|interface eth1: link state down
2026-11-22T10:00:04.000Z|00005|stream_ssl(x)|ERR|private_key hunter2
"""
FDB = """33:33:00:00:00:01 dev tap0 self permanent
52:54:00:aa:bb:01 dev tap0 used 3/1 master br0 
52:54:00:aa:bb:02 dev tap0 used 3/1 master br0 permanent
52:54:00:aa:bb:03 dev va vlan 5 used 9/2 master br0 
"""  # noqa: W291  # as bridge prints it
ASKED = {
    "ovs-datapath", "ovs-coverage", "ovs-upcall", "ovs-memory", "ovs-fdb-stats", "ovs-datapath-flows",
    "ovs-dump-ports", "ovs-dump-flows", "ovs-meter-stats", "ovs-bond", "ovs-dpif",
}  # fmt: skip


def listen(path: Path) -> None:
    """Make a socket in the file system; its path may be longer than a socket's address can be."""
    folder = os.open(path.parent, os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def add_switch(host: FakeHost, *, rules: int = 7, flows: int = 5, bridges: str = "br0\nbr-int\n") -> None:
    """Add an ovs-vswitchd with its socket, its log and the tools that ask it."""
    add_process(host, 802, "ovs-vswitchd", ("ovs-vswitchd",), threads={802: "ovs-vswitchd", 803: "handler1"})
    run = host.root / "var/run/openvswitch"
    run.mkdir(parents=True)
    listen(run / "ovs-vswitchd.7.ctl")
    host.file("var/log/openvswitch/ovs-vswitchd.log", LOG)
    names = shlex.quote(bridges)
    host.command(
        "ovs-appctl",
        f"""case "$*" in
        *ofproto/list) printf %s {names} ;;
        *memory/show) echo {MEMORY.format(rules=rules)} ;;
        *dpctl/show*) printf %s {shlex.quote(DATAPATH.format(flows=flows))} ;;
        *dump-dps) echo system@ovs-system ;;
        *dpif/show) echo "gre0 1/1: (gre: psk=swordfish, remote_ip=192.0.2.1)" ;;
        *) echo "answer to $3 $4 $5" ;; esac""",
    )
    host.command("ovs-ofctl", 'echo "answer $*"')
    host.command("bridge", f"""case "$*" in *fdb*) printf %s {shlex.quote(FDB)} ;; *) echo '[]' ;; esac""")
    host.file("proc/net/stat/nf_conntrack", "entries  drop\n00000005  00000000\n")
    body = (host.bin / "ovs-vsctl").read_text(encoding="ascii")
    show = f'case "$*" in *show) printf %s {shlex.quote(SHOW)}; exit ;; esac\n'
    (host.bin / "ovs-vsctl").write_text(
        body.replace("case", show + "case", 1), encoding="ascii"
    )  # the first case of the command comes after its note


@pytest.fixture(scope="session")
def switch(shell: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeHost, Outcome]:
    """Return a collection on a host with a switch."""
    host = rich_host(tmp_path_factory.mktemp("switch"))
    add_switch(host)
    return host, host.run(shell, *QUICK, "--snapshots", "2")


def test_every_question_goes_through_the_one_socket_that_answers(switch: tuple[FakeHost, Outcome]) -> None:
    host, outcome = switch
    asked = host.called("ovs-appctl")

    assert outcome.returncode == 0
    assert {call.split()[1] for call in asked} == {f"{host.root}/var/run/openvswitch/ovs-vswitchd.7.ctl"}
    assert not [name for name in ("ovs-dpctl",) if host.called(name)]
    for name in ASKED:
        assert outcome.bundle.capture(name)["absent"] is None, name


TABLES = (
    "Open_vSwitch",
    "Bridge",
    "Port",
    "Interface",
    "Mirror",
    "sFlow",
    "NetFlow",
    "IPFIX",
    "QoS",
    "Queue",
)
QUESTIONS = (
    *("dpctl/show -s", "coverage/show", "upcall/show", "memory/show", "bond/show", "dpif/show"),
    *("fdb/stats-show br0", "fdb/stats-show br-int", "dpctl/dump-flows -m system@ovs-system"),
)
BESIDE = (
    *("ovs-version", "ovs-show", "ovs-log", "proc-net-netlink", "bridge-link", "bridge-fdb"),
    *("conntrack-stat", "sysctl-net", "proc-status", "task-schedstat"),
)


def test_everything_that_tells_of_a_switch_is_asked_for_and_kept(switch: tuple[FakeHost, Outcome]) -> None:
    host, outcome = switch
    asked = {call.partition(".ctl ")[2] for call in host.called("ovs-appctl")}
    listed = {call.rpartition(" list ")[2] for call in host.called("ovs-vsctl") if " list " in call}

    assert set(QUESTIONS) <= asked
    assert {*TABLES, "Flow_Sample_Collector_Set"} <= listed
    assert all("--timeout=5" in call for call in host.called("ovs-vsctl") if " list " in call)
    assert "-s -d -j link show" in host.called("bridge")
    kept = {row["id"] for row in outcome.bundle.manifest["captures"] if row["path"]}
    assert {*BESIDE, *ASKED} <= kept
    # dpctl/add-dp, mod-flow, del-flows … change the datapath: nothing but questions is ever asked.
    harmless = {"version", "ofproto/list", "dpctl/dump-dps", *(one.split()[0] for one in QUESTIONS)}
    assert {call.split()[0] for call in asked if call} <= harmless


def test_bridges_are_asked_by_the_path_of_their_socket(switch: tuple[FakeHost, Outcome]) -> None:
    host, outcome = switch
    run = f"unix:{host.root}/var/run/openvswitch"

    assert outcome.bundle.text("ovs-dump-ports", 1).splitlines() == [
        "@ br0",
        f"answer -O {OPENFLOW} dump-ports {run}/br0.mgmt",
        "@ br-int",
        f"answer -O {OPENFLOW} dump-ports {run}/br-int.mgmt",
    ]
    assert outcome.bundle.text("ovs-datapath-flows").startswith("@ system@ovs-system\nanswer to ")


def test_the_switchs_threads_are_among_those_that_are_watched(switch: tuple[FakeHost, Outcome]) -> None:
    tasks = {
        line.split("/task/")[1].split("/")[0]
        for line in switch[1].bundle.text("task-schedstat", None).splitlines()
        if "/task/" in line
    }
    assert {"802", "803"} <= tasks


def test_no_key_and_no_controller_is_taken(switch: tuple[FakeHost, Outcome]) -> None:
    bundle = switch[1].bundle

    assert bundle.text("ovs-show") == SHOW.replace('"sword\\"fish, swordfish"', '"(cut out)"')
    assert bundle.text("ovs-dpif") == "gre0 1/1: (gre: psk=(cut out), remote_ip=192.0.2.1)\n"
    assert [line.split("|")[2] for line in bundle.text("ovs-log").splitlines()] == ["dpif(handler1)", "bond"]
    for name, content in bundle.members.items():
        for secret in (b"swordfish", b"192.0.2.77", b"hunter2"):
            assert secret not in content, name


def test_learned_addresses_are_listed_and_counted(switch: tuple[FakeHost, Outcome]) -> None:
    assert sorted(switch[1].bundle.text("bridge-fdb").splitlines()) == [
        "# tap0 br0 1",
        "# va br0 1",
        "52:54:00:aa:bb:01 dev tap0 used 3/1 master br0 ",
        "52:54:00:aa:bb:03 dev va vlan 5 used 9/2 master br0 ",
    ]


def test_a_large_switch_is_not_held_up(host: FakeHost, shell: list[str]) -> None:
    add_switch(host, rules=20_001, flows=100_000)
    outcome = host.run(shell, *QUICK, "--snapshots", "1", "--quiet")

    for name, command, number in (
        ("ovs-dump-flows", "dump-flows unix", "20001"),
        ("ovs-datapath-flows", "dump-flows -m", "100000"),
    ):
        absent = outcome.bundle.capture(name)["absent"]
        assert absent["reason"] == "too-many"
        assert absent["detail"].startswith(number)
        asked = host.called("ovs-ofctl") + host.called("ovs-appctl")
        assert not [call for call in asked if command in call]
    assert outcome.bundle.text("ovs-dump-ports")


def test_names_that_would_make_ovs_ofctl_call_another_machine(host: FakeHost) -> None:
    add_switch(host, bridges="tcp:192.0.2.9\n../x\n-h\n")
    outcome = host.run(["dash"], *QUICK, "--snapshots", "1", "--quiet")

    run = f"unix:{host.root}/var/run/openvswitch"
    ports = [call.partition(" dump-ports ")[2] for call in host.called("ovs-ofctl") if "dump-ports" in call]
    assert outcome.returncode == 0
    assert ports == [f"{run}/tcp:192.0.2.9.mgmt", f"{run}/-h.mgmt"]


def test_an_old_ovs_ofctl_is_asked_in_the_versions_that_it_knows(host: FakeHost, shell: list[str]) -> None:
    """lib/ofp-util.c ofputil_versions_from_string ends the program before it asks anything."""
    add_switch(host)
    refusal = shlex.quote('ovs-ofctl: Unknown OpenFlow version: "OpenFlow14"')
    refuse = f"echo {refusal} >&2; exit 1"
    host.command("ovs-ofctl", f"""case "$*" in *OpenFlow14*) {refuse} ;; *) echo "answer $*" ;; esac""")
    outcome = host.run(shell, *QUICK, "--snapshots", "2", "--quiet")
    run = f"unix:{host.root}/var/run/openvswitch"
    asked = [call for call in host.called("ovs-ofctl") if "OpenFlow14" in call]

    assert len(asked) == 1
    for name, version in (("dump-ports", 10), ("dump-flows", 10), ("meter-stats", 13)):
        for n in (0, 1):
            assert outcome.bundle.text(f"ovs-{name}", n).splitlines() == [
                "@ br0",
                f"answer -O OpenFlow{version} {name} {run}/br0.mgmt",
                "@ br-int",
                f"answer -O OpenFlow{version} {name} {run}/br-int.mgmt",
            ]
            capture = outcome.bundle.capture(f"ovs-{name}", n)
            assert (capture["exit_status"], f"OpenFlow{version}" in capture["argv"]) == (0, True)


def test_a_bridge_that_refuses_leaves_the_others_and_its_exit_status(host: FakeHost) -> None:
    add_switch(host)
    refusal = "version negotiation failed (we support version 0x01, peer supports version 0x04)"
    host.command(
        "ovs-ofctl",
        f"""case "$*" in *br0.mgmt) echo {shlex.quote(refusal)} >&2; exit 1 ;; *) echo "answer" ;; esac""",
    )
    outcome = host.run(["dash"], *QUICK, "--snapshots", "1", "--quiet")

    assert outcome.bundle.text("ovs-dump-flows").splitlines() == ["@ br-int", "answer"]
    assert outcome.bundle.capture("ovs-dump-flows")["exit_status"] == 1
    assert refusal in outcome.bundle.members["collector.log"].decode()


def test_a_switch_that_does_not_answer_is_asked_once(host: FakeHost, shell: list[str]) -> None:
    add_switch(host)
    host.command("ovs-appctl", 'case "$*" in *version) echo 3.1 ;; *) sleep 100 ;; esac')
    outcome = host.run(shell, *QUICK, "--snapshots", "2", "--quiet", env={"VNETKB_LIMIT_S": "1"})

    asked = [call for call in host.called("ovs-appctl") if not call.endswith("version")]
    assert len(asked) == 1
    assert host.called("ovs-ofctl") == []
    assert {outcome.bundle.capture(name)["absent"]["reason"] for name in ASKED} == {"timed-out"}
    assert outcome.bundle.text("ovs-interface", 1)
    assert host.wait_until_quiet() == []


def test_a_stale_socket_is_passed_over(host: FakeHost) -> None:
    add_switch(host)
    listen(host.root / "var/run/openvswitch/ovs-vswitchd.1.ctl")
    host.command("ovs-appctl", 'case "$*" in *.1.ctl*) echo refused >&2; exit 1 ;; *) echo yes ;; esac')
    outcome = host.run(["dash"], *QUICK, "--snapshots", "1", "--quiet")

    assert outcome.bundle.text("ovs-coverage") == "yes\n"


def test_without_open_vswitch_nothing_is_asked(host: FakeHost, shell: list[str]) -> None:
    host.command("ovs-appctl", "echo asked")
    outcome = host.run(shell, *QUICK, "--snapshots", "1", "--quiet")

    assert host.called("ovs-appctl") == []
    for name in ASKED:
        absent = outcome.bundle.capture(name)["absent"]
        assert (absent["reason"], absent["detail"]) == ("not-found", "ovs-vswitchd is not running")
    assert json.loads(outcome.bundle.text("ovs-mirror"))
