# SPDX-License-Identifier: Apache-2.0
"""Bundles written from a description of a host: made-up numbers in the layouts of real captures.

For arithmetic and joins that cannot be had on demand from a real kernel (a counter that wraps, a kernel of
2018, a VM with four queues). What a real kernel does is shown by tests with real taps and recorded bundles.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START = 1000.0
ROW = "{name}: {rx_bytes} {rx} 0 0 0 0 0 0 {tx_bytes} {tx} 0 {drop} 0 0 0 0"
NET_HEAD = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast"
    "|bytes    packets errs drop fifo colls carrier compressed\n"
)


@dataclass
class Device:
    """One device: its counters at each snapshot and each sample, and its settings at each snapshot."""

    name: str
    tx_dropped: Sequence[int] = (0, 0)
    tx_packets: Sequence[int] = (0, 0)
    series: Sequence[tuple[int, int] | None] = ()
    """(tx_packets, tx_dropped) at each sample; None where a sample lacks the device."""
    ifindex: Sequence[int] = (7, 7)
    tx_queue_len: Sequence[int] = (1000, 1000)
    carrier: Sequence[str] = ("1", "1")
    flags: Sequence[str] = ("0x1003", "0x1003")
    tun_flags: str | None = "0x1002"
    more: Mapping[str, Sequence[object]] = field(default_factory=dict)
    """Further lines at each snapshot, by their name below the device: ``statistics/rx_dropped``, ``mtu``."""

    def sysfs(self, n: int) -> str:
        """Lines of the capture sysfs-net for this device."""
        values: dict[str, object] = {
            "statistics/tx_dropped": self.tx_dropped[n],
            "statistics/tx_packets": self.tx_packets[n],
            "statistics/rx_packets": 0,
            "ifindex": self.ifindex[n],
            "tx_queue_len": self.tx_queue_len[n],
            "flags": self.flags[n],
        }
        values |= {key: each[n] for key, each in self.more.items()}
        lines = [f"{self.name}/{key}:{value}" for key, value in values.items()]
        if self.carrier[n]:
            lines.append(f"{self.name}/carrier:{self.carrier[n]}")
        if self.tun_flags is not None:
            lines.append(f"{self.name}/tun_flags:{self.tun_flags}")
        return "\n".join(lines) + "\n"


@dataclass
class Host:
    """What a bundle is written from."""

    devices: Sequence[Device]
    name: str = "node7"
    release: str = "6.1.0-13-amd64"
    snapshots: int = 2
    interval_s: float = 10.0
    every_s: float = 1.0
    root: bool = True
    masked: bool = False
    captures: Mapping[str, str | None] = field(default_factory=dict)
    """More captures by their path (``host/0/tun-fdinfo``), or None to leave one out."""
    wait_for_drop: Mapping[str, Any] | None = None
    samples_before: int = 0
    """How many samples lie before the first snapshot."""
    boot_id: str = "00000000-0000-4000-8000-000000000000"
    start: str = "2026-11-22T13:45:00Z"
    taken: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """When a capture was taken, by its path: monotonic seconds of its start, and how long it took."""
    guest_script_s: float | None = None
    """How long the host had a guest's script run; its captures all bear the time of the whole run."""
    absences: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Captures that are not there, by the path that they would have: the reason and the detail."""
    cut: Collection[str] = ()
    """Captures, by their path, that the collector cut at a limit."""
    file_name: str | None = None
    """What stands for the host in the file's name, where its own name can be in none."""

    def content(self) -> dict[str, str]:
        """Captures by path."""
        found: dict[str, str] = {}
        for n in range(self.snapshots):
            found[f"host/{n}/sysfs-net"] = "".join(device.sysfs(n) for device in self.devices)
        samples = max((len(device.series) for device in self.devices), default=0)
        if samples:
            found["series/proc-net-dev"] = "".join(self._sample(k) for k in range(samples))
        found |= {path: text for path, text in self.captures.items() if text is not None}
        for path in [path for path, text in self.captures.items() if text is None]:
            found.pop(path, None)
        return found

    def at(self, k: int) -> float:
        """Monotonic seconds of sample ``k``."""
        return START + (k - self.samples_before) * self.every_s

    def _sample(self, k: int) -> str:
        rows = []
        for device in self.devices:
            at = device.series[k] if k < len(device.series) else None
            if at is not None:
                tx, drop = at
                rows.append(
                    ROW.format(name=device.name, rx=0, rx_bytes=0, tx=tx, tx_bytes=60 * tx, drop=drop)
                )
        return f"@ {k} {self.at(k):.2f}\n{NET_HEAD}" + "".join(f"{row}\n" for row in rows)

    def write(self, folder: Path) -> Path:
        """Write the bundle and return its path."""
        content = self.content()
        captures = [
            _capture(path, text.encode("utf-8", "surrogateescape")) for path, text in sorted(content.items())
        ]
        for path, (reason, detail) in self.absences.items():
            nothing = dict.fromkeys(
                ("path", "exit_status", "start_monotonic_s", "duration_s", "bytes", "sha256")
            )
            absent = {"absent": {"reason": reason, "detail": detail}}
            captures.append(_capture(path, b"") | nothing | absent)
        for capture in captures:
            capture["truncated"] = capture["path"] in self.cut
            if capture["path"] in self.taken:
                start, duration = self.taken[capture["path"]]
                capture |= {"start_monotonic_s": start, "duration_s": duration}
        if self.guest_script_s is not None:
            for capture in captures:
                if capture["scope"].startswith("guest:"):
                    capture |= {"start_monotonic_s": START, "duration_s": self.guest_script_s}
        moments = [START + n * self.interval_s for n in range(self.snapshots)]
        manifest = {
            "schema_version": "1.0",
            "collector": {"name": "vnetkb-collect", "version": "0.1.0", "sha256": "0" * 64},
            "host": {"name": self.name},
            "kernel": {"release": self.release, "version": "#1 SMP", "machine": "x86_64"},
            "boot_id": self.boot_id,
            "root": self.root,
            "masked": self.masked,
            "start": {"wall": self.start, "monotonic_s": START - 1},
            "end": {"wall": "2026-11-22T13:45:20Z", "monotonic_s": START + 20},
            "options": {
                "interval_s": self.interval_s,
                "snapshots": self.snapshots,
                "every_s": self.every_s,
                "wait_for_drop_s": 0,
                "trace_s": 0,
                "devices": [],
            },
            "wait_for_drop": self.wait_for_drop,
            "snapshots": [
                {"n": n, "wall": "2026-11-22T13:45:00Z", "monotonic_s": at, "end_monotonic_s": at + 0.1}
                for n, at in enumerate(moments)
            ],
            "series": {"every_s": self.every_s, "samples": 0},
            "captures": captures,
        }
        top = f"vnetkb-{self.file_name or self.name}-20261122T134500Z"
        file = folder / f"{top}.tar.gz"
        with tarfile.open(file, "w:gz") as archive:
            _add(archive, f"{top}/manifest.json", json.dumps(manifest).encode())
            for path, text in content.items():
                _add(archive, f"{top}/{path}", text.encode("utf-8", "surrogateescape"))
        return file


def _capture(path: str, data: bytes) -> dict[str, Any]:
    scope, *rest = path.split("/")
    snapshot = int(rest[0]) if scope != "series" else None
    return {
        "id": rest[-1],
        "scope": scope,
        "snapshot": snapshot,
        "path": path,
        "argv": ["cat"],
        "exit_status": 0,
        "start_monotonic_s": START + 10.0 * (snapshot or 0),
        "duration_s": 0.01,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "truncated": False,
        "absent": None,
    }


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def status(pid: int, tid: int, name: str, state: str = "S (sleeping)") -> str:
    """Lines of the capture proc-status for one thread."""
    where = f"/proc/{pid}/task/{tid}/status"
    lines = (f"Name:\t{name}", f"State:\t{state}", f"Tgid:\t{pid}", f"Pid:\t{tid}")
    return "".join(f"{where}:{line}\n" for line in lines)


def schedstat_series(
    samples: Sequence[Mapping[tuple[int, int], tuple[int, int, int]]], every_s: float = 1.0
) -> str:
    """The capture series/task-schedstat; a sample maps (pid, tid) to (run ns, delay ns, slices)."""
    text = ""
    for k, sample in enumerate(samples):
        text += f"@ {k} {START + k * every_s:.2f}\n"
        text += "".join(
            f"/proc/{pid}/task/{tid}/schedstat:{run} {delay} {slices}\n"
            for (pid, tid), (run, delay, slices) in sample.items()
        )
    return text
