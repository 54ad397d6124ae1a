# SPDX-License-Identifier: Apache-2.0
"""CPU time and peak memory of vnetkb and its collector against their budgets, and beside a peer.

    python tools/bench.py [--peer PYTHON] [--repeat N]

The analyzer is installed from a wheel, as users have it, and reads bundles that are made here: every tap
drops, and has the series of its counters and of its threads. The peer is insights-core with two small rules
over the same text (the interfaces' counters of one snapshot), run by PYTHON, the interpreter of an
environment that has it. The collector runs against 200 real taps where these can be made. Nothing fails on a
figure: a busy machine makes every figure larger, the ratio to the peer much less so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wheel

TREE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TREE / "tests"), str(TREE / "tests" / "real")]

import rig  # noqa: E402 - shared with the tests
import scenarios  # noqa: E402
from simulated import Device, Host, schedstat_series, status  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TAPS = 200
KIB = 1024

# A process starts with the peak memory of the one that made it, so a small one stands between.
WATCH = """
import os, sys
actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
"""

PEER = """
    import sys
    from insights import dr, rule, make_pass, run
    from insights.parsers.softnet_stat import SoftNetStats
    from insights.parsers.ip import IpLinkInfo
    from insights.tests import context_wrap

    text = open(sys.argv[1]).read()
    links = IpLinkInfo(context_wrap(text))

    @rule()
    def drops():
        return make_pass("DROPS", count=len(links.active))

    @rule()
    def stopped():
        return make_pass("STOPPED", count=0)

    dr.run([drops, stopped])
"""


def bundle(folder: Path, taps: int, samples: int, losing: int) -> Path:
    """Write a bundle of a host with ``taps`` VMs; the first ``losing`` lose packets in every sample."""
    devices, fdinfo, tasks, cmdline = [], [], [], []
    for n in range(taps):
        lost = 100 if n < losing else 0
        series = [(1000 * k, lost * k) for k in range(samples + 1)]
        ends = ((0, lost * samples), (0, 1000 * samples))
        devices.append(Device(f"vnet{n}", *ends, series=series, ifindex=(n + 2, n + 2)))
        pid = 10_000 + 100 * n
        fdinfo.append(f"/proc/{pid}/fdinfo/25:iff:\tvnet{n}\n")
        cmdline.append(f"{pid}\t/usr/bin/qemu-system-x86_64\n{pid}\t-name guest=vm{n},debug-threads=on\n")
        tasks.append(status(pid, pid, "qemu-system-x86"))
        tasks += [status(pid, pid + 1 + cpu, f"CPU {cpu}/KVM") for cpu in range(4)]
        tasks.append(status(pid + 10, pid + 10, f"vhost-{pid}"))
    threads = [(10_000 + 100 * n, 10_001 + 100 * n + cpu) for n in range(taps) for cpu in range(4)]
    threads += [(10_010 + 100 * n, 10_010 + 100 * n) for n in range(taps)]
    sched = schedstat_series(
        [dict.fromkeys(threads, (10**8 * k, 10**6 * k, 10 * k + 1)) for k in range(samples + 1)]
    )
    captures = {
        "host/0/tun-fdinfo": "".join(fdinfo),
        "host/0/proc-cmdline": "".join(cmdline),
        "host/0/proc-status": "".join(tasks),
        "host/1/proc-status": "".join(tasks),
        "series/task-schedstat": sched,
    }
    target = folder / f"{taps}-{losing}"
    target.mkdir()
    return Host(devices, captures=captures, interval_s=float(samples)).write(target)


def made(folder: Path, *numbers: int) -> str:
    """Write a bundle in a process of its own: a child's peak memory would otherwise begin with this one's."""
    code = f"import sys, bench, pathlib; print(bench.bundle(pathlib.Path(sys.argv[1]), *{numbers}))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=TREE / "tools",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def links_text(file: Path, devices: int) -> Path:
    """Write `ip -s link` text of as many devices, which the peer parses."""
    block = (
        "{n}: vnet{n}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UNKNOWN mode DEFAULT "
        "group default qlen 1000\n    link/ether fe:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n"
        "    RX: bytes  packets  errors  dropped missed  mcast\n    1 2 0 0 0 0\n"
        "    TX: bytes  packets  errors  dropped carrier collsns\n    1 2 0 9 0 0\n"
    )
    file.write_text("".join(block.format(n=n + 1) for n in range(devices)), encoding="utf-8")
    return file


def measure(command: Sequence[str], repeat: int = 1) -> tuple[float, float]:
    """Return the least CPU seconds and the largest peak memory (MiB) of some runs of a command."""
    runs = [_measured(command) for _ in range(repeat)]
    return min(seconds for seconds, _ in runs), max(peak for _, peak in runs)


def _measured(command: Sequence[str]) -> tuple[float, float]:
    watched = subprocess.run(
        [sys.executable, "-S", "-c", WATCH, *command],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    status, seconds, kib = watched.stdout.split()
    if status not in {"0", "1"}:
        raise SystemExit(f"bench: {' '.join(command)} ended with {status}")
    return float(seconds), float(kib) / KIB


def with_taps(count: int, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run `work` in a sandbox with that many taps, each with a process of its own; a tenth of them drop."""

    def body() -> dict[str, Any]:
        children: list[rig.Child] = []
        try:
            for number in range(count):
                drops = number % 10 == 0
                tap = rig.Tap(f"vnet{number}", tx_queue_len=0 if drops else None)
                children.append(rig.Reader(tap))
                if drops:
                    children.append(rig.Sender(tap.name, rig.Load(burst=1, period_s=0.05)))
            return work()
        finally:
            for child in children:
                child.kill()

    return rig.in_sandbox(body)


def collect(folder: Path, snapshots: int) -> dict[str, Any]:
    """Run the collector and return its CPU seconds and the size of the bundle."""
    folder.mkdir()
    options = ["--quiet", "--output", str(folder), "--snapshots", str(snapshots), "--interval", "3"]
    seconds, _ = measure(["sh", str(scenarios.COLLECTOR), *options])
    (written,) = folder.iterdir()
    return {"seconds": seconds, "bytes": written.stat().st_size}


def bench_collector(work: Path) -> None:
    """Measure what a bundle of a host with 200 taps costs, and what each further snapshot adds."""
    reason = rig.why_unavailable()
    if reason is not None:
        print(f"collector: not measured, no taps can be made here: {reason}")
        return
    two, four = (
        with_taps(TAPS, partial(collect, work / f"collected-{snapshots}", snapshots)) for snapshots in (2, 4)
    )
    further = (four["seconds"] - two["seconds"]) / 2
    size = (four["bytes"] - two["bytes"]) / 2 / KIB
    print(f"\n{'collector, 200 taps':32} {'CPU s':>7} {'budget':>7} {'KiB':>6} {'budget':>7}")
    print(f"{'once, with the first snapshot':32} {two['seconds'] - further:7.2f} {1.5:7.2f}")
    print(f"{'each further snapshot':32} {further:7.2f} {0.6:7.2f} {size:6.0f} {100:7}")


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter of an environment with insights-core")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vnetkb-bench-") as folder:
        work = Path(folder)
        peer = None
        if arguments.peer:
            script = work / "peer.py"
            script.write_text(textwrap.dedent(PEER), encoding="utf-8")
            peer = measure(
                [arguments.peer, str(script), str(links_text(work / "links", 12))], arguments.repeat
            )
        vnetkb = str(wheel.install(wheel.build(work), work / "venv"))
        rows = [
            ("vnetkb --help", [vnetkb, "--help"], 0.2, None),
            ("analyze, 12 taps, 2 lose", [vnetkb, "analyze", made(work, 12, 10, 2)], 0.3, 60),
            ("analyze, 500 taps, 20 lose", [vnetkb, "analyze", made(work, 500, 60, 20)], 1.5, 150),
            ("analyze, 500 taps, all lose", [vnetkb, "analyze", made(work, 500, 60, 500)], 1.5, 150),
        ]
        print(f"{'analyzer':32} {'CPU s':>7} {'budget':>7} {'MiB':>6} {'budget':>7} {'to peer':>8}")
        if peer:
            print(
                f"{'peer: insights-core, two rules':32} {peer[0]:7.2f} {'':7} {peer[1]:6.0f} {'':7} {1:8.2f}"
            )
        for name, line, cpu, memory in rows:
            seconds, peak = measure(line, arguments.repeat)
            ratio = f"{seconds / peer[0]:8.2f}" if peer else ""
            print(f"{name:32} {seconds:7.2f} {cpu:7.2f} {peak:6.0f} {memory or '':>7} {ratio}".rstrip())
        bench_collector(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
