# SPDX-License-Identifier: Apache-2.0
"""The rig: taps that really drop, in namespaces of their own, without any tool but Python.

`in_sandbox` runs a function as process 1 of new network, mount, PID and host name namespaces, with sysfs,
tracefs and /proc of those; all of it is gone when the function returns. Inside it `Tap`, `Reader` and
`Sender` make a port, a process that empties it (well, slowly or not at all) and a process that sends to it.
Readers and senders count what they did, so that a test can hold the kernel's counters against the truth.
Constants are those of the kernel's uapi headers: linux/if_tun.h, linux/sched.h, linux/mount.h, linux/bpf.h.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import platform
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TUN_DEVICE = "/dev/net/tun"
HOST_NAME = "node7"
GUEST_MAC = bytes.fromhex("525400aabb01")
OTHER_MAC = bytes.fromhex("525400aabbff")
HOST_MAC = bytes.fromhex("525400000001")
LOCAL_EXPERIMENTAL_ETHERTYPE = 0x88B5

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18

IFF_TAP = 0x0002
IFF_MULTI_QUEUE = 0x0100
IFF_ATTACH_QUEUE = 0x0200
IFF_DETACH_QUEUE = 0x0400
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
IFF_UP = 0x1
TUNSETIFF = 0x4004_54CA
TUNSETPERSIST = 0x4004_54CB
TUNSETTXFILTER = 0x4004_54D1
TUNATTACHFILTER = 0x4010_54D5
TUNSETQUEUE = 0x4004_54D9
TUNSETFILTEREBPF = 0x8004_54E1
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
SIOCSIFTXQLEN = 0x8943

BPF_SYSCALL = {"x86_64": 321, "aarch64": 280, "ppc64le": 361, "s390x": 351, "riscv64": 280}
BPF_PROG_LOAD = 5
BPF_PROG_TYPE_SOCKET_FILTER = 1
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)


class RigError(Exception):
    """The rig cannot work here; the message says why."""


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _mount(source: str, target: str, kind: str | None, flags: int = 0) -> None:
    encoded = None if kind is None else kind.encode()
    _check(_libc.mount(source.encode(), target.encode(), encoded, flags, None), f"mount {target}")


def _make_mounts_private() -> None:
    """Keep what is mounted from here on out of the machine's own mount namespace."""
    try:
        _mount("none", "/", None, MS_REC | MS_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # In a chroot "/" is no mount point; then every mount seen from here is made private by itself.
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            _mount("none", line.split()[4].replace("\\040", " "), None, MS_PRIVATE)


def _mount_own_views() -> None:
    """Mount /proc, /sys and tracefs of the new namespaces, and keep the cgroups in sight."""
    _make_mounts_private()
    _mount("proc", "/proc", "proc")
    cgroups = os.open("/sys/fs/cgroup", os.O_PATH) if os.path.ismount("/sys/fs/cgroup") else None
    _mount("sysfs", "/sys", "sysfs")
    if cgroups is not None:
        _mount(f"/proc/self/fd/{cgroups}", "/sys/fs/cgroup", None, MS_BIND | MS_REC)
        os.close(cgroups)
    if Path("/sys/kernel/tracing").is_dir():
        with suppress(OSError):
            _mount("tracefs", "/sys/kernel/tracing", "tracefs")


def _quiet_network() -> None:
    """Switch IPv6 off, so that nothing but the sender sends to a tap."""
    for name in ("all", "default"):
        setting = Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
        if setting.exists():
            setting.write_text("1", encoding="ascii")


def in_sandbox(body: Callable[[], dict[str, Any]], host_name: str = HOST_NAME) -> dict[str, Any]:
    """Run `body` in namespaces of its own and return what it returned (as JSON carries it).

    The caller must have one thread only: this forks.

    Raises:
        RigError: The namespaces cannot be made here, or `body` failed; then the message has its traceback.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _run_and_exit(lambda: _as_first_process(body, host_name, write_end), write_end)
    os.close(write_end)
    try:
        with os.fdopen(read_end, "rb") as pipe:
            answer = pipe.read()
    except BaseException:
        # The end of the namespace's process 1 ends every process in it.
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        raise
    os.waitpid(child, 0)
    if not answer:
        raise RigError("the process in the sandbox ended without an answer")
    outcome: dict[str, Any] = json.loads(answer)
    if "error" in outcome:
        raise RigError(outcome["error"])
    result: dict[str, Any] = outcome["result"]
    return result


def _as_first_process(body: Callable[[], dict[str, Any]], host_name: str, write_end: int) -> None:
    """Make the namespaces; `body` runs in the first child, which is process 1 of the new PID namespace."""
    _check(_libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNET), "unshare")
    first = os.fork()
    if first != 0:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGKILL))
        os.waitpid(first, 0)
        return

    def first_process() -> None:
        _check(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        socket.sethostname(host_name)
        _mount_own_views()
        _quiet_network()
        answer = json.dumps({"result": body()}).encode()
        os.write(write_end, answer)

    _run_and_exit(first_process, write_end)


def _run_and_exit(work: Callable[[], None], write_end: int) -> None:
    """Run `work` in a forked child and end it, never returning into the code of the parent."""
    status = 0
    try:
        work()
    except BaseException:  # noqa: BLE001 - whatever it was, it travels to the parent as text
        os.write(write_end, json.dumps({"error": traceback.format_exc()}).encode())
        status = 1
    finally:
        os._exit(status)


def why_unavailable() -> str | None:
    """Say in a few words why the rig cannot work here, or return `None` when it can."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "not run as root"
    if not Path(TUN_DEVICE).exists():
        return f"there is no {TUN_DEVICE}"
    try:
        in_sandbox(_try_a_tap)
    except RigError as error:
        return str(error).strip().splitlines()[-1]
    return None


def _try_a_tap() -> dict[str, Any]:
    with Tap("vnettry0") as tap:
        return tap.statistics()


class Tally:
    """A few counters in memory that parent and child share, readable even while the child is stopped."""

    def __init__(self, size: int = 2) -> None:
        """Make `size` counters of zero."""
        self._memory = mmap.mmap(-1, 8 * size)
        self._numbers = (ctypes.c_uint64 * size).from_buffer(self._memory)

    def add(self, index: int, amount: int = 1) -> None:
        """Add `amount` to the counter `index`."""
        self._numbers[index] += amount

    def __getitem__(self, index: int) -> int:
        """Return the counter `index`."""
        return int(self._numbers[index])


class Child:
    """A forked process that runs one function until it is killed."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        """Fork, and return when the child runs; `name` is what /proc/PID/comm shows of it."""
        read_end, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _libc.prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
                os.close(read_end)
                os.close(write_end)
                work()
            finally:
                os._exit(0)
        os.close(write_end)
        os.read(read_end, 1)
        os.close(read_end)

    def stop(self) -> None:
        """Freeze the process with SIGSTOP and wait until it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def kill(self) -> None:
        """End the process, stopped or not."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def limit_cpu(pid: int, *, share: float) -> Path:
    """Put a process into a cgroup that may use that share of one CPU, and return the group's folder.

    Raises:
        RigError: No cgroup with a CPU limit can be made here.
    """
    period_us = 100_000
    quota_us = int(share * period_us)
    top = Path("/sys/fs/cgroup")
    old = top / "cpu"
    group = (old if old.is_dir() else top) / f"vnetkb-{os.getpid()}-{pid}"
    try:
        group.mkdir()
        if old.is_dir():
            (group / "cpu.cfs_period_us").write_text(str(period_us), encoding="ascii")
            (group / "cpu.cfs_quota_us").write_text(str(quota_us), encoding="ascii")
        else:
            (group / "cpu.max").write_text(f"{quota_us} {period_us}", encoding="ascii")
        (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
    except OSError as error:
        raise RigError(f"no cgroup with a CPU limit here: {error}") from error
    return group


def remove_group(group: Path) -> None:
    """Remove a cgroup; its processes are gone or go on in the group above."""
    with suppress(OSError):
        for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
            (group.parent / "cgroup.procs").write_text(pid, encoding="ascii")
        group.rmdir()


class Tap:
    """A tap device with one open file a queue, link up. Closing it removes it, unless it is persistent."""

    def __init__(
        self,
        name: str,
        *,
        queues: int = 1,
        vnet_hdr: bool = True,
        tx_queue_len: int | None = None,
    ) -> None:
        """Make the device `name`; `tx_queue_len` (packets) replaces the default of 1000."""
        self.name = name
        self.fds: list[int] = []
        flags = (
            IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if vnet_hdr else 0) | (IFF_MULTI_QUEUE if queues > 1 else 0)
        )
        for _ in range(queues):
            fd = os.open(TUN_DEVICE, os.O_RDWR)
            self.fds.append(fd)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        if tx_queue_len is not None:
            self.set_tx_queue_len(tx_queue_len)
        self.set_up()

    def __enter__(self) -> Self:
        """Return the tap."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close this process's files of the tap."""
        self.close()

    def close(self) -> None:
        """Close this process's files of the tap; the device lives on while another process holds one."""
        while self.fds:
            os.close(self.fds.pop())

    def _interface_ioctl(self, request: int, payload: bytes) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            return fcntl.ioctl(
                control, request, struct.pack("16s", self.name.encode()) + payload.ljust(24, b"\0")
            )

    def set_up(self) -> None:
        """Set IFF_UP."""
        (flags,) = struct.unpack_from("H", self._interface_ioctl(SIOCGIFFLAGS, b""), 16)
        self._interface_ioctl(SIOCSIFFLAGS, struct.pack("H", flags | IFF_UP))

    def set_tx_queue_len(self, packets: int) -> None:
        """Set the transmit queue length, which is also the size of the ring."""
        self._interface_ioctl(SIOCSIFTXQLEN, struct.pack("i", packets))

    def detach_queues(self) -> None:
        """Detach every queue of a multi-queue tap; the files stay open."""
        for fd in self.fds:
            fcntl.ioctl(fd, TUNSETQUEUE, struct.pack("16sH22x", b"", IFF_DETACH_QUEUE))

    def set_persistent(self) -> None:
        """Let the device live on without an open file."""
        fcntl.ioctl(self.fds[0], TUNSETPERSIST, 1)

    def set_address_filter(self, *addresses: bytes) -> None:
        """Let only frames to these addresses in (TUNSETTXFILTER, struct tun_filter)."""
        packed = struct.pack("HH", 0, len(addresses)) + b"".join(addresses)
        fcntl.ioctl(self.fds[0], TUNSETTXFILTER, packed)

    def attach_dropping_socket_filter(self) -> None:
        """Attach a classic BPF program that refuses every frame (TUNATTACHFILTER)."""
        instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0), 8)  # BPF_RET | BPF_K 0
        for fd in self.fds:
            fcntl.ioctl(fd, TUNATTACHFILTER, struct.pack("H6xQ", 1, ctypes.addressof(instruction)))

    def attach_dropping_ebpf_filter(self) -> None:
        """Attach an eBPF socket filter that returns 0, which drops every frame (TUNSETFILTEREBPF)."""
        program = load_ebpf_returning_zero()
        try:
            fcntl.ioctl(self.fds[0], TUNSETFILTEREBPF, struct.pack("i", program))
        finally:
            os.close(program)

    def statistics(self) -> dict[str, int]:
        """Read the device's counters from sysfs."""
        return statistics(self.name)


def statistics(device: str) -> dict[str, int]:
    """Read the counters of `device` from sysfs: packets, bytes, or events, as each name says."""
    folder = Path("/sys/class/net") / device / "statistics"
    return {file.name: int(file.read_text(encoding="ascii")) for file in folder.iterdir()}


def load_ebpf_returning_zero() -> int:
    """Load `r0 = 0; exit` as a socket filter and return its file descriptor (bpf(2), BPF_PROG_LOAD)."""
    number = BPF_SYSCALL.get(platform.machine())
    if number is None:
        raise RigError(f"bpf(2): no system call number known for {platform.machine()}")
    # BPF_ALU64 | BPF_MOV | BPF_K r0, 0; BPF_JMP | BPF_EXIT
    code = ctypes.create_string_buffer(
        struct.pack("BBhi", 0xB7, 0, 0, 0) + struct.pack("BBhi", 0x95, 0, 0, 0), 16
    )
    licence = ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "IIQQIIQI28x",
        BPF_PROG_TYPE_SOCKET_FILTER,
        2,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        0,
        0,
        0,
        0,
    )
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return _check(_libc.syscall(number, BPF_PROG_LOAD, ctypes.byref(buffer), len(attributes)), "bpf")


def read_blocking(fds: list[int], tally: Tally) -> None:
    """Empty the first queue with blocking reads, as fast as it goes."""
    while True:
        os.read(fds[0], 65536)
        tally.add(0)


def read_polling(fds: list[int], tally: Tally) -> None:
    """Empty all queues as QEMU does: poll, then read until it would block."""
    poller = select.poll()
    for fd in fds:
        os.set_blocking(fd, False)
        poller.register(fd, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            with suppress(BlockingIOError):
                while True:
                    os.read(fd, 65536)
                    tally.add(0)


def reading_slowly(sleep_s: float = 0.0, busy_s: float = 0.0) -> "Behaviour":
    """Return a behaviour that reads a frame, then sleeps `sleep_s` and computes for `busy_s` seconds."""

    def read(fds: list[int], tally: Tally) -> None:
        while True:
            os.read(fds[0], 65536)
            tally.add(0)
            if sleep_s:
                time.sleep(sleep_s)
            until = time.monotonic() + busy_s
            while time.monotonic() < until:
                pass

    return read


def never_read(fds: list[int], tally: Tally) -> None:
    """Hold the files open and do nothing."""
    del fds, tally
    while True:
        signal.pause()


Behaviour = Callable[[list[int], Tally], None]


class Reader(Child):
    """The process that holds a tap's files, as QEMU does; the parent's own are closed."""

    def __init__(self, tap: Tap, behaviour: Behaviour = read_blocking) -> None:
        """Fork the reader of `tap`."""
        self._tally = Tally()
        super().__init__("tapreader", lambda: behaviour(tap.fds, self._tally))
        tap.close()

    @property
    def frames(self) -> int:
        """How many frames it has taken out of the ring."""
        return self._tally[0]


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MessageHeader(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_IoVector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MultiMessageHeader(ctypes.Structure):
    _fields_ = (("header", _MessageHeader), ("length", ctypes.c_uint32))


@dataclass(frozen=True)
class Load:
    """What a sender sends: `burst` frames back to back every `period_s` seconds."""

    burst: int
    period_s: float
    size: int = 128
    destination: bytes = GUEST_MAC

    @classmethod
    def at_rate(cls, packets_per_s: int, *, destination: bytes = GUEST_MAC) -> "Load":
        """Return a steady load: a few frames every 5 ms."""
        return cls(burst=max(1, packets_per_s // 200), period_s=0.005, destination=destination)

    def frame(self) -> bytes:
        """Return one Ethernet frame of a type that no stack answers."""
        header = self.destination + HOST_MAC + LOCAL_EXPERIMENTAL_ETHERTYPE.to_bytes(2, "big")
        return header.ljust(self.size, b"\xa5")


class Sender(Child):
    """A process that sends to a device through AF_PACKET, as the host's stack or a bridge would."""

    def __init__(self, device: str, load: Load) -> None:
        """Fork the sender to `device`."""
        self._tally = Tally()
        self._pause = Tally(1)
        super().__init__("tapsender", lambda: self._send(device, load))

    @property
    def sent(self) -> int:
        """How many frames the kernel took."""
        return self._tally[0]

    @property
    def refused(self) -> int:
        """How many frames the kernel refused with an error."""
        return self._tally[1]

    def finish(self) -> None:
        """Stop sending after the burst at hand and end the process, so that the counts are final."""
        self._pause.add(0)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def _send(self, device: str, load: Load) -> None:
        frame = ctypes.create_string_buffer(load.frame(), load.size)
        vector = _IoVector(ctypes.addressof(frame), load.size)
        messages = (_MultiMessageHeader * load.burst)()
        for message in messages:
            message.header.vectors = ctypes.pointer(vector)
            message.header.vector_count = 1
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as port:
            port.bind((device, 0))
            due = time.monotonic()
            while not self._pause[0]:
                done = _libc.sendmmsg(port.fileno(), messages, load.burst, 0)
                if done > 0:
                    self._tally.add(0, done)
                if done < load.burst:
                    # The kernel stops at the first frame that it refuses.
                    self._tally.add(1)
                due += load.period_s
                wait = due - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                else:
                    due = time.monotonic()


@contextmanager
def running(*children: Child) -> Iterator[None]:
    """Kill `children` on the way out."""
    try:
        yield
    finally:
        for child in children:
            child.kill()
