# SPDX-License-Identifier: Apache-2.0
"""A host on a bad day: commands that hang, fail, lack or flood; signals; a full disk; no root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from collectors.fake_host import (
    QUICK,
    SCRIPT,
    SHELLS,
    TC_BATCH,
    Bundle,
    FakeHost,
    Outcome,
    net_dev,
    rich_host,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: needs root")

HANG = """trap '' TERM INT HUP
true >"$0.hangs"
sleep 100 &
sleep 100
sleep 100"""
NOT_GNU = 'echo "timeout: unrecognized option" >&2; exit 1'
APPLETS = """awk cat cut date dmesg du find grep gzip head id ln ls mkdir mv rm sed sh sha256sum sleep sort
tail tar tr true uname wc xargs"""
OLD = """case "$*" in *-j*) echo 'Option "-j" is unknown, try "help".' >&2; exit 255 ;; esac"""
OLD_TC = f"""{OLD}
case "$*" in *"qdisc show") echo "qdisc htb 1: dev vnet3 root refcnt 2" ;; esac{TC_BATCH}"""
BAD_OVS = """case "$*" in --version) exec yes flood ;; esac
echo "no permission: Permission denied" >&2; exit 1"""


@pytest.fixture(scope="session", params=["gnu-timeout", "own-watch"])
def bad_day(
    shell: list[str], request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FakeHost, Outcome]:
    """Return a collection in which nearly every command misbehaves, once without GNU's timeout."""
    host = rich_host(tmp_path_factory.mktemp("bad"))
    if request.param == "own-watch":
        host.command("timeout", NOT_GNU)
    host.command("ip", f'case "$*" in -V) exit 0 ;; esac\n{HANG}')
    host.command("tc", OLD_TC)
    host.command("virsh", 'echo "half a line"; echo "error: no connection" >&2; exit 1')
    host.command("ovs-vsctl", BAD_OVS)
    host.command("ethtool", "kill -SEGV $$")
    return host, host.run(shell, *QUICK, "--snapshots", "2", env={"VNETKB_LIMIT_S": "1"})


def test_a_hanging_command_is_killed_with_its_children(bad_day: tuple[FakeHost, Outcome]) -> None:
    host, outcome = bad_day
    absent = outcome.bundle.capture("ip-link")["absent"]

    assert (host.bin / "ip.hangs").exists()
    assert absent["reason"] == "timed-out"
    assert host.wait_until_quiet() == []


def test_a_hanging_command_is_not_asked_again(bad_day: tuple[FakeHost, Outcome]) -> None:
    assert bad_day[0].called("ip") == ["-s -s -d -j link show"]
    assert bad_day[1].bundle.capture("ip-link", 1)["absent"]["reason"] == "timed-out"


def test_a_file_that_never_answers_costs_no_other(host: FakeHost) -> None:
    (host.root / "proc/schedstat").unlink()
    for path in ("sys/class/net/br0/carrier", "proc/schedstat"):
        os.mkfifo(host.root / path)

    bundle = host.run(SHELLS["dash"], *QUICK, env={"VNETKB_LIMIT_S": "1"}).bundle

    for snapshot in (0, 1):
        row = bundle.capture("sysfs-net", snapshot)
        assert (row["truncated"], row["exit_status"]) == (True, 124)
        for name in ("vnet3", "br0", "eth0"):
            assert f"{name}/statistics/tx_dropped:5\n" in bundle.text("sysfs-net", snapshot)
    assert bundle.capture("proc-schedstat")["absent"]["detail"] == "no output within 1 s"
    assert "not asked again" in bundle.capture("proc-schedstat", 1)["absent"]["detail"]


def test_an_old_tool_is_asked_for_text(bad_day: tuple[FakeHost, Outcome]) -> None:
    bundle = bad_day[1].bundle

    for snapshot in (0, 1):
        assert bundle.capture("tc-qdisc", snapshot)["absent"]["reason"] == "not-supported"
        assert bundle.text("tc-qdisc-text", snapshot) == "qdisc htb 1: dev vnet3 root refcnt 2\n"
        assert bundle.text("tc-class", snapshot) == "@ vnet3 root\nclass htb 1:1 root\n Sent 5 bytes\n\n"
    assert len([call for call in bad_day[0].called("tc") if "-j" in call]) == 1


def test_an_answer_is_never_given_to_the_wrong_interface(host: FakeHost) -> None:
    host.command(
        "tc",
        'case "$*" in *-j*) echo \'[{"kind":"htb","dev":"vnet3"}]\' ;; *) echo \'class htb 1:1\' ;; esac',
    )

    absent = host.run(SHELLS["dash"], *QUICK, "--snapshots", "1").bundle.capture("tc-class")["absent"]

    assert absent == {"reason": "failed", "detail": "the output could not be filtered"}


def test_what_a_failing_command_printed_is_kept_with_its_status(bad_day: tuple[FakeHost, Outcome]) -> None:
    bundle = bad_day[1].bundle

    assert bundle.capture("virsh-list")["exit_status"] == 1
    assert bundle.text("virsh-list") == "half a line\n"
    assert "error: no connection" in bundle.members["collector.log"].decode()
    assert bundle.capture("ovs-interface")["absent"]["detail"] == "no permission: Permission denied"


def test_a_flood_is_cut_and_marked(bad_day: tuple[FakeHost, Outcome]) -> None:
    row = bad_day[1].bundle.capture("ovs-version")

    assert row["bytes"] == 8192 * 1024
    assert row["truncated"] is True
    assert bad_day[1].bundle.capture("proc-net-dev")["truncated"] is False


def test_a_bad_day_leaves_one_file(bad_day: tuple[FakeHost, Outcome]) -> None:
    assert list(bad_day[0].out.iterdir()) == [bad_day[1].bundle.path]


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has happened, ten seconds at most."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def interrupt(host: FakeHost, run: subprocess.Popen[str], which: signal.Signals) -> str:
    """Send a signal to the whole group, as a terminal does; return stderr."""
    os.killpg(run.pid, which)
    out, error = run.communicate(timeout=20)
    assert out == ""
    assert run.returncode == 1
    assert list(host.out.iterdir()) == []
    assert host.wait_until_quiet() == []
    return error


@pytest.mark.parametrize("watch", ["gnu-timeout", "own-watch"])
def test_ctrl_c_during_a_command_leaves_nothing(host: FakeHost, shell: list[str], watch: str) -> None:
    if watch == "own-watch":
        host.command("timeout", NOT_GNU)
    host.command("tc", HANG)
    run = host.start(shell, *QUICK, env={"VNETKB_LIMIT_S": "60"})
    wait_for((host.bin / "tc.hangs").exists)

    error = interrupt(host, run, signal.SIGINT)

    assert error.endswith("stopped by SIGINT; nothing was written\n")


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_between_snapshots_leaves_nothing(
    host: FakeHost, shell: list[str], which: signal.Signals
) -> None:
    run = host.start(shell, "--interval", "60", "--every", "30")
    wait_for(lambda: "ovs-vsctl" in host.calls.read_text(encoding="ascii") if host.calls.exists() else False)
    time.sleep(0.3)

    interrupt(host, run, which)


@pytest.mark.parametrize("delay_ms", [1, 10, 40, 120, 300])
def test_a_signal_at_any_time_leaves_nothing(host: FakeHost, shell: list[str], delay_ms: int) -> None:
    run = host.start(shell, *QUICK)
    time.sleep(delay_ms / 1000)
    os.killpg(run.pid, signal.SIGTERM)
    out, _ = run.communicate(timeout=20)

    assert run.returncode != 0
    assert out == ""
    assert list(host.out.iterdir()) == []
    assert host.wait_until_quiet() == []


def test_a_folder_whose_maker_was_killed_goes_too(host: FakeHost, shell: list[str]) -> None:
    host.command(
        "mkdir",
        '/bin/mkdir "$@"; case $* in */.vnetkb-collect.*/*) ;; */.vnetkb-collect.*) kill -KILL $$ ;; esac',
    )

    outcome = host.run(shell, *QUICK)

    assert outcome.returncode == 1
    assert "cannot write" in outcome.stderr
    assert list(host.out.iterdir()) == []


def test_a_collector_killed_outright_leaves_no_process(host: FakeHost, shell: list[str]) -> None:
    run = host.start(shell, "--interval", "60", "--every", "0.1")
    wait_for(lambda: any(host.out.glob(".vnetkb-collect.*/vnetkb-*/host/0/ovs-interface")))
    time.sleep(0.3)
    run.kill()
    run.communicate(timeout=20)

    assert host.wait_until_quiet() == []


def test_a_broken_pipe_for_progress_does_not_matter(host: FakeHost, shell: list[str]) -> None:
    with host.start(shell, *QUICK) as run:
        assert run.stderr is not None
        assert run.stdout is not None
        run.stderr.close()
        out = run.stdout.read()

    assert Bundle.read(Path(out.strip())).manifest["snapshots"]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_cost_no_capture(host: FakeHost, shell: list[str], closed: str) -> None:
    whole = Bundle.read(Path(host.run(shell, *QUICK).stdout.strip()))
    whole.path.unlink()
    done = host.run(shell, *QUICK, "--quiet", before=("sh", "-c", f'exec "$@" {closed}', "sh"))
    (file,) = host.out.glob("*.tar.gz")
    found = Bundle.read(file)

    assert (done.returncode, done.stderr) == (0, "")
    assert whole.members["host/0/sysfs-net"]
    for member in whole.members:
        if member.startswith(("host/0/sysfs", "host/0/softnet", "host/0/tun-fdinfo")):
            assert found.members[member] == whole.members[member], member


@needs_root
@pytest.mark.parametrize("size", ["8k", "100k", "300k"])
def test_a_full_disk_leaves_nothing(host: FakeHost, shell: list[str], size: str) -> None:
    left = host.root.parent / "left"
    body = f"""mount -t tmpfs -o size={size} none {host.out} || exit 99
        "$@"; rc=$?
        ls -A {host.out} >{left}; exit $rc"""
    host.file("proc/stat", "cpu  1 2 3 4\n" * 20000)

    outcome = host.run(shell, *QUICK, before=("unshare", "-m", "sh", "-c", body, "sh"))

    assert outcome.returncode == 1, outcome.stderr
    assert outcome.stdout == ""
    assert "nothing was written" in outcome.stderr
    assert left.read_text(encoding="ascii") == ""


@pytest.fixture
def open_host() -> Iterator[FakeHost]:
    """Return a made-up host in a folder that every user may read."""
    folder = Path(tempfile.mkdtemp(prefix="vnetkb-test-"))
    folder.chmod(0o755)
    host = rich_host(folder)
    host.out.chmod(0o777)
    host.calls.touch()
    host.calls.chmod(0o666)
    yield host
    shutil.rmtree(folder)


@needs_root
@pytest.mark.parametrize("prefix", [True, False], ids=["made-up", "real"])
def test_without_root_there_is_a_bundle_that_says_so(
    open_host: FakeHost, shell: list[str], *, prefix: bool
) -> None:
    before = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    (open_host.root / "proc/4711/fd").chmod(0o700)

    outcome = open_host.run(shell, *QUICK, before=before, env={} if prefix else {"VNETKB_ROOT_PREFIX": ""})

    bundle = outcome.bundle
    assert bundle.manifest["root"] is False
    assert any("not root" in note for note in bundle.manifest["notes"])
    assert "not root" in outcome.stderr
    assert bundle.text("proc-net-dev", 1)
    if prefix:
        tasks = bundle.text("task-schedstat", 1)
        assert "/4711/" in tasks, "QEMU is found by name"
        assert "/900/" in tasks
    else:
        assert bundle.capture("proc-fd")["absent"]["reason"] == "not-root"
        assert bundle.capture("tun-fdinfo")["absent"] is not None


def test_waiting_ends_at_the_first_drop(host: FakeHost, shell: list[str]) -> None:
    run = host.start(shell, *QUICK, "--wait-for-drop", "20")
    wait_for(lambda: len(list(host.out.glob(".vnetkb-collect.*/poll-*"))) > 2)
    new = host.root / "proc/net/dev.new"
    new.write_text(net_dev(vnet3=5, br0=9, eth0=9), encoding="ascii")
    new.rename(host.root / "proc/net/dev")
    time.sleep(0.4)
    assert list(host.out.glob("*.tar.gz")) == []
    new.write_text(net_dev(vnet3=6, br0=9, eth0=9), encoding="ascii")
    new.rename(host.root / "proc/net/dev")
    out, error = run.communicate(timeout=30)

    bundle = Outcome(run.returncode, out, error).bundle
    waited = bundle.manifest["wait_for_drop"]
    assert waited == {"max_s": 20, "waited_s": waited["waited_s"], "dropped": True, "devices": ["vnet3"]}
    before, *_ = bundle.manifest["snapshots"]
    drops = [line.split()[12] for line in bundle.text("proc-net-dev", None).splitlines() if "vnet3" in line]
    times = [
        float(line.split()[2])
        for line in bundle.text("proc-net-dev", None).splitlines()
        if line.startswith("@ ")
    ]
    assert drops[0] == "5"
    first_with_drop = times[drops.index("6")]
    assert first_with_drop <= before["monotonic_s"]
    assert drops.index("6") <= 9


def test_waiting_in_vain_is_said_and_not_fatal(host: FakeHost, shell: list[str]) -> None:
    outcome = host.run(shell, *QUICK, "--wait-for-drop", "0.3", "--device", "vnet3")

    assert "no drop counter moved in" in outcome.stderr
    waited = outcome.bundle.manifest["wait_for_drop"]
    assert (waited["dropped"], waited["devices"]) == (False, [])
    assert waited["waited_s"] >= 0.3
    assert len(outcome.bundle.manifest["snapshots"]) == 2


def test_trace_without_tracefs_is_said_and_not_fatal(host: FakeHost, shell: list[str]) -> None:
    outcome = host.run(shell, *QUICK, "--trace", "1")

    assert "no trace: tracefs is not mounted" in outcome.stderr
    assert outcome.bundle.capture("trace", None)["absent"]["reason"] == "not-found"
    assert outcome.bundle.manifest["trace"] is None


def test_a_sleep_that_knows_whole_seconds_only(host: FakeHost) -> None:
    host.command("sleep", 'case $1 in *.*) exit 1 ;; esac; exec /bin/sleep "$1"')

    bundle = host.run(SHELLS["dash"], *QUICK, "--quiet").bundle

    assert any("whole seconds" in note for note in bundle.manifest["notes"])
    assert len(bundle.manifest["snapshots"]) == 2


@needs_root
def test_busybox_alone_is_enough(host: FakeHost, tmp_path: Path) -> None:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("NOT TESTED: busybox is not installed")
    jail = tmp_path / "jail"
    for folder in ("bin", "out", "lib", "lib64", "usr/lib", "proc", "sys", "dev", "host"):
        (jail / folder).mkdir(parents=True)
    shutil.copy(busybox, jail / "bin/busybox")
    for applet in APPLETS.split():
        (jail / "bin" / applet).symlink_to("busybox")
    shutil.copy(SCRIPT, jail / "collect")
    body = f"""set -e; cd {jail}
        for dir in lib lib64 usr/lib; do [ ! -d "/$dir" ] || mount --rbind "/$dir" "$dir"; done
        mount -t proc proc proc; mount --bind /dev dev; mount --rbind {host.root} host
        exec chroot . /bin/sh /collect --output /out --interval 0.2 --every 0.1"""

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", body],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "VNETKB_ROOT_PREFIX": "/host"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    (written,) = (jail / "out").iterdir()
    bundle = Bundle.read(written)
    for capture_id in ("ip-link", "tc-qdisc", "virsh-domstats", "ovs-interface"):
        assert bundle.capture(capture_id, 1)["absent"]["reason"] == "tool-missing"
    for capture_id in ("ethtool-i", "ovs-version"):
        assert bundle.capture(capture_id)["absent"]["reason"] == "tool-missing"
    assert "vnet3/statistics/tx_dropped:5\n" in bundle.text("sysfs-net", 1)
    assert "4711\t-smp 2,sockets=2\n" in bundle.text("proc-cmdline")
    assert any("killed alone" in note for note in bundle.manifest["notes"])


@needs_root
def test_a_command_stuck_in_the_kernel_is_not_waited_for(
    host: FakeHost, shell: list[str], tmp_path: Path
) -> None:
    if (
        shutil.which("mkfs.ext4") is None
        or shutil.which("fsfreeze") is None
        or not Path("/dev/loop-control").exists()
    ):
        pytest.skip("NOT TESTED: no way to make a process that is stuck in the kernel")
    frozen = tmp_path / "frozen"
    frozen.mkdir()
    host.command("virsh", f"true >$0.hangs; exec touch {frozen}/file")
    body = f"""PATH=$PATH:/usr/sbin:/sbin; truncate -s 8M {tmp_path}/image; mkfs.ext4 -q {tmp_path}/image
        mount -o loop {tmp_path}/image {frozen} && fsfreeze -f {frozen} || exit 98
        "$@"; rc=$?
        fsfreeze -u {frozen}; exit $rc"""

    outcome = host.run(
        shell, *QUICK, before=("unshare", "-m", "sh", "-c", body, "sh"), env={"VNETKB_LIMIT_S": "1"}
    )

    if outcome.returncode == 98:
        pytest.skip("NOT TESTED: no file system could be mounted and frozen here")
    assert outcome.bundle.capture("virsh-domstats")["absent"]["reason"] == "timed-out"
    assert (host.bin / "virsh.hangs").exists()
