# SPDX-License-Identifier: Apache-2.0
"""What the triggers stand on: devices of all kinds, frames, headers, and the record of what a trigger did.

Constants are those of the kernel's uapi headers linux/if_tun.h, linux/if_packet.h and linux/virtio_net.h.
"""

import ctypes
import fcntl
import mmap
import os
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import ebpf
import rig

N = 5
"""How many frames a trigger loses, where it can choose."""

SIZE = 128
ETHERTYPE = 0x88B6
"""For experiments; not the one of the rig, so that a trace tells apart what runs at the same time."""

IPV4 = 0x0800
ARP = 0x0806
VLAN = 0x8100
IPV6 = 0x86DD
BROADCAST = b"\xff" * 6

IFF_TUN = 0x0001
IFF_NAPI = 0x0010
IFF_NAPI_FRAGS = 0x0020
TUNSETOFFLOAD = 0x4004_54D0
TUNSETSNDBUF = 0x4004_54D4
TUNSETCARRIER = 0x4004_54E2
SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_QDISC_BYPASS = 20
SO_RCVBUFFORCE = 33
PROT_NONE = 0
NO_HEADER = bytes(10)
GSO_TCPV4 = 1
NEEDS_CSUM = 1
BAD_GSO_TYPE = 0xFF

_libc = ctypes.CDLL(None, use_errno=True)


class NotHere(Exception):
    """This kernel cannot do what the trigger needs; the message says what is missing."""


@dataclass(frozen=True)
class Loss:
    """What a trigger did, told by sender and receiver and not by any counter.

    Attributes:
        sent: Packets sent.
        received: Packets that arrived whole where they should.
        counts: Counter of the site -> device that must count (a place without device: empty).
        elsewhere: Counters of the site for other kinds of device than the one of this trigger.
        also: Further counters that rise for the same packets, at other sites: (counter, device, amount).
        amounts: Counter -> amount, where that is not the number of lost packets.
        at_least: Counters of which the amount is the least that must be seen.
        protocols: Ethertypes of the lost packets.
        frees: Lost packets that skb:kfree_skb shows, where that is not the number of lost packets.
    """

    sent: int
    received: int
    counts: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Sequence[str] = ()
    also: Sequence[tuple[str, str, int]] = ()
    amounts: Mapping[str, int] = field(default_factory=dict)
    at_least: Sequence[str] = ()
    protocols: Sequence[int] = (ETHERTYPE,)
    frees: int | None = None

    @property
    def lost(self) -> int:
        """Packets that did not arrive."""
        return self.sent - self.received

    @property
    def freed(self) -> int:
        """Packets that skb:kfree_skb shows."""
        return self.lost if self.frees is None else self.frees

    def amount(self, counter: str) -> int:
        """By how much a counter of the site must rise."""
        return self.amounts.get(counter, self.lost)


Begin = Callable[[], None]
Trigger = Callable[[Begin], Loss]
"""Sets the scene, calls what it is given, loses packets, and tells what it did."""


class Triggers(dict[str, Trigger]):
    """Triggers by the site that they are for; a site with several has `site/variant` keys."""

    def at(self, *keys: str) -> Callable[[Trigger], Trigger]:
        """Enter a trigger for a site, or for several that lose the same packets."""

        def enter(trigger: Trigger) -> Trigger:
            for key in keys:
                assert key not in self, key
                self[key] = trigger
            return trigger

        return enter


def tool(*command: str) -> None:
    """Run a command of iproute2 or ethtool.

    Raises:
        NotHere: It failed, because the kernel does not know what it asks for.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f"{' '.join(command)}: {done.stderr.strip()}")


def ip(*arguments: str) -> None:
    tool("ip", *arguments)


def ifindex(device: str) -> int:
    return socket.if_nametoindex(device)


def statistic(device: str, name: str) -> int:
    return int(Path(f"/sys/class/net/{device}/statistics/{name}").read_text(encoding="ascii"))


def wait_until(condition: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    """Wait for what a softirq, a worker or a link change does.

    Raises:
        TimeoutError: It did not come.
    """
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.001)


def wait_for(device: str, name: str, value: int) -> None:
    wait_until(lambda: statistic(device, name) >= value, f"{name} of {device} does not reach {value}")


# --- frames


def frame(
    size: int = SIZE,
    *,
    to: bytes = rig.GUEST_MAC,
    ethertype: int = ETHERTYPE,
    payload: bytes = b"",
    source: bytes = rig.HOST_MAC,
) -> bytes:
    """Return an Ethernet frame, filled up to `size` bytes."""
    return (to + source + ethertype.to_bytes(2, "big") + payload).ljust(size, b"\0")


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(
    payload: bytes,
    *,
    source: str = "192.0.2.1",
    to: str = "192.0.2.2",
    protocol: int = 17,
    ttl: int = 64,
    words: int | None = None,
    options: bytes = b"",
    cut: int = 0,
    good: bool = True,
) -> bytes:
    """Return an IPv4 packet.

    `words` is the header length that it says it has, `cut` how many bytes more than there are it says it has;
    one that is not `good` has a wrong header checksum.
    """
    length = 20 + len(options)
    version = 0x40 | (length // 4 if words is None else words)
    head = struct.pack("!BBHHHBBH", version, 0, length + len(payload) + cut, 0, 0, ttl, protocol, 0)
    head += socket.inet_aton(source) + socket.inet_aton(to) + options
    return head[:10] + (checksum(head) ^ (not good)).to_bytes(2, "big") + head[12:] + payload


def udp(payload: bytes = b"x" * 20, *, port: int = 9, check: int = 0) -> bytes:
    """Return a UDP datagram; a checksum of 0 says that there is none."""
    return struct.pack("!HHHH", 4000, port, 8 + len(payload), check) + payload


def tcp(payload: bytes = b"", *, words: int = 5) -> bytes:
    """Return a TCP segment whose header says that it has `words` 32-bit words."""
    return struct.pack("!HHIIBBHHH", 4000, 4001, 1, 1, words << 4, 0x10, 1000, 0, 0) + payload


def gso_header(gso_size: int, *, header_length: int = 54, gso_type: int = GSO_TCPV4) -> bytes:
    """Return a virtio-net header of a TCP segment that somebody has still to cut and to checksum."""
    return struct.pack("=BBHHHH", NEEDS_CSUM, gso_type, header_length, gso_size, 34, 16)


def tcp_frame(payload: int, *, words: int = 5) -> bytes:
    """Return a frame with a TCP segment of `payload` bytes."""
    return frame(0, ethertype=IPV4, payload=ipv4(tcp(bytes(payload), words=words), protocol=6))


GSO_THAT_FAILS = gso_header(80) + tcp_frame(100, words=15)
"""A header and a packet that looks longer than a segment until the length of its TCP header is known."""


def send(device: str, frames: Iterable[bytes], *, header: bytes = b"", bypass: bool = False) -> int:
    """Send frames through a packet socket, and return how many; what the kernel refuses counts as sent.

    `header` is a virtio-net header put before each; `bypass` leaves the queueing discipline out.
    """
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as port:
        if header:
            port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        if bypass:
            port.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        port.bind((device, 0))
        for each in frames:
            with suppress(OSError):
                port.send(header + each)
            sent += 1
    return sent


class Listener:
    """A program that takes the frames of one ethertype that arrive at a device."""

    def __init__(self, device: str, ethertype: int = ETHERTYPE) -> None:
        """Listen from now on."""
        self._port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._port.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self._port.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        self._port.bind((device, ethertype))

    def count(self) -> int:
        """Return how many frames came since the last call, those that it sent itself left out."""
        return len(self.take())

    def take(self) -> list[bytes]:
        """Return the frames themselves; a device that went down gives no more."""
        frames = []
        with suppress(OSError):
            while True:
                data, address = self._port.recvfrom(65536)
                if address[2] != socket.PACKET_OUTGOING:
                    frames.append(data)
        return frames


def drain(fd: int, size: int = 65536) -> list[bytes]:
    """Read all frames that wait in a tap or macvtap."""
    os.set_blocking(fd, False)
    frames = []
    with suppress(BlockingIOError):
        while True:
            frames.append(os.read(fd, size))
    return frames


def write(fd: int, packets: Iterable[bytes]) -> int:
    """Write packets as a guest's driver would, and return how many the kernel refused with an error."""
    refused = 0
    for packet in packets:
        try:
            os.write(fd, packet)
        except OSError:
            refused += 1
    return refused


def write_unreadable(fd: int, start: bytes, size: int) -> int:
    """Write `start`, then `size` bytes of memory that cannot be read; return 1 if the kernel refused it."""
    memory = _libc.mmap
    memory.restype = ctypes.c_void_p
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    unreadable = memory(None, ctypes.c_size_t(mmap.PAGESIZE), PROT_NONE, flags, -1, ctypes.c_long(0))
    first = ctypes.create_string_buffer(start, len(start))
    vector = struct.pack("PNPN", ctypes.addressof(first), len(start), unreadable, size)
    refused: bool = _libc.writev(fd, vector, 2) < 0
    return int(refused)


# --- devices


def open_tun(name: str, flags: int, *, up: bool = True) -> int:
    """Make a tun or tap device and return its file."""
    fd = os.open(rig.TUN_DEVICE, os.O_RDWR)
    fcntl.ioctl(fd, rig.TUNSETIFF, struct.pack("16sH22x", name.encode(), flags | rig.IFF_NO_PI))
    if up:
        ip("link", "set", name, "up")
    return fd


def veth(near: str, far: str, *, mtu: int = 1500) -> None:
    """Make a veth pair, both ends up."""
    ip("link", "add", near, "mtu", str(mtu), "type", "veth", "peer", "name", far, "mtu", str(mtu))
    ip("link", "set", near, "up")
    ip("link", "set", far, "up", "address", rig.GUEST_MAC.hex(":"))
    wait_for_state(near, "up")
    wait_for_state(far, "up")


def wait_for_state(device: str, state: str) -> None:
    """Wait until the core has noticed a change of the link: until then it sends as before."""
    file = Path(f"/sys/class/net/{device}/operstate")
    wait_until(lambda: file.read_text(encoding="ascii").strip() == state, f"{device} is not {state}")


def macvtap(name: str, below: str, *options: str, mac: bytes = rig.GUEST_MAC, up: bool = True) -> None:
    """Make a macvtap on a device."""
    where = ("link", "add", "link", below, "name", name, "address", mac.hex(":"))
    ip(*where, "type", "macvtap", *(options or ("mode", "bridge")))
    if up:
        ip("link", "set", name, "up")


def open_macvtap(name: str, *, vnet_hdr: bool = True) -> int:
    """Open the file of a macvtap, as QEMU does."""
    major, minor = (
        Path(f"/sys/class/net/{name}/tap{ifindex(name)}/dev").read_text(encoding="ascii").strip().split(":")
    )
    with tempfile.TemporaryDirectory() as folder:
        node = f"{folder}/tap"
        os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(int(major), int(minor)))
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    flags = rig.IFF_TAP | rig.IFF_NO_PI | (rig.IFF_VNET_HDR if vnet_hdr else 0)
    fcntl.ioctl(fd, rig.TUNSETIFF, struct.pack("16sH22x", b"", flags))
    return fd


def set_tx_queue_len(device: str, packets: int) -> None:
    """Set the transmit queue length from within this process, so that what is freed is freed by it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, rig.SIOCSIFTXQLEN, struct.pack("16si20x", device.encode(), packets))


def native_xdp(device: str, program: bytes) -> int:
    """Attach an XDP program that the driver runs.

    Raises:
        NotHere: The kernel cannot.
    """
    try:
        return ebpf.attach_xdp(program, ifindex(device))
    except OSError as error:
        raise NotHere(f"XDP on {device}: {error}") from error


def generic_xdp(device: str, program: bytes) -> int:
    """Attach an XDP program that the core runs.

    Raises:
        NotHere: The kernel cannot.
    """
    try:
        return ebpf.attach_xdp(program, ifindex(device), ebpf.XDP_FLAGS_SKB_MODE)
    except OSError as error:
        raise NotHere(f"generic XDP on {device}: {error}") from error


def tc_program(device: str, program: bytes, place: int = ebpf.ATTACH_TCX_EGRESS) -> int:
    """Attach a tc program without tc.

    Raises:
        NotHere: The kernel cannot.
    """
    try:
        return ebpf.attach_tc(program, ifindex(device), place)
    except OSError as error:
        raise NotHere(f"tcx on {device}: {error}") from error


def multiplier(name: str, copies: int, *targets: str) -> rig.Tap:
    """Make a tap that turns each frame sent to it into `copies` frames out of each target, all in one go.

    Nothing is received in between, so that queues fill which are empty otherwise.
    """
    tap = rig.Tap(name, vnet_hdr=False)
    tc_program(name, ebpf.multiplying(copies, *(ifindex(target) for target in targets)))
    return tap


def set_sysctl(name: str, value: str) -> None:
    """Set a value below /proc/sys/net of this network namespace."""
    (Path("/proc/sys/net") / name).write_text(value, encoding="ascii")
