# SPDX-License-Identifier: Apache-2.0
"""The collector and a real guest agent: Debian's qemu-ga, which answers for this machine as a guest would."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collectors.fake_host import QEMU, QUICK, SCRIPT, FakeHost
from collectors.test_collect_guests import captures
from vnetkb.bundle import read_bundle
from vnetkb.facts import build
from vnetkb.kb.load import load_kb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QEMU_GA = shutil.which("qemu-ga", path="/usr/sbin:/usr/bin:/sbin:/bin")
needs_agent = pytest.mark.skipif(QEMU_GA is None, reason="NOT TESTED: qemu-ga (qemu-guest-agent) is not here")
pytestmark = needs_agent


@pytest.fixture
def real_agent(host: FakeHost) -> Iterator[Callable[..., Path]]:
    """Return what starts a qemu-ga on a socket that the host's QEMU names; options are the agent's."""
    folder = Path(tempfile.mkdtemp(prefix="vnetkb-"))
    running: list[subprocess.Popen[bytes]] = []
    (host.root / "proc/800/comm").write_text("nothing\n")

    def start(*options: str) -> Path:
        door = folder / "qga"
        words = [
            *QEMU,
            "-chardev", f"socket,id=qga0,path={door},server=on",
            "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0",
        ]  # fmt: skip
        host.file("proc/4711/cmdline", "".join(word + "\0" for word in words))
        command = [
            str(QEMU_GA),
            "-m",
            "unix-listen",
            "-p",
            str(door),
            "-t",
            str(folder),
            "-f",
            f"{folder}/pid",
        ]
        running.append(
            subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        until = time.monotonic() + 20
        while not door.exists() and time.monotonic() < until:
            time.sleep(0.05)
        return door

    yield start
    for one in running:
        one.kill()
        one.wait()
    shutil.rmtree(folder)


def put_script_beside(host: FakeHost, text: str) -> None:
    """Let the host run a copy of its collector that has this text as the guest's script beside it."""
    place = host.root / "packed"
    place.mkdir()
    host.script = place / SCRIPT.name
    shutil.copy(SCRIPT, host.script)
    (place / "vnetkb-guest").write_text(text)


def test_the_collector_runs_inside_through_a_real_agent(
    host: FakeHost, real_agent: Callable[..., Path]
) -> None:
    real_agent()
    bundle = host.run(["dash"], *QUICK, "--guest", "web01").bundle
    found = captures(bundle)

    assert bundle.manifest["notes"] == []
    assert b"supported_commands" in bundle.members["guest/web01/0/agent-info"]
    assert b"lo/statistics/rx_packets:" in bundle.members["guest/web01/1/guest-sysfs-net"]
    assert b"system=linux" in bundle.members["guest/web01/0/guest-manifest"]
    assert found["agent-interfaces", 1]["path"]


def test_a_real_agent_that_may_not_exec_gives_its_own_counters(
    host: FakeHost, real_agent: Callable[..., Path]
) -> None:
    real_agent("--block-rpcs=guest-exec,guest-exec-status")
    outcome = host.run(["dash"], *QUICK, "--guest", "web01")
    found = captures(outcome.bundle)
    observations = build(read_bundle(outcome.path), load_kb())
    (told,) = [one for one in observations.notices if one.subject == "web01" and "guest-exec" in one.text]

    assert found["agent-exec", 0]["absent"]["reason"] == "not-supported"
    assert found["agent-interfaces", 1]["path"]
    assert ("guest-sysfs-net", 0) not in found
    assert "--guest web01=FILE" in told.text


def test_output_over_the_cap_of_a_real_agent_is_named_in_the_log_and_the_report(
    host: FakeHost, real_agent: Callable[..., Path]
) -> None:
    """18 MB of output: the agent cuts it at 16 MiB and says so; the collector takes no more than 6 MiB."""
    door = real_agent()
    script = "printf 'VNETKB-CONTAINER 1 x\\n@@ 0/guest-clock\\n|'; head -c 18000000 /dev/zero | tr '\\0' x\n"
    put_script_beside(host, script)
    outcome = host.run(["dash"], *QUICK, "--guest", "web01")
    row = captures(outcome.bundle)["guest-manifest", 0]
    observations = build(read_bundle(outcome.path), load_kb())
    (told,) = [one for one in observations.notices if one.subject == "web01" and "6144 KiB" in one.text]

    assert row["absent"]["detail"] == "its answer is larger than 6144 KiB"
    assert "by hand" in row["remark"]
    assert b"larger than 6144 KiB" in outcome.bundle.members["collector.log"]
    assert "--guest web01=FILE" in told.text
    assert captures(outcome.bundle)["agent-interfaces", 1]["path"]
    # the agent is none the worse for it
    assert ask(door, "guest-info")["return"]["version"]


def ask(door: Path, command: str, **arguments: object) -> dict[str, dict[str, object]]:
    """Return an agent's answer to one command."""
    with socket.socket(socket.AF_UNIX) as port:
        port.settimeout(60)
        port.connect(str(door))
        port.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        answer: dict[str, dict[str, object]] = json.loads(port.makefile("rb").readline())
    return answer


def test_a_real_agent_says_that_it_cut_output(host: FakeHost, real_agent: Callable[..., Path]) -> None:
    """The words that the collector looks for are the agent's own."""
    del host
    door = real_agent()
    words = {"path": "/usr/bin/head", "arg": ["-c", "16800000", "/dev/zero"], "capture-output": True}
    pid = ask(door, "guest-exec", **words)["return"]["pid"]
    until = time.monotonic() + 60
    answer: dict[str, object] = {}
    while not answer.get("exited") and time.monotonic() < until:
        time.sleep(0.2)
        answer = ask(door, "guest-exec-status", pid=pid)["return"]

    assert answer["out-truncated"] is True
    assert "out-truncated" in SCRIPT.read_text(encoding="utf-8")
