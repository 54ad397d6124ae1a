# SPDX-License-Identifier: Apache-2.0
"""The collectors for guests: the Linux one under every shell, the Windows ones as far as text tells."""

from __future__ import annotations

import base64
import gzip
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell
import yaml

from collectors.fake_host import TREE

LINUX = TREE / "collectors" / "guest-linux" / "vnetkb-guest"
WINDOWS = TREE / "collectors" / "guest-windows" / "vnetkb-guest.ps1"
BATCH = TREE / "collectors" / "guest-windows" / "vnetkb-guest.cmd"


class Guest:
    """A made-up guest: a root for /proc and /sys, and commands first in PATH."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.bin = folder / "bin"
        self.out = folder / "out"
        for made in (self.root, self.bin, self.out):
            made.mkdir()
        self.path = f"{self.bin}:/usr/sbin:/usr/bin:/sbin:/bin"
        for name in ("net/dev", "net/snmp", "net/netstat", "net/softnet_stat", "stat", "uptime", "version"):
            self.file(f"proc/{name}", f"{name} here\n")
        self.file("proc/sys/kernel/random/boot_id", "0f0f0f0f-0000-4000-8000-000000000001\n")
        self.file("proc/sys/net/core/netdev_max_backlog", "1000\n")
        self.file("sys/class/net/eth0/statistics/rx_dropped", "7\n")
        self.file("sys/class/net/eth0/device/features", "01" * 32 + "\n")
        for tool in ("ip", "tc", "ethtool", "netstat", "nstat", "dmesg"):
            self.command(tool, f'echo "{tool} $*"')
        self.command("sleep", "case $1 in 9) exec /bin/sleep 9 ;; esac")

    def file(self, path: str, content: str) -> None:
        """Write a file below the root."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")

    def command(self, name: str, body: str) -> None:
        """Put a command first in PATH."""
        place = self.bin / name
        place.write_text(f"#!/bin/sh\n{body}\n", encoding="ascii")
        place.chmod(0o755)

    def words(self, shell: list[str], *options: str) -> list[str]:
        """Return the command line of a run."""
        return [*shell, str(LINUX), "--interval", "1", *options]

    def run(
        self, shell: list[str], *options: str, script: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the script to its end; as standard input of the shell where its text is given."""
        words = [*shell, "-s", "--", *options] if script is not None else self.words(shell, *options)
        environment = {"PATH": self.path, "VNETKB_ROOT_PREFIX": str(self.root)}
        done = subprocess.run(
            words, input=script or b"", env=environment, capture_output=True, check=False, timeout=60
        )
        return subprocess.CompletedProcess(
            words, done.returncode, done.stdout.decode(errors="surrogateescape"), done.stderr.decode()
        )


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    """Return a made-up guest."""
    return Guest(tmp_path)


def unpack(text: str) -> dict[str, str]:
    """Return the files of a text container by path; every line must belong to it."""
    rows = text.split("\n")
    assert re.fullmatch(r"VNETKB-CONTAINER 1 vnetkb-guest-[\w.-]+-\d{8}T\d{6}Z", rows[0])
    assert rows[-2:] == ["@@END", ""]
    files: dict[str, list[str]] = {}
    for row in rows[1:-2]:
        if row.startswith("@@ "):
            assert row[3:] not in files
            files[row[3:]] = []
        else:
            assert row.startswith("|"), row
            list(files.values())[-1].append(row[1:])
    return {path: "".join(f"{line}\n" for line in lines) for path, lines in files.items()}


def captures(collector: str) -> list[dict[str, object]]:
    """Return what the knowledge base says that a collector takes."""
    loaded = yaml.safe_load((TREE / "kb" / "captures" / f"{collector}.yaml").read_text(encoding="utf-8"))
    rows: list[dict[str, object]] = loaded["captures"]
    return rows


def test_two_samples_and_what_does_not_change(guest: Guest, shell: list[str]) -> None:
    done = guest.run(shell, "--output", "-", "--quiet")
    files = unpack(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert files["0/guest-proc-net-dev"] == files["1/guest-proc-net-dev"] == "net/dev here\n"
    assert files["0/guest-sysfs-net"] == "eth0/statistics/rx_dropped:7\n"
    assert files["0/guest-ethtool-s"] == "@ eth0\nethtool -S eth0\n"
    assert files["1/guest-nstat"] == "nstat nstat -a -s -z -j\n".removeprefix("nstat ")
    assert files["0/guest-sysctl-net"] == "net/core/netdev_max_backlog:1000\n"
    assert "1/guest-sysctl-net" not in files
    assert "boot_id 0f0f0f0f-0000-4000-8000-000000000001\n" in files["1/guest-clock"]
    assert "interval=1\n" in files["manifest.kv"]
    # what is not there is named
    assert "absent=0/guest-proc-net-udp not-found /proc/net/udp\n" in files["manifest.kv"]


def test_it_works_as_standard_input_of_the_shell_as_the_guest_agent_runs_it(
    guest: Guest, shell: list[str]
) -> None:
    done = guest.run(shell, "--output", "-", "--interval", "1", "--quiet", script=LINUX.read_bytes())

    assert done.returncode == 0, done.stderr
    assert "1/guest-proc-net-snmp" in unpack(done.stdout)


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_cost_no_capture(guest: Guest, shell: list[str], closed: str) -> None:
    whole = unpack(guest.run(shell, "--output", "-", "--quiet").stdout)
    run = ["sh", "-c", f'exec "$@" {closed}', "sh", *guest.words(shell, "--output", str(guest.out))]
    environment = {"PATH": guest.path, "VNETKB_ROOT_PREFIX": str(guest.root)}
    subprocess.run(run, env=environment, check=True, timeout=60)
    (file,) = guest.out.iterdir()
    found = unpack(gzip.decompress(file.read_bytes()).decode())
    assert found["0/guest-sysfs-net"]
    for path in whole:
        if path.endswith(("guest-sysfs-net", "guest-proc-net-dev", "guest-ethtool-s")):
            assert found[path] == whole[path]


def test_only_what_the_knowledge_base_lists_is_taken(guest: Guest) -> None:
    for name in ("snmp6", "sockstat", "packet", "udp", "udp6"):
        guest.file(f"proc/net/{name}", "x\n")
    for name in ("softirqs", "meminfo"):
        guest.file(f"proc/{name}", "x\n")
    guest.file("proc/interrupts", "   CPU0\n 24: 5 PCI-MSI virtio0-input.0\n 25: 5 PCI-MSI ahci\n")
    guest.command(
        "dmesg", "echo 'virtio_net virtio0 eth0: link up'; echo 'virtio IN=eth0 SRC=192.0.2.1 MAC=52'"
    )
    files = unpack(guest.run(["dash"], "--output", "-", "--quiet").stdout)
    listed = {str(row["id"]): row["when"] for row in captures("guest-linux")}

    assert {path.partition("/")[2] for path in files if "/" in path} <= set(listed)
    assert {path[2:] for path in files if path.startswith("1/")} == {
        name for name, when in listed.items() if when == "snapshot"
    }
    assert files["0/guest-kernel-log"] == "virtio_net virtio0 eth0: link up\n"
    assert "ahci" not in files["0/guest-proc-interrupts"]


def test_a_file_gets_its_name_when_it_is_whole(guest: Guest, shell: list[str]) -> None:
    done = guest.run(shell, "--output", str(guest.out), "--quiet")
    path = Path(done.stdout.splitlines()[-1])

    assert list(guest.out.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.name.endswith(".txt.gz")
    assert "1/guest-clock" in unpack(gzip.decompress(path.read_bytes()).decode())


def test_what_hangs_or_floods_is_cut(guest: Guest, shell: list[str]) -> None:
    guest.command("nstat", f"[ -e {guest.out}/hung ] || {{ : >{guest.out}/hung; exec /bin/sleep 60; }}")
    guest.command("netstat", "yes 0123456789")
    started = time.monotonic()
    files = unpack(guest.run(shell, "--output", "-", "--quiet").stdout)

    assert time.monotonic() - started < 50
    assert "absent=0/guest-nstat empty\n" in files["manifest.kv"]
    assert len(files["0/guest-netstat-i"]) <= 262144
    assert files["0/guest-netstat-i"].endswith("0123456789\n")
    assert "cut=0/guest-netstat-i\n" in files["manifest.kv"]


def test_tools_that_are_not_there_are_named(guest: Guest, shell: list[str]) -> None:
    if shell[0] == "bash":
        pytest.skip("one shell with, one without built-in tools are enough")
    only = guest.root.parent / "only"
    only.mkdir()
    for tool in ("cat", "date", "grep", "head", "sed", "sleep", "tail", "uname", "dash", "busybox", "true"):
        (only / tool).symlink_to(str(shutil.which(tool)))
    environment = {"PATH": str(only), "VNETKB_ROOT_PREFIX": str(guest.root)}
    script = LINUX.read_text(encoding="ascii").replace("/usr/sbin:/usr/bin:/sbin:/bin", str(only))
    alone = guest.root.parent / "script"
    alone.write_text(script, encoding="ascii")
    done = subprocess.run(
        [*shell, str(alone), "--output", "-", "--quiet", "--interval", "1"],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    files = unpack(done.stdout)

    assert "absent=0/guest-ip-link tool-missing ip\n" in files["manifest.kv"]
    assert "absent=0/guest-ethtool-s tool-missing ethtool\n" in files["manifest.kv"]
    assert files["0/guest-proc-net-snmp"] == "net/snmp here\n"


def test_a_signal_leaves_nothing_behind(guest: Guest, shell: list[str]) -> None:
    words = guest.words(shell, "--output", str(guest.out), "--interval", "9")
    environment = {"PATH": guest.path, "VNETKB_ROOT_PREFIX": str(guest.root)}
    process = subprocess.Popen(
        words, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0, text=True
    )
    assert process.stderr is not None
    assert "waiting 9 s" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=40)

    assert process.returncode != 0
    assert list(guest.out.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--interval", "0"), "whole seconds"),
        (("--interval", "1.5"), "whole seconds"),
        (("--interval",), "whole seconds"),
        (("--output",), "needs a directory"),
        (("--nonsense",), "unknown option"),
        (("web01",), "unknown option or argument"),
    ],
)
def test_wrong_options(guest: Guest, shell: list[str], options: tuple[str, ...], said: str) -> None:
    done = guest.run(shell, *options)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_where_it_cannot_write_it_says_so(guest: Guest, shell: list[str]) -> None:
    done = guest.run(shell, "--output", str(guest.out / "none"))

    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing was written" in done.stderr


def test_self_check_tells_what_is_there(guest: Guest, shell: list[str]) -> None:
    done = guest.run(shell, "--self-check")

    assert done.returncode == 0
    assert "ok       ethtool" in done.stdout
    assert "ok       interface eth0" in done.stdout
    assert f"missing  {guest.root}/proc/net/udp" in done.stdout


def listed(text: str) -> list[dict[str, str]]:
    """Return the blocks that --list prints."""
    rows = []
    for block in text.strip().split("\n\n"):
        first, *rest = block.split("\n")
        rows.append({"id": first} | dict(line.split(None, 1) for line in rest))
    return rows


def agree(told: list[dict[str, str]], known: list[dict[str, object]]) -> None:
    """Hold a script's own list against the knowledge base."""
    by_id = {str(row["id"]): row for row in known}
    for row in told:
        capture = by_id[row["id"]]
        assert (row["when"], row["why"], row["safe"]) == (capture["when"], capture["why"], capture["safe"])
        assert row["reveals"].split(", ") == capture["reveals"]
        assert row["needs"].split(", ") == capture.get("needs", ["-"])


def test_the_linux_list_agrees_with_the_knowledge_base(guest: Guest, shell: list[str]) -> None:
    told = listed(guest.run(shell, "--list").stdout)

    assert [row["id"] for row in told] == [row["id"] for row in captures("guest-linux")]
    agree(told, captures("guest-linux"))


def test_the_windows_list_agrees_with_the_knowledge_base() -> None:
    found = re.search(r"\$Catalogue = @'\n(.*?)\n'@", WINDOWS.read_text(encoding="ascii"), re.DOTALL)
    assert found is not None
    names = ("id", "when", "needs", "what", "why", "safe", "reveals")
    told = [dict(zip(names, line.split("|"), strict=True)) for line in found[1].split("\n")]
    known = captures("guest-windows")
    only_batch = {"win-chcp", "win-getmac", "win-reg-nics"}

    assert {row["id"] for row in told} | only_batch == {row["id"] for row in known}
    agree(told, known)


def test_the_powershell_script_is_ascii_and_parses() -> None:
    source = WINDOWS.read_bytes()
    language = tree_sitter.Language(tree_sitter_powershell.language())
    tree = tree_sitter.Parser(language).parse(source)

    assert source.isascii()
    assert b"\t" not in source
    assert not tree.root_node.has_error


# What came after PowerShell 2.0, where the script would fail as a whole.
@pytest.mark.parametrize(
    "newer",
    [
        r"\[ordered\]", r"\bConvertTo-Json\b", r"\[pscustomobject\]", r"\s-in\s", r"\s-notin\s", r"::new\(",
        r"\bclass\s+\w+\s*\{", r"\?\?", r"\$using:", r"\bGet-NetAdapter", r"-shl\b", r"\.ForEach\(",
        r"\.Where\(",
        r"\bInvoke-Expression\b", r"\bSet-\w+", r"\bRemove-\w+", r"\bNew-Item\b", r"\bStart-Process\b",
    ],
)  # fmt: skip
def test_the_powershell_script_keeps_to_version_two_and_to_reading(newer: str) -> None:
    code = "\n".join(
        line for line in WINDOWS.read_text(encoding="ascii").split("\n") if not line.lstrip().startswith("#")
    )

    assert re.search(newer, code, re.IGNORECASE) is None


def test_every_file_of_the_windows_scripts_is_known() -> None:
    known = {str(row["id"]) for row in captures("guest-windows")}
    given = set(re.findall(r"Add-(?:Text|Json|Tool) '([\w-]+)'", WINDOWS.read_text(encoding="ascii")))
    batch = set(re.findall(r"call :part (?:%1|0)/([\w-]+)", BATCH.read_text(encoding="ascii")))

    assert given | batch == known


def test_the_batch_file_has_the_line_ends_that_goto_needs() -> None:
    source = BATCH.read_bytes()

    assert source.isascii()
    assert source.count(b"\r\n") == source.count(b"\n")
    labels = set(re.findall(rb"^:(\w+)\r$", source, re.MULTILINE))
    assert set(re.findall(rb"(?:goto|call) :?(\w+)", source)) <= labels
    # base64 is not within reach of plain tools, so it writes the other form of the container
    assert base64.b64encode(b"x") not in source
