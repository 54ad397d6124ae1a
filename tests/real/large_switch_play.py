# SPDX-License-Identifier: Apache-2.0
"""A large Open vSwitch: 200 ports, as many OpenFlow rules and flows of the datapath as are asked for.

Started by the test in namespaces of its own as ``large_switch_play.py FOLDER RULES FLOWS``. While the
collector runs, the daemon is asked for its version again and again, and packets flow: how long it took to
answer and whether a packet was lost goes into the folder (``truth.json``) beside the bundle.
"""

import json
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from switch_play import COLLECTOR, Reader, open_tap, run, start_switch

PORTS = 200
MANY, STEADY = 0x88B7, 0x88B8
STEP_S = 0.02
CHUNK, PAUSE_S = 64, 0.003
ROUNDS = 8


class Asker(threading.Thread):
    """Asks ovs-vswitchd for its version through its socket; only its main thread answers."""

    def __init__(self, control: Path) -> None:
        super().__init__(daemon=True)
        self.control = control
        self.slowest_ms = 0.0
        self.answers = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(STEP_S):
            with socket.socket(socket.AF_UNIX) as one:
                start = time.monotonic()
                one.connect(str(self.control))
                one.sendall(b'{"method":"version","params":[],"id":0}')
                one.recv(4096)
                self.slowest_ms = max(self.slowest_ms, 1000 * (time.monotonic() - start))
                self.answers += 1


class Steady(threading.Thread):
    """Sends a frame every 20 ms to the first port."""

    def __init__(self, wire: socket.socket) -> None:
        super().__init__(daemon=True)
        self.wire = wire
        self.sent = 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(STEP_S):
            self.wire.send(frame(STEADY, 1))
            self.sent += 1


def frame(kind: int, number: int) -> bytes:
    return b"\x02\0\0\0\1\1" + struct.pack("!HI", 0x0200, number) + struct.pack("!H", kind) + bytes(50)


def flows() -> int:
    shown = run("ovs-appctl", "dpctl/show")
    return int(next(line.split()[1] for line in shown.splitlines() if line.strip().startswith("flows:")))


def fill(wire: socket.socket, wanted: int) -> int:
    """Send from ever new addresses until there are as many flows, or no more than after the last round.

    Each address needs a flow of its own. A daemon that gets little time lowers the number that it allows.
    """
    there = 0
    for _ in range(ROUNDS):
        for number in range(wanted):
            wire.send(frame(MANY, number))
            if number % CHUNK == 0:
                time.sleep(PAUSE_S)
        time.sleep(1)
        before, there = there, flows()
        if there >= wanted or there <= before:
            break
    return there


def add_rules(folder: Path, rules: int) -> None:
    lines = [
        # A rule on a source address makes every flow of this kind exact in it.
        f"priority=60,dl_type={MANY:#x},dl_src=02:ff:ff:ff:ff:ff,actions=drop",
        f"priority=50,dl_type={MANY:#x},actions=drop",
        f"priority=50,dl_type={STEADY:#x},actions=output:vnet0",
    ]
    lines += [
        f"table=1,priority=10,ip,nw_src=10.{n >> 16}.{n >> 8 & 255}.{n & 255},actions=drop"
        for n in range(rules - len(lines) - 1)
    ]
    (folder / "rules").write_text("\n".join(lines) + "\n", encoding="ascii")
    run("ovs-ofctl", "--bundle", "-O", "OpenFlow14", "add-flows", "br0", str(folder / "rules"))


def play(folder: Path, rules: int, wanted: int) -> dict[str, object]:
    """Fill the switch, collect, and return what happened meanwhile."""
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "wire")
    for name in ("uplink", "wire"):
        run("ip", "link", "set", name, "up")
    names = [f"vnet{n}" for n in range(PORTS)]
    taps = {open_tap(name): name for name in names}
    reader = Reader({fd: name for fd, name in taps.items() if name == "vnet0"})
    switch = folder / "ovs"
    switch.mkdir()
    pids = start_switch(switch)
    try:
        run("ovs-vsctl", "set", "Open_vSwitch", ".", "other_config:max-idle=3600000")
        run("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
        adding = [word for name in (*names, "uplink") for word in ("--", "add-port", "br0", name)]
        run("ovs-vsctl", *adding[1:])
        # The daemon begins with room for 10 000 flows and finds out only slowly that it may have more.
        run("ovs-appctl", "upcall/set-flow-limit", "200000")
        add_rules(folder, rules)
        reader.start()
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        wire.bind(("wire", 0))
        filled = fill(wire, wanted)
        steady = Steady(wire)
        steady.start()
        control = switch / f"ovs-vswitchd.{pids[0]}.ctl"
        idle = Asker(control)
        idle.start()
        time.sleep(3)
        idle.done.set()
        log = switch / "ovs-vswitchd.log"
        said = len(log.read_text(encoding="utf-8").splitlines())
        asker = Asker(control)
        asker.start()
        start = time.monotonic()
        usage = os.times()
        out = run("sh", str(COLLECTOR), "--output", str(folder), "--interval", "3", "--quiet")
        took, used = time.monotonic() - start, os.times()
        asker.done.set()
        asker.join()
        steady.done.set()
        steady.join()
        time.sleep(1)
        lines = log.read_text(encoding="utf-8").splitlines()[said:]
    finally:
        for pid in pids:
            os.kill(pid, 15)
        for fd in taps:
            os.close(fd)
    return {
        "bundle": out.splitlines()[-1],
        "flows": filled,
        "rules": rules,
        "sent": steady.sent,
        "came": reader.came["vnet0"],
        "seconds": round(took, 1),
        "cpu_seconds": round(
            used.children_user + used.children_system - usage.children_user - usage.children_system, 1
        ),
        "slowest_answer_ms": round(asker.slowest_ms),
        "slowest_answer_before_ms": round(idle.slowest_ms),
        "answers": asker.answers,
        "long_polls": [line for line in lines if "Unreasonably long" in line],
    }


if __name__ == "__main__":
    out = Path(sys.argv[1])
    result = play(out, int(sys.argv[2]), int(sys.argv[3]))
    (out / "truth.json").write_text(json.dumps(result), encoding="ascii")
