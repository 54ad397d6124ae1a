# SPDX-License-Identifier: Apache-2.0
"""The guests in a collection: through libvirt, through an agent's socket, from files, and trouble."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shlex
import shutil
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from collectors.fake_host import QEMU, QUICK, TREE, Bundle, FakeHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTAINER = (
    "VNETKB-CONTAINER 1 vnetkb-guest-web01-20261122T193000Z\n"
    "@@ 0/guest-clock\n|uptime 41.70 2.71\n@@ 0/guest-proc-net-dev\n|Inter-| x\n|eth0: 1\n"
    "@@ ../../../escaped\n|no\n@@ 0/guest-nstat\n" + base64.b64encode(b'{"kernel": {}}').decode() + "\n"
    "@@ 1/guest-clock\n|uptime 47.70 2.71\n"
    "@@ manifest.kv\n|system=linux\n|absent=0/guest-ip-link tool-missing ip\n"
    "|absent=1/guest-tc-qdisc empty\n@@END\n"
)  # fmt: skip
COMMANDS = (
    "guest-info", "guest-network-get-interfaces", "guest-get-osinfo", "guest-exec", "guest-exec-status",
)  # fmt: skip
INTERFACES = [
    {
        "name": "eth0",
        "hardware-address": "52:54:00:aa:bb:01",
        "ip-addresses": [{"ip-address": "192.0.2.77"}],
        "statistics": {"rx-packets": 7},
    }
]


def reply(value: object) -> str:
    """Return an answer of the agent."""
    return json.dumps({"return": value}, separators=(",", ":"))


def answers(
    *, blocked: tuple[str, ...] = (), system: str = "debian", container: str = CONTAINER
) -> dict[str, str]:
    """Return what an agent answers, by command."""
    listed = [{"enabled": name not in blocked, "name": name, "success-response": True} for name in COMMANDS]
    done = {"exitcode": 0, "exited": True, "out-data": base64.b64encode(container.encode()).decode()}
    return {
        "guest-info": reply({"version": "7.2.22", "supported_commands": listed}),
        "guest-network-get-interfaces": reply(INTERFACES),
        "guest-get-osinfo": reply({"id": system}),
        "guest-exec-status": reply(done),
        "guest-exec": reply({"pid": 7}),
    }


def add_libvirt(host: FakeHost, said: dict[str, str], *, names: str = "web01") -> None:
    """Let virsh answer as libvirt with a VM whose agent answers so; on top of what it did before.

    An answer that begins with `error:` is one of virsh itself.
    """
    (host.bin / "virsh").rename(host.bin / "virsh-before")
    cases = []
    for number, (command, text) in enumerate(said.items()):
        if text.startswith("error:"):
            fails = f"echo {shlex.quote(text)} >&2; echo; exit 1 ;;"
            cases.append(f'*qemu-agent-command*\\"{command}\\"*) {fails}')
            continue
        file = host.root / f"answer-{number}"
        file.write_text(text + "\n", encoding="ascii")
        cases.append(f'*qemu-agent-command*\\"{command}\\"*) exec cat {shlex.quote(str(file))} ;;')
    ports = host.root / "ports"
    ports.write_text(
        " Interface   Type     Source   Model    MAC\n"
        "------------------------------------------------------------\n"
        " vnet3       bridge   br0      virtio   52:54:00:aa:bb:01\n"
        " -           bridge   br1      virtio   52:54:00:aa:bb:02\n\n",
        encoding="ascii",
    )
    cases.append(f'*"domiflist --domain"*) exec cat {shlex.quote(str(ports))} ;;')
    counted = host.root / "counted"
    counted.write_text("vnet3 rx_drop 509\nvnet3 tx_drop 0\n\n", encoding="ascii")
    cases.append(f'*"domifstat --domain"*"--interface vnet3"*) exec cat {shlex.quote(str(counted))} ;;')
    listed = host.root / "names"
    listed.write_text(names + "\n\n", encoding="utf-8")
    host.command(
        "virsh",
        f"""case "$*" in
        {" ".join(cases)}
        *"list --name") exec cat {shlex.quote(str(listed))} ;;
        esac
        exec {shlex.quote(str(host.bin))}/virsh-before "$@" """,
    )


def captures(bundle: Bundle, vm: str = "web01") -> dict[tuple[str, int], dict[str, Any]]:
    """Return the manifest's entries of a guest by id and sample; each must be there once."""
    rows = [row for row in bundle.manifest["captures"] if row["scope"] == f"guest:{vm}"]
    found = {(row["id"], row["snapshot"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_a_guest_through_libvirt(host: FakeHost, shell: list[str]) -> None:
    add_libvirt(host, answers())
    outcome = host.run(shell, *QUICK, "--guest", "web01")
    bundle = outcome.bundle
    found = captures(bundle)

    schema = json.loads((TREE / "schemas" / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(bundle.manifest)
    assert bundle.members["guest/web01/0/guest-proc-net-dev"] == b"Inter-| x\neth0: 1\n"
    assert bundle.members["guest/web01/0/guest-nstat"] == b'{"kernel": {}}'
    assert bundle.members["guest/web01/1/guest-clock"] == b"uptime 47.70 2.71\n"
    assert ("agent-interfaces", 1) in found
    assert found["guest-ip-link", 0]["absent"] == {"reason": "tool-missing", "detail": "ip"}
    assert found["guest-tc-qdisc", 1]["absent"]["reason"] == "empty"
    assert bundle.manifest["options"]["guests"] == ["web01"]
    assert bundle.manifest["notes"] == []
    # the guest's address is cut out, its hardware address is what joins it to its port
    assert b"192.0.2.77" not in b"".join(bundle.members.values())
    assert b"52:54:00:aa:bb:01" in bundle.members["guest/web01/0/agent-interfaces"]
    assert not any("escaped" in name for name in bundle.members)


def test_libvirts_counters_of_the_ports_are_taken_when_the_guest_is_asked(
    host: FakeHost, shell: list[str]
) -> None:
    add_libvirt(host, answers())
    bundle = host.run(shell, *QUICK, "--guest", "web01").bundle
    found = captures(bundle)

    for sample in (0, 1):
        text = bundle.members[f"guest/web01/{sample}/virsh-domifstat"]
        assert text.split() == b"vnet3 rx_drop 509 vnet3 tx_drop 0".split()
    moments = [
        found[name, 1]["start_monotonic_s"] for name in ("guest-clock", "virsh-domifstat", "agent-interfaces")
    ]
    assert moments == sorted(moments)
    # a port that is not there is not asked for, and what is not asked of a guest is not taken
    assert not any("--interface -" in line for line in host.called("virsh"))
    assert not any(
        row["id"] == "virsh-domifstat" for row in host.run(shell, *QUICK).bundle.manifest["captures"]
    )


def test_a_vm_whose_libvirt_job_hangs_costs_its_time_and_no_other_virsh(host: FakeHost) -> None:
    add_libvirt(host, answers())
    place = host.bin / "virsh"
    place.write_text(place.read_text().replace("esac", "*domifstat*) exec /bin/sleep 100 ;;\nesac", 1))
    (host.root / "counted").unlink()
    place.write_text(re.sub(r'\*"domifstat[^;]*;;', "", place.read_text()))
    bundle = host.run(["dash"], *QUICK, "--guest", "web01").bundle

    assert captures(bundle)["virsh-domifstat", 0]["absent"]["reason"] == "timed-out"
    assert captures(bundle)["guest-clock", 1]["path"]
    assert bundle.capture("virsh-domstats", 1)["path"]


def test_the_guests_samples_lie_inside_the_hosts_interval(host: FakeHost) -> None:
    add_libvirt(host, answers())
    bundle = host.run(["dash"], "--interval", "3", "--every", "0.5", "--guest", "web01").bundle
    first, last = bundle.manifest["snapshots"]
    row = captures(bundle)["guest-clock", 1]

    assert first["end_monotonic_s"] <= row["start_monotonic_s"]
    assert row["start_monotonic_s"] + row["duration_s"] <= last["monotonic_s"]
    sent = next(line for line in host.called("virsh") if '"guest-exec"' in line)
    assert '"--interval","1"' in sent


def test_the_guest_is_sent_the_script_as_it_is(host: FakeHost) -> None:
    add_libvirt(host, answers())
    assert host.run(["dash"], *QUICK, "--guest", "all").returncode == 0
    sent = next(line for line in host.called("virsh") if '"guest-exec"' in line)
    request = json.loads(sent[sent.index("{") :])["arguments"]

    assert (
        base64.b64decode(request["input-data"]) == (TREE / "collectors/guest-linux/vnetkb-guest").read_bytes()
    )
    assert (request["path"], request["arg"][:3]) == ("/bin/sh", ["-s", "--", "--output"])
    assert len(sent) < 128 * 1024  # Linux takes no longer argument


def test_windows_gets_the_other_script(host: FakeHost) -> None:
    add_libvirt(host, answers(system="mswindows"))
    assert host.run(["dash"], *QUICK, "--guest", "web01").returncode == 0
    sent = next(line for line in host.called("virsh") if '"guest-exec"' in line)
    request = json.loads(sent[sent.index("{") :])["arguments"]

    assert (
        base64.b64decode(request["input-data"])
        == (TREE / "collectors/guest-windows/vnetkb-guest.ps1").read_bytes()
    )
    assert request["path"] == "powershell.exe"
    assert "$env:VNETKB_OUTPUT='-'" in request["arg"][-1]
    assert request["arg"][-1].endswith("-join [char]10;if(-not $t){$t=[Console]::In.ReadToEnd()};iex $t")
    assert len(sent) < 128 * 1024


def test_a_blocked_guest_exec_falls_back_to_the_agents_counters(host: FakeHost, shell: list[str]) -> None:
    add_libvirt(host, answers(blocked=("guest-exec", "guest-exec-status")))
    found = captures(host.run(shell, *QUICK, "--guest", "web01").bundle)

    assert found["agent-exec", 0]["absent"]["reason"] == "not-supported"
    assert "--guest-file" in found["agent-exec", 0]["remark"]
    assert found["agent-interfaces", 0]["path"]
    assert found["agent-interfaces", 1]["path"]
    assert not any('"guest-exec"' in line for line in host.called("virsh"))


TROUBLE = {
    "no-channel": ("error: argument unsupported: QEMU guest agent is not configured", "add a channel"),
    "not-started": (
        "error: Guest agent is not responding: QEMU guest agent is not connected",
        "start qemu-guest",
    ),
    "hangs": ("error: Guest agent is not responding: Guest agent not available for now", "--guest-file"),
    "suspended": ("error: Requested operation is not valid: domain is not running", "does not run"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_an_agent_that_gives_nothing_is_named_with_what_to_do(host: FakeHost, trouble: str) -> None:
    message, advice = TROUBLE[trouble]
    add_libvirt(host, {})
    place = host.bin / "virsh"
    place.write_text(
        place.read_text().replace(
            "esac", f"*agent-command*) echo {shlex.quote(message)} >&2; echo; exit 1 ;;\nesac", 1
        )
    )
    bundle = host.run(["dash"], *QUICK, "--guest", "web01").bundle
    row = captures(bundle)["agent-info", 0]

    assert message in row["absent"]["detail"]
    assert advice in row["remark"]
    assert any("web01" in note for note in bundle.manifest["notes"])
    assert bundle.capture("virsh-domstats", 1)["path"]


def test_an_agent_that_never_answers_costs_its_time_and_nothing_else(host: FakeHost) -> None:
    add_libvirt(host, {})
    place = host.bin / "virsh"
    place.write_text(place.read_text().replace("esac", "*agent-command*) exec /bin/sleep 100 ;;\nesac", 1))
    started = time.monotonic()
    bundle = host.run(["dash"], *QUICK, "--guest", "web01").bundle

    assert time.monotonic() - started < 40
    absent = captures(bundle)["agent-info", 0]["absent"]
    assert (absent["reason"], absent["detail"]) == ("timed-out", "no output within 5 s")
    assert bundle.capture("virsh-domstats", 1)["path"]
    assert bundle.capture("virsh-list")["path"]
    assert host.wait_until_quiet() == []


@pytest.mark.parametrize("container", ["", "sh: not found\n", "VNETKB-CONTAINER 1 x\n"])
def test_output_that_is_none_is_said_so(host: FakeHost, container: str) -> None:
    add_libvirt(host, answers(container=container))
    bundle = host.run(["dash"], *QUICK, "--guest", "web01").bundle

    assert captures(bundle)["guest-manifest", 0]["absent"]["reason"] == "failed"
    assert any("not what vnetkb-guest writes" in note for note in bundle.manifest["notes"])


@pytest.mark.parametrize(
    ("left", "member"),
    [
        ("uptime 41.70 2.71\n@@ 0/guest-proc-net-dev\n|Inter-| x\n|eth0: 12", b"Inter-| x\n"),
        ("uptime 41.7", None),
    ],
    ids=["in-a-number", "in-its-first-line"],
)
def test_output_that_was_cut_is_kept_without_its_last_number(
    host: FakeHost, shell: list[str], left: str, member: bytes | None
) -> None:
    """The agent says that it cut the output, and there is one file of it that is not whole."""
    said = answers(container=CONTAINER.split("uptime")[0] + left)
    said["guest-exec-status"] = said["guest-exec-status"].replace('"exited"', '"out-truncated":true,"exited"')
    add_libvirt(host, said)
    bundle = host.run(shell, *QUICK, "--guest", "web01").bundle
    found = captures(bundle)
    cut = [capture for capture, row in found.items() if row["truncated"]]
    row = found["guest-manifest", 0]

    assert bundle.members.get("guest/web01/0/guest-proc-net-dev") == member
    assert cut == ([("guest-proc-net-dev", 0)] if member else [])
    assert (row["absent"]["reason"], "out-truncated" in row["absent"]["detail"]) == ("failed", True)
    assert "--guest-file" in row["remark"]
    (note,) = bundle.manifest["notes"]
    assert "out-truncated" in note
    assert "--guest-file" in note


OVER = {
    "libvirt": "error: Unable to encode message payload",
    "libvirt-buffer": "error: No complete agent response found in 10485760 bytes",
    "own": "error: cannot write to stdout: File too large",
    "afterwards": "error: Guest agent is not responding: QEMU guest agent is not available due to an error",
}


@pytest.mark.parametrize("case", OVER)
def test_output_over_the_cap_of_the_way_is_named_with_what_to_do(host: FakeHost, case: str) -> None:
    add_libvirt(host, answers() | {"guest-exec-status": OVER[case]})
    bundle = host.run(["dash"], *QUICK, "--guest", "web01").bundle
    row = captures(bundle)["guest-manifest", 0]
    log = bundle.members["collector.log"].decode()

    assert OVER[case] in row["absent"]["detail"]
    wanted = "restart qemu-guest-agent" if case == "afterwards" else "libvirt carries 4 MiB"
    assert wanted in row["remark"]
    assert "vnetkb-guest in the guest by hand" in row["remark"]
    assert any(wanted in note for note in bundle.manifest["notes"])
    assert OVER[case] in log
    # what else the agent told is there, and so is the host's own
    assert captures(bundle)["agent-interfaces", 1]["path"]
    assert bundle.capture("virsh-domstats", 1)["path"]


@pytest.mark.parametrize("client", ["python3", "perl"])
def test_an_answer_that_fills_the_disk_is_not_taken(
    host: FakeHost, agent: Callable[[dict[str, str]], None], client: str
) -> None:
    agent(answers(container=CONTAINER.replace("@@END", "|" + "x" * (6 << 20) + "\n@@END")))
    bundle = host.run(["dash"], *QUICK, "--guest", "web01", env={"VNETKB_SOCKET_CLIENT": client}).bundle
    row = captures(bundle)["guest-manifest", 0]

    assert row["absent"]["detail"] == "its answer is larger than 6144 KiB"
    assert "by hand" in row["remark"]
    assert captures(bundle)["agent-interfaces", 1]["path"]


def test_a_name_that_no_running_vm_has(host: FakeHost, shell: list[str]) -> None:
    add_libvirt(host, answers())
    bundle = host.run(shell, *QUICK, "--guest", "web02").bundle

    assert captures(bundle, "web02")["agent-info", 0]["absent"]["reason"] == "not-found"
    assert any("no running VM" in note for note in bundle.manifest["notes"])


def test_names_of_vms_are_data(host: FakeHost, shell: list[str]) -> None:
    odd = ["$(id)", "a b;c", "..", "ü", '"q"', "-x"]
    add_libvirt(host, answers(), names="\n".join(odd))
    bundle = host.run(shell, *QUICK, "--guest", "all").bundle

    for name in odd:
        assert captures(bundle, name)["guest-clock", 1]["path"]
    folders = {path.split("/")[1] for path in bundle.members if path.startswith("guest/")}
    assert len(folders) == len(odd)
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", folder) for folder in folders)


@pytest.mark.parametrize(
    "make",
    [lambda text: text, gzip.compress, lambda text: text.replace(b"\n", b"\r\n")],
    ids=["text", "gz", "crlf"],
)
def test_a_file_from_a_guest(host: FakeHost, shell: list[str], make: Callable[[bytes], bytes]) -> None:
    file = host.root / "guest file"
    file.write_bytes(make(CONTAINER.encode()))
    bundle = host.run(shell, *QUICK, "--guest-file", f"web01={file}").bundle

    assert captures(bundle)["guest-clock", 1]["path"] == "guest/web01/1/guest-clock"
    assert bundle.members["guest/web01/0/guest-nstat"] == b'{"kernel": {}}'


def test_a_file_that_cannot_be_split_goes_along_as_it_is(host: FakeHost) -> None:
    file = host.root / "guest.zip"
    file.write_bytes(b"PK\3\4 and so on\0\n")
    bundle = host.run(["dash"], *QUICK, "--guest-file", f"web01={file}").bundle

    assert bundle.members["guest/web01/0/guest-file"] == file.read_bytes()


def test_a_guest_that_is_asked_and_has_a_file_is_there_once(host: FakeHost) -> None:
    add_libvirt(host, answers(container="nothing"))
    file = host.root / "guest.txt"
    file.write_text(CONTAINER)
    bundle = host.run(["dash"], *QUICK, "--guest", "web01", "--guest-file", f"web01={file}").bundle

    assert captures(bundle)["guest-manifest", 0]["path"]


@pytest.fixture
def agent(host: FakeHost) -> Iterator[Callable[[dict[str, str]], None]]:
    """Return what starts an agent and a monitor on sockets that the host's QEMU names, without libvirt."""
    folder = Path(tempfile.mkdtemp(prefix="vnetkb-"))
    stop = threading.Event()
    threads: list[threading.Thread] = []
    (host.root / "proc/800/comm").write_text("nothing\n")

    def serve(path: Path, said: dict[str, str], greeting: str) -> None:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
            door.listen()
            door.settimeout(0.1)
            while not stop.is_set():
                try:
                    port, _ = door.accept()
                except TimeoutError:
                    continue
                with port:
                    port.settimeout(5)
                    port.sendall(greeting.encode())
                    talk(port, said)

    def start(said: dict[str, str]) -> None:
        words = [
            *QEMU,
            "-chardev", f"socket,id=qga0,path={folder}/qga,server=on",
            "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0",
            "-qmp", f"unix:{folder}/qmp,server=on",
        ]  # fmt: skip
        host.file("proc/4711/cmdline", "".join(word + "\0" for word in words))
        for name, greeting in (("qga", ""), ("qmp", '{"QMP": {"version": {}}}\n')):
            thread = threading.Thread(target=serve, args=(folder / name, said, greeting))
            thread.start()
            threads.append(thread)

    yield start
    stop.set()
    for thread in threads:
        thread.join()
    shutil.rmtree(folder)


def talk(port: socket.socket, said: dict[str, str]) -> None:
    """Answer one client until it goes."""
    try:
        for line in port.makefile("r", encoding="utf-8"):
            request = json.loads(line)
            if request["execute"] == "guest-sync":
                answer = reply(request["arguments"]["id"])
            elif request["execute"] == "qmp_capabilities":
                answer = '{"timestamp": {}, "event": "NIC_RX_FILTER_CHANGED"}\n'
                answer += json.dumps({"return": {}, "id": request["id"]})
            else:
                answer = said.get(request["execute"], '{"error": {"desc": "has not been found"}}')
            if answer:
                port.sendall(answer.encode() + b"\n")
    except (TimeoutError, OSError):
        return


@pytest.mark.parametrize("client", ["python3", "perl", "socat"])
def test_without_libvirt_the_agents_socket_is_asked(
    host: FakeHost, agent: Callable[[dict[str, str]], None], client: str
) -> None:
    if shutil.which(client, path="/usr/bin:/bin") is None:
        pytest.skip(f"NOT TESTED: {client} is not installed")
    agent(answers())
    outcome = host.run(["dash"], *QUICK, "--guest", "web01", env={"VNETKB_SOCKET_CLIENT": client})

    assert outcome.bundle.members["guest/web01/1/guest-clock"] == b"uptime 47.70 2.71\n"
    assert outcome.bundle.manifest["notes"] == []


def test_a_socket_where_nobody_answers(host: FakeHost, agent: Callable[[dict[str, str]], None]) -> None:
    agent({"guest-info": ""})
    bundle = host.run(["dash"], *QUICK, "--guest", "web01").bundle

    assert captures(bundle)["agent-info", 0]["absent"]["reason"] in ("timed-out", "failed", "empty")
    assert bundle.capture("proc-stat", 1)["path"]


QUEUE = {
    "x-query-virtio": reply([{"path": "/machine/peripheral/net0/virtio-backend", "name": "virtio-net"}]),
    "x-query-virtio-queue-status": reply({"vring-num": 256, "inuse": 0, "used-idx": 5}),
    "x-query-virtio-queue-element": reply({"avail": {"idx": 5}, "used": {"idx": 5}}),
}


def test_rings_are_asked_for_only_when_wanted_and_announced(
    host: FakeHost, agent: Callable[[dict[str, str]], None]
) -> None:
    agent(QUEUE)
    outcome = host.run(["dash"], *QUICK, "--rings", "--quiet")
    bundle = outcome.bundle

    assert "marks a VM as tainted" in outcome.stderr
    assert bundle.manifest["options"]["rings"] is True
    for sample in (0, 1):
        text = bundle.members[f"guest/web01/{sample}/virtqueue-status"]
        assert text.startswith(b"@ /machine/peripheral/net0/virtio-backend 0\n")
        assert b'"avail":{"idx":5}' in text
    assert not any(
        row["id"] == "virtqueue-status" for row in host.run(["dash"], *QUICK).bundle.manifest["captures"]
    )


def test_rings_of_a_vm_with_vhost_user_are_never_asked(
    host: FakeHost, agent: Callable[[dict[str, str]], None]
) -> None:
    agent(QUEUE)
    place = host.root / "proc/4711/cmdline"
    place.write_bytes(place.read_bytes() + b"-netdev\0vhost-user,id=hostnet9,chardev=c9\0")
    found = captures(host.run(["dash"], *QUICK, "--rings").bundle)

    assert found["virtqueue-status", 0]["absent"]["reason"] == "not-asked"


def test_dry_run_tells_what_would_be_asked_of_guests(host: FakeHost, shell: list[str]) -> None:
    add_libvirt(host, answers())
    outcome = host.run(shell, "--dry-run", "--guest", "web01", "--rings")

    assert "guest-exec" in outcome.stdout
    assert "x-query-virtio-queue-status" in outcome.stdout
    assert host.called("virsh") == []
