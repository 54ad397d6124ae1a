# SPDX-License-Identifier: Apache-2.0
"""Devices that lose packets elsewhere than in a tap's ring, for one known reason each, as collected for real.

`python layers.py NAME --out DIR` plays one in a sandbox of its own and prints, as JSON, the bundle and how
many frames the generator sent or wrote.
"""

import argparse
import ctypes
import fcntl
import json
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import ebpf
import rig
import stage

COLLECTOR = Path(__file__).resolve().parents[2] / "collectors" / "host" / "vnetkb-collect"
STEP_S = 0.01
INTERVAL_S = "2"
Step: TypeAlias = Callable[[], int]
"""Sends or writes a few frames and returns how many."""


def _writes(fd: int, packet: bytes, count: int = 4) -> Step:
    def step() -> int:
        stage.write(fd, [packet] * count)
        return count

    return step


def _sends(device: str, packet: bytes, count: int = 4) -> Step:
    return lambda: stage.send(device, [packet] * count)


def tap_down() -> Step:
    """A program writes to a tap that is down."""
    fd = stage.open_tun("vnet0", rig.IFF_TAP, up=False)
    return _writes(fd, stage.frame())


def tap_without_bridge() -> Step:
    """A guest sends frames that are no IP through a tap that is a port of nothing."""
    tap = rig.Tap("vnet0", vnet_hdr=False)
    return _writes(tap.fds[0], stage.frame())


def tap_xdp() -> Step:
    """An XDP program on the tap drops what the guest sends."""
    tap = rig.Tap("vnet0", vnet_hdr=True)
    # Only what is written without waiting meets the driver's XDP (drivers/net/tun.c tun_can_build_skb).
    os.set_blocking(tap.fds[0], False)
    stage.native_xdp("vnet0", ebpf.returning(ebpf.XDP_DROP))
    stage.ip("link", "add", "br0", "type", "bridge")
    stage.ip("link", "set", "vnet0", "master", "br0")
    return _writes(tap.fds[0], stage.NO_HEADER + stage.frame())


def tun_not_ip() -> Step:
    """A program writes something that is no IP to a layer 3 tun device."""
    fd = stage.open_tun("vnet0", stage.IFF_TUN)
    return _writes(fd, b"\x00" * 60)


def macvtap_unread() -> Step:
    """Nobody reads a macvtap that frames arrive at."""
    stage.veth("v0", "v1")
    stage.ip("link", "set", "v1", "address", rig.HOST_MAC.hex(":"))
    stage.macvtap("mv0", "v0")
    stage.set_tx_queue_len("mv0", 10)
    stage.open_macvtap("mv0")
    return _sends("v1", stage.frame())


def macvtap_lower() -> Step:
    """The queueing discipline below a macvtap refuses what the guest sends."""
    stage.veth("v0", "v1")
    stage.ip("link", "set", "v1", "address", rig.HOST_MAC.hex(":"))
    stage.macvtap("mv0", "v0")
    fd = stage.open_macvtap("mv0")
    stage.tool("tc", "qdisc", "add", "dev", "v0", "root", "pfifo", "limit", "0")
    return _writes(fd, stage.NO_HEADER + stage.frame(to=rig.HOST_MAC))


def veth_mtu() -> Step:
    """The other end of a veth pair has a smaller MTU."""
    stage.veth("v0", "v1")
    stage.ip("link", "set", "v1", "mtu", "1400")
    return _sends("v0", stage.frame(1500))


def unknown_protocol() -> Step:
    """Some of the frames that arrive at a device are of a protocol that nobody takes."""
    stage.veth("v0", "v1")
    stage.ip("address", "add", "192.0.2.2/24", "dev", "v1")
    wanted = stage.frame(ethertype=stage.IPV4, payload=stage.ipv4(stage.udp()))
    turns = [0]

    def step() -> int:
        turns[0] += 1
        stage.send("v0", [wanted] * 10)
        return stage.send("v0", [stage.frame()]) if turns[0] % 20 == 0 else 0

    return step


def _behind(*discipline: str) -> None:
    stage.veth("v0", "v1")
    stage.tool("tc", "qdisc", "add", "dev", "v0", "root", *discipline)


def qdisc_tbf() -> Step:
    """A shaper on a device holds packets back until its queue is full."""
    _behind("tbf", "rate", "64kbit", "burst", "1600", "limit", "3000")
    return _sends("v0", stage.frame(500))


def qdisc_htb() -> Step:
    """A class of htb sends slower than packets come."""
    _behind("handle", "1:", "htb", "default", "1")
    stage.tool("tc", "class", "add", "dev", "v0", "parent", "1:", "classid", "1:1", "htb", "rate", "64kbit")
    stage.tool("tc", "qdisc", "add", "dev", "v0", "parent", "1:1", "handle", "2:", "pfifo", "limit", "10")
    return _sends("v0", stage.frame(500))


def qdisc_pfifo() -> Step:
    """A plain queue without room."""
    _behind("pfifo", "limit", "0")
    return _sends("v0", stage.frame())


def silent_reader() -> Step:
    """The tap's reader reads with a buffer that not even the virtio-net header fits into."""
    tap = rig.Tap("vnet0")
    stage.tool("tc", "qdisc", "replace", "dev", "vnet0", "root", "pfifo", "limit", "1000")
    stage.set_tx_queue_len("vnet0", 100)

    def read(fds: list[int], _tally: rig.Tally) -> None:
        while True:
            select.select(fds, [], [])
            try:
                os.read(fds[0], 5)
            except OSError:
                continue

    rig.Reader(tap, read)
    return _sends("vnet0", stage.frame(), 40)


def frames_cut() -> Step:
    """A classic filter on the tap's file cuts each frame to 20 bytes."""
    tap = rig.Tap("vnet0", vnet_hdr=False)
    stage.tool("tc", "qdisc", "replace", "dev", "vnet0", "root", "pfifo", "limit", "1000")
    for offload in ("tso", "gso"):
        stage.tool("ethtool", "-K", "vnet0", offload, "off")
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 20), 8)
    fcntl.ioctl(tap.fds[0], rig.TUNATTACHFILTER, struct.pack("H6xQ", 1, ctypes.addressof(program)))
    rig.Reader(tap, rig.read_polling)
    return _sends("vnet0", stage.frame(1000))


PLAYS: dict[str, Callable[[], Step]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        tap_down,
        tap_without_bridge,
        tap_xdp,
        tun_not_ip,
        macvtap_unread,
        macvtap_lower,
        veth_mtu,
        unknown_protocol,
        qdisc_tbf,
        qdisc_htb,
        qdisc_pfifo,
        silent_reader,
        frames_cut,
    )
}


def run(prepare: Callable[[], Step], out: Path, options: Sequence[str] = ()) -> dict[str, Any]:
    """Play one: build the devices, let frames flow, collect; return the bundle's path and the frames sent.

    Raises:
        rig.RigError: No sandbox can be made here, or the collector failed.
    """

    def play() -> dict[str, Any]:
        try:
            step = prepare()
        except stage.NotHere as lacking:
            return {"lacking": str(lacking)}
        sent = rig.Tally()

        def generate() -> None:
            while True:
                sent.add(0, step())
                time.sleep(STEP_S)

        generator = rig.Child("generator", generate)
        try:
            time.sleep(0.5)
            done = subprocess.run(
                ["sh", str(COLLECTOR), "--quiet", "--interval", INTERVAL_S, "--output", str(out), *options],
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        finally:
            generator.kill()
        if done.returncode != 0:
            raise rig.RigError(f"the collector ended with {done.returncode}: {done.stderr}")
        return {"bundle": done.stdout.strip().splitlines()[-1], "sent": sent[0]}

    return rig.in_sandbox(play)


def main() -> int:
    """Play the one named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PLAYS)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    json.dump(run(PLAYS[chosen.name], chosen.out), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
