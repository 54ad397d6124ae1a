# SPDX-License-Identifier: Apache-2.0
"""Small eBPF programs, assembled here, loaded and attached with bpf(2): no compiler, no tc, no libbpf.

Constants are those of the kernel's uapi header linux/bpf.h.
"""

import ctypes
import os
import platform
import struct

import rig

PROG_LOAD = 5
LINK_CREATE = 28
SOCKET_FILTER = 1
SCHED_CLS = 3
XDP = 6
ATTACH_XDP = 37
ATTACH_TCX_INGRESS = 46
ATTACH_TCX_EGRESS = 47
XDP_FLAGS_SKB_MODE = 2
XDP_FLAGS_DRV_MODE = 4

XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT = range(5)
TCX_PASS = 0
TCX_DROP = 2
AF_INET6 = 10
HELPER_CLONE_REDIRECT = 13
HELPER_REDIRECT = 23
HELPER_REDIRECT_NEIGH = 152

_libc = ctypes.CDLL(None, use_errno=True)


def instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    """Return struct bpf_insn."""
    return struct.pack("<BBhi", code, target | source << 4, offset, value)


def _set(register: int, value: int) -> bytes:
    return instruction(0xB7, register, value=value)


def _copy(register: int, source: int) -> bytes:
    return instruction(0xBF, register, source)


def _call(helper: int) -> bytes:
    return instruction(0x85, value=helper)


EXIT = instruction(0x95)


def returning(value: int) -> bytes:
    """Return a program that ends with `value`."""
    return _set(0, value) + EXIT


def redirecting(ifindex: int) -> bytes:
    """Return a program for XDP or tc that sends the packet out of another device."""
    return _set(1, ifindex) + _set(2, 0) + _call(HELPER_REDIRECT) + EXIT


def redirecting_to_neighbour(ifindex: int) -> bytes:
    """Return a program for tc that sends the packet to the neighbour its route says, on a device."""
    arguments = _set(1, ifindex) + _set(2, 0) + _set(3, 0) + _set(4, 0)
    return arguments + _call(HELPER_REDIRECT_NEIGH) + EXIT


def redirecting_to_ipv6_neighbour(ifindex: int) -> bytes:
    """Return a program for tc that sends the packet to the neighbour ::1:0:0 (struct bpf_redir_neigh)."""
    words = (AF_INET6, 0, 0, 0, 1)
    size = 4 * len(words)
    stored = b"".join(
        instruction(0x62, 10, offset=4 * at - size, value=word) for at, word in enumerate(words)
    )
    where = _copy(2, 10) + instruction(0x07, 2, value=-size)
    return (
        stored + where + _set(1, ifindex) + _set(3, size) + _set(4, 0) + _call(HELPER_REDIRECT_NEIGH) + EXIT
    )


def multiplying(copies: int, *targets: int) -> bytes:
    """Return a program for tc that sends `copies` copies out of each other device, in one go."""
    program = _copy(6, 1)
    for target in targets:
        loop = _copy(1, 6) + _set(2, target) + _set(3, 0) + _call(HELPER_CLONE_REDIRECT)
        loop += instruction(0x07, 7, value=1)
        back = -(len(loop) // 8 + 1)
        program += _set(7, 0) + loop + instruction(0xA5, 7, offset=back, value=copies)
    return program + returning(TCX_PASS)


def _bpf(command: int, attributes: bytes) -> int:
    number = rig.BPF_SYSCALL.get(platform.machine())
    if number is None:
        raise rig.RigError(f"bpf(2): no system call number known for {platform.machine()}")
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    result: int = _libc.syscall(number, command, ctypes.byref(buffer), len(attributes))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf command {command}: {os.strerror(code)}")
    return result


def load(kind: int, program: bytes) -> int:
    """Load a program and return its file descriptor.

    Raises:
        OSError: The kernel does not take it.
    """
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")
    addresses = ctypes.addressof(code), ctypes.addressof(licence)
    return _bpf(PROG_LOAD, struct.pack("IIQQ48x", kind, len(program) // 8, *addresses))


def _attach(kind: int, program: bytes, ifindex: int, place: int, flags: int = 0) -> int:
    loaded = load(kind, program)
    try:
        return _bpf(LINK_CREATE, struct.pack("IIII48x", loaded, ifindex, place, flags))
    finally:
        os.close(loaded)


def attach_xdp(program: bytes, ifindex: int, flags: int = XDP_FLAGS_DRV_MODE) -> int:
    """Attach an XDP program to a device; it goes when the returned file descriptor is closed.

    Raises:
        OSError: The kernel or the driver does not take it.
    """
    return _attach(XDP, program, ifindex, ATTACH_XDP, flags)


def attach_tc(program: bytes, ifindex: int, place: int = ATTACH_TCX_EGRESS) -> int:
    """Attach a program to the traffic control hook of a device (tcx, from Linux 6.6 on).

    Raises:
        OSError: The kernel does not take it.
    """
    return _attach(SCHED_CLS, program, ifindex, place)
