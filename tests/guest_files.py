# SPDX-License-Identifier: Apache-2.0
"""What collectors write inside guests: made-up numbers in their layouts, and a host with one VM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulated import Device, Host
from vnetkb.bundle import read_bundle
from vnetkb.bundle.guest_file import with_guest
from vnetkb.diagnosis import diagnose
from vnetkb.facts import build
from vnetkb.kb.load import load_kb

if TYPE_CHECKING:
    from vnetkb.diagnosis import Diagnosis

WRITTEN = Path(__file__).parent / "parsers" / "fixtures" / "written"
QEMU = (
    "4711\t/usr/bin/qemu-system-x86_64\n4711\t-name guest=web01\n"
    "4711\t-netdev tap,id=hostnet0,ifname=vnet3\n"
    "4711\t-device virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:aa:bb:01\n"
)
FDINFO = "/proc/4711/fdinfo/25:iff:\tvnet3\n"


def container(files: dict[str, str]) -> str:
    parts = "".join(
        f"@@ {path}\n" + "".join(f"|{line}\n" for line in text.splitlines()) for path, text in files.items()
    )
    return f"VNETKB-CONTAINER 1 x\n{parts}@@END\n"


def analyzed(folder: Path, files: dict[str, str], device: Device | None = None) -> tuple[Diagnosis, Any]:
    host = Host(
        [device or Device("vnet3")], captures={"host/0/proc-cmdline": QEMU, "host/0/tun-fdinfo": FDINFO}
    )
    file = folder / "guest.txt"
    file.write_text(container(files), encoding="utf-8")
    kb = load_kb()
    observations = build(with_guest(read_bundle(host.write(folder)), "web01", file), kb)
    return diagnose(observations, kb), observations


def windows(*, discards: int = 0, errors: int = 0, min_free: int = 200) -> str:
    sample = json.loads((WRITTEN / "win-counters.netkvm-2024").read_text(encoding="ascii"))
    sample["Interfaces"][0]["IPv4Statistics"]["IncomingPacketsDiscarded"] += discards
    sample["Protocols"]["UdpIPv4"]["IncomingDatagramsWithErrors"] += errors
    sample["Classes"]["NetKvm_Diag"][0]["rx"]["MinFreeBuffers"] = min_free
    return json.dumps(sample)


DRIVER = {"DriverDesc": "Red Hat VirtIO Ethernet Adapter", "RxCapacity": "1024"}
REGISTRY = json.dumps([DRIVER | {"DriverVersion": "100.100.104.{build}"}])
BOOT = "uptime_ms {ms}\nwall 2026-11-22T13:45:00Z\nboot 20261101000000.000000+000\n"


def windows_files(build_number: int, **moved: int) -> dict[str, str]:
    return {
        "0/win-clock": BOOT.format(ms=1000),
        "1/win-clock": BOOT.format(ms=7000),
        "0/win-counters": windows(min_free=moved.get("min_free", 200)),
        "1/win-counters": windows(**moved),
        "0/win-nic-registry": REGISTRY.replace("{build}", str(build_number)),
        "manifest.kv": "system=windows\n",
    }


def sysfs(**nics: tuple[int, int, str]) -> dict[str, str]:
    """Two samples of a Linux guest; of each NIC its ifindex, what it received, and its MAC address."""
    made = {"manifest.kv": "system=linux\n"}
    for n in (0, 1):
        made[f"{n}/guest-clock"] = (
            f"uptime {100 + 8 * n}.00 1.0\nboot_id 0f0f0f0f-0000-4000-8000-000000000001\n"
        )
        made[f"{n}/guest-sysfs-net"] = "".join(
            f"{name}/statistics/rx_packets:{70 + moved * n}\n{name}/statistics/rx_dropped:{7 * n}\n"
            f"{name}/ifindex:{index}\n{name}/flags:0x1003\n{name}/address:{mac}\n"
            for name, (index, moved, mac) in nics.items()
        )
    return made


OWN, OTHER = "52:54:00:aa:bb:01", "52:54:00:aa:bb:99"
