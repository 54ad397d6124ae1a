# SPDX-License-Identifier: Apache-2.0
"""The collector on this machine's kernel: taps that drop, the kernel's tracing, nothing left behind."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import rig
from collectors.fake_host import SCRIPT, Bundle
from vnetkb.bundle import read_bundle

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(rig.why_unavailable() is not None, reason=f"NOT TESTED: {rig.why_unavailable()}"),
]

DEVICE = "vnet730"
INSTANCES = Path("/sys/kernel/tracing/instances")


def collect(shell: list[str], out: Path, *options: str) -> dict[str, Any]:
    """Run the collector; tell how it ended, and whether the mounts are as before."""
    before = Path("/proc/self/mounts").read_text(encoding="utf-8")
    done = subprocess.run(
        [*shell, str(SCRIPT), "--output", str(out), *options], capture_output=True, text=True, check=False
    )
    return {
        "returncode": done.returncode,
        "stdout": done.stdout,
        "stderr": done.stderr,
        "mounts_changed": before != Path("/proc/self/mounts").read_text(encoding="utf-8"),
    }


def test_a_tap_whose_reader_stopped(shell: list[str], tmp_path: Path) -> None:
    def body() -> dict[str, Any]:
        tap = rig.Tap(DEVICE, tx_queue_len=10)
        reader = rig.Reader(tap, rig.never_read)
        reader.stop()
        sender = rig.Sender(DEVICE, rig.Load.at_rate(400))
        with rig.running(reader, sender):
            time.sleep(0.1)
            found = collect(
                shell, tmp_path, "--interval", "0.8", "--every", "0.1", "--trace", "0.4", "--quiet"
            )
            return found | {"reader": reader.pid, "dropped": rig.statistics(DEVICE)["tx_dropped"]}

    found = rig.in_sandbox(body)

    assert found["returncode"] == 0, found["stderr"]
    assert found["mounts_changed"] is False
    assert found["dropped"] > 0
    bundle = Bundle.read(Path(found["stdout"].strip()))
    assert f"/proc/{found['reader']}/fdinfo/" in bundle.text("tun-fdinfo")
    assert f"iff:\t{DEVICE}\n" in bundle.text("tun-fdinfo")
    assert f"{found['reader']}/status:State:\tT (stopped)" in bundle.text("proc-status")
    check_drops(bundle)
    check_trace(bundle)
    check_parsers(bundle)
    assert read_bundle(bundle.path).notices == ()


def check_drops(bundle: Bundle) -> None:
    """The drops rise from snapshot to snapshot and through the series."""
    ends = []
    for snapshot in (0, 1):
        mark = f"{DEVICE}/statistics/tx_dropped:"
        ends.append(int(bundle.text("sysfs-net", snapshot).partition(mark)[2].partition("\n")[0]))
    rows = [line.split() for line in bundle.text("proc-net-dev", None).splitlines() if f"{DEVICE}:" in line]
    drops = [int(row[12]) for row in rows]

    assert ends[0] < ends[1]
    assert drops == sorted(drops)
    assert drops[0] <= ends[0]
    assert drops[-1] >= ends[1]


def check_trace(bundle: Bundle) -> None:
    """Each refused packet is in the trace with the device and the reason, on the clock of the snapshots."""
    trace = importlib.import_module("vnetkb.parsers.trace").parse(bundle.text("trace", None).encode())
    told = bundle.manifest["trace"]
    begin, end = (row["monotonic_s"] for row in bundle.manifest["snapshots"])
    mine = [event for event in trace.events if getattr(event, "device", None) == DEVICE]
    freed = {(event.cpu, event.skbaddr) for event in trace.events if hasattr(event, "location")}

    assert told["clock"] == "boot"
    assert begin < told["start_monotonic_s"] < told["stop_monotonic_s"] <= end
    assert mine
    assert all((event.cpu, event.skbaddr) in freed for event in mine)
    assert all(
        told["start_monotonic_s"] - 0.02 <= event.time_s <= told["stop_monotonic_s"] + 0.02 for event in mine
    )
    assert all(event.rc != 0 for event in mine)
    assert "events/skb/kfree_skb/format:" in bundle.text("trace-features")


def check_parsers(bundle: Bundle) -> None:
    """Every capture of the host that has a parser is understood by it."""
    parsed = set()
    for row in bundle.manifest["captures"]:
        if row["path"] is None or row["scope"] != "host":
            continue
        name = row["id"].replace("-", "_")
        if importlib.util.find_spec(f"vnetkb.parsers.{name}") is not None:
            importlib.import_module(f"vnetkb.parsers.{name}").parse(bundle.members[row["path"]])
            parsed.add(row["id"])
    assert {
        "sysfs-net",
        "proc-net-dev",
        "task-stat",
        "task-wchan",
        "proc-cmdline",
        "tun-fdinfo",
        "ip-link",
    } <= parsed


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_trace_leaves_no_instance(
    shell: list[str], tmp_path: Path, which: signal.Signals
) -> None:
    def body() -> dict[str, Any]:
        with rig.Tap(DEVICE):
            words = [*shell, str(SCRIPT), "--output", str(tmp_path), "--interval", "30", "--trace", "20"]
            run = subprocess.Popen(
                words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0, text=True
            )
            end = time.monotonic() + 20
            while not (made := list(INSTANCES.glob(f"vnetkb-{run.pid}-*"))) and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(0.1)
            os.killpg(run.pid, which)
            _, error = run.communicate(timeout=20)
            left = [path.name for path in made if path.exists()]
            return {"made": len(made), "left": left, "returncode": run.returncode, "error": error}

    found = rig.in_sandbox(body)

    assert (found["made"], found["left"], found["returncode"]) == (1, [], 1), found
    assert list(tmp_path.iterdir()) == []


def test_waiting_for_a_real_drop(shell: list[str], tmp_path: Path) -> None:
    def body() -> dict[str, Any]:
        tap = rig.Tap(DEVICE, tx_queue_len=10)
        reader = rig.Reader(tap, rig.never_read)
        words = [*shell, str(SCRIPT), "--output", str(tmp_path), "--wait-for-drop", "20", "--interval", "0.3"]
        run = subprocess.Popen(
            [*words, "--every", "0.1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        time.sleep(1)
        still_waiting = run.poll() is None
        sender = rig.Sender(DEVICE, rig.Load.at_rate(400))
        with rig.running(reader, sender):
            out, error = run.communicate(timeout=30)
        return {"still_waiting": still_waiting, "out": out, "error": error}

    found = rig.in_sandbox(body)

    assert found["still_waiting"]
    bundle = Bundle.read(Path(found["out"].strip()))
    waited = bundle.manifest["wait_for_drop"]
    assert waited["dropped"] is True
    assert waited["devices"] == [DEVICE]
    assert 0 < waited["waited_s"] < 20
    drops = [
        int(line.split()[12])
        for line in bundle.text("proc-net-dev", None).splitlines()
        if f"{DEVICE}:" in line
    ]
    assert drops[0] == 0
    assert drops[-1] > 0


def test_classes_and_filters_of_tc(shell: list[str], tmp_path: Path) -> None:
    commands = (
        f"tc qdisc add dev {DEVICE} root handle 1: htb default 1",
        f"tc class add dev {DEVICE} parent 1: classid 1:1 htb rate 1mbit",
        f"tc qdisc add dev {DEVICE} clsact",
        f"tc filter add dev {DEVICE} egress protocol all u32 match u32 0 0 classid 1:2",
    )

    def body() -> dict[str, Any]:
        with rig.Tap(DEVICE):
            for command in commands:
                done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    return {"skip": done.stderr}
            return collect(shell, tmp_path, "--interval", "0.1", "--snapshots", "1", "--quiet")

    found = rig.in_sandbox(body)
    if "skip" in found:
        pytest.skip(f"NOT TESTED: this kernel or tc cannot: {found['skip']}")

    bundle = Bundle.read(Path(found["stdout"].strip()))
    assert bundle.text("tc-class").startswith(f"@ {DEVICE} root\nclass htb 1:1 root ")
    sides = dict(block.split("\n", 1) for block in bundle.text("tc-filter").split("@ ")[1:])
    assert set(sides) == {f"{DEVICE} root", f"{DEVICE} ingress", f"{DEVICE} egress"}
    assert "u32" in sides[f"{DEVICE} egress"]
    assert sides[f"{DEVICE} root"] == ""
