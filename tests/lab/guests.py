# SPDX-License-Identifier: Apache-2.0
"""Guests with Debian's guest agent: what they lose inside, and what only their host sees.

    python tests/lab/guests.py [--kernel 6.1] [--scenario NAME] [--record]

A VM (QEMU's TCG, virtio-net on a tap, without vhost) is booted in a network namespace of this computer, the
host collector fetches the guest's numbers through the agent while packets are lost, and the answer is held
against what was made. Needs root, what tests/lab/README.md names, and a minute for each scenario.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vnetlab import images

TREE = Path(__file__).resolve().parents[2]
COLLECTOR = TREE / "collectors" / "host" / "vnetkb-collect"
BUNDLES = Path(__file__).resolve().parent / "guest-bundles"
PACKAGES = (
    "busybox-static",
    "ethtool",
    "iproute2",
    "kmod",
    "net-tools",
    "procps",
    "python3-minimal",
    "qemu-guest-agent",
)
TAP, HOST, GUEST = "vnet0", "10.88.0.1", "10.88.0.2"
MAC, OTHER_MAC = "52:54:00:aa:bb:01", "52:54:00:aa:bb:99"
INTERVAL_S = 45
INSIDE = "VNETKB_LAB_INSIDE"


class Guest:
    """A running VM with an agent; `folder` holds its sockets."""

    def __init__(self, folder: Path) -> None:
        """Keep where its sockets are."""
        self.folder = folder

    def ask(self, name: str, *requests: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Give the agent (`qga`) or the monitor (`qmp`) requests and return the last answer."""
        with socket.socket(socket.AF_UNIX) as port:
            port.settimeout(20)
            port.connect(str(self.folder / name))
            lines = port.makefile("r", encoding="utf-8")
            if name == "qmp":
                lines.readline()
                requests = ({"execute": "qmp_capabilities"}, *requests)
            answer: dict[str, Any] = {}
            for request in requests:
                port.sendall(json.dumps(request).encode() + b"\n")
                answer = json.loads(lines.readline())
                while "event" in answer:
                    answer = json.loads(lines.readline())
            return answer.get("return")

    def run(self, script: str) -> None:
        """Start shell text in the guest."""
        arguments = {"path": "/bin/sh", "arg": ["-c", script], "capture-output": False}
        self.ask("qga", {"execute": "guest-exec", "arguments": arguments})

    def monitor(self, command: str) -> None:
        """Give QEMU's monitor a command."""
        self.ask("qmp", {"execute": command})


def send(count: int, per_s: float, frame: bytes) -> None:
    """Send the same frame to the guest, `count` times."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as port:
        port.bind((TAP, 0))
        for _ in range(count):
            port.send(frame)
            if per_s:
                time.sleep(1 / per_s)


def raw(destination: str, ethertype: int, payload: bytes = bytes(46)) -> bytes:
    """Return an Ethernet frame."""
    source = bytes.fromhex("525400aabb02")
    return bytes.fromhex(destination.replace(":", "")) + source + ethertype.to_bytes(2, "big") + payload


def ipv4(destination: str) -> bytes:
    """Return a frame with an IPv4 packet of UDP to the guest's address."""
    header = bytearray.fromhex("4500002000004000401100000a5800010a580002")
    total = sum(int.from_bytes(header[i : i + 2], "big") for i in range(0, 20, 2))
    header[10:12] = (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big")
    return raw(destination, 0x0800, bytes(header) + bytes.fromhex("0fa00fa0000c0000") + bytes(18))


def datagrams(port: int, count: int, per_s: float) -> None:
    """Send UDP datagrams to a port of the guest."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for _ in range(count):
            out.sendto(b"x" * 400, (GUEST, port))
            time.sleep(1 / per_s)


def stopped(guest: Guest) -> None:
    """Stop the VM while packets come, and let it go on."""
    guest.monitor("stop")
    send(3000, 600, ipv4(MAC))
    guest.monitor("cont")


def flooded(_: Guest) -> None:
    """Send far more than the VM can take."""
    for burst in range(4):
        send(20000 + burst, 0, ipv4(MAC))
        time.sleep(1)


UNREAD = "python3 -c 'import socket,time; s=socket.socket(2,2); s.bind((\"\",4000)); time.sleep(600)' &"
PROMISC = "ip link set eth0 promisc on"  # QEMU without vhost lets only the guest's own frames in

RING = {
    "tap-ring-full", "tap-ring-burst", "tap-ring-too-small", "tap-ring-guest-not-refilling",
    "tap-ring-reader-stopped", "tap-ring-reader-slow", "tap-ring-guest-saturated", "tap-ring-vcpu-starved",
    "tap-ring-qemu-saturated", "tap-ring-qemu-starved",
}  # fmt: skip
SCENARIOS: dict[str, tuple[str, Callable[[Guest], None], set[str]]] = {
    "stopped": ("", stopped, RING),
    "flooded": ("", flooded, RING),
    "socket-full": (UNREAD, lambda _: datagrams(4000, 900, 50), {"guest-socket-full"}),
    "no-listener": ("", lambda _: datagrams(4999, 600, 40), {"guest-no-listener"}),
    "foreign-mac": (PROMISC, lambda _: send(600, 40, ipv4(OTHER_MAC)), {"guest-mac-mismatch"}),
    "unknown-protocol": ("", lambda _: send(600, 40, raw(MAC, 0x88B5)), {"guest-unknown-protocol"}),
}


def boot_archive(kernel: images.Kernel, userland: Path) -> bytes:
    """Return the initial file system that goes on with inside/agent-guest-init."""
    modules = sorted((kernel.image.parent / "boot-modules").iterdir())
    members = {f"modules/{file.name}": file.read_bytes() for file in modules}
    members["lab/machine-init"] = (images.INSIDE / "agent-guest-init").read_bytes()
    members["init"] = (images.INSIDE / "boot-init").read_bytes()
    members["busybox"] = (userland / "busybox").read_bytes()
    return images.cpio_archive(members, executable={"init", "busybox"})


@contextmanager
def booted(kernel: images.Kernel, folder: Path) -> Iterator[Guest]:
    """Boot the guest and wait for its agent."""
    userland = images.userland(images.GUEST_SUITE, PACKAGES)
    (folder / "boot").write_bytes(boot_archive(kernel, userland))
    serial = folder / "serial"
    command = [
        "qemu-system-x86_64", "-name", "guest=web01,debug-threads=on", "-accel", "tcg", "-cpu", "Nehalem",
        "-machine", "q35", "-smp", "1", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", kernel.image, "-initrd", folder / "boot",
        "-append", "console=ttyS0 loglevel=4 rdinit=/init panic=-1 mitigations=off tsc=reliable",
        "-serial", f"file:{serial}",
        "-drive", f"if=none,id=d0,file={userland}/root.ext4,format=raw,readonly=on",
        "-device", "virtio-blk-pci,drive=d0",
        "-drive", f"if=none,id=d1,file={kernel.modules},format=raw,readonly=on",
        "-device", "virtio-blk-pci,drive=d1",
        "-netdev", f"tap,id=hostnet0,ifname={TAP},script=no,downscript=no",
        "-device", f"virtio-net-pci,netdev=hostnet0,id=net0,mac={MAC},romfile=",
        "-device", "virtio-serial-pci", "-chardev", f"socket,id=qga0,path={folder}/qga,server=on,wait=off",
        "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0",
        "-qmp", f"unix:{folder}/qmp,server=on,wait=off",
    ]  # fmt: skip
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while not (serial.exists() and b"guest ready" in serial.read_bytes()):
            if process.poll() is not None or time.monotonic() > until:
                raise images.LabError("the guest does not boot")
            time.sleep(0.2)
        guest = Guest(folder)
        guest.ask("qga", {"execute": "guest-sync", "arguments": {"id": 5}})
        yield guest
    finally:
        process.kill()
        process.wait()


def perform(name: str, kernel: str, out: Path) -> Path:
    """Make one scenario and return its bundle."""
    before, during, _ = SCENARIOS[name]
    with (
        tempfile.TemporaryDirectory(prefix="vnetkb-") as made,
        booted(images.kernel(kernel), Path(made)) as guest,
    ):
        if before:
            guest.run(before)
            time.sleep(3)
        # the guest's first sample takes seconds under TCG, its second comes after 60 % of the interval
        late = threading.Timer(13, during, (guest,))
        late.start()
        options = ["--guest", "web01", "--rings", "--quiet", "--interval", str(INTERVAL_S)]
        words = ["sh", str(COLLECTOR), "--output", str(out), *options]
        patient = {**os.environ, "VNETKB_LIMIT_S": "60"}
        done = subprocess.run(words, env=patient, capture_output=True, text=True, check=True)
        late.join()
    return Path(done.stdout.splitlines()[-1]).rename(out / f"{name}-{kernel}.tar.gz")


def judge(bundle: Path, wanted: set[str]) -> tuple[str, bool]:
    """Return what the analyzer says, and whether it is right."""
    words = [sys.executable, "-m", "vnetkb", "analyze", "--format", "json", str(bundle)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    findings = [f for f in json.loads(done.stdout)["findings"] if f["symptom"]["state"] == "rising"]
    said = [
        f"{f['subject']['name']} {f['symptom']['counter']}: {f['verdict']} {f['cause']}" for f in findings
    ]
    ring = [f for f in findings if f["symptom"]["counter"] == "tap.tx_dropped"]
    if wanted == RING:
        return "; ".join(said) or "no finding", bool(ring) and all(f["cause"] in RING for f in ring)
    # the host is acquitted: its port lost nothing
    right = not ring and wanted <= {f["cause"] for f in findings}
    return "; ".join(said) or "no finding", right


def main(arguments: Sequence[str]) -> int:
    """Run scenarios; exit status 0: all right, 1: a wrong answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", default="6.1")
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--record", action="store_true", help="keep the bundles")
    parser.add_argument("--keep", type=Path, help="keep the bundles there")
    options = parser.parse_args(arguments)
    if INSIDE not in os.environ:
        # fetched before the network is gone
        images.kernel(options.kernel)
        images.userland(images.GUEST_SUITE, PACKAGES)
        words = ["unshare", "-n", "-u", "-m", sys.executable, __file__, *arguments]
        return subprocess.run(words, env={**os.environ, INSIDE: "1"}, check=False).returncode
    for command in (
        "hostname node7", "mount -t sysfs sysfs /sys", "ip link set lo up", f"ip tuntap add {TAP} mode tap",
        f"ip addr add {HOST}/24 dev {TAP}", f"ip link set {TAP} up",
    ):  # fmt: skip
        subprocess.run(command.split(), check=True)
    wrong = 0
    with tempfile.TemporaryDirectory() as made:
        out = options.keep or Path(made)
        out.mkdir(parents=True, exist_ok=True)
        for name in options.scenario or SCENARIOS:
            started = time.monotonic()
            bundle = perform(name, options.kernel, out)
            said, right = judge(bundle, SCENARIOS[name][2])
            wrong += not right
            took = f"{time.monotonic() - started:4.0f} s  {'right' if right else 'WRONG'}"
            sys.stdout.write(f"{name:18} {options.kernel:5} {took}  {said}\n")
            if options.record:
                BUNDLES.mkdir(exist_ok=True)
                shutil.copyfile(bundle, BUNDLES / bundle.name)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
