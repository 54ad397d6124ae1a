# SPDX-License-Identifier: Apache-2.0
"""A host that means ill or is worn out: hanging tools, links, leftovers, odd names, SIGKILL."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import rig
from collectors.fake_host import QUICK, SCRIPT, SHELLS, FakeHost, add_interface, net_dev
from vnetkb.bundle import read_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: needs root")
KILLS = int(os.environ.get("VNETKB_KILLS", "12"))
"""Kills at random moments; `make kills` asks for 200."""
DASH = SHELLS["dash"]


@pytest.mark.parametrize("tool", ["grep", "sha256sum", "awk", "date", "wc"])
def test_a_needed_tool_that_hangs_is_told_at_once(host: FakeHost, shell: list[str], tool: str) -> None:
    host.command(tool, "sleep 100")

    outcome = host.run(shell, *QUICK, env={"VNETKB_LIMIT_S": "2"})

    assert outcome.returncode == 1
    assert outcome.stderr.endswith(f"{tool} does not answer within 2 s; nothing was written\n")
    assert list(host.out.iterdir()) == []
    assert host.wait_until_quiet() == []


def test_a_grep_that_hangs_in_a_sample_costs_that_sample(host: FakeHost) -> None:
    grep = shutil.which("grep")
    host.command("grep", f'case "$*" in *^intr*) sleep 100 ;; *) exec {grep} "$@" ;; esac')

    bundle = host.run(DASH, *QUICK, env={"VNETKB_LIMIT_S": "1"}).bundle

    assert bundle.capture("proc-net-dev", 1)["absent"] is None
    assert host.wait_until_quiet() == []


@needs_root
@pytest.mark.parametrize("size", ["8k", "100k", "300k", "600k"])
def test_a_full_disk_is_one_clear_line(host: FakeHost, shell: list[str], size: str) -> None:
    body = f'mount -t tmpfs -o size={size} none {host.out} || exit 99; "$@"'
    host.file("proc/stat", "cpu  1 2 3 4\n" * 30000)

    outcome = host.run(shell, *QUICK, "--quiet", before=("unshare", "-m", "sh", "-c", body, "sh"))

    assert outcome.returncode == 1
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("vnetkb-collect: ")
    assert "full" in line or "cannot write" in line


def leftover(host: FakeHost, pid: int, mark: str) -> Path:
    folder = host.out / f".vnetkb-collect.{pid}{mark}.12345"
    folder.mkdir()
    (folder / "raw").write_text("x", encoding="ascii")
    return folder


def mark_of(pid: int) -> str:
    space = Path("/proc/self/ns/pid").readlink().name.partition("[")[2].rstrip("]")
    start = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()[19]
    return f".{space}.{start}"


def test_leftovers_of_a_killed_collector_are_removed(host: FakeHost, shell: list[str]) -> None:
    mine = mark_of(os.getpid())
    gone = leftover(host, 999_999_999, mine)
    reused = leftover(host, os.getpid(), mine.rpartition(".")[0] + ".1")

    outcome = host.run(shell, *QUICK, "--snapshots", "1")

    assert not gone.exists()
    assert not reused.exists()
    assert "removed what a collector that was killed had left" in outcome.stderr
    assert outcome.bundle.manifest["notes"]


def test_what_may_be_of_a_collector_at_work_is_left_alone(host: FakeHost, shell: list[str]) -> None:
    kept = [
        leftover(host, os.getpid(), mark_of(os.getpid())),
        leftover(host, 999_999_998, ".1.77"),
        leftover(host, 999_999_997, ""),
    ]
    elsewhere = host.root / "elsewhere"
    elsewhere.mkdir()
    link = host.out / ".vnetkb-collect.999999996.12345"
    link.symlink_to(elsewhere)

    assert host.run(shell, *QUICK, "--snapshots", "1").returncode == 0

    assert all(folder.exists() for folder in kept)
    assert link.is_symlink()
    assert elsewhere.exists()


@pytest.mark.parametrize("name", [".tar.gz", ".map"])
def test_nothing_is_written_through_a_link(host: FakeHost, shell: list[str], name: str) -> None:
    stamps = "*-*-*) echo 2026-11-22T13:45:00Z ;; *) echo 20261122T134500Z ;;"
    host.command("date", f"case $* in *T*Z) case $* in {stamps} esac ;; esac")
    victim = host.root / "victim"
    victim.write_text("untouched", encoding="ascii")
    if name == ".map":
        (host.out / "vnetkb-maskedhost1-20261122T134500Z.map").symlink_to(victim)
        outcome = host.run(shell, *QUICK, "--snapshots", "1", "--mask")
        assert outcome.returncode == 1
        assert not list(host.out.glob("*.tar.gz"))
    else:
        (host.out / "vnetkb-maskedhost1-20261122T134500Z.tar.gz").symlink_to(victim)
        run = host.start(shell, *QUICK, "--snapshots", "1", "--mask")
        time.sleep(1)
        os.killpg(run.pid, signal.SIGTERM)
        run.communicate(timeout=20)

    assert victim.read_text(encoding="ascii") == "untouched"


@needs_root
def test_root_does_not_write_where_everybody_may_replace_files(host: FakeHost, shell: list[str]) -> None:
    host.out.chmod(0o777)

    outcome = host.run(shell, *QUICK)

    assert outcome.returncode == 1
    assert "everybody may replace files" in outcome.stderr
    host.out.chmod(0o1777)
    assert host.run(shell, *QUICK, "--snapshots", "1").returncode == 0


ODD_ENDS = (
    "a$(id)",
    "a`id`;b",
    "a'b\"c",
    "a*?[z]",
    "a\\x41",
    "-rf",
    "a&b<c>d",
    "a|b#c",
    "\xe4\xf6",
    "a\x1b[2Jb",
    "..a",
    "a:b@c",
)


ODD_NAMES = tuple(f"{end}acme{end}" for end in ODD_ENDS)


@pytest.mark.parametrize("option", ["--quiet", "--mask"])
def test_names_with_every_legal_byte(host: FakeHost, shell: list[str], option: str) -> None:
    for name in ODD_NAMES:
        add_interface(host, name, tap=True)
    host.file("proc/net/dev", net_dev(**dict.fromkeys(("vnet3", *ODD_NAMES), 5)))

    outcome = host.run(shell, *QUICK, "--snapshots", "1", option)

    bundle = outcome.bundle
    text = bundle.text("sysfs-net")
    if option == "--quiet":
        for name in ODD_NAMES:
            assert f"{name}/statistics/tx_dropped:5\n" in text
    else:
        assert not [name for name in ODD_NAMES if f"{name}/statistics" in text]
        assert text.count("maskedif") >= len(ODD_NAMES)
    assert read_bundle(bundle.path).notices == ()


def test_ten_thousand_processes(host: FakeHost) -> None:
    for pid in range(20_000, 30_000):
        folder = host.root / "proc" / str(pid)
        folder.mkdir()
        (folder / "comm").write_text("sleep\n", encoding="ascii")

    bundle = host.run(DASH, *QUICK, "--snapshots", "1").bundle

    assert "/4711/" in bundle.text("tun-fdinfo")
    assert "4711\t-smp" in bundle.text("proc-cmdline")


def whole_bundles(folder: Path) -> Iterator[Path]:
    """Yield the bundles under a final name; each must be whole."""
    for path in folder.glob("vnetkb-*.tar.gz"):
        assert read_bundle(path).notices == ()
        with tarfile.open(path) as archive:
            assert any(name.endswith("/manifest.json") for name in archive.getnames())
        yield path


def test_killed_outright_at_random_moments(host: FakeHost) -> None:
    chance = random.Random(20261122)  # noqa: S311  # repeatable, not secret
    for _ in range(KILLS):
        run = host.start(chance.choice(list(SHELLS.values())), *QUICK, "--mask")
        time.sleep(chance.uniform(0.0, 1.6))
        if chance.random() < 0.5:  # the shell alone, or all of it
            run.kill()
        else:
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=30)
        assert sum(1 for _ in whole_bundles(host.out)) <= KILLS
    assert host.wait_until_quiet() == []

    outcome = host.run(DASH, *QUICK, "--snapshots", "1")

    assert outcome.returncode == 0
    assert not list(host.out.glob(".vnetkb-collect.*"))
    assert outcome.bundle.path in set(whole_bundles(host.out))


@pytest.mark.real
@pytest.mark.skipif(rig.why_unavailable() is not None, reason=f"NOT TESTED: {rig.why_unavailable()}")
def test_killed_outright_while_tracing(tmp_path: Path) -> None:
    instances = Path("/sys/kernel/tracing/instances")

    def body() -> dict[str, Any]:
        chance = random.Random(7)  # noqa: S311  # repeatable, not secret
        words = [
            *DASH,
            str(SCRIPT),
            "--output",
            str(tmp_path),
            "--interval",
            "0.6",
            "--every",
            "0.1",
            "--trace",
            "0.4",
        ]
        made = 0
        with rig.Tap("vnet731"):
            for _ in range(max(4, KILLS // 3)):
                run = subprocess.Popen(
                    words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
                )
                end = time.monotonic() + 10
                while not (found := list(instances.glob(f"vnetkb-{run.pid}-*"))) and time.monotonic() < end:
                    time.sleep(0.01)
                time.sleep(chance.uniform(0.0, 0.6))
                made += len(found)
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
            done = subprocess.run(
                [*words[:-2], "--snapshots", "1"], capture_output=True, text=True, check=False
            )
        left = [path.name for path in instances.glob("vnetkb-*")]
        return {"made": made, "left": left, "returncode": done.returncode, "error": done.stderr}

    found = rig.in_sandbox(body)

    assert found["returncode"] == 0, found["error"]
    assert found["left"] == []
    assert found["made"] > 0
    assert not list(tmp_path.glob(".vnetkb-collect.*"))
