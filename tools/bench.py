# SPDX-License-Identifier: Apache-2.0
"""CPU time and peak memory of vnetkb beside a peer, in one run, as ratios.

    python tools/bench.py [--peer PYTHON] [--repeat N] [--collector]

The peer is insights-core with two small rules over the same text (the interfaces' counters of one snapshot), run by
PYTHON, the interpreter of an environment that has it; without one the peer's columns stay empty. Bundles are made
here: every tap drops, and has the series of its counters and of its threads. Nothing fails on a figure: a busy machine
makes every figure larger, the ratio much less so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE / "tests"))
sys.path.insert(0, str(TREE / "analyzer"))

from simulated import Device, Host, schedstat_series, status  # noqa: E402

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


def bundle(folder: Path, taps: int, samples: int) -> Path:
    """Write a bundle of a host with ``taps`` VMs, each losing packets in every sample."""
    devices, fdinfo, tasks, cmdline = [], [], [], []
    for n in range(taps):
        series = [(1000 * k, 100 * k) for k in range(samples + 1)]
        ends = ((0, 100 * samples), (0, 1000 * samples))
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
        [{thread: (10**8 * k, 10**6 * k, 10 * k + 1) for thread in threads} for k in range(samples + 1)]
    )
    captures = {
        "host/0/tun-fdinfo": "".join(fdinfo),
        "host/0/proc-cmdline": "".join(cmdline),
        "host/0/proc-status": "".join(tasks),
        "host/1/proc-status": "".join(tasks),
        "series/task-schedstat": sched,
    }
    target = folder / f"{taps}"
    target.mkdir()
    return Host(devices, captures=captures, interval_s=float(samples)).write(target)


def links_text(file: Path, devices: int) -> Path:
    """Write `ip -s link` text of as many devices, which the peer parses."""
    block = (
        "{n}: vnet{n}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UNKNOWN mode DEFAULT group "
        "default qlen 1000\n    link/ether fe:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n"
        "    RX: bytes  packets  errors  dropped missed  mcast\n    1 2 0 0 0 0\n"
        "    TX: bytes  packets  errors  dropped carrier collsns\n    1 2 0 9 0 0\n"
    )
    file.write_text("".join(block.format(n=n + 1) for n in range(devices)), encoding="utf-8")
    return file


def measure(command: list[str], repeat: int) -> tuple[float, float]:
    """Return the least CPU seconds and the largest peak memory (MiB) of some runs of a command."""
    seconds, peak = [], 0
    environment = {**os.environ, "PYTHONPATH": str(TREE / "analyzer")}
    for _ in range(repeat):
        child = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        _, _, usage = os.wait4(child.pid, 0)
        child.returncode = 0
        seconds.append(usage.ru_utime + usage.ru_stime)
        peak = max(peak, usage.ru_maxrss)
    return min(seconds), peak / 1024


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter of an environment with insights-core")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        peer = None
        if arguments.peer:
            script = work / "peer.py"
            script.write_text(textwrap.dedent(PEER), encoding="utf-8")
            peer = measure(
                [arguments.peer, str(script), str(links_text(work / "links", 12))], arguments.repeat
            )
        command = [sys.executable, "-m", "vnetkb"]
        rows = [
            ("vnetkb --help", [*command, "--help"], 0.2, None),
            ("analyze, 12 taps, 10 samples", [*command, "analyze", str(bundle(work, 12, 10))], 0.3, 60),
            ("analyze, 500 taps, 60 samples", [*command, "analyze", str(bundle(work, 500, 60))], 1.5, 150),
        ]
        print(f"{'work':32} {'CPU s':>7} {'budget':>7} {'MiB':>6} {'budget':>7} {'to peer':>8}")
        if peer:
            print(
                f"{'peer: insights-core, two rules':32} {peer[0]:7.2f} {'':7} {peer[1]:6.0f} {'':7} {1:8.2f}"
            )
        for name, line, cpu, memory in rows:
            seconds, peak = measure(line, arguments.repeat)
            ratio = f"{seconds / peer[0]:8.2f}" if peer else f"{'':8}"
            print(f"{name:32} {seconds:7.2f} {cpu:7.2f} {peak:6.0f} {memory or '':>7} {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
