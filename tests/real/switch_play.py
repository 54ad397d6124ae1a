# SPDX-License-Identifier: Apache-2.0
"""An Open vSwitch of its own with real bridges and taps, and the collector run on it while packets flow.

Started by the test inside a network and mount namespace of its own, as ``switch_play.py FOLDER SCENE``; it
writes the bundle and what really happened (``truth.json``) into the folder. Open vSwitch works with its
userspace datapath, which needs no kernel module; sockets, database and log lie in the folder.
"""

import fcntl
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

COLLECTOR = Path(__file__).resolve().parents[2] / "collectors" / "host" / "vnetkb-collect"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
VSWITCHD = ("/usr/lib/openvswitch-switch/ovs-vswitchd", "/usr/sbin/ovs-vswitchd")
TUNSETIFF = 0x4004_54CA  # linux/if_tun.h
IFF_TAP_NO_PI = 0x0002 | 0x1000
DROPPED = 0x88B5
PASSED = 0x88B6
FRAME = b"\xff" * 6 + b"\x02\0\0\0\0\x01"
GENERIC_COUNTERS = struct.pack("!II", 1, 88)  # sFlow version 5, counters of an interface
OUT_DISCARDS_AT = 76
UNKNOWN = 0xFFFF_FFFF
REFRESH_S = 5.5  # other_config:stats-update-interval is 5 s at the least


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def open_tap(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP_NO_PI))
    run("ip", "link", "set", name, "up")
    return fd


class Reader(threading.Thread):
    """Reads taps and counts what came."""

    def __init__(self, taps: dict[int, str]) -> None:
        super().__init__(daemon=True)
        self.taps = taps
        self.came = dict.fromkeys(taps.values(), 0)

    def run(self) -> None:
        while True:
            for fd in select.select(list(self.taps), [], [])[0]:
                os.read(fd, 65536)
                self.came[self.taps[fd]] += 1


class Collector(threading.Thread):
    """Takes sFlow's counter samples: the highest ifOutDiscards by interface index."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", port))
        self.discards: dict[int, int] = {}

    def run(self) -> None:
        while True:
            data = self.socket.recv(65536)
            start = data.find(GENERIC_COUNTERS)
            while start >= 0:
                record = data[start + 8 : start + 96]
                if len(record) == 88:
                    (index,) = struct.unpack_from("!I", record)
                    (lost,) = struct.unpack_from("!I", record, OUT_DISCARDS_AT)
                    if lost != UNKNOWN:
                        self.discards[index] = max(self.discards.get(index, 0), lost)
                start = data.find(GENERIC_COUNTERS, start + 8)


class Sender(threading.Thread):
    """Sends broadcasts of several kinds into the switch until told to stop."""

    def __init__(self, device: str, kinds: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self.kinds = kinds
        self.done = threading.Event()
        self.sent = dict.fromkeys(kinds, 0)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((device, 0))

    def run(self) -> None:
        while not self.done.wait(0.02):
            for kind in self.kinds:
                self.socket.send(FRAME + struct.pack("!H", kind) + bytes(60))
                self.sent[kind] += 1


def start_switch(folder: Path) -> list[int]:
    """Start the database and the daemon, and return their process numbers."""
    os.environ |= {f"OVS_{name}": str(folder) for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}
    database = folder / "conf.db"
    run("ovsdb-tool", "create", str(database), SCHEMA)
    log = f"--log-file={folder}/ovsdb-server.log"
    run("ovsdb-server", str(database), f"--remote=punix:{folder}/db.sock", "--pidfile", "--detach", log)
    run("ovs-vsctl", "--no-wait", "init")
    daemon = next(path for path in VSWITCHD if shutil.which(path))
    run(daemon, "--pidfile", "--detach", f"--log-file={folder}/ovs-vswitchd.log")
    return [int((folder / f"{name}.pid").read_text()) for name in ("ovs-vswitchd", "ovsdb-server")]


def add_monitoring() -> None:
    """A mirror of everything to mon0, sFlow and IPFIX to collectors on the loopback device."""
    run(
        "ovs-vsctl", "--", "--id=@o", "get", "port", "mon0",
        "--", "--id=@m", "create", "mirror", "name=watch", "select_all=true", "output-port=@o",
        "--", "set", "bridge", "br0", "mirrors=@m",
    )  # fmt: skip
    run(
        "ovs-vsctl", "--", "--id=@s", "create", "sflow", "agent=lo", 'target="127.0.0.1:6343"', "sampling=64",
        "polling=1", "--", "set", "bridge", "br0", "sflow=@s",
    )  # fmt: skip
    run(
        "ovs-vsctl", "--", "--id=@i", "create", "ipfix", 'targets="127.0.0.1:4739"', "sampling=64",
        "obs_domain_id=1", "obs_point_id=1", "--", "set", "bridge", "br0", "ipfix=@i",
    )  # fmt: skip
    run("ovs-ofctl", "add-flow", "br0", f"priority=100,dl_type={DROPPED:#x},actions=drop")


def add_second_bridge() -> None:
    """Bridges that speak OpenFlow 1.3 alone, joined by patch ports, with VLANs and a rule that samples."""
    for one, other, peer in (("br0", "p0", "p1"), ("br1", "p1", "p0")):
        run("ovs-vsctl", "--may-exist", "add-br", one, "--", "set", "bridge", one, "datapath_type=netdev")
        run("ovs-vsctl", "set", "bridge", one, "protocols=OpenFlow13")
        run(
            "ovs-vsctl", "add-port", one, other,
            "--", "set", "interface", other, "type=patch", f"options:peer={peer}",
        )  # fmt: skip
    run("ovs-vsctl", "set", "port", "vnet0", "tag=10")
    run("ovs-vsctl", "add-port", "br1", "vnet1", "--", "add-port", "br1", "tagged", "tag=20")
    run(
        "ovs-vsctl", "--", "--id=@i", "create", "ipfix", 'targets="127.0.0.1:4739"',
        "--", "--id=@b", "get", "bridge", "br0",
        "--", "create", "flow_sample_collector_set", "id=7", "bridge=@b", "ipfix=@i",
    )  # fmt: skip
    sample = "sample(probability=65535,collector_set_id=7,obs_domain_id=1,obs_point_id=1),NORMAL"
    for rule in (f"priority=100,dl_type={DROPPED:#x},actions=drop", f"dl_type={PASSED:#x},actions={sample}"):
        run("ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br0", rule)


def play(folder: Path, scene: str) -> dict[str, object]:
    """Set the scene, collect, and return what happened."""
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("ip", "link", "set", "lo", "up")
    taps = {open_tap(name): name for name in ("vnet0", "vnet1", "tagged")}
    # Held and never read, so that its ring fills up.
    unread = open_tap("mon0")
    run("ip", "link", "set", "mon0", "txqueuelen", "10")
    run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "wire")
    for name in ("uplink", "wire"):
        run("ip", "link", "set", name, "up")
    switch = folder / "ovs"
    switch.mkdir()
    pids = start_switch(switch)
    reader, collector = Reader(taps), Collector(6343)
    reader.start()
    collector.start()
    try:
        run("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
        more = {"watched": ("vnet1", "mon0"), "bridges": ("mon0",), "healthy": ("vnet1",)}[scene]
        for name in ("vnet0", "uplink", *more):
            run("ovs-vsctl", "add-port", "br0", name)
        if scene == "watched":
            add_monitoring()
        if scene == "bridges":
            add_second_bridge()
        sender = Sender("wire", (PASSED,) if scene == "healthy" else (PASSED, DROPPED))
        time.sleep(1)
        sender.start()
        time.sleep(REFRESH_S)
        done = run("sh", str(COLLECTOR), "--output", str(folder), "--interval", "4", "--quiet")
        sender.done.set()
        sender.join()
        time.sleep(1.5)
        lost = Path("/sys/class/net/mon0/statistics/tx_dropped").read_text()
        discards = collector.discards.get(socket.if_nametoindex("mon0"), 0)
    finally:
        os.close(unread)
        for pid in pids:
            os.kill(pid, 15)
    return {
        "bundle": done.splitlines()[-1],
        "sent": {f"{kind:#x}": count for kind, count in sender.sent.items()},
        "came": reader.came,
        "mon0_dropped": int(lost),
        "mon0_discards": discards,
    }


if __name__ == "__main__":
    out = Path(sys.argv[1])
    (out / "truth.json").write_text(json.dumps(play(out, sys.argv[2])))
