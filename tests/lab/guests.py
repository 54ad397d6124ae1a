# SPDX-License-Identifier: Apache-2.0
"""Guests with Debian's guest agent: what they lose inside, and what only their host sees.

    python tests/lab/guests.py [--kernel 6.1] [--scenario NAME] [--record]

A VM (QEMU's TCG, virtio-net on a tap, without vhost) is booted in a network namespace of this computer, by
hand or by a libvirt of its own. The host collector fetches its numbers through the agent while packets
are lost or the agent is in trouble, and the answer is held against what was made. Needs root, what
tests/lab/README.md names, and a minute for each scenario.
"""

import argparse
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vnetlab import images, masked

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
QUIET_S = 12  # where nothing is made meanwhile
INSIDE = "VNETKB_LAB_INSIDE"


class Guest:
    """A running VM with an agent; `folder` holds its sockets, `pid` is QEMU's."""

    def __init__(self, folder: Path, pid: int) -> None:
        """Keep where its sockets are."""
        self.folder = folder
        self.pid = pid

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
            # a ring that nobody empties refuses
            with suppress(OSError):
                port.send(frame)
            if per_s:
                time.sleep(1 / per_s)


def raw(destination: str, ethertype: int, payload: bytes = bytes(46)) -> bytes:
    """Return an Ethernet frame."""
    source = bytes.fromhex("525400aabb02")
    return bytes.fromhex(destination.replace(":", "")) + source + ethertype.to_bytes(2, "big") + payload


def ipv4(destination: str, address: str = "0a580002") -> bytes:
    """Return a frame with an IPv4 packet of UDP, to the guest's address if no other is given (in hex)."""
    header = bytearray.fromhex("4500002000004000401100000a580001" + address)
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


def filtered(_: Guest) -> None:
    """Send frames for another machine, which QEMU's own filter keeps from the guest."""
    send(1500, 50, ipv4(OTHER_MAC))


def groups(_: Guest) -> None:
    """Send UDP to a group that nobody in the guest has joined."""
    send(600, 30, ipv4("01:00:5e:01:02:03", "ef010203"))


def nothing(_: Guest) -> None:
    """Make nothing."""


UNREAD = "python3 -c 'import socket,time; s=socket.socket(2,2); s.bind((\"\",4000)); time.sleep(600)' &"
PROMISC = "ip link set eth0 promisc on"  # QEMU without vhost lets only the guest's own frames in
AGENT_STOPS = "(sleep 5; kill -STOP $(pidof qemu-ga)) &"
BLOCKED = "guest-exec,guest-exec-status,guest-file-open"

RING = frozenset({
    "tap-ring-full", "tap-ring-burst", "tap-ring-too-small", "tap-ring-guest-not-refilling",
    "tap-ring-reader-stopped", "tap-ring-reader-slow", "tap-ring-guest-saturated", "tap-ring-vcpu-starved",
    "tap-ring-qemu-saturated", "tap-ring-qemu-starved",
})  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """One guest and what happens to it.

    Attributes:
        during: What is done on this computer while the guest's collector waits for its second sample.
        wanted: Rules of which one must be named; empty where no packet is lost.
        uncounted: Guests' kernels that count nothing of it, so that nothing must be named.
        before: Shell text that runs in the guest first.
        first: What is sent from this computer after that, before anything is collected.
        libvirt: Whether a libvirt starts the VM and is the way to its agent.
        block: Commands that the agent may not do.
        stop: Whether QEMU itself is stopped (SIGSTOP) before anything is collected.
        answers: Whether the guest's own script can run: yes, blocked, or no answer at all.
    """

    during: Callable[[Guest], None]
    wanted: frozenset[str] = frozenset()
    uncounted: frozenset[str] = frozenset()
    before: str = ""
    first: Callable[[], object] = list
    libvirt: bool = False
    block: str = ""
    stop: bool = False
    answers: str = "yes"


SCENARIOS = {
    "stopped": Scenario(stopped, RING),
    "flooded": Scenario(flooded, RING),
    # a NIC that is switched off keeps the buffers it had posted: QEMU fills them, and no new ones come
    "no-refill": Scenario(
        lambda _: send(1500, 100, ipv4(MAC)),
        RING | {"guest-link-down"},
        before="ip link set eth0 down",
        first=lambda: send(400, 100, ipv4(MAC)),
    ),
    "socket-full": Scenario(
        lambda _: datagrams(4000, 900, 50), frozenset({"guest-socket-full"}), before=UNREAD
    ),
    "no-listener": Scenario(lambda _: datagrams(4999, 600, 40), frozenset({"guest-no-listener"})),
    "foreign-mac": Scenario(
        lambda _: send(600, 40, ipv4(OTHER_MAC)),
        frozenset({"guest-mac-mismatch"}),
        uncounted=frozenset({"5.10"}),  # ip_rcv_core() frees them without a count before Linux 5.19
        before=PROMISC,
    ),
    "unknown-protocol": Scenario(
        lambda _: send(600, 40, raw(MAC, 0x88B5)), frozenset({"guest-unknown-protocol"})
    ),
    "filtered": Scenario(filtered, frozenset({"guest-qemu-filtered"})),
    "groups": Scenario(groups, frozenset({"guest-multicast-not-joined"}), before=PROMISC),
    "blocked": Scenario(nothing, block=BLOCKED, answers="blocked"),
    "agent-hangs": Scenario(nothing, before=AGENT_STOPS, answers="no"),
    "qemu-hangs": Scenario(lambda _: send(1500, 100, ipv4(MAC)), RING, stop=True, answers="no"),
    "libvirt": Scenario(lambda _: datagrams(4999, 600, 40), frozenset({"guest-no-listener"}), libvirt=True),
    "libvirt-stopped": Scenario(stopped, RING, libvirt=True),
    "libvirt-blocked": Scenario(nothing, libvirt=True, block=BLOCKED, answers="blocked"),
    "libvirt-agent-hangs": Scenario(nothing, before=AGENT_STOPS, libvirt=True, answers="no"),
    "libvirt-qemu-hangs": Scenario(
        lambda _: send(1500, 100, ipv4(MAC)), RING, libvirt=True, stop=True, answers="no"
    ),
}


def boot_archive(kernel: images.Kernel, userland: Path) -> bytes:
    """Return the initial file system that goes on with inside/agent-guest-init."""
    modules = sorted((kernel.image.parent / "boot-modules").iterdir())
    members = {f"modules/{file.name}": file.read_bytes() for file in modules}
    members["lab/machine-init"] = (images.INSIDE / "agent-guest-init").read_bytes()
    members["init"] = (images.INSIDE / "boot-init").read_bytes()
    members["busybox"] = (userland / "busybox").read_bytes()
    return images.cpio_archive(members, executable={"init", "busybox"})


KERNEL_WORDS = "console=ttyS0 loglevel=4 rdinit=/init panic=-1 mitigations=off tsc=reliable"


def kernel_words(scenario: Scenario) -> str:
    """Return the guest kernel's command line."""
    return f"{KERNEL_WORDS} block={scenario.block}" if scenario.block else KERNEL_WORDS


def wait_for_guest(serial: Path, alive: Callable[[], bool]) -> None:
    """Wait until the guest says on its serial port that it is there."""
    until = time.monotonic() + 180
    while not (serial.exists() and b"guest ready" in serial.read_bytes()):
        if not alive() or time.monotonic() > until:
            raise images.LabError("the guest does not boot")
        time.sleep(0.2)


@contextmanager
def by_hand(scenario: Scenario, kernel: images.Kernel, folder: Path) -> Iterator[Guest]:
    """Boot the guest with QEMU itself and wait for its agent."""
    userland = images.userland(images.GUEST_SUITE, PACKAGES)
    serial = folder / "serial"
    command = [
        "qemu-system-x86_64", "-name", "guest=web01,debug-threads=on", "-accel", "tcg", "-cpu", "Nehalem",
        "-machine", "q35", "-smp", "1", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", kernel.image, "-initrd", folder / "boot", "-append", kernel_words(scenario),
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
        wait_for_guest(serial, lambda: process.poll() is None)
        guest = Guest(folder, process.pid)
        guest.ask("qga", {"execute": "guest-sync", "arguments": {"id": 5}})
        yield guest
    finally:
        process.kill()
        process.wait()


DOMAIN = """\
<domain type='qemu'>
  <name>web01</name>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{folder}/boot</initrd>
    <cmdline>{words}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact' check='none'><model>Nehalem</model></cpu>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{root}'/><target dev='vda' bus='virtio'/><readonly/>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{modules}'/><target dev='vdb' bus='virtio'/><readonly/>
    </disk>
    <interface type='ethernet'>
      <mac address='{mac}'/><target dev='{tap}' managed='no'/><model type='virtio'/><rom enabled='no'/>
    </interface>
    <serial type='file'><source path='{folder}/serial'/><target port='0'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <memballoon model='none'/>
  </devices>
</domain>
"""
# Nothing that a machine without an init system, or in a container, lacks.
QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
dynamic_ownership = 0
remember_owner = 0
"""
LIBVIRT_STATE = ("/etc/libvirt", "/run/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt")


class LibvirtGuest(Guest):
    """A VM that libvirt started: its agent and its monitor are asked through virsh."""

    def ask(self, name: str, *requests: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Give the agent (`qga`) or the monitor (`qmp`) requests and return the last answer."""
        command = {"qga": "qemu-agent-command", "qmp": "qemu-monitor-command"}[name]
        answer: dict[str, Any] = {}
        for request in requests:
            answer = json.loads(virsh(command, "web01", json.dumps(request)))
        return answer.get("return")

    def monitor(self, command: str) -> None:
        """Stop the VM or let it go on, as an administrator does."""
        virsh({"stop": "suspend", "cont": "resume"}[command], "web01")


def virsh(*words: str) -> str:
    """Run virsh and return what it prints."""
    command = ["virsh", "-c", "qemu:///system", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


@contextmanager
def by_libvirt(scenario: Scenario, kernel: images.Kernel, folder: Path) -> Iterator[Guest]:
    """Start a libvirt that sees only folders of its own, let it boot the guest and wait for its agent."""
    for place in LIBVIRT_STATE:
        Path(place).mkdir(parents=True, exist_ok=True)
        # in this process's own mount namespace
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    Path("/etc/libvirt/qemu.conf").write_text(QEMU_CONF, encoding="ascii")
    Path("/etc/libvirt/libvirtd.conf").write_text('auth_unix_rw = "none"\nauth_unix_ro = "none"\n')
    log = (folder / "libvirtd.log").open("w")
    daemon = subprocess.Popen(
        ["libvirtd", "--pid-file", "/run/libvirt/libvirtd.pid"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    userland = images.userland(images.GUEST_SUITE, PACKAGES)
    text = DOMAIN.format(
        kernel=kernel.image, folder=folder, words=kernel_words(scenario), root=userland / "root.ext4",
        modules=kernel.modules, mac=MAC, tap=TAP,
    )  # fmt: skip
    (folder / "web01.xml").write_text(text, encoding="ascii")
    pid_file = Path("/run/libvirt/qemu/web01.pid")
    try:
        until = time.monotonic() + 60
        while not Path("/run/libvirt/libvirt-sock").exists():
            if daemon.poll() is not None or time.monotonic() > until:
                raise images.LabError("libvirtd does not start: " + (folder / "libvirtd.log").read_text())
            time.sleep(0.2)
        virsh("create", str(folder / "web01.xml"))
        wait_for_guest(folder / "serial", lambda: daemon.poll() is None)
        guest = LibvirtGuest(folder, int(pid_file.read_text()))
        while True:
            with suppress(subprocess.CalledProcessError):
                guest.ask("qga", {"execute": "guest-sync", "arguments": {"id": 5}})
                break
            time.sleep(1)
        yield guest
    finally:
        if pid_file.exists():
            with suppress(ProcessLookupError):
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
        daemon.terminate()
        daemon.wait()
        log.close()
        for place in LIBVIRT_STATE:
            subprocess.run(["umount", "-l", place], check=False)


def perform(name: str, kernel_name: str, out: Path) -> Path:
    """Make one scenario and return its bundle."""
    scenario = SCENARIOS[name]
    boot = by_libvirt if scenario.libvirt else by_hand
    kernel = images.kernel(kernel_name)
    with tempfile.TemporaryDirectory(prefix="vnetkb-") as made:
        folder = Path(made)
        userland = images.userland(images.GUEST_SUITE, PACKAGES)
        (folder / "boot").write_bytes(boot_archive(kernel, userland))
        with boot(scenario, kernel, folder) as guest:
            bundle = collect(scenario, guest, out)
    return bundle.rename(out / f"{name}-{kernel_name}.tar.gz")


def collect(scenario: Scenario, guest: Guest, out: Path) -> Path:
    """Run the collector while the scenario is made."""
    if scenario.before:
        # an agent that may not run commands has nothing done before
        guest.run(scenario.before)
        time.sleep(6)
    scenario.first()
    if scenario.stop:
        os.kill(guest.pid, signal.SIGSTOP)
    # the guest's first sample takes seconds under TCG, its second comes after 60 % of the interval
    late = threading.Timer(13 if scenario.wanted else 0, scenario.during, (guest,))
    late.start()
    interval = INTERVAL_S if scenario.wanted else QUIET_S
    options = ["--guest", "web01", "--rings", "--quiet", "--interval", str(interval), "--trace", str(QUIET_S)]
    words = ["sh", str(COLLECTOR), "--output", str(out), *options]
    patient = {**os.environ, "VNETKB_LIMIT_S": "60"}
    done = subprocess.run(words, env=patient, capture_output=True, text=True, check=True)
    late.join()
    return Path(done.stdout.splitlines()[-1])


def as_made(bundle: Path, scenario: Scenario) -> str:
    """Return what is wrong with what was fetched from the guest; empty where all is as it must be."""
    with tarfile.open(bundle) as archive:
        member = next(each for each in archive if each.name.endswith("/manifest.json"))
        manifest = json.load(archive.extractfile(member) or io.BytesIO(b"{}"))
    rows = {
        (row["id"], row["snapshot"]): row for row in manifest["captures"] if row["scope"].startswith("guest:")
    }
    there = {key for key, row in rows.items() if row["path"]}
    script = {("guest-clock", 0), ("guest-clock", 1), ("guest-proc-net-snmp", 1), ("guest-manifest", 0)}
    agent = {("agent-info", 0), ("agent-interfaces", 0), ("agent-interfaces", 1), ("agent-osinfo", 0)}
    wanted = {"yes": script | agent, "blocked": agent, "no": set[tuple[str, int]]()}[scenario.answers]
    wanted |= {("virsh-domifstat", 0), ("virsh-domifstat", 1)} if scenario.libvirt else set()
    wrong = [f"{name}/{n} is missing" for name, n in sorted(wanted - there)]
    if scenario.answers != "yes":
        wrong += [f"{name}/{n} is there" for name, n in sorted(script & there)]
    if scenario.answers == "blocked" and rows["agent-exec", 0]["absent"]["reason"] != "not-supported":
        wrong.append("guest-exec is not named as blocked")
    if scenario.answers == "no":
        row = rows["agent-info", 0]
        if not row["absent"] or not row.get("remark"):
            wrong.append("the silent agent is not named, or not what to do")
    # and nothing of the host is lost by it
    host = [row for row in manifest["captures"] if row["scope"] == "host" and row["absent"]]
    wrong += [f"host's {row['id']} timed out" for row in host if row["absent"]["reason"] == "timed-out"]
    return "; ".join(wrong)


def judge(bundle: Path, scenario: Scenario, kernel: str) -> tuple[str, bool]:
    """Return what the analyzer says of a guest with that kernel, and whether it is right."""
    words = [sys.executable, "-m", "vnetkb", "analyze", "--format", "json", str(bundle)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    states = ("rising", "silent")
    findings = [f for f in json.loads(done.stdout)["findings"] if f["symptom"]["state"] in states]
    said = [
        f"{f['subject']['name']} {f['symptom']['counter']}: {f['verdict']} {f['cause']}" for f in findings
    ]
    ring = [f for f in findings if f["symptom"]["counter"] == "tap.tx_dropped"]
    wrong = as_made(bundle, scenario)
    told = "; ".join([*said, *([wrong] if wrong else [])]) or "no finding"
    if wrong:
        return told, False
    if scenario.wanted >= RING:
        return told, bool(ring) and all(f["cause"] in scenario.wanted for f in ring)
    if kernel in scenario.uncounted:
        return told, not findings
    # the host is acquitted: its port lost nothing
    return told, not ring and scenario.wanted <= {f["cause"] for f in findings}


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
        words = ["unshare", "-numpf", "--mount-proc", sys.executable, __file__, *arguments]
        return subprocess.run(words, env={**os.environ, INSIDE: "1"}, check=False).returncode
    for command in (
        "hostname node7", "mount -t sysfs sysfs /sys",
        "mount -t tracefs tracefs /sys/kernel/tracing", "ip link set lo up", f"ip tuntap add {TAP} mode tap",
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
            said, right = judge(bundle, SCENARIOS[name], options.kernel)
            wrong += not right
            took = f"{time.monotonic() - started:4.0f} s  {'right' if right else 'WRONG'}"
            sys.stdout.write(f"{name:18} {options.kernel:5} {took}  {said}\n")
            if options.record:
                BUNDLES.mkdir(exist_ok=True)
                (BUNDLES / bundle.name).write_bytes(masked.bundle(bundle).data)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
