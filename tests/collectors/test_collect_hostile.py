# SPDX-License-Identifier: Apache-2.0
"""A host that means ill or is worn out: hanging tools, links, leftovers, odd names, SIGKILL."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tarfile
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import rig
from collectors.fake_host import (
    QEMU,
    QUICK,
    SCRIPT,
    SHELLS,
    STAT_FIELDS,
    FakeHost,
    Outcome,
    add_interface,
    add_process,
    net_dev,
)
from collectors.test_collect_guests import add_libvirt, answers
from vnetkb.bundle import read_bundle
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb
from vnetkb.printable import printable
from vnetkb.report import render_text

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


NOWHERE_TO_WRITE = {
    "few files": "mount -t tmpfs -o nr_inodes={limit} none {out}",
    "quota": """truncate -s 120M {out}.image && mkfs.btrfs -q -M {out}.image >/dev/null &&
        mkdir {out}.volume && mount -o loop {out}.image {out}.volume && btrfs quota enable {out}.volume &&
        btrfs -q subvolume create {out}.volume/a && btrfs qgroup limit {limit} {out}.volume/a &&
        mount --bind {out}.volume/a {out}""",
    "read-only": "mount --bind {out} {out} && mount -o remount,bind,ro {out}",
}


@needs_root
@pytest.mark.parametrize(
    ("what", "limit"),
    [("few files", "6"), ("few files", "20"), ("quota", "150K"), ("quota", "700K"), ("read-only", "")],
)
def test_where_nothing_can_be_written_one_line_says_so(host: FakeHost, what: str, limit: str) -> None:
    if what == "quota" and shutil.which("mkfs.btrfs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("NOT TESTED: btrfs-progs is not installed, which gives a quota")
    left = host.root.parent / "left"
    made = NOWHERE_TO_WRITE[what].format(out=host.out, limit=limit)
    body = f"""PATH=$PATH:/usr/sbin:/sbin; {{ {made}; }} || exit 99
        "$@"; rc=$?; ls -A {host.out} >{left}; exit $rc"""
    host.file("proc/stat", os.urandom(200_000).hex() + "\n")

    outcome = host.run(DASH, *QUICK, "--quiet", before=("unshare", "-m", "sh", "-c", body, "sh"))

    if outcome.returncode == 99:
        pytest.skip(f"NOT TESTED: no {what} can be made here")
    assert outcome.returncode == 1, outcome.stderr
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("vnetkb-collect: ")
    assert "full, or a quota" in line or "cannot write" in line
    assert line.endswith("nothing was written")
    assert left.read_text(encoding="ascii") == ""


@needs_root
def test_a_read_only_root(host: FakeHost, shell: list[str]) -> None:
    body = f"""mount --bind {host.out} {host.out} && mount -o remount,bind,ro / || exit 99
        ! true 2>/dev/null >{host.root}/x || exit 98; exec "$@" """

    outcome = host.run(
        shell, *QUICK, "--mask", "--device", "vnet3", before=("unshare", "-m", "sh", "-c", body, "sh")
    )

    if outcome.returncode == 99:
        pytest.skip("NOT TESTED: no file system can be mounted again here")
    assert outcome.bundle.manifest["masked"] is True
    assert read_bundle(outcome.bundle.path).notices == ()
    assert "ead-only" not in outcome.stderr


@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_the_umask_and_a_missing_home_change_nothing(host: FakeHost, shell: list[str], umask: str) -> None:
    run = host.start(shell, *QUICK, "--mask", before=("sh", "-c", f'umask {umask}; exec "$@"', "sh"))
    modes = set()
    while run.poll() is None:
        for folder, folders, files in os.walk(host.out):
            for name in (*folders, *files):
                with suppress(OSError):
                    modes.add(Path(folder, name).lstat().st_mode & 0o077)
    out, error = run.communicate()

    assert "HOME" not in host.environment()
    assert modes == {0}
    assert Outcome(run.returncode, out, error).bundle.manifest["masked"] is True
    assert {path.stat().st_mode & 0o777 for path in host.out.iterdir()} == {0o600}


@pytest.mark.parametrize("option", ["--quiet", "--mask"])
def test_nothing_goes_to_the_folder_for_temporary_files(
    host: FakeHost, shell: list[str], option: str
) -> None:
    theirs = host.root / "theirs"
    theirs.mkdir()
    (host.root / "tmp").symlink_to(theirs)
    os.utime(theirs, (1, 1))

    outcome = host.run(shell, *QUICK, "--snapshots", "1", option, env={"TMPDIR": str(host.root / "tmp")})

    assert outcome.returncode == 0
    assert theirs.stat().st_mtime == 1


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


@needs_root
@pytest.mark.parametrize("where", ["itself", "above", "through a link"])
def test_root_does_not_write_where_another_user_may_replace_files(
    host: FakeHost, shell: list[str], where: str
) -> None:
    owned, target = host.root / "theirs", host.root / "theirs" / "out"
    target.mkdir(parents=True)
    os.chown(target if where == "itself" else owned, 65534, 65534)
    place = host.root / "tmp"
    place.symlink_to(target)
    output = str(place if where == "through a link" else target)

    outcome = host.run(shell, *QUICK, "--output", output)

    assert outcome.returncode == 1
    assert "is another user's, who may replace files in it" in outcome.stderr
    assert list(target.iterdir()) == []


@needs_root
def test_who_became_root_by_sudo_may_write_at_home(host: FakeHost, shell: list[str]) -> None:
    os.chown(host.out, 1234, 1234)

    assert host.run(shell, *QUICK, "--snapshots", "1", env={"SUDO_UID": "1234"}).returncode == 0
    assert host.run(shell, *QUICK, "--snapshots", "1", env={"SUDO_UID": "1235"}).returncode == 1


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


LEGAL = bytes(sorted({*range(1, 256)} - {*b"/: \t\n\v\f\r"}))
"""What the kernel lets stand in the name of an interface (dev_valid_name, net/core/dev.c)."""
EVERY_BYTE = [os.fsdecode(LEGAL[at : at + 10] + b"acme") for at in range(0, len(LEGAL), 10)]


@pytest.mark.parametrize("option", ["--quiet", "--mask"])
def test_interfaces_processes_and_machines_with_any_byte_in_their_names(
    host: FakeHost, shell: list[str], option: str
) -> None:
    for name in EVERY_BYTE:
        add_interface(host, name, tap=True)
    dropped = net_dev(**dict.fromkeys(("vnet3", *EVERY_BYTE), 5))
    host.file("proc/net/dev", os.fsencode(dropped))
    # A thread's name holds any byte but 0; a VM's is taken from the arguments of QEMU and from libvirt.
    comm = b"\n) R 9 acme\x1b[2J\xff"
    host.file("proc/4711/task/4713/comm", comm + b"\n")
    host.file("proc/4711/task/4713/stat", b"4713 (" + comm + b") " + STAT_FIELDS.encode() + b"\n")
    host.file("proc/4711/task/4713/status", b"Name:\t\\n) R 9 acme\x1b[2J\xff\nState:\tS (sleeping)\n")
    machine = LEGAL.replace(b"'", b"").replace(b"\\", b"") + b"acme /:"
    host.file("listed", b" Id   Name   State\n----\n 1    " + machine + b"   running\n\n")
    host.file("stats", b"Domain: '" + machine + b"'\n  state.state=1\n  net.count=0\n\n")
    host.command(
        "virsh",
        f"""case "$*" in *domstats*) cat {host.root}/stats ;; *list*) cat {host.root}/listed ;;
        *) exit 1 ;; esac""",
    )

    outcome = host.run(shell, *QUICK, "--snapshots", "1", option)

    bundle = outcome.bundle
    whole = b"\n".join(bundle.members.values())
    if option == "--quiet":
        for name in EVERY_BYTE:
            assert os.fsencode(name) + b"/statistics/tx_dropped:5\n" in whole
        assert machine in whole
    else:
        assert b"acme" not in whole
    assert read_bundle(bundle.path).notices == ()
    knowledge = load_kb()
    told = render_text(
        diagnose(build(read_bundle(bundle.path), knowledge), knowledge, every=True), every=True
    )
    assert "\x1b" not in printable(told)


def test_what_vanishes_between_the_list_and_the_reading_costs_no_other(
    host: FakeHost, shell: list[str]
) -> None:
    add_interface(host, "vnet9", tap=True)
    add_process(host, 4900, "qemu-system-x86", QEMU, threads={4900: "qemu-system-x86", 4901: "CPU 0/KVM"})
    host.link("proc/4900/fd/25", "/dev/net/tun")
    host.file("proc/4900/fdinfo/25", "iff:\tvnet9\n")
    # All lists go to xargs; the first one is of interfaces.
    gone = f"rm -rf {host.root}/sys/class/net/vnet9 {host.root}/proc/4900 {host.root}/proc/4711/task/4712"
    host.command("xargs", f'{gone}; exec {shutil.which("xargs")} "$@"')

    bundle = host.run(shell, *QUICK).bundle

    for snapshot in (0, 1):
        counters = bundle.text("sysfs-net", snapshot)
        assert "vnet3/statistics/tx_dropped:5\n" in counters
        assert "vnet9/" not in counters
        tasks = bundle.text("task-schedstat", snapshot)
        assert "/4711/task/4711/" in tasks
        assert "/900/task/900/" in tasks
        assert "/4900/" not in tasks
        assert bundle.capture("sysfs-net", snapshot)["truncated"] is False
    assert "iff:\tvnet3" in bundle.text("tun-fdinfo")
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


class Slow(BaseHTTPRequestHandler):
    """Takes what is sent a little at a time, so that a kill finds it on its way."""

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        while left > 0 and (data := self.rfile.read(min(left, 2000))):
            left -= len(data)
            time.sleep(0.1)
        self.send_response(201)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def slow_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/in/"
        finally:
            server.shutdown()


@pytest.mark.parametrize("what", ["guest", "upload"])
def test_killed_outright_with_a_guest_and_while_sending(host: FakeHost, what: str) -> None:
    add_libvirt(host, answers())
    chance = random.Random(20261123)  # noqa: S311  # repeatable, not secret
    sent = 0
    with slow_server() as url:
        words = ["--guest", "all"] if what == "guest" else ["--snapshots", "1", "--upload", url]
        for _ in range(max(6, KILLS // 2)):
            before = set(host.out.glob("*.tar.gz"))
            run = host.start(chance.choice(list(SHELLS.values())), *QUICK, *words)
            if what == "upload" and chance.random() < 0.8:  # else somewhere before
                end = time.monotonic() + 60
                while not set(host.out.glob("*.tar.gz")) - before and time.monotonic() < end:
                    time.sleep(0.02)
                sent += 1
            time.sleep(chance.uniform(0.0, 3.0 if what == "guest" else 1.5))
            if chance.random() < 0.5:
                run.kill()
            else:
                os.killpg(run.pid, signal.SIGKILL)
            run.communicate(timeout=60)
        assert host.wait_until_quiet() == []

    assert all(True for _ in whole_bundles(host.out))
    assert sent or what == "guest"
    outcome = host.run(DASH, *QUICK, "--snapshots", "1")
    assert outcome.returncode == 0
    assert not list(host.out.glob(".vnetkb-collect.*"))


@pytest.mark.skipif(shutil.which("age") is None, reason="NOT TESTED: age is not installed")
def test_killed_outright_while_encrypting(host: FakeHost, tmp_path: Path) -> None:
    identity = tmp_path / "identity"
    made = subprocess.run(["age-keygen", "-o", str(identity)], capture_output=True, text=True, check=True)
    words = ["--snapshots", "1", "--mask", "--encrypt-to", made.stderr.split()[-1]]
    host.command("age", f'sleep 0.3; exec {shutil.which("age")} "$@"')
    chance = random.Random(20261125)  # noqa: S311  # repeatable, not secret
    for _ in range(max(6, KILLS // 2)):
        run = host.start(chance.choice(list(SHELLS.values())), *QUICK, *words)
        end = time.monotonic() + chance.uniform(0.0, 4.0)
        while run.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        if chance.random() < 0.5:
            run.kill()
        else:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=60)
        assert not list(host.out.glob("vnetkb-*.tar.gz")), "clear text is never left"
    assert host.wait_until_quiet() == []

    outcome = host.run(DASH, *QUICK, *words)

    assert outcome.returncode == 0, outcome.stderr
    assert not [path for path in host.out.iterdir() if path.name.startswith(".")]
    encrypted = list(host.out.glob("vnetkb-*.tar.gz.age"))
    assert encrypted
    for path in encrypted:
        assert read_bundle(path, identity=identity).notices == ()


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
