# SPDX-License-Identifier: Apache-2.0
"""A made-up host: a folder in the place of / for /proc and /sys, and commands that come first in PATH."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import tarfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TREE = Path(__file__).resolve().parents[2]
SCRIPT = TREE / "collectors" / "host" / "vnetkb-collect"
SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash-posix": ["bash", "--posix"]}
MARK = "VNETKB_TEST_MARK"
QUICK = ("--interval", "0.1", "--every", "0.1")

SECRETS = ("hunter2", "swordfish", "s3cr3t", "BEGIN PRIVATE", "0xffffffffc0", "ffff9a8b", "94001122334455")
"""Texts that the made-up host shows and that no bundle may hold."""

STATISTICS = ("rx_bytes", "rx_dropped", "rx_packets", "tx_bytes", "tx_dropped", "tx_packets")
STAT_FIELDS = (
    "S 1 4711 4711 0 -1 138412416 1 0 0 0 11 22 0 0 20 0 2 0 5000 999 888 18446744073709551615 "
    "94001122334455 94001122334456 140721 140722 140723 0 0 0 0 0 0 0 17 3 0 0 0 44 0 "
    "94001122334461 94001122334462 94001122334463 94001122334464 94001122334465 94001122334466 "
    "94001122334467 0"
)
STAT_FIELDS_SHOWN = (
    "S 1 4711 4711 0 -1 138412416 1 0 0 0 11 22 0 0 20 0 2 0 5000 999 888 18446744073709551615 "
    "0 0 0 0 0 0 0 0 0 0 0 0 17 3 0 0 0 44 0 0 0 0 0 0 0 0 0"
)
STATUS = (
    "Name:\t{name}\nUmask:\t0002\nState:\tT (stopped)\nTgid:\t4711\nPid:\t4711\nPPid:\t1\nTracerPid:\t0\n"
    "Uid:\t107\t107\t107\t107\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t0\n"
    "voluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t6\n"
)
QEMU = (
    "/usr/bin/qemu-system-x86_64", "-name", "guest=web01,debug-threads=on", "-S",
    "-object", '{"qom-type":"secret","id":"masterKey0","data":"hunter2"}',
    "-m", "1024", "-smp", "2,sockets=2", "-drive", "file=/srv/s3cr3t.qcow2",
    "-netdev", "tap,fd=25,id=hostnet0,vhost=on,vhostfd=26",
    "-device", "virtio-net-pci,netdev=hostnet0,id=net0,mac=52:54:00:aa:bb:01",
    "-netdev", '{"type":"tap","fd":"27","id":"hostnet1"}',
    "-device", '{"driver":"virtio-net-pci","netdev":"hostnet1","mac":"52:54:00:aa:bb:02"}',
    "-device", "virtio-blk-pci,drive=s3cr3t", "--nic", "none", "-vnc", ":0,password=hunter2",
)  # fmt: skip
DOMAIN = """<domain type='kvm' id='1'>
  <name>web01</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <title>hunter2</title>
  <metadata>
    <nova:instance xmlns:nova="x">
      <nova:user>hunter2</nova:user>
    </nova:instance>
  </metadata>
  <description>first line
hunter2</description>
  <os>
    <type arch='x86_64'>hvm</type>
    <cmdline>root=/dev/vda token=hunter2</cmdline>
  </os>
  <devices>
    <disk type='file' device='disk'>
      <source file='/srv/s3cr3t.qcow2'/>
    </disk>
    <interface type='bridge'>
      <mac address='52:54:00:aa:bb:01'/>
      <target dev='vnet3'/>
    </interface>
    <graphics type='vnc' port='5900' passwd='hunter2'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='hunter2'/>
  </qemu:commandline>
</domain>
"""
TC_BATCH = """
case "$*" in *-batch*) while read -r what rest; do case $what in
  qdisc) printf "qdisc noqueue 0: root refcnt 2\\n Sent 0 bytes\\n backlog 0b 0p\\n" ;;
  class) printf "class htb 1:1 root\\n Sent 5 bytes\\n\\n" ;;
  filter) case $rest in *ffff:) ;; *) printf "filter protocol all\\n" ;; esac ;;
esac; done ;; esac"""
INTERFACES = {
    "headings": ["name", "options"],
    "data": [
        ["vnet3", ["map", []]],
        ["gre0", ["map", [["psk", 'swordfish"\\'], ["remote_ip", "192.0.2.1"]]]],
    ],
}


@dataclass
class Bundle:
    """What a collection wrote."""

    path: Path
    members: dict[str, bytes] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Bundle:
        """Read every member; names are those inside the top folder."""
        bundle = cls(path)
        top = path.name.removesuffix(".tar.gz")
        with tarfile.open(path) as tar:
            for member in tar:
                assert member.isdir() or member.isreg()
                assert member.name == top or member.name.startswith(top + "/")
                if member.isreg():
                    name = member.name.removeprefix(top + "/")
                    assert name not in bundle.members
                    content = tar.extractfile(member)
                    assert content is not None
                    bundle.members[name] = content.read()
        return bundle

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, parsed."""
        document: dict[str, Any] = json.loads(self.members["manifest.json"])
        return document

    def capture(self, capture_id: str, snapshot: int | None = 0) -> dict[str, Any]:
        """Return the manifest's entry of a capture; it must be there once."""
        found = [
            row
            for row in self.manifest["captures"]
            if row["id"] == capture_id and row["snapshot"] == snapshot
        ]
        assert len(found) == 1, f"{capture_id} {snapshot}: {len(found)} entries"
        entry: dict[str, Any] = found[0]
        return entry

    def text(self, capture_id: str, snapshot: int | None = 0) -> str:
        """Return the text of a capture that is there."""
        path = self.capture(capture_id, snapshot)["path"]
        assert path is not None, self.capture(capture_id, snapshot)["absent"]
        return self.members[path].decode("utf-8", "surrogateescape")


@dataclass
class Outcome:
    """How a run of the collector ended."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def path(self) -> Path:
        """The file that the last line of stdout names."""
        assert self.returncode == 0, self.stderr
        return Path(self.stdout.splitlines()[-1])

    @property
    def bundle(self) -> Bundle:
        """The bundle in that file."""
        return Bundle.read(self.path)


class FakeHost:
    """A folder that holds the made-up /proc and /sys, the commands, and where bundles go."""

    def __init__(self, folder: Path) -> None:
        """Make an empty host."""
        self.root = folder / "root"
        self.bin = folder / "bin"
        self.out = folder / "out"
        self.calls = folder / "calls"
        self.script = SCRIPT
        self.mark = uuid.uuid4().hex
        for made in (self.root / "proc", self.root / "sys", self.bin, self.out):
            made.mkdir(parents=True)

    def file(self, path: str, content: str | bytes = "") -> Path:
        """Write a file below the root."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link below the root; its target need not exist."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)

    def command(self, name: str, body: str) -> None:
        """Put a command first in PATH; each call is noted in the file `calls`."""
        place = self.bin / name
        note = f'printf "%s\\n" "{name} $*" >>{shlex.quote(str(self.calls))}\n'
        place.write_text(f"#!/bin/sh\n{note}{body}\n", encoding="ascii")
        place.chmod(0o755)

    def called(self, name: str) -> list[str]:
        """Return the argument lists that a command was called with."""
        if not self.calls.exists():
            return []
        lines = self.calls.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        return [line.removeprefix(name + " ") for line in lines if line.startswith(name + " ")]

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a run; its mark finds every process that comes of it."""
        return {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "VNETKB_ROOT_PREFIX": str(self.root),
            "VNETKB_LIMIT_S": "5",
            MARK: self.mark,
            **more,
        }

    def words(self, shell: list[str], *options: str) -> list[str]:
        """Return the command line of a run."""
        return [*shell, str(self.script), "--output", str(self.out), *options]

    def run(
        self,
        shell: list[str],
        *options: str,
        before: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Run the collector to its end."""
        done = subprocess.run(
            [*before, *self.words(shell, *options)],
            env=self.environment(**(env or {})),
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=100,
        )
        return Outcome(
            done.returncode, *(text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
        )

    def start(
        self,
        shell: list[str],
        *options: str,
        before: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start the collector in a process group of its own, as a terminal does."""
        return subprocess.Popen(
            [*before, *self.words(shell, *options)],
            env=self.environment(**(env or {})),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            process_group=0,
        )

    def processes(self) -> list[str]:
        """Return what still runs of this host's runs."""
        return list(marked_processes(self.mark))

    def wait_until_quiet(self) -> list[str]:
        """Return what still runs after up to two seconds; a sleep of the collector may take one to end."""
        for _ in range(40):
            if not self.processes():
                break
            time.sleep(0.05)
        return self.processes()


def marked_processes(mark: str) -> Iterator[str]:
    """Yield the command lines of the running processes whose environment holds the mark."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            environment = (folder / "environ").read_bytes()
            if f"{MARK}={mark}".encode() in environment:
                yield (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def net_dev(**dropped: int) -> str:
    """Return /proc/net/dev with these transmit drops."""
    head = (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|"
        "bytes    packets errs drop fifo colls carrier compressed\n"
    )
    rows = (f"{name:>6}: 10 1 0 0 0 0 0 0 20 2 0 {count} 0 0 0 0\n" for name, count in dropped.items())
    return head + "".join(rows)


def rich_host(folder: Path) -> FakeHost:
    """Return a host with a QEMU that owns the tap vnet3, a vhost worker, libvirt and Open vSwitch."""
    host = FakeHost(folder)
    _fill_proc(host)
    _add_processes(host)
    for name in ("vnet3", "br0", "eth0"):
        add_interface(host, name, tap=name == "vnet3")
    host.link("sys/class/net/vnet3/master", "../br0")
    host.file("sys/class/net/br0/bridge/stp_state", "0\n")
    host.file("sys/class/net/eth0/device/numa_node", "0\n")
    host.file("sys/module/vhost_net/parameters/experimental_zcopytx", "0\n")
    scope = "sys/fs/cgroup/machine.slice/machine-qemu\\x2d1\\x2dweb01.scope"
    host.file(f"{scope}/cpu.max", "50000 100000\n")
    host.file(f"{scope}/cpu.stat", "nr_periods 7\nnr_throttled 3\n")
    host.file("sys/fs/cgroup/machine.slice/cpu.max", "max 100000\n")
    _add_commands(host)
    return host


def add_interface(host: FakeHost, name: str, *, tap: bool = False) -> None:
    """Add a network interface; its name may hold what the kernel lets it hold."""
    folder = os.fsencode(host.root) + b"/sys/class/net/" + os.fsencode(name)
    Path(os.fsdecode(folder + b"/statistics")).mkdir(parents=True)
    Path(os.fsdecode(folder + b"/queues/tx-0")).mkdir(parents=True)
    contents = {f"statistics/{key}": "5" for key in STATISTICS} | {
        "ifindex": "3",
        "mtu": "1500",
        "tx_queue_len": "1000",
    }
    if tap:
        contents["tun_flags"] = "0x5002"
    for key, value in contents.items():
        Path(os.fsdecode(folder + b"/" + key.encode())).write_text(value + "\n", encoding="ascii")


def _fill_proc(host: FakeHost) -> None:
    host.file("proc/net/dev", net_dev(vnet3=5, br0=0, eth0=0))
    host.file("proc/net/softnet_stat", "0000000a 00000000 00000001\n")
    host.file("proc/net/netlink", "sk               Eth Pid\nffff9a8b12345678 0   100\n")
    host.file("proc/stat", "cpu  1 2 3 4\ncpu0 1 2 3 4\nintr 5 6 7\nctxt 8\n")
    host.file("proc/schedstat", "version 15\n")
    host.file("proc/modules", "tun 61440 4 vhost_net, Live 0xffffffffc0123000\n")
    host.file("proc/version", "Linux version 5.10.0-test\n")
    host.file("proc/mounts", "proc /proc proc rw 0 0\n")
    host.file("proc/filesystems", "nodev\ttracefs\n")
    host.file("proc/sys/kernel/random/boot_id", "0f0f0f0f-0000-4000-8000-000000000001\n")
    host.file("proc/sys/net/core/netdev_max_backlog", "1000\n")
    host.file("proc/sys/net/core/netdev_rss_key", "hunter2\n")
    host.file("proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
    host.link("proc/self/ns/net", "net:[4026531840]")


def _add_processes(host: FakeHost) -> None:
    add_process(
        host,
        4711,
        "qemu-system-x86",
        QEMU,
        threads={4711: "qemu-system-x86", 4712: "CPU 0/KVM", 4713: "SPICE) S 1"},
    )
    host.link("proc/4711/fd/0", "/dev/null")
    host.link("proc/4711/fd/25", "/dev/net/tun")
    host.link("proc/4711/fd/26", "/dev/vhost-net")
    host.file("proc/4711/fdinfo/25", "pos:\t0\nflags:\t02\niff:\tvnet3\n")
    add_process(
        host, 4800, "openvpn", ("/usr/sbin/openvpn --auth hunter2", "hunter2"), threads={4800: "openvpn"}
    )
    host.link("proc/4800/fd/7", "/dev/net/tun")
    host.file("proc/4800/fdinfo/7", "iff:\t\n")
    add_process(host, 900, "vhost-4711", (), threads={900: "vhost-4711"})
    add_process(host, 800, "libvirtd", ("libvirtd",), threads={800: "libvirtd"})
    add_process(host, 801, "ovsdb-server", ("ovsdb-server",), threads={801: "ovsdb-server"})


def add_process(
    host: FakeHost, pid: int, name: str, arguments: tuple[str, ...], threads: dict[int, str]
) -> None:
    """Add a process with its threads by number and name."""
    host.file(f"proc/{pid}/comm", name + "\n")
    host.file(f"proc/{pid}/cmdline", "".join(word + "\0" for word in arguments))
    host.link(f"proc/{pid}/ns/net", "net:[4026531840]")
    host.root.joinpath(f"proc/{pid}/fd").mkdir()
    for tid, comm in threads.items():
        task = f"proc/{pid}/task/{tid}"
        host.file(f"{task}/comm", comm + "\n")
        host.file(f"{task}/stat", f"{tid} ({comm}) {STAT_FIELDS}\n")
        host.file(f"{task}/status", STATUS.format(name=comm))
        host.file(f"{task}/schedstat", "100 200 3\n")
        host.file(f"{task}/wchan", "kvm_vcpu_block")
        host.file(
            f"{task}/cgroup", "9:name=systemd:/x\n0::/machine.slice/machine-qemu\\x2d1\\x2dweb01.scope\n"
        )


def _add_commands(host: FakeHost) -> None:
    qdiscs = [
        {"kind": "htb", "handle": "1:", "dev": "vnet3", "root": True, "options": {"r2q": 10}},
        {"kind": "ingress", "handle": "ffff:", "dev": "vnet3", "parent": "ffff:fff1", "options": {}},
        {"kind": "noqueue", "handle": "0:", "dev": "br0", "root": True, "options": {}},
    ]
    host.command(
        "ip",
        """case "$*" in -V) echo "ip utility, iproute2-6.1.0" ;; *) echo '[{"ifname":"vnet3"}]' ;; esac""",
    )
    listed = shlex.quote(json.dumps(qdiscs, separators=(",", ":")))
    host.command("tc", f"""case "$*" in *-j*) echo {listed}; exit ;; esac{TC_BATCH}""")
    host.command(
        "ethtool", """case $1 in -i) echo "driver: virtio_net" ;; *) echo "no answer" >&2; exit 75 ;; esac"""
    )
    domain = host.file("domain.xml", DOMAIN)
    host.command(
        "virsh",
        f"""case "$*" in
        *--uuid*) echo 11111111-2222-3333-4444-555555555555; echo 'not a; uuid' ;;
        *dumpxml*) cat {shlex.quote(str(domain))} ;;
        *) echo "virsh $*" ;; esac""",
    )
    host.command(
        "ovs-vsctl",
        f"""case "$*" in --version) echo "ovs-vsctl (Open vSwitch) 2.17.2" ;;
        *) printf "%s\\n" {shlex.quote(json.dumps(INTERFACES, separators=(",", ":")))} ;; esac""",
    )
    host.command(
        "dmesg",
        """echo '[    1.0] vnet3: entered promiscuous mode'
        echo '[    2.0] unrelated'
        echo '[    3.0] IN=vnet3 OUT= MAC=52:54:00 SRC=192.0.2.7 DST=192.0.2.8'""",
    )


def sha256(data: bytes) -> str:
    """Return the sum in hex."""
    return hashlib.sha256(data).hexdigest()
